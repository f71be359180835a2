//! The two lanes of a link, and the messages in which packets travel over the server lane.
//!
//! A page sends one binary message a tick for all its peers; the server takes it apart and passes each packet on
//! to its seat, with the sender's seat in front. Nothing of it is numbered or kept: the newest packet holds
//! everything.

use base::{GameId, Seat};
use serde::{Deserialize, Serialize};

use crate::packet::MAX_PACKET_BYTES;

/// A way that packets take from one page to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// The data channel, from page to page or over a TURN server.
    Direct,
    /// The control WebSockets of both pages.
    Server,
}

/// Why something happened to a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing came from the peer for too long.
    Silence,
    /// The peer says that nothing comes to it.
    PeerSilence,
    /// The data channel is closed.
    ChannelClosed,
    /// The browser has given the path up.
    IceFailed,
    /// The data channel did not open.
    NotOpen,
    /// The direct lane has been good for long enough.
    Recovered,
}

/// How good a path is; one scale everywhere (L4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Up to 100 ms, 1 % and 20 ms.
    Good,
    /// Up to 300 ms, 5 % and 50 ms.
    Fair,
    /// Beyond.
    Poor,
}

impl Quality {
    /// The grade of a round trip in milliseconds, a loss from 0 to 1 and a jitter in milliseconds: the worst counts.
    #[must_use]
    pub fn of(round_trip: f64, loss: f64, jitter: f64) -> Self {
        let grade = |value: f64, good: f64, fair: f64| match value {
            value if value <= good => Self::Good,
            value if value <= fair => Self::Fair,
            _ => Self::Poor,
        };
        grade(round_trip, 100.0, 300.0).max(grade(loss, 0.01, 0.05)).max(grade(jitter, 20.0, 50.0))
    }
}

/// Why a message of the server lane was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LaneError {
    /// It ends before it is complete.
    #[error("the message ends too early")]
    Truncated,
    /// A seat past the eighth.
    #[error("there is no seat {0}")]
    NoSuchSeat(u8),
    /// A packet longer than any.
    #[error("the packet has {0} bytes, the most is 1200")]
    TooLong(usize),
}

const GAME: usize = 16;

/// A page's message of one tick: the game, then each packet behind its recipient and its length.
#[derive(Clone, Debug)]
pub struct Bundle {
    bytes: Vec<u8>,
}

impl Bundle {
    /// An empty one.
    #[must_use]
    pub fn new(game: GameId) -> Self {
        Self { bytes: game.to_bytes().to_vec() }
    }

    /// Adds a packet. One that is longer than any packet is left out.
    pub fn push(&mut self, to: Seat, packet: &[u8]) {
        if packet.len() > MAX_PACKET_BYTES {
            return;
        }
        self.bytes.push(to.number());
        self.bytes.extend_from_slice(&(packet.len() as u16).to_le_bytes());
        self.bytes.extend_from_slice(packet);
    }

    /// Whether there is no packet in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == GAME
    }

    /// What is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A page's message, taken apart: the packets with their recipients. Allocates nothing.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<(Seat, &'a [u8]), LaneError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = take_packet(&mut self.rest);
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

/// Takes a page's message apart.
///
/// # Errors
/// When there is no game. A packet that is not whole is the iterator's last item.
pub fn read_bundle(bytes: &[u8]) -> Result<(GameId, Packets<'_>), LaneError> {
    let (game, rest) = bytes.split_first_chunk::<GAME>().ok_or(LaneError::Truncated)?;
    Ok((GameId::from_random(*game), Packets { rest }))
}

fn take_packet<'a>(rest: &mut &'a [u8]) -> Result<(Seat, &'a [u8]), LaneError> {
    let (&[to, low, high], after) = rest.split_first_chunk::<3>().ok_or(LaneError::Truncated)?;
    let to = Seat::new(to).ok_or(LaneError::NoSuchSeat(to))?;
    let length = usize::from(u16::from_le_bytes([low, high]));
    if length > MAX_PACKET_BYTES {
        return Err(LaneError::TooLong(length));
    }
    let (packet, after) = after.split_at_checked(length).ok_or(LaneError::Truncated)?;
    *rest = after;
    Ok((to, packet))
}

/// What the server passes on: the sender's seat, then the packet.
#[must_use]
pub fn relayed(from: Seat, packet: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + packet.len());
    bytes.push(from.number());
    bytes.extend_from_slice(packet);
    bytes
}

/// The sender and the packet of what the server passed on.
///
/// # Errors
/// As [`LaneError`] says.
pub fn read_relayed(bytes: &[u8]) -> Result<(Seat, &[u8]), LaneError> {
    let (&from, packet) = bytes.split_first().ok_or(LaneError::Truncated)?;
    let from = Seat::new(from).ok_or(LaneError::NoSuchSeat(from))?;
    if packet.len() > MAX_PACKET_BYTES {
        return Err(LaneError::TooLong(packet.len()));
    }
    Ok((from, packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(number: u8) -> Seat {
        Seat::new(number).unwrap()
    }

    #[test]
    fn a_bundle_survives_its_encoding() {
        let game = GameId::from_random([9; 16]);
        let mut bundle = Bundle::new(game);
        assert!(bundle.is_empty());
        bundle.push(seat(1), b"one");
        bundle.push(seat(7), b"");
        bundle.push(seat(2), &[0; MAX_PACKET_BYTES + 1]);
        let (read, packets) = read_bundle(bundle.as_bytes()).unwrap();
        assert_eq!(read, game);
        let packets: Vec<_> = packets.collect();
        assert_eq!(packets, [Ok((seat(1), &b"one"[..])), Ok((seat(7), &b""[..]))]);
    }

    #[test]
    fn the_documented_bytes_are_the_bytes() {
        let mut bundle = Bundle::new(GameId::from_random([0xab; 16]));
        bundle.push(seat(1), &[0xef, 0xfd]);
        let hex: String = bundle.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "abababababababababababababababab010200effd");
        assert!(include_str!("../../../docs/protocol.md").contains(&hex));
    }

    #[test]
    fn a_broken_bundle_yields_what_was_whole_and_then_the_error() {
        let mut bundle = Bundle::new(GameId::from_random([9; 16]));
        bundle.push(seat(1), b"one");
        let whole = bundle.as_bytes().len();
        let last = |rest: &[u8]| {
            let bytes = [bundle.as_bytes(), rest].concat();
            let packets: Vec<_> = read_bundle(&bytes).unwrap().1.map(Result::err).collect();
            assert_eq!((packets.len(), packets[0]), (2, None));
            packets[1]
        };
        assert_eq!(last(&[1, 5, 0, 1]), Some(LaneError::Truncated));
        assert_eq!(last(&[1]), Some(LaneError::Truncated));
        assert_eq!(last(&[8, 0, 0]), Some(LaneError::NoSuchSeat(8)));
        assert_eq!(last(&[1, 0xff, 0xff]), Some(LaneError::TooLong(0xffff)));
        for length in 0..GAME {
            assert!(read_bundle(&bundle.as_bytes()[..length]).is_err());
        }
        assert!(whole > GAME);
    }

    #[test]
    fn the_server_puts_the_sender_in_front() {
        assert_eq!(read_relayed(&relayed(seat(3), b"xyz")), Ok((seat(3), &b"xyz"[..])));
        assert_eq!(read_relayed(&[]), Err(LaneError::Truncated));
        assert_eq!(read_relayed(&[9]), Err(LaneError::NoSuchSeat(9)));
        assert_eq!(read_relayed(&[0; 1202]), Err(LaneError::TooLong(1201)));
    }
}
