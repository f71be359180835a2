//! The whole system in virtual time: participants' pages, their links, the server's machines and its store, on a
//! network and machines that fail as a plan says.
//!
//! ```text
//!            Plan::of(seed): the game and its troubles
//!                               │
//!   page ── packets ──► pairs ──┤── packets ──► page        session, link, rollback: the real ones
//!     │                         │                 │
//!     └── control ──► socket ──► server ◄─────────┘         stager, game, log: the real ones
//!     └── uploads ─────────────► store                      a model of SQLite: commits take time, and are cut off
//! ```
//!
//! A page that is loaded anew has lost everything but its browser's storage; a server that is killed has lost
//! everything but its store. Each has a clock of its own. What must hold of every run is in [`check`], one property a
//! file; each is tested against a machine that was broken on purpose ([`Sabotage`]).
//!
//! What is modelled, and not the real thing: the browser's side of the control WebSocket and of `RTCPeerConnection`,
//! the disk, and the store's tables.

mod channel;
pub mod check;
mod many;
mod outcome;
mod page;
mod plan;
mod run;
mod server;
mod shrink;
mod store;

pub use many::{Many, many};
pub use outcome::Outcome;
pub use plan::{Fault, Plan, Sabotage, Trouble};
pub use run::run;
pub use shrink::shrink;
