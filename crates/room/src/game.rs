//! One game, as the server sees it: who is ready, who has finished.

use std::collections::BTreeMap;

use base::{Frame, Seat, SeatSet, Timestamp, VisitId};
use wire::control::{GameStart, IceServer};

/// A game that is on.
#[derive(Debug)]
pub(crate) struct Game {
    /// What every seat was told at the beginning; the seat is each one's own.
    start: GameStart,
    /// Who sits where.
    pub(crate) seats: Vec<VisitId>,
    pub(crate) phase: Phase,
    /// Who has been taken on to the next scene.
    pub(crate) left: SeatSet,
    /// Who does not hear whom, and until when that may last: one entry for each direction.
    lost: BTreeMap<(Seat, Seat), Timestamp>,
    /// The furthest frame that anybody has told of.
    pub(crate) frame: Frame,
}

/// Where a game stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Environments are loaded and links made.
    Gathering {
        /// Who is ready.
        ready: SeatSet,
        /// By when everyone must be.
        deadline: Timestamp,
    },
    /// Everyone was ready.
    Playing,
}

impl Game {
    pub(crate) fn new(start: GameStart, seats: Vec<VisitId>, deadline: Timestamp) -> Self {
        let phase = Phase::Gathering { ready: SeatSet::EMPTY, deadline };
        Self { start, seats, phase, left: SeatSet::EMPTY, lost: BTreeMap::new(), frame: 0 }
    }

    /// What a seat is told when it begins, and again whenever it connects.
    pub(crate) fn start_for(&self, seat: Seat) -> GameStart {
        GameStart { seat, ..self.start.clone() }
    }

    pub(crate) fn count(&self) -> u8 {
        self.seats.len() as u8
    }

    pub(crate) fn seat_of(&self, visit: VisitId) -> Option<Seat> {
        Seat::all(self.count()).find(|seat| self.seats[seat.index()] == visit)
    }

    pub(crate) fn visit_at(&self, seat: Seat) -> Option<VisitId> {
        self.seats.get(seat.index()).copied()
    }

    /// The seats that are still in it.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = (Seat, VisitId)> + '_ {
        Seat::all(self.count())
            .filter(|&seat| !self.left.contains(seat))
            .map(|seat| (seat, self.seats[seat.index()]))
    }

    /// A seat does not hear a peer any more; that it says so again changes nothing.
    pub(crate) fn lose(&mut self, seat: Seat, peer: Seat, until: Timestamp) {
        let known = peer != seat && peer.number() < self.count();
        if known && self.phase == Phase::Playing && !self.left.contains(seat) && !self.left.contains(peer) {
            self.lost.entry((seat, peer)).or_insert(until);
        }
    }

    /// A seat hears a peer again.
    pub(crate) fn restore(&mut self, seat: Seat, peer: Seat) {
        self.lost.remove(&(seat, peer));
    }

    /// Until when those who do not hear each other may go on like that.
    pub(crate) fn lost_until(&self) -> Option<Timestamp> {
        self.lost.values().min().copied()
    }

    /// A seat has gone on to the next scene.
    pub(crate) fn leave(&mut self, seat: Seat) {
        self.left.insert(seat);
        self.lost.retain(|&(from, peer), _| from != seat && peer != seat);
    }

    /// What connections are made with.
    pub(crate) fn ice_servers(&self) -> &[IceServer] {
        &self.start.ice_servers
    }

    /// Counts a seat ready. True when that makes everyone so.
    pub(crate) fn make_ready(&mut self, seat: Seat) -> bool {
        let count = self.seats.len();
        let Phase::Gathering { ready, .. } = &mut self.phase else { return false };
        ready.insert(seat);
        let all = ready.len() == count;
        if all {
            self.phase = Phase::Playing;
        }
        all
    }
}
