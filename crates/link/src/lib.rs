//! One link: what joins this seat to one peer, seen from here.
//!
//! The link reads the peer's packets and believes only those of its own game, of the seat at its other end and
//! of that seat's present incarnation (N4, N5). Of each it learns what there is to know about the path: the
//! round trip from echoes, loss and jitter from sequence numbers, because browsers report neither on
//! connections that carry data only (L4).
//!
//! There is one lane, `direct`. What decides between lanes (silence, the server lane, restarts) belongs here
//! and nowhere else.
//!
//! Pure: time comes in as an argument, packets come in and go out as values.

mod path;
mod quality;

use base::{Seat, Timestamp};
use wire::packet::{Echo, Packet, PacketError};

pub use quality::{PathQuality, Quality};

/// Why a packet was not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It is no packet.
    #[error(transparent)]
    Malformed(#[from] PacketError),
    /// It belongs to another game.
    #[error("the packet is of epoch {0:08x}, not of this game's")]
    WrongEpoch(u32),
    /// It says that it comes from a seat that is not at the other end.
    #[error("the packet says that seat {0} sent it, who is not at the other end")]
    WrongSender(Seat),
    /// It comes from a page that has lost its memory since, or from none that was announced.
    #[error("the packet is of incarnation {0}")]
    WrongIncarnation(u8),
}

/// A packet that is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// What it says.
    pub packet: Packet,
    /// Whether it has come for the first time, as far as the link remembers. What another says of inputs is true
    /// all the same; what it says of the moment is not.
    pub fresh: bool,
}

/// What identifies a link's packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The game's number.
    pub epoch: u32,
    /// The seat at the other end.
    pub peer: Seat,
    /// The peer's incarnation.
    pub peer_incarnation: u8,
    /// Bytes of an input.
    pub input_size: usize,
}

/// One link, seen from one of its ends.
#[derive(Debug)]
pub struct Link {
    ends: Ends,
    path: path::Path,
}

impl Link {
    /// A link over which nothing has come yet.
    #[must_use]
    pub fn new(ends: Ends) -> Self {
        Self { ends, path: path::Path::default() }
    }

    /// Reads a packet that came over this link.
    ///
    /// # Errors
    /// As [`Refusal`] says. A refused packet leaves the link as it was.
    pub fn handle_packet(&mut self, bytes: &[u8], now: Timestamp) -> Result<Received, Refusal> {
        let packet = Packet::decode(bytes, self.ends.input_size)?;
        if packet.epoch != self.ends.epoch {
            return Err(Refusal::WrongEpoch(packet.epoch));
        }
        if packet.seat != self.ends.peer {
            return Err(Refusal::WrongSender(packet.seat));
        }
        if packet.incarnation != self.ends.peer_incarnation {
            return Err(Refusal::WrongIncarnation(packet.incarnation));
        }
        let fresh = self.path.receive(packet.sequence, now);
        if let Some(echo) = packet.echo.filter(|_| fresh) {
            self.path.echoed(echo, now);
        }
        Ok(Received { packet, fresh })
    }

    /// The sequence number and the echo of the next packet, which leaves now.
    pub fn next_header(&mut self, now: Timestamp) -> (u32, Option<Echo>) {
        self.path.send(now)
    }

    /// What is known about the path.
    #[must_use]
    pub fn quality(&self) -> PathQuality {
        self.path.quality()
    }

    /// Whether anything has come over this link.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.path.last_heard().is_some()
    }
}
