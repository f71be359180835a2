//! One participant's page: it drives a session as a browser would, on a clock of its own.

use core::time::Duration;

use base::{Input, Rng, Timestamp, derive_seed};
use link::{Direct, Lane, LinkEvent};
use session::{Session, SessionEvent, Setup};
use wire::batch::BatchAcknowledgement;

use crate::chaos::Chaos;
use crate::conditions::Conditions;
use crate::network::until_next;
use crate::outcome::SeatOutcome;
use crate::server::Records;

/// A clock that began at a moment of its own choosing and runs a little wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalClock {
    offset_micros: u64,
    rate_ppm: u64,
}

impl LocalClock {
    const MILLION: u64 = 1_000_000;

    pub(crate) fn new(rng: &mut Rng, drift_ppm: u64) -> Self {
        Self {
            offset_micros: rng.below(1 << 40),
            rate_ppm: Self::MILLION - drift_ppm + rng.below(2 * drift_ppm + 1),
        }
    }

    pub(crate) fn read(self, now: Duration) -> Timestamp {
        Timestamp::from_micros(self.offset_micros + now.as_micros() as u64 * self.rate_ppm / Self::MILLION)
    }

    /// The first moment at which this clock shows that time or a later one.
    pub(crate) fn when(self, shows: Timestamp) -> Duration {
        let elapsed = shows.as_micros().saturating_sub(self.offset_micros);
        Duration::from_micros((elapsed * Self::MILLION).div_ceil(self.rate_ppm))
    }
}

/// What a page does after it has been spoken to.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Packets, by recipient.
    pub(crate) packets: Vec<(usize, Lane, Vec<u8>)>,
    /// A batch to upload, by its number.
    pub(crate) upload: Option<(u64, Vec<u8>)>,
    /// When to wake it next.
    pub(crate) wake: Option<Duration>,
}

/// One participant's page.
pub(crate) struct Seat {
    session: Session,
    environment: Chaos,
    clock: LocalClock,
    rng: Rng,
    restlessness: f64,
    input_size: usize,
    uploads: u64,
    under_way: Option<u64>,
    freezes_per_second: f64,
    longest_freeze: Duration,
    next_freeze: Duration,
    pub(crate) frozen_until: Duration,
    pub(crate) records: Records,
    complete_at: Option<Duration>,
    events: Vec<SessionEvent>,
    needless_wakes: u64,
    most_pending: usize,
}

impl Seat {
    pub(crate) fn new(conditions: &Conditions, seat: base::Seat) -> Self {
        let mut rng = Rng::from_seed(derive_seed(conditions.seed, 100 + u64::from(seat.number())));
        let clock = LocalClock::new(&mut rng, conditions.drift_ppm);
        let setup = Setup {
            seat,
            seats: conditions.seats,
            epoch: conditions.epoch(),
            seed: conditions.game_seed(),
            rules: conditions.rules,
            input_size: conditions.input_size,
            relayed: base::SeatSet::EMPTY,
            incarnations: [0; base::MAX_SEATS],
        };
        let now = clock.read(Duration::ZERO);
        let mut session = Session::new(&setup, now).expect("conditions are a valid game");
        session.handle_server_lane(conditions.server_lane.is_some());
        for peer in base::Seat::all(conditions.seats).filter(|&peer| peer != seat) {
            session.handle_direct(peer, Direct::Open, now);
        }
        Self {
            session,
            environment: Chaos::new(conditions.ending),
            clock,
            restlessness: conditions.restlessness,
            input_size: conditions.input_size,
            uploads: 0,
            under_way: None,
            freezes_per_second: conditions.freezes_per_second,
            longest_freeze: conditions.longest_freeze,
            next_freeze: until_next(&mut rng, conditions.freezes_per_second),
            frozen_until: Duration::ZERO,
            records: Records::default(),
            complete_at: None,
            events: Vec::new(),
            needless_wakes: 0,
            most_pending: 0,
            rng,
        }
    }

    pub(crate) fn begin(&mut self, now: Duration) -> Effects {
        self.session.begin(self.clock.read(now));
        self.effects(now)
    }

