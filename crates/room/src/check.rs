//! A study's own check, at its own address: whether somebody may begin, or play on (X2, X3 `custom`).
//!
//! The machine says what is to be asked and by when there must be an answer. What does not come in time, or is no answer,
//! excludes nobody: a check fails open, and says so.

use core::time::Duration;

use base::{GameId, Timestamp, VisitId};
use serde::{Deserialize, Serialize};

use crate::screening::Screened;

/// Where to ask, and for how long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckRule {
    /// The address.
    pub url: String,
    /// How long an answer may take, in milliseconds.
    pub deadline_millis: u32,
    /// How often it is asked of everyone who plays, in milliseconds; before the first scene it is asked once.
    pub every_millis: u32,
    /// What who is excluded reads, where the answer has no words of its own.
    pub message: Option<String>,
}

impl CheckRule {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_millis.into())
    }

    pub(crate) fn every(&self) -> Duration {
        Duration::from_millis(self.every_millis.into())
    }
}

/// Which question an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CheckId(pub(crate) u64);

impl CheckId {
    /// Counts a stager's questions.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckAnswer {
    /// They may go on.
    Keep,
    /// They may not, and read this.
    Exclude(Option<String>),
    /// No answer that could be understood: why, for the researcher.
    Failed(String),
}

/// What came of a question, for counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CheckResult {
    /// They may go on.
    Kept,
    /// They may not.
    Excluded,
    /// It was answered, and not so that it could be understood, or not at all.
    Failed,
    /// There was no answer in time.
    Late,
}

impl CheckResult {
    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Excluded => "excluded",
            Self::Failed => "failed",
            Self::Late => "late",
        }
    }
}

/// A question that is not answered yet.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Asked {
    pub(crate) visit: VisitId,
    pub(crate) about: About,
    pub(crate) deadline: Timestamp,
}

/// What it is about.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum About {
    /// Whether somebody may begin who has met all rules.
    Entry(Screened),
    /// Whether somebody may play on.
    Game(GameId),
}
