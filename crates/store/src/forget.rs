//! Forgetting people (D5): everything that was written down of a visit goes, but that there was one and how it ended.
//!
//! A game has a record for all who sat in it, and whoever plays on cannot be played again without the inputs of those
//! who have gone. So of a game with others in it what the forgotten one's own pages reported goes, but for the inputs of
//! frames of which nobody else told; nothing says whose they were. A game that nobody else sat in goes whole.
//! What is of a game that is still on goes when it is over: until then a page that comes back needs it (P5).

use core::ops::ControlFlow;

use base::{GameId, Seat, VisitId, WallTime};

use crate::StoreError;
use crate::database::{Connection, values};
use crate::rows::{IS_DELETED, is_bot, json, parse, seat, time};

/// What there is of a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Belongings {
    /// Answers to questions.
    pub answers: u64,
    /// Seats in games.
    pub seats: u64,
    /// How many of those games are still on.
    pub on: u64,
}

/// What is to be done beside deleting everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forget {
    /// Delete how far the visit has come; whoever holds its token is a stranger then.
    pub progress: bool,
    /// Delete the games that others sat in, too.
    pub games: bool,
    /// Whoever is still to hear of the visit's end is told who it was, and has to delete it in their turn.
    pub tells_who: bool,
}

/// Whose visit it was, of one that is forgotten.
const NOBODY: &str = "00000000000000000000000000000000";

/// What pages report of themselves and the server keeps. What says when who was missing is the game's.
const REPORTS: &str = "'p2p_connection_type', 'p2p_quality', 'p2p_desync', 'game_failed', 'link_checked', 'tab_hidden', 'tab_shown'";

/// Counts what there is of a visit.
pub(crate) fn belongings(connection: &mut Connection, visit: VisitId) -> Result<Belongings, StoreError> {
    let id = &visit.to_string();
    let mut count = |sql| {
        Ok::<u64, StoreError>(
            connection.first(sql, &values![id], |row| row.get::<u32>(0))?.unwrap_or(0).into(),
        )
    };
    Ok(Belongings {
        answers: count("SELECT count(*) FROM answers WHERE visit = ?1")?,
        seats: count("SELECT count(*) FROM seats WHERE visit = ?1")?,
        on: count("SELECT count(*) FROM seats JOIN live_games USING (game) WHERE visit = ?1")?,
    })
}

/// Deletes what was written down of a visit.
pub(crate) fn visit(
    connection: &mut Connection,
    visit: VisitId,
    forget: Forget,
    at: WallTime,
) -> Result<(), StoreError> {
    let id = &visit.to_string();
    // What it was sent away with may say what it has answered.
    connection.execute("UPDATE visit_events SET exit = NULL WHERE visit = ?1", &values![id])?;
    if forget.tells_who {
        connection.execute(
            "UPDATE visit_events SET (participant, entry) =
                 (SELECT participant, entry FROM visits WHERE visits.visit = visit_events.visit)
             WHERE visit = ?1 AND participant IS NULL",
            &values![id],
        )?;
    }
    connection.execute("DELETE FROM answers WHERE visit = ?1", &values![id])?;
    connection.execute("DELETE FROM path WHERE visit = ?1", &values![id])?;
    let progress = if forget.progress { "NULL" } else { "progress" };
    let sql = format!(
        "UPDATE visits SET participant = ?2, entry = '{{}}', person = NULL, condition = NULL, progress = {progress},
                           changed = NULL, ended = coalesce(ended, 'withdrawn'), deleted = coalesce(deleted, ?3),
                           deleted_games = CASE WHEN CAST(?4 AS BIGINT) = 1 THEN 1 ELSE deleted_games END
         WHERE visit = ?1"
    );
    connection.execute(&sql, &values![id, NOBODY, time(at), forget.games])?;
    for game in games_of(connection, visit)? {
        if !is_on(connection, game)? {
            clean_up(connection, game)?;
        }
    }
    Ok(())
}

/// A game is over: what is of those goes who were forgotten meanwhile.
pub(crate) fn game_is_over(connection: &mut Connection, game: GameId) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM seats JOIN visits USING (visit) WHERE game = ?1 AND deleted IS NOT NULL";
    match connection.first(sql, &values![&game.to_string()], |_| Ok(()))? {
        Some(()) => clean_up(connection, game),
        None => Ok(()),
    }
}

