//! Why a peer's inputs are refused (N4).

use base::{Frame, Seat};

/// Why a peer's inputs were refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RemoteInputError {
    /// That seat's inputs are made here, or there is no such seat.
    #[error("seat {0} is not a peer")]
    NotAPeer(Seat),
    /// Frames between the known inputs and these are missing; nothing was taken.
    #[error("inputs begin at frame {first}, but only those before frame {known} are known")]
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
    /// Further ahead than any peer can be; nothing from here on was taken.
    #[error("frame {frame} is further ahead than a peer can be")]
    TooFarAhead {
        /// The frame.
        frame: Frame,
    },
    /// The input has another size than the game's inputs; nothing from here on was taken.
    #[error("the input of frame {frame} has the wrong size")]
    WrongSize {
        /// The frame.
        frame: Frame,
    },
}
