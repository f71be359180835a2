//! Playing the whole game anew, from its seed and everybody's inputs (P5), a part at a time.

use base::{Frame, Input, Seat, Timestamp};
use rollback::{Environment, Rollback};
use wire::batch::PlayEvent;
use wire::control::Cut;

use crate::halt::{Report, cut_input, makes_none};
use crate::session::{Phase, Session, rollback_config};

/// How many frames' inputs are taken at a time: fewer than the core takes.
const AT_A_TIME: Frame = 32;

/// A game that is being played anew.
#[derive(Debug)]
pub(crate) struct Replay {
    /// What this page held before: none when it has lost its memory.
    pub(crate) before: Option<Report>,
    /// Whether what is played is of the cut that holds now.
    pub(crate) begun: bool,
}

/// How far playing the game anew has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replayed {
    /// The server's record does not go far enough yet.
    NeedsHistory,
    /// There is more to play.
    Partly,
    /// All that is known is played, or there was nothing to play anew.
    Done,
}

impl Session {
    /// Up to which frame the server's record is needed, from the first on; `None` when it is not.
    #[must_use]
    pub fn wants_history(&self) -> Option<Frame> {
        let halt = self.halt.as_ref().filter(|halt| halt.history.is_some())?;
        halt.cut.as_ref().map(|cut| cut.first)
    }

    /// The server's record of everybody's inputs, from the first frame on. With it the whole game is played anew, so
    /// many frames in each call at most.
    ///
    /// # Errors
    /// The environment's; the game cannot go on at this seat then.
    pub fn handle_history<E: Environment>(
        &mut self,
        history: &[u8],
        environment: &mut E,
        most: usize,
        now: Timestamp,
    ) -> Result<Replayed, E::Error> {
        self.now = now;
        let Some(first) = self.wants_history() else { return Ok(Replayed::Done) };
        if history.len() < first as usize * self.setup.input_size * usize::from(self.setup.seats) {
            return Ok(Replayed::NeedsHistory);
        }
        let Some(cut) = self.halt.as_ref().and_then(|halt| halt.cut.clone()) else {
            return Ok(Replayed::Done);
        };
        if self.replay.as_ref().is_none_or(|replay| !replay.begun) {
            self.begin_replay(first, now);
        }
        for _ in 0..most {
            if !self.make_up(environment, now)? && !self.feed(&cut, history) {
                self.end_replay(now);
                return Ok(Replayed::Done);
            }
        }
        Ok(Replayed::Partly)
    }

    fn begin_replay(&mut self, first: Frame, now: Timestamp) {
        let before = self.report();
        let Ok(rollback) = Rollback::new(rollback_config(&self.setup)) else { return };
        self.rollback = rollback;
        if before.is_some() {
            self.recorder.replay();
        } else {
            // What came before is durable; what comes after may be nobody else's to tell.
            self.recorder.begin(now);
            self.recorder.begin_at(first);
        }
        self.replaying = before.is_none();
        self.replay = Some(Replay { before, begun: true });
        self.episode = 0;
        self.phase = Phase::Intermission { until: now };
    }

    /// Takes more inputs of the record and the cut. False when there are no more, or they wait for frames to be played.
    fn feed(&mut self, cut: &Cut, history: &[u8]) -> bool {
        let size = self.setup.input_size;
        let row = size * usize::from(self.setup.seats);
        let of = |seat: Seat, frame: Frame| {
            if frame >= cut.first {
                return cut_input(cut, seat, frame, size);
            }
            let at = frame as usize * row + seat.index() * size;
            history.get(at..at + size).and_then(Input::new)
        };
        let mut fed = false;
        for (seat, part) in Seat::all(self.setup.seats).zip(&cut.seats) {
            let next = self.rollback.known_until(seat);
            let until = next.max(self.rollback.confirmed()) + AT_A_TIME;
            if makes_none(part) && next >= part.cut_frame {
                self.rollback.close(seat, part.cut_frame);
                continue;
            }
            // The first frames' inputs are known without being told.
            let inputs: Vec<_> = (next..until).map_while(|frame| of(seat, frame)).collect();
            fed |= !inputs.is_empty() && self.rollback.add_known(seat, next, inputs.into_iter()).is_ok();
        }
        fed
    }

    fn end_replay(&mut self, now: Timestamp) {
        self.has_state_again();
        self.recorder.event(
            self.rollback.confirmed(),
            now,
            PlayEvent::Rebuilt { frames: self.rollback.confirmed() },
        );
    }

    /// The state is as it would be if nothing had been lost.
    pub(crate) fn has_state_again(&mut self) {
        self.replay = None;
        self.replaying = false;
        if let Some(halt) = &mut self.halt {
            halt.history = None;
        }
        for peer in &mut self.peers {
            peer.agrees = true;
        }
    }
}
