//! How a rollback core is set up, checked once.

use base::{FRAME_LIMIT, Frame, MAX_INPUT_BYTES, Seat};

/// The most frames of input delay (N1).
pub const MAX_INPUT_DELAY: u8 = 8;

/// The longest prediction window, in frames (N1).
pub const MAX_WINDOW: u8 = 16;

/// What an input that has not come yet is taken for (N1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Prediction {
    /// That seat's last known input.
    #[default]
    RepeatLast,
    /// Nothing pressed.
    Default,
}

/// One seat's view of one game.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How many seats play, 1 to 8.
    pub seats: u8,
    /// The seat whose inputs are made here.
    pub local: Seat,
    /// Bytes of one input, 0 to 16.
    pub input_size: usize,
    /// Frames between an input and its effect, 0 to 8.
    pub input_delay: u8,
    /// The most frames simulated past the last confirmed one, 1 to 16.
    pub window: u8,
    /// What a missing input is taken for.
    pub prediction: Prediction,
    /// The frames of an episode that the environment does not end sooner.
    pub max_frames: Frame,
}

/// A value that a core cannot work with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field} is {value}; it must be {range}")]
pub struct ConfigError {
    field: &'static str,
    value: u64,
    range: &'static str,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let seat = self.local.number();
        let checks = [
            ("seats", u64::from(self.seats), (1..=8).contains(&self.seats), "1 to 8"),
            ("local", u64::from(seat), seat < self.seats, "less than seats"),
            ("input_size", self.input_size as u64, self.input_size <= MAX_INPUT_BYTES, "at most 16 bytes"),
            ("input_delay", u64::from(self.input_delay), self.input_delay <= MAX_INPUT_DELAY, "0 to 8"),
            ("window", u64::from(self.window), (1..=MAX_WINDOW).contains(&self.window), "1 to 16"),
            (
                "max_frames",
                u64::from(self.max_frames),
                (1..FRAME_LIMIT).contains(&self.max_frames),
                "1 to 16777215",
            ),
        ];
        match checks.into_iter().find(|&(_, _, good, _)| !good) {
            Some((field, value, _, range)) => Err(ConfigError { field, value, range }),
            None => Ok(()),
        }
    }
}
