//! Two links, one at each end, under seeded schedules of silence, restart outcomes and lane failures (L5–L8).
//!
//! `INTERPLAY_SEED=123 cargo test --release -p interplay-link --test schedules -- --nocapture` tells one schedule;
//! `INTERPLAY_SEEDS=100000` runs more than the usual number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::time::Duration;

use base::{Rng, Seat, Timestamp, derive_seed};
use link::{Cause, Direct, Ends, Lane, Link, LinkEvent, MAX_RESTARTS, Rules};
use wire::packet::{Inputs, MAX_PACKET_BYTES, Packet};

const SCHEDULES: u64 = 1000;
const STEP: Duration = Duration::from_millis(5);
const LENGTH: Duration = Duration::from_secs(40);
/// The first connection is there at once, and nothing is wrong for so long.
const QUIET: Duration = Duration::from_secs(1);

fn seat(number: u8) -> Seat {
    Seat::new(number).unwrap()
}

/// From when to when something is wrong.
#[derive(Clone, Copy, Debug)]
struct Fault {
    from: Duration,
    until: Duration,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Nothing passes from that end to the other over the direct lane.
    OneWay(usize),
    BothWays,
    /// As both ways, and an ICE restart or a rebuild mends it before.
    NewAddress,
    /// Both browsers give the path up at the beginning.
    Failed,
    /// Both channels close at the beginning, and only a rebuild mends that.
    Closed,
    /// The server lane swallows everything.
    ServerSilent,
    /// The server lane is down, and one end knows.
    ServerDown(usize),
    /// A page does nothing at all.
    Frozen(usize),
    /// A page does nothing for 100 ms of every 400.
    Busy(usize),
}

#[derive(Debug)]
struct Schedule {
    interval: Duration,
    direct_delay: Duration,
    server_delay: Duration,
    hot: bool,
    /// Whether the browsers tell that their own checks of the path are answered.
    told_of_answers: bool,
    faults: Vec<Fault>,
    restart_works: f64,
}

impl Schedule {
    fn of(seed: u64) -> Self {
        let rng = &mut Rng::from_seed(derive_seed(seed, 0));
        let millis = Duration::from_millis;
        let count = 1 + rng.below(4);
        let faults = (0..count).map(|_| {
            let from = QUIET + millis(rng.below(20_000));
            let length = [200, 2_000, 12_000, 25_000][rng.below(4) as usize];
            let until = from + millis(1 + rng.below(length));
            let end = rng.below(2) as usize;
            let kind = match rng.below(10) {
                0 | 1 => Kind::OneWay(end),
                2 | 3 => Kind::BothWays,
                4 => Kind::NewAddress,
                5 => [Kind::Failed, Kind::Closed][rng.below(2) as usize],
                6 => Kind::ServerSilent,
                7 => Kind::ServerDown(end),
                8 => Kind::Frozen(end),
                _ => Kind::Busy(end),
            };
            Fault { from, until, kind }
        });
        Self {
            faults: faults.collect(),
            interval: Duration::from_secs(1) / [20, 30, 60][rng.below(3) as usize],
            direct_delay: millis(1 + rng.below(80)),
            server_delay: millis(10 + rng.below(120)),
            hot: rng.below(4) == 0,
            told_of_answers: rng.below(2) == 0,
            restart_works: [0.0, 0.5, 1.0][rng.below(3) as usize],
        }
    }

    fn stands_still(&self, end: usize, now: Duration) -> bool {
        let busy = now.as_millis() % 400 < 100;
        self.has(now, |kind| kind == Kind::Frozen(end) || (busy && kind == Kind::Busy(end)))
    }

    fn has(&self, now: Duration, test: impl Fn(Kind) -> bool) -> bool {
        self.faults.iter().any(|fault| fault.from <= now && now < fault.until && test(fault.kind))
    }
}

