//! Conditions, and who gets which (S1).
//!
//! A visit gets the condition with the fewest visits that are on or completed; who has dropped out does not count. Of
//! several with equally few one is drawn, from the visit's own seed: who knows the counts, which are recorded, can repeat
//! it. A visit that has been away for long counts as dropped out until it comes back.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Rng, Timestamp, VisitId, hash_state};
use serde::{Deserialize, Serialize};
use wire::control::VisitEnding;
use wire::form::Answers;

/// What visits are divided into.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// Its name in the data.
    pub id: String,
    /// The most visits in it that are on or completed.
    pub quota: Option<u32>,
    /// What its visits have as variables.
    pub variables: Answers,
}

/// How visits get conditions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Assignment {
    /// Who gets one together.
    pub unit: Unit,
    /// The scene to which those go for whom there is no room; else the end.
    pub on_full: Option<String>,
    /// How long a visit may be away before it counts as dropped out, in milliseconds.
    pub dropout_millis: u32,
}

impl Default for Assignment {
    fn default() -> Self {
        Self { unit: Unit::Person, on_full: None, dropout_millis: 1_800_000 }
    }
}

/// Who gets a condition together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Each by itself, when it goes on from its first scene.
    #[default]
    Person,
    /// All who play together, when their first group is formed.
    Group,
}

/// A visit that has a condition, as it was written down.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Counted {
    /// The visit.
    pub visit: VisitId,
    /// Its condition.
    pub condition: String,
    /// How it ended, if it has.
    pub ended: Option<VisitEnding>,
    /// How long ago anything was written down of it.
    pub idle: Duration,
}

/// Whether a visit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Here,
    /// It counts until then.
    Away(Timestamp),
    Completed,
    DroppedOut,
}

/// Who is in which condition, of all versions of the experiment.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    visits: BTreeMap<VisitId, (String, Standing)>,
}

impl Tally {
    /// A visit is in a condition, and here.
    pub(crate) fn put(&mut self, visit: VisitId, condition: &str) {
        self.visits.insert(visit, (condition.to_owned(), Standing::Here));
    }

    /// A visit was in a condition before this server was started.
    pub(crate) fn restore(&mut self, counted: Counted, limit: Duration, now: Timestamp) {
        let standing = match counted.ended {
            Some(VisitEnding::Completed) => Standing::Completed,
            Some(_) => Standing::DroppedOut,
            None => Standing::Away(now + limit.saturating_sub(counted.idle)),
        };
        self.visits.insert(counted.visit, (counted.condition, standing));
    }

    /// A visit is in no condition any more.
    pub(crate) fn remove(&mut self, visit: VisitId) {
        self.visits.remove(&visit);
    }

    fn set(&mut self, visit: VisitId, standing: Standing) {
        if let Some((_, known)) = self.visits.get_mut(&visit)
            && !matches!(known, Standing::Completed | Standing::DroppedOut)
        {
            *known = standing;
        }
    }

    pub(crate) fn is_here(&mut self, visit: VisitId) {
        self.set(visit, Standing::Here);
    }

    pub(crate) fn is_away(&mut self, visit: VisitId, until: Timestamp) {
        self.set(visit, Standing::Away(until));
    }

    pub(crate) fn has_ended(&mut self, visit: VisitId, ending: VisitEnding) {
        let is_completed = ending == VisitEnding::Completed;
        self.set(visit, if is_completed { Standing::Completed } else { Standing::DroppedOut });
    }

    /// How many visits are on or completed, in each condition.
    pub(crate) fn counts(&self, conditions: &[Condition], now: Timestamp) -> BTreeMap<String, u32> {
        let mut counts: BTreeMap<_, _> =
            conditions.iter().map(|condition| (condition.id.clone(), 0)).collect();
        for (condition, standing) in self.visits.values() {
            let counts_there = match standing {
                Standing::Here | Standing::Completed => true,
                Standing::Away(until) => now < *until,
                Standing::DroppedOut => false,
            };
            if counts_there && let Some(count) = counts.get_mut(condition) {
                *count += 1;
            }
        }
        counts
    }
}

/// The condition for so many visits more, if there is room in one. `first` is the first of them.
pub(crate) fn assign<'a>(
    conditions: &'a [Condition],
    counts: &BTreeMap<String, u32>,
    heads: u32,
    first: VisitId,
) -> Option<&'a Condition> {
    let count = |condition: &Condition| counts.get(&condition.id).copied().unwrap_or(0);
    let has_room = |condition: &&Condition| {
        condition.quota.is_none_or(|quota| count(condition).saturating_add(heads) <= quota)
    };
    let open: Vec<_> = conditions.iter().filter(has_room).collect();
    let fewest = open.iter().map(|condition| count(condition)).min()?;
    let fewest: Vec<_> = open.into_iter().filter(|condition| count(condition) == fewest).collect();
    let mut rng = Rng::from_seed(hash_state(format!("{first}/condition").as_bytes()).0);
    Some(fewest[rng.below(fewest.len() as u64) as usize])
}
