//! An environment in which every bit of every input changes everything after it.

use core::convert::Infallible;

use base::{Frame, Input, MAX_SEATS, StateHash, derive_seed, hash_state};
use rollback::{Environment, Simulation, StepOutcome};

/// How an episode may end before its last frame.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Not before so many steps.
    pub after: u32,
    /// Then with a chance of one in so many.
    pub one_in: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    chaos: u64,
    steps: u32,
}

impl State {
    fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.chaos.to_le_bytes());
        bytes[8..].copy_from_slice(&self.steps.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chaos, steps) = bytes.split_first_chunk()?;
        Some(Self { chaos: u64::from_le_bytes(*chaos), steps: u32::from_le_bytes(steps.try_into().ok()?) })
    }
}

/// An environment whose state is a hash of all that went into the episode.
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    state: State,
    slots: Vec<State>,
    ending: Option<Ending>,
}

impl Chaos {
    /// Before its first reset.
    #[must_use]
    pub fn new(ending: Option<Ending>) -> Self {
        Self { ending, ..Self::default() }
    }

    /// Changes the state, and all that are kept, in a way of its own for each `salt`; false before there is one.
    pub fn corrupt(&mut self, salt: u64) -> bool {
        self.state.chaos ^= salt;
        for slot in &mut self.slots {
            slot.chaos ^= salt;
        }
        !self.slots.is_empty()
    }

    /// The hash of the state as it is.
    #[must_use]
    pub fn state_hash(&self) -> StateHash {
        hash_state(&self.state.bytes())
    }
}

impl Simulation for Chaos {
    type Error = Infallible;

    fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<StepOutcome, Infallible> {
        let state = &mut self.state;
        state.chaos = derive_seed(state.chaos, u64::from(frame));
        for &byte in inputs.iter().flat_map(Input::as_bytes) {
            state.chaos = derive_seed(state.chaos, u64::from(byte));
        }
        state.steps += 1;
        let chaos = state.chaos;
        let over =
            self.ending.is_some_and(|end| state.steps >= end.after && chaos.is_multiple_of(end.one_in));
        let mut rewards = [0.0; MAX_SEATS];
        rewards[(chaos >> 32) as usize % MAX_SEATS] = 1.0;
        Ok(StepOutcome { over, rewards })
    }

    fn save(&mut self, slot: usize) {
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, State::default());
        }
        self.slots[slot] = self.state;
    }

    fn load(&mut self, slot: usize) {
        self.state = self.slots[slot];
    }

    fn hash(&self, slot: usize) -> StateHash {
        hash_state(&self.slots[slot].bytes())
    }

    fn export(&self, slot: usize) -> Vec<u8> {
        self.slots[slot].bytes().to_vec()
    }

    fn import(&mut self, slot: usize, state: &[u8]) -> bool {
        let Some(state) = State::from_bytes(state) else { return false };
        self.slots.resize(self.slots.len().max(slot + 1), State::default());
        self.slots[slot] = state;
        true
    }
}

impl Environment for Chaos {
    fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), Infallible> {
        let chaos = derive_seed(derive_seed(seed, u64::from(episode)), u64::from(seats));
        self.state = State { chaos, steps: 0 };
        Ok(())
    }
}
