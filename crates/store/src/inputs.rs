//! A game's confirmed inputs, put together from what its seats reported: one surviving seat is enough (D1).
//!
//! A frame's inputs are those that the lowest seat told which told of it, its latest page before older ones, its last
//! telling before earlier ones. What was made of an input that was lost with all who held it does not count: see
//! [`Fences`].

use core::ops::{ControlFlow, Range};

use base::{FRAME_LIMIT, Frame, GameId, Seat};
use wire::batch::incarnation_at;

use crate::StoreError;
use crate::database::{Connection, values};
use crate::rows::seat;

/// How many rows a history has at most: more than one seat's confirmed frame can be behind another's.
pub const HISTORY_ROWS: Frame = 128;

/// How many frames are looked at together.
const STRIDE: Frame = 4096;

/// The end of the durable record: the confirmed inputs of all seats, without a hole up to `end`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// The first frame that is not durable.
    pub end: Frame,
    /// The frame of the first row.
    pub first: Frame,
    /// Each frame's inputs, all seats' in order, from `first` to `end`: the last [`HISTORY_ROWS`] at most.
    pub rows: Vec<Vec<u8>>,
}

/// Where pages lost their memory in a game, and with that whose inputs each frame has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fences(pub(crate) Vec<FenceRow>);

/// From this frame on, a seat's inputs are a new page's: older ones that nobody held any more never were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FenceRow {
    /// The seat.
    pub seat: Seat,
    /// The new page's incarnation.
    pub incarnation: u8,
    /// The first frame whose input is the new page's.
    pub cut_frame: Frame,
}

impl Fences {
    /// Whose input of a seat a frame has: the page's incarnation.
    #[must_use]
    pub fn incarnation_at(&self, seat: Seat, frame: Frame) -> u8 {
        let own = self.0.iter().filter(|fence| fence.seat == seat);
        incarnation_at(own.map(|fence| (fence.incarnation, fence.cut_frame)), frame)
    }

    /// Whether what a page told of a frame is void: it has an input of an incarnation that another had followed by then.
    #[must_use]
    pub fn is_void(&self, frame: Frame, incarnations: &[u8]) -> bool {
        let seats = Seat::all(incarnations.len() as u8);
        seats.zip(incarnations).any(|(seat, &incarnation)| incarnation != self.incarnation_at(seat, frame))
    }
}

impl FromIterator<FenceRow> for Fences {
    fn from_iter<I: IntoIterator<Item = FenceRow>>(fences: I) -> Self {
        Self(fences.into_iter().collect())
    }
}

/// One page's record.
struct Source {
    reporter: Seat,
    incarnation: u8,
    /// What it has told without a hole, up to the first that is void.
    told: Range<Frame>,
}

pub(crate) fn fences(connection: &mut Connection, game: GameId) -> Result<Fences, StoreError> {
    let sql = "SELECT seat, incarnation, cut_frame FROM fences WHERE game = ?1 ORDER BY seat, incarnation";
    let fences = connection.all(sql, &values![&game.to_string()], |row| {
        Ok(FenceRow { seat: seat(row.get(0)?)?, incarnation: row.get(1)?, cut_frame: row.get(2)? })
    })?;
    Ok(Fences(fences))
}

/// Every page that has told of frames, whose word counts least first.
fn sources(connection: &mut Connection, game: GameId, fences: &Fences) -> Result<Vec<Source>, StoreError> {
    let mut sources = connection.all(
        "SELECT reporter, incarnation, first, frame FROM durable WHERE game = ?1 AND first IS NOT NULL
         ORDER BY reporter DESC, incarnation",
        &values![&game.to_string()],
        |row| {
            let (reporter, incarnation) = (seat(row.get(0)?)?, row.get(1)?);
            Ok(Source { reporter, incarnation, told: row.get(2)?..row.get(3)? })
        },
    )?;
    for source in &mut sources {
        source.told.end = first_void(connection, game, source, fences)?;
    }
    Ok(sources)
}

