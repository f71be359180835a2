//! The SDK with which an environment is written: see docs/environments.md.
//!
//! ```standalone_crate
//! use guest::{Actions, DrawList, Environment, Observation, Outcome};
//!
//! struct Count(u32);
//!
//! impl Environment for Count {
//!     const MANIFEST: &'static str = r#"{"abi": 1, "name": "Count", "seats": [1, 2], "size": [100, 100],
//!         "input_bytes": 1, "buttons": ["up"], "observation": ["count"]}"#;
//!     const INPUT_BYTES: usize = 1;
//!
//!     fn reset(_seats: u8, _episode: u32, _seed: u64) -> Self {
//!         Self(0)
//!     }
//!
//!     fn step(&mut self, _frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
//!         if actions.button(0, 0) {
//!             self.0 += 1;
//!             outcome.reward(0, 1.0);
//!         }
//!         self.0 == 10
//!     }
//!
//!     fn observe(&self, _seat: u8, observation: &mut Observation) {
//!         observation.push(f64::from(self.0));
//!     }
//!
//!     fn draw(&self, _seat: u8, list: &mut DrawList) {
//!         list.colour(0x3366_99ff).circle(50.0, 50.0, 5.0 + self.0 as f32);
//!     }
//! }
//!
//! guest::environment!(Count);
//! # fn main() {}
//! ```

#![cfg_attr(not(test), no_std)]

/// The guide, whose example is compiled and run like any other.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/environments.md")]
struct Guide;

mod draw;
mod random;

pub use draw::{Align, DrawList};
pub use random::Random;

/// The most seats of a game.
pub const MAX_SEATS: usize = 8;

/// The most bytes of one seat's input.
pub const MAX_INPUT_BYTES: usize = 16;

/// The most options that an environment may have.
pub const MAX_OPTIONS: usize = 64;

/// The most numbers that a seat observes, infos among them.
pub const MAX_OBSERVATION: usize = 512;

/// A deterministic environment. All its state is in the value (and in what it allocates): the runner saves and
/// restores it by copying memory.
pub trait Environment: Sized {
    /// The manifest, as JSON.
    const MANIFEST: &'static str;
    /// The manifest's `input_bytes`.
    const INPUT_BYTES: usize;

    /// Begins an episode. Randomness comes from the seed alone.
    fn reset(seats: u8, episode: u32, seed: u64) -> Self;
    /// Takes the options that the experiment has set, right after [`Environment::reset`]: the manifest's `options`, in their
    /// order.
    fn configure(&mut self, _options: &[f64]) {}
    /// Plays one frame. True ends the episode.
    fn step(&mut self, frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool;
    /// What a seat observes: the manifest's `observation`, then its `info`.
    fn observe(&self, seat: u8, observation: &mut Observation);
    /// What a seat sees.
    fn draw(&self, seat: u8, list: &mut DrawList);
}

/// Every seat's input of one frame.
#[repr(C, align(8))]
pub struct Actions {
    bytes: [u8; MAX_SEATS * MAX_INPUT_BYTES],
    size: usize,
}

impl Actions {
    /// No input, of a size.
    #[must_use]
    pub const fn none(size: usize) -> Self {
        Self { bytes: [0; MAX_SEATS * MAX_INPUT_BYTES], size }
    }

    /// A seat's bytes.
    #[must_use]
    pub fn bytes(&self, seat: u8) -> &[u8] {
        let start = usize::from(seat) * self.size;
        &self.bytes[start..start + self.size]
    }

    /// Whether a seat holds the button of a number (the manifest's order).
    #[must_use]
    pub fn button(&self, seat: u8, number: usize) -> bool {
        self.bytes(seat).get(number / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
    }
}

/// What a step gave each seat.
#[repr(C, align(8))]
pub struct Outcome([SeatOutcome; MAX_SEATS]);

#[derive(Clone, Copy)]
#[repr(C)]
struct SeatOutcome {
    reward: f64,
    flags: u32,
    reserved: u32,
}

impl Outcome {
    /// Nothing for anyone.
    #[must_use]
    pub const fn none() -> Self {
        Self([SeatOutcome { reward: 0.0, flags: 0, reserved: 0 }; MAX_SEATS])
    }

    /// Adds to a seat's reward.
    pub fn reward(&mut self, seat: u8, reward: f64) {
        self.0[usize::from(seat)].reward += reward;
    }

