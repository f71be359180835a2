//! What rollback asks of a deterministic environment.

use base::{Frame, Input, MAX_SEATS};

/// A deterministic environment with numbered places to keep its states in.
///
/// The same inputs from the same state must always give the same state (E4). The slots are a ring that the
/// caller numbers; a slot is written by [`Simulation::save`] before it is read.
pub trait Simulation {
    /// Why a step could not be made; the state is lost then, and nothing may be called but what begins anew.
    type Error;

    /// Advances the state by one frame, with one input for each seat.
    ///
    /// # Errors
    /// The environment's own.
    fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<StepOutcome, Self::Error>;

    /// Copies the state into a slot.
    fn save(&mut self, slot: usize);

    /// Makes a slot's state the current one.
    fn load(&mut self, slot: usize);

    /// The hash of a slot's state.
    fn hash(&self, slot: usize) -> base::StateHash;

    /// The bytes of a slot's state, for another instance of the same environment; [`base::hash_state`] of them is
    /// [`Simulation::hash`].
    fn export(&self, slot: usize) -> Vec<u8>;

    /// Puts bytes that another instance exported into a slot. False when they cannot be a state; the slot is as it was
    /// then.
    fn import(&mut self, slot: usize, state: &[u8]) -> bool;
}

/// A simulation that plays episodes.
pub trait Environment: Simulation {
    /// Begins an episode, whatever came before it: the state after this depends on these arguments alone (N6).
    ///
    /// # Errors
    /// The environment's own.
    fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), Self::Error>;
}

/// What a step gave.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct StepOutcome {
    /// The environment says that the episode is over after this frame.
    pub over: bool,
    /// Each seat's reward.
    pub rewards: [f64; MAX_SEATS],
}
