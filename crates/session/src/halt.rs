//! Standing still, and going on from one state (P2, P4, P5).

use core::time::Duration;
use std::sync::Arc;

use base::{FRAME_LIMIT, Frame, Input, Seat, StateHash, Timestamp};
use rollback::{Advance, Environment};
use wire::batch::PlayEvent;
use wire::control::{Cut, PauseNotice, REPORTED_FRAMES, SeatCut};

use crate::pace::Advantage;
use crate::session::{Phase, Session};
use crate::status::SeatPhase;

/// How many frames a cut fills in at most before a seat's own inputs begin.
const FILLED: Frame = 64;

/// Why the frames stand still.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Halt {
    pub(crate) pause: u32,
    pub(crate) round: u32,
    since: Timestamp,
    /// What all hold together, once it is known.
    pub(crate) cut: Option<Arc<Cut>>,
    /// Since when everything is to be played anew, from the server's record of the frames before the cut's first.
    pub(crate) history: Option<Timestamp>,
    /// When somebody's state was asked for instead.
    pub(crate) asked: Option<Timestamp>,
    /// Somebody has asked for the state that this seat comes to.
    pub(crate) wanted: bool,
    /// What the server was last told.
    told: Option<(Frame, StateHash)>,
    /// Everyone is back: the frames go on then.
    until: Option<Timestamp>,
}

/// What a seat holds of everyone's inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// As in `p2p_pause`.
    pub pause: u32,
    /// As in `p2p_pause`.
    pub round: u32,
    /// Every frame before this one is confirmed here.
    pub confirmed: Frame,
    /// The frame of the first inputs.
    pub first: Frame,
    /// Each seat's, from `first` to as far as they are known here.
    pub inputs: Vec<Vec<u8>>,
}

impl Session {
    /// The server says that everyone stands still. Said again it is answered again.
    pub fn handle_pause(&mut self, notice: &PauseNotice, now: Timestamp) {
        self.now = now;
        if self.phase == Phase::Stopped {
            return;
        }
        let known = self.halt.as_ref().map(|halt| (halt.pause, halt.round));
        if known.is_some_and(|known| known > (notice.pause_id, notice.round)) {
            return;
        }
        self.handle_incarnations(&notice.incarnations, now);
        self.gone = Seat::all(self.setup.seats).filter(|&seat| !notice.playing.contains(seat)).collect();
        if let Phase::Playing { stalled } = self.phase {
            self.end_stall(stalled, now);
        }
        match &mut self.halt {
            Some(halt) if (halt.pause, halt.round) == (notice.pause_id, notice.round) => {
                halt.told = None;
                return;
            }
            // The same standing still: another round of it, or another pause before the countdown was over.
            Some(halt) => {
                (halt.pause, halt.round) = (notice.pause_id, notice.round);
                (halt.cut, halt.history, halt.told, halt.until) = (None, None, None, None);
                (halt.asked, halt.wanted) = (None, false);
            }
            None => {
                self.halt = Some(Halt {
                    pause: notice.pause_id,
                    round: notice.round,
                    since: now,
                    cut: None,
                    history: None,
                    asked: None,
                    wanted: false,
                    told: None,
                    until: None,
                });
            }
        }
        if self.has_memory() {
            self.recorder.event(self.rollback.frame(), now, PlayEvent::Paused { pause: notice.pause_id });
        }
        self.recorder.hurry(now);
    }

    /// A page that was loaded in mid-game knows nothing until it has played the game anew.
    pub(crate) fn has_memory(&self) -> bool {
        self.replay.as_ref().map_or(self.phase != Phase::Gathering, |replay| replay.before.is_some())
    }

    /// Whether everyone stands still, and what all hold together is not known yet.
    pub(crate) fn waits_for_cut(&self) -> bool {
        self.halt.as_ref().is_some_and(|halt| halt.cut.is_none())
    }

