//! What the study's own server is to hear of visits that have ended: an outbox, written in the commit that ends the visit.

use base::{ParticipantId, VisitId, WallTime};
use serde_json::{Map, Value};
use wire::control::{Exit, VisitEnding};

use crate::StoreError;
use crate::database::{Connection, values};
use crate::rows::{IS_DELETED, json, named, parse, time, wall_time};

/// A visit has ended, and the study's own server has not answered to that yet.
#[derive(Clone, PartialEq, Debug)]
pub struct VisitEvent {
    /// Counts such events; no number is used twice.
    pub id: i64,
    /// The visit.
    pub visit: VisitId,
    /// The person.
    pub participant: ParticipantId,
    /// The entry link's parameters.
    pub entry: Map<String, Value>,
    /// How it ended.
    pub ending: VisitEnding,
    /// What was written down of the visit is deleted: whoever has data of it is to do likewise.
    pub is_deleted: bool,
    /// What the participant was sent away with.
    pub exit: Option<Exit>,
    /// When.
    pub at: WallTime,
}

/// What there is to tell.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct VisitEvents {
    /// What is due, the oldest first.
    pub due: Vec<VisitEvent>,
    /// When there will be more, if there is more.
    pub next: Option<WallTime>,
    /// How many there are, those that are not due included.
    pub waiting: u32,
}

pub(crate) fn insert(
    connection: &mut Connection,
    visit: VisitId,
    (ending, exit): (VisitEnding, Option<&Exit>),
    (at, due): (WallTime, WallTime),
) -> Result<(), StoreError> {
    let exit = exit.map(serde_json::to_string).transpose();
    let exit = exit.map_err(|error| StoreError::Unreadable { what: "exit", value: error.to_string() })?;
    connection.execute(
        "INSERT INTO visit_events (visit, ending, exit, at, due) VALUES (?1, ?2, ?3, ?4, ?5)",
        &values![&visit.to_string(), ending.name(), exit.as_ref(), time(at), time(due)],
    )?;
    Ok(())
}

pub(crate) fn of_experiment(
    connection: &mut Connection,
    experiment: &str,
    now: WallTime,
    limit: u32,
) -> Result<VisitEvents, StoreError> {
    let sql = format!(
        "SELECT id, visit, coalesce(visit_events.participant, visits.participant),
                coalesce(visit_events.entry, visits.entry), ending, exit, at,
                {IS_DELETED}
         FROM visit_events JOIN visits USING (visit)
         WHERE experiment = ?1 AND due <= ?2 ORDER BY id LIMIT ?3"
    );
    let due = connection.all(&sql, &values![experiment, time(now), limit], |row| {
        let has_exit = row.get::<Option<&str>>(5)?.is_some();
        Ok(VisitEvent {
            id: row.get(0)?,
            visit: parse(row, 1, "visit")?,
            participant: parse(row, 2, "participant")?,
            entry: json(row, 3, "entry")?,
            ending: named(row, 4, "ending")?.unwrap_or(VisitEnding::Server),
            exit: has_exit.then(|| json(row, 5, "exit")).transpose()?,
            at: wall_time(row.get(6)?),
            is_deleted: row.get(7)?,
        })
    })?;
    let found = connection.first(
        "SELECT min(CASE WHEN due > ?2 THEN due END), count(*) FROM visit_events JOIN visits USING (visit)
         WHERE experiment = ?1",
        &values![experiment, time(now)],
        |row| Ok((row.get::<Option<_>>(0)?, row.get(1)?)),
    )?;
    let (next, waiting) = found.unwrap_or((None, 0));
    Ok(VisitEvents { due, next: next.map(wall_time), waiting })
}

pub(crate) fn delete(connection: &mut Connection, ids: &[i64]) -> Result<(), StoreError> {
    let rows: Vec<_> = ids.iter().map(|&id| values![id]).collect();
    connection.execute_each("DELETE FROM visit_events WHERE id = ?1", &rows)
}

pub(crate) fn tell_of_nobody(connection: &mut Connection, experiment: &str) -> Result<(), StoreError> {
    let sql = "UPDATE visit_events SET participant = NULL, entry = NULL
               WHERE participant IS NOT NULL AND visit IN (SELECT visit FROM visits WHERE experiment = ?1)";
    connection.execute(sql, &values![experiment])?;
    Ok(())
}
