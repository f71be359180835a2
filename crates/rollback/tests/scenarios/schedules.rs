//! Seeded schedules: several cores exchange inputs over a network that loses, delays, repeats and reorders, and
//! every one of them must confirm what a serial run of the same inputs gives.
//!
//! `INTERPLAY_SEED=123 cargo test -p interplay-rollback schedules` replays one schedule;
//! `INTERPLAY_SEEDS=100000` runs more than the usual number.

use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base::{Frame, Input, Rng, Seat, derive_seed};
use rollback::{Advance, Config, Confirmed, Prediction, Rollback};

use crate::seat;
use crate::serial::{self, Truth};
use crate::toy::{Ending, Toy};

const SCHEDULES: u64 = 10_000;

/// No schedule needs as many ticks: the slowest has 90 frames, a window of 1 and a delay of 30 ticks.
const MOST_TICKS: u64 = 20_000;

#[test]
fn every_schedule_confirms_what_a_serial_run_gives() {
    let number = |name| std::env::var(name).ok().map(|text: String| text.parse().expect("a number"));
    if let Some(seed) = number("INTERPLAY_SEED") {
        println!("{:#?}", Schedule::of(seed));
        println!("{:#?}", run(seed));
        return;
    }
    let schedules: u64 = number("INTERPLAY_SEEDS").unwrap_or(SCHEDULES);
    let mut seen = Seen::default();
    for seed in 0..schedules {
        match catch_unwind(AssertUnwindSafe(|| run(seed))) {
            Ok(more) => seen.add(&more),
            Err(_) => panic!("schedule {seed} failed: replay it with INTERPLAY_SEED={seed}"),
        }
    }
    println!("{schedules} schedules: {seen:?}");
    // Schedules that show nothing prove nothing.
    assert!(seen.deepest == 16 && seen.rollbacks > schedules, "{seen:?}");
    assert!(seen.reopened > schedules / 100 && seen.ended_sooner > schedules / 100, "{seen:?}");
    assert!(seen.waited > schedules && seen.lost > schedules && seen.repeated > schedules, "{seen:?}");
}

/// What happened in some schedules.
#[derive(Debug, Default)]
struct Seen {
    frames: u64,
    rollbacks: u64,
    deepest: Frame,
    /// An episode's predicted end was taken back.
    reopened: u64,
    /// A rollback ended an episode before frames that were simulated.
    ended_sooner: u64,
    waited: u64,
    lost: u64,
    repeated: u64,
}

impl Seen {
    fn add(&mut self, more: &Self) {
        self.frames += more.frames;
        self.rollbacks += more.rollbacks;
        self.deepest = self.deepest.max(more.deepest);
        self.reopened += more.reopened;
        self.ended_sooner += more.ended_sooner;
        self.waited += more.waited;
        self.lost += more.lost;
        self.repeated += more.repeated;
    }
}

/// All that a seed decides.
#[derive(Clone, Debug)]
struct Schedule {
    seed: u64,
    seats: u8,
    window: u8,
    input_delay: u8,
    input_size: usize,
    prediction: Prediction,
    episodes: u32,
    max_frames: Frame,
    ending: Option<Ending>,
    /// How often a seat changes what it holds.
    restlessness: f64,
    loss: f64,
    repeats: f64,
    least_delay: u64,
    most_delay: u64,
    /// How often a seat stands still, a tick.
    pauses: f64,
    longest_pause: u64,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        let rng = &mut Rng::from_seed(derive_seed(seed, 0));
        let mut within = |least: u64, most: u64| least + rng.below(most - least + 1);
        let most_delay = within(0, 30);
        let ends = within(0, 2) > 0;
        Self {
            seed,
            // Games of two are the common case, and cheap.
            seats: if within(0, 2) == 0 { 2 } else { within(2, 8) as u8 },
            window: within(1, 16) as u8,
            input_delay: within(0, 8) as u8,
            input_size: within(1, 3) as usize,
            prediction: if within(0, 1) == 0 { Prediction::RepeatLast } else { Prediction::Default },
            episodes: within(1, 3) as u32,
            max_frames: within(1, 30) as Frame,
            ending: ends.then_some(Ending { after: within(1, 10) as u32, one_in: within(2, 12) }),
            restlessness: within(0, 10) as f64 / 10.0,
            loss: within(0, 60) as f64 / 100.0,
            repeats: within(0, 30) as f64 / 100.0,
            least_delay: within(0, most_delay),
            most_delay,
            pauses: if within(0, 1) == 0 { 0.0 } else { 0.02 },
            longest_pause: within(1, 60),
        }
    }

    fn toy(&self) -> Toy {
        Toy::new(self.window, derive_seed(self.seed, 1), self.ending)
    }
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    /// First, so that a heap is a network: the packet that arrives next is the greatest.
    arrival: core::cmp::Reverse<u64>,
    order: u64,
    from: u8,
    to: u8,
    acknowledged: Frame,
    first: Frame,
    inputs: Vec<Vec<u8>>,
}