struct End {
    link: Link,
    next_tick: Duration,
    ticks: u32,
    /// The newest of the peer's ticks that is known here.
    newest: u32,
    last_direct: Duration,
    last_heard: Duration,
    /// Of this outage.
    restarts: u8,
    rebuilds: u8,
    last_restart: Option<Duration>,
    /// When the browser last gave up.
    gave_up: Option<Duration>,
    lost: bool,
}

struct World<'a> {
    schedule: &'a Schedule,
    rng: Rng,
    ends: [End; 2],
    under_way: Vec<(Duration, usize, Lane, Vec<u8>)>,
    /// Faults of the connection that a new one, or a restart, does not have.
    mended: Vec<bool>,
    begun: Vec<bool>,
    /// When a new connection, or a restart, takes effect, and whether it is a new connection.
    coming: Option<(Duration, bool)>,
    open: bool,
    /// Since when the direct lane has passed packets both ways.
    good_since: Duration,
    /// When an end was last on direct though a page was busy, which makes a sound lane suspect now and then.
    direct_while_busy: Duration,
    tell: bool,
    switches: u32,
    restored: u32,
    lost: u32,
}

const EPOCH: u32 = 7;

impl<'a> World<'a> {
    fn new(schedule: &'a Schedule, seed: u64, tell: bool) -> Self {
        let end = |number: u8| {
            let ends = Ends { epoch: EPOCH, peer: seat(1 - number), peer_incarnation: 0, input_size: 1 };
            let rules = Rules {
                interval: schedule.interval,
                hot: schedule.hot,
                direct: true,
                server_lane: true,
                grace: Duration::from_secs(3),
                slack: schedule.interval * 8,
                leads: number == 0,
            };
            let mut link = Link::new(ends, rules, Timestamp::default());
            link.handle_direct(Direct::Open, Timestamp::default());
            link.handle_server_lane(true);
            link.begin(Timestamp::default());
            End {
                link,
                next_tick: schedule.interval.mul_f64(f64::from(number) * 0.37),
                ticks: 0,
                newest: 0,
                last_direct: Duration::ZERO,
                last_heard: Duration::ZERO,
                restarts: 0,
                rebuilds: 0,
                last_restart: None,
                gave_up: None,
                lost: false,
            }
        };
        Self {
            schedule,
            rng: Rng::from_seed(derive_seed(seed, 1)),
            ends: [end(0), end(1)],
            under_way: Vec::new(),
            mended: vec![false; schedule.faults.len()],
            begun: vec![false; schedule.faults.len()],
            coming: None,
            open: true,
            good_since: Duration::ZERO,
            direct_while_busy: Duration::ZERO,
            tell,
            switches: 0,
            restored: 0,
            lost: 0,
        }
    }

    fn passes(&self, from: usize, lane: Lane, now: Duration) -> bool {
        match lane {
            Lane::Server => {
                !self.schedule.has(now, |kind| matches!(kind, Kind::ServerSilent | Kind::ServerDown(_)))
            }
            Lane::Direct => {
                let cut = self.schedule.faults.iter().zip(&self.mended).any(|(fault, &mended)| {
                    let on = fault.from <= now && now < fault.until;
                    on && match fault.kind {
                        Kind::OneWay(end) => end == from,
                        Kind::BothWays | Kind::Failed => true,
                        Kind::NewAddress => !mended,
                        _ => false,
                    }
                });
                self.open && !cut
            }
        }
    }

    fn run(&mut self) -> Result<(), String> {
        let mut now = Duration::ZERO;
        while now < LENGTH {
            self.begin_faults(now);
            self.deliver(now);
            for end in 0..2 {
                self.take_events(end, now)?;
                self.tick(end, now)?;
            }
            self.check(now)?;
            now += STEP;
        }
        Ok(())
    }

