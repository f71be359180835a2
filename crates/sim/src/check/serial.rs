//! What every seat confirmed is what one run without prediction gives.
//!
//! A seat's true inputs are those that it reports of itself.

use base::{Input, derive_seed};
use rollback::{Environment, Simulation, StepOutcome};

use super::{Violation, demand};
use crate::chaos::Chaos;
use crate::outcome::Outcome;

const PROPERTY: &str = "confirmed states are a serial run's";

/// # Errors
/// When a seat's frame has other inputs than were made, or another state than a serial run.
pub fn serial(outcome: &Outcome) -> Result<(), Violation> {
    let conditions = &outcome.conditions;
    let size = conditions.input_size;
    let mut environment = Chaos::new(conditions.ending);
    let mut frame = 0;
    let mut score = [0.0; base::MAX_SEATS];
    for episode in 0..conditions.rules.episodes {
        let seed = derive_seed(conditions.game_seed(), u64::from(episode));
        let Ok(()) = environment.reset(conditions.seats, episode, seed);
        score = [0.0; base::MAX_SEATS];
        for _ in 0..conditions.rules.max_frames {
            let mut inputs = Vec::new();
            for (seat, found) in outcome.seats.iter().enumerate() {
                let record = found.records.frames.get(frame);
                let made = record.and_then(|record| record.inputs.get(seat * size..(seat + 1) * size));
                demand(made.is_some(), PROPERTY, || format!("seat {seat} has no frame {frame}"))?;
                inputs.extend(made.and_then(Input::new));
            }
            let Ok(StepOutcome { over, rewards }) = environment.step(frame as u32, &inputs);
            for (sum, reward) in score.iter_mut().zip(rewards) {
                *sum += reward;
            }
            let bytes: Vec<u8> = inputs.iter().flat_map(Input::as_bytes).copied().collect();
            let hash = environment.state_hash();
            for (seat, found) in outcome.seats.iter().enumerate() {
                let record = &found.records.frames[frame];
                demand(record.inputs == bytes, PROPERTY, || {
                    format!("frame {frame}: inputs {bytes:02x?}, at seat {seat} {:02x?}", record.inputs)
                })?;
                demand(record.hash == hash, PROPERTY, || {
                    format!("frame {frame}: state {hash}, at seat {seat} {}", record.hash)
                })?;
            }
            frame += 1;
            if over {
                break;
            }
        }
    }
    for (seat, found) in outcome.seats.iter().enumerate() {
        let (frames, status) = (found.records.frames.len(), &found.status);
        demand(frames == frame, PROPERTY, || format!("{frame} frames, at seat {seat} {frames}"))?;
        demand(status.score == score[seat], PROPERTY, || {
            format!("a score of {}, at seat {seat} {}", score[seat], status.score)
        })?;
    }
    Ok(())
}
