//! What a seed decides before anything happens: the game, and what goes wrong when.

use core::fmt;
use core::time::Duration;

use base::{Rng, Seat, SeatSet, derive_seed};
use wire::control::{GameRules, LaneUse, OnDirectLoss, OnPlayerLost, PauseRules, Prediction};

use crate::chaos::Ending;
use crate::network::Paths;

/// One game and everything that befalls it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of everything random while it runs.
    pub seed: u64,
    /// 1 to 4.
    pub seats: u8,
    /// Bytes of an input.
    pub input_size: usize,
    /// How it is played.
    pub rules: GameRules,
    /// How the environment may end an episode.
    pub ending: Option<Ending>,
    /// The share of ticks at which a participant presses something else.
    pub restlessness: f64,
    /// How wrong clocks run at most, in millionths.
    pub drift_ppm: u64,
    /// The paths between pages.
    pub direct: Paths,
    /// One way between a page and the server.
    pub uplink: Duration,
    /// How long a commit takes.
    pub disk: Duration,
    /// How long a page takes to load the environment.
    pub load: Duration,
    /// How many frames of a game that is played anew a page gets done in a tick.
    pub replayed: usize,
    /// Who has no direct lane, as bots.
    pub relayed: SeatSet,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Something that goes wrong for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// When.
    pub at: Duration,
    /// For how long; for ever when that is [`Duration::MAX`].
    pub lasts: Duration,
    /// What.
    pub fault: Fault,
}

impl Trouble {
    pub(super) fn ends(&self) -> Duration {
        self.at.saturating_add(self.lasts)
    }
}

/// What goes wrong. Seats are numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing reaches a page, and nothing leaves it.
    Offline(u8),
    /// A page and the server do not reach each other.
    Unreachable(u8),
    /// Two pages do not reach each other directly.
    Cut(u8, u8),
    /// The second does not hear the first directly.
    OneWay(u8, u8),
    /// A page is gone, with its memory; it is loaded anew at the end.
    Reload(u8),
    /// A page stands still.
    Freeze(u8),
    /// The server is killed, and started anew at the end.
    ServerDown,
    /// Commits take a second and a half.
    SlowDisk,
    /// A page's state is changed once.
    Corrupt(u8),
    /// The next five measurements of a page's way to the server are too slow.
    SlowPing(u8),
    /// A participant leaves the study.
    Leaves(u8),
    /// A page is in the background: the study waits for it.
    Hidden(u8),
}

/// A machine that is broken on purpose, to see that a checker finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// A page presses something else than it tells the server.
    ForgedUploads,
    /// A page whose state was changed tells its peers what they want to hear.
    LyingHashes,
    /// A seat's ending is written down twice, differently.
    TwoEndings,
    /// Messages of the control channel come twice.
    DoubleMessages,
    /// One seat is not told that the game goes on.
    NoResume,
    /// The server's timers never ring.
    NoDeadlines,
    /// The store acknowledges a frame that it has lost.
    LostFrame,
    /// The end of a pause is not written down.
    NoLedger,
    /// A page that lost its connection never comes back.
    NeverBack,
}

