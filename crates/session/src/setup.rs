//! What a session is made from, checked once.

use base::{FRAME_LIMIT, MAX_INPUT_BYTES, MAX_SEATS, Seat, SeatSet};
use wire::control::{GameRules, GameStart};

/// One seat of one game.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// This seat.
    pub seat: Seat,
    /// How many seats there are, 1 to 8.
    pub seats: u8,
    /// The game's number, in every packet.
    pub epoch: u32,
    /// The game's seed.
    pub seed: u64,
    /// How the game runs.
    pub rules: GameRules,
    /// Seats whose links are the server lane alone.
    pub relayed: SeatSet,
    /// Bytes of an input, from the environment's manifest.
    pub input_size: usize,
    /// Each seat's incarnation as the page is made.
    pub incarnations: [u8; MAX_SEATS],
}

/// Why there can be no such game.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SetupError {
    /// A value is out of its range.
    #[error("a game cannot have {field} = {value}: it must be {range}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it was.
        value: u64,
        /// What would be right.
        range: &'static str,
    },
    /// The rollback core refused it.
    #[error(transparent)]
    Rollback(#[from] rollback::ConfigError),
}

impl Setup {
    /// What the server has told of a game, with its environment's bytes of an input. A seat of which no incarnation was told has
    /// its first.
    #[must_use]
    pub fn of(start: &GameStart, input_size: usize) -> Self {
        let mut incarnations = [0; MAX_SEATS];
        for (known, told) in incarnations.iter_mut().zip(&start.incarnations) {
            *known = *told;
        }
        Self {
            seat: start.seat,
            seats: start.seats,
            epoch: start.epoch,
            seed: start.seed.0,
            rules: start.rules,
            relayed: start.relayed,
            input_size,
            incarnations,
        }
    }

    /// # Errors
    /// Names the field and what would be right.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let rules = &self.rules;
        let frames = u64::from(rules.max_frames) * u64::from(rules.episodes);
        let checks = [
            ("seats", u64::from(self.seats), (1..=8).contains(&self.seats), "1 to 8"),
            ("seat", u64::from(self.seat.number()), self.seat.number() < self.seats, "less than seats"),
            ("fps", u64::from(rules.fps), (1..=240).contains(&rules.fps), "1 to 240"),
            ("window", u64::from(rules.window), (1..=16).contains(&rules.window), "1 to 16"),
            ("inputDelay", u64::from(rules.input_delay), rules.input_delay <= 8, "0 to 8"),
            ("graceMs", u64::from(rules.grace_millis), rules.grace_millis >= 500, "at least 500"),
            ("episodes", u64::from(rules.episodes), rules.episodes > 0, "at least 1"),
            ("maxFrames", u64::from(rules.max_frames), rules.max_frames > 0, "at least 1"),
            (
                "episodes × maxFrames",
                frames,
                frames < u64::from(FRAME_LIMIT) - 64,
                "fewer than 16,777,152 frames in all",
            ),
            (
                "inputBytes",
                self.input_size as u64,
                (1..=MAX_INPUT_BYTES).contains(&self.input_size),
                "1 to 16",
            ),
        ];
        match checks.into_iter().find(|&(_, _, good, _)| !good) {
            Some((field, value, _, range)) => Err(SetupError::Field { field, value, range }),
            None => Ok(()),
        }
    }
}
