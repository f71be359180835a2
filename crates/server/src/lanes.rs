//! The server lane: passes game packets on between the seats of one game, past the stage, so that nothing that
//! waits for a disk holds a packet up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::body::Bytes;
use base::{GameId, MAX_SEATS, Seat, VisitId};
use metrics::counter;
use tokio::sync::Notify;
use wire::lane;

/// Where the packets for one socket wait: the newest of each sender, which holds everything. An older one that
/// was not sent yet is forgotten, so a slow reader costs no memory.
#[derive(Debug, Default)]
pub(crate) struct LaneBox {
    newest: Mutex<[Option<Bytes>; MAX_SEATS]>,
    filled: Notify,
}

impl LaneBox {
    /// True when it took the place of one that was not sent.
    fn put(&self, from: Seat, packet: Bytes) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = newest[from.index()].replace(packet).is_some();
        drop(newest);
        self.filled.notify_one();
        replaced
    }

    fn take(&self) -> Option<Bytes> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.iter_mut().find_map(Option::take)
    }

    /// The next packet. Cancelling this loses nothing.
    pub(crate) async fn next(&self) -> Bytes {
        loop {
            if let Some(packet) = self.take() {
                return packet;
            }
            self.filled.notified().await;
        }
    }
}

/// Who plays with whom, and where each can be reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lanes {
    table: Arc<RwLock<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    games: HashMap<GameId, Vec<Option<VisitId>>>,
    boxes: HashMap<VisitId, Arc<LaneBox>>,
}

impl Lanes {
    fn write(&self, change: impl FnOnce(&mut Table)) {
        change(&mut self.table.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// A game begins, or goes on; none where a seat has ended.
    pub(crate) fn add_game(&self, game: GameId, seats: Vec<Option<VisitId>>) {
        self.write(|table| {
            table.games.insert(game, seats);
        });
    }

    /// A seat has ended; the last one takes the game with it.
    pub(crate) fn end_seat(&self, game: GameId, seat: Seat) {
        self.write(|table| {
            let Some(seats) = table.games.get_mut(&game) else { return };
            if let Some(visit) = seats.get_mut(seat.index()) {
                *visit = None;
            }
            if seats.iter().all(Option::is_none) {
                table.games.remove(&game);
            }
        });
    }

    /// A visit is reached over this socket from here on.
    pub(crate) fn connect(&self, visit: VisitId, lane: Arc<LaneBox>) {
        self.write(|table| {
            table.boxes.insert(visit, lane);
        });
    }

    /// A visit's socket is gone.
    pub(crate) fn disconnect(&self, visit: VisitId) {
        self.write(|table| {
            table.boxes.remove(&visit);
        });
    }

    /// Passes on what a page sent: to members of the game that it sits in, and in its own name only.
    pub(crate) fn relay(&self, from: VisitId, message: &[u8]) {
        let Ok((game, packets)) = lane::read_bundle(message) else { return count("malformed") };
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let Some(seats) = table.games.get(&game) else { return count("no_game") };
        let own = Seat::all(seats.len() as u8).find(|seat| seats[seat.index()] == Some(from));
        let Some(own) = own else { return count("refused") };
        for packet in packets {
            let Ok((to, packet)) = packet else { return count("malformed") };
            let visit = seats.get(to.index()).copied().flatten().filter(|_| to != own);
            match visit.and_then(|visit| table.boxes.get(&visit)) {
                Some(lane) => {
                    let replaced = lane.put(own, lane::relayed(own, packet).into());
                    count(if replaced { "replaced" } else { "relayed" });
                }
                None => count("unreachable"),
            }
        }
    }
}

fn count(result: &'static str) {
    counter!("interplay_lane_packets_total", "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(number: u8) -> VisitId {
        VisitId::from_random([number; 16])
    }

    fn bundle(game: GameId, to: u8, packet: &[u8]) -> Vec<u8> {
        let mut bundle = lane::Bundle::new(game);
        bundle.push(Seat::new(to).unwrap(), packet);
        bundle.as_bytes().to_vec()
    }

    fn setup() -> (Lanes, GameId, Vec<Arc<LaneBox>>) {
        let lanes = Lanes::default();
        let game = GameId::from_random([9; 16]);
        lanes.add_game(game, (0..3).map(|number| Some(visit(number))).collect());
        let boxes: Vec<_> = (0..3).map(|_| Arc::new(LaneBox::default())).collect();
        for (number, lane) in (0..).zip(&boxes) {
            lanes.connect(visit(number), Arc::clone(lane));
        }
        (lanes, game, boxes)
    }

    #[test]
    fn the_newest_packet_of_each_sender_waits() {
        let (lanes, game, boxes) = setup();
        for number in 0..100_u8 {
            lanes.relay(visit(0), &bundle(game, 2, &[number]));
        }
        lanes.relay(visit(1), &bundle(game, 2, b"x"));
        assert_eq!(boxes[2].take().as_deref(), Some(&[0, 99][..]));
        assert_eq!(boxes[2].take().as_deref(), Some(&b"\x01x"[..]));
        assert_eq!(boxes[2].take(), None);
    }

    #[test]
    fn only_members_are_heard_and_reached() {
        let (lanes, game, boxes) = setup();
        lanes.relay(visit(7), &bundle(game, 1, b"from a stranger"));
        lanes.relay(visit(0), &bundle(GameId::from_random([8; 16]), 1, b"into another game"));
        lanes.relay(visit(0), &bundle(game, 0, b"to oneself"));
        lanes.relay(visit(0), &bundle(game, 5, b"to nobody"));
        lanes.relay(visit(0), b"nonsense");
        lanes.end_seat(game, Seat::new(1).unwrap());
        lanes.relay(visit(1), &bundle(game, 2, b"from one who has left"));
        lanes.relay(visit(0), &bundle(game, 1, b"to one who has left"));
        assert!(boxes.iter().all(|lane| lane.take().is_none()));
        for seat in Seat::all(3) {
            lanes.end_seat(game, seat);
        }
        assert!(lanes.table.read().unwrap().games.is_empty());
    }
}