/// Before this moment everyone has come, in the order of their seats.
const FIRST_TROUBLE: u64 = 500;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Plan {
    /// A quiet game of two: what scenarios start from.
    #[must_use]
    pub fn quiet(seed: u64, seats: u8) -> Self {
        Self {
            seed,
            seats,
            input_size: 1,
            rules: GameRules {
                fps: 30,
                episodes: 2,
                max_frames: 150,
                intermission_millis: 500,
                pauses: PauseRules { countdown_millis: 0, ..PauseRules::default() },
                ..GameRules::default()
            },
            ending: None,
            restlessness: 0.2,
            drift_ppm: 50,
            direct: Paths {
                loss: 0.0,
                repeats: 0.0,
                delay: millis(15),
                jitter: millis(5),
                cuts_per_second: 0.0,
                longest_cut: Duration::ZERO,
            },
            uplink: millis(10),
            disk: millis(3),
            load: millis(50),
            replayed: usize::MAX,
            relayed: SeatSet::EMPTY,
            troubles: Vec::new(),
            sabotage: None,
        }
    }

    /// With something more that goes wrong.
    #[must_use]
    pub fn with(mut self, at_millis: u64, lasts_millis: u64, fault: Fault) -> Self {
        self.troubles.push(Trouble { at: millis(at_millis), lasts: millis(lasts_millis), fault });
        self
    }

    /// Whatever a seed says.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::from_seed(derive_seed(seed, 10));
        let mut within = |least: u64, most: u64| least + rng.below(most - least + 1);
        let seats = [1, 2, 2, 2, 2, 3, 3, 4][within(0, 7) as usize];
        let lossy = within(0, 3) == 0;
        let mut plan = Self {
            seed,
            seats,
            input_size: within(1, 3) as usize,
            rules: GameRules {
                fps: [15, 30, 30, 60][within(0, 3) as usize],
                episodes: within(1, 3) as u32,
                max_frames: within(30, 200) as u32,
                input_delay: within(0, 4) as u8,
                window: within(2, 12) as u8,
                prediction: if within(0, 1) == 0 { Prediction::RepeatLast } else { Prediction::Default },
                intermission_millis: within(0, 800) as u32,
                lanes: if within(0, 3) == 0 { LaneUse::Hot } else { LaneUse::Warm },
                on_direct_loss: if within(0, 3) == 0 { OnDirectLoss::Pause } else { OnDirectLoss::Server },
                grace_millis: [500, 1000, 3000, 3000][within(0, 3) as usize],
                pauses: PauseRules {
                    timeout_millis: [4_000, 10_000, 30_000, 30_000][within(0, 3) as usize],
                    most: within(1, 5) as u32,
                    total_millis: [20_000, 120_000][within(0, 1) as usize],
                    countdown_millis: [0, 0, 1_000, 3_000][within(0, 3) as usize],
                },
                ..GameRules::default()
            },
            ending: (within(0, 2) == 0)
                .then_some(Ending { after: within(10, 60) as u32, one_in: within(20, 100) }),
            restlessness: within(0, 50) as f64 / 100.0,
            drift_ppm: within(0, 300),
            direct: Paths {
                loss: if lossy { within(0, 20) as f64 / 100.0 } else { 0.0 },
                repeats: if lossy { within(0, 10) as f64 / 100.0 } else { 0.0 },
                delay: millis(within(1, 90)),
                jitter: millis(within(0, 40)),
                cuts_per_second: 0.0,
                longest_cut: Duration::ZERO,
            },
            uplink: millis(within(1, 80)),
            disk: millis(within(0, 30)),
            load: millis(within(5, 400)),
            replayed: usize::MAX,
            relayed: SeatSet::EMPTY,
            troubles: Vec::new(),
            sabotage: None,
        };
        let count = within(0, 6);
        for _ in 0..count {
            let seat = within(0, u64::from(seats) - 1) as u8;
            let other = (seat + 1 + within(0, u64::from(seats.max(2)) - 2) as u8) % seats;
            let fault = match within(0, 12) {
                0..=2 => Fault::Offline(seat),
                3 => Fault::Unreachable(seat),
                4 => Fault::Cut(seat, other),
                5 => Fault::OneWay(seat, other),
                6..=8 => Fault::Reload(seat),
                9 => Fault::Freeze(seat),
                10 => Fault::ServerDown,
                11 => Fault::SlowDisk,
                _ => Fault::Corrupt(seat),
            };
            let lasts = match within(0, 9) {
                0..=3 => within(20, 1_500),
                4..=6 => within(1_500, 6_000),
                7 | 8 => within(6_000, 14_000),
                _ => within(14_000, 40_000),
            };
            let at = within(FIRST_TROUBLE, 14_000);
            let forever = within(0, 30) == 0 && matches!(fault, Fault::Reload(_) | Fault::Offline(_));
            let lasts = if forever { Duration::MAX } else { millis(lasts) };
            plan.troubles.push(Trouble { at: millis(at), lasts, fault });
        }
        plan.troubles.sort_by_key(|trouble| trouble.at);
        if within(0, 1) == 0 {
            plan.rules.on_player_lost = OnPlayerLost::Continue;
        }
        if within(0, 2) == 0 {
            plan.replayed = within(1, 4) as usize;
        }
        if within(0, 7) == 0 {
            let at = within(FIRST_TROUBLE, 14_000);
            let both = within(0, 1) == 0;
            for seat in 0..if both { seats } else { 1 } {
                plan = plan.with(at, 0, Fault::SlowPing(seat));
            }
        }
        if within(0, 9) == 0 {
            let seat = within(0, u64::from(seats) - 1) as u8;
            plan = plan.with(within(FIRST_TROUBLE, 14_000), 0, Fault::Leaves(seat));
        }
        if within(0, 3) == 0 {
            for _ in 0..within(1, 3) {
                let seat = within(0, u64::from(seats) - 1) as u8;
                let lasts = [within(50, 2_000), within(2_000, 12_000), within(12_000, 40_000)];
                let lasts = lasts[within(0, 2) as usize];
                // Some are in the background before the game begins.
                plan = plan.with(within(0, 12_000), lasts, Fault::Hidden(seat));
            }
        }
        if within(0, 3) == 0 && plan.rules.on_direct_loss == OnDirectLoss::Server {
            plan.relayed = Seat::all(seats).filter(|_| within(0, 1) == 0).collect();
        }
        plan
    }

    /// When the last trouble that ends has ended.
    #[must_use]
    pub fn faults_end(&self) -> Duration {
        let ends = self.troubles.iter().filter(|trouble| trouble.lasts != Duration::MAX);
        ends.map(|trouble| trouble.at + trouble.lasts).max().unwrap_or_default()
    }

    /// Whether a seat never comes back.
    #[must_use]
    pub fn someone_stays_away(&self) -> bool {
        self.troubles.iter().any(|trouble| trouble.lasts == Duration::MAX)
    }

    /// Whether a seat is gone and never comes back.
    pub(super) fn stays_away(&self, seat: usize, now: Duration) -> bool {
        let seat = seat as u8;
        let gone = [Fault::Reload(seat), Fault::Offline(seat)];
        let forever = |trouble: &Trouble| trouble.lasts == Duration::MAX && trouble.at <= now;
        self.troubles.iter().any(|trouble| forever(trouble) && gone.contains(&trouble.fault))
    }

    /// By when everyone must have reached the end.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let rules = &self.rules;
        let frame = Duration::from_secs(1) / u32::from(rules.fps);
        let path = self.direct.delay + self.direct.jitter;
        let frames = (frame * 3 + path) * (rules.max_frames * rules.episodes);
        let between = Duration::from_millis(u64::from(rules.intermission_millis) + 500) * rules.episodes;
        let pauses =
            Duration::from_millis(u64::from(rules.pauses.total_millis + rules.pauses.timeout_millis));
        self.faults_end() + frames + between + pauses + Duration::from_secs(120)
    }

    fn is(&self, now: Duration, fault: impl Fn(&Fault) -> bool) -> Option<Duration> {
        let on = |trouble: &&Trouble| now >= trouble.at && now < trouble.ends() && fault(&trouble.fault);
        self.troubles.iter().filter(on).map(Trouble::ends).max()
    }

    /// Until when a page and the server do not reach each other, if they do not.
    pub(super) fn unreachable(&self, seat: usize, now: Duration) -> Option<Duration> {
        let seat = seat as u8;
        self.is(now, |fault| *fault == Fault::Offline(seat) || *fault == Fault::Unreachable(seat))
    }

    /// Whether a page's packets reach another directly.
    pub(super) fn hears(&self, from: usize, to: usize, now: Duration) -> bool {
        let (from, to) = (from as u8, to as u8);
        self.is(now, |fault| match *fault {
            Fault::Offline(seat) => seat == from || seat == to,
            Fault::Cut(a, b) => (a, b) == (from, to) || (b, a) == (from, to),
            Fault::OneWay(a, b) => (a, b) == (from, to),
            _ => false,
        })
        .is_none()
    }

    /// Whether a page is in the background.
    pub(super) fn hidden(&self, seat: usize, now: Duration) -> bool {
        let seat = seat as u8;
        self.is(now, |fault| *fault == Fault::Hidden(seat)).is_some()
    }

    pub(super) fn frozen(&self, seat: usize, now: Duration) -> Option<Duration> {
        let seat = seat as u8;
        self.is(now, |fault| *fault == Fault::Freeze(seat))
    }

    pub(super) fn commit(&self, now: Duration) -> Duration {
        match self.is(now, |fault| *fault == Fault::SlowDisk) {
            Some(_) => millis(1_500),
            None => self.disk,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = &self.rules;
        writeln!(
            f,
            "seed {}: {} seats, {} episodes of {} frames at {} a second, delay {}, window {}, lanes {:?}, direct loss: {:?}, \
             grace {} ms, pauses {:?}, on player lost: {:?}, {} frames a tick played anew, relayed: {:?}",
            self.seed,
            self.seats,
            rules.episodes,
            rules.max_frames,
            rules.fps,
            rules.input_delay,
            rules.window,
            rules.lanes,
            rules.on_direct_loss,
            rules.grace_millis,
            rules.pauses,
            rules.on_player_lost,
            self.replayed,
            self.relayed.iter().collect::<Vec<_>>(),
        )?;
        for Trouble { at, lasts, fault } in &self.troubles {
            writeln!(f, "  {at:>8.3?} for {lasts:?}: {fault:?}")?;
        }
        Ok(())
    }
}
