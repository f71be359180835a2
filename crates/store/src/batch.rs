//! Keeping batches of the record of play: each frame once, whatever way it comes (D1, D2).

use core::ops::ControlFlow;

use base::{Frame, GameId, Seat};
use wire::batch::{BatchAcknowledgement, FrameRecord, RecordBatch};

use crate::database::{Connection, values};
use crate::{StoreError, forget};

/// How many rows are looked at together where a hole may be anywhere.
const STRIDE: u32 = 1024;

/// Whose record a batch belongs to: a page's, of a seat.
struct Page<'a> {
    game: &'a str,
    reporter: u8,
    incarnation: u8,
}

/// How far a page's record goes without a hole.
#[derive(Clone, Copy)]
struct Mark {
    /// Where it begins; none while it has told of no frame.
    first: Option<Frame>,
    /// The first frame that is missing.
    frame: Frame,
    /// The first event that is missing.
    event: u32,
}

/// Keeps a batch and says what of the reporter's record is durable once this is committed.
///
/// How far the record goes without a hole is kept beside it, so that a long game's batches cost no more than a short one's.
pub(crate) fn append(
    connection: &mut Connection,
    game: GameId,
    reporter: Seat,
    batch: &RecordBatch,
) -> Result<BatchAcknowledgement, StoreError> {
    let game = &game.to_string();
    let page = Page { game, reporter: reporter.number(), incarnation: batch.incarnation };
    let known = take(connection, &page)?;
    if forget::is_forgotten(connection, game, reporter)? {
        return Err(StoreError::Forgotten);
    }
    let goes_on = keep_frames(connection, &page, batch)?;
    keep_events(connection, &page, batch)?;
    let mark = advance(connection, &page, batch, known, goes_on)?;
    connection.execute(
        "UPDATE durable SET first = ?4, frame = ?5, event = ?6
         WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3",
        &values![game, page.reporter, page.incarnation, mark.first, mark.frame, mark.event],
    )?;
    let durable_frame = mark.first.map_or(batch.first, |_| mark.frame);
    Ok(BatchAcknowledgement { durable_frame, durable_event: mark.event })
}

/// Takes the page's record: until this is committed nobody else writes to it.
fn take(connection: &mut Connection, page: &Page<'_>) -> Result<Mark, StoreError> {
    let found = connection.first(
        "INSERT INTO durable (game, reporter, incarnation, frame, event) VALUES (?1, ?2, ?3, 0, 0)
         ON CONFLICT (game, reporter, incarnation) DO UPDATE SET event = durable.event
         RETURNING first, frame, event",
        &values![page.game, page.reporter, page.incarnation],
        |row| Ok(Mark { first: row.get(0)?, frame: row.get(1)?, event: row.get(2)? }),
    )?;
    Ok(found.unwrap_or(Mark { first: None, frame: 0, event: 0 }))
}

