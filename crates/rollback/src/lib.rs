//! The rollback core: inputs, prediction, snapshots, confirmed frames and hashes. It knows no network and no
//! clock.
//!
//! Every frame needs one input of every seat. A seat's own inputs are made [`Config::input_delay`] frames ahead;
//! the others' come when they come. A frame whose inputs have not all come is simulated with predicted ones, at
//! most [`Config::window`] frames past the first unconfirmed frame. When an input comes that is not the predicted
//! one, the state before its frame is restored and everything from there on is simulated anew.
//!
//! ```text
//!        confirmed        wrong_from          frame
//!   ─────────┼────────────────┼─────────────────┼──────►
//!    inputs  │  inputs known  │  simulated with │ next to
//!    known,  │  or predicted  │  what turned    │ simulate
//!    hashed  │  rightly       │  out wrong      │
//! ```
//!
//! The simulation keeps the states: the one before frame *f* is in slot *f* mod (`window` + 1), so a state is
//! overwritten only when its frame is confirmed. A frame's hash is taken once, when it is confirmed.
//!
//! An episode ends with the frame after which the environment says so, or with its `max_frames`-th. Nothing is
//! simulated past such a frame before it is confirmed (N6), because what follows begins from another state; a
//! prediction may have ended the episode wrongly, and a rollback then reopens it, or ends it sooner. Frames that
//! a sooner end takes back are simulated again in the next episode, with the inputs that were made for them:
//! peers may have those already.
//!
//! Invariants, all checked by the tests:
//! - `confirmed` ≤ `frame` ≤ `confirmed` + `window`; `confirmed` never goes back;
//! - a known input never changes, whatever a peer sends (N4);
//! - what is confirmed is what a serial run of the same inputs gives.
//!
//! A game that stands still makes up what it has missed with [`Rollback::advance_known`], which makes no input of
//! its own; so does a page that has lost its memory, from the first frame on.
//!
//! After the first frames nothing is allocated: queues and rings have their size from the beginning, and bound
//! what a peer can make us keep (N4).

mod config;
mod confirmed;
mod core;
mod error;
mod frames;
mod inputs;
mod simulation;
mod slots;

pub use crate::config::{Config, ConfigError, MAX_INPUT_DELAY, MAX_WINDOW, Prediction};
pub use crate::confirmed::Confirmed;
pub use crate::core::{Advance, Rollback, Standing};
pub use crate::error::RemoteInputError;
pub use crate::simulation::{Environment, Simulation, StepOutcome};
pub use crate::slots::Slots;
