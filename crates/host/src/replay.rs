//! Plays a whole game again from its seed and its confirmed inputs (D3).

use base::{Frame, Input, MAX_SEATS, Seat, StateHash, derive_seed};
use rollback::{Environment, Simulation, StepOutcome};

use crate::{EnvironmentError, NativeEnvironment};

/// What a game is replayed from, beside its environment and inputs.
#[derive(Clone, Copy, Debug)]
pub struct Game {
    /// How many seats.
    pub seats: u8,
    /// The game's seed.
    pub seed: u64,
    /// The frames of an episode that the environment does not end sooner.
    pub max_frames: Frame,
}

/// One replayed frame.
#[derive(Clone, Debug)]
pub struct ReplayedFrame {
    /// The episode, from 0.
    pub episode: u32,
    /// The frame within the episode.
    pub step: Frame,
    /// The frame of the game.
    pub frame: Frame,
    /// The hash of the state after it.
    pub hash: StateHash,
    /// What the step gave.
    pub outcome: StepOutcome,
    /// Whether the episode ended with it.
    pub last: bool,
    /// Each seat's flags: terminated, truncated. At the last frame of an episode that only the limit ended,
    /// everyone is truncated.
    pub flags: [(bool, bool); MAX_SEATS],
    /// What each seat observes after it, infos behind.
    pub observations: Vec<Vec<f64>>,
}

/// A game that is being replayed, frame by frame.
pub struct Replay<'a> {
    environment: &'a mut NativeEnvironment,
    game: Game,
    frame: Frame,
    episode: u32,
    step: Frame,
}

impl<'a> Replay<'a> {
    /// A replay before its first frame.
    ///
    /// # Errors
    /// The environment's own.
    pub fn new(environment: &'a mut NativeEnvironment, game: Game) -> Result<Self, EnvironmentError> {
        environment.reset(game.seats, 0, derive_seed(game.seed, 0))?;
        Ok(Self { environment, game, frame: 0, episode: 0, step: 0 })
    }

    /// Plays the next frame with every seat's input.
    ///
    /// # Errors
    /// The environment's own; the replay is over then.
    pub fn next(&mut self, inputs: &[Input]) -> Result<ReplayedFrame, EnvironmentError> {
        let outcome = self.environment.step(self.frame, inputs)?;
        let at_limit = self.step + 1 >= self.game.max_frames;
        let last = outcome.over || at_limit;
        let mut flags = [(false, false); MAX_SEATS];
        for seat in Seat::all(self.game.seats) {
            let (terminated, truncated) = self.environment.flags(seat);
            flags[seat.index()] = (terminated, truncated || (last && !terminated && !outcome.over));
        }
        let replayed = ReplayedFrame {
            episode: self.episode,
            step: self.step,
            frame: self.frame,
            hash: self.environment.state_hash()?,
            outcome,
            last,
            flags,
            observations: self.environment.observe()?,
        };
        self.frame += 1;
        self.step += 1;
        if last {
            self.episode += 1;
            self.step = 0;
            let seed = derive_seed(self.game.seed, u64::from(self.episode));
            self.environment.reset(self.game.seats, self.episode, seed)?;
        }
        Ok(replayed)
    }
}
