//! Plays an environment natively, as `rollback` asks.

use base::{Frame, Input, Seat, StateHash, hash_state};
use rollback::{Environment, Simulation, Slots, StepOutcome};

use crate::instance::Instance;
use crate::module::{Module, ModuleError};

/// An environment could not go on. The same call fails in the same way in every browser.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the environment {fault} (in {during})")]
pub struct EnvironmentError {
    /// How.
    pub fault: Fault,
    /// In which call.
    pub during: During,
}

/// What an environment was asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum During {
    /// To say where things are, or to have its state copied.
    #[error("its set-up")]
    Setup,
    /// To begin an episode.
    #[error("the reset of episode {0}")]
    Reset(u32),
    /// To play a frame.
    #[error("frame {0}")]
    Step(Frame),
    /// To say what a seat observes.
    #[error("what seat {0} observes")]
    Observe(Seat),
    /// To draw for a seat.
    #[error("what seat {0} sees")]
    Draw(Seat),
}

/// The ways in which an environment fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// One call executed more instructions than it may.
    #[error("ran for too long: a loop has no end, or one step does too much")]
    OutOfFuel,
    /// One call used more stack than it may.
    #[error("called itself too deeply")]
    TooDeep,
    /// It trapped: a panic, an index out of bounds, a division by zero.
    #[error("stopped with a trap: {0}")]
    Trapped(String),
}

impl Fault {
    /// The name that the browser's runner and the data use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutOfFuel => "out_of_fuel",
            Self::TooDeep => "too_deep",
            Self::Trapped(_) => "trapped",
        }
    }
}

/// One playing instance, one to look with, and the saved states.
pub struct NativeEnvironment {
    playing: Instance,
    /// Observing and drawing write to memory, so they are done on a copy.
    looking: Instance,
    pristine: Vec<u8>,
    slots: Slots,
    scratch: Vec<u8>,
    seats: u8,
}

impl NativeEnvironment {
    /// An environment that has yet to be reset, with its usual options.
    ///
    /// # Errors
    /// Says what is wrong with the module.
    pub fn new(module: &Module) -> Result<Self, ModuleError> {
        let input_bytes = module.manifest().input_bytes;
        let mut playing = Instance::new(&module.compiled, input_bytes)?;
        let mut pristine = Vec::new();
        playing.save(&mut pristine)?;
        let looking = Instance::new(&module.compiled, input_bytes)?;
        let mut environment =
            Self { playing, looking, pristine, slots: Slots::default(), scratch: Vec::new(), seats: 0 };
        let usual: Vec<_> = module.manifest().options.iter().map(|(_, usual)| *usual).collect();
        if !environment.set_options(&usual) {
            return Err(ModuleError::NoOptions);
        }
        Ok(environment)
    }

    /// Sets the options that every episode begins with, in the manifest's order. False when the environment has no place for
    /// so many.
    pub fn set_options(&mut self, options: &[f64]) -> bool {
        self.playing.set_options(options, &mut self.pristine)
    }

    /// The current state's hash.
    ///
    /// # Errors
    /// The environment's own.
    pub fn state_hash(&mut self) -> Result<StateHash, EnvironmentError> {
        self.playing.save(&mut self.scratch)?;
        Ok(hash_state(&self.scratch))
    }

    /// A slot's state; empty if nothing was saved there.
    #[must_use]
    pub fn state(&self, slot: usize) -> &[u8] {
        self.slots.get(slot).unwrap_or_default()
    }

    /// A seat's flags after the last step: terminated, truncated.
    #[must_use]
    pub fn flags(&self, seat: Seat) -> (bool, bool) {
        let (_, flags) = self.playing.outcome(seat);
        (flags & 1 != 0, flags & 2 != 0)
    }

    /// What every seat observes in the current state, infos behind; empty where the environment gives nothing
    /// that can be read.
    ///
    /// # Errors
    /// The environment's own.
    pub fn observe(&mut self) -> Result<Vec<Vec<f64>>, EnvironmentError> {
        self.playing.save(&mut self.scratch)?;
        let mut observations = Vec::with_capacity(usize::from(self.seats));
        for seat in Seat::all(self.seats) {
            self.looking.load(&self.scratch)?;
            observations.push(self.looking.observe(seat)?.unwrap_or_default());
        }
        Ok(observations)
    }

    /// What a seat sees in the current state, as a draw list.
    ///
    /// # Errors
    /// The environment's own.
    pub fn draw(&mut self, seat: Seat) -> Result<Vec<u8>, EnvironmentError> {
        self.playing.save(&mut self.scratch)?;
        self.looking.load(&self.scratch)?;
        Ok(self.looking.draw(seat)?.unwrap_or_default())
    }
}

impl Simulation for NativeEnvironment {
    type Error = EnvironmentError;

    fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<StepOutcome, EnvironmentError> {
        let over = self.playing.step(frame, inputs)?;
        let mut outcome = StepOutcome { over, ..StepOutcome::default() };
        for seat in Seat::all(self.seats) {
            outcome.rewards[seat.index()] = self.playing.outcome(seat).0;
        }
        Ok(outcome)
    }

    fn save(&mut self, slot: usize) {
        // Saving moves globals to memory and cannot fail in a module that was prepared.
        let saved = self.playing.save(self.slots.place(slot));
        debug_assert!(saved.is_ok(), "{saved:?}");
    }

    fn load(&mut self, slot: usize) {
        let loaded = self.playing.load(&self.slots[slot]);
        debug_assert!(loaded.is_ok(), "{loaded:?}");
    }

    fn hash(&self, slot: usize) -> StateHash {
        hash_state(&self.slots[slot])
    }

    fn export(&self, slot: usize) -> Vec<u8> {
        self.slots[slot].clone()
    }

    fn import(&mut self, slot: usize, state: &[u8]) -> bool {
        self.slots.import(slot, state, self.pristine.len())
    }
}

impl Environment for NativeEnvironment {
    fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), EnvironmentError> {
        self.seats = seats;
        self.playing.load(&self.pristine)?;
        self.playing.reset(seats, episode, seed)
    }
}
