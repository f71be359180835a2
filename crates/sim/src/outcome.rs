//! What came of a game.

use core::time::Duration;

use session::{SessionEvent, Status};

use crate::conditions::Conditions;
use crate::server::Records;

/// What came of a game.
#[derive(Debug)]
pub struct Outcome {
    /// How it was played.
    pub conditions: Conditions,
    /// Each seat.
    pub seats: Vec<SeatOutcome>,
    /// Packets that the network lost.
    pub lost_packets: u64,
    /// What an attacker sent.
    pub hostile_packets: u64,
}

/// What came of one seat.
#[derive(Debug)]
pub struct SeatOutcome {
    /// When it was done with everything; `None` when it was not by the bound.
    pub complete_at: Option<Duration>,
    /// Its last status.
    pub status: Status,
    /// What it told its page.
    pub events: Vec<SessionEvent>,
    /// What the server has of it.
    pub records: Records,
    /// Packets that it refused.
    pub refused_packets: u64,
    /// How often it asked to be woken for a moment that had passed, though it had just been woken.
    pub needless_wakes: u64,
    /// The most confirmed frames that waited for the server.
    pub most_pending: usize,
}
