//! Rows, and the statements that write and find them.

use std::str::FromStr;

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, VisitId, WallTime};
use serde_json::{Map, Value};
use wire::batch::PlayEvent;
use wire::control::{GameRules, TerminationReason, VisitEnding};
use wire::form::Answers;

use crate::database::{Connection, Row, values};
use crate::{StoreError, forget};

/// Somebody comes.
#[derive(Clone, Debug)]
pub struct NewVisit {
    /// The visit.
    pub visit: VisitId,
    /// The person.
    pub participant: ParticipantId,
    /// The experiment's id.
    pub experiment: String,
    /// The SHA-256 of the experiment's file: its version (S2).
    pub experiment_sha256: String,
    /// The entry link's parameters. Exported only when asked for (D4).
    pub entry: Map<String, Value>,
    /// Who a platform says that this is: one person has one visit in an experiment (S5).
    pub person: Option<String>,
    /// When.
    pub created: WallTime,
}

/// A visit as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct VisitRow {
    /// The visit.
    pub visit: VisitId,
    /// The person.
    pub participant: ParticipantId,
    /// The experiment's id.
    pub experiment: String,
    /// Its version.
    pub experiment_sha256: String,
    /// The entry link's parameters.
    pub entry: Map<String, Value>,
    /// The index of the current scene.
    pub scene: u32,
    /// How it ended, if it has.
    pub ended: Option<VisitEnding>,
    /// When it began.
    pub created: WallTime,
    /// What else was written down of how far it has come; none at its beginning.
    pub progress: Option<String>,
    /// Everything was deleted that was written down of it (D5).
    pub is_deleted: bool,
}

/// A game begins.
#[derive(Clone, Debug)]
pub struct NewGame {
    /// The game.
    pub game: GameId,
    /// The experiment's id.
    pub experiment: String,
    /// Its version.
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
    /// When.
    pub created: WallTime,
}

/// A game, with its seats and their endings.
#[derive(Clone, Debug)]
pub struct GameRow {
    /// The game as it began.
    pub game: NewGame,
    /// How each seat ended, if it has.
    pub endings: Vec<Option<SeatEnding>>,
    /// Its group did not come about: it is no game.
    pub is_cancelled: bool,
}

/// What uploading needs to know of a seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatRow {
    /// The seat.
    pub seat: Seat,
    /// How many seats the game has.
    pub seats: u8,
    /// Bytes of an input.
    pub input_size: usize,
}

/// How a seat ended (X5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeatEnding {
    /// Why.
    pub reason: TerminationReason,
    /// The frame that would have been next.
    pub frame: Frame,
    /// When.
    pub at: WallTime,
    /// Whether the game was not played to its end.
    pub is_partial: bool,
}

/// A frame as a seat reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/sqlite/1.sql")]
pub struct FrameRow {
    pub reporter: Seat,
    pub incarnation: u8,
    pub frame: Frame,
    pub version: u32,
    pub incarnations: Vec<u8>,
    pub inputs: Vec<u8>,
    pub filled: SeatSet,
    pub hash: StateHash,
    pub simulated_ms: u32,
    pub shown_ms: Option<u32>,
    pub predicted: SeatSet,
    pub rollback_depth: u8,
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/sqlite/3.sql")]
pub struct AnswerRow {
    pub visit: VisitId,
    pub scene: String,
    pub field: String,
    pub answer: Value,
    pub at: WallTime,
}

/// Something that happened at a seat.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/sqlite/1.sql")]
pub struct PlayEventRow {
    pub reporter: Seat,
    pub incarnation: u8,
    pub number: u32,
    pub frame: Frame,
    pub ms: u32,
    pub event: PlayEvent,
}

/// Something that the server saw or was told.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/sqlite/1.sql")]
pub struct ServerEventRow {
    pub seat: Option<Seat>,
    pub kind: String,
    pub detail: Value,
    pub at: WallTime,
}

/// Reads a column whose text has a form of its own.
pub(crate) fn parse<T: FromStr>(row: &Row<'_>, column: usize, what: &'static str) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| StoreError::Unreadable { what, value: text })
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<T, StoreError> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|_| StoreError::Unreadable { what, value: text })
}

/// Reads a column that has one of some names, if it has anything.
pub(crate) fn named<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
    what: &'static str,
) -> Result<Option<T>, StoreError> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        serde_json::from_value(Value::String(text.clone()))
            .map_err(|_| StoreError::Unreadable { what, value: text })
    })
    .transpose()
}

pub(crate) fn seat(number: u8) -> Result<Seat, StoreError> {
    Seat::new(number).ok_or(StoreError::Unreadable { what: "seat", value: number.to_string() })
}

pub(crate) fn time(time: WallTime) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

