//! What visits come to on their way, and in which condition they are (S1).

use base::{VisitId, WallTime};
use serde_json::Value;
use wire::control::VisitEnding;

use crate::database::{Connection, values};
use crate::rows::{is_bot, json, named, parse, time, wall_time};
use crate::{StoreError, forget};

/// Something that a visit came to.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "the columns of schema/sqlite/5.sql")]
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
    connection: &mut Connection,
    visit: VisitId,
    (kind, name): (&str, &str),
    detail: &Value,
    at: WallTime,
) -> Result<(), StoreError> {
    let visit = &visit.to_string();
    if forget::is_deleted(connection, visit)? {
        return Ok(());
    }
    connection.execute(
        "INSERT INTO path (visit, kind, name, detail, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        &values![visit, kind, name, &detail.to_string(), time(at)],
    )?;
    Ok(())
}

/// Every visit of an experiment that is in a condition, of whatever version; scripted participants are in none.
pub(crate) fn in_conditions(
    connection: &mut Connection,
    experiment: &str,
) -> Result<Vec<InCondition>, StoreError> {
    let sql = "SELECT visit, condition, ended, changed, entry FROM visits
               WHERE experiment = ?1 AND condition IS NOT NULL ORDER BY visit";
    let all = connection.all(sql, &values![experiment], |row| {
        let entry = json(row, 4, "entry")?;
        let counted = InCondition {
            visit: parse(row, 0, "visit")?,
            condition: row.get(1)?,
            ended: named(row, 2, "ending")?,
            changed: wall_time(row.get(3)?),
        };
        Ok((!is_bot(&entry)).then_some(counted))
    })?;
    Ok(all.into_iter().flatten().collect())
}