/// Keeps the frames that are new, or that differ from what was told before. Answers whether the frame after them is there.
fn keep_frames(
    connection: &mut Connection,
    page: &Page<'_>,
    batch: &RecordBatch,
) -> Result<bool, StoreError> {
    let (first, end) = (batch.first, batch.first.saturating_add(batch.frames.len() as Frame));
    // Of each frame: how often it was told, and whether this is one of those tellings.
    let mut told = vec![(0_u32, false); batch.frames.len()];
    let mut goes_on = false;
    connection.each(
        "SELECT frame, incarnations, inputs, filled, hash FROM frames
         WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND frame >= ?4 AND frame <= ?5",
        &values![page.game, page.reporter, page.incarnation, first, end],
        |row| {
            let frame: Frame = row.get(0)?;
            let at = frame.wrapping_sub(first) as usize;
            let (Some(record), Some((versions, is_known))) = (batch.frames.get(at), told.get_mut(at)) else {
                goes_on |= frame == end;
                return Ok(ControlFlow::Continue(()));
            };
            *versions += 1;
            // What a seat saw of a frame may be told anew (when it was drawn, say); what was played may not differ.
            *is_known |= row.get::<&[u8]>(1)? == batch.incarnations
                && row.get::<&[u8]>(2)? == record.inputs
                && row.get::<u8>(3)? == record.filled.0
                && row.get::<i64>(4)? == record.hash.0.cast_signed();
            Ok(ControlFlow::Continue(()))
        },
    )?;
    let tellings = (first..).zip(&batch.frames).zip(&told);
    let unknown = tellings.filter(|(_, (_, is_known))| !is_known);
    let row = |((frame, record), &(versions, _)): ((Frame, _), &(u32, bool))| {
        let record: &FrameRecord = record;
        values![
            page.game,
            page.reporter,
            page.incarnation,
            frame,
            versions,
            &batch.incarnations,
            &record.inputs,
            record.filled.0,
            record.hash.0.cast_signed(),
            record.simulated_millis,
            record.shown_millis,
            record.predicted.0,
            record.rollback_depth,
        ]
    };
    connection.execute_each(
        "INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        &unknown.map(row).collect::<Vec<_>>(),
    )?;
    Ok(goes_on)
}

fn keep_events(connection: &mut Connection, page: &Page<'_>, batch: &RecordBatch) -> Result<(), StoreError> {
    let texts = batch.events.iter().map(|record| serde_json::to_string(&record.event));
    let texts = texts
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StoreError::Unreadable { what: "event", value: error.to_string() })?;
    let rows = batch.events.iter().zip(&texts).map(|(record, text)| {
        values![page.game, page.reporter, page.incarnation, record.number, record.frame, record.millis, text]
    });
    connection.execute_each(
        "INSERT INTO play_events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        &rows.collect::<Vec<_>>(),
    )
}

/// How far the record goes without a hole after this batch. The tables are asked only where that does not follow from what is
/// known.
///
/// A page that was loaded in mid-game has nothing to tell of what was before it: its record begins with the first frame
/// that it tells of.
fn advance(
    connection: &mut Connection,
    page: &Page<'_>,
    batch: &RecordBatch,
    known: Mark,
    goes_on: bool,
) -> Result<Mark, StoreError> {
    let first = match known.first {
        None if batch.incarnation == 0 => Some(0),
        None => (!batch.frames.is_empty()).then_some(batch.first),
        known => known,
    };
    let frame = match first {
        None => 0,
        Some(first) => {
            let (known, end) =
                (known.frame.max(first), batch.first.saturating_add(batch.frames.len() as Frame));
            // What it was before is as far as it went then.
            let touches = batch.first <= known && known < end;
            match (touches, goes_on) {
                (false, _) => known,
                (true, false) => end,
                (true, true) => without_hole(connection, page, FRAMES, end)?,
            }
        }
    };
    let event = if batch.events.is_empty() {
        known.event
    } else {
        without_hole(connection, page, EVENTS, known.event)?
    };
    Ok(Mark { first, frame, event })
}

/// What may have holes.
const FRAMES: &str = "SELECT DISTINCT frame FROM frames
    WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND frame >= ?4 ORDER BY frame LIMIT ?5";
const EVENTS: &str = "SELECT number FROM play_events
    WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND number >= ?4 ORDER BY number LIMIT ?5";

/// The first number that is missing from one on.
fn without_hole(
    connection: &mut Connection,
    page: &Page<'_>,
    numbers: &str,
    from: u32,
) -> Result<u32, StoreError> {
    let mut missing = from;
    loop {
        let begun = missing;
        connection.each(
            numbers,
            &values![page.game, page.reporter, page.incarnation, begun, STRIDE],
            |row| {
                if row.get::<u32>(0)? != missing {
                    return Ok(ControlFlow::Break(()));
                }
                missing += 1;
                Ok(ControlFlow::Continue(()))
            },
        )?;
        if missing - begun < STRIDE {
            return Ok(missing);
        }
    }
}
