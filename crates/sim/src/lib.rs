//! Participants' sessions in virtual time, on a network that fails as a seed says.
//!
//! [`run`] plays one game: real [`session::Session`]s, each with a clock of its own, exchange packets over
//! [`network`] and upload to [`server`]. Nothing reads a clock or asks for entropy, so a seed repeats a run
//! exactly, and a minute of play takes some milliseconds.
//!
//! ```text
//!  Conditions::of(seed) ─► run ─► Outcome ─► check::all
//!                           │
//!          seats ◄─ packets ─► network      loss, delay, jitter, repeats, one-way cuts
//!            └──── batches ──► server       lost batches, lost, late and repeated answers
//! ```
//!
//! Faults stop at a moment that the conditions name; from then on the game must end within a bound.
//!
//! [`whole`] is the whole system: pages that are loaded anew, a server that is killed, and everything that brings a
//! game back.
//!
//! What must hold of every outcome is in [`check`], one property a file. What an attacker sends is in [`attack`].

pub mod attack;
mod chaos;
pub mod check;
mod conditions;
pub mod network;
mod outcome;
mod run;
mod seat;
pub mod server;
pub mod whole;

pub use chaos::{Chaos, Ending};
pub use conditions::Conditions;
pub use outcome::{Outcome, SeatOutcome};
pub use run::run;
