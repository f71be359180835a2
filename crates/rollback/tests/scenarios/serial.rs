//! The reference: one run from beginning to end, without prediction, with the inputs as they were made.

use base::{Frame, Input, StateHash};
use rollback::{Simulation, StepOutcome};

use crate::toy::Toy;

/// What a frame must come to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) inputs: Vec<Input>,
    pub(crate) hash: StateHash,
    pub(crate) outcome: StepOutcome,
}

/// Plays `episodes` episodes of at most `max_frames` frames; `input(seat, frame)` is what was made.
pub(crate) fn play(
    toy: &mut Toy,
    seats: u8,
    episodes: u32,
    max_frames: Frame,
    input: impl Fn(u8, Frame) -> Input,
) -> Vec<Truth> {
    let mut truths: Vec<Truth> = Vec::new();
    for episode in 0..episodes {
        toy.begin(seats, episode);
        for _ in 0..max_frames {
            let frame = truths.len() as Frame;
            let inputs: Vec<_> = (0..seats).map(|seat| input(seat, frame)).collect();
            let Ok(outcome) = toy.step(frame, &inputs);
            truths.push(Truth { inputs, hash: toy.current_hash(), outcome });
            if outcome.over {
                break;
            }
        }
    }
    truths
}