    fn begin_faults(&mut self, now: Duration) {
        let time = at(now);
        for index in 0..self.schedule.faults.len() {
            let fault = self.schedule.faults[index];
            let on = fault.from <= now && now < fault.until;
            if let Kind::ServerDown(end) = fault.kind {
                let down = self.schedule.has(now, |kind| kind == Kind::ServerDown(end));
                self.ends[end].link.handle_server_lane(!down);
            }
            if !on || std::mem::replace(&mut self.begun[index], true) {
                continue;
            }
            let state = match fault.kind {
                Kind::Failed => Direct::Failed,
                Kind::Closed => Direct::Dead,
                _ => continue,
            };
            if !self.open {
                continue;
            }
            self.open = fault.kind != Kind::Closed;
            for end in &mut self.ends {
                end.link.handle_direct(state, time);
                end.gave_up = Some(now);
            }
        }
        if let Some((when, new)) = self.coming.filter(|&(when, _)| when <= now) {
            self.coming = None;
            let _ = when;
            if self.rng.chance(self.schedule.restart_works) {
                for (fault, mended) in self.schedule.faults.iter().zip(&mut self.mended) {
                    *mended |= fault.from <= now;
                }
                if new {
                    self.open = true;
                    for end in &mut self.ends {
                        end.link.handle_direct(Direct::Open, time);
                    }
                }
            }
        }
    }

    fn deliver(&mut self, now: Duration) {
        let (due, later) =
            std::mem::take(&mut self.under_way).into_iter().partition(|packet| packet.0 <= now);
        self.under_way = later;
        let due: Vec<(Duration, usize, Lane, Vec<u8>)> = due;
        for (when, to, lane, bytes) in due {
            // What comes to a page that stands still waits for it.
            if self.schedule.stands_still(to, now) {
                self.under_way.push((when, to, lane, bytes));
                continue;
            }
            let end = &mut self.ends[to];
            let received = end.link.handle_packet(lane, &bytes, at(now)).unwrap();
            if received.fresh {
                if received.packet.frame > end.newest {
                    end.newest = received.packet.frame;
                    end.link.handle_news(lane, at(now));
                }
                end.last_heard = now;
                if lane == Lane::Direct {
                    end.last_direct = now;
                }
            }
        }
    }

    fn tick(&mut self, number: usize, now: Duration) -> Result<(), String> {
        if self.schedule.stands_still(number, now) {
            return Ok(());
        }
        let answered = self.passes(0, Lane::Direct, now) && self.passes(1, Lane::Direct, now);
        let end = &mut self.ends[number];
        if self.schedule.told_of_answers && answered && now.as_millis().is_multiple_of(250) {
            end.link.handle_answered(at(now));
        }
        let asked = end.link.poll_timeout().is_some_and(|due| due <= at(now));
        let ticks = now >= end.next_tick;
        if !asked && !ticks {
            return Ok(());
        }
        end.link.handle_timeout(at(now));
        end.ticks += 1;
        while end.next_tick <= now {
            end.next_tick += self.schedule.interval;
        }
        self.take_events(number, now)?;
        let lanes = self.ends[number].link.lanes(at(now));
        for (lane, wanted) in [(Lane::Direct, lanes.direct), (Lane::Server, lanes.server)] {
            if wanted {
                self.send(number, lane, now);
            }
        }
        Ok(())
    }

    fn take_events(&mut self, number: usize, now: Duration) -> Result<(), String> {
        while let Some(event) = self.ends[number].link.poll_event() {
            self.event(number, event, now)?;
        }
        Ok(())
    }

    fn send(&mut self, from: usize, lane: Lane, now: Duration) {
        let (sequence, echo, silent) = self.ends[from].link.next_header(lane, at(now));
        if !self.passes(from, lane, now) {
            return;
        }
        let packet = Packet {
            epoch: EPOCH,
            seat: seat(from as u8),
            incarnation: 0,
            sequence,
            echo,
            silent,
            frame: self.ends[from].ticks,
            advantage: 0,
            acknowledged: 0,
            first: 0,
            inputs: Inputs::new(),
            hash: None,
        };
        let bytes = packet.encode(&mut [0; MAX_PACKET_BYTES]).unwrap().to_vec();
        let delay = match lane {
            Lane::Direct => self.schedule.direct_delay,
            Lane::Server => self.schedule.server_delay,
        };
        self.under_way.push((now + delay, 1 - from, lane, bytes));
    }