/// Where what a page has told without a hole may begin to be void: at a fence that it did not know of.
fn first_void(
    connection: &mut Connection,
    game: GameId,
    source: &Source,
    fences: &Fences,
) -> Result<Frame, StoreError> {
    let mut until = source.told.end;
    for fence in &fences.0 {
        let frame = fence.cut_frame.max(source.told.start);
        if frame >= until {
            continue;
        }
        let is_void = connection.first(
            "SELECT incarnations FROM frames
             WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND frame = ?4 ORDER BY version DESC LIMIT 1",
            &values![&game.to_string(), source.reporter.number(), source.incarnation, frame],
            |row| Ok(fences.is_void(frame, row.get(0)?)),
        )?;
        if is_void.unwrap_or(true) {
            until = frame;
        }
    }
    Ok(until)
}

/// The frames' inputs from the first one of a range on, until one that nobody told of.
fn without_hole(
    connection: &mut Connection,
    game: GameId,
    (sources, fences): (&[Source], &Fences),
    range: Range<Frame>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let game = game.to_string();
    let mut found: Vec<Option<Vec<u8>>> = vec![None; range.len()];
    for source in sources {
        connection.each(
            "SELECT frame, inputs, incarnations FROM frames
             WHERE game = ?1 AND reporter = ?2 AND incarnation = ?3 AND frame >= ?4 AND frame < ?5
             ORDER BY frame, version",
            &values![&game, source.reporter.number(), source.incarnation, range.start, range.end],
            |row| {
                let frame: Frame = row.get(0)?;
                if !fences.is_void(frame, row.get(2)?) {
                    found[(frame - range.start) as usize] = Some(row.get(1)?);
                }
                Ok(ControlFlow::Continue(()))
            },
        )?;
    }
    Ok(found.into_iter().map_while(|inputs| inputs).collect())
}

/// Every frame before this one is durable.
fn end(connection: &mut Connection, game: GameId, known: (&[Source], &Fences)) -> Result<Frame, StoreError> {
    let (sources, _) = known;
    let mut end = 0;
    // How far each page's record goes is kept, so a long game takes no longer than a short one.
    while let Some(source) = sources.iter().find(|source| source.told.start <= end && source.told.end > end) {
        end = source.told.end;
    }
    // What lies behind a hole in one page's record can still go on from another's.
    loop {
        let more = without_hole(connection, game, known, end..end + HISTORY_ROWS)?.len() as Frame;
        end += more;
        if more < HISTORY_ROWS {
            return Ok(end);
        }
    }
}

pub(crate) fn history(connection: &mut Connection, game: GameId) -> Result<History, StoreError> {
    let fences = fences(connection, game)?;
    let sources = sources(connection, game, &fences)?;
    let known = (sources.as_slice(), &fences);
    let end = end(connection, game, known)?;
    let first = end.saturating_sub(HISTORY_ROWS);
    Ok(History { end, first, rows: without_hole(connection, game, known, first..end)? })
}

/// The inputs of consecutive frames, as many as `limit` bytes hold.
pub(crate) fn inputs(
    connection: &mut Connection,
    game: GameId,
    from: Frame,
    limit: usize,
) -> Result<Vec<u8>, StoreError> {
    let fences = fences(connection, game)?;
    let sources = sources(connection, game, &fences)?;
    let known = (sources.as_slice(), &fences);
    let mut bytes = Vec::new();
    let mut next = from.min(FRAME_LIMIT);
    loop {
        let range = next..(next + STRIDE).min(FRAME_LIMIT);
        let rows = without_hole(connection, game, known, range)?;
        next += rows.len() as Frame;
        let more = rows.len() as Frame == STRIDE;
        for inputs in rows {
            if bytes.len() + inputs.len() > limit {
                return Ok(bytes);
            }
            bytes.extend(inputs);
        }
        if !more {
            return Ok(bytes);
        }
    }
}
