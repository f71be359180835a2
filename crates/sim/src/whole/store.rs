//! A model of the store: what is durable, and what of it counts.

use core::time::Duration;
use std::collections::BTreeMap;

use base::{Frame, GameId, VisitId};
use room::{History, NewGame, Progress, SeatEnding};
use wire::batch::{BatchAcknowledgement, EventRecord, FrameRecord, RecordBatch};

/// A write of the server's machines; those of one call are committed together.
#[derive(Clone, Debug)]
pub(super) enum Write {
    Progress(VisitId, Box<Progress>),
    CreateGame(Box<NewGame>),
    CancelGame(GameId),
    EndSeat(u8, SeatEnding),
    SaveGame(GameId, Option<String>),
    Fence(u8, u8, Frame),
    Record(Option<u8>, &'static str, serde_json::Value),
}

/// One reporter's record.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    pub(super) first: Frame,
    pub(super) frames: BTreeMap<Frame, (Vec<u8>, FrameRecord)>,
    pub(super) events: BTreeMap<u32, EventRecord>,
    durable_frame: Option<Frame>,
}

/// Everything that survives the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) progress: BTreeMap<VisitId, Progress>,
    pub(super) live: BTreeMap<GameId, (String, Duration)>,
    pub(super) games: BTreeMap<GameId, NewGame>,
    pub(super) endings: BTreeMap<u8, Vec<SeatEnding>>,
    /// Seat, incarnation, cut.
    pub(super) fences: Vec<(u8, u8, Frame)>,
    pub(super) events: Vec<(Option<u8>, &'static str, serde_json::Value)>,
    pub(super) reported: BTreeMap<(u8, u8), Reported>,
    pub(super) faults: Vec<String>,
    /// When the server last said that it lives.
    pub(super) alive: Duration,
    pub(super) loses_a_frame: bool,
}

impl Store {
    pub(super) fn apply(&mut self, write: Write, now: Duration) {
        match write {
            Write::Progress(visit, progress) => {
                self.progress.insert(visit, *progress);
            }
            Write::CreateGame(new) => {
                self.games.insert(new.game, *new);
            }
            // That was no game: the next one is.
            Write::CancelGame(game) => {
                self.games.remove(&game);
            }
            Write::EndSeat(seat, ending) => self.endings.entry(seat).or_default().push(ending),
            Write::SaveGame(game, Some(state)) => {
                self.live.insert(game, (state, now));
            }
            Write::SaveGame(game, None) => {
                self.live.remove(&game);
            }
            Write::Fence(seat, incarnation, cut) => self.fences.push((seat, incarnation, cut)),
            Write::Record(seat, kind, detail) => self.events.push((seat, kind, detail)),
        }
    }

    /// Whose inputs of a seat a frame has.
    pub(super) fn incarnation_at(&self, seat: u8, frame: Frame) -> u8 {
        let begun = self.fences.iter().filter(|&&(other, _, cut)| other == seat && cut <= frame);
        begun.map(|&(_, incarnation, _)| incarnation).max().unwrap_or(0)
    }

    /// What a page told of a frame is void when an input in it is one that nobody held any more when its seat came
    /// back.
    pub(super) fn is_void(&self, frame: Frame, incarnations: &[u8]) -> bool {
        (0..).zip(incarnations).any(|(seat, &incarnation)| incarnation != self.incarnation_at(seat, frame))
    }

    pub(super) fn append(&mut self, reporter: u8, batch: &RecordBatch) -> BatchAcknowledgement {
        let loses = self.loses_a_frame;
        let key = (reporter, batch.incarnation);
        let reported = self.reported.entry(key).or_insert_with(|| Reported {
            first: if batch.incarnation == 0 { 0 } else { batch.first },
            ..Reported::default()
        });
        for (frame, record) in (batch.first..).zip(&batch.frames) {
            match reported.frames.get(&frame) {
                Some((_, known)) if known != record => {
                    self.faults.push(format!(
                        "seat {reporter}: frame {frame} came as {known:?}, then as {record:?}"
                    ));
                }
                Some(_) => {}
                None => {
                    reported.frames.insert(frame, (batch.incarnations.clone(), record.clone()));
                }
            }
        }
        for event in &batch.events {
            reported.events.entry(event.number).or_insert_with(|| event.clone());
        }
        let mut durable_frame = reported.durable_frame.unwrap_or(reported.first);
        while reported.frames.contains_key(&durable_frame) {
            durable_frame += 1;
        }
        reported.durable_frame = Some(durable_frame);
        if loses && reporter == 0 && durable_frame > 20 {
            reported.frames.remove(&20);
        }
        let mut durable_event = 0;
        while reported.events.contains_key(&durable_event) {
            durable_event += 1;
        }
        BatchAcknowledgement { durable_frame, durable_event }
    }

    /// The valid inputs of a frame: the lowest reporter's, its latest page's.
    pub(super) fn row(&self, frame: Frame) -> Option<&FrameRecord> {
        let mut found = None;
        for (&(reporter, _), reported) in &self.reported {
            if found.is_some_and(|(seat, _)| seat != reporter) {
                break;
            }
            let valid =
                reported.frames.get(&frame).filter(|(incarnations, _)| !self.is_void(frame, incarnations));
            if let Some((_, row)) = valid {
                found = Some((reporter, row));
            }
        }
        found.map(|(_, row)| row)
    }

    /// All seats' inputs of consecutive frames.
    pub(super) fn inputs(&self, from: Frame) -> Vec<u8> {
        (from..).map_while(|frame| self.row(frame)).flat_map(|row| row.inputs.clone()).collect()
    }

    pub(super) fn history(&self) -> History {
        let rows: Vec<_> = (0..).map_while(|frame| self.row(frame)).map(|row| row.inputs.clone()).collect();
        let end = rows.len() as Frame;
        let first = end.saturating_sub(128);
        History { end, first, rows: rows[first as usize..].to_vec() }
    }
}
