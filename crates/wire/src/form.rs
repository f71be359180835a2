//! Questions, and what an answer to each may be. The page and the server check with the same rules; the server's word
//! counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::say;
use crate::texts::Texts;

/// Answers by their fields' names.
pub type Answers = BTreeMap<String, Value>;

/// The longest text that any answer may be, in characters.
pub const MAX_TEXT: u32 = 10_000;

/// A question. What of it is for other kinds of questions is left out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Its name in the data.
    pub id: String,
    /// What an answer is.
    pub kind: Kind,
    /// The question.
    pub label: String,
    /// More of it, in smaller words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Whether there must be an answer.
    #[serde(default)]
    pub required: bool,
    /// A number is no less than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// A number is no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The distance between two places of a slider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// The most characters of a text.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_length: u32,
    /// How many lines a text's field shows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines: u32,
    /// The answers to choose from; of a scale, its points.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    /// What the lower end of a scale or slider means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub low: String,
    /// What the upper end means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub high: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// Words.
    #[default]
    Text,
    /// One of several.
    Choice,
    /// Any of several; the answer is a list.
    MultipleChoice,
    /// A point on a scale, from 1: a number.
    Likert,
    /// A place on a line: a number. Before it is moved there is none.
    Slider,
    /// A box to tick; required, it must be ticked.
    Consent,
}

/// One of several answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// In the data.
    pub value: String,
    /// On the page.
    pub label: String,
}

/// Why an answer is none.
#[derive(Clone, PartialEq, Debug)]
pub enum Problem {
    /// There must be one.
    Missing,
    /// It must be a number.
    NotANumber,
    /// It must be a whole number.
    NotWhole,
    /// It must be at least this.
    TooSmall(f64),
    /// It must be this at most.
    TooLarge(f64),
    /// It must have so many characters at most.
    TooLong(u32),
    /// It is not among the answers that there are.
    NotAChoice,
}

impl Problem {
    /// For the participant.
    #[must_use]
    pub fn words(&self, texts: &Texts) -> String {
        let number = |number: f64| {
            let number = plain(number);
            match number.split_once('.') {
                Some((whole, fraction)) => [whole, &say!(texts, "decimal_point"), fraction].concat(),
                None => number,
            }
        };
        match self {
            Self::Missing => say!(texts, "answer_missing"),
            Self::NotANumber => say!(texts, "answer_no_number"),
            Self::NotWhole => say!(texts, "answer_not_whole"),
            Self::TooSmall(least) => say!(texts, "answer_too_small", least = &number(*least)),
            Self::TooLarge(most) => say!(texts, "answer_too_large", most = &number(*most)),
            Self::TooLong(most) => say!(texts, "answer_too_long", most = &most.to_string()),
            Self::NotAChoice => say!(texts, "answer_no_choice"),
        }
    }
}

/// What is wrong, by field, for the participant.
#[must_use]
pub fn words(problems: &[(String, Problem)], texts: &Texts) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    // One after another: a map made of an iterator brings a whole sort with it, into the page too.
    for (field, problem) in problems {
        words.insert(field.clone(), problem.words(texts));
    }
    words
}

/// A number as people write it. The standard library's way would be a twentieth of the page.
#[must_use]
pub fn plain(number: f64) -> String {
    whole(number).map_or_else(|| Value::from(number).to_string(), |whole| whole.to_string())
}

/// A number without a fraction, if it is one.
#[must_use]
pub fn whole(number: f64) -> Option<i64> {
    (number.abs() < 9e15 && number as i64 as f64 == number).then_some(number as i64)
}

impl Field {
    fn check(&self, answer: &Value) -> Result<(), Problem> {
        match self.kind {
            Kind::Integer | Kind::Number | Kind::Slider => self.number(answer),
            Kind::Text => {
                let length = answer.as_str().ok_or(Problem::NotAChoice)?.chars().count();
                (length <= self.max_length as usize).then_some(()).ok_or(Problem::TooLong(self.max_length))
            }
            Kind::Choice => self.chosen(answer),
            Kind::MultipleChoice => {
                let answers = answer.as_array().ok_or(Problem::NotAChoice)?;
                let twice = (1..answers.len()).any(|at| answers[..at].contains(&answers[at]));
                if twice {
                    Err(Problem::NotAChoice)
                } else {
                    answers.iter().try_for_each(|one| self.chosen(one))
                }
            }
            Kind::Likert => {
                let point = answer.as_u64().ok_or(Problem::NotAChoice)?;
                (1..=self.options.len() as u64).contains(&point).then_some(()).ok_or(Problem::NotAChoice)
            }
            Kind::Consent => answer.is_boolean().then_some(()).ok_or(Problem::NotAChoice),
        }
    }

    fn number(&self, answer: &Value) -> Result<(), Problem> {
        let number = answer.as_f64().ok_or(Problem::NotANumber)?;
        if let Some(least) = self.min.filter(|least| number < *least) {
            return Err(Problem::TooSmall(least));
        }
        if let Some(most) = self.max.filter(|most| number > *most) {
            return Err(Problem::TooLarge(most));
        }
        (self.kind != Kind::Integer || whole(number).is_some()).then_some(()).ok_or(Problem::NotWhole)
    }

