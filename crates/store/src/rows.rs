//! What is stored, as the callers see it.

use base::{Frame, GameId, ParticipantId, Seat, VisitId, WallTime};
use serde_json::{Map, Value};
use wire::batch::{EventRecord, FrameRecord};
use wire::control::{GameRules, TerminationReason};

/// A visit that begins.
#[derive(Clone, PartialEq, Debug)]
pub struct NewVisit {
    /// The visit.
    pub visit: VisitId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The experiment's id.
    pub experiment: String,
    /// The version of the experiment that the visit keeps (S2), in hex.
    pub experiment_sha256: String,
    /// What the entry link carried: ids of platforms (S5). Exported only when asked for (D4).
    pub entry: Map<String, Value>,
    /// When it began.
    pub created: WallTime,
}

/// A visit as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct VisitRow {
    /// The visit.
    pub visit: VisitId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The experiment's id.
    pub experiment: String,
    /// The version of the experiment, in hex.
    pub experiment_sha256: String,
    /// What the entry link carried.
    pub entry: Map<String, Value>,
    /// The index of the current scene.
    pub scene: u32,
    /// How the visit ended, once it has.
    pub ended: Option<TerminationReason>,
    /// When it began.
    pub created: WallTime,
}

/// A game that is formed.
#[derive(Clone, PartialEq, Debug)]
pub struct NewGame {
    /// The game.
    pub game: GameId,
    /// The experiment's id.
    pub experiment: String,
    /// The version of the experiment, in hex.
    pub experiment_sha256: String,
    /// The scene that it belongs to.
    pub scene: String,
    /// The prepared module's SHA-256, in hex.
    pub environment_sha256: String,
    /// Marks the game's packets.
    pub epoch: u32,
    /// The game's seed.
    pub seed: u64,
    /// How it runs.
    pub rules: GameRules,
    /// Bytes of one seat's input in one frame.
    pub input_size: usize,
    /// Who sits where: one visit a seat, by seat; 1 to 8.
    pub seats: Vec<VisitId>,
    /// When it was formed.
    pub created: WallTime,
}

/// A visit's place in a game.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatRow {
    /// The seat.
    pub seat: Seat,
    /// How many seats the game has.
    pub seats: u8,
    /// Bytes of one seat's input in one frame.
    pub input_size: usize,
}

/// How a seat's game ended (X5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatEnding {
    /// Why.
    pub reason: TerminationReason,
    /// The frame that would have been next.
    pub frame: Frame,
    /// When.
    pub at: WallTime,
    /// Whether frames that the game should have had are missing.
    pub is_partial: bool,
}

/// A frame as one reporter told it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredFrame {
    /// The frame.
    pub frame: Frame,
    /// The seat whose page told it.
    pub reporter: Seat,
    /// That page's incarnation (N5).
    pub incarnation: u8,
    /// Each seat's incarnation in this frame.
    pub incarnations: Vec<u8>,
    /// 0 for what came first; from 1 on, what the same page told differently later (D2).
    pub version: u32,
    /// What it told.
    pub record: FrameRecord,
}

/// An event as one reporter told it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEvent {
    /// The seat whose page told it.
    pub reporter: Seat,
    /// That page's incarnation.
    pub incarnation: u8,
    /// As in [`StoredFrame::version`].
    pub version: u32,
    /// What it told.
    pub record: EventRecord,
}

/// Something that the server saw happen in a game.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerEvent {
    /// The seat that it is about.
    pub seat: Option<Seat>,
    /// Its name.
    pub kind: String,
    /// More of it.
    pub detail: Value,
    /// When.
    pub at: WallTime,
}
