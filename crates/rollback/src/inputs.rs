//! One seat's inputs: what is known, in a fixed ring.

use base::{Frame, Input};

/// How many frames of inputs are kept for each seat: the window (16), the delay (8), the window again that a
/// peer may be ahead, and as many that a peer has not acknowledged; a power of two.
pub(crate) const KEPT: Frame = 128;

/// The known inputs of one seat, without a hole, from `start` up to `end`.
#[derive(Clone, Debug)]
pub(crate) struct InputQueue {
    ring: Box<[Input]>,
    start: Frame,
    end: Frame,
    none: Input,
}

impl InputQueue {
    /// Frames before `delay` have the default input.
    pub(crate) fn new(size: usize, delay: Frame) -> Self {
        let none = Input::none(size);
        Self { ring: vec![none; KEPT as usize].into_boxed_slice(), start: 0, end: delay, none }
    }

    /// The first frame that is kept.
    pub(crate) fn start(&self) -> Frame {
        self.start
    }

    /// The first frame that is not known.
    pub(crate) fn end(&self) -> Frame {
        self.end
    }

    /// The input of a frame that is known and kept.
    pub(crate) fn get(&self, frame: Frame) -> Option<Input> {
        (self.start..self.end).contains(&frame).then(|| self.ring[(frame % KEPT) as usize])
    }

    /// The last known input, or none pressed.
    pub(crate) fn last(&self) -> Input {
        self.end.checked_sub(1).and_then(|frame| self.get(frame)).unwrap_or(self.none)
    }

    /// Appends the input of frame `end`; the oldest makes room.
    pub(crate) fn push(&mut self, input: Input) {
        self.ring[(self.end % KEPT) as usize] = input;
        self.end += 1;
        self.start = self.start.max(self.end.saturating_sub(KEPT));
    }

    /// Forgets the frames before `frame`.
    pub(crate) fn forget_before(&mut self, frame: Frame) {
        self.start = self.start.max(frame.min(self.end));
    }
}
