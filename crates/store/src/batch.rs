//! Keeping batches of the record of play: each frame once, whatever way it comes (D1, D2).

use base::{Frame, GameId, Seat};
use rusqlite::{Connection, OptionalExtension, params};
use wire::batch::{BatchAcknowledgement, EventRecord, FrameRecord, RecordBatch};

use crate::{StoreError, forget};

/// Keeps a batch and says what of the reporter's record is durable once this is committed.
pub(crate) fn append(
    connection: &Connection,
    game: GameId,
    reporter: Seat,
    batch: &RecordBatch,
) -> Result<BatchAcknowledgement, StoreError> {
    let game = game.to_string();
    if forget::is_forgotten(connection, &game, reporter)? {
        return Err(StoreError::Forgotten);
    }
    for (frame, record) in (batch.first..).zip(&batch.frames) {
        keep_frame(connection, &game, reporter, batch, frame, record)?;
    }
    for event in &batch.events {
        keep_event(connection, &game, reporter, batch.incarnation, event)?;
    }
    acknowledgement(connection, &game, reporter, batch)
}

fn keep_frame(
    connection: &Connection,
    game: &str,
    reporter: Seat,
    batch: &RecordBatch,
    frame: Frame,
    record: &FrameRecord,
) -> Result<(), StoreError> {
    // What a seat saw of a frame may be told anew (when it was drawn, say); what was played may not differ.
    let mut known = connection.prepare_cached(
        "SELECT incarnations, inputs, filled, hash FROM frames
         WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND frame = ?4 ORDER BY version",
    )?;
    let mut versions = 0_u32;
    let mut rows = known.query(params![game, reporter.number(), batch.incarnation, frame])?;
    while let Some(row) = rows.next()? {
        versions += 1;
        let equal = row.get_ref(0)?.as_blob().is_ok_and(|blob| blob == batch.incarnations)
            && row.get_ref(1)?.as_blob().is_ok_and(|blob| blob == record.inputs)
            && row.get::<_, u8>(2)? == record.filled.0
            && row.get::<_, i64>(3)? == record.hash.0.cast_signed();
        if equal {
            return Ok(());
        }
    }
    connection
        .prepare_cached("INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?
        .execute(params![
            game,
            reporter.number(),
            batch.incarnation,
            frame,
            versions,
            batch.incarnations,
            record.inputs,
            record.filled.0,
            record.hash.0.cast_signed(),
            record.simulated_millis,
            record.shown_millis,
            record.predicted.0,
            record.rollback_depth,
        ])?;
    Ok(())
}

fn keep_event(
    connection: &Connection,
    game: &str,
    reporter: Seat,
    incarnation: u8,
    record: &EventRecord,
) -> Result<(), StoreError> {
    let event = serde_json::to_string(&record.event)
        .map_err(|error| StoreError::Unreadable { what: "event", value: error.to_string() })?;
    connection
        .prepare_cached("INSERT OR IGNORE INTO play_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            game,
            reporter.number(),
            incarnation,
            record.number,
            record.frame,
            record.millis,
            event
        ])?;
    Ok(())
}

/// The first frame and the first event that are missing. How far the record goes without a hole is kept beside
/// it, so that a long game's batches cost no more than a short one's.
///
/// A page that was loaded in mid-game has nothing to tell of what was before it: its record begins with the first frame
/// that it tells of.
fn acknowledgement(
    connection: &Connection,
    game: &str,
    reporter: Seat,
    batch: &RecordBatch,
) -> Result<BatchAcknowledgement, StoreError> {
    let whose = params![game, reporter.number(), batch.incarnation];
    let known: Option<(Option<Frame>, Frame, u32)> = connection
        .prepare_cached(
            "SELECT first, frame, event FROM durable WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3",
        )?
        .query_row(whose, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (first, frame, event) = known.unwrap_or_default();
    let first = match first {
        None if batch.incarnation == 0 => Some(0),
        None => (!batch.frames.is_empty()).then_some(batch.first),
        known => known,
    };
    let without_hole = |table: &str, column: &str, from: u32| -> Result<u32, StoreError> {
        let mut following = connection.prepare_cached(&format!(
            "SELECT DISTINCT {column} FROM {table}
             WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND {column} >= ?4 ORDER BY {column}"
        ))?;
        let mut rows = following.query(params![game, reporter.number(), batch.incarnation, from])?;
        let mut missing = from;
        while let Some(row) = rows.next()? {
            if row.get::<_, u32>(0)? != missing {
                break;
            }
            missing += 1;
        }
        Ok(missing)
    };
    let durable = BatchAcknowledgement {
        durable_frame: match first {
            Some(first) => without_hole("frames", "frame", frame.max(first))?,
            None => batch.first,
        },
        durable_event: without_hole("play_events", "number", event)?,
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO durable (game, reporter, incarnation, first, frame, event)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            game,
            reporter.number(),
            batch.incarnation,
            first,
            first.map_or(0, |_| durable.durable_frame),
            durable.durable_event,
        ])?;
    Ok(durable)
}
