//! Taking a peer's state where playing the game anew takes long (P5).
//!
//! A state says nothing of how it came about, so it is the second choice: the first second belongs to the replay. Whoever
//! gives its state has seen to it that every frame before it is durable, and the server lets nobody go on before all
//! states are equal.

use core::time::Duration;

use base::Timestamp;
use rollback::{Environment, Rollback, Standing};
use wire::batch::PlayEvent;
use wire::control::REPORTED_FRAMES;
use wire::transfer::StateTransfer;

use crate::session::{Phase, Session, rollback_config};

/// A game that is played anew in less time needs nobody's state.
const LONG: Duration = Duration::from_secs(1);

/// How long to wait for a state before it is asked for again: of another, perhaps.
const AGAIN: Duration = Duration::from_secs(3);

impl Session {
    /// Whether a peer's state is to be asked for now: of which pause, and which round of it.
    pub fn poll_state_request(&mut self) -> Option<(u32, u32)> {
        if self.has_memory() {
            return None;
        }
        let now = self.now;
        let anyone = |rebuild: base::SeatSet| self.here().any(|peer| !rebuild.contains(peer.seat));
        let somebody = self.halt.as_ref()?.cut.as_ref().is_some_and(|cut| anyone(cut.rebuild));
        let halt = self.halt.as_mut()?;
        let due = halt.asked.map_or(halt.history? + LONG, |asked| asked + AGAIN);
        if !somebody || now < due {
            return None;
        }
        halt.asked = Some(now);
        Some((halt.pause, halt.round))
    }

    /// Somebody has lost its memory, and asks for this seat's state.
    pub fn handle_state_wanted(&mut self, pause: u32, round: u32) {
        if let Some(halt) = self.halt.as_mut().filter(|halt| (halt.pause, halt.round) == (pause, round)) {
            halt.wanted = true;
        }
    }

    /// This seat's state for whoever has asked for it, once all that is known is played and durable.
    pub fn poll_state<E: Environment>(&mut self, environment: &E) -> Option<StateTransfer> {
        self.halt.as_ref().filter(|halt| halt.wanted)?;
        let episode_first = match self.phase {
            Phase::Playing { .. } => Some(self.episode_first),
            Phase::Intermission { .. } => None,
            Phase::Gathering | Phase::Finished { .. } | Phase::Stopped => return None,
        };
        let (_, hash) = self.comparison.newest()?;
        let ready = self.recorder.status().pending == 0 && self.has_made_up();
        let halt = self.halt.as_mut().filter(|_| ready)?;
        halt.wanted = false;
        Some(StateTransfer {
            pause: halt.pause,
            round: halt.round,
            frame: self.rollback.confirmed(),
            episode: self.episode,
            episode_first,
            scores: self.scores,
            hash,
            state: self.rollback.confirmed_state(environment),
        })
    }

    /// A peer's state. False when it is not one that this seat can go on from now.
    pub fn handle_state<E: Environment>(
        &mut self,
        transfer: StateTransfer,
        environment: &mut E,
        now: Timestamp,
    ) -> bool {
        self.now = now;
        let Some(cut) =
            self.halt.as_ref().filter(|halt| halt.history.is_some()).and_then(|halt| halt.cut.clone())
        else {
            return false;
        };
        let StateTransfer { pause, round, frame, episode, episode_first, scores, hash, state } = transfer;
        // What comes before it must be known as far as reports go, and nothing that it has come from may be unknown.
        let reach = frame.saturating_sub(REPORTED_FRAMES) >= cut.first
            && frame > 0
            && cut.seats.iter().all(|part| frame <= part.first_own_frame);
        let asked = (pause, round) == (cut.pause_id, cut.round) && !self.has_memory();
        if !asked || !reach || episode >= self.setup.rules.episodes {
            return false;
        }
        let standing = Standing { frame, inputs_from: cut.first, episode: episode_first };
        let resumed = Rollback::resume(rollback_config(&self.setup), standing, &state, environment);
        let Ok(Some(rollback)) = resumed else { return false };
        self.rollback = rollback;
        self.recorder.begin(now);
        self.recorder.begin_at(frame);
        self.comparison.confirm(frame - 1, hash, |_| {});
        (self.episode, self.episode_first, self.scores) = (episode, episode_first.unwrap_or(frame), scores);
        (self.began, self.ended) = (episode + u32::from(episode_first.is_some()), episode);
        self.phase = match episode_first {
            Some(_) => Phase::Playing { stalled: None },
            None => Phase::Intermission { until: now },
        };
        self.has_state_again();
        self.take_cut(&cut);
        self.recorder.event(frame, now, PlayEvent::Rebuilt { frames: 0 });
        true
    }
}
