//! What a bot presses: random buttons, each held for a while.

use base::{Frame, Input, Rng};

/// A choice holds for so many frames, and at most [`MOST_FRAMES`].
const LEAST_FRAMES: u64 = 5;
const MOST_FRAMES: u64 = 40;

/// How often a choice is to press nothing.
const REST: f64 = 0.15;

/// How likely each button is in one that is not.
const PRESSED: f64 = 0.4;

/// Presses buttons. What it presses when depends on the seed and the frame alone.
#[derive(Debug)]
pub(crate) struct Hands {
    rng: Rng,
    /// The bits of the buttons that a participant could press.
    bits: Vec<u32>,
    input_size: usize,
    held: u128,
    until: Frame,
}

impl Hands {
    pub(crate) const fn new(rng: Rng, bits: Vec<u32>, input_size: usize) -> Self {
        Self { rng, bits, input_size, held: 0, until: 0 }
    }

    /// What is held when a frame is about to be played.
    pub(crate) fn at(&mut self, frame: Frame) -> Option<Input> {
        while frame >= self.until {
            self.until += (LEAST_FRAMES + self.rng.below(MOST_FRAMES - LEAST_FRAMES + 1)) as Frame;
            let rests = self.rng.chance(REST);
            self.held = 0;
            for &bit in &self.bits {
                if self.rng.chance(PRESSED) && !rests {
                    self.held |= 1 << bit;
                }
            }
        }
        Input::new(self.held.to_le_bytes().get(..self.input_size)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(seed: u64, every: usize) -> Vec<Input> {
        let mut hands = Hands::new(Rng::from_seed(seed), vec![0, 1, 3], 1);
        (0..600).step_by(every).filter_map(|frame| hands.at(frame)).collect()
    }

    #[test]
    fn the_same_seed_presses_the_same_at_the_same_frames_however_often_it_is_asked() {
        let (each, some) = (pressed(7, 1), pressed(7, 6));
        assert_eq!(each.iter().step_by(6).collect::<Vec<_>>(), some.iter().collect::<Vec<_>>());
        assert_ne!(each, pressed(8, 1));
    }

    #[test]
    fn only_the_buttons_that_there_are_are_pressed_and_all_of_them_are() {
        let all = pressed(7, 1);
        assert_eq!(all.len(), 600);
        let seen = all.iter().fold(0, |seen, input| seen | input.as_bytes()[0]);
        assert_eq!(seen, 0b1011);
        let changes = all.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!((10..120).contains(&changes), "{changes} changes in 20 seconds");
    }
}
