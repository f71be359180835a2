//! A game as it is written down, so that a server that was killed goes on with it (P6).

use core::time::Duration;

use base::{Frame, GameId, SeatSet, StateHash, Timestamp, VisitId};
use serde::{Deserialize, Serialize};
use wire::control::{Cut, GameStart, PauseReason};

use super::gathering::{Gathering, LinkRules};
use super::{Game, Pause, Phase};

/// What a deadline has left at least after the server was away.
const LEAST_LEFT: Duration = Duration::from_secs(10);

/// A game as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    start: GameStart,
    #[serde(default)]
    links: LinkRules,
    input_size: usize,
    scene: usize,
    seats: Vec<VisitId>,
    pages: Vec<u64>,
    fences: Vec<Vec<(u8, Frame)>>,
    left: SeatSet,
    finished: Option<(Frame, StateHash)>,
    served: SeatSet,
    closed: Vec<Option<Frame>>,
    pauses: u32,
    counted: u32,
    paused_millis: u64,
    resumed: Frame,
    frame: Frame,
    phase: SavedPhase,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum SavedPhase {
    Gathering(SeatSet),
    Playing,
    Paused(Box<SavedPause>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SavedPause {
    round: u32,
    reason: PauseReason,
    missing: SeatSet,
    /// For how long it had lasted, and how long it might last, when this was written.
    lasted_millis: u64,
    left_millis: u64,
    frame: Frame,
    forgetful: SeatSet,
    rebuild: bool,
    differs: bool,
    cut: Option<Cut>,
    held: Option<Cut>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Game {
    /// What must be written down.
    pub(crate) fn save(&self, now: Timestamp) -> Saved {
        let phase = match &self.phase {
            Phase::Gathering(gathering) => SavedPhase::Gathering(gathering.ready),
            Phase::Playing => SavedPhase::Playing,
            Phase::Paused(pause) => SavedPhase::Paused(Box::new(SavedPause {
                round: pause.round,
                reason: pause.reason,
                missing: pause.missing,
                lasted_millis: millis(pause.length(now)),
                left_millis: millis(pause.deadline.saturating_since(now)),
                frame: pause.frame,
                forgetful: pause.forgetful,
                rebuild: pause.rebuild,
                differs: pause.differs,
                cut: pause.cut.clone(),
                held: pause.held.clone(),
            })),
        };
        Saved {
            start: self.start.clone(),
            links: self.links,
            input_size: self.input_size,
            scene: self.scene,
            seats: self.seats.clone(),
            pages: self.pages.clone(),
            fences: self.fences.clone(),
            left: self.left,
            finished: self.finished,
            served: self.served,
            closed: self.closed.clone(),
            pauses: self.pauses,
            counted: self.counted,
            paused_millis: millis(self.paused),
            resumed: self.resumed,
            frame: self.frame,
            phase,
        }
    }

    /// A game that was written down; the server then lived on for so long. The time in which it was away does not
    /// count, and at least 10 s remain (P3).
    pub(crate) fn restore(saved: Saved, lived: Duration, now: Timestamp) -> (GameId, Self) {
        let phase = match saved.phase {
            SavedPhase::Gathering(ready) => {
                // What was measured the pages say again.
                let deadline = now + Duration::from_millis(saved.links.limit_millis.into());
                Phase::Gathering(Gathering::new(ready, deadline))
            }
            SavedPhase::Playing => Phase::Playing,
            SavedPhase::Paused(pause) => {
                let left = Duration::from_millis(pause.left_millis).saturating_sub(lived);
                Phase::Paused(Box::new(Pause {
                    round: pause.round,
                    reason: pause.reason,
                    missing: pause.missing,
                    before: Duration::from_millis(pause.lasted_millis) + lived,
                    since: now,
                    deadline: now + left.max(LEAST_LEFT),
                    frame: pause.frame,
                    forgetful: pause.forgetful,
                    rebuild: pause.rebuild,
                    differs: pause.differs,
                    reports: Default::default(),
                    asked: false,
                    cut: pause.cut,
                    held: pause.held,
                    successes: Default::default(),
                    asked_for_state: 0,
                }))
            }
        };
        let id = saved.start.game_id;
        let game = Self {
            start: saved.start,
            links: saved.links,
            input_size: saved.input_size,
            scene: saved.scene,
            seats: saved.seats,
            pages: saved.pages,
            fences: saved.fences,
            all_away: matches!(phase, Phase::Playing).then_some(now),
            phase,
            left: saved.left,
            finished: saved.finished,
            served: saved.served,
            closed: saved.closed,
            present: SeatSet::EMPTY,
            hidden: SeatSet::EMPTY,
            pauses: saved.pauses,
            counted: saved.counted,
            behind: saved.finished.map(|_| now),
            paused: Duration::from_millis(saved.paused_millis),
            resumed: saved.resumed,
            frame: saved.frame,
            outputs: Vec::new(),
            changed: false,
        };
        (id, game)
    }
}