pub(crate) fn wall_time(millis: i64) -> WallTime {
    WallTime(u64::try_from(millis).unwrap_or(0))
}

/// The visit that the person has already, if there is one; nothing is written then.
pub(crate) fn insert_visit(
    connection: &mut Connection,
    visit: &NewVisit,
) -> Result<Option<VisitRow>, StoreError> {
    // Inserted first and looked for afterwards, so that of two that come at once one finds the other.
    let inserted = connection.execute(
        "INSERT INTO visits (visit, participant, experiment, experiment_sha256, entry, scene, created, person)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7)
         ON CONFLICT (experiment, person) WHERE person IS NOT NULL DO NOTHING",
        &values![
            &visit.visit.to_string(),
            &visit.participant.to_string(),
            &visit.experiment,
            &visit.experiment_sha256,
            &Value::Object(visit.entry.clone()).to_string(),
            time(visit.created),
            visit.person.as_ref(),
        ],
    )?;
    if inserted > 0 {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {VISIT_COLUMNS}, progress, {IS_DELETED} FROM visits WHERE experiment = ?1 AND person = ?2"
    );
    connection.first(&sql, &values![&visit.experiment, visit.person.as_ref()], visit_from)
}

/// Whether a visit's entry marks a scripted participant.
pub(crate) fn is_bot(entry: &Map<String, Value>) -> bool {
    entry.get("bot").is_some_and(|mark| !mark.is_null())
}

/// Whether everything was deleted that was written down of a visit.
pub(crate) const IS_DELETED: &str = "CASE WHEN deleted IS NULL THEN 0 ELSE 1 END";

/// The columns that every version of the schema has; [`visit_from`] wants `progress` and [`IS_DELETED`] behind them.
pub(crate) const VISIT_COLUMNS: &str =
    "visit, participant, experiment, experiment_sha256, entry, scene, ended, created";

pub(crate) fn visit_from(row: &Row<'_>) -> Result<VisitRow, StoreError> {
    Ok(VisitRow {
        visit: parse(row, 0, "visit")?,
        participant: parse(row, 1, "participant")?,
        experiment: row.get(2)?,
        experiment_sha256: row.get(3)?,
        entry: json(row, 4, "entry")?,
        scene: row.get(5)?,
        ended: named(row, 6, "ending")?,
        created: wall_time(row.get(7)?),
        progress: row.get(8)?,
        is_deleted: row.get(9)?,
    })
}

pub(crate) fn visit(connection: &mut Connection, visit: VisitId) -> Result<Option<VisitRow>, StoreError> {
    let sql = format!("SELECT {VISIT_COLUMNS}, progress, {IS_DELETED} FROM visits WHERE visit = ?1");
    connection.first(&sql, &values![&visit.to_string()], visit_from)
}

pub(crate) fn set_progress(
    connection: &mut Connection,
    visit: VisitId,
    (scene, ended): (u32, Option<VisitEnding>),
    condition: Option<&str>,
    progress: &str,
    at: WallTime,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE visits SET scene = ?2, ended = ?3, condition = ?4, progress = ?5, changed = ?6
         WHERE visit = ?1 AND deleted IS NULL",
        &values![&visit.to_string(), scene, ended.map(VisitEnding::name), condition, progress, time(at)],
    )?;
    Ok(())
}

pub(crate) fn insert_game(connection: &mut Connection, new: &NewGame) -> Result<(), StoreError> {
    let game = &new.game.to_string();
    let rules = serde_json::to_string(&new.rules)
        .map_err(|error| StoreError::Unreadable { what: "rules", value: error.to_string() })?;
    let options = serde_json::to_string(&new.options)
        .map_err(|error| StoreError::Unreadable { what: "options", value: error.to_string() })?;
    connection.execute(
        "INSERT INTO games (game, experiment, experiment_sha256, scene, environment_sha256, epoch, seed, rules,
                            input_size, created, options)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        &values![
            game,
            &new.experiment,
            &new.experiment_sha256,
            &new.scene,
            &new.environment_sha256,
            new.epoch,
            &format!("{:016x}", new.seed),
            &rules,
            new.input_size as u32,
            time(new.created),
            &options,
        ],
    )?;
    let visits: Vec<_> = new.seats.iter().map(ToString::to_string).collect();
    let rows: Vec<_> = (0_u32..).zip(&visits).map(|(seat, visit)| values![game, seat, visit]).collect();
    connection.execute_each("INSERT INTO seats (game, seat, visit) VALUES (?1, ?2, ?3)", &rows)
}

