//! One seat's inputs: what is known, in a fixed ring.

use base::{FRAME_LIMIT, Frame, Input};

/// How many frames of inputs are kept for each seat. From a peer's acknowledgement to our newest input there are
/// at most two windows and two delays (48 frames), and from the first unconfirmed frame to a peer's newest input
/// no more. What is put together after an outage begins 32 frames before the first unconfirmed one. A power of two.
pub(crate) const KEPT: Frame = 128;

/// The known inputs of one seat, without a hole, from `start` up to `end`.
#[derive(Clone, Debug)]
pub(crate) struct InputQueue {
    ring: Box<[Input]>,
    start: Frame,
    end: Frame,
    /// From this frame on the seat presses nothing, and nobody waits for it.
    closed: Option<Frame>,
    none: Input,
}

impl InputQueue {
    /// Frames before `delay` have the default input.
    pub(crate) fn new(none: Input, delay: Frame) -> Self {
        Self { ring: vec![none; KEPT as usize].into_boxed_slice(), start: 0, end: delay, closed: None, none }
    }

    /// Inputs from a frame on; nothing is known yet.
    pub(crate) fn beginning_at(none: Input, first: Frame) -> Self {
        Self { start: first, ..Self::new(none, first) }
    }

    /// The first frame that is kept.
    pub(crate) fn start(&self) -> Frame {
        self.start
    }

    /// The first frame that is not known.
    pub(crate) fn end(&self) -> Frame {
        self.end
    }

    /// The seat is gone: from a frame on it presses nothing.
    pub(crate) fn close(&mut self, from: Frame) {
        self.closed.get_or_insert(from);
    }

    /// From when on the seat presses nothing, if it is gone.
    pub(crate) fn closed(&self) -> Option<Frame> {
        self.closed
    }

    /// The first frame whose input must be waited for.
    pub(crate) fn known_until(&self) -> Frame {
        if self.closed.is_some_and(|from| self.end >= from) { FRAME_LIMIT } else { self.end }
    }

    /// The input of a frame that is known and kept.
    pub(crate) fn get(&self, frame: Frame) -> Option<Input> {
        if self.closed.is_some_and(|from| frame >= from) {
            return Some(self.none);
        }
        (self.start..self.end).contains(&frame).then(|| self.ring[(frame % KEPT) as usize])
    }

    /// The last known input, or none pressed.
    pub(crate) fn last(&self) -> Input {
        if self.closed.is_some() {
            return self.none;
        }
        self.end.checked_sub(1).and_then(|frame| self.get(frame)).unwrap_or(self.none)
    }

    /// Appends the input of frame `end`; the oldest makes room.
    pub(crate) fn push(&mut self, input: Input) {
        self.ring[(self.end % KEPT) as usize] = input;
        self.end += 1;
        self.start = self.start.max(self.end.saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(value: u8) -> Input {
        Input::new(&[value]).unwrap()
    }

    fn queue(delay: Frame, pushed: u8) -> InputQueue {
        let mut queue = InputQueue::new(Input::none(1), delay);
        (1..=pushed).for_each(|value| queue.push(input(value)));
        queue
    }

    #[test]
    fn the_delay_is_filled_with_defaults_that_are_known() {
        let queue = queue(3, 0);
        assert_eq!((queue.start(), queue.end()), (0, 3));
        assert_eq!(queue.get(2), Some(Input::none(1)));
        assert_eq!(queue.get(3), None);
        assert_eq!(queue.last(), Input::none(1));
    }

    #[test]
    fn inputs_follow_the_delay() {
        let queue = queue(2, 2);
        assert_eq!(
            [1, 2, 3, 4].map(|frame| queue.get(frame)),
            [Some(Input::none(1)), Some(input(1)), Some(input(2)), None]
        );
        assert_eq!(queue.last(), input(2));
    }

    #[test]
    fn who_is_gone_presses_nothing_from_then_on() {
        let mut queue = queue(0, 3);
        queue.close(5);
        assert_eq!((queue.known_until(), queue.get(3), queue.get(5)), (3, None, Some(Input::none(1))));
        queue.push(input(9));
        queue.push(input(9));
        assert_eq!(
            (queue.known_until(), queue.get(4), queue.get(5)),
            (FRAME_LIMIT, Some(input(9)), Some(Input::none(1)))
        );
        assert_eq!(queue.last(), Input::none(1));
    }

    #[test]
    fn the_oldest_makes_room() {
        let queue = queue(0, 200);
        assert_eq!((queue.start(), queue.end()), (200 - KEPT, 200));
        assert_eq!(queue.get(200 - KEPT - 1), None);
        assert_eq!(queue.get(200 - KEPT), Some(input(200 - KEPT as u8 + 1)));
    }
}
