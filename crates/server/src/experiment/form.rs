//! A scene's questions, as the file has them (S1).

use serde::Deserialize;
use toml::Spanned;
use wire::form::{Choice, Field, Kind, MAX_TEXT};

use super::Mistake;

/// Every field's keys: one plain structure, as with scenes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldFile {
    id: String,
    #[serde(rename = "type")]
    kind: Kind,
    label: String,
    help: Option<String>,
    required: Option<bool>,
    min: Option<f64>,
    max: Option<f64>,
    step: Option<f64>,
    max_length: Option<u32>,
    lines: Option<u32>,
    options: Option<Vec<OptionFile>>,
    points: Option<u8>,
    low: Option<String>,
    high: Option<String>,
}

/// An answer to choose: its words, which are in the data too, or both apart.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a text, or { value = \"…\", label = \"…\" }")]
enum OptionFile {
    Words(String),
    Apart { value: String, label: String },
}

impl From<OptionFile> for Choice {
    fn from(option: OptionFile) -> Self {
        match option {
            OptionFile::Words(words) => Self { value: words.clone(), label: words },
            OptionFile::Apart { value, label } => Self { value, label },
        }
    }
}

/// The box of a start scene that must be ticked.
pub(super) fn consent(label: String) -> Field {
    Field { id: "consent".into(), kind: Kind::Consent, label, required: true, ..Field::default() }
}

/// # Errors
/// Names the field that cannot be, and where it stands.
pub(super) fn fields(files: Vec<Spanned<FieldFile>>) -> anyhow::Result<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    for file in files {
        let start = file.span().start;
        let file = file.into_inner();
        let id = file.id.clone();
        let at = |mistake: Mistake| Mistake {
            start: Some(start),
            text: format!("field {id:?}: {}", mistake.text),
            ..mistake
        };
        let field = field(file).map_err(at)?;
        if fields.iter().any(|other| other.id == field.id) {
            return Err(at(Mistake::new("id", "its id is used twice; give each field its own".into())).into());
        }
        fields.push(field);
    }
    Ok(fields)
}

fn field(file: FieldFile) -> Result<Field, Mistake> {
    file.check_keys()?;
    if file.kind == Kind::Consent {
        let text = "a consent belongs to the start scene: consent = \"I agree to take part\"".to_owned();
        return Err(Mistake::new("type", text));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if file.id.is_empty() || !file.id.chars().all(plain) {
        let text = "an id has letters, digits, - and _ only; it is a name in the data".to_owned();
        return Err(Mistake::new("id", text));
    }
    let options = match file.kind {
        Kind::Choice | Kind::MultipleChoice => choices(file.options)?,
        Kind::Likert => points(file.points.unwrap_or(7))?,
        _ => Vec::new(),
    };
    let is_slider = file.kind == Kind::Slider;
    let usual = |given: Option<f64>, usual: f64| if is_slider { given.or(Some(usual)) } else { given };
    let (min, max, step) = (usual(file.min, 0.0), usual(file.max, 100.0), usual(file.step, 1.0));
    if let (Some(min), Some(max)) = (min, max)
        && min >= max
    {
        let text = format!("min is {min} and max is {max}; min must be the smaller one");
        return Err(Mistake::new("min", text));
    }
    if let Some(step) = step.filter(|step| *step <= 0.0) {
        return Err(Mistake::new("step", format!("step is {step}; it must be more than 0")));
    }
    let is_text = file.kind == Kind::Text;
    let max_length = file.max_length.unwrap_or(1000);
    if !(1..=MAX_TEXT).contains(&max_length) {
        let text = format!("max_length is {max_length}; it must be 1 to {MAX_TEXT}");
        return Err(Mistake::new("max_length", text));
    }
    Ok(Field {
        id: file.id,
        kind: file.kind,
        label: file.label,
        help: file.help.unwrap_or_default(),
        required: file.required.unwrap_or(false),
        min,
        max,
        step,
        max_length: if is_text { max_length } else { 0 },
        lines: if is_text { file.lines.unwrap_or(1).clamp(1, 20) } else { 0 },
        options,
        low: file.low.unwrap_or_default(),
        high: file.high.unwrap_or_default(),
    })
}

fn points(count: u8) -> Result<Vec<Choice>, Mistake> {
    if !(2..=11).contains(&count) {
        return Err(Mistake::new("points", format!("points is {count}; it must be 2 to 11")));
    }
    Ok((1..=count).map(|point| Choice { value: point.to_string(), label: point.to_string() }).collect())
}

fn choices(options: Option<Vec<OptionFile>>) -> Result<Vec<Choice>, Mistake> {
    let choices: Vec<Choice> = options.unwrap_or_default().into_iter().map(Choice::from).collect();
    if choices.len() < 2 {
        let text = "options needs two answers at least: options = [\"Yes\", \"No\"]".to_owned();
        return Err(Mistake::new("options", text));
    }
    let twice =
        (1..choices.len()).find(|&at| choices[..at].iter().any(|other| other.value == choices[at].value));
    match twice {
        Some(at) => {
            Err(Mistake::new("options", format!("the option {:?} is there twice", choices[at].value)))
        }
        None => Ok(choices),
    }
}

impl FieldFile {
    /// # Errors
    /// When a key is there that this type of field does not have.
    fn check_keys(&self) -> Result<(), Mistake> {
        use Kind::{Choice, Integer, Likert, MultipleChoice, Number, Slider, Text};
        let keys: [(_, _, &[Kind]); _] = [
            ("min", self.min.is_some(), &[Integer, Number, Slider]),
            ("max", self.max.is_some(), &[Integer, Number, Slider]),
            ("step", self.step.is_some(), &[Slider]),
            ("max_length", self.max_length.is_some(), &[Text]),
            ("lines", self.lines.is_some(), &[Text]),
            ("options", self.options.is_some(), &[Choice, MultipleChoice]),
            ("points", self.points.is_some(), &[Likert]),
            ("low", self.low.is_some(), &[Likert, Slider]),
            ("high", self.high.is_some(), &[Likert, Slider]),
        ];
        match keys.into_iter().find(|&(_, there, types)| there && !types.contains(&self.kind)) {
            Some((key, _, types)) => {
                let types: Vec<_> =
                    types.iter().filter_map(|kind| serde_json::to_string(kind).ok()).collect();
                Err(Mistake::new(key, format!("{key} belongs to fields of type {}", types.join(" or "))))
            }
            None => Ok(()),
        }
    }
}
