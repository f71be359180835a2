//! What a server's machine has decided, written down in one transaction: all of it is durable, or nothing (C3).

use base::{Frame, GameId, Seat, VisitId, WallTime};
use wire::control::{Exit, VisitEnding};
use wire::form::Answers;

use crate::database::Connection;
use crate::forget::Forget;
use crate::{NewGame, SeatEnding, StoreError, forget, live, path, rows, visit_events};

/// One thing to write down.
#[derive(Clone, Debug)]
pub enum Write {
    /// How far a visit has come.
    Progress {
        /// Whose.
        visit: VisitId,
        /// The index of its scene.
        scene: u32,
        /// How it ended, if it has.
        ended: Option<VisitEnding>,
        /// Its condition, if it has one.
        condition: Option<String>,
        /// For [`crate::VisitRow::progress`].
        progress: String,
        /// When.
        at: WallTime,
    },
    /// What a visit came to on its way.
    Path {
        /// Whose way.
        visit: VisitId,
        /// What, in one word.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What more there is to say.
        detail: serde_json::Value,
        /// When.
        at: WallTime,
    },
    /// A visit has ended: the study's own server is to hear of it.
    VisitEnded {
        /// Which.
        visit: VisitId,
        /// How.
        ending: VisitEnding,
        /// What the participant is sent away with.
        exit: Option<Exit>,
        /// When.
        at: WallTime,
        /// When it may be told.
        due: WallTime,
    },
    /// Everything goes that was written down of a visit (S7) but its progress, as far as nobody else needs it.
    Delete {
        /// Which.
        visit: VisitId,
        /// Whether who is still to hear of the visit's end is told who it was.
        tells_who: bool,
        /// When.
        at: WallTime,
    },
    /// What a participant has answered in a scene; said again, the last word stands.
    Answers {
        /// Whose visit.
        visit: VisitId,
        /// The scene's id.
        scene: String,
        /// By the fields' names.
        answers: Answers,
        /// When.
        at: WallTime,
    },
    /// A game and who sits in it.
    CreateGame(Box<NewGame>),
    /// A game's group did not come about: it is no game, and nobody sits in it.
    CancelGame {
        /// Which.
        game: GameId,
        /// When.
        at: WallTime,
    },
    /// How a seat ended; the first ending stands.
    EndSeat {
        /// Which game.
        game: GameId,
        /// Which seat.
        seat: Seat,
        /// How.
        ending: SeatEnding,
    },
    /// What the server saw or was told.
    ServerEvent {
        /// In which game.
        game: GameId,
        /// At which seat, if at one.
        seat: Option<Seat>,
        /// What, in one word.
        kind: &'static str,
        /// What more there is to say.
        detail: serde_json::Value,
        /// When.
        at: WallTime,
    },
    /// Where a game stands.
    SaveGame {
        /// Which game.
        game: GameId,
        /// For [`crate::LiveGame::state`]; none when the game is over.
        state: Option<String>,
        /// When.
        at: WallTime,
    },
    /// A seat's page has lost its memory: from a frame on, what older pages report is void (N5). Said again of the same
    /// incarnation, the last word stands.
    Fence {
        /// Which game.
        game: GameId,
        /// Which seat.
        seat: Seat,
        /// The new page's.
        incarnation: u8,
        /// The first frame whose input is the new page's.
        cut_frame: Frame,
    },
}

pub(crate) fn apply(connection: &mut Connection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Progress { visit, scene, ended, condition, progress, at } => {
            rows::set_progress(connection, *visit, (*scene, *ended), condition.as_deref(), progress, *at)
        }
        Write::Path { visit, kind, name, detail, at } => {
            path::insert(connection, *visit, (kind, name), detail, *at)
        }
        Write::VisitEnded { visit, ending, exit, at, due } => {
            visit_events::insert(connection, *visit, (*ending, exit.as_ref()), (*at, *due))
        }
        Write::Delete { visit, tells_who, at } => {
            let forget = Forget { tells_who: *tells_who, ..Forget::default() };
            forget::visit(connection, *visit, forget, *at)
        }
        Write::Answers { visit, scene, answers, at } => {
            rows::put_answers(connection, *visit, scene, answers, *at)
        }
        Write::CreateGame(new) => rows::insert_game(connection, new),
        Write::CancelGame { game, at } => rows::cancel_game(connection, *game, *at),
        Write::EndSeat { game, seat, ending } => rows::end_seat(connection, *game, *seat, *ending),
        Write::ServerEvent { game, seat, kind, detail, at } => {
            rows::insert_server_event(connection, *game, *seat, kind, detail, *at)
        }
        Write::SaveGame { game, state, at } => live::save(connection, *game, state.as_deref(), *at),
        Write::Fence { game, seat, incarnation, cut_frame } => {
            rows::put_fence(connection, *game, *seat, *incarnation, *cut_frame)
        }
    }
}
