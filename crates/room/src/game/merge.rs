//! Puts together what all hold of everyone's inputs: what nobody holds never was (N5).

use base::{Frame, MAX_SEATS, Seat};
use wire::control::{Cut, Hex};

/// The most frames of one seat's inputs that a report may have.
const MOST_FRAMES: usize = 128;

/// The end of the durable record: the confirmed inputs of all seats, without a hole up to `end`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// The first frame that is not durable.
    pub end: Frame,
    /// The frame of the first row.
    pub first: Frame,
    /// Each frame's inputs, all seats' in order: the rows from `first` to `end`, the last ones that are durable.
    pub rows: Vec<Vec<u8>>,
}

/// What one seat holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Report {
    pub(super) confirmed: Frame,
    first: Frame,
    inputs: Vec<Vec<u8>>,
}

impl Report {
    /// None when it is not in shape.
    pub(super) fn new(
        confirmed: Frame,
        first: Frame,
        inputs: &[Hex],
        seats: usize,
        size: usize,
    ) -> Option<Self> {
        let inputs: Vec<Vec<u8>> = inputs.iter().map(|inputs| inputs.0.clone()).collect();
        let whole =
            |inputs: &Vec<u8>| inputs.len() <= MOST_FRAMES * size && inputs.len().is_multiple_of(size.max(1));
        // Whoever has confirmed a frame holds everybody's inputs before it.
        let reach = confirmed.checked_sub(first)? as usize * size;
        let holds = |inputs: &Vec<u8>| inputs.len() >= reach;
        let in_range = confirmed < base::FRAME_LIMIT && inputs.len() == seats;
        (in_range && inputs.iter().all(whole) && inputs.iter().all(holds)).then_some(Self {
            confirmed,
            first,
            inputs,
        })
    }

    fn get(&self, seat: usize, frame: Frame, size: usize) -> Option<&[u8]> {
        let at = frame.checked_sub(self.first)? as usize * size;
        self.inputs[seat].get(at..at + size)
    }
}

impl History {
    fn get(&self, seat: usize, frame: Frame, size: usize) -> Option<&[u8]> {
        self.rows.get(frame.checked_sub(self.first)? as usize)?.get(seat * size..(seat + 1) * size)
    }
}

fn held_input(cut: &Cut, seat: usize, frame: Frame, size: usize) -> Option<&[u8]> {
    let at = frame.checked_sub(cut.first)? as usize * size;
    cut.seats.get(seat)?.inputs.0.get(at..at + size)
}

/// The first frame, and each seat's inputs from there to its cut: the end of what is held without a hole.
///
/// A seat's own word about itself counts most, then an earlier cut of the same pause, then what is durable, then what
/// the others hold, the lowest seat first.
pub(super) fn merge(
    reports: &[Option<Report>; MAX_SEATS],
    held: Option<&Cut>,
    history: &History,
    seats: usize,
    size: usize,
) -> (Frame, Vec<Vec<u8>>) {
    let first = reports.iter().flatten().map(|report| report.first).min().unwrap_or(history.end);
    let of = |seat: Seat| {
        let at = seat.index();
        let mut merged = Vec::new();
        for frame in first.. {
            let own = reports[at].as_ref().and_then(|report| report.get(at, frame, size));
            let held = || held.and_then(|cut| held_input(cut, at, frame, size));
            let others = || reports.iter().flatten().find_map(|report| report.get(at, frame, size));
            match own.or_else(held).or_else(|| history.get(at, frame, size)).or_else(others) {
                Some(input) => merged.extend_from_slice(input),
                None => break,
            }
        }
        merged
    };
    (first, Seat::all(seats as u8).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(confirmed: Frame, first: Frame, inputs: &[&[u8]]) -> Option<Report> {
        let inputs: Vec<_> = inputs.iter().map(|inputs| Hex(inputs.to_vec())).collect();
        Report::new(confirmed, first, &inputs, inputs.len(), 1)
    }

    fn merged(reports: [Option<Report>; 3], history: &History) -> (Frame, Vec<Vec<u8>>) {
        let [a, b, c] = reports;
        merge(&[a, b, c, None, None, None, None, None], None, history, 3, 1)
    }

    #[test]
    fn the_last_input_of_a_vanished_third_is_taken_from_whoever_has_it() {
        let one = report(4, 2, &[&[1, 1, 1, 1], &[2, 2, 2], &[3, 3, 3]]);
        let two = report(3, 1, &[&[1, 1, 1], &[2, 2, 2, 2], &[3, 3]]);
        let (first, ends) = merged([one, two, None], &History::default());
        assert_eq!(first, 1);
        assert_eq!(ends, [vec![1, 1, 1, 1, 1], vec![2; 4], vec![3; 4]]);
    }

    #[test]
    fn what_is_durable_of_a_vanished_seat_counts() {
        let one = report(2, 0, &[&[1, 1], &[2, 2], &[3, 3]]);
        let history = History { end: 4, first: 1, rows: vec![vec![1, 2, 3], vec![9, 9, 5], vec![9, 9, 6]] };
        let (_, ends) = merged([one, None, None], &history);
        assert_eq!(ends[2], [3, 3, 5, 6]);
    }

    #[test]
    fn a_hole_ends_what_is_held() {
        let one = report(1, 0, &[&[1], &[2], &[3]]);
        let history = History { end: 4, first: 2, rows: vec![vec![9, 9, 9], vec![9, 9, 9]] };
        let (_, ends) = merged([one, None, None], &history);
        assert_eq!(ends[2], [3]);
    }

    #[test]
    fn a_seats_own_word_about_itself_counts_most() {
        let one = report(1, 0, &[&[1, 1], &[8, 8], &[3]]);
        let two = report(1, 0, &[&[7], &[2, 2], &[3]]);
        let (_, ends) = merged([one, two, None], &History::default());
        assert_eq!((ends[0].as_slice(), ends[1].as_slice()), (&[1, 1][..], &[2, 2][..]));
    }

    #[test]
    fn when_nobody_holds_anything_the_durable_record_is_all_there_is() {
        let history = History { end: 50, first: 49, rows: vec![vec![1, 2, 3]] };
        assert_eq!(merged([None, None, None], &history), (50, vec![vec![], vec![], vec![]]));
    }

    #[test]
    fn reports_that_cannot_be_are_refused() {
        assert!(report(5, 6, &[&[1], &[1]]).is_none(), "it begins after what it has confirmed");
        assert!(report(5, 2, &[&[1, 1, 1], &[1, 1]]).is_none(), "it has not what it has confirmed");
        assert!(report(0, 0, &[&[1; 129], &[1]]).is_none(), "it has more than anyone can");
        let hex = [Hex(vec![1, 2, 3]), Hex(vec![])];
        assert!(Report::new(0, 0, &hex, 2, 2).is_none(), "it has half an input");
        assert!(Report::new(0, 0, &hex, 3, 1).is_none(), "it leaves a seat out");
    }
}
