//! Questions that must be answered rightly before anyone goes on (S1). What is right never leaves the server.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::form::Answers;
use wire::say;
use wire::texts::Texts;

/// Right answers, and what happens to those who do not find them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comprehension {
    /// By the fields' names; fields that are not among them may be answered in any way.
    pub correct: Answers,
    /// How often one may try.
    pub attempts: u32,
    /// The scene to which those go who have tried so often; else the end.
    pub on_failed: Option<String>,
}

impl Comprehension {
    /// The fields that are not answered rightly.
    pub(crate) fn wrong<'a>(&'a self, answers: &'a Answers) -> impl Iterator<Item = &'a String> {
        let is_wrong = |(field, correct): &(&String, &Value)| {
            !answers.get(*field).is_some_and(|answer| is_right(answer, correct))
        };
        self.correct.iter().filter(is_wrong).map(|(field, _)| field)
    }

    /// What the participant reads beside those fields.
    pub(crate) fn problems(
        &self,
        answers: &Answers,
        attempts_left: u32,
        texts: &Texts,
    ) -> BTreeMap<String, String> {
        let words = match attempts_left {
            1 => say!(texts, "answer_wrong_one"),
            left => say!(texts, "answer_wrong_many", tries = &left.to_string()),
        };
        self.wrong(answers).map(|field| (field.clone(), words.clone())).collect()
    }
}

/// Numbers are equal however they are written, words whatever their case, choices in any order.
pub(crate) fn is_right(answer: &Value, correct: &Value) -> bool {
    match (answer, correct) {
        (Value::Number(answer), Value::Number(correct)) => answer.as_f64() == correct.as_f64(),
        (Value::String(answer), Value::String(correct)) => {
            answer.trim().to_lowercase() == correct.trim().to_lowercase()
        }
        (Value::Array(answer), Value::Array(correct)) => {
            answer.len() == correct.len() && answer.iter().all(|one| correct.contains(one))
        }
        _ => answer == correct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_right_does_not_hang_on_how_it_is_written() {
        for (answer, correct, right) in [
            (json!(3), json!(3.0), true),
            (json!(3), json!(4), false),
            (json!(" Chase"), json!("chase"), true),
            (json!("chase them"), json!("chase"), false),
            (json!(["b", "a"]), json!(["a", "b"]), true),
            (json!(["a"]), json!(["a", "b"]), false),
            (json!(true), json!(true), true),
            (json!("3"), json!(3), false),
        ] {
            assert_eq!(is_right(&answer, &correct), right, "{answer} {correct}");
        }
    }
}
