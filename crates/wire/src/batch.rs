//! The record of play that a page uploads while it plays (D1).
//!
//! A batch holds consecutive confirmed frames with every seat's input, so that one surviving seat is enough for
//! the whole game. Batches may overlap and repeat: a frame's identity is (game, reporter, seat, incarnation,
//! frame), not its batch. The server answers with what is durable.

use base::{FRAME_LIMIT, Frame, MAX_INPUT_BYTES, MAX_SEATS, Seat, SeatSet, StateHash};
use serde::{Deserialize, Serialize};

use crate::lane::{Cause, Lane, Quality};

/// The longest batch that is sent or read, in bytes.
pub const MAX_BATCH_BYTES: usize = 256 * 1024;

/// The most frames in one batch: 17 s at 60 frames a second.
pub const MAX_BATCH_FRAMES: usize = 1024;

/// The most events in one batch.
pub const MAX_BATCH_EVENTS: usize = 256;

/// Consecutive confirmed frames of one game, as one seat saw them.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RecordBatch {
    /// The reporting seat's own incarnation (N5).
    pub incarnation: u8,
    /// Each seat's incarnation in these frames; a batch is cut where one changes.
    pub incarnations: Vec<u8>,
    /// The number of the first frame below.
    pub first: Frame,
    /// The frames, without a hole.
    pub frames: Vec<FrameRecord>,
    /// What happened, numbered by the reporter.
    pub events: Vec<EventRecord>,
}

/// One confirmed frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FrameRecord {
    /// Every seat's input, in seat order, each of the game's input size.
    pub inputs: Vec<u8>,
    /// The seats whose input the server filled in because they were away.
    pub filled: SeatSet,
    /// The hash of the state after this frame.
    pub hash: StateHash,
    /// When the reporter first simulated it, in milliseconds since its first frame.
    pub simulated_millis: u32,
    /// When the reporter first drew it, on the same clock; `None` when it never was the newest at a repaint.
    pub shown_millis: Option<u32>,
    /// The seats whose input was a prediction when the reporter first simulated it.
    pub predicted: SeatSet,
    /// The deepest rollback that simulated it anew, in frames; 0 when it was right at once.
    pub rollback_depth: u8,
}

/// Something that happened at the reporter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Counts the reporter's events, from 0, without a hole.
    pub number: u32,
    /// The frame that the reporter would simulate next.
    pub frame: Frame,
    /// When, in milliseconds since the reporter's first frame.
    pub millis: u32,
    /// What.
    pub event: PlayEvent,
}

/// What can happen at a seat while it plays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayEvent {
    /// An episode's first frame is next.
    EpisodeBegan {
        /// Which, from 0.
        episode: u32,
    },
    /// An episode's last frame was confirmed.
    EpisodeEnded {
        /// Which, from 0.
        episode: u32,
        /// How many frames it had.
        steps: u32,
    },
    /// The seat stood still because inputs were missing, and now runs again.
    Stalled {
        /// How long, in milliseconds.
        millis: u32,
        /// Whose inputs were missing when it began.
        missing: SeatSet,
    },
    /// A peer's state differs from the reporter's (N2).
    Desync {
        /// The peer.
        peer: Seat,
        /// The confirmed frame after which they differ.
        frame: Frame,
        /// The reporter's hash.
        own: StateHash,
        /// The peer's hash.
        theirs: StateHash,
    },
    /// Inputs come first over another lane than before (L6).
    LaneSwitched {
        /// From whom.
        peer: Seat,
        /// Over which they come now.
        lane: Lane,
        /// Why.
        cause: Cause,
    },
    /// An ICE restart was begun here (L7).
    IceRestarted {
        /// With whom.
        peer: Seat,
        /// Which of this outage, from 1.
        attempt: u8,
        /// What the outage began with.
        cause: Cause,
    },
    /// The peer connection was made anew, begun here (L7).
    ConnectionRebuilt {
        /// With whom.
        peer: Seat,
        /// Why.
        cause: Cause,
    },
    /// No lane has delivered for the grace (L8).
    LinkLost {
        /// Who was lost.
        peer: Seat,
        /// Why.
        cause: Cause,
    },
    /// Something came again after every lane had been silent.
    LinkRestored {
        /// From whom.
        peer: Seat,
        /// For how long nothing had come, in milliseconds.
        silent_millis: u32,
    },
    /// The server lane is used always from here on: only while the direct lane is suspect would be too late.
    LanesHot {
        /// To whom.
        peer: Seat,
    },
    /// How good the path of the lane in use is (L4), every 2 s.
    QualitySampled {
        /// From and to whom.
        peer: Seat,
        /// Which lane.
        lane: Lane,
        /// The smoothed round trip in milliseconds, negative when not known.
        rtt_millis: f32,
        /// The lost packets in percent, negative when not known.
        loss_percent: f32,
        /// The jitter in milliseconds, negative when not known.
        jitter_millis: f32,
        /// Bytes that came from the peer since the last sample, over all lanes.
        bytes: u32,
        /// Packets that came since the last sample, over all lanes.
        packets: u32,
    },
    /// The path's grade has changed, and stayed so for two samples.
    QualityChanged {
        /// With whom.
        peer: Seat,
        /// What it is now.
        quality: Quality,
    },
    /// The server's pause stopped the seat (P2).
    Paused {
        /// Which.
        pause: u32,
    },
    /// The pause is over, and the countdown after it.
    Resumed {
        /// Which.
        pause: u32,
        /// How long the seat stood still, in milliseconds.
        millis: u32,
    },
    /// The state was made anew from seed and inputs: the page had lost it, or it differed from the others'.
    Rebuilt {
        /// How many frames were played for that; none when the state came from a peer.
        frames: u32,
    },
}

