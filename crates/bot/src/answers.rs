//! What a bot answers. It knows no more than a page does: of questions with a right answer it tries what it has not tried.

use std::collections::{BTreeMap, BTreeSet};

use base::Rng;
use serde_json::{Value, json};
use wire::form::{Answers, Field, Kind};

/// What a text is answered with.
const WORDS: [&str; 4] = ["bot", "a scripted answer", "nothing to add", "it was fun"];

/// A number's range where a question names none.
const USUAL: (f64, f64) = (0.0, 100.0);

/// How often an answer is drawn anew that is known to be wrong.
const DRAWS: usize = 64;

/// What was wrong, by scene and field, in all visits of all bots of this server.
#[derive(Debug, Default)]
pub(crate) struct Wrong(BTreeMap<(String, String), BTreeSet<String>>);

impl Wrong {
    /// The server has refused some of the answers.
    pub(crate) fn learn<'a>(
        &mut self,
        scene: &str,
        answers: &Answers,
        refused: impl Iterator<Item = &'a String>,
    ) {
        for field in refused {
            if let Some(answer) = answers.get(field) {
                self.0.entry((scene.to_owned(), field.clone())).or_default().insert(answer.to_string());
            }
        }
    }

    /// Answers to all of a scene's questions that could be right.
    pub(crate) fn answer(&self, scene: &str, fields: &[Field], rng: &mut Rng) -> Answers {
        let of = |field: &Field| {
            let wrong = self.0.get(&(scene.to_owned(), field.id.clone()));
            let is_wrong = |answer: &Value| wrong.is_some_and(|wrong| wrong.contains(&answer.to_string()));
            let mut answer = draw(field, rng);
            for _ in 0..DRAWS {
                if !is_wrong(&answer) {
                    break;
                }
                answer = draw(field, rng);
            }
            (field.id.clone(), answer)
        };
        fields.iter().map(of).collect()
    }
}

/// An answer that the question allows.
fn draw(field: &Field, rng: &mut Rng) -> Value {
    let pick = |rng: &mut Rng, count: usize| rng.below(count.max(1) as u64) as usize;
    match field.kind {
        Kind::Integer | Kind::Number | Kind::Slider => number(field, rng),
        Kind::Text => {
            let words = WORDS[pick(rng, WORDS.len())];
            json!(words.chars().take(field.max_length as usize).collect::<String>())
        }
        Kind::Choice => {
            let chosen = field.options.get(pick(rng, field.options.len()));
            json!(chosen.map(|choice| &choice.value))
        }
        Kind::MultipleChoice => {
            let mut chosen: Vec<_> = field.options.iter().filter(|_| rng.chance(0.5)).collect();
            if chosen.is_empty() {
                chosen.extend(field.options.get(pick(rng, field.options.len())));
            }
            json!(chosen.iter().map(|choice| &choice.value).collect::<Vec<_>>())
        }
        Kind::Likert => json!(1 + pick(rng, field.options.len())),
        Kind::Consent => json!(true),
    }
}

fn number(field: &Field, rng: &mut Rng) -> Value {
    let (least, most) = match (field.min, field.max) {
        (Some(least), Some(most)) => (least, most),
        (Some(least), None) => (least, least + USUAL.1),
        (None, Some(most)) => (most - USUAL.1, most),
        (None, None) => USUAL,
    };
    let step = match field.kind {
        Kind::Integer => Some(1.0),
        _ => field.step.filter(|step| *step > 0.0),
    };
    let Some(step) = step else { return json!(least + rng.unit() * (most - least)) };
    let first = if field.kind == Kind::Integer { least.ceil() } else { least };
    let steps = ((most - first) / step).floor().max(0.0) as u64;
    let number = first + step * rng.below(steps.saturating_add(1)) as f64;
    if field.kind == Kind::Integer { json!(number as i64) } else { json!(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::form::{Choice, check};

    fn field(kind: Kind) -> Field {
        let choice = |value: &str| Choice { value: value.into(), label: value.into() };
        let options = ["a", "b", "c"].map(choice).into();
        let (min, max) = (Some(18.0), Some(21.5));
        Field {
            id: format!("{kind:?}"),
            kind,
            required: true,
            options,
            min,
            max,
            max_length: 5,
            ..Field::default()
        }
    }

    const KINDS: [Kind; 8] = [
        Kind::Integer,
        Kind::Number,
        Kind::Text,
        Kind::Choice,
        Kind::MultipleChoice,
        Kind::Likert,
        Kind::Slider,
        Kind::Consent,
    ];

    #[test]
    fn every_answer_passes_the_check_that_the_server_makes() {
        let fields = KINDS.map(field);
        let mut bare = fields.clone();
        for field in &mut bare {
            (field.min, field.max) = (None, None);
        }
        let half = bare.clone().map(|field| Field { min: Some(-3.5), step: Some(0.5), ..field });
        let mut rng = Rng::from_seed(3);
        for fields in [fields, bare, half] {
            for _ in 0..500 {
                let answers = Wrong::default().answer("form", &fields, &mut rng);
                assert_eq!(check(&fields, &answers), Ok(answers.clone()));
            }
        }
    }

    #[test]
    fn what_was_wrong_is_not_answered_again_while_there_is_something_else() {
        let fields = [field(Kind::Choice), field(Kind::Integer)];
        let (mut wrong, mut rng) = (Wrong::default(), Rng::from_seed(4));
        let mut tried = Vec::new();
        for _ in 0..3 {
            let answers = wrong.answer("form", &fields, &mut rng);
            wrong.learn("form", &answers, ["Choice".to_owned()].iter());
            tried.push(answers["Choice"].as_str().map(str::to_owned));
        }
        tried.sort();
        assert_eq!(tried, ["a", "b", "c"].map(|value| Some(value.to_owned())));
        let another = wrong.answer("another form", &fields, &mut rng);
        assert!(another["Choice"].is_string());
    }
}
