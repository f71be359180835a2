//! A simulation in which every bit of every input changes everything after it.

use core::convert::Infallible;

use base::{Frame, Input, MAX_SEATS, StateHash, derive_seed, hash_state};
use rollback::{Environment, Simulation, StepOutcome};

/// How an episode may end before its last frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// Not before so many steps.
    pub(crate) after: u32,
    /// Then with a chance of one in so many.
    pub(crate) one_in: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct State {
    chaos: u64,
    /// The frame that comes next; tells a state that was restored from the wrong slot.
    next: Option<Frame>,
    steps: u32,
}

/// The toy: its state is a hash of all that ever went into it.
#[derive(Debug)]
pub(crate) struct Toy {
    state: State,
    slots: Vec<Option<State>>,
    ending: Option<Ending>,
    seed: u64,
    /// How many steps it was asked for.
    pub(crate) steps: u64,
}

impl Toy {
    pub(crate) fn new(window: u8, seed: u64, ending: Option<Ending>) -> Self {
        Self { state: State::default(), slots: vec![None; usize::from(window) + 1], ending, seed, steps: 0 }
    }

    /// Begins an episode; the game's seed is the toy's own.
    pub(crate) fn begin(&mut self, seats: u8, episode: u32) {
        let Ok(()) = self.reset(seats, episode, derive_seed(self.seed, u64::from(episode)));
    }

    pub(crate) fn current_hash(&self) -> StateHash {
        hash(&self.state)
    }
}

fn bytes(state: &State) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&state.chaos.to_le_bytes());
    bytes[8..12].copy_from_slice(&state.steps.to_le_bytes());
    bytes
}

fn hash(state: &State) -> StateHash {
    hash_state(&bytes(state))
}

impl Simulation for Toy {
    type Error = Infallible;

    fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<StepOutcome, Infallible> {
        let state = &mut self.state;
        assert_eq!(state.next.unwrap_or(frame), frame, "the state before another frame was restored");
        state.chaos = derive_seed(state.chaos, u64::from(frame));
        for input in inputs {
            for &byte in input.as_bytes() {
                state.chaos = derive_seed(state.chaos, u64::from(byte));
            }
        }
        state.next = Some(frame + 1);
        state.steps += 1;
        self.steps += 1;
        let over =
            self.ending.is_some_and(|end| state.steps >= end.after && state.chaos.is_multiple_of(end.one_in));
        let mut rewards = [0.0; MAX_SEATS];
        rewards[0] = f64::from(state.chaos as u32);
        Ok(StepOutcome { over, rewards })
    }

    fn save(&mut self, slot: usize) {
        self.slots[slot] = Some(self.state);
    }

    fn load(&mut self, slot: usize) {
        self.state = self.slots[slot].expect("a slot is saved before it is loaded");
    }

    fn hash(&self, slot: usize) -> StateHash {
        hash(self.slots[slot].as_ref().expect("a slot is saved before it is hashed"))
    }

    fn export(&self, slot: usize) -> Vec<u8> {
        bytes(self.slots[slot].as_ref().expect("a slot is saved before it is exported")).to_vec()
    }

    fn import(&mut self, slot: usize, state: &[u8]) -> bool {
        let Ok(state) = <[u8; 16]>::try_from(state) else { return false };
        let chaos = u64::from_le_bytes(core::array::from_fn(|at| state[at]));
        let steps = u32::from_le_bytes(core::array::from_fn(|at| state[8 + at]));
        self.slots[slot] = Some(State { chaos, next: None, steps });
        true
    }
}

impl Environment for Toy {
    fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), Infallible> {
        let chaos = derive_seed(derive_seed(seed, u64::from(episode)), u64::from(seats));
        self.state = State { chaos, next: None, steps: 0 };
        Ok(())
    }
}
