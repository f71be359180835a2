//! The game packet: what a page tells a peer on every tick.
//!
//! It carries every input that the peer has not acknowledged, so lanes may lose, repeat and reorder packets, and
//! the newest one holds everything. It is encoded with postcard (LEB128 varints); sizes and frames are checked
//! before anything is believed, and decoding allocates nothing.

use base::{FRAME_LIMIT, Frame, Input, MAX_INPUT_BYTES, Seat, StateHash};
use serde::{Deserialize, Serialize};

/// The longest packet that is sent or read, in bytes: one datagram on any path.
pub const MAX_PACKET_BYTES: usize = 1200;

/// The most frames of inputs in one packet. A seat never runs further ahead of an acknowledgement than twice the
/// prediction window and the input delay together.
pub const MAX_PACKET_FRAMES: usize = 64;

const MAX_INPUTS_BYTES: usize = MAX_PACKET_FRAMES * MAX_INPUT_BYTES;

/// A packet's inputs: bytes in place, no allocation.
pub type Inputs = heapless::Vec<u8, MAX_INPUTS_BYTES>;

/// One packet from one seat to another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Packet {
    /// The game's number, from `game_start`; a packet of another game is dropped.
    pub epoch: u32,
    /// Who sends. A link believes only the seat at its other end.
    pub seat: Seat,
    /// The sender's incarnation (N5).
    pub incarnation: u8,
    /// Counts this sender's packets on this link, from 0, wrapping: for loss, jitter and round-trip time.
    pub sequence: u32,
    /// The newest packet that the sender has from the recipient.
    pub echo: Option<Echo>,
    /// Whether nothing comes to the sender over the direct lane: a cut may be one-way (L5).
    pub silent: bool,
    /// The frame that the sender will simulate next.
    pub frame: Frame,
    /// How many frames the sender believes to be ahead of the recipient, rounded.
    pub advantage: i8,
    /// The sender holds the recipient's inputs of every frame before this one.
    pub acknowledged: Frame,
    /// The frame of the first input below.
    pub first: Frame,
    /// The sender's inputs from `first` on, one after another, each of the game's input size.
    pub inputs: Inputs,
    /// The sender's newest confirmed frame and the hash of the state after it (N2).
    pub hash: Option<(Frame, StateHash)>,
}

/// What lets the other side measure the round trip.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The packet's sequence number.
    pub sequence: u32,
    /// How long it has been held, in microseconds.
    pub held_micros: u32,
}

/// Why a packet was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PacketError {
    /// Longer than [`MAX_PACKET_BYTES`].
    #[error("the packet has {0} bytes, the most is 1200")]
    TooLong(usize),
    /// Not what a packet's fields decode from, or with bytes left over.
    #[error("the packet's bytes are malformed")]
    Malformed,
    /// A frame at or past [`FRAME_LIMIT`].
    #[error("frame {0} is out of range")]
    FrameOutOfRange(Frame),
    /// The inputs are not a whole number of the game's inputs, or more than [`MAX_PACKET_FRAMES`].
    #[error("{0} bytes of inputs are not whole inputs of at most 64 frames")]
    InputsOutOfShape(usize),
}

