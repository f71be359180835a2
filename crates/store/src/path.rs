//! What visits come to on their way, and in which condition they are (S1).

use base::{VisitId, WallTime};
use rusqlite::{Connection, params};
use serde_json::Value;
use wire::control::VisitEnding;

use crate::StoreError;
use crate::rows::{named, parse, time, wall_time};

/// Something that a visit came to.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/5.sql")]
pub struct PathRow {
    pub visit: VisitId,
    pub kind: String,
    pub name: String,
    pub detail: Value,
    pub at: WallTime,
}

/// A visit that is in a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InCondition {
    /// The visit.
    pub visit: VisitId,
    /// The condition's id.
    pub condition: String,
    /// How the visit ended, if it has.
    pub ended: Option<VisitEnding>,
    /// When anything was last written of it.
    pub changed: WallTime,
}

pub(crate) fn insert(
    connection: &Connection,
    visit: VisitId,
    (kind, name): (&str, &str),
    detail: &Value,
    at: WallTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO path (visit, kind, name, detail, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![visit.to_string(), kind, name, detail.to_string(), time(at)])?;
    Ok(())
}

/// Every visit of an experiment that is in a condition, of whatever version.
pub(crate) fn in_conditions(
    connection: &Connection,
    experiment: &str,
) -> Result<Vec<InCondition>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT visit, condition, ended, changed FROM visits
         WHERE experiment = ?1 AND condition IS NOT NULL AND json_extract(entry, '$.bot') IS NULL ORDER BY visit",
    )?;
    let mut rows = statement.query([experiment])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(InCondition {
            visit: parse(row, 0, "visit")?,
            condition: row.get(1)?,
            ended: named(row, 2, "ending")?,
            changed: wall_time(row.get(3)?),
        });
    }
    Ok(all)
}
