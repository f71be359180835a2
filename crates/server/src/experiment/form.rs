//! A scene's questions, as the file has them (S1).

use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use toml::Spanned;
use wire::form::{self, Answers, Choice, Field, Kind, MAX_TEXT};

use super::is_plain;
use super::mistakes::Reading;
use super::schema::{Id, KeyOf, KindOf, Words, by_kind, only_in};

/// A question. All keys are in one plain structure, as with scenes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = types)]
pub(super) struct FieldFile {
    /// The answer's name in the data: letters, digits, `-` and `_`.
    #[schemars(with = "Id")]
    id: String,
    /// What an answer is: a number (`integer`, `number`), words (`text`), one of several (`choice`), any of several
    /// (`multiple_choice`), a point on a scale (`likert`), a place on a line (`slider`).
    #[serde(rename = "type")]
    #[schemars(with = "Words<Kind>")]
    kind: Kind,
    /// The question.
    label: String,
    /// What is said below the question.
    help: Option<String>,
    /// Whether there must be an answer.
    #[schemars(extend("default" = false))]
    required: Option<bool>,
    /// The smallest answer; of a `slider`, 0 without it.
    min: Option<f64>,
    /// The greatest answer; of a `slider`, 100 without it.
    max: Option<f64>,
    /// How far apart answers are.
    #[schemars(extend("exclusiveMinimum" = 0, "default" = 1))]
    step: Option<f64>,
    /// The longest answer, in characters (1 to 10000).
    #[schemars(range(min = 1, max = MAX_TEXT), extend("default" = 1000))]
    max_length: Option<u32>,
    /// How many lines there are to write in, 20 at most.
    #[schemars(extend("default" = 1))]
    lines: Option<u32>,
    /// The answers to choose from: texts, or `{ value = "in the data", label = "on the page" }`.
    #[schemars(length(min = 2))]
    options: Option<Vec<OptionFile>>,
    /// How many points the scale has (2 to 11).
    #[schemars(range(min = 2, max = 11), extend("default" = 7))]
    points: Option<u8>,
    /// What the low end means.
    low: Option<String>,
    /// What the high end means.
    high: Option<String>,
    /// The right answer, which makes it a comprehension check: nobody goes on before all right answers are found, or the scene's
    /// `attempts` are used up. Of words the case does not matter.
    #[schemars(with = "Option<Right>")]
    correct: Option<toml::Value>,
}

/// An answer to choose: its words, which are in the data too, or both apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields, expecting = "a text, or { value = \"…\", label = \"…\" }")]
enum OptionFile {
    /// What is on the page, and in the data.
    Words(String),
    /// What is on the page, and what is in the data.
    Apart {
        /// In the data.
        value: String,
        /// On the page.
        label: String,
    },
}

/// An answer that is given: a number, words, or several of them.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "it is there to be described")]
enum Right {
    Number(f64),
    Words(String),
    Several(Vec<String>),
}

/// The keys that not all types of fields have, and which do.
const KEYS: [KeyOf<FieldFile, Kind>; 9] = [
    ("min", |field| field.min.is_some(), &[Kind::Integer, Kind::Number, Kind::Slider]),
    ("max", |field| field.max.is_some(), &[Kind::Integer, Kind::Number, Kind::Slider]),
    ("step", |field| field.step.is_some(), &[Kind::Slider]),
    ("max_length", |field| field.max_length.is_some(), &[Kind::Text]),
    ("lines", |field| field.lines.is_some(), &[Kind::Text]),
    ("options", |field| field.options.is_some(), &[Kind::Choice, Kind::MultipleChoice]),
    ("points", |field| field.points.is_some(), &[Kind::Likert]),
    ("low", |field| field.low.is_some(), &[Kind::Likert, Kind::Slider]),
    ("high", |field| field.high.is_some(), &[Kind::Likert, Kind::Slider]),
];

/// What a type of field is called in the file.
fn name(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What the schema says of each type of field.
fn types(schema: &mut Schema) {
    use Kind::{Choice, Integer, Likert, MultipleChoice, Number, Slider, Text};
    let kinds =
        [Integer, Number, Text, Choice, MultipleChoice, Likert, Slider].map(|kind| (kind, name(kind)));
    for (key, _, types) in &KEYS {
        let names: Vec<_> = types.iter().map(|kind| format!("`{}`", name(*kind))).collect();
        only_in(schema, key, &format!("fields of type {}", names.join(", ")));
    }
    // A consent is no question of a form.
    if let Some(words) = schema.pointer_mut("/properties/type/enum") {
        *words = kinds.iter().map(|(_, name)| name.as_str()).collect();
    }
    let kinds = kinds.iter().map(|(kind, name)| {
        let right = match kind {
            Integer | Likert => json!({ "type": "integer" }),
            Number | Slider => json!({ "type": "number" }),
            MultipleChoice => json!({ "type": "array" }),
            _ => json!({ "type": "string" }),
        };
        let is_choice = matches!(kind, Choice | MultipleChoice);
        KindOf {
            name,
            without: KEYS
                .iter()
                .filter(|(_, _, types)| !types.contains(kind))
                .map(|(key, ..)| *key)
                .collect(),
            needs: if is_choice { &["options"] } else { &[] },
            more: Map::from_iter([("correct".to_owned(), right)]),
        }
    });
    by_kind(schema, "type", kinds.collect());
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
        for (key, is_there, types) in KEYS {
            if !is_there(field) || types.contains(&field.kind) {
                continue;
            }
            let types: Vec<_> = types.iter().map(|kind| format!("{:?}", name(*kind))).collect();
            self.add(key, format!("{key} belongs to fields of type {}", types.join(" or ")));
        }
    }
}
