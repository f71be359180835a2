//! The loop of events in virtual time.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use base::{Rng, derive_seed};
use link::Lane;
use wire::batch::BatchAcknowledgement;

use crate::attack::Attack;
use crate::conditions::Conditions;
use crate::network::Network;
use crate::outcome::Outcome;
use crate::seat::{Effects, Seat};

/// What happens to a seat. In one moment, what came is read before anything else is done: a page that stood
/// still must not take its own lateness for the others' silence.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Packet {
        from: usize,
        lane: Lane,
        bytes: Vec<u8>,
    },
    Answer {
        upload: u64,
        durable_frame: u32,
        durable_event: u32,
    },
    GaveUp {
        upload: u64,
    },
    Begin,
    /// Only the newest wake counts.
    Wake {
        number: u64,
    },
    Drawn,
    /// At the server, not at the seat.
    BatchArrives {
        upload: u64,
        bytes: Vec<u8>,
        answers: [Option<Duration>; 2],
    },
    /// From the attacker, for the victim.
    Attack,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Scheduled {
    at: Duration,
    event: Event,
    seat: usize,
}

struct Run<'a> {
    conditions: &'a Conditions,
    seats: Vec<Seat>,
    wakes: Vec<u64>,
    network: Network,
    server_lane: Option<Network>,
    rng: Rng,
    queue: BinaryHeap<Reverse<Scheduled>>,
    attack: Option<&'a mut Attack>,
}

/// Plays a game to its end, or to the bound of its conditions; with an attacker, if there is one.
#[must_use]
pub fn run(conditions: &Conditions, attack: Option<&mut Attack>) -> Outcome {
    let network_rng = Rng::from_seed(derive_seed(conditions.seed, 1));
    let mut run = Run {
        conditions,
        seats: base::Seat::all(conditions.seats).map(|seat| Seat::new(conditions, seat)).collect(),
        wakes: vec![0; usize::from(conditions.seats)],
        network: Network::new(conditions.paths, conditions.faults_end, network_rng),
        server_lane: conditions.server_lane.map(|paths| {
            Network::new(paths, conditions.faults_end, Rng::from_seed(derive_seed(conditions.seed, 5)))
        }),
        rng: Rng::from_seed(derive_seed(conditions.seed, 2)),
        queue: BinaryHeap::new(),
        attack,
    };
    run.play();
    let hostile_packets = run.attack.map_or(0, |attack| attack.sent());
    Outcome {
        conditions: conditions.clone(),
        seats: run.seats.into_iter().map(Seat::outcome).collect(),
        lost_packets: run.network.lost,
        hostile_packets,
    }
}

impl Run<'_> {
    fn play(&mut self) {
        for seat in 0..self.seats.len() {
            let at = self.conditions.begin_spread.mul_f64(self.rng.unit());
            self.schedule(at, seat, Event::Begin);
        }
        if let Some(attack) = &self.attack {
            self.schedule(Duration::ZERO, attack.victim().index(), Event::Attack);
        }
        let bound = self.conditions.bound();
        while let Some(Reverse(Scheduled { at, seat, event })) = self.queue.pop() {
            if at > bound || self.seats.iter().all(Seat::is_complete) {
                return;
            }
            self.happen(at, seat, event);
        }
    }

    fn schedule(&mut self, at: Duration, seat: usize, event: Event) {
        self.queue.push(Reverse(Scheduled { at, event, seat }));
    }

    fn happen(&mut self, now: Duration, seat: usize, event: Event) {
        match event {
            Event::BatchArrives { upload, bytes, answers } => {
                return self.batch_arrives(seat, upload, &bytes, answers);
            }
            Event::Attack => return self.attack(now, seat),
            _ => {}
        }
        let page = &mut self.seats[seat];
        if page.is_frozen(now, self.conditions.faults_end) {
            let thaw = page.frozen_until;
            return self.schedule(thaw, seat, event);
        }
        let effects = match event {
            Event::Packet { from, lane, bytes } => {
                let from = base::Seat::new(from as u8).expect("packets come from seats");
                page.take_packet(from, lane, &bytes, now);
                if let Some(attack) = &mut self.attack {
                    attack.observe(from, base::Seat::new(seat as u8).expect("a seat"), &bytes);
                }
                return;
            }
            Event::Wake { number } if number != self.wakes[seat] => return,
            Event::Wake { .. } => {
                let repaint = now + page.next_repaint();
                let effects = page.wake(now);
                self.schedule(repaint, seat, Event::Drawn);
                effects
            }
            Event::Begin => page.begin(now),
            Event::Drawn => return page.draw(now),
            Event::Answer { upload, durable_frame, durable_event } => {
                page.take_answer(upload, BatchAcknowledgement { durable_frame, durable_event }, now)
            }
            Event::GaveUp { upload } => page.give_up(upload, now),
            Event::BatchArrives { .. } | Event::Attack => return,
        };
        self.carry_out(now, seat, effects);
    }

    fn carry_out(&mut self, now: Duration, seat: usize, effects: Effects) {
        for (to, lane, bytes) in effects.packets {
            let arrivals = match (lane, &mut self.server_lane) {
                (Lane::Direct, _) => self.network.arrivals(seat, to, now),
                (Lane::Server, Some(lane)) => lane.arrivals(seat, to, now),
                (Lane::Server, None) => [None; 2],
            };
            for at in arrivals.into_iter().flatten() {
                self.schedule(at, to, Event::Packet { from: seat, lane, bytes: bytes.clone() });
            }
        }
        if let Some((upload, bytes)) = effects.upload {
            let fate = self.conditions.uplink.fate(&mut self.rng, now, self.conditions.faults_end);
            if let Some(at) = fate.arrives {
                self.schedule(at, seat, Event::BatchArrives { upload, bytes, answers: fate.answers });
            }
            self.schedule(now + self.conditions.uplink.timeout, seat, Event::GaveUp { upload });
        }
        if let Some(at) = effects.wake {
            self.wakes[seat] += 1;
            self.schedule(at.max(now), seat, Event::Wake { number: self.wakes[seat] });
        }
    }

    fn batch_arrives(&mut self, seat: usize, upload: u64, bytes: &[u8], answers: [Option<Duration>; 2]) {
        let Conditions { seats, input_size, .. } = *self.conditions;
        let BatchAcknowledgement { durable_frame, durable_event } =
            self.seats[seat].records.keep(bytes, seats, input_size);
        for at in answers.into_iter().flatten() {
            self.schedule(at, seat, Event::Answer { upload, durable_frame, durable_event });
        }
    }

    fn attack(&mut self, now: Duration, victim: usize) {
        let Some(attack) = &mut self.attack else { return };
        for _ in 0..attack.burst() {
            let (over, bytes) = attack.next_packet();
            let lane = if self.rng.chance(0.5) { Lane::Direct } else { Lane::Server };
            self.seats[victim].take_packet(over, lane, &bytes, now);
        }
        let next = now + attack.interval();
        self.schedule(next, victim, Event::Attack);
    }
}
