//! The core: how far the game is simulated, and how much of that is confirmed.

use base::{BoundedQueue, Frame, Input, Seat, SeatSet};

use crate::config::{Config, ConfigError, MAX_WINDOW, Prediction};
use crate::confirmed::Confirmed;
use crate::error::RemoteInputError;
use crate::frames::{Frames, Simulated};
use crate::inputs::{InputQueue, KEPT};
use crate::simulation::Simulation;

/// How far past the first unconfirmed frame a peer's inputs are taken. A peer simulates at most its window past
/// the inputs that it has of us, which reach our window and delay past what is confirmed here, and makes inputs
/// its delay ahead: 2 × (16 + 8) frames. What is put together after an outage may be another window and delay ahead.
const FURTHEST: Frame = 80;

/// How many confirmed frames wait to be taken: two full windows. The core confirms no further than that.
const READY: usize = 2 * MAX_WINDOW as usize;

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
        /// The seats whose inputs are missing; none when confirmed frames wait for [`Rollback::poll_confirmed`].
        missing: SeatSet,
    },
    /// The episode's last frame is simulated but not confirmed: it may yet turn out not to be the last.
    EpisodeEnding,
    /// The episode's last frame is confirmed; [`Rollback::begin_episode`] comes next.
    EpisodeOver,
}

/// Where a core goes on that begins with another's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The state is that before this frame, and every frame before it is confirmed.
    pub frame: Frame,
    /// The first frame whose inputs will be told.
    pub inputs_from: Frame,
    /// The first frame of the episode that is being played; none between episodes.
    pub episode: Option<Frame>,
}

/// The rollback core of one seat. See the crate's documentation.
#[derive(Debug)]
pub struct Rollback {
    config: Config,
    /// Each seat's inputs.
    queues: Vec<InputQueue>,
    /// The next frame to simulate.
    frame: Frame,
    /// Every frame before it is confirmed.
    confirmed: Frame,
    /// The current episode's first frame; `None` before the first.
    episode: Option<Frame>,
    /// The first frame that was simulated with an input that has turned out otherwise.
    wrong_from: Option<Frame>,
    frames: Frames,
    ready: BoundedQueue<Confirmed>,
    rollbacks: u64,
    deepest: Frame,
}

