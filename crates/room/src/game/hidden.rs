//! Pages in the background, in a study that waits for them (X2): everyone stands still until all are back, for no longer than
//! a pause may last. Whoever is still away then is taken out.

use base::{Seat, SeatSet, Timestamp};
use wire::control::PauseReason;

use super::{Game, Phase};

impl Game {
    /// A seat's page is in the background.
    pub(crate) fn hide(&mut self, seat: Seat, now: Timestamp) {
        if self.left.contains(seat) {
            return;
        }
        self.hidden.insert(seat);
        // Who plays to the end while others have, is not stopped for that.
        if self.waits_for_hidden().is_empty() {
            return;
        }
        match &mut self.phase {
            Phase::Gathering { .. } => {}
            Phase::Playing => {
                self.pause(PauseReason::TabHidden, [seat].into_iter().collect(), self.frame, now);
            }
            Phase::Paused(pause) if pause.missing.contains(seat) => {}
            Phase::Paused(pause) => {
                pause.missing.insert(seat);
                self.tell_pause();
            }
        }
    }

    /// A seat's page is in front again.
    pub(crate) fn show(&mut self, seat: Seat, now: Timestamp) {
        if !self.hidden.contains(seat) {
            return;
        }
        self.hidden.remove(seat);
        let Phase::Paused(pause) = &mut self.phase else { return };
        let is_back = pause.successes[seat.index()].is_some() && pause.missing.contains(seat);
        if is_back {
            pause.missing.remove(seat);
        }
        self.resume_if_equal(now);
        if is_back && self.is_paused() {
            self.tell_pause();
        }
    }

    /// Who must come to the front before all go on.
    pub(super) fn waits_for_hidden(&self) -> SeatSet {
        let playing = self.playing();
        let waits = self.finished.is_none();
        self.hidden.iter().filter(|&seat| waits && playing.contains(seat)).collect()
    }
}
