//! The rollback core against a serial run of the same inputs, against hostile peers, and against ggrs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod episodes;
mod forced;
mod ggrs;
mod refusals;
mod resume;
mod schedules;
mod serial;
mod toy;

use base::{Frame, Seat};
use rollback::{Config, Prediction};

/// The seat of a number below 8.
fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

/// A common game of two, seen from seat 0: two frames of delay, a window of eight.
fn two_seats() -> Config {
    Config {
        seats: 2,
        local: seat(0),
        input_size: 1,
        input_delay: 2,
        window: 8,
        prediction: Prediction::RepeatLast,
        max_frames: Frame::MAX >> 8,
    }
}