/// Whose input of a seat a frame has, if these are the seat's incarnations after the first with the frame that each
/// began at.
#[must_use]
pub fn incarnation_at(fences: impl IntoIterator<Item = (u8, Frame)>, frame: Frame) -> u8 {
    let begun = fences.into_iter().filter(|&(_, from)| from <= frame);
    begun.map(|(incarnation, _)| incarnation).max().unwrap_or(0)
}

/// What the server answers to a batch, once it would survive a power loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchAcknowledgement {
    /// Every frame of this reporter before this one is durable.
    pub durable_frame: Frame,
    /// Every event of this reporter before this one is durable.
    pub durable_event: u32,
}

/// Why a batch was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// Longer than [`MAX_BATCH_BYTES`].
    #[error("the batch has {0} bytes, the most is 262144")]
    TooLong(usize),
    /// Not what a batch's fields decode from, or with bytes left over.
    #[error("the batch's bytes are malformed")]
    Malformed,
    /// Too many frames, events or seats.
    #[error("the batch has too many {0}")]
    TooMany(&'static str),
    /// A frame at or past [`FRAME_LIMIT`].
    #[error("frame {0} is out of range")]
    FrameOutOfRange(Frame),
    /// A frame's inputs are not one for each seat.
    #[error("frame {frame} has {bytes} bytes of inputs instead of {expected}")]
    InputsOutOfShape {
        /// The frame.
        frame: Frame,
        /// What it has.
        bytes: usize,
        /// What it must have.
        expected: usize,
    },
}

impl RecordBatch {
    /// The batch's bytes.
    ///
    /// # Errors
    /// [`BatchError::TooLong`] when they would be refused by [`RecordBatch::decode`].
    pub fn encode(&self) -> Result<Vec<u8>, BatchError> {
        let bytes = postcard::to_stdvec(self).map_err(|_| BatchError::Malformed)?;
        if bytes.len() > MAX_BATCH_BYTES { Err(BatchError::TooLong(bytes.len())) } else { Ok(bytes) }
    }

    /// Decodes a batch of a game with so many seats and so large inputs, and checks its shape. Allocates no more
    /// than a small multiple of the bytes' length.
    ///
    /// # Errors
    /// As [`BatchError`] says; nothing of a refused batch is used.
    pub fn decode(bytes: &[u8], seats: u8, input_size: usize) -> Result<Self, BatchError> {
        if bytes.len() > MAX_BATCH_BYTES {
            return Err(BatchError::TooLong(bytes.len()));
        }
        let (batch, rest): (Self, _) = postcard::take_from_bytes(bytes).map_err(|_| BatchError::Malformed)?;
        if !rest.is_empty() {
            return Err(BatchError::Malformed);
        }
        if batch.incarnations.len() > MAX_SEATS {
            return Err(BatchError::TooMany("incarnations"));
        }
        if batch.frames.len() > MAX_BATCH_FRAMES {
            return Err(BatchError::TooMany("frames"));
        }
        if batch.events.len() > MAX_BATCH_EVENTS {
            return Err(BatchError::TooMany("events"));
        }
        let end = batch.first.saturating_add(batch.frames.len() as Frame);
        if batch.first >= FRAME_LIMIT || end > FRAME_LIMIT {
            return Err(BatchError::FrameOutOfRange(end));
        }
        let expected = usize::from(seats) * input_size.min(MAX_INPUT_BYTES);
        for (frame, record) in (batch.first..).zip(&batch.frames) {
            if record.inputs.len() != expected {
                return Err(BatchError::InputsOutOfShape { frame, bytes: record.inputs.len(), expected });
            }
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> RecordBatch {
        let frame = FrameRecord {
            inputs: vec![1, 2],
            filled: SeatSet::EMPTY,
            hash: StateHash(5),
            simulated_millis: 33,
            shown_millis: Some(34),
            predicted: SeatSet(2),
            rollback_depth: 3,
        };
        RecordBatch {
            incarnation: 0,
            incarnations: vec![0, 0],
            first: 10,
            frames: vec![frame.clone(), frame],
            events: vec![EventRecord {
                number: 0,
                frame: 10,
                millis: 1,
                event: PlayEvent::EpisodeBegan { episode: 0 },
            }],
        }
    }

    #[test]
    fn a_batch_survives_its_encoding() {
        assert_eq!(RecordBatch::decode(&batch().encode().unwrap(), 2, 1), Ok(batch()));
    }

    #[test]
    fn inputs_of_another_game_are_refused() {
        let bytes = batch().encode().unwrap();
        assert_eq!(
            RecordBatch::decode(&bytes, 3, 1),
            Err(BatchError::InputsOutOfShape { frame: 10, bytes: 2, expected: 3 })
        );
    }

    #[test]
    fn a_length_is_never_taken_on_trust() {
        // incarnation 0, no incarnations, first frame 0, then a claim of 2⁶³ frames.
        let bytes = [0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(RecordBatch::decode(&bytes, 2, 1), Err(BatchError::Malformed));
    }

    #[test]
    fn frames_past_the_limit_are_refused() {
        let late = RecordBatch { first: FRAME_LIMIT - 1, ..batch() };
        assert_eq!(
            RecordBatch::decode(&late.encode().unwrap(), 2, 1),
            Err(BatchError::FrameOutOfRange(FRAME_LIMIT + 1))
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = batch().encode().unwrap();
        for length in 0..bytes.len() {
            assert!(RecordBatch::decode(&bytes[..length], 2, 1).is_err(), "{length} bytes");
        }
    }
}
