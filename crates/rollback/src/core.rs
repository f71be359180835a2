//! The core: what has been simulated, with which inputs, and what of it is confirmed.

use base::{BoundedQueue, Frame, Input, MAX_SEATS, Seat, SeatSet, StateHash};

use crate::config::{Config, ConfigError, MAX_WINDOW, Prediction};
use crate::inputs::InputQueue;
use crate::simulation::{Simulation, StepOutcome};

/// How far past the last confirmed frame a peer's inputs are taken. A peer makes inputs up to its window and
/// delay past what it has confirmed, and that is at most our window and delay past what we have: 2 × (16 + 8).
const FURTHEST: Frame = 64;

/// How many frames are remembered: all that may be unconfirmed.
const REMEMBERED: usize = MAX_WINDOW as usize + 2;

/// How many confirmed frames wait to be taken; the core confirms no further than that.
const READY: usize = 2 * REMEMBERED;

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

/// What [`Rollback::advance`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advance {
    /// One more frame was simulated.
    Stepped {
        /// Which.
        frame: Frame,
    },
    /// The window is full.
    Waiting {
        /// The seats whose inputs are missing.
        missing: SeatSet,
    },
    /// The episode's last frame is simulated but not confirmed: it may yet turn out not to be the last.
    EpisodeEnding,
    /// The episode's last frame is confirmed; [`Rollback::begin_episode`] comes next.
    EpisodeOver,
}

/// Why a peer's inputs were refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoteInputError {
    /// That seat's inputs are made here, or there is no such seat.
    #[error("seat {0} is not a peer")]
    NotAPeer(Seat),
    /// Frames between the known inputs and these are missing.
    #[error("inputs begin at frame {first}, but those before frame {known} are all that is known")]
    Gap {
        /// The first frame that came.
        first: Frame,
        /// The first unknown frame.
        known: Frame,
    },
    /// A known input came with another value; the first stands.
    #[error("the input of frame {frame} came again with another value")]
    Conflict {
        /// The frame.
        frame: Frame,
    },
    /// Further ahead than any peer can be.
    #[error("frame {frame} is further ahead than a peer can be")]
    TooFarAhead {
        /// The frame.
        frame: Frame,
    },
    /// The input has another size than the game's inputs.
    #[error("the input of frame {frame} has the wrong size")]
    WrongSize {
        /// The frame.
        frame: Frame,
    },
}

/// What is remembered of a simulated frame.
#[derive(Clone, Copy, Debug)]
struct Simulated {
    inputs: [Input; MAX_SEATS],
    outcome: StepOutcome,
    predicted: SeatSet,
    rollback_depth: u8,
}

/// The rollback core of one seat. See the crate's documentation.
#[derive(Debug)]
pub struct Rollback {
    config: Config,
    queues: Vec<InputQueue>,
    /// The next frame to simulate.
    frame: Frame,
    /// Every frame before it is confirmed.
    confirmed: Frame,
    /// The current episode's first frame; `None` between two.
    episode: Option<Frame>,
    /// The first frame that was simulated with an input that has turned out otherwise.
    wrong_from: Option<Frame>,
    simulated: [Simulated; REMEMBERED],
    ready: BoundedQueue<Confirmed>,
    rollbacks: u64,
}

