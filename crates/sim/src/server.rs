//! The server's side of uploads: frames are kept by number, and answers get lost.

use core::time::Duration;

use base::{Frame, Rng};
use wire::batch::{BatchAcknowledgement, EventRecord, FrameRecord, RecordBatch};

/// What the way to the server does.
#[derive(Clone, Copy, Debug)]
pub struct Uplink {
    /// The share of batches that never reach the server.
    pub batch_loss: f64,
    /// The share of answers that never reach the page: the batch is durable, and is sent again.
    pub answer_loss: f64,
    /// The share of answers that come twice, the second time late.
    pub answer_repeats: f64,
    /// One way.
    pub delay: Duration,
    /// After so long without an answer the page takes an upload for failed.
    pub timeout: Duration,
}

/// What becomes of one upload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fate {
    /// When the batch reaches the server, if it does.
    pub(crate) arrives: Option<Duration>,
    /// When answers reach the page, counted from now.
    pub(crate) answers: [Option<Duration>; 2],
}

impl Uplink {
    pub(crate) fn fate(&self, rng: &mut Rng, now: Duration, faults_end: Duration) -> Fate {
        let there = now + self.delay;
        let back = there + self.delay;
        if now >= faults_end {
            return Fate { arrives: Some(there), answers: [Some(back), None] };
        }
        if rng.chance(self.batch_loss) {
            return Fate { arrives: None, answers: [None, None] };
        }
        let first = (!rng.chance(self.answer_loss)).then_some(back);
        // Some come so late that the page has given up and sent the batch again.
        let late = back + self.timeout.mul_f64(2.0 * rng.unit());
        let second = rng.chance(self.answer_repeats).then_some(late);
        Fate { arrives: Some(there), answers: [first, second] }
    }
}

/// Everything that one reporter has made durable.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The frames, from 0, without a hole.
    pub frames: Vec<FrameRecord>,
    /// The events, from 0, without a hole.
    pub events: Vec<EventRecord>,
    /// What was wrong with its batches.
    pub faults: Vec<String>,
    /// Frames that came again.
    pub repeated: u64,
    /// How many batches came.
    pub batches: u64,
}

impl Records {
    /// Keeps a batch and answers what is durable (D1).
    pub(crate) fn keep(&mut self, bytes: &[u8], seats: u8, input_size: usize) -> BatchAcknowledgement {
        self.batches += 1;
        match RecordBatch::decode(bytes, seats, input_size) {
            Ok(batch) => {
                self.keep_frames(&batch);
                self.keep_events(&batch);
            }
            Err(error) => self.faults.push(format!("a batch was refused: {error}")),
        }
        BatchAcknowledgement {
            durable_frame: self.frames.len() as Frame,
            durable_event: self.events.len() as u32,
        }
    }

    fn keep_frames(&mut self, batch: &RecordBatch) {
        for (frame, record) in (batch.first as usize..).zip(&batch.frames) {
            if frame > self.frames.len() {
                self.faults.push(format!("frame {} is missing before {frame}", self.frames.len()));
                return;
            }
            match self.frames.get(frame) {
                None => self.frames.push(record.clone()),
                Some(known) => {
                    self.repeated += 1;
                    if known != record {
                        self.faults.push(format!("frame {frame} came as {known:?}, then as {record:?}"));
                    }
                }
            }
        }
    }

    fn keep_events(&mut self, batch: &RecordBatch) {
        for event in &batch.events {
            let number = event.number as usize;
            if number > self.events.len() {
                self.faults.push(format!("event {} is missing before {number}", self.events.len()));
                return;
            }
            match self.events.get(number) {
                None => self.events.push(event.clone()),
                Some(known) if known != event => {
                    self.faults.push(format!("event {number} came as {known:?}, then as {event:?}"));
                }
                Some(_) => {}
            }
        }
    }
}
