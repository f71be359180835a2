//! Reading, beside a server that may be writing.

use std::cell::RefCell;

use base::{Frame, GameId, SeatSet, StateHash, VisitId};
use wire::control::TerminationReason;

use crate::database::postgres::Postgres;
use crate::database::sqlite::Sqlite;
use crate::database::{Connection, Row, Value, values};
use crate::inputs::{self, Fences};
use crate::rows::{self, json, named, parse, seat, wall_time};
use crate::{
    AnswerRow, DATABASE, FrameRow, GameRow, Location, NewGame, PathRow, PlayEventRow, SeatEnding,
    ServerEventRow, StoreError, VisitRow,
};

/// A consistent view of the store as it was when this was opened.
pub struct Reader {
    connection: RefCell<Connection>,
    /// Its schema: a server of this release brings it up to date, and none may have run on it.
    version: u32,
}

impl Reader {
    /// Opens what is at a location for reading only. Waits for it, as everything here does: a task of an asynchronous runtime
    /// must not call it, but a thread for what blocks.
    ///
    /// # Errors
    /// Names the location and the cure.
    pub fn open(location: impl Into<Location>) -> Result<Self, StoreError> {
        let (connection, version) = match location.into() {
            Location::Folder(folder) => {
                let (sqlite, version) = Sqlite::open_to_read(&folder.join(DATABASE))?;
                (Connection::Sqlite(sqlite), version)
            }
            Location::Postgres(url) => {
                let (postgres, version) = Postgres::open_to_read(url)?;
                (Connection::Postgres(Box::new(postgres)), version)
            }
        };
        Ok(Self { connection: RefCell::new(connection), version })
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.connection.borrow_mut().all(sql, values, read)
    }

    /// Every visit, in the order of their coming, those included whose data are deleted.
    ///
    /// # Errors
    /// The database's.
    pub fn visits(&self) -> Result<Vec<VisitRow>, StoreError> {
        let progress = if self.version < 4 { "NULL" } else { "progress" };
        let deleted = if self.version < 7 { "0" } else { rows::IS_DELETED };
        let sql = format!(
            "SELECT {}, {progress}, {deleted} FROM visits ORDER BY created, visit",
            rows::VISIT_COLUMNS
        );
        self.all(&sql, &[], rows::visit_from)
    }

    /// What every visit came to on its way, in order: one visit after another, as they came.
    ///
    /// # Errors
    /// The database's.
    pub fn path(&self) -> Result<Vec<PathRow>, StoreError> {
        if self.version < 5 {
            return Ok(Vec::new());
        }
        let sql = "SELECT visit, kind, name, detail, at FROM path JOIN visits USING (visit)
                   ORDER BY created, visit, id";
        self.all(sql, &[], |row| {
            Ok(PathRow {
                visit: parse(row, 0, "visit")?,
                kind: row.get(1)?,
                name: row.get(2)?,
                detail: json(row, 3, "detail")?,
                at: wall_time(row.get(4)?),
            })
        })
    }

    /// Every answer, in the order of their coming.
    ///
    /// # Errors
    /// The database's.
    pub fn answers(&self) -> Result<Vec<AnswerRow>, StoreError> {
        if self.version < 3 {
            return Ok(Vec::new());
        }
        let sql = "SELECT visit, scene, field, answer, at FROM answers ORDER BY at, visit, scene, field";
        self.all(sql, &[], |row| {
            Ok(AnswerRow {
                visit: parse(row, 0, "visit")?,
                scene: row.get(1)?,
                field: row.get(2)?,
                answer: json(row, 3, "answer")?,
                at: wall_time(row.get(4)?),
            })
        })
    }

    /// Every game, in the order of their beginning.
    ///
    /// # Errors
    /// The database's.
    pub fn games(&self) -> Result<Vec<GameRow>, StoreError> {
        let (cancelled, options) = if self.version < 5 { ("0", "'[]'") } else { ("cancelled", "options") };
        let sql = format!(
            "SELECT game, experiment, experiment_sha256, scene, environment_sha256, epoch, seed, rules, input_size,
                    created, {cancelled}, {options} FROM games ORDER BY created, game"
        );
        let mut games = self.all(&sql, &[], |row| {
            let seed: String = row.get(6)?;
            let seed = u64::from_str_radix(&seed, 16)
                .map_err(|_| StoreError::Unreadable { what: "seed", value: seed })?;
            let game = NewGame {
                game: parse(row, 0, "game")?,
                experiment: row.get(1)?,
                experiment_sha256: row.get(2)?,
                scene: row.get(3)?,
                environment_sha256: row.get(4)?,
                options: json(row, 11, "options")?,
                epoch: row.get(5)?,
                seed,
                rules: json(row, 7, "rules")?,
                input_size: row.get::<u32>(8)? as usize,
                seats: Vec::new(),
                created: wall_time(row.get(9)?),
            };
            Ok(GameRow { game, endings: Vec::new(), is_cancelled: row.get(10)? })
        })?;
        let sql = "SELECT visit, reason, frame, ended, is_partial FROM seats WHERE game = ?1 ORDER BY seat";
        for game in &mut games {
            let seats = self.all(sql, &values![&game.game.game.to_string()], |row| {
                let ending =
                    named(row, 1, "termination reason")?.map(|reason| ending(row, reason)).transpose()?;
                Ok((parse::<VisitId>(row, 0, "visit")?, ending))
            })?;
            (game.game.seats, game.endings) = seats.into_iter().unzip();
        }
        Ok(games)
    }

