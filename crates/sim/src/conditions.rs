//! Under which conditions a game is played: all that a seed decides before it begins.

use core::time::Duration;

use base::{Rng, derive_seed};
use wire::control::{GameRules, LaneUse, OnDirectLoss, Prediction};

use crate::chaos::Ending;
use crate::network::Paths;
use crate::server::Uplink;

/// One game and everything that befalls it.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Of everything random while it runs.
    pub seed: u64,
    /// 1 to 8.
    pub seats: u8,
    /// Bytes of an input.
    pub input_size: usize,
    /// How it is played.
    pub rules: GameRules,
    /// How the environment may end an episode.
    pub ending: Option<Ending>,
    /// The share of ticks at which a participant presses something else.
    pub restlessness: f64,
    /// Between the first and the last seat to begin.
    pub begin_spread: Duration,
    /// How wrong clocks run at most, in millionths.
    pub drift_ppm: u64,
    /// The paths between seats.
    pub paths: Paths,
    /// The paths over the server, where there are any.
    pub server_lane: Option<Paths>,
    /// The way to the server and back.
    pub uplink: Uplink,
    /// How often a page stands still, a second and seat; it then does nothing, and takes no packet.
    pub freezes_per_second: f64,
    /// The longest that it does.
    pub longest_freeze: Duration,
    /// From this moment on nothing is lost, cut, frozen or refused; delays stay.
    pub faults_end: Duration,
}

impl Conditions {
    /// Whatever a seed says, from a quiet game of two to eight seats on the worst of networks.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::from_seed(derive_seed(seed, 0));
        let mut within = |least: u64, most: u64| least + rng.below(most - least + 1);
        let millis = Duration::from_millis;
        let bad = within(0, 3) > 0;
        let ends = within(0, 2) > 0;
        let longest_cut = [1500, 7000][within(0, 1) as usize];
        let share = |percent: u64| if bad { percent as f64 / 100.0 } else { 0.0 };
        Self {
            seed,
            seats: if within(0, 2) == 0 { within(1, 8) } else { within(2, 4) } as u8,
            input_size: within(1, 4) as usize,
            rules: GameRules {
                fps: [20, 30, 60][within(0, 2) as usize],
                episodes: within(1, 3) as u32,
                max_frames: within(1, 150) as u32,
                input_delay: within(0, 8) as u8,
                window: within(1, 16) as u8,
                prediction: if within(0, 1) == 0 { Prediction::RepeatLast } else { Prediction::Default },
                intermission_millis: within(0, 800) as u32,
                lanes: if within(0, 3) == 0 { LaneUse::Hot } else { LaneUse::Warm },
                on_direct_loss: if within(0, 3) == 0 { OnDirectLoss::Pause } else { OnDirectLoss::Server },
                ..GameRules::default()
            },
            ending: ends.then_some(Ending { after: within(1, 30) as u32, one_in: within(2, 60) }),
            restlessness: within(0, 50) as f64 / 100.0,
            begin_spread: millis(within(0, 400)),
            drift_ppm: within(0, 500),
            paths: Paths {
                loss: share(within(0, 45)),
                repeats: share(within(0, 20)),
                delay: millis(within(0, 150)),
                jitter: millis(if bad { within(0, 200) } else { 0 }),
                cuts_per_second: if bad { within(0, 20) as f64 / 100.0 } else { 0.0 },
                longest_cut: millis(within(1, longest_cut)),
            },
            server_lane: (within(0, 3) > 0).then_some(Paths {
                loss: 0.0,
                repeats: 0.0,
                delay: millis(within(5, 150)),
                jitter: millis(within(0, 50)),
                cuts_per_second: if bad { within(0, 5) as f64 / 100.0 } else { 0.0 },
                longest_cut: millis(within(1, 3000)),
            }),
            uplink: Uplink {
                batch_loss: share(within(0, 40)),
                answer_loss: share(within(0, 40)),
                answer_repeats: share(within(0, 30)),
                delay: millis(within(1, 400)),
                timeout: millis(within(1000, 3000)),
            },
            freezes_per_second: if bad { within(0, 10) as f64 / 100.0 } else { 0.0 },
            longest_freeze: millis(within(1, 1200)),
            faults_end: Duration::from_secs(within(5, 30)),
        }
    }

    /// The game's number in packets.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        derive_seed(self.seed, 3) as u32
    }

    /// The seed that the environment is given.
    #[must_use]
    pub fn game_seed(&self) -> u64 {
        derive_seed(self.seed, 4)
    }

    /// By when the game must have ended and everything be durable, if the faults ended when they should: all of
    /// it played from then on, at the pace of a full window's wait for every frame.
    #[must_use]
    pub fn bound(&self) -> Duration {
        let rules = &self.rules;
        let frame = Duration::from_secs(1) / u32::from(rules.fps.max(1));
        let path = self.paths.delay + self.paths.jitter;
        // A frame takes at most: one tick to make its input, the path, and one tick to take it, each 10 % slower.
        let frames = (frame * 3 + path) * (rules.max_frames * rules.episodes);
        let between = (Duration::from_millis(u64::from(rules.intermission_millis)) + path * 2 + frame * 4)
            * rules.episodes;
        // The last answers: a time-out of the uplink, the longest wait after it (8 s), a way there and back,
        // and twice that, since a first wait may end just before the faults do; and the lingering (9 s).
        let uploads = (self.uplink.timeout + Duration::from_secs(8) + self.uplink.delay * 2) * 2;
        self.faults_end + self.begin_spread + frames + between + uploads + Duration::from_secs(9)
    }
}
