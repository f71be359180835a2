//! What an attacker sends to a victim, over its own link and as fast as it can (N4).
//!
//! A link is authenticated: only the peer at its other end can send on it. So the attacker is a seat of the game.
//! What it presses, what it says to hold and what it says of its own state are its word, however it comes to
//! differ from what it told others: no check of a packet can tell. Everything else about its packets must do no
//! harm. So wherever chance makes a packet that the victim must believe, its inputs, acknowledgement and hash are
//! those of a packet that the victim has; its other fields stay as hostile as they are.

use core::time::Duration;

use base::{FRAME_LIMIT, Frame, Rng, Seat};
use wire::packet::{Echo, MAX_PACKET_BYTES, Packet};

/// How an attacker makes a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Malice {
    /// Any bytes, of any length up to a packet's and beyond.
    RandomBytes,
    /// A true packet with some bits flipped.
    FlippedBits,
    /// A true packet, cut off, so that a varint or a value ends in the middle.
    Truncated,
    /// A true packet with a length of up to 2⁶⁴ − 1 in place of any byte.
    HugeLength,
    /// Frame numbers at both ends of their range.
    FramesAtTheEnds,
    /// Ten thousand inputs.
    TenThousandInputs,
    /// Of another game.
    WrongEpoch,
    /// In another seat's name, or over a link that there is not.
    WrongSender,
    /// Of a page that has lost its memory since, or will have.
    WrongIncarnation,
    /// Inputs that the victim has, with other values.
    ChangedInputs,
    /// Inputs that begin past what the victim has.
    InputsAfterAGap,
    /// An acknowledgement of inputs that the victim never made.
    AcknowledgedFuture,
    /// Any sequence number, echo, frame and advantage.
    WildHeader,
    /// A packet that has come before.
    Replayed,
}

impl Malice {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::RandomBytes,
        Self::FlippedBits,
        Self::Truncated,
        Self::HugeLength,
        Self::FramesAtTheEnds,
        Self::TenThousandInputs,
        Self::WrongEpoch,
        Self::WrongSender,
        Self::WrongIncarnation,
        Self::ChangedInputs,
        Self::InputsAfterAGap,
        Self::AcknowledgedFuture,
        Self::WildHeader,
        Self::Replayed,
    ];
}

/// How many true packets the attacker remembers to start from.
const REMEMBERED: usize = 32;

/// So many frames after a true packet no seat is yet, when the attacker forgets the packet.
const OUT_OF_REACH: Frame = 1000;

/// A seat that attacks another.
#[derive(Debug)]
pub struct Attack {
    attacker: Seat,
    victim: Seat,
    kinds: Vec<Malice>,
    burst: u32,
    interval: Duration,
    input_size: usize,
    epoch: u32,
    rng: Rng,
    true_packets: Vec<Packet>,
    observed: usize,
    sent: u64,
}

impl Attack {
    /// An attack in a game that is played under these conditions: `burst` packets every `interval`.
    #[must_use]
    pub fn new(
        conditions: &crate::Conditions,
        [attacker, victim]: [Seat; 2],
        kinds: &[Malice],
        burst: u32,
        interval: Duration,
    ) -> Self {
        Self {
            attacker,
            victim,
            kinds: kinds.to_vec(),
            burst,
            interval,
            input_size: conditions.input_size,
            epoch: conditions.epoch(),
            rng: Rng::from_seed(base::derive_seed(conditions.seed, 5)),
            true_packets: Vec::new(),
            observed: 0,
            sent: 0,
        }
    }

