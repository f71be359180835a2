//! Links of which one end can have no direct lane: the server lane is the link, from the beginning and without any outage (L5,
//! H1).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::time::Duration;

use base::{Seat, Timestamp};
use link::{Direct, Ends, Lane, Lanes, Link, LinkEvent, Refusal, Rules};
use wire::packet::{Inputs, MAX_PACKET_BYTES, Packet};

const EPOCH: u32 = 7;
const FRAME: Duration = Duration::from_millis(33);
const ONE_WAY: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_secs(3);

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

/// Both ends, a clock, and what is under way: when it arrives, at whom, what.
struct World {
    now: Timestamp,
    ends: [Link; 2],
    under_way: Vec<(Timestamp, usize, Vec<u8>)>,
    /// Nothing passes.
    cut: bool,
    events: Vec<LinkEvent>,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_millis(1000);
        let end = |number: u8| {
            let ends = Ends { epoch: EPOCH, peer: seat(1 - number), peer_incarnation: 0, input_size: 1 };
            let (interval, leads) = (FRAME, number == 0);
            let (hot, direct, server_lane) = (false, false, true);
            let rules = Rules { interval, hot, direct, server_lane, grace: GRACE, slack: FRAME * 8, leads };
            let mut link = Link::new(ends, rules, now);
            link.handle_server_lane(true);
            link
        };
        Self { now, ends: [end(0), end(1)], under_way: Vec::new(), cut: false, events: Vec::new() }
    }

    /// One tick of the frame clock.
    fn tick(&mut self) {
        self.now += FRAME;
        let now = self.now;
        let (due, later) = self.under_way.drain(..).partition(|(at, ..)| *at <= now);
        self.under_way = later;
        for (at, to, bytes) in due {
            self.ends[to].handle_packet(Lane::Server, &bytes, at).unwrap();
        }
        for (number, end) in self.ends.iter_mut().enumerate() {
            end.handle_timeout(now);
            assert!(end.poll_timeout().is_none_or(|at| at > now), "it asks to be woken for nothing");
            assert_eq!(end.lanes(now), Lanes { direct: false, server: true });
            let (sequence, echo, silent) = end.next_header(Lane::Server, now);
            assert!(!silent, "there is nothing that could be silent");
            let packet = Packet {
                epoch: EPOCH,
                seat: seat(number as u8),
                incarnation: 0,
                sequence,
                echo,
                silent,
                frame: 0,
                advantage: 0,
                acknowledged: 0,
                first: 0,
                inputs: Inputs::new(),
                hash: None,
            };
            let mut buffer = [0; MAX_PACKET_BYTES];
            let bytes = packet.encode(&mut buffer).unwrap().to_vec();
            if !self.cut {
                self.under_way.push((now + ONE_WAY, 1 - number, bytes));
            }
            self.events.extend(std::iter::from_fn(|| end.poll_event()));
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.tick();
        }
    }

    fn begin(&mut self) {
        for end in &mut self.ends {
            end.begin(self.now);
        }
    }
}

#[test]
fn a_game_can_begin_as_soon_as_the_way_over_the_server_is_measured() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    for end in &world.ends {
        let checked = end.checked(world.now).unwrap();
        assert_eq!(checked.lane, Lane::Server);
        assert!(checked.round_trip >= ONE_WAY * 2 && checked.round_trip < ONE_WAY * 2 + FRAME * 2);
    }
    assert_eq!(world.events, [], "no connection is made, so none is made anew");
}

#[test]
fn a_game_over_the_server_alone_has_no_outage() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    world.begin();
    world.run(Duration::from_secs(20));
    let unusual = |event: &&LinkEvent| !matches!(event, LinkEvent::Sampled(_) | LinkEvent::Graded(_));
    assert_eq!(world.events.iter().filter(unusual).collect::<Vec<_>>(), Vec::<&LinkEvent>::new());
    for end in &world.ends {
        assert!(!end.is_suspect() && end.hears(world.now));
        assert_eq!(end.active(), Some(Lane::Server));
    }
}

#[test]
fn who_is_not_heard_for_the_grace_is_lost_and_comes_back_also_when_the_server_is_away() {
    for server_is_away in [false, true] {
        let mut world = World::new();
        world.run(Duration::from_secs(1));
        world.begin();
        world.run(Duration::from_secs(5));
        world.events.clear();
        world.cut = true;
        if server_is_away {
            // `tick` asks for the server lane, which is only there again later.
            let now = world.now;
            for end in &mut world.ends {
                end.handle_server_lane(false);
                assert_eq!(end.lanes(now), Lanes::default());
                end.handle_timeout(now);
                end.handle_server_lane(true);
            }
            assert_eq!(world.events, [], "a moment without the server is no loss");
        }
        world.run(GRACE - Duration::from_millis(200));
        let lost =
            |world: &World| world.events.iter().filter(|event| matches!(event, LinkEvent::Lost(_))).count();
        assert_eq!(lost(&world), 0);
        world.run(Duration::from_millis(400));
        assert_eq!(lost(&world), 2, "{:?}", world.events);
        world.cut = false;
        world.run(Duration::from_secs(1));
        let restored = world.events.iter().filter(|event| matches!(event, LinkEvent::Restored(_))).count();
        assert_eq!(restored, 2, "{:?}", world.events);
    }
}

#[test]
fn what_a_browser_says_of_a_connection_changes_nothing_and_packets_over_one_are_refused() {
    let mut world = World::new();
    world.run(Duration::from_secs(1));
    world.begin();
    let now = world.now;
    let link = &mut world.ends[0];
    for state in [Direct::Open, Direct::Failed, Direct::Connecting, Direct::Dead] {
        link.handle_direct(state, now);
        assert_eq!(link.lanes(now), Lanes { direct: false, server: true });
    }
    assert_eq!(link.handle_packet(Lane::Direct, &[0], now), Err(Refusal::WrongLane));
}
