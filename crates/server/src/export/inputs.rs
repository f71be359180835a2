//! What a game's seats reported, put together: one surviving seat is enough (D1), those who disagree are found (D2),
//! and what a page said after another had taken its place does not count (N5). The rule of whose word counts is the
//! store's, for a page that plays the game anew must play what is exported.

use std::collections::{BTreeMap, BTreeSet};

use base::{Frame, Input, MAX_SEATS, Seat};
use store::{Fences, FrameRow};

/// A frame, as all who reported it saw it.
pub(super) struct Reported {
    /// Every seat's input, by the lowest seat that told of the frame.
    pub(super) inputs: Vec<Input>,
    /// Each reporter's last word, in seat order.
    pub(super) rows: Vec<FrameRow>,
    /// The reporters that told of it differently at different times, or with other inputs.
    pub(super) in_conflict: BTreeSet<Seat>,
}

impl Reported {
    /// A seat's own report.
    pub(super) fn of(&self, seat: Seat) -> Option<&FrameRow> {
        self.rows.iter().find(|row| row.reporter == seat)
    }

    /// `rows` are a frame's, by reporter, page and version.
    fn new(rows: Vec<FrameRow>, input_size: usize) -> Self {
        let mut last: Vec<FrameRow> = Vec::new();
        let mut in_conflict = BTreeSet::new();
        for row in rows {
            match last.last_mut().filter(|earlier| earlier.reporter == row.reporter) {
                Some(earlier) => {
                    if (&earlier.inputs, earlier.hash) != (&row.inputs, row.hash) {
                        in_conflict.insert(row.reporter);
                    }
                    *earlier = row;
                }
                None => last.push(row),
            }
        }
        let bytes = last.first().map(|row| row.inputs.clone()).unwrap_or_default();
        in_conflict.extend(last.iter().filter(|row| row.inputs != bytes).map(|row| row.reporter));
        let inputs = bytes.chunks_exact(input_size.max(1)).take(MAX_SEATS).filter_map(Input::new).collect();
        Self { inputs, rows: last, in_conflict }
    }
}

/// The record of a game.
pub(super) struct Record {
    /// The frames from the first on, until one that nobody reported.
    pub(super) frames: Vec<Reported>,
    /// How many frames each seat's pages made of inputs that were lost with all who held them.
    pub(super) void: [u64; MAX_SEATS],
}

impl Record {
    pub(super) fn new(rows: Vec<FrameRow>, fences: &Fences, input_size: usize) -> Self {
        let mut frames: BTreeMap<Frame, Vec<FrameRow>> = BTreeMap::new();
        let mut void = [0; MAX_SEATS];
        for row in rows {
            if !fences.is_void(row.frame, &row.incarnations) {
                frames.entry(row.frame).or_default().push(row);
            } else if row.version == 0 {
                void[row.reporter.index()] += 1;
            }
        }
        let contiguous = (0..).zip(frames).take_while(|&(expected, (frame, _))| expected == frame);
        Self { frames: contiguous.map(|(_, (_, rows))| Reported::new(rows, input_size)).collect(), void }
    }
}

#[cfg(test)]
mod tests {
    use base::{SeatSet, StateHash};
    use store::FenceRow;

    use super::*;

    fn row(reporter: u8, frame: Frame, version: u32, input: u8) -> FrameRow {
        FrameRow {
            reporter: Seat::new(reporter).unwrap(),
            incarnation: 0,
            frame,
            version,
            incarnations: vec![0, 0],
            inputs: vec![input, 0],
            filled: SeatSet::EMPTY,
            hash: StateHash(0),
            simulated_ms: 0,
            shown_ms: None,
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        }
    }

    fn frames(rows: Vec<FrameRow>) -> Vec<Reported> {
        Record::new(rows, &Fences::default(), 1).frames
    }

    #[test]
    fn one_surviving_seat_is_enough_and_a_hole_ends_the_game() {
        let frames = frames(vec![row(0, 0, 0, 1), row(1, 0, 0, 1), row(1, 1, 0, 1), row(0, 3, 0, 1)]);
        assert_eq!(frames.iter().map(|frame| frame.rows.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn who_disagrees_is_found_and_the_last_word_counts() {
        let frames = frames(vec![row(0, 0, 0, 1), row(0, 0, 1, 2), row(1, 0, 0, 9)]);
        assert_eq!(frames[0].in_conflict.iter().map(|seat| seat.number()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(frames[0].inputs[0].as_bytes(), [2]);
    }

    #[test]
    fn a_page_counts_until_another_takes_its_place() {
        let of = |incarnation, frame, input| {
            // The second page knows whose the second frame was.
            let incarnations = vec![if frame < 2 { 0 } else { incarnation }, 0];
            FrameRow { incarnation, incarnations, ..row(0, frame, 0, input) }
        };
        let fence = FenceRow { seat: Seat::new(0).unwrap(), incarnation: 1, cut_frame: 2 };
        let rows = vec![of(0, 0, 1), of(0, 1, 1), of(1, 1, 1), of(0, 2, 7), of(1, 2, 5), of(0, 3, 7)];
        let Record { frames, void } = Record::new(rows, &[fence].into_iter().collect(), 1);
        let told: Vec<_> =
            frames.iter().map(|frame| (frame.rows[0].incarnation, frame.rows[0].inputs[0])).collect();
        assert_eq!(told, [(0, 1), (1, 1), (1, 5)]);
        assert!(frames.iter().all(|frame| frame.in_conflict.is_empty()));
        assert_eq!(void, [2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