    /// How many packets were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn victim(&self) -> Seat {
        self.victim
    }

    pub(crate) fn burst(&self) -> u32 {
        self.burst
    }

    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// A seat has taken a packet.
    pub(crate) fn observe(&mut self, from: Seat, to: Seat, bytes: &[u8]) {
        if (from, to) != (self.attacker, self.victim) {
            return;
        }
        if let Ok(packet) = Packet::decode(bytes, self.input_size) {
            if self.true_packets.len() < REMEMBERED {
                self.true_packets.push(packet);
            } else {
                self.true_packets[self.observed % REMEMBERED] = packet;
            }
            self.observed += 1;
        }
    }

    /// The next packet, and the link over which it comes.
    pub(crate) fn next_packet(&mut self) -> (Seat, Vec<u8>) {
        self.sent += 1;
        let kind = self.kinds[self.rng.below(self.kinds.len() as u64) as usize];
        let count = self.true_packets.len() as u64;
        let Some(packet) = (count > 0).then(|| self.true_packets[self.rng.below(count) as usize].clone())
        else {
            return (self.attacker, self.random_bytes());
        };
        let bytes = self.make(kind, &packet);
        let over = match kind {
            Malice::WrongSender if self.rng.chance(0.2) => self.any_seat_but_peers(),
            _ => self.attacker,
        };
        (over, self.spare_the_peers_word(&packet, bytes))
    }

    fn make(&mut self, kind: Malice, packet: &Packet) -> Vec<u8> {
        let mut packet = packet.clone();
        match kind {
            Malice::RandomBytes => return self.random_bytes(),
            Malice::FlippedBits => {
                let mut bytes = encode(&packet);
                for _ in 0..=self.rng.below(8) {
                    let bit = self.rng.below(8 * bytes.len() as u64) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
                return bytes;
            }
            Malice::Truncated => {
                let mut bytes = encode(&packet);
                bytes.truncate(self.rng.below(bytes.len() as u64) as usize);
                return bytes;
            }
            Malice::HugeLength => {
                let mut bytes = encode(&packet);
                let at = self.rng.below(bytes.len() as u64) as usize;
                let long = 1 + self.rng.below(9) as usize;
                bytes.splice(
                    at..=at,
                    core::iter::repeat_n(0xff, long).chain([0x01 + self.rng.below(0x7f) as u8]),
                );
                return bytes;
            }
            Malice::TenThousandInputs => {
                let mut bytes = encode(&packet);
                bytes.extend((0..10_000 * self.input_size).map(|_| self.rng.below(256) as u8));
                return bytes;
            }
            Malice::FramesAtTheEnds => {
                let end = self.frame_at_an_end();
                match self.rng.below(4) {
                    0 => packet.frame = end,
                    1 => packet.acknowledged = end,
                    2 => packet.first = end,
                    _ => packet.hash = packet.hash.map(|(_, hash)| (end, hash)),
                }
            }
            Malice::WrongEpoch => packet.epoch ^= 1 + self.rng.below(u64::from(u32::MAX)) as u32,
            Malice::WrongSender => {
                packet.seat = Seat::all(8).nth(self.rng.below(8) as usize).unwrap_or(self.victim);
            }
            Malice::WrongIncarnation => packet.incarnation = 1 + self.rng.below(255) as u8,
            Malice::ChangedInputs => {
                for byte in &mut packet.inputs {
                    *byte ^= 1 + self.rng.below(255) as u8;
                }
            }
            Malice::InputsAfterAGap => packet.first += OUT_OF_REACH + self.rng.below(100_000) as Frame,
            Malice::AcknowledgedFuture => {
                packet.acknowledged += OUT_OF_REACH + self.rng.below(100_000) as Frame;
            }
            Malice::WildHeader => {
                packet.sequence = self.rng.next_u64() as u32;
                packet.echo = self.rng.chance(0.8).then_some(Echo {
                    sequence: self.rng.next_u64() as u32,
                    held_micros: self.rng.next_u64() as u32,
                });
                packet.frame = self.rng.below(u64::from(packet.frame) + 40) as Frame;
                packet.advantage = self.rng.below(256) as u8 as i8;
            }
            Malice::Replayed => {}
        }
        encode(&packet)
    }

    fn random_bytes(&mut self) -> Vec<u8> {
        let length = self.rng.below(MAX_PACKET_BYTES as u64 + 100);
        (0..length).map(|_| self.rng.below(256) as u8).collect()
    }

    fn frame_at_an_end(&mut self) -> Frame {
        [0, 1, FRAME_LIMIT - 1, FRAME_LIMIT, Frame::MAX / 2, Frame::MAX - 1, Frame::MAX]
            [self.rng.below(7) as usize]
    }

    /// The victim itself or a seat beyond the game's: never a seat that has a link to the victim.
    fn any_seat_but_peers(&mut self) -> Seat {
        if self.rng.chance(0.5) { self.victim } else { Seat::new(7).unwrap_or(self.victim) }
    }

    /// See the module's documentation. The victim has taken `truth`.
    fn spare_the_peers_word(&self, truth: &Packet, bytes: Vec<u8>) -> Vec<u8> {
        let Ok(mut packet) = Packet::decode(&bytes, self.input_size) else { return bytes };
        if packet.epoch != self.epoch || packet.seat != self.attacker || packet.incarnation != 0 {
            return bytes;
        }
        let end = |packet: &Packet| packet.first + (packet.inputs.len() / self.input_size) as Frame;
        if end(&packet) > end(truth) && packet.first < truth.first + OUT_OF_REACH {
            packet.first = truth.first;
            packet.inputs.clone_from(&truth.inputs);
        }
        if (truth.acknowledged + 1..truth.acknowledged + OUT_OF_REACH).contains(&packet.acknowledged) {
            packet.acknowledged = truth.acknowledged;
        }
        let heard = truth.hash.map_or(0, |(frame, _)| frame);
        if packet.hash.is_some_and(|(frame, _)| frame > heard && frame < packet.frame) {
            packet.hash = truth.hash;
        }
        encode(&packet)
    }
}

fn encode(packet: &Packet) -> Vec<u8> {
    let mut buffer = [0; MAX_PACKET_BYTES];
    packet.encode(&mut buffer).map(<[u8]>::to_vec).unwrap_or_default()
}
