//! What is told of a frame once nothing can change it any more.

use base::{Frame, Input, MAX_SEATS, SeatSet, StateHash};

use crate::simulation::StepOutcome;

/// A frame whose inputs are all known, and that was simulated with them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Confirmed {
    /// Which.
    pub frame: Frame,
    /// Each seat's input; beyond the game's seats, defaults.
    pub inputs: [Input; MAX_SEATS],
    /// The hash of the state after it.
    pub hash: StateHash,
    /// What its step gave.
    pub outcome: StepOutcome,
    /// The seats whose input was predicted when it was first simulated.
    pub predicted: SeatSet,
    /// The deepest rollback that simulated it anew, in frames; 0 when none did.
    pub rollback_depth: u8,
}
