//! Games that are on, as a server left them that was killed (P6).

use base::{GameId, VisitId, WallTime};
use rusqlite::{Connection, OptionalExtension, params};

use crate::rows::{parse, time, wall_time};
use crate::{StoreError, forget};

/// Every game that was on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LiveGames {
    /// The games.
    pub games: Vec<LiveGame>,
    /// When the server was last alive, as far as it wrote that down; it does so while games are on.
    pub alive: Option<WallTime>,
}

/// A game that was on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveGame {
    /// Which.
    pub game: GameId,
    /// The id of the experiment that it belongs to.
    pub experiment: String,
    /// Where it stood, in its machine's own words.
    pub state: String,
    /// When that was written down.
    pub saved: WallTime,
    /// Who sits where; none where the seat has ended.
    pub seats: Vec<Option<VisitId>>,
}

pub(crate) fn save(
    connection: &Connection,
    game: GameId,
    state: Option<&str>,
    at: WallTime,
) -> Result<(), StoreError> {
    let id = game.to_string();
    match state {
        Some(state) => {
            connection
                .prepare_cached("INSERT OR REPLACE INTO live_games VALUES (?1, ?2, ?3)")?
                .execute(params![id, state, time(at)])?;
            Ok(())
        }
        None => {
            connection.prepare_cached("DELETE FROM live_games WHERE game = ?1")?.execute([id])?;
            forget::game_is_over(connection, game)
        }
    }
}

pub(crate) fn beat(connection: &Connection, at: WallTime) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR REPLACE INTO alive VALUES (0, ?1)")?.execute([time(at)])?;
    Ok(())
}

pub(crate) fn all(connection: &Connection) -> Result<LiveGames, StoreError> {
    let alive = connection.query_row("SELECT at FROM alive", [], |row| row.get(0)).optional()?;
    let mut statement = connection.prepare(
        "SELECT game, experiment, state, saved FROM live_games JOIN games USING (game)
         ORDER BY saved, game",
    )?;
    let mut seats = connection
        .prepare("SELECT CASE WHEN reason IS NULL THEN visit END FROM seats WHERE game = ?1 ORDER BY seat")?;
    let mut rows = statement.query([])?;
    let mut games = Vec::new();
    while let Some(row) = rows.next()? {
        let game: GameId = parse(row, 0, "game")?;
        let mut live = LiveGame {
            game,
            experiment: row.get(1)?,
            state: row.get(2)?,
            saved: wall_time(row.get(3)?),
            seats: Vec::new(),
        };
        let mut rows = seats.query([game.to_string()])?;
        while let Some(row) = rows.next()? {
            let here = row.get_ref(0)? != rusqlite::types::ValueRef::Null;
            live.seats.push(here.then(|| parse(row, 0, "visit")).transpose()?);
        }
        games.push(live);
    }
    Ok(LiveGames { games, alive: alive.map(wall_time) })
}
