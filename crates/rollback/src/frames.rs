//! What is remembered of the frames that are simulated but not confirmed.

use base::{Frame, Input, MAX_SEATS, Seat, SeatSet};

use crate::config::MAX_WINDOW;
use crate::simulation::StepOutcome;

/// How many frames are remembered: the longest window, all that can be unconfirmed, and the one before it, whose
/// outcome says whether the episode is over.
const REMEMBERED: usize = MAX_WINDOW as usize + 1;

/// What a frame was simulated with, and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Simulated {
    pub(crate) inputs: [Input; MAX_SEATS],
    pub(crate) outcome: StepOutcome,
    /// The seats whose input was predicted when it was first simulated.
    pub(crate) predicted: SeatSet,
    /// The deepest rollback that simulated it anew.
    pub(crate) rollback_depth: u8,
}

/// A ring of the last simulated frames. It believes the numbers that it is asked for: the core asks only for
/// frames that it has written, and for no older ones than it keeps.
#[derive(Debug)]
pub(crate) struct Frames([Simulated; REMEMBERED]);

impl Frames {
    pub(crate) fn new(none: Input) -> Self {
        let nothing = Simulated {
            inputs: [none; MAX_SEATS],
            outcome: StepOutcome::default(),
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        };
        Self([nothing; REMEMBERED])
    }

    pub(crate) fn get(&self, frame: Frame) -> &Simulated {
        &self.0[frame as usize % REMEMBERED]
    }

    pub(crate) fn get_mut(&mut self, frame: Frame) -> &mut Simulated {
        &mut self.0[frame as usize % REMEMBERED]
    }

    /// Whether a frame was simulated with this input of a seat.
    pub(crate) fn had(&self, frame: Frame, seat: Seat, input: Input) -> bool {
        self.get(frame).inputs[seat.index()] == input
    }
}
