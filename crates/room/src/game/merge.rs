//! Puts together what all hold of everyone's inputs: what nobody holds never was (N5).

use base::{Frame, MAX_SEATS, Seat};
use serde::Serialize;
use wire::control::{Cut, Hex, REPORTED_FRAMES};

/// The most frames of one seat's inputs that a report may have.
const MOST_FRAMES: usize = 128;

/// How far past what is confirmed anybody can hold a seat's inputs: two windows and two delays.
const FURTHEST: Frame = 2 * (16 + 8);

/// Why inputs cannot be put together. Honest pages never cause it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Disagreement {
    /// Two say different things of one input.
    Differ { seat: Seat, frame: Frame },
    /// Somebody has confirmed, or the server has, what all together do not hold.
    Missing { seat: Seat, frame: Frame },
}

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
        let as_agreed = confirmed < base::FRAME_LIMIT && first == confirmed.saturating_sub(REPORTED_FRAMES);
        let reach = (confirmed - first.min(confirmed)) as usize * size;
        let holds = |inputs: &Vec<u8>| inputs.len() >= reach;
        let in_shape = inputs.len() == seats && inputs.iter().all(whole) && inputs.iter().all(holds);
        (as_agreed && in_shape).then_some(Self { confirmed, first, inputs })
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
/// A seat that has reported ends where its own report does: nobody presses for another. Of one that has lost its memory
/// counts what an earlier cut of the same pause has, what is durable, and what the others hold.
///
/// # Errors
/// When what they say cannot all be true.
pub(super) fn merge(
    reports: &[Option<Report>; MAX_SEATS],
    held: Option<&Cut>,
    history: &History,
    seats: usize,
    size: usize,
) -> Result<(Frame, Vec<Vec<u8>>), Disagreement> {
    let first = reports.iter().flatten().map(|report| report.first).min().unwrap_or(history.end);
    let confirmed =
        reports.iter().flatten().map(|report| report.confirmed).max().unwrap_or(0).max(history.end);
    let of = |seat: Seat| {
        let at = seat.index();
        let own = reports[at].as_ref();
        let mut merged = Vec::new();
        let mut frame = first;
        while frame < confirmed + FURTHEST {
            let theirs = own.map(|report| report.get(at, frame, size));
            if theirs == Some(None) && own.is_some_and(|report| frame >= report.first) {
                break;
            }
            let others = reports.iter().flatten().filter_map(|report| report.get(at, frame, size));
            let earlier = held.and_then(|cut| held_input(cut, at, frame, size));
            let mut known = history.get(at, frame, size).into_iter().chain(earlier).chain(others);
            let Some(input) = theirs.flatten().or_else(|| known.next()) else { break };
            if known.any(|other| other != input)
                || history.get(at, frame, size).is_some_and(|other| other != input)
            {
                return Err(Disagreement::Differ { seat, frame });
            }
            merged.extend_from_slice(input);
            frame += 1;
        }
        if frame < confirmed {
            return Err(Disagreement::Missing { seat, frame });
        }
        Ok(merged)
    };
    let merged: Result<Vec<_>, _> = Seat::all(seats as u8).map(of).collect();
    Ok((first, merged?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(confirmed: Frame, first: Frame, inputs: &[&[u8]]) -> Option<Report> {
        let inputs: Vec<_> = inputs.iter().map(|inputs| Hex(inputs.to_vec())).collect();
        Report::new(confirmed, first, &inputs, inputs.len(), 1)
    }

    fn merged(
        reports: [Option<Report>; 3],
        history: &History,
    ) -> Result<(Frame, Vec<Vec<u8>>), Disagreement> {
        let [a, b, c] = reports;
        merge(&[a, b, c, None, None, None, None, None], None, history, 3, 1)
    }

    fn repeated(value: u8, count: usize) -> Vec<u8> {
        vec![value; count]
    }

    #[test]
    fn the_last_input_of_a_vanished_third_is_taken_from_whoever_has_it() {
        let one = report(4, 0, &[&[1; 6], &[2; 5], &[3; 5]]);
        let two = report(3, 0, &[&[1; 4], &[2; 6], &[3; 4]]);
        let (first, ends) = merged([one, two, None], &History::default()).unwrap();
        assert_eq!((first, ends), (0, vec![repeated(1, 6), repeated(2, 6), repeated(3, 5)]));
    }

    #[test]
    fn what_is_durable_of_a_vanished_seat_counts() {
        let one = report(2, 0, &[&[1; 4], &[2; 4], &[3; 2]]);
        let history = History { end: 4, first: 1, rows: vec![vec![1, 2, 3], vec![1, 2, 5], vec![1, 2, 6]] };
        let (_, ends) = merged([one, None, None], &history).unwrap();
        assert_eq!(ends[2], [3, 3, 5, 6]);
    }

    #[test]
    fn nobody_presses_for_another() {
        // The second claims to hold more of the first than the first has made.
        let one = report(1, 0, &[&[1; 3], &[2; 3], &[3; 3]]);
        let two = report(1, 0, &[&[1, 1, 1, 7, 7], &[2; 3], &[3; 3]]);
        let (_, ends) = merged([one, two, None], &History::default()).unwrap();
        assert_eq!(ends[0], [1, 1, 1]);
        // Of one who is away, no more than anyone can hold.
        let much = report(1, 0, &[&[1; 3], &[2; 3], &[3; 100]]);
        let (_, ends) = merged([much, None, None], &History::default()).unwrap();
        assert_eq!(ends[2].len(), 1 + 48);
    }

    #[test]
    fn different_words_of_one_input_are_no_ground_to_go_on() {
        let one = report(1, 0, &[&[1; 3], &[2; 3], &[3; 3]]);
        let two = report(1, 0, &[&[1, 9], &[2; 3], &[3; 3]]);
        let seat = |number| Seat::new(number).unwrap();
        let differ = merged([one.clone(), two, None], &History::default());
        assert_eq!(differ, Err(Disagreement::Differ { seat: seat(0), frame: 1 }));
        let history = History { end: 2, first: 0, rows: vec![vec![1, 2, 3], vec![1, 8, 3]] };
        assert_eq!(
            merged([one, None, None], &history),
            Err(Disagreement::Differ { seat: seat(1), frame: 1 })
        );
    }

    #[test]
    fn a_page_that_claims_to_be_at_the_beginning_takes_nothing_from_the_others() {
        let rows = (0..128).map(|_| vec![1, 2, 3]).collect();
        let history = History { end: 300, first: 172, rows };
        let hostile = report(0, 0, &[&[], &[], &[]]);
        let refused = merged([hostile, None, None], &history);
        assert_eq!(refused, Err(Disagreement::Missing { seat: Seat::new(0).unwrap(), frame: 0 }));
    }

    #[test]
    fn when_nobody_holds_anything_the_durable_record_is_all_there_is() {
        let history = History { end: 50, first: 49, rows: vec![vec![1, 2, 3]] };
        assert_eq!(merged([None, None, None], &history), Ok((50, vec![vec![], vec![], vec![]])));
    }

    #[test]
    fn reports_that_cannot_be_are_refused() {
        assert!(report(5, 6, &[&[1], &[1]]).is_none(), "it begins after what it has confirmed");
        assert!(report(40, 0, &[&[1; 40], &[1; 40]]).is_none(), "it begins elsewhere than all do");
        assert!(report(5, 0, &[&[1; 5], &[1; 4]]).is_none(), "it has not what it has confirmed");
        assert!(report(0, 0, &[&[1; 129], &[1]]).is_none(), "it has more than anyone can");
        let hex = [Hex(vec![1, 2, 3]), Hex(vec![])];
        assert!(Report::new(0, 0, &hex, 2, 2).is_none(), "it has half an input");
        assert!(Report::new(0, 0, &hex, 3, 1).is_none(), "it leaves a seat out");
    }
}