    /// What every seat reported of a game, by frame, then reporter.
    ///
    /// # Errors
    /// The database's.
    pub fn frames(&self, game: GameId) -> Result<Vec<FrameRow>, StoreError> {
        let sql =
            "SELECT reporter, incarnation, frame, version, inputs, filled, hash, simulated_ms, shown_ms,
                   predicted, rollback_depth, incarnations FROM frames WHERE game = ?1
                   ORDER BY frame, reporter, incarnation, version";
        self.all(sql, &values![&game.to_string()], |row| {
            Ok(FrameRow {
                reporter: seat(row.get(0)?)?,
                incarnation: row.get(1)?,
                frame: row.get(2)?,
                version: row.get(3)?,
                inputs: row.get(4)?,
                filled: SeatSet(row.get(5)?),
                hash: StateHash(row.get::<i64>(6)?.cast_unsigned()),
                simulated_ms: row.get(7)?,
                shown_ms: row.get(8)?,
                predicted: SeatSet(row.get(9)?),
                rollback_depth: row.get(10)?,
                incarnations: row.get(11)?,
            })
        })
    }

    /// Where pages lost their memory in a game.
    ///
    /// # Errors
    /// The database's.
    pub fn fences(&self, game: GameId) -> Result<Fences, StoreError> {
        if self.version >= 2 {
            inputs::fences(&mut self.connection.borrow_mut(), game)
        } else {
            Ok(Fences::default())
        }
    }

    /// All seats' confirmed inputs, frame after frame, from a frame on: as many whole frames as `limit` bytes hold,
    /// up to one that is not durable.
    ///
    /// # Errors
    /// The database's.
    pub fn inputs(&self, game: GameId, from: Frame, limit: usize) -> Result<Vec<u8>, StoreError> {
        inputs::inputs(&mut self.connection.borrow_mut(), game, from, limit)
    }

    /// What happened at the seats of a game.
    ///
    /// # Errors
    /// The database's.
    pub fn play_events(&self, game: GameId) -> Result<Vec<PlayEventRow>, StoreError> {
        let sql = "SELECT reporter, incarnation, number, frame, ms, event FROM play_events WHERE game = ?1
                   ORDER BY reporter, incarnation, number";
        self.all(sql, &values![&game.to_string()], |row| {
            Ok(PlayEventRow {
                reporter: seat(row.get(0)?)?,
                incarnation: row.get(1)?,
                number: row.get(2)?,
                frame: row.get(3)?,
                ms: row.get(4)?,
                event: json(row, 5, "event")?,
            })
        })
    }

    /// What the server saw of a game or was told about it.
    ///
    /// # Errors
    /// The database's.
    pub fn server_events(&self, game: GameId) -> Result<Vec<ServerEventRow>, StoreError> {
        let sql = "SELECT seat, kind, detail, at FROM server_events WHERE game = ?1 ORDER BY id";
        self.all(sql, &values![&game.to_string()], |row| {
            Ok(ServerEventRow {
                seat: row.get::<Option<u8>>(0)?.map(seat).transpose()?,
                kind: row.get(1)?,
                detail: json(row, 2, "detail")?,
                at: wall_time(row.get(3)?),
            })
        })
    }

    /// A prepared environment.
    ///
    /// # Errors
    /// The database's.
    pub fn environment(&self, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
        rows::environment(&mut self.connection.borrow_mut(), sha256)
    }
}

fn ending(row: &Row<'_>, reason: TerminationReason) -> Result<SeatEnding, StoreError> {
    Ok(SeatEnding { reason, frame: row.get(2)?, at: wall_time(row.get(3)?), is_partial: row.get(4)? })
}