    /// Whether it stands still now; it may just have begun to.
    pub(crate) fn is_frozen(&mut self, now: Duration, faults_end: Duration) -> bool {
        if now >= self.next_freeze {
            let length = self.longest_freeze.mul_f64(self.rng.unit());
            self.frozen_until = (now + length).min(faults_end.max(now));
            self.next_freeze =
                self.frozen_until.saturating_add(until_next(&mut self.rng, self.freezes_per_second));
        }
        now < self.frozen_until
    }

    pub(crate) fn take_packet(&mut self, from: base::Seat, lane: Lane, bytes: &[u8], now: Duration) {
        self.session.handle_packet(from, lane, bytes, self.clock.read(now));
    }

    pub(crate) fn wake(&mut self, now: Duration) -> Effects {
        if self.rng.chance(self.restlessness) {
            let held: Vec<_> = (0..self.input_size).map(|_| self.rng.below(4) as u8).collect();
            self.session.set_input(Input::new(&held).expect("conditions have inputs of a valid size"));
        }
        let Ok(()) = self.session.handle_timeout(&mut self.environment, self.clock.read(now));
        let mut effects = self.effects(now);
        if let Some(wake) = effects.wake
            && wake <= now
        {
            self.needless_wakes += 1;
            effects.wake = Some(now + Duration::from_millis(1));
        }
        effects
    }

    pub(crate) fn draw(&mut self, now: Duration) {
        self.session.handle_shown(self.clock.read(now));
    }

    /// An answer, be it to the batch under way, a late one or one that came before.
    pub(crate) fn take_answer(
        &mut self,
        upload: u64,
        answer: BatchAcknowledgement,
        now: Duration,
    ) -> Effects {
        if self.under_way == Some(upload) {
            self.under_way = None;
        }
        self.session.handle_batch_acknowledged(answer, self.clock.read(now));
        self.effects(now)
    }

    /// An upload has had no answer for so long that it is taken for failed.
    pub(crate) fn give_up(&mut self, upload: u64, now: Duration) -> Effects {
        if self.under_way == Some(upload) {
            self.under_way = None;
            self.session.handle_batch_failed(self.clock.read(now));
        }
        self.effects(now)
    }

    fn effects(&mut self, now: Duration) -> Effects {
        let mut effects = Effects::default();
        while let Some(transmit) = self.session.poll_transmit() {
            effects.packets.push((transmit.to.index(), transmit.lane, transmit.bytes.to_vec()));
        }
        while let Some(event) = self.session.poll_event() {
            // A connection that is made anew is there at once; what comes over it, the network decides.
            if let SessionEvent::Link { peer, event: LinkEvent::Rebuild(_) } = event {
                let now = self.clock.read(now);
                self.session.handle_direct(peer, Direct::Connecting, now);
                self.session.handle_direct(peer, Direct::Open, now);
            }
            self.events.push(event);
        }
        if let Some(batch) = self.session.poll_batch(self.clock.read(now)) {
            self.uploads += 1;
            self.under_way = Some(self.uploads);
            effects.upload = Some((self.uploads, batch.encode().expect("a batch fits")));
        }
        self.most_pending = self.most_pending.max(self.session.status().uploads.pending);
        if self.session.is_complete() {
            self.complete_at.get_or_insert(now);
        }
        effects.wake = self.session.poll_timeout().map(|deadline| self.clock.when(deadline.at));
        effects
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.complete_at.is_some()
    }

    /// A number that differs from repaint to repaint, for when the next one comes.
    pub(crate) fn next_repaint(&mut self) -> Duration {
        Duration::from_micros(self.rng.below(16_667))
    }

    pub(crate) fn outcome(self) -> SeatOutcome {
        SeatOutcome {
            complete_at: self.complete_at,
            status: self.session.status(),
            events: self.events,
            records: self.records,
            refused_packets: self.session.refused_packets(),
            needless_wakes: self.needless_wakes,
            most_pending: self.most_pending,
        }
    }
}
