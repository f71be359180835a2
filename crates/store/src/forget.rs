//! Forgetting people (D5): everything that was written down of a visit goes, but that there was one and how it ended.
//!
//! A game has a record for all who sat in it, and whoever plays on cannot be played again without the inputs of those
//! who have gone. So of a game with others in it only what the forgotten one's own page reported goes; the inputs that
//! the others' pages have of its seat stay, and nothing says whose they were. A game that nobody else sat in goes whole.
//! What is of a game that is still on goes when it is over: until then a page that comes back needs it (P5).

use base::{GameId, Seat, VisitId, WallTime};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::rows::{parse, seat, time};

/// What was there of a person, and is not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forgotten {
    /// Answers to questions.
    pub answers: u64,
    /// Games that are gone, with all that was recorded of them.
    pub games: u64,
    /// Seats in games that stay, because others sat in them; what their pages recorded is gone.
    pub seats: u64,
    /// Games that are still on: what is recorded of them goes when they are over.
    pub later: u64,
}

/// What is to be deleted beside everything else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forget {
    /// How far the visit has come; whoever holds its token is a stranger then.
    pub progress: bool,
    /// The games that others sat in, too.
    pub games: bool,
}

/// Deletes what was written down of a visit.
pub(crate) fn visit(
    connection: &Connection,
    visit: VisitId,
    forget: Forget,
    at: WallTime,
) -> Result<Forgotten, StoreError> {
    let id = visit.to_string();
    let of_visit = |sql: &str| connection.prepare_cached(sql)?.execute([&id]);
    // Who is told that it has ended needs to know whose data to delete in their turn.
    of_visit(
        "UPDATE visit_events SET (participant, entry) =
             (SELECT participant, entry FROM visits WHERE visits.visit = visit_events.visit)
         WHERE visit = ?1 AND participant IS NULL",
    )?;
    let answers = of_visit("DELETE FROM answers WHERE visit = ?1")? as u64;
    of_visit("DELETE FROM path WHERE visit = ?1")?;
    connection
        .prepare_cached(
            "UPDATE visits SET participant = ?2, entry = '{}', person = NULL, condition = NULL,
                               progress = CASE WHEN ?3 THEN NULL ELSE progress END,
                               changed = NULL, ended = coalesce(ended, 'withdrawn'), deleted = ?4
             WHERE visit = ?1",
        )?
        .execute(params![id, NOBODY, forget.progress, time(at)])?;
    let mut forgotten = Forgotten { answers, ..Forgotten::default() };
    for (game, seat) in seats(connection, visit)? {
        if is_on(connection, game)? {
            forgotten.later += 1;
        } else if forget.games || !others(connection, game)? {
            delete_game(connection, game)?;
            forgotten.games += 1;
        } else {
            delete_reports(connection, game, seat)?;
            forgotten.seats += 1;
        }
    }
    Ok(forgotten)
}

/// Whose visit it was, of one that is forgotten.
const NOBODY: &str = "00000000000000000000000000000000";

/// A game is over: what those reported goes who were forgotten meanwhile.
pub(crate) fn game_is_over(connection: &Connection, game: GameId) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT seat FROM seats JOIN visits USING (visit) WHERE game = ?1 AND deleted IS NOT NULL",
    )?;
    let forgotten: Vec<u8> =
        statement.query_map([game.to_string()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if !forgotten.is_empty() && !others(connection, game)? {
        return delete_game(connection, game);
    }
    forgotten.into_iter().try_for_each(|number| delete_reports(connection, game, seat(number)?))
}

/// Whether what a seat reports is to be kept.
pub(crate) fn is_forgotten(connection: &Connection, game: &str, seat: Seat) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM seats JOIN visits USING (visit)
                              WHERE game = ?1 AND seat = ?2 AND deleted IS NOT NULL)";
    Ok(connection.prepare_cached(sql)?.query_row(params![game, seat.number()], |row| row.get(0))?)
}

/// The visits that an id names: one itself, a participant's, or a person's by what a platform calls it.
pub(crate) fn visits_of(connection: &Connection, id: &str) -> Result<Vec<VisitId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT visit FROM visits
         WHERE deleted IS NULL AND (visit = ?1 OR participant = ?1 OR substr(person, instr(person, ':') + 1) = ?1)
         ORDER BY created, visit",
    )?;
    let mut rows = statement.query([id])?;
    let mut visits = Vec::new();
    while let Some(row) = rows.next()? {
        visits.push(parse(row, 0, "visit")?);
    }
    Ok(visits)
}

fn seats(connection: &Connection, visit: VisitId) -> Result<Vec<(GameId, Seat)>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT game, seat FROM seats WHERE visit = ?1 ORDER BY game")?;
    let mut rows = statement.query([visit.to_string()])?;
    let mut seats = Vec::new();
    while let Some(row) = rows.next()? {
        seats.push((parse(row, 0, "game")?, seat(row.get(1)?)?));
    }
    Ok(seats)
}

fn is_on(connection: &Connection, game: GameId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM live_games WHERE game = ?1)";
    Ok(connection.prepare_cached(sql)?.query_row([game.to_string()], |row| row.get(0))?)
}

/// Whether somebody sat in a game who is not forgotten. (Bots have nothing to lose.)
fn others(connection: &Connection, game: GameId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM seats JOIN visits USING (visit)
                              WHERE game = ?1 AND deleted IS NULL AND json_extract(entry, '$.bot') IS NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([game.to_string()], |row| row.get(0))?)
}

fn delete_reports(connection: &Connection, game: GameId, seat: Seat) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM frames WHERE game = ?1 AND reporter = ?2",
        "DELETE FROM play_events WHERE game = ?1 AND reporter = ?2",
        "DELETE FROM durable WHERE game = ?1 AND reporter = ?2",
    ] {
        connection.prepare_cached(sql)?.execute(params![game.to_string(), seat.number()])?;
    }
    Ok(())
}

fn delete_game(connection: &Connection, game: GameId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM frames WHERE game = ?1",
        "DELETE FROM play_events WHERE game = ?1",
        "DELETE FROM durable WHERE game = ?1",
        "DELETE FROM server_events WHERE game = ?1",
        "DELETE FROM fences WHERE game = ?1",
        "DELETE FROM seats WHERE game = ?1",
        "DELETE FROM games WHERE game = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([game.to_string()])?;
    }
    Ok(())
}