    /// What this seat holds of everyone's inputs, for the server to put together; `None` when it is not paused, or
    /// has no memory.
    #[must_use]
    pub fn report(&self) -> Option<Report> {
        let halt = self.halt.as_ref().filter(|_| self.has_memory())?;
        if let Some(before) = self.replay.as_ref().and_then(|replay| replay.before.clone()) {
            return Some(Report { pause: halt.pause, round: halt.round, ..before });
        }
        let confirmed = self.rollback.confirmed();
        let first = confirmed.saturating_sub(REPORTED_FRAMES);
        let of =
            |seat| self.rollback.inputs(seat, first).flat_map(|input| input.as_bytes().to_vec()).collect();
        let inputs = Seat::all(self.setup.seats).map(of).collect();
        Some(Report { pause: halt.pause, round: halt.round, confirmed, first, inputs })
    }

    /// What all hold together (N5). A page without memory, and one whose state is to be made anew, then waits for
    /// [`Session::handle_history`].
    pub fn handle_cut(&mut self, cut: &Cut, now: Timestamp) {
        self.now = now;
        let anew = self.replay.is_some() || !self.has_memory() || cut.rebuild.contains(self.setup.seat);
        let Some(halt) = &mut self.halt else { return };
        if (halt.pause, halt.round) != (cut.pause_id, cut.round) {
            return;
        }
        halt.told = None;
        if halt.cut.is_some() || cut.seats.len() != usize::from(self.setup.seats) {
            return;
        }
        halt.history = anew.then_some(now);
        halt.cut = Some(Arc::new(cut.clone()));
        for (seat, part) in Seat::all(self.setup.seats).zip(&cut.seats) {
            self.recorder.set_fences(seat, &part.fences);
        }
        if let Some(replay) = &mut self.replay {
            // It begins anew: what it has played may be more than is left.
            replay.begun = false;
        } else if !anew {
            self.take_cut(cut);
        }
    }

    /// Takes the inputs of a cut that are not known here.
    pub(crate) fn take_cut(&mut self, cut: &Cut) {
        let size = self.setup.input_size;
        for (seat, part) in Seat::all(self.setup.seats).zip(&cut.seats) {
            let inputs = (cut.first..part.first_own_frame.min(part.cut_frame + FILLED))
                .map_while(|frame| cut_input(cut, seat, frame, size));
            // What contradicts what is known here shows in the state's hash, and is repaired.
            self.rollback.add_known(seat, cut.first, inputs).ok();
            if makes_none(part) {
                self.rollback.close(seat, part.cut_frame);
            }
        }
    }

    /// Plays one more frame of what is known entirely. False when there is none.
    pub(crate) fn make_up<E: Environment>(
        &mut self,
        environment: &mut E,
        now: Timestamp,
    ) -> Result<bool, E::Error> {
        if matches!(self.phase, Phase::Intermission { .. }) {
            if self.rollback.known_by_all() <= self.rollback.frame() {
                return Ok(false);
            }
            self.begin_episode(environment, now)?;
        }
        if !matches!(self.phase, Phase::Playing { .. }) {
            return Ok(false);
        }
        let advance = self.rollback.advance_known(environment)?;
        if let Advance::Stepped { frame } = advance {
            self.recorder.simulated(frame, now);
        }
        let before = self.comparison.newest();
        self.take_confirmed();
        if advance == Advance::EpisodeOver {
            self.end_episode(now);
            return Ok(true);
        }
        Ok(matches!(advance, Advance::Stepped { .. }) || self.comparison.newest() != before)
    }

