//! Forgetting people (D5): everything that was written down of a visit goes, but that there was one and how it ended.
//!
//! A game has a record for all who sat in it, and whoever plays on cannot be played again without the inputs of those
//! who have gone. So of a game with others in it only what the forgotten one's own page reported goes; the inputs that
//! the others' pages have of its seat stay, and nothing says whose they were. A game that nobody else sat in goes whole.
//! What is of a game that is still on goes when it is over: until then a page that comes back needs it (P5).

use base::{GameId, Seat, VisitId, WallTime};
use serde_json::{Map, Value};

use crate::StoreError;
use crate::database::{Connection, values};
use crate::rows::{json, parse, seat, time};

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

/// Whose visit it was, of one that is forgotten.
const NOBODY: &str = "00000000000000000000000000000000";

/// Deletes what was written down of a visit.
pub(crate) fn visit(
    connection: &mut Connection,
    visit: VisitId,
    forget: Forget,
    at: WallTime,
) -> Result<Forgotten, StoreError> {
    let id = &visit.to_string();
    // Who is told that it has ended needs to know whose data to delete in their turn.
    connection.execute(
        "UPDATE visit_events SET (participant, entry) =
             (SELECT participant, entry FROM visits WHERE visits.visit = visit_events.visit)
         WHERE visit = ?1 AND participant IS NULL",
        &values![id],
    )?;
    let answers = connection.execute("DELETE FROM answers WHERE visit = ?1", &values![id])?;
    connection.execute("DELETE FROM path WHERE visit = ?1", &values![id])?;
    let progress = if forget.progress { "NULL" } else { "progress" };
    let sql = format!(
        "UPDATE visits SET participant = ?2, entry = '{{}}', person = NULL, condition = NULL, progress = {progress},
                           changed = NULL, ended = coalesce(ended, 'withdrawn'), deleted = ?3
         WHERE visit = ?1"
    );
    connection.execute(&sql, &values![id, NOBODY, time(at)])?;
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

/// A game is over: what those reported goes who were forgotten meanwhile.
pub(crate) fn game_is_over(connection: &mut Connection, game: GameId) -> Result<(), StoreError> {
    let sql = "SELECT seat FROM seats JOIN visits USING (visit) WHERE game = ?1 AND deleted IS NOT NULL";
    let forgotten = connection.all(sql, &values![&game.to_string()], |row| seat(row.get(0)?))?;
    if !forgotten.is_empty() && !others(connection, game)? {
        return delete_game(connection, game);
    }
    forgotten.into_iter().try_for_each(|seat| delete_reports(connection, game, seat))
}

/// Whether nothing that a seat reports is to be kept.
pub(crate) fn is_forgotten(connection: &mut Connection, game: &str, seat: Seat) -> Result<bool, StoreError> {
    let sql =
        "SELECT 1 FROM seats JOIN visits USING (visit) WHERE game = ?1 AND seat = ?2 AND deleted IS NOT NULL";
    Ok(connection.first(sql, &values![game, seat.number()], |_| Ok(()))?.is_some())
}

/// The visits that a name is of: their own, their participant's, or that under which a platform's person is known.
pub(crate) fn visits_of(connection: &mut Connection, name: &str) -> Result<Vec<VisitId>, StoreError> {
    let sql =
        "SELECT visit FROM visits WHERE deleted IS NULL AND (visit = ?1 OR participant = ?1 OR person = ?1)
               ORDER BY created, visit";
    connection.all(sql, &values![name], |row| parse(row, 0, "visit"))
}

fn seats(connection: &mut Connection, visit: VisitId) -> Result<Vec<(GameId, Seat)>, StoreError> {
    let sql = "SELECT game, seat FROM seats WHERE visit = ?1 ORDER BY game";
    connection.all(sql, &values![&visit.to_string()], |row| Ok((parse(row, 0, "game")?, seat(row.get(1)?)?)))
}

fn is_on(connection: &mut Connection, game: GameId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM live_games WHERE game = ?1";
    Ok(connection.first(sql, &values![&game.to_string()], |_| Ok(()))?.is_some())
}

/// Whether somebody sat in a game who is not forgotten. (Bots have nothing to lose.)
fn others(connection: &mut Connection, game: GameId) -> Result<bool, StoreError> {
    let sql = "SELECT entry FROM seats JOIN visits USING (visit) WHERE game = ?1 AND deleted IS NULL";
    let entries = connection
        .all(sql, &values![&game.to_string()], |row| json::<Map<String, Value>>(row, 0, "entry"))?;
    Ok(entries.iter().any(|entry| !entry.contains_key("bot")))
}

fn delete_reports(connection: &mut Connection, game: GameId, seat: Seat) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM frames WHERE game = ?1 AND reporter = ?2",
        "DELETE FROM play_events WHERE game = ?1 AND reporter = ?2",
        "DELETE FROM durable WHERE game = ?1 AND reporter = ?2",
    ] {
        connection.execute(sql, &values![&game.to_string(), seat.number()])?;
    }
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