    fn chosen(&self, answer: &Value) -> Result<(), Problem> {
        let known =
            answer.as_str().is_some_and(|answer| self.options.iter().any(|choice| choice.value == answer));
        known.then_some(()).ok_or(Problem::NotAChoice)
    }
}

/// Whether there is no answer: nothing written, nothing chosen, no tick.
fn is_empty(answer: &Value) -> bool {
    match answer {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(chosen) => chosen.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// What of the answers belongs to the fields: one for each that has one.
///
/// # Errors
/// What is wrong, by field.
pub fn check(fields: &[Field], answers: &Answers) -> Result<Answers, Vec<(String, Problem)>> {
    let (mut good, mut problems) = (Answers::new(), Vec::new());
    for field in fields {
        let id = field.id.clone();
        let answer = answers.get(&id).filter(|answer| !is_empty(answer));
        match answer.map(|answer| field.check(answer).map(|()| answer)) {
            Some(Ok(answer)) => {
                good.insert(id, answer.clone());
            }
            Some(Err(problem)) => {
                problems.push((id, problem));
            }
            None if field.required => {
                problems.push((id, Problem::Missing));
            }
            None => {}
        }
    }
    if problems.is_empty() { Ok(good) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(kind: Kind, required: bool) -> Field {
        let (min, max) = if kind == Kind::Text { (None, None) } else { (Some(1.0), Some(9.0)) };
        let options = ["a", "b"].map(|value| Choice { value: value.into(), label: value.to_uppercase() });
        let options = options.to_vec();
        Field { id: "q".into(), kind, required, min, max, max_length: 3, options, ..Field::default() }
    }

    #[test]
    fn every_kind_takes_its_answers_and_no_others() {
        for (kind, answer, expected) in [
            (Kind::Integer, json!(9), Ok(())),
            (Kind::Integer, json!(9.5), Err(Problem::TooLarge(9.0))),
            (Kind::Integer, json!(3.5), Err(Problem::NotWhole)),
            (Kind::Integer, json!("3"), Err(Problem::NotANumber)),
            (Kind::Number, json!(0.9), Err(Problem::TooSmall(1.0))),
            (Kind::Number, json!(1.5), Ok(())),
            (Kind::Slider, json!(8.5), Ok(())),
            (Kind::Text, json!("äöü"), Ok(())),
            (Kind::Text, json!("<b>!"), Err(Problem::TooLong(3))),
            (Kind::Text, json!({ "a": 1 }), Err(Problem::NotAChoice)),
            (Kind::Choice, json!("b"), Ok(())),
            (Kind::Choice, json!("B"), Err(Problem::NotAChoice)),
            (Kind::MultipleChoice, json!(["b", "a"]), Ok(())),
            (Kind::MultipleChoice, json!(["b", "b"]), Err(Problem::NotAChoice)),
            (Kind::MultipleChoice, json!("b"), Err(Problem::NotAChoice)),
            (Kind::Likert, json!(2), Ok(())),
            (Kind::Likert, json!(0), Err(Problem::NotAChoice)),
            (Kind::Likert, json!(1.5), Err(Problem::NotAChoice)),
            (Kind::Consent, json!(true), Ok(())),
            (Kind::Consent, json!("yes"), Err(Problem::NotAChoice)),
        ] {
            let answers = Answers::from([("q".into(), answer.clone())]);
            let found = check(&[field(kind, true)], &answers);
            let found = found.map(drop).map_err(|problems| problems[0].1.clone());
            assert_eq!(found, expected, "{kind:?}: {answer}");
        }
    }

    #[test]
    fn numbers_are_told_as_people_write_them() {
        let words = [("answer_too_small", "Mindestens {least}"), ("decimal_point", ",")];
        let words = words.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let texts = Texts { words, ..Texts::default() };
        let told = [18.0, 0.5].map(|number| Problem::TooSmall(number).words(&texts));
        assert_eq!(told, ["Mindestens 18", "Mindestens 0,5"]);
        assert_eq!([plain(-3.0), plain(0.5), plain(2.0e15)], ["-3", "0.5", "2000000000000000"]);
    }

    #[test]
    fn what_is_not_asked_is_not_kept_and_what_is_not_answered_is_no_answer() {
        let fields = [field(Kind::Text, false)];
        for empty in [json!(null), json!("  "), json!([])] {
            let answers = Answers::from([("q".into(), empty), ("other".into(), json!(1))]);
            assert_eq!(check(&fields, &answers), Ok(Answers::new()));
        }
        for (kind, empty) in [(Kind::Consent, json!(false)), (Kind::Choice, json!(""))] {
            let answers = Answers::from([("q".into(), empty)]);
            let problems = check(&[field(kind, true)], &answers).unwrap_err();
            assert_eq!(problems, [("q".to_owned(), Problem::Missing)]);
        }
    }
}