struct Peer {
    seat: Seat,
    core: Rollback,
    toy: Toy,
    episode: u32,
    finished: bool,
    paused_until: u64,
    held: Vec<u8>,
    /// Every input that this seat made, by frame: what the others must come to know.
    made: Vec<Input>,
    acknowledged: Vec<Frame>,
    confirmed: Vec<Confirmed>,
    ending: bool,
}

impl Peer {
    fn new(schedule: &Schedule, seat: Seat) -> Self {
        let core = Rollback::new(Config {
            seats: schedule.seats,
            local: seat,
            input_size: schedule.input_size,
            input_delay: schedule.input_delay,
            window: schedule.window,
            prediction: schedule.prediction,
            max_frames: schedule.max_frames,
        })
        .unwrap();
        let mut peer = Self {
            seat,
            core,
            toy: schedule.toy(),
            episode: 0,
            finished: false,
            paused_until: 0,
            held: vec![0; schedule.input_size],
            made: vec![Input::none(schedule.input_size); usize::from(schedule.input_delay)],
            acknowledged: vec![0; usize::from(schedule.seats)],
            confirmed: Vec::new(),
            ending: false,
        };
        peer.toy.begin(schedule.seats, 0);
        peer.core.begin_episode(&mut peer.toy);
        peer
    }

    fn tick(&mut self, schedule: &Schedule, rng: &mut Rng, seen: &mut Seen) {
        for byte in &mut self.held {
            if rng.chance(schedule.restlessness) {
                *byte = rng.below(4) as u8;
            }
        }
        let local = Input::new(&self.held).unwrap();
        let before = self.core.frame();
        let Ok(advance) = self.core.advance(local, &mut self.toy);
        let after = self.core.frame();
        seen.ended_sooner += u64::from(after < before);
        match advance {
            Advance::Stepped { .. } => {
                seen.reopened += u64::from(self.ending);
                self.ending = false;
            }
            Advance::Waiting { missing } => {
                assert!(!missing.is_empty() && !missing.contains(self.seat), "{missing:?}");
                seen.waited += 1;
            }
            Advance::EpisodeEnding => self.ending = true,
            Advance::EpisodeOver => {
                self.ending = false;
                self.episode += 1;
                if self.episode < schedule.episodes {
                    self.toy.begin(schedule.seats, self.episode);
                    self.core.begin_episode(&mut self.toy);
                } else {
                    self.finished = true;
                }
            }
        }
        let confirmed = self.core.confirmed();
        assert!(confirmed <= after && after <= confirmed + Frame::from(schedule.window));
        self.made.extend(self.core.inputs(self.seat, self.made.len() as Frame));
        assert_eq!(self.core.known_until(self.seat), self.made.len() as Frame);
        self.confirmed.extend(core::iter::from_fn(|| self.core.poll_confirmed()));
    }

