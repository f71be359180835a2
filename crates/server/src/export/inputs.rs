//! What a game's seats reported, put together: one surviving seat is enough (D1), and those who disagree are
//! found (D2).

use std::collections::BTreeMap;

use base::{Frame, Input, MAX_SEATS, Seat};
use store::FrameRow;

/// A frame, as all who reported it saw it.
pub(super) struct Reported {
    /// Every seat's input; the lowest reporter's first version.
    pub(super) inputs: Vec<Input>,
    /// Every report, in seat order, versions in theirs.
    pub(super) rows: Vec<FrameRow>,
}

impl Reported {
    /// A seat's own report.
    pub(super) fn of(&self, seat: Seat) -> Option<&FrameRow> {
        self.rows.iter().find(|row| row.reporter == seat)
    }

    /// The reporters that told of it twice and differently, or with other inputs.
    pub(super) fn in_conflict(&self) -> impl Iterator<Item = Seat> + '_ {
        let first = self.rows.first().map(|row| &row.inputs);
        self.rows
            .iter()
            .filter(move |row| row.version > 0 || Some(&row.inputs) != first)
            .map(|row| row.reporter)
    }
}

/// The frames from the first on, until one that nobody reported.
pub(super) fn without_hole(rows: Vec<FrameRow>, input_size: usize) -> Vec<Reported> {
    let mut frames: BTreeMap<Frame, Vec<FrameRow>> = BTreeMap::new();
    for row in rows {
        frames.entry(row.frame).or_default().push(row);
    }
    let contiguous = (0..).zip(frames).take_while(|&(expected, (frame, _))| expected == frame);
    contiguous
        .map(|(_, (_, rows))| {
            let bytes = rows.first().map_or(&[][..], |row| &row.inputs);
            let inputs =
                bytes.chunks_exact(input_size.max(1)).take(MAX_SEATS).filter_map(Input::new).collect();
            Reported { inputs, rows }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use base::{SeatSet, StateHash};

    use super::*;

    fn row(reporter: u8, frame: Frame, version: u32, input: u8) -> FrameRow {
        FrameRow {
            reporter: Seat::new(reporter).unwrap(),
            incarnation: 0,
            frame,
            version,
            inputs: vec![input, 0],
            filled: SeatSet::EMPTY,
            hash: StateHash(0),
            simulated_ms: 0,
            shown_ms: None,
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        }
    }

    #[test]
    fn one_surviving_seat_is_enough_and_a_hole_ends_the_game() {
        let rows = vec![row(0, 0, 0, 1), row(1, 0, 0, 1), row(1, 1, 0, 1), row(0, 3, 0, 1)];
        let frames = without_hole(rows, 1);
        assert_eq!(frames.iter().map(|frame| frame.rows.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn who_disagrees_is_found() {
        let frames = without_hole(vec![row(0, 0, 0, 1), row(0, 0, 1, 2), row(1, 0, 0, 9)], 1);
        assert_eq!(frames[0].in_conflict().map(Seat::number).collect::<Vec<_>>(), [0, 1]);
    }
}
