//! A column and what it means.

use serde::Serialize;

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A moment, ISO 8601 in UTC.
    Time,
}

/// A column of a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Column {
    /// Its name, in the first line of the table.
    pub name: String,
    /// What it holds. An empty cell means: not known, or it did not happen.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its unit, if it has one.
    pub unit: &'static str,
    /// What it means.
    pub meaning: String,
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, kind: Kind, meaning: impl Into<String>) -> Self {
        Self { name: name.into(), kind, unit: "", meaning: meaning.into() }
    }

    pub(crate) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}