pub(crate) fn cancel_game(connection: &mut Connection, game: GameId, at: WallTime) -> Result<(), StoreError> {
    let game = &game.to_string();
    connection.execute("UPDATE games SET cancelled = 1 WHERE game = ?1", &values![game])?;
    connection.execute(
        "UPDATE seats SET reason = 'left', frame = 0, ended = ?2, is_partial = 1
         WHERE game = ?1 AND reason IS NULL",
        &values![game, time(at)],
    )?;
    Ok(())
}

pub(crate) fn seat_of(
    connection: &mut Connection,
    game: GameId,
    visit: VisitId,
) -> Result<Option<SeatRow>, StoreError> {
    connection.first(
        "SELECT seat, (SELECT count(*) FROM seats WHERE game = ?1), input_size
         FROM seats JOIN games USING (game) JOIN visits USING (visit)
         WHERE game = ?1 AND visit = ?2 AND deleted IS NULL",
        &values![&game.to_string(), &visit.to_string()],
        |row| {
            let (seat, seats) = (seat(row.get(0)?)?, row.get(1)?);
            Ok(SeatRow { seat, seats, input_size: row.get::<u32>(2)? as usize })
        },
    )
}

/// The game that a visit sits in and that has not ended for it.
pub(crate) fn open_seat(
    connection: &mut Connection,
    visit: VisitId,
) -> Result<Option<(GameId, Seat)>, StoreError> {
    let sql = "SELECT game, seat FROM seats WHERE visit = ?1 AND reason IS NULL LIMIT 1";
    connection
        .first(sql, &values![&visit.to_string()], |row| Ok((parse(row, 0, "game")?, seat(row.get(1)?)?)))
}

pub(crate) fn end_seat(
    connection: &mut Connection,
    game: GameId,
    seat: Seat,
    ending: SeatEnding,
) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE seats SET reason = ?3, frame = ?4, ended = ?5, is_partial = ?6
         WHERE game = ?1 AND seat = ?2 AND reason IS NULL",
        &values![
            &game.to_string(),
            seat.number(),
            ending.reason.name(),
            ending.frame,
            time(ending.at),
            ending.is_partial,
        ],
    )?;
    Ok(())
}

pub(crate) fn insert_server_event(
    connection: &mut Connection,
    game: GameId,
    seat: Option<Seat>,
    kind: &str,
    detail: &Value,
    at: WallTime,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO server_events (game, seat, kind, detail, at)
         SELECT game, CAST(?2 AS BIGINT), ?3, ?4, CAST(?5 AS BIGINT) FROM games WHERE game = ?1",
        &values![&game.to_string(), seat.map(Seat::number), kind, &detail.to_string(), time(at)],
    )?;
    Ok(())
}

pub(crate) fn put_answers(
    connection: &mut Connection,
    visit: VisitId,
    scene: &str,
    answers: &Answers,
    at: WallTime,
) -> Result<(), StoreError> {
    let visit = &visit.to_string();
    if forget::is_deleted(connection, visit)? {
        return Ok(());
    }
    connection.execute("DELETE FROM answers WHERE visit = ?1 AND scene = ?2", &values![visit, scene])?;
    let texts: Vec<_> = answers.values().map(ToString::to_string).collect();
    let rows = answers.keys().zip(&texts).map(|(field, text)| values![visit, scene, field, text, time(at)]);
    connection.execute_each("INSERT INTO answers VALUES (?1, ?2, ?3, ?4, ?5)", &rows.collect::<Vec<_>>())
}

pub(crate) fn put_fence(
    connection: &mut Connection,
    game: GameId,
    seat: Seat,
    incarnation: u8,
    cut_frame: Frame,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO fences
         SELECT game, CAST(?2 AS BIGINT), CAST(?3 AS BIGINT), CAST(?4 AS BIGINT) FROM games WHERE game = ?1
         ON CONFLICT (game, seat, incarnation) DO UPDATE SET cut_frame = excluded.cut_frame",
        &values![&game.to_string(), seat.number(), incarnation, cut_frame],
    )?;
    Ok(())
}

pub(crate) fn insert_experiment(
    connection: &mut Connection,
    sha256: &str,
    experiment: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO experiments VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.execute(sql, &values![sha256, experiment])?;
    Ok(())
}

pub(crate) fn experiment(connection: &mut Connection, sha256: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT experiment FROM experiments WHERE sha256 = ?1";
    connection.first(sql, &values![sha256], |row| row.get(0))
}

pub(crate) fn insert_environment(
    connection: &mut Connection,
    sha256: &str,
    prepared: &[u8],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO environments VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    connection.execute(sql, &values![sha256, prepared])?;
    Ok(())
}

pub(crate) fn environment(connection: &mut Connection, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT prepared FROM environments WHERE sha256 = ?1";
    connection.first(sql, &values![sha256], |row| row.get(0))
}