impl Rollback {
    /// A core before its first episode.
    ///
    /// # Errors
    /// Names the value that cannot be.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let none = Input::none(config.input_size);
        let queue = InputQueue::new(none, Frame::from(config.input_delay));
        Ok(Self {
            config,
            queues: vec![queue; usize::from(config.seats)],
            frame: 0,
            confirmed: 0,
            episode: None,
            wrong_from: None,
            frames: Frames::new(none),
            ready: BoundedQueue::new(READY),
            rollbacks: 0,
            deepest: 0,
        })
    }

    /// A core that goes on from a confirmed state of another's, with nobody's inputs yet. None when that state cannot be.
    ///
    /// # Errors
    /// Names the value of the configuration that cannot be.
    pub fn resume<S: Simulation>(
        config: Config,
        from: Standing,
        state: &[u8],
        simulation: &mut S,
    ) -> Result<Option<Self>, ConfigError> {
        let mut core = Self::new(config)?;
        let Standing { frame, inputs_from, episode } = from;
        let slot = core.slot(frame);
        let possible = inputs_from <= frame && episode.is_none_or(|first| first <= frame);
        if !possible || !simulation.import(slot, state) {
            return Ok(None);
        }
        simulation.load(slot);
        core.queues.fill(InputQueue::beginning_at(Input::none(config.input_size), inputs_from));
        (core.frame, core.confirmed, core.episode) = (frame, frame, episode);
        Ok(Some(core))
    }

    /// The state before the first frame that is not confirmed, for another's [`Rollback::resume`].
    pub fn confirmed_state<S: Simulation>(&self, simulation: &S) -> Vec<u8> {
        simulation.export(self.slot(self.confirmed))
    }

    /// The next frame to simulate; it runs through the whole game (N6). It goes back only when a rollback finds
    /// that the episode has ended sooner than it was predicted to.
    #[must_use]
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// Every frame before this one is confirmed: all its inputs are known, and it was simulated with them.
    #[must_use]
    pub fn confirmed(&self) -> Frame {
        self.confirmed
    }

    /// A seat's inputs are known for every frame before this one: what a packet acknowledges. 0 for a seat that
    /// there is not.
    #[must_use]
    pub fn known_until(&self, seat: Seat) -> Frame {
        self.queues.get(seat.index()).map_or(0, InputQueue::known_until)
    }

    /// How often frames were simulated anew.
    #[must_use]
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks
    }

    /// The most frames that were ever simulated anew at once.
    #[must_use]
    pub fn deepest_rollback(&self) -> Frame {
        self.deepest
    }

    /// A seat's inputs from a frame (or the first that is kept) to the newest that is known.
    pub fn inputs(&self, seat: Seat, from: Frame) -> impl Iterator<Item = Input> + '_ {
        let queue = self.queues.get(seat.index());
        // Of one that is gone what there is, and nothing pressed as far as the others go.
        let others = self.known_by_all().min(self.confirmed + KEPT);
        let end = |queue: &InputQueue| match queue.closed() {
            Some(from) => others.max(from.min(queue.end())),
            None => queue.end(),
        };
        let frames = queue.map_or(0..0, |queue| from.max(queue.start())..end(queue));
        frames.map_while(move |frame| queue?.get(frame))
    }

    /// The first of a seat's inputs that is still kept: the last 128 are.
    #[must_use]
    pub fn inputs_start(&self, seat: Seat) -> Frame {
        self.queues.get(seat.index()).map_or(0, InputQueue::start)
    }

    /// Every seat's input is known for the frames before this one.
    #[must_use]
    pub fn known_by_all(&self) -> Frame {
        self.queues.iter().map(InputQueue::known_until).min().unwrap_or(0)
    }

    /// A seat is gone: from a frame on it presses nothing, and nobody waits for it.
    pub fn close(&mut self, seat: Seat, from: Frame) {
        let Some(queue) = self.queues.get_mut(seat.index()) else { return };
        queue.close(from);
        let none = Input::none(self.config.input_size);
        // What was predicted of it may have been something else.
        let wrong = (from.max(self.confirmed)..self.frame).find(|&frame| !self.frames.had(frame, seat, none));
        if let Some(wrong) = wrong {
            self.wrong_from = Some(self.wrong_from.map_or(wrong, |known| known.min(wrong)));
        }
    }

    /// The seats that are gone by a frame.
    #[must_use]
    pub fn closed_at(&self, frame: Frame) -> SeatSet {
        let gone = |seat: &Seat| self.queues[seat.index()].closed().is_some_and(|from| from <= frame);
        Seat::all(self.config.seats).filter(gone).collect()
    }

    /// Takes a peer's inputs of consecutive frames, from `first` on. Equal repeats are ignored.
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
        self.add_known(seat, first, inputs)
    }

    /// Takes anybody's inputs, our own included: those of a page that has lost its memory are others' to tell.
    ///
    /// # Errors
    /// As [`Rollback::add_remote`].
    pub fn add_known(
        &mut self,
        seat: Seat,
        first: Frame,
        inputs: impl Iterator<Item = Input>,
    ) -> Result<(), RemoteInputError> {
        let Some(queue) = self.queues.get_mut(seat.index()) else {
            return Err(RemoteInputError::NotAPeer(seat));
        };
        if first > queue.end() {
            return Err(RemoteInputError::Gap { first, known: queue.end() });
        }
        // The last number of the type is never reached: `furthest` comes first.
        let furthest = self.confirmed.saturating_add(FURTHEST);
        for (frame, input) in (first..).zip(inputs) {
            if frame >= furthest {
                return Err(RemoteInputError::TooFarAhead { frame });
            }
            if input.as_bytes().len() != self.config.input_size {
                return Err(RemoteInputError::WrongSize { frame });
            }
            if queue.closed().is_some_and(|from| frame >= from) {
                // It presses nothing any more, whatever comes late.
                break;
            }
            if frame < queue.end() {
                if queue.get(frame).is_some_and(|known| known != input) {
                    return Err(RemoteInputError::Conflict { frame });
                }
                continue;
            }
            queue.push(input);
            // What is not confirmed before `self.frame` is remembered.
            if (self.confirmed..self.frame).contains(&frame) && !self.frames.had(frame, seat, input) {
                self.wrong_from = Some(self.wrong_from.map_or(frame, |wrong| wrong.min(frame)));
            }
        }
        Ok(())
    }

    /// Begins an episode on a simulation that has just been reset: its state is what the next frame starts from.
    /// While an episode is being played nothing begins, and the reset is undone.
    pub fn begin_episode<S: Simulation>(&mut self, simulation: &mut S) {
        let slot = self.slot(self.frame);
        if self.is_over() && self.confirmed == self.frame {
            simulation.save(slot);
            self.episode = Some(self.frame);
        } else {
            simulation.load(slot);
        }
    }

    /// Simulates anew what was simulated with wrong inputs, and confirms what can be. Returns how many frames
    /// it went back; 0 when there was nothing to do.
    ///
    /// # Errors
    /// The simulation's own; the game cannot go on here then.
    pub fn synchronise<S: Simulation>(&mut self, simulation: &mut S) -> Result<Frame, S::Error> {
        let depth = match self.wrong_from.take() {
            Some(wrong) => self.roll_back(wrong, simulation)?,
            None => 0,
        };
        self.confirm(simulation);
        Ok(depth)
    }

    /// Synchronises, then simulates one more frame if it may. `local` is our input of `input_delay` frames
    /// later, and is taken only if a frame was simulated; one of another size than the game's counts as nothing
    /// pressed.
    ///
    /// # Errors
    /// The simulation's own; the game cannot go on here then.
    pub fn advance<S: Simulation>(&mut self, local: Input, simulation: &mut S) -> Result<Advance, S::Error> {
        self.synchronise(simulation)?;
        if self.is_over() {
            let confirmed = self.confirmed == self.frame;
            return Ok(if confirmed { Advance::EpisodeOver } else { Advance::EpisodeEnding });
        }
        if self.frame - self.confirmed >= Frame::from(self.config.window) {
            return Ok(Advance::Waiting { missing: self.missing_at(self.confirmed) });
        }
        self.make_local(self.frame + Frame::from(self.config.input_delay), local);
        self.simulate_next(simulation)
    }

    fn simulate_next<S: Simulation>(&mut self, simulation: &mut S) -> Result<Advance, S::Error> {
        let frame = self.frame;
        let predicted = self.missing_at(frame);
        let simulated = self.frames.get_mut(frame);
        simulated.predicted = predicted;
        simulated.rollback_depth = 0;
        self.step(frame, simulation)?;
        self.frame = frame + 1;
        self.confirm(simulation);
        Ok(Advance::Stepped { frame })
    }

    /// Simulates one more frame if all its inputs are known, without making one of our own: how a game that stands
    /// still makes up what it has missed.
    ///
    /// # Errors
    /// The simulation's own; the game cannot go on here then.
    pub fn advance_known<S: Simulation>(&mut self, simulation: &mut S) -> Result<Advance, S::Error> {
        self.synchronise(simulation)?;
        if self.is_over() {
            let confirmed = self.confirmed == self.frame;
            return Ok(if confirmed { Advance::EpisodeOver } else { Advance::EpisodeEnding });
        }
        let full = self.frame - self.confirmed >= Frame::from(self.config.window);
        if full || self.frame >= self.known_by_all() {
            return Ok(Advance::Waiting { missing: self.missing_at(self.frame) });
        }
        self.simulate_next(simulation)
    }

    /// The next confirmed frame, in order, each once.
    pub fn poll_confirmed(&mut self) -> Option<Confirmed> {
        self.ready.pop()
    }

    /// Our inputs up to that of a frame, unless they are made already: a frame that comes again, because an episode
    /// ended sooner than predicted, keeps the input that peers may hold. It is one input, and a delay's more after
    /// frames that were simulated without making any.
    fn make_local(&mut self, frame: Frame, input: Input) {
        let queue = &mut self.queues[self.config.local.index()];
        let right_size = input.as_bytes().len() == self.config.input_size;
        while queue.end() <= frame {
            queue.push(if right_size { input } else { Input::none(self.config.input_size) });
        }
    }

    /// Restores the state before a frame and simulates anew from there.
    fn roll_back<S: Simulation>(&mut self, wrong: Frame, simulation: &mut S) -> Result<Frame, S::Error> {
        let depth = self.frame - wrong;
        self.rollbacks += 1;
        self.deepest = self.deepest.max(depth);
        simulation.load(self.slot(wrong));
        for frame in wrong..self.frame {
            let simulated = self.frames.get_mut(frame);
            simulated.rollback_depth = simulated.rollback_depth.max(depth as u8);
            self.step(frame, simulation)?;
            if self.ends_with(frame) {
                // The episode ends sooner than it was predicted to: what came after never was.
                self.frame = frame + 1;
                break;
            }
        }
        Ok(depth)
    }

    /// Simulates a frame with what is known and predicted, and saves the state after it.
    fn step<S: Simulation>(&mut self, frame: Frame, simulation: &mut S) -> Result<(), S::Error> {
        let simulated = self.frames.get_mut(frame);
        for (input, queue) in simulated.inputs.iter_mut().zip(&self.queues) {
            *input = queue.get(frame).unwrap_or_else(|| match self.config.prediction {
                Prediction::RepeatLast => queue.last(),
                Prediction::Default => Input::none(self.config.input_size),
            });
        }
        simulated.outcome = simulation.step(frame, &simulated.inputs[..self.queues.len()])?;
        simulation.save(self.slot(frame + 1));
        Ok(())
    }

    /// Confirms every simulated frame whose inputs are all known. Nothing is wrong when this is called.
    fn confirm<S: Simulation>(&mut self, simulation: &S) {
        let known = self.known_by_all().min(self.frame);
        while self.confirmed < known && self.ready.len() < READY {
            let frame = self.confirmed;
            let &Simulated { inputs, outcome, predicted, rollback_depth } = self.frames.get(frame);
            let hash = simulation.hash(self.slot(frame + 1));
            self.ready.push_dropping_oldest(Confirmed {
                frame,
                inputs,
                hash,
                outcome,
                predicted,
                rollback_depth,
            });
            self.confirmed += 1;
        }
    }

    /// Whether the last simulated frame ends the episode, or none has begun.
    fn is_over(&self) -> bool {
        self.episode.is_none_or(|first| self.frame > first && self.ends_with(self.frame - 1))
    }

    /// Whether a simulated frame of the current episode is its last.
    fn ends_with(&self, frame: Frame) -> bool {
        let step = frame - self.episode.unwrap_or(frame);
        self.frames.get(frame).outcome.over || step + 1 >= self.config.max_frames
    }

    fn missing_at(&self, frame: Frame) -> SeatSet {
        Seat::all(self.config.seats).filter(|seat| self.known_until(*seat) <= frame).collect()
    }

    /// Where the state before a frame is kept. The states from the first unconfirmed frame to the next one are
    /// needed: a window of frames has one more state than frames.
    fn slot(&self, frame: Frame) -> usize {
        frame as usize % (usize::from(self.config.window) + 1)
    }
}