    fn event(&mut self, number: usize, event: LinkEvent, now: Duration) -> Result<(), String> {
        if self.tell && !matches!(event, LinkEvent::Sampled(_)) {
            println!("{:7.3} s  end {number}: {event:?}", now.as_secs_f64());
        }
        let end = &mut self.ends[number];
        match event {
            LinkEvent::Restart(attempt, _) => {
                end.restarts += 1;
                if number != 0 {
                    return Err("the end that does not lead restarts".into());
                }
                if end.restarts > MAX_RESTARTS || attempt != end.restarts {
                    return Err(format!("restart {attempt} is number {} of its outage", end.restarts));
                }
                if let Some(last) = end.last_restart
                    && now < last + Duration::from_secs(5)
                    && end.last_direct <= last
                    && end.gave_up.is_none_or(|when| when < last)
                {
                    return Err(format!("a restart at {last:?} was still under way at {now:?}"));
                }
                end.last_restart = Some(now);
                self.coming = Some((now + Duration::from_millis(50 + self.rng.below(500)), false));
            }
            LinkEvent::Rebuild(_) => {
                end.rebuilds += 1;
                if end.rebuilds > 1 {
                    return Err("two rebuilds in one outage".into());
                }
                self.open = false;
                for end in &mut self.ends {
                    end.link.handle_direct(Direct::Connecting, at(now));
                }
                self.coming = Some((now + Duration::from_millis(100 + self.rng.below(900)), true));
            }
            LinkEvent::Stable => {
                (end.restarts, end.rebuilds, end.last_restart) = (0, 0, None);
            }
            LinkEvent::Lost(_) => {
                self.lost += 1;
                end.lost = true;
                // Both lanes are known to be gone, or nothing came for the grace.
                let hopeless = !self.open || end.gave_up.is_some();
                if now < end.last_heard + Duration::from_secs(3) && !hopeless {
                    return Err(format!("lost, though something came at {:?}", end.last_heard));
                }
                let server_is_up = !self.schedule.has(now, |kind| kind == Kind::ServerDown(number));
                if now < end.last_heard + Duration::from_secs(3) && server_is_up {
                    return Err(format!("lost, though the server lane delivered at {:?}", end.last_heard));
                }
            }
            LinkEvent::Restored(_) => {
                self.restored += 1;
                end.lost = false;
            }
            LinkEvent::Switched(lane, cause) => {
                self.switches += 1;
                if (lane == Lane::Direct) != (cause == Cause::Recovered) {
                    return Err(format!("a switch to {lane:?} because of {cause:?}"));
                }
            }
            LinkEvent::Suspect(_) | LinkEvent::Hot | LinkEvent::Sampled(_) | LinkEvent::Graded(_) => {}
        }
        Ok(())
    }

    fn check(&mut self, now: Duration) -> Result<(), String> {
        let frozen = self.schedule.has(now, |kind| matches!(kind, Kind::Frozen(_)));
        if frozen || !self.passes(0, Lane::Direct, now) || !self.passes(1, Lane::Direct, now) {
            self.good_since = now;
        }
        // Until both have heard it, and 2 s more, and a tick.
        let settled = Duration::from_secs(2)
            + self.schedule.direct_delay * 2
            + self.schedule.interval * 4
            + Duration::from_millis(500)
            + if self.schedule.faults.iter().any(|fault| matches!(fault.kind, Kind::Busy(_))) {
                // A busy page hears and says things so much later.
                Duration::from_millis(400)
            } else {
                Duration::ZERO
            };
        let on_direct = |end: &End| end.link.active() == Some(Lane::Direct) && !end.link.is_suspect();
        // Silences arrive later than they are made.
        let busy = self.schedule.faults.iter().any(|fault| {
            let lasts = fault.from <= now && now < fault.until + Duration::from_millis(300);
            lasts && matches!(fault.kind, Kind::Busy(_))
        });
        if busy && self.ends.iter().any(on_direct) {
            self.direct_while_busy = now;
        }
        for (number, end) in self.ends.iter().enumerate() {
            if now > self.good_since.max(self.direct_while_busy) + settled && !on_direct(end) {
                return Err(format!("end {number} is not back on direct, good since {:?}", self.good_since));
            }
            if end.link.active().is_none() != end.lost {
                return Err(format!("end {number} is lost without having said so, or the other way round"));
            }
        }
        Ok(())
    }
}