impl Rollback {
    /// A core before its first episode.
    ///
    /// # Errors
    /// Names the value that cannot be.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let nothing = Simulated {
            inputs: [Input::none(config.input_size); MAX_SEATS],
            outcome: StepOutcome::default(),
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        };
        let queue = InputQueue::new(config.input_size, Frame::from(config.input_delay));
        Ok(Self {
            config,
            queues: vec![queue; usize::from(config.seats)],
            frame: 0,
            confirmed: 0,
            episode: None,
            wrong_from: None,
            simulated: [nothing; REMEMBERED],
            ready: BoundedQueue::new(READY),
            rollbacks: 0,
        })
    }

    /// The next frame to simulate; it runs through the whole game (N6).
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// Every frame before this one is confirmed.
    #[must_use]
    pub fn confirmed(&self) -> Frame {
        self.confirmed
    }

    /// A seat's inputs are known for every frame before this one. 0 for a seat that there is not.
    #[must_use]
    pub fn known_until(&self, seat: Seat) -> Frame {
        self.queues.get(seat.index()).map_or(0, InputQueue::end)
    }

    /// How often frames were simulated anew.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks
    }

    /// The first of our own inputs that is still kept.
    #[must_use]
    pub fn local_inputs_start(&self) -> Frame {
        self.local().start()
    }

    /// Our own inputs from a frame (or the first that is kept) to the newest.
    pub fn local_inputs(&self, from: Frame) -> impl Iterator<Item = Input> + '_ {
        let queue = self.local();
        (from.max(queue.start())..queue.end()).map_while(|frame| queue.get(frame))
    }

    /// Every peer holds our inputs of the frames before this one.
    pub fn forget_local_before(&mut self, frame: Frame) {
        // What is not confirmed is still needed here, to simulate it anew.
        let frame = frame.min(self.confirmed);
        self.queues[self.config.local.index()].forget_before(frame);
    }

    fn local(&self) -> &InputQueue {
        &self.queues[self.config.local.index()]
    }

    /// Takes a peer's inputs of consecutive frames. Repeats are ignored.
    ///
    /// # Errors
    /// As [`RemoteInputError`] says. Inputs before the refused one are kept; they were as they should be.
    pub fn add_remote(
        &mut self,
        seat: Seat,
        first: Frame,
        inputs: impl Iterator<Item = Input>,
    ) -> Result<(), RemoteInputError> {
        if seat == self.config.local || seat.number() >= self.config.seats {
            return Err(RemoteInputError::NotAPeer(seat));
        }
        let queue = &mut self.queues[seat.index()];
        if first > queue.end() {
            return Err(RemoteInputError::Gap { first, known: queue.end() });
        }
        for (frame, input) in (first..).zip(inputs) {
            if input.as_bytes().len() != self.config.input_size {
                return Err(RemoteInputError::WrongSize { frame });
            }
            if frame < queue.end() {
                if queue.get(frame).is_some_and(|known| known != input) {
                    return Err(RemoteInputError::Conflict { frame });
                }
                continue;
            }
            if frame >= self.confirmed + FURTHEST {
                return Err(RemoteInputError::TooFarAhead { frame });
            }
            queue.push(input);
            let was_simulated = (self.confirmed..self.frame).contains(&frame);
            if was_simulated && self.simulated[index(frame)].inputs[seat.index()] != input {
                self.wrong_from = Some(self.wrong_from.map_or(frame, |wrong| wrong.min(frame)));
            }
        }
        Ok(())
    }

    /// Begins an episode on a simulation that has just been reset. Says nothing while one is being played.
    pub fn begin_episode<S: Simulation>(&mut self, simulation: &mut S) {
        if self.episode.is_some() && !self.is_over() {
            return;
        }
        simulation.save(self.slot(self.frame));
        self.episode = Some(self.frame);
    }

    /// Simulates anew what was simulated with wrong inputs, and confirms what can be. Returns how many frames
    /// it went back.
    ///
    /// # Errors
    /// The simulation's own.
    pub fn synchronise<S: Simulation>(&mut self, simulation: &mut S) -> Result<Frame, S::Error> {
        let mut depth = 0;
        if let Some(wrong) = self.wrong_from.take() {
            depth = self.frame - wrong;
            self.rollbacks += 1;
            simulation.load(self.slot(wrong));
            for frame in wrong..self.frame {
                let before = self.simulated[index(frame)];
                let simulated = &mut self.simulated[index(frame)];
                simulated.rollback_depth = before.rollback_depth.max(depth as u8);
                if self.step(frame, simulation)? {
                    // The episode ends sooner than it was predicted to: what came after never was.
                    self.frame = frame + 1;
                    break;
                }
            }
        }
        self.confirm(simulation);
        Ok(depth)
    }

    /// Synchronises, then simulates one more frame if it may. `local` is our input of `input_delay` frames
    /// later, and is taken only if a frame was simulated.
    ///
    /// # Errors
    /// The simulation's own.
    pub fn advance<S: Simulation>(&mut self, local: Input, simulation: &mut S) -> Result<Advance, S::Error> {
        self.synchronise(simulation)?;
        if self.is_over() {
            let confirmed = self.confirmed == self.frame;
            return Ok(if confirmed { Advance::EpisodeOver } else { Advance::EpisodeEnding });
        }
        if self.frame - self.confirmed >= Frame::from(self.config.window) {
            return Ok(Advance::Waiting { missing: self.missing_at(self.confirmed) });
        }
        let frame = self.frame;
        let delayed = frame + Frame::from(self.config.input_delay);
        let queue = &mut self.queues[self.config.local.index()];
        // After an episode that ended sooner than predicted, the next frames' inputs are made already.
        if queue.end() <= delayed {
            queue.push(local);
        }
        let predicted = self.missing_at(frame);
        let simulated = &mut self.simulated[index(frame)];
        simulated.predicted = predicted;
        simulated.rollback_depth = 0;
        self.frame = frame + 1;
        self.step(frame, simulation)?;
        self.confirm(simulation);
        Ok(Advance::Stepped { frame })
    }

    /// The next confirmed frame, in order, each once.
    pub fn poll_confirmed(&mut self) -> Option<Confirmed> {
        self.ready.pop()
    }

    /// Simulates a frame with what is known and predicted, and saves the state after it. Returns whether the
    /// episode ends with it.
    fn step<S: Simulation>(&mut self, frame: Frame, simulation: &mut S) -> Result<bool, S::Error> {
        let simulated = &mut self.simulated[index(frame)];
        for (input, queue) in simulated.inputs.iter_mut().zip(&self.queues) {
            *input = queue.get(frame).unwrap_or_else(|| match self.config.prediction {
                Prediction::RepeatLast => queue.last(),
                Prediction::Default => Input::none(self.config.input_size),
            });
        }
        simulated.outcome = simulation.step(frame, &simulated.inputs[..self.queues.len()])?;
        simulation.save(self.slot(frame + 1));
        Ok(self.ends_with(frame))
    }

    fn confirm<S: Simulation>(&mut self, simulation: &S) {
        let known = self.queues.iter().map(InputQueue::end).min().unwrap_or(0).min(self.frame);
        while self.confirmed < known && self.ready.len() < READY {
            let frame = self.confirmed;
            let Simulated { inputs, outcome, predicted, rollback_depth } = self.simulated[index(frame)];
            let hash = simulation.hash(self.slot(frame + 1));
            let confirmed = Confirmed { frame, inputs, hash, outcome, predicted, rollback_depth };
            if self.ready.push(confirmed).is_err() {
                return;
            }
            self.confirmed += 1;
        }
    }

    /// Whether the last simulated frame ends the episode, or none is being played.
    fn is_over(&self) -> bool {
        match self.episode {
            Some(first) => self.frame > first && self.ends_with(self.frame - 1),
            None => true,
        }
    }

    fn ends_with(&self, frame: Frame) -> bool {
        let step = frame - self.episode.unwrap_or(frame);
        self.simulated[index(frame)].outcome.over || step + 1 >= self.config.max_frames
    }

    fn missing_at(&self, frame: Frame) -> SeatSet {
        Seat::all(self.config.seats).filter(|seat| self.known_until(*seat) <= frame).collect()
    }

    /// Where the state before a frame is kept.
    fn slot(&self, frame: Frame) -> usize {
        frame as usize % (usize::from(self.config.window) + 2)
    }
}

fn index(frame: Frame) -> usize {
    frame as usize % REMEMBERED
}
