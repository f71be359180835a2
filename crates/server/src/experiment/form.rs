//! A scene's questions, as the file has them (S1).

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use wire::form::{self, Answers, Choice, Field, Kind, MAX_TEXT};

use super::is_plain;
use super::mistakes::Reading;

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
    correct: Option<toml::Value>,
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

/// The questions, and the right answers to those that have one; unless something is wrong with them.
pub(super) fn fields(
    file: &mut Reading<'_>,
    files: Vec<Spanned<FieldFile>>,
) -> Option<(Vec<Field>, Answers)> {
    let mut fields: Vec<Field> = Vec::new();
    let mut correct = Answers::new();
    let mut ids: Vec<String> = Vec::new();
    let count = files.len();
    for field in files {
        let start = field.span().start;
        let field = field.into_inner();
        let is_twice = ids.contains(&field.id);
        let right = field.correct.clone();
        ids.push(field.id.clone());
        fields.extend(file.within(start, |file| {
            let mut about = About { file, id: field.id.clone() };
            if is_twice {
                about.add("id", "its id is used twice; give each field its own");
            }
            let field = about.field(field)?;
            if let Some(right) = right {
                correct.extend(about.correct(&field, right).map(|right| (field.id.clone(), right)));
            }
            Some(field)
        }));
    }
    if !correct.is_empty() && ids.iter().any(|id| id == "attempts") {
        file.add(
            "field",
            "\"attempts\" is what the number of tries is called in the data; give that field another id",
        );
    }
    (fields.len() == count).then_some((fields, correct))
}

/// A question that is being read.
struct About<'a, 'f> {
    file: &'a mut Reading<'f>,
    id: String,
}

impl About<'_, '_> {
    fn add(&mut self, key: &str, text: impl core::fmt::Display) {
        self.file.add(key, format!("field {:?}: {text}", self.id));
    }

    fn field(&mut self, file: FieldFile) -> Option<Field> {
        self.check_keys(&file);
        if file.kind == Kind::Consent {
            self.add("type", "a consent belongs to the start scene: consent = \"I agree to take part\"");
        }
        if file.id.is_empty() || !file.id.chars().all(is_plain) {
            self.add("id", "an id has letters, digits, - and _ only; it is a name in the data");
        }
        let options = match file.kind {
            Kind::Choice | Kind::MultipleChoice => self.choices(file.options)?,
            Kind::Likert => self.points(file.points.unwrap_or(7))?,
            _ => Vec::new(),
        };
        let is_slider = file.kind == Kind::Slider;
        let usual = |given: Option<f64>, usual: f64| if is_slider { given.or(Some(usual)) } else { given };
        let (min, max, step) = (usual(file.min, 0.0), usual(file.max, 100.0), usual(file.step, 1.0));
        if let (Some(min), Some(max)) = (min, max)
            && min >= max
        {
            self.add("min", format!("min is {min} and max is {max}; min must be the smaller one"));
        }
        if let Some(step) = step.filter(|step| *step <= 0.0) {
            self.add("step", format!("step is {step}; it must be more than 0"));
        }
        let is_text = file.kind == Kind::Text;
        let max_length = file.max_length.unwrap_or(1000);
        if !(1..=MAX_TEXT).contains(&max_length) {
            self.add("max_length", format!("max_length is {max_length}; it must be 1 to {MAX_TEXT}"));
        }
        Some(Field {
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

    /// The right answer, which must be one that can be given.
    fn correct(&mut self, field: &Field, right: toml::Value) -> Option<Value> {
        let right = serde_json::to_value(right).ok()?;
        let answers = [(field.id.clone(), right.clone())].into();
        match form::check(std::slice::from_ref(field), &answers) {
            Ok(good) if good.len() == 1 => Some(right),
            _ => {
                self.add("correct", format!("correct is {right}, which nobody can answer here"));
                None
            }
        }
    }

    fn points(&mut self, count: u8) -> Option<Vec<Choice>> {
        if !(2..=11).contains(&count) {
            self.add("points", format!("points is {count}; it must be 2 to 11"));
            return None;
        }
        Some((1..=count).map(|point| Choice { value: point.to_string(), label: point.to_string() }).collect())
    }

    fn choices(&mut self, options: Option<Vec<OptionFile>>) -> Option<Vec<Choice>> {
        let choices: Vec<Choice> = options.unwrap_or_default().into_iter().map(Choice::from).collect();
        if choices.len() < 2 {
            self.add("options", "options needs two answers at least: options = [\"Yes\", \"No\"]");
            return None;
        }
        for (at, choice) in choices.iter().enumerate() {
            if choices[..at].iter().any(|other| other.value == choice.value) {
                self.add("options", format!("the option {:?} is there twice", choice.value));
            }
        }
        Some(choices)
    }

    /// Tells of keys that this type of field does not have.
    fn check_keys(&mut self, field: &FieldFile) {
        use Kind::{Choice, Integer, Likert, MultipleChoice, Number, Slider, Text};
        let keys: [(_, _, &[Kind]); _] = [
            ("min", field.min.is_some(), &[Integer, Number, Slider]),
            ("max", field.max.is_some(), &[Integer, Number, Slider]),
            ("step", field.step.is_some(), &[Slider]),
            ("max_length", field.max_length.is_some(), &[Text]),
            ("lines", field.lines.is_some(), &[Text]),
            ("options", field.options.is_some(), &[Choice, MultipleChoice]),
            ("points", field.points.is_some(), &[Likert]),
            ("low", field.low.is_some(), &[Likert, Slider]),
            ("high", field.high.is_some(), &[Likert, Slider]),
        ];
        for (key, _, types) in
            keys.into_iter().filter(|&(_, there, types)| there && !types.contains(&field.kind))
        {
            let types: Vec<_> = types.iter().filter_map(|kind| serde_json::to_string(kind).ok()).collect();
            self.add(key, format!("{key} belongs to fields of type {}", types.join(" or ")));
        }
    }
}