/// Takes out of a game what is of those who are forgotten.
fn clean_up(connection: &mut Connection, game: GameId) -> Result<(), StoreError> {
    let sql = format!(
        "SELECT seat, entry, {IS_DELETED}, deleted_games FROM seats JOIN visits USING (visit)
         WHERE game = ?1 ORDER BY seat"
    );
    let (mut forgotten, mut others, mut whole) = (Vec::new(), Vec::new(), false);
    connection.each(&sql, &values![&game.to_string()], |row| {
        let seat = seat(row.get(0)?)?;
        if row.get(2)? {
            forgotten.push(seat);
            whole |= row.get::<Option<bool>>(3)?.unwrap_or(false);
        } else {
            others.push((seat, is_bot(&json(row, 1, "entry")?)));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    // Bots have nothing to lose.
    if whole || others.iter().all(|&(_, is_bot)| is_bot) {
        return delete_game(connection, game);
    }
    let others: Vec<_> = others.into_iter().map(|(seat, _)| seat).collect();
    forgotten.into_iter().try_for_each(|seat| delete_reports(connection, game, seat, &others))
}

/// Whether nothing that a seat reports is to be kept.
pub(crate) fn is_forgotten(connection: &mut Connection, game: &str, seat: Seat) -> Result<bool, StoreError> {
    let sql =
        "SELECT 1 FROM seats JOIN visits USING (visit) WHERE game = ?1 AND seat = ?2 AND deleted IS NOT NULL";
    Ok(connection.first(sql, &values![game, seat.number()], |_| Ok(()))?.is_some())
}

/// The visits that a name is of: their own, their participant's, or that under which a platform's person is known. A visit that is
/// forgotten has no more than its own.
pub(crate) fn visits_of(connection: &mut Connection, name: &str) -> Result<Vec<VisitId>, StoreError> {
    let sql =
        "SELECT visit FROM visits WHERE visit = ?1 OR (deleted IS NULL AND (participant = ?1 OR person = ?1))
               ORDER BY created, visit";
    connection.all(sql, &values![name], |row| parse(row, 0, "visit"))
}

/// Whether everything was deleted that was written down of a visit: nothing more is.
pub(crate) fn is_deleted(connection: &mut Connection, visit: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM visits WHERE visit = ?1 AND deleted IS NOT NULL";
    Ok(connection.first(sql, &values![visit], |_| Ok(()))?.is_some())
}

fn games_of(connection: &mut Connection, visit: VisitId) -> Result<Vec<GameId>, StoreError> {
    let sql = "SELECT game FROM seats WHERE visit = ?1 ORDER BY game";
    connection.all(sql, &values![&visit.to_string()], |row| parse(row, 0, "game"))
}

fn is_on(connection: &mut Connection, game: GameId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM live_games WHERE game = ?1";
    Ok(connection.first(sql, &values![&game.to_string()], |_| Ok(()))?.is_some())
}

/// Deletes what a seat's pages reported, but for the inputs of frames of which nobody else told the same: without them the
/// others could not be played again from there on. Nothing else is left in those rows.
fn delete_reports(
    connection: &mut Connection,
    game: GameId,
    seat: Seat,
    others: &[Seat],
) -> Result<(), StoreError> {
    let (game, seat) = (&game.to_string(), seat.number());
    let sql = "SELECT reporter, incarnation FROM durable WHERE game = ?1 ORDER BY reporter, incarnation";
    let pages = connection.all(sql, &values![game], |row| Ok((row.get::<u8>(0)?, row.get::<u32>(1)?)))?;
    for (reporter, incarnation) in pages {
        if others.iter().any(|other| other.number() == reporter) {
            let sql = "DELETE FROM frames WHERE game = ?1 AND reporter = ?2 AND EXISTS (
                           SELECT 1 FROM frames AS other
                           WHERE other.game = ?1 AND other.reporter = ?3 AND other.incarnation = ?4
                               AND other.frame = frames.frame AND other.inputs = frames.inputs
                               AND other.incarnations = frames.incarnations)";
            connection.execute(sql, &values![game, seat, reporter, incarnation])?;
        }
    }
    let kept = "UPDATE frames SET simulated_ms = 0, shown_ms = NULL, predicted = 0, rollback_depth = 0
                WHERE game = ?1 AND reporter = ?2";
    connection.execute(kept, &values![game, seat])?;
    connection.execute("DELETE FROM play_events WHERE game = ?1 AND reporter = ?2", &values![game, seat])?;
    connection.execute("DELETE FROM durable WHERE game = ?1 AND reporter = ?2", &values![game, seat])?;
    let sql = format!("DELETE FROM server_events WHERE game = ?1 AND seat = ?2 AND kind IN ({REPORTS})");
    connection.execute(&sql, &values![game, seat])?;
    Ok(())
}

fn delete_game(connection: &mut Connection, game: GameId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM frames WHERE game = ?1",
        "DELETE FROM play_events WHERE game = ?1",
        "DELETE FROM durable WHERE game = ?1",
        "DELETE FROM server_events WHERE game = ?1",
        "DELETE FROM fences WHERE game = ?1",
        "DELETE FROM seats WHERE game = ?1",
        "DELETE FROM games WHERE game = ?1",
    ] {
        connection.execute(sql, &values![&game.to_string()])?;
    }
    Ok(())
}