    /// The seat's episode came to its natural end.
    pub fn terminate(&mut self, seat: u8) {
        self.0[usize::from(seat)].flags |= 1;
    }

    /// The seat's episode was cut off.
    pub fn truncate(&mut self, seat: u8) {
        self.0[usize::from(seat)].flags |= 2;
    }
}

/// The numbers that a seat observes.
pub struct Observation {
    numbers: [f64; MAX_OBSERVATION],
    count: usize,
}

impl Observation {
    /// None yet.
    #[must_use]
    pub const fn none() -> Self {
        Self { numbers: [0.0; MAX_OBSERVATION], count: 0 }
    }

    /// Adds the next number; past [`MAX_OBSERVATION`] it is dropped.
    pub fn push(&mut self, number: f64) {
        if let Some(place) = self.numbers.get_mut(self.count) {
            *place = number;
            self.count += 1;
        }
    }

    /// Those that were pushed.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.numbers[..self.count]
    }
}

/// What the runner reads an address and a length from.
#[doc(hidden)]
#[repr(C)]
pub struct Slice(pub u32, pub u32);

/// The exports' state. One a module; WebAssembly runs it on one thread.
#[doc(hidden)]
pub struct Module<E> {
    pub environment: Option<E>,
    pub actions: Actions,
    pub outcome: Outcome,
    pub slice: Slice,
}

/// Exports an [`Environment`] through the interface of docs/environments.md.
#[macro_export]
macro_rules! environment {
    ($environment:ty) => {
        const _: () = {
            use $crate::{Actions, DrawList, Environment, Module, Observation, Outcome, Slice};

            static mut MODULE: Module<$environment> = Module {
                environment: None,
                actions: Actions::none(<$environment as Environment>::INPUT_BYTES),
                outcome: Outcome::none(),
                slice: Slice(0, 0),
            };
            static mut DRAWING: DrawList = DrawList::new();
            static mut OBSERVATION: Observation = Observation::none();
            // Written by the runner, which knows how many there are; read at the beginning of each episode.
            static mut OPTIONS: [f64; $crate::MAX_OPTIONS] = [0.0; $crate::MAX_OPTIONS];

            // SAFETY (all exports): the runner calls one at a time, and none calls another.
            fn module() -> &'static mut Module<$environment> {
                unsafe { &mut *core::ptr::addr_of_mut!(MODULE) }
            }

            fn slice<T>(items: &[T]) -> u32 {
                let module = module();
                module.slice = Slice(items.as_ptr() as usize as u32, items.len() as u32);
                core::ptr::addr_of!(module.slice) as usize as u32
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_manifest() -> u32 {
                slice(<$environment as Environment>::MANIFEST.as_bytes())
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_actions() -> u32 {
                core::ptr::addr_of!(module().actions) as usize as u32
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_outcome() -> u32 {
                core::ptr::addr_of!(module().outcome) as usize as u32
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_reset(seats: u32, episode: u32, seed_low: u32, seed_high: u32) {
                let seed = u64::from(seed_high) << 32 | u64::from(seed_low);
                let mut environment = <$environment>::reset(seats as u8, episode, seed);
                let options = unsafe { core::ptr::addr_of!(OPTIONS).read_volatile() };
                environment.configure(&options);
                module().environment = Some(environment);
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_options() -> u32 {
                core::ptr::addr_of!(OPTIONS) as usize as u32
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_step(frame: u32) -> u32 {
                let Module { environment, actions, outcome, .. } = module();
                *outcome = Outcome::none();
                environment.as_mut().map_or(1, |playing| u32::from(playing.step(frame, actions, outcome)))
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_observe(seat: u32) -> u32 {
                let observation = unsafe { &mut *core::ptr::addr_of_mut!(OBSERVATION) };
                *observation = Observation::none();
                if let Some(environment) = &module().environment {
                    environment.observe(seat as u8, observation);
                }
                slice(observation.as_slice())
            }

            #[unsafe(no_mangle)]
            extern "C" fn interplay_draw(seat: u32) -> u32 {
                let list = unsafe { &mut *core::ptr::addr_of_mut!(DRAWING) };
                list.clear();
                if let Some(environment) = &module().environment {
                    environment.draw(seat as u8, list);
                }
                slice(list.as_bytes())
            }
        };
    };
}