    fn receive(&mut self, packet: &Sent) {
        let inputs = packet.inputs.iter().map(|bytes| Input::new(bytes).unwrap());
        // A packet that another overtook may lie before the acknowledged frame, but none beyond a gap.
        assert_eq!(self.core.add_remote(seat(packet.from), packet.first, inputs), Ok(()));
        let acknowledged = &mut self.acknowledged[usize::from(packet.from)];
        *acknowledged = packet.acknowledged.max(*acknowledged);
    }
}

fn run(seed: u64) -> Seen {
    let schedule = Schedule::of(seed);
    let mut seen = Seen::default();
    let rng = &mut Rng::from_seed(derive_seed(seed, 2));
    let mut peers: Vec<_> = Seat::all(schedule.seats).map(|seat| Peer::new(&schedule, seat)).collect();
    let mut network: BinaryHeap<Sent> = BinaryHeap::new();
    let mut order = 0;
    let mut now = 0;
    while !peers.iter().all(|peer| peer.finished) {
        assert!(now < MOST_TICKS, "stuck at tick {now}");
        while network.peek().is_some_and(|packet| packet.arrival.0 <= now) {
            let packet = network.pop().unwrap();
            peers[usize::from(packet.to)].receive(&packet);
        }
        for peer in &mut peers {
            if peer.paused_until <= now && rng.chance(schedule.pauses) {
                peer.paused_until = now + rng.below(schedule.longest_pause);
            }
            if peer.paused_until > now {
                continue;
            }
            if !peer.finished {
                peer.tick(&schedule, rng, &mut seen);
            }
            for to in (0..schedule.seats).filter(|&to| to != peer.seat.number()) {
                let copies = 1 + u64::from(rng.chance(schedule.repeats));
                seen.repeated += copies - 1;
                for _ in 0..copies {
                    if rng.chance(schedule.loss) {
                        seen.lost += 1;
                        continue;
                    }
                    let delay =
                        schedule.least_delay + rng.below(schedule.most_delay - schedule.least_delay + 1);
                    let first = peer.acknowledged[usize::from(to)].max(peer.core.inputs_start(peer.seat));
                    order += 1;
                    network.push(Sent {
                        arrival: core::cmp::Reverse(now + delay),
                        order,
                        from: peer.seat.number(),
                        to,
                        acknowledged: peer.core.known_until(seat(to)),
                        first,
                        inputs: peer
                            .core
                            .inputs(peer.seat, first)
                            .map(|input| input.as_bytes().to_vec())
                            .collect(),
                    });
                }
            }
        }
        now += 1;
    }
    check(&schedule, &peers);
    for peer in &peers {
        seen.frames += peer.confirmed.len() as u64;
        seen.rollbacks += peer.core.rollbacks();
        seen.deepest = seen.deepest.max(peer.core.deepest_rollback());
    }
    seen
}

fn check(schedule: &Schedule, peers: &[Peer]) {
    let made = |seat: u8, frame: Frame| peers[usize::from(seat)].made[frame as usize];
    let truths =
        serial::play(&mut schedule.toy(), schedule.seats, schedule.episodes, schedule.max_frames, made);
    for peer in peers {
        assert_eq!(peer.confirmed.len(), truths.len(), "seat {}", peer.seat);
        for ((frame, truth), confirmed) in (0..).zip(&truths).zip(&peer.confirmed) {
            let told = Truth {
                inputs: confirmed.inputs[..usize::from(schedule.seats)].to_vec(),
                hash: confirmed.hash,
                outcome: confirmed.outcome,
            };
            assert_eq!((confirmed.frame, &told), (frame, truth), "seat {}", peer.seat);
            assert!(!confirmed.predicted.contains(peer.seat), "one's own input is never predicted");
            assert!(confirmed.rollback_depth <= schedule.window);
            let rolled_back = confirmed.rollback_depth > 0;
            assert!(!rolled_back || confirmed.frame > 0 || !confirmed.predicted.is_empty());
        }
    }
}
