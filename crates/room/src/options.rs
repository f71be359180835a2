//! What an experiment sets of an environment: numbers, and variables of those who play (S6).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::form::Answers;

/// The value of one option.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// The same for everyone.
    Number(f64),
    /// A variable of the visits that play.
    Variable {
        /// Which.
        name: String,
        /// What it is where that has no value.
        usual: f64,
    },
}

impl Setting {
    /// The value for a visit.
    pub(crate) fn value(&self, variables: &Answers) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Variable { name, usual } => match variables.get(name) {
                Some(Value::Bool(flag)) => f64::from(u8::from(*flag)),
                Some(value) => value.as_f64().unwrap_or(*usual),
                None => *usual,
            },
        }
    }

    /// The variable that it is, if it is one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Number(_) => None,
            Self::Variable { name, .. } => Some(name),
        }
    }
}
