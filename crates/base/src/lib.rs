//! What every other crate stands on: identifiers, time as a value, seeded randomness, bounded queues and the
//! hash of a state.
//!
//! Nothing here reads a clock, asks for entropy or allocates without a bound. Time and seeds come in as
//! arguments, so that the same machine runs in a browser, on the server and in a simulator.

mod hash;
mod id;
mod input;
mod queue;
mod rng;
mod seat;
mod time;

pub use hash::{StateHash, hash_state};
pub use id::{GameId, ParseIdError, ParticipantId, VisitId};
pub use input::{Input, MAX_INPUT_BYTES};
pub use queue::BoundedQueue;
pub use rng::{Rng, derive_seed};
pub use seat::{MAX_SEATS, Seat, SeatSet};
pub use time::{Deadline, Timestamp, WallTime, earliest};

/// A frame's number, counted from 0 through the whole game (N6).
pub type Frame = u32;

/// The first frame number that is refused. 2²⁴ frames are 77 hours at 60 frames a second; staying this far
/// below the type's end means that no sum of a frame and a window can overflow.
pub const FRAME_LIMIT: Frame = 1 << 24;
