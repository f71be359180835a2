//! What the page and its tests may know of a running game (H3).

use core::time::Duration;

use base::{Frame, Seat, StateHash};
use link::{Lane, PathQuality, Quality};

use crate::recorder::UploadStatus;

/// A seat's view of its game.
#[derive(Clone, PartialEq, Debug)]
pub struct Status {
    /// The current episode, from 0.
    pub episode: u32,
    /// The frame within the episode that is simulated next.
    pub step: Frame,
    /// The frame of the game that is simulated next.
    pub frame: Frame,
    /// Every frame before this one is confirmed.
    pub confirmed_frame: Frame,
    /// The newest confirmed frame and the hash of the state after it.
    pub hash: Option<(Frame, StateHash)>,
    /// Ticks on which no frame could be simulated because inputs were missing.
    pub stalled_frames: u64,
    /// Ticks on which the game stood still because it was paused.
    pub paused_frames: u64,
    /// How often frames were simulated anew.
    pub rollbacks: u64,
    /// Peers' hashes that were compared with ours.
    pub compared_hashes: u64,
    /// Those that differed.
    pub desyncs: u64,
    /// This seat's confirmed rewards in this episode.
    pub score: f64,
    /// Between episodes: how long until the next begins.
    pub intermission: Option<Duration>,
    /// Whether the last episode is over.
    pub finished: bool,
    /// Where the seat stands between playing and the end.
    pub phase: SeatPhase,
    /// Until the game goes on, once everyone is back.
    pub countdown: Option<Duration>,
    /// The links.
    pub peers: Vec<PeerStatus>,
    /// The record's way to the server.
    pub uploads: UploadStatus,
}

/// Where a seat stands (P).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeatPhase {
    /// It plays, or is about to.
    Connected,
    /// It has lost the others, and the server has not said that all stand still.
    Pausing,
    /// All stand still.
    Paused,
    /// State is coming in, or a path is being made again.
    Reconnecting,
    /// The game is over for it.
    Terminated,
}

impl SeatPhase {
    /// The name in snapshots and in the data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Reconnecting => "reconnecting",
            Self::Terminated => "terminated",
        }
    }
}

/// One link's state.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PeerStatus {
    /// The seat at the other end.
    pub peer: Seat,
    /// How good the path of the lane in use is.
    pub path: PathQuality,
    /// The lane in use; none while the peer is lost.
    pub active: Option<Lane>,
    /// Whether the direct lane is not to be relied on.
    pub is_suspect: bool,
    /// The grade of the lane in use, which changes slowly.
    pub grade: Option<Quality>,
    /// How many ICE restarts were begun here.
    pub restarts: u32,
}