fn at(time: Duration) -> Timestamp {
    Timestamp::default() + time
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn every_schedule_keeps_to_the_rules() {
    if let Some(seed) = number("INTERPLAY_SEED") {
        let schedule = Schedule::of(seed);
        println!("{schedule:#?}");
        World::new(&schedule, seed, true).run().unwrap();
        return;
    }
    let seeds = number("INTERPLAY_SEEDS").unwrap_or(SCHEDULES);
    let mut failures = Vec::new();
    let (mut switches, mut restored, mut lost, mut restarts) = (0, 0, 0, 0);
    for seed in 0..seeds {
        let schedule = Schedule::of(seed);
        let mut world = World::new(&schedule, seed, false);
        if let Err(violation) = world.run() {
            failures.push(format!("INTERPLAY_SEED={seed}: {violation}"));
        }
        switches += world.switches;
        restored += world.restored;
        lost += world.lost;
        restarts += world.ends[0].link.restarts();
    }
    println!(
        "{seeds} schedules: {switches} switches, {restarts} restarts, {lost} losses, {restored} restored"
    );
    let some = failures.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {seeds} schedules failed, among them\n{some}", failures.len());
    // Schedules in which nothing happened prove nothing.
    let seeds = seeds as u32;
    assert!(switches > seeds && restarts > seeds / 2 && lost > seeds / 20 && restored > seeds / 20);
}

/// What happens, told in the order in which it does; the crate's documentation shows the same as a picture.
#[test]
fn the_transitions_of_a_cut_that_restarts_do_not_mend() {
    let cut = |from, until, kind| Fault {
        from: Duration::from_secs(from),
        until: Duration::from_secs(until),
        kind,
    };
    let schedule = Schedule {
        interval: Duration::from_millis(33),
        direct_delay: Duration::from_millis(20),
        server_delay: Duration::from_millis(40),
        hot: false,
        told_of_answers: false,
        faults: vec![
            cut(2, 20, Kind::BothWays),
            cut(25, 30, Kind::BothWays),
            cut(25, 30, Kind::ServerSilent),
        ],
        restart_works: 1.0,
    };
    let mut world = World::new(&schedule, 1, false);
    let mut told = Vec::new();
    let mut now = Duration::ZERO;
    while now < LENGTH {
        world.begin_faults(now);
        world.deliver(now);
        world.ends[0].link.handle_timeout(at(now));
        while let Some(event) = world.ends[0].link.poll_event() {
            if !matches!(event, LinkEvent::Sampled(_) | LinkEvent::Graded(_) | LinkEvent::Restored(_)) {
                told.push(format!("{:.1} s {event:?}", now.as_secs_f64()));
            }
            world.event(0, event, now).unwrap();
        }
        world.ends[0].ticks += 1;
        let lanes = world.ends[0].link.lanes(at(now));
        for (lane, wanted) in [(Lane::Direct, lanes.direct), (Lane::Server, lanes.server)] {
            if wanted {
                world.send(0, lane, now);
            }
        }
        world.tick(1, now).unwrap();
        now += Duration::from_millis(10);
    }
    println!("{}", told.join("\n"));
    assert_eq!(
        told,
        [
            "2.1 s Suspect(Silence)",
            "2.1 s Switched(Server, Silence)",
            "3.1 s Restart(1, Silence)",
            "8.1 s Restart(2, Silence)",
            "13.1 s Restart(3, Silence)",
            "18.1 s Rebuild(Silence)",
            "22.0 s Switched(Direct, Recovered)",
            "22.0 s Stable",
            "25.1 s Suspect(Silence)",
            "26.1 s Restart(1, Silence)",
            "28.0 s Lost(Silence)",
            "32.1 s Stable",
        ]
    );
}
