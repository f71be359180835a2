//! The server has every frame and every event of every reporter, once (D1).

use base::Frame;
use wire::batch::PlayEvent;

use super::{Violation, demand};
use crate::outcome::Outcome;

const PROPERTY: &str = "uploads are complete";

/// # Errors
/// When a frame or an event is missing, came with two contents, or is not known to be durable at the seat.
pub fn uploads(outcome: &Outcome) -> Result<(), Violation> {
    for (seat, found) in outcome.seats.iter().enumerate() {
        let records = &found.records;
        demand(records.faults.is_empty(), PROPERTY, || {
            format!("seat {seat}: {}", records.faults.join("; "))
        })?;
        let (durable, played) = (records.frames.len() as Frame, found.status.confirmed_frame);
        demand(durable == played, PROPERTY, || {
            format!("seat {seat} has confirmed {played} frames, of which {durable} are durable")
        })?;
        let uploads = found.status.uploads;
        demand(uploads.acknowledged == durable && uploads.pending == 0, PROPERTY, || {
            format!("seat {seat} does not know that {durable} frames are durable: {uploads:?}")
        })?;
        episodes(outcome, seat)?;
    }
    Ok(())
}

/// The events tell each episode once, and its frames are all there are.
fn episodes(outcome: &Outcome, seat: usize) -> Result<(), Violation> {
    let records = &outcome.seats[seat].records;
    let (mut begun, mut ended, mut frames) = (0, 0, 0);
    for (number, record) in (0..).zip(&records.events) {
        demand(record.number == number, PROPERTY, || {
            format!("seat {seat}: event {} in the place of event {number}", record.number)
        })?;
        match record.event {
            PlayEvent::EpisodeBegan { episode } => {
                demand(episode == begun && begun == ended && record.frame == frames, PROPERTY, || {
                    format!("seat {seat}: {record:?} after {ended} episodes of {frames} frames")
                })?;
                begun += 1;
            }
            PlayEvent::EpisodeEnded { episode, steps } => {
                frames += steps;
                demand(episode == ended && begun == ended + 1 && record.frame == frames, PROPERTY, || {
                    format!("seat {seat}: {record:?}, by which there are {frames} frames")
                })?;
                ended += 1;
            }
            _ => {}
        }
    }
    let episodes = outcome.conditions.rules.episodes;
    demand(ended == episodes && frames as usize == records.frames.len(), PROPERTY, || {
        format!("seat {seat} records {ended} of {episodes} episodes with {frames} frames")
    })
}
