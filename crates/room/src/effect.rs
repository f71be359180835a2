//! What the driver is to do, in order.

use base::{Frame, GameId, Seat, VisitId};
use wire::close::CloseCode;
use wire::control::{Exit, GameRules, ServerMessage, TerminationReason, VisitEnding};
use wire::form::Answers;

use crate::agent::Agent;
use crate::check::{CheckId, CheckResult};
use crate::screening::Screened;
use crate::visit::Progress;

/// Something to do. All that one call wants written belongs into one commit, and is told after it (C3).
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Tell a visit's connection, if it has one.
    Send {
        /// Whom.
        visit: VisitId,
        /// What.
        message: ServerMessage,
    },
    /// Close a visit's connection.
    Close {
        /// Whose.
        visit: VisitId,
        /// Why.
        code: CloseCode,
    },
    /// Write down how far a visit has come.
    Progress {
        /// Whose.
        visit: VisitId,
        /// How far.
        progress: Progress,
    },
    /// Delete everything that was written down of a visit but its progress (S7).
    Delete {
        /// Which.
        visit: VisitId,
    },
    /// Write down that a visit has ended, for whoever wants to hear of it (S5).
    VisitEnded {
        /// Which.
        visit: VisitId,
        /// How.
        ending: VisitEnding,
        /// What the participant is sent away with; what the entry link brought is still to be put in, by
        /// [`with_entry`](crate::with_entry), for whoever may read it.
        exit: Option<Exit>,
    },
    /// Somebody was looked at who has come (X1); what was found is written down with how far the visit has come.
    Screened {
        /// Whose visit.
        visit: VisitId,
        /// What the connection's headers said.
        agent: Agent,
        /// What was found.
        screened: Screened,
    },
    /// Write down what a participant has answered.
    Answers {
        /// Whose visit.
        visit: VisitId,
        /// The scene's passage: its id, and behind the first one a number.
        scene: String,
        /// By the fields' names.
        answers: Answers,
    },
    /// Write down a game.
    CreateGame(Box<NewGame>),
    /// Write down that a game's group did not come about: it is no game, and nobody sits in it.
    CancelGame {
        /// Which.
        game: GameId,
        /// How many seats it had.
        seats: u8,
    },
    /// Write down how a seat ended.
    EndSeat {
        /// Which game.
        game: GameId,
        /// Which seat.
        seat: Seat,
        /// How.
        ending: SeatEnding,
    },
    /// Write down where a game stands, so that a server that is killed goes on with it; none when it is over.
    SaveGame {
        /// Which game.
        game: GameId,
        /// As JSON.
        state: Option<String>,
    },
    /// Write down that a seat's page has lost its memory: what the old one said from a frame on is void (N5).
    Fence {
        /// Which game.
        game: GameId,
        /// Which seat.
        seat: Seat,
        /// The new page's incarnation.
        incarnation: u8,
        /// The first frame whose input is the new page's.
        cut_frame: Frame,
    },
    /// Read how far the durable record of a game goes, and tell [`crate::Stager::handle_history`].
    AskHistory {
        /// Which game.
        game: GameId,
    },
    /// Ask the study's own check, and tell [`crate::Stager::handle_check`].
    AskCheck {
        /// Which question.
        check: CheckId,
        /// Where.
        url: String,
        /// How long the answer may take, in milliseconds; after that it changes nothing.
        deadline_millis: u32,
        /// What to ask.
        question: serde_json::Value,
    },
    /// What came of a question to the study's own check.
    Checked {
        /// About whom it was.
        visit: VisitId,
        /// What.
        result: CheckResult,
    },
    /// Write down what a visit came to on its way (S1).
    RecordVisit {
        /// Whose way.
        visit: VisitId,
        /// What: `scene`, `order`, `passed_over`, `condition`, `released` or `game`.
        kind: &'static str,
        /// Its name: of a scene, its passage's.
        name: String,
        /// What more there is to say.
        detail: serde_json::Value,
    },
    /// Write down what happened in a game.
    Record {
        /// Which game.
        game: GameId,
        /// At which seat.
        seat: Option<Seat>,
        /// What, in one word.
        kind: &'static str,
        /// What more there is to say.
        detail: serde_json::Value,
    },
}

/// A game that begins.
#[derive(Clone, PartialEq, Debug)]
pub struct NewGame {
    /// The game.
    pub game: GameId,
    /// The version of the experiment.
    pub experiment_sha256: String,
    /// The scene's id.
    pub scene: String,
    /// The prepared environment.
    pub environment_sha256: String,
    /// Its options.
    pub options: Vec<f64>,
    /// What marks its packets.
    pub epoch: u32,
    /// Its seed.
    pub seed: u64,
    /// How it runs.
    pub rules: GameRules,
    /// Bytes of an input.
    pub input_size: usize,
    /// Who sits where.
    pub seats: Vec<VisitId>,
}

/// How a seat ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatEnding {
    /// Why.
    pub reason: TerminationReason,
    /// The frame that would have been next there, as far as the server knows.
    pub frame: Frame,
    /// Whether the game was not played to its end.
    pub is_partial: bool,
}
