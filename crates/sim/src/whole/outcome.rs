//! What came of a run.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Frame, Input, StateHash};
use wire::control::{TerminationReason, VisitEnding};

use super::check::Violation;
use super::plan::Plan;
use super::store::Store;

/// A confirmed state, as a page had it at some moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    pub(super) at: Duration,
    pub(super) seat: u8,
    /// Whose inputs it has, as the page knew it.
    pub(super) incarnations: Vec<u8>,
    pub(super) frame: Frame,
    pub(super) hash: StateHash,
}

/// A page that was there at the end.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "a violation shows all of it")]
pub(super) struct LastPage {
    pub(super) connected: bool,
    pub(super) ended: Option<VisitEnding>,
    /// How many frames this page load has confirmed.
    pub(super) confirmed: Frame,
    /// Whether a game is on, and how far the record of one that is over has got.
    pub(super) game: bool,
    pub(super) ending: Option<String>,
    pub(super) pending: usize,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was to happen.
    pub plan: Plan,
    /// When it was over: everyone at the end, and everything durable.
    pub over: Option<Duration>,
    /// How much virtual time went by.
    pub lasted: Duration,
    pub(super) store: Store,
    pub(super) seen: Vec<Seen>,
    /// What each page load pressed, by seat and incarnation.
    pub(super) made: BTreeMap<(u8, u8), BTreeMap<Frame, Input>>,
    pub(super) pages: Vec<Option<LastPage>>,
    /// When whose state was changed.
    pub(super) corrupted: Vec<(u8, Duration)>,
    /// How often a page went on from another's state.
    pub(super) transfers: u64,
    /// Whether such a state was one that had been changed.
    pub(super) spread: bool,
    /// How often the server was started again.
    pub(super) restarts: u32,
    /// What was found while it ran.
    pub(super) found: Vec<Violation>,
    /// What happened, if that was asked for.
    pub trace: Vec<String>,
}

impl Outcome {
    /// Why the game ended, for each seat in order for which it has.
    #[must_use]
    pub fn endings(&self) -> Vec<TerminationReason> {
        self.store.endings.values().flatten().map(|ending| ending.reason).collect()
    }

    /// How many events of a kind the server wrote down.
    #[must_use]
    pub fn count_of(&self, kind: &str) -> usize {
        self.store.events.iter().filter(|(_, known, _)| *known == kind).count()
    }

    /// Pauses, resumes, reloads, repairs, server restarts, frames and states taken from a peer, for whoever wants to know
    /// that something happened.
    #[must_use]
    pub fn counts(&self) -> [u64; 7] {
        let of = |kind| self.count_of(kind) as u64;
        let frames = self.store.reported.values().map(|reported| reported.frames.len() as u64).sum();
        [
            of("p2p_pause"),
            of("p2p_resume"),
            of("reload"),
            of("p2p_repair"),
            u64::from(self.restarts),
            frames,
            self.transfers,
        ]
    }
}