impl Packet {
    /// Encodes into `buffer` and returns the used part. A packet that this crate's types can hold always fits
    /// in [`MAX_PACKET_BYTES`].
    ///
    /// # Errors
    /// [`PacketError::TooLong`] when `buffer` is shorter than the packet.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; MAX_PACKET_BYTES]) -> Result<&'a [u8], PacketError> {
        postcard::to_slice(self, buffer.as_mut_slice())
            .map(|used| &*used)
            .map_err(|_| PacketError::TooLong(MAX_PACKET_BYTES + 1))
    }

    /// Decodes and checks all that can be checked without knowing the game's state.
    ///
    /// # Errors
    /// As [`PacketError`] says; nothing of a refused packet is used.
    pub fn decode(bytes: &[u8], input_size: usize) -> Result<Self, PacketError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(PacketError::TooLong(bytes.len()));
        }
        let (packet, rest): (Self, _) =
            postcard::take_from_bytes(bytes).map_err(|_| PacketError::Malformed)?;
        if !rest.is_empty() {
            return Err(PacketError::Malformed);
        }
        let hashed = packet.hash.map_or(0, |(frame, _)| frame);
        for frame in [packet.frame, packet.acknowledged, packet.first, hashed] {
            if frame >= FRAME_LIMIT {
                return Err(PacketError::FrameOutOfRange(frame));
            }
        }
        let length = packet.inputs.len();
        let whole = if input_size == 0 { length == 0 } else { length % input_size == 0 };
        if !whole || length > MAX_PACKET_FRAMES * input_size {
            return Err(PacketError::InputsOutOfShape(length));
        }
        Ok(packet)
    }

    /// Its inputs, split by the game's input size.
    pub fn inputs(&self, input_size: usize) -> impl Iterator<Item = Input> + '_ {
        self.inputs.chunks_exact(input_size.max(1)).filter_map(Input::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet {
            epoch: 0xdead_beef,
            seat: Seat::new(3).unwrap(),
            incarnation: 1,
            sequence: u32::MAX,
            echo: Some(Echo { sequence: 70_000, held_micros: 1_234 }),
            silent: true,
            frame: 1000,
            advantage: -3,
            acknowledged: 990,
            first: 995,
            inputs: heapless::Vec::from_slice(&[1, 2, 3, 4]).unwrap(),
            hash: Some((991, StateHash(u64::MAX))),
        }
    }

    fn encoded(packet: &Packet) -> Vec<u8> {
        packet.encode(&mut [0; MAX_PACKET_BYTES]).unwrap().to_vec()
    }

    #[test]
    fn a_packet_survives_its_encoding() {
        assert_eq!(Packet::decode(&encoded(&packet()), 2), Ok(packet()));
    }

    #[test]
    fn the_documented_bytes_are_the_bytes() {
        let hex: String = encoded(&packet()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "effdb6f50d0301ffffffff0f01f0a204d20901e807fdde07e307040102030401df07ffffffffffffffffff01"
        );
        assert!(
            include_str!("../../../docs/protocol.md").contains(&hex),
            "docs/protocol.md shows other bytes"
        );
    }

    #[test]
    fn the_largest_packet_fits() {
        let largest = Packet {
            epoch: u32::MAX,
            echo: Some(Echo { sequence: u32::MAX, held_micros: u32::MAX }),
            frame: FRAME_LIMIT - 1,
            acknowledged: FRAME_LIMIT - 1,
            first: FRAME_LIMIT - 1,
            inputs: heapless::Vec::from_slice(&[0xff; MAX_INPUTS_BYTES]).unwrap(),
            ..packet()
        };
        assert_eq!(Packet::decode(&encoded(&largest), MAX_INPUT_BYTES), Ok(largest));
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encoded(&packet());
        for length in 0..bytes.len() {
            assert_eq!(Packet::decode(&bytes[..length], 2), Err(PacketError::Malformed), "{length} bytes");
        }
    }

    #[test]
    fn a_byte_too_many_is_refused() {
        let mut bytes = encoded(&packet());
        bytes.push(0);
        assert_eq!(Packet::decode(&bytes, 2), Err(PacketError::Malformed));
    }

    #[test]
    fn a_frame_at_the_end_of_its_range_is_refused() {
        for frame in [FRAME_LIMIT, u32::MAX] {
            for broken in [
                Packet { frame, ..packet() },
                Packet { acknowledged: frame, ..packet() },
                Packet { first: frame, ..packet() },
                Packet { hash: Some((frame, StateHash(0))), ..packet() },
            ] {
                assert_eq!(Packet::decode(&encoded(&broken), 2), Err(PacketError::FrameOutOfRange(frame)));
            }
        }
    }

    #[test]
    fn inputs_that_are_not_whole_are_refused() {
        assert_eq!(Packet::decode(&encoded(&packet()), 3), Err(PacketError::InputsOutOfShape(4)));
        assert_eq!(Packet::decode(&encoded(&packet()), 0), Err(PacketError::InputsOutOfShape(4)));
    }

    #[test]
    fn a_length_is_never_taken_on_trust() {
        let mut bytes = encoded(&Packet { inputs: heapless::Vec::new(), hash: None, ..packet() });
        let length_at = bytes.len() - 2;
        bytes.splice(length_at..=length_at, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert_eq!(Packet::decode(&bytes, 2), Err(PacketError::Malformed));
    }

    #[test]
    fn ten_thousand_inputs_are_refused() {
        let bytes = vec![1; 10_000];
        assert_eq!(Packet::decode(&bytes, 1), Err(PacketError::TooLong(10_000)));
    }

    #[test]
    fn a_ninth_seat_is_refused() {
        let mut bytes = encoded(&packet());
        assert_eq!(bytes[5], 3);
        bytes[5] = 8;
        assert_eq!(Packet::decode(&bytes, 2), Err(PacketError::Malformed));
    }
}
