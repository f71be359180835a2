//! Games that are on, as a server left them that was killed (P6).

use base::{GameId, VisitId, WallTime};

use crate::database::{Connection, values};
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
    connection: &mut Connection,
    game: GameId,
    state: Option<&str>,
    at: WallTime,
) -> Result<(), StoreError> {
    let id = &game.to_string();
    let Some(state) = state else {
        connection.execute("DELETE FROM live_games WHERE game = ?1", &values![id])?;
        return forget::game_is_over(connection, game);
    };
    connection.execute(
        "INSERT INTO live_games SELECT game, ?2, CAST(?3 AS BIGINT) FROM games WHERE game = ?1
         ON CONFLICT (game) DO UPDATE SET state = excluded.state, saved = excluded.saved",
        &values![id, state, time(at)],
    )?;
    Ok(())
}

pub(crate) fn beat(connection: &mut Connection, at: WallTime) -> Result<(), StoreError> {
    let sql = "INSERT INTO alive VALUES (0, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at";
    connection.execute(sql, &values![time(at)])?;
    Ok(())
}

pub(crate) fn all(connection: &mut Connection) -> Result<LiveGames, StoreError> {
    let alive = connection.first("SELECT at FROM alive", &[], |row| row.get(0))?;
    let sql = "SELECT game, experiment, state, saved FROM live_games JOIN games USING (game)
               ORDER BY saved, game";
    let mut games = connection.all(sql, &[], |row| {
        Ok(LiveGame {
            game: parse(row, 0, "game")?,
            experiment: row.get(1)?,
            state: row.get(2)?,
            saved: wall_time(row.get(3)?),
            seats: Vec::new(),
        })
    })?;
    let sql = "SELECT CASE WHEN reason IS NULL THEN visit END FROM seats WHERE game = ?1 ORDER BY seat";
    for live in &mut games {
        live.seats = connection.all(sql, &values![&live.game.to_string()], |row| {
            let here = row.get::<Option<&str>>(0)?.is_some();
            here.then(|| parse(row, 0, "visit")).transpose()
        })?;
    }
    Ok(LiveGames { games, alive: alive.map(wall_time) })
}
