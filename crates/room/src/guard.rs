//! Whom a scene or a block is for: those whose answers and condition are as it says (S1).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::form::Answers;

use crate::comprehension::is_right;

/// Whom a scene or a block is for; everyone, unless it says something.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Guard {
    /// Those whose variables are so.
    pub when: Option<When>,
    /// Those in one of these conditions, if there are any.
    pub conditions: Vec<String>,
}

/// What a variable must be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct When {
    /// Which: `scene.field` for an answer.
    pub variable: String,
    /// All of it must hold.
    pub tests: Vec<Test>,
}

/// What a value must be. Only [`Test::Not`] holds of a variable that has no value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// This.
    Equals(Value),
    /// Anything but this, or nothing.
    Not(Value),
    /// One of these.
    OneOf(Vec<Value>),
    /// A number, no less than this.
    AtLeast(f64),
    /// A number, no more than this.
    AtMost(f64),
    /// Several, among them this.
    Includes(Value),
}

impl Guard {
    /// Whether a visit is among those whom it is for.
    pub(crate) fn admits(&self, condition: Option<&str>, variables: &Answers) -> bool {
        let is_so = self.when.as_ref().is_none_or(|when| when.holds(variables));
        let is_in = |condition: &str| self.conditions.iter().any(|one| one == condition);
        is_so && (self.conditions.is_empty() || condition.is_some_and(is_in))
    }
}

impl When {
    fn holds(&self, variables: &Answers) -> bool {
        let value = variables.get(&self.variable);
        self.tests.iter().all(|test| test.holds(value))
    }
}

impl Test {
    /// Its name, as in the experiment's file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Equals(_) => "equals",
            Self::Not(_) => "not",
            Self::OneOf(_) => "one_of",
            Self::AtLeast(_) => "at_least",
            Self::AtMost(_) => "at_most",
            Self::Includes(_) => "includes",
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return matches!(self, Self::Not(_)) };
        match self {
            Self::Equals(wanted) => is_right(value, wanted),
            Self::Not(unwanted) => !is_right(value, unwanted),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| is_right(value, wanted)),
            Self::AtLeast(least) => value.as_f64().is_some_and(|number| number >= *least),
            Self::AtMost(most) => value.as_f64().is_some_and(|number| number <= *most),
            Self::Includes(wanted) => {
                value.as_array().is_some_and(|chosen| chosen.iter().any(|one| is_right(one, wanted)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_test_holds_of_what_it_says_and_of_nothing_else() {
        for (test, holds, does_not) in [
            (Test::Equals(json!(3)), vec![json!(3.0)], vec![json!(4), json!("3")]),
            (Test::Equals(json!("Yes")), vec![json!(" yes")], vec![json!("no")]),
            (Test::Not(json!("Yes")), vec![json!("no")], vec![json!("Yes")]),
            (Test::OneOf(vec![json!("a"), json!("b")]), vec![json!("b")], vec![json!("c")]),
            (Test::AtLeast(18.0), vec![json!(18), json!(18.5)], vec![json!(17), json!("18")]),
            (Test::AtMost(18.0), vec![json!(18)], vec![json!(18.5)]),
            (Test::Includes(json!("a")), vec![json!(["b", "a"])], vec![json!(["b"]), json!("a")]),
        ] {
            assert!(holds.iter().all(|value| test.holds(Some(value))), "{test:?}");
            assert!(!does_not.iter().any(|value| test.holds(Some(value))), "{test:?}");
            assert_eq!(test.holds(None), matches!(test, Test::Not(_)), "{test:?}");
        }
    }

    #[test]
    fn all_that_a_guard_says_must_hold() {
        let guard = Guard {
            when: Some(When {
                variable: "you.age".into(),
                tests: vec![Test::AtLeast(18.0), Test::AtMost(30.0)],
            }),
            conditions: vec!["fast".into()],
        };
        let age = |age: u32| Answers::from([("you.age".to_owned(), age.into())]);
        assert!(guard.admits(Some("fast"), &age(20)));
        for (condition, variables) in [
            (Some("slow"), age(20)),
            (None, age(20)),
            (Some("fast"), age(31)),
            (Some("fast"), Answers::new()),
        ] {
            assert!(!guard.admits(condition, &variables), "{condition:?} {variables:?}");
        }
        assert!(Guard::default().admits(None, &Answers::new()));
    }
}