    /// A tick of a seat that is halted: makes up what is known. False when the countdown is over and it goes on.
    pub(crate) fn stands_still<E: Environment>(
        &mut self,
        environment: &mut E,
        now: Timestamp,
    ) -> Result<bool, E::Error> {
        let Some(Halt { pause, since, until, .. }) = self.halt else { return Ok(false) };
        if until.is_some_and(|until| now >= until) {
            self.halt = None;
            let millis = u32::try_from(now.saturating_since(since).as_millis()).unwrap_or(u32::MAX);
            self.recorder.event(self.rollback.frame(), now, PlayEvent::Resumed { pause, millis });
            for peer in &mut self.peers {
                peer.link.begin(now);
                peer.advantage = Advantage::default();
            }
            self.take_link_events(now);
            return Ok(false);
        }
        if self.replay.is_none() && self.has_memory() && self.wants_history().is_none() {
            while self.make_up(environment, now)? {}
        }
        Ok(true)
    }

    /// Whether all that is known together has been played.
    pub(crate) fn has_made_up(&self) -> bool {
        let agreed = self.halt.as_ref().is_some_and(|halt| halt.cut.is_some() && halt.history.is_none());
        agreed
            && match self.phase {
                Phase::Gathering | Phase::Stopped => false,
                Phase::Finished { .. } => true,
                Phase::Intermission { .. } | Phase::Playing { .. } => {
                    self.rollback.confirmed() >= self.rollback.known_by_all()
                        || matches!(self.phase, Phase::Intermission { .. })
                            && self.rollback.known_by_all() <= self.rollback.frame()
                }
            }
    }

    /// What to tell the server, once this seat hears everyone and has played all that is known; again when that
    /// changes.
    pub fn poll_success(&mut self) -> Option<(u32, u32, Frame, StateHash)> {
        let heard = || self.here().all(|peer| peer.link.hears(self.now));
        if self.halt.as_ref()?.until.is_some() || !self.has_made_up() || !heard() {
            return None;
        }
        let confirmed = self.rollback.confirmed();
        let hash = self.comparison.newest().map_or(StateHash(0), |(_, hash)| hash);
        let halt = self.halt.as_mut()?;
        if halt.told.replace((confirmed, hash)) == Some((confirmed, hash)) {
            return None;
        }
        Some((halt.pause, halt.round, confirmed, hash))
    }

    /// All states are equal: the frames go on after so long.
    pub fn handle_resume(&mut self, pause: u32, countdown: Duration, now: Timestamp) {
        self.now = now;
        if let Some(halt) = &mut self.halt
            && halt.pause == pause
            && halt.until.is_none()
        {
            halt.until = Some(now + countdown);
        }
    }

    pub(crate) fn countdown(&self) -> Option<Duration> {
        self.halt.as_ref()?.until.map(|until| until.saturating_since(self.now))
    }

    pub(crate) fn seat_phase(&self) -> SeatPhase {
        let playing = matches!(self.phase, Phase::Playing { .. } | Phase::Intermission { .. });
        match &self.halt {
            _ if self.phase == Phase::Stopped => SeatPhase::Terminated,
            Some(halt) if !self.has_memory() || halt.cut.is_some() && halt.until.is_none() => {
                SeatPhase::Reconnecting
            }
            Some(_) => SeatPhase::Paused,
            None if playing && self.here().any(|peer| peer.link.active().is_none()) => SeatPhase::Pausing,
            None => SeatPhase::Connected,
        }
    }
}

/// Whether the seat is gone, and presses nothing from its cut on.
pub(crate) fn makes_none(part: &SeatCut) -> bool {
    part.first_own_frame >= FRAME_LIMIT
}

/// A seat's input of a frame, as a cut tells it.
pub(crate) fn cut_input(cut: &Cut, seat: Seat, frame: Frame, size: usize) -> Option<Input> {
    let part = cut.seats.get(seat.index())?;
    if frame >= part.cut_frame {
        let fill = part.fill_value.0.as_slice();
        return (frame < part.first_own_frame)
            .then(|| Input::new(fill))?
            .filter(|fill| fill.as_bytes().len() == size);
    }
    let at = (frame.checked_sub(cut.first)?) as usize * size;
    part.inputs.0.get(at..at + size).and_then(Input::new)
}
