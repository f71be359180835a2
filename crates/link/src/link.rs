//! The machine itself.

use core::time::Duration;

use base::{BoundedQueue, Seat, Timestamp};
use wire::lane::{Cause, Lane, Quality};
use wire::packet::{Echo, Packet, PacketError};

use crate::PathQuality;
use crate::outage::{Connection, Observed, Outage, Step};
use crate::path::Path;
use crate::quality::{Monitor, Sample};

/// The least silence that makes the direct lane suspect (L5).
const LEAST_SILENCE: Duration = Duration::from_millis(50);

/// How long a connection may take to come about before the game begins. On a path that loses packets a handshake
/// waits twice as long after each loss; a new one does not.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// How long the game waits for the direct lane when the server lane is there.
const DIRECT_WAIT: Duration = Duration::from_secs(6);

/// How often a packet goes over the server lane that would not need to.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// In an outage the direct lane is left alone after this, for as long as the browser's own checks of the path get
/// no answer. What is sent into a cut stops SCTP for up to three seconds, the path's return or not.
const HOLD_AFTER: Duration = Duration::from_millis(200);

/// How long an answer to the browser's own checks says that the path is there.
const ANSWER_COUNTS: Duration = Duration::from_millis(700);

/// In an outage, which sends over both lanes, a silence of both is the peer's page for so long, and not the path.
const LATE_PAGE: Duration = Duration::from_millis(250);

/// A silence of all lanes that was shorter is not worth telling.
const NOTABLE_SILENCE: Duration = Duration::from_secs(1);

/// The most events that wait for the session; it takes them after every call.
const EVENTS: usize = 16;

/// Why a packet was not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It is no packet.
    #[error(transparent)]
    Malformed(#[from] PacketError),
    /// It belongs to another game.
    #[error("the packet is of epoch {0:08x}, not of this game's")]
    WrongEpoch(u32),
    /// It says that it comes from a seat that is not at the other end.
    #[error("the packet says that seat {0} sent it, who is not at the other end")]
    WrongSender(Seat),
    /// It comes from a page that has lost its memory since, or from none that was announced.
    #[error("the packet is of incarnation {0}")]
    WrongIncarnation(u8),
    /// It came over a lane that the link does not use.
    #[error("the link does not use that lane")]
    WrongLane,
}

/// A packet that is believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    /// What it says.
    pub packet: Packet,
    /// Whether it has come for the first time, as far as the link remembers. What another says of inputs is true
    /// all the same; what it says of the moment is not.
    pub fresh: bool,
}

/// What identifies a link's packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// The game's number.
    pub epoch: u32,
    /// The seat at the other end.
    pub peer: Seat,
    /// The peer's incarnation.
    pub peer_incarnation: u8,
    /// Bytes of an input.
    pub input_size: usize,
}

/// How a link behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The time between two packets of the peer.
    pub interval: Duration,
    /// Both lanes always.
    pub hot: bool,
    /// Whether there can be a direct lane at all. Where one end cannot have any, the server lane is the link, and nothing is
    /// wrong with that.
    pub direct: bool,
    /// Whether the server lane may be used.
    pub server_lane: bool,
    /// After how long without a packet the peer is lost (L8).
    pub grace: Duration,
    /// How late an input may come before the game stalls.
    pub slack: Duration,
    /// Whether this end restarts ICE; exactly one does.
    pub leads: bool,
}

/// What was measured of a link before its game begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// Over which lane.
    pub lane: Lane,
    /// The round trip: of the middle one of five after one another, the least.
    pub round_trip: Duration,
    /// Whether it stays at that; else it may yet be found shorter.
    pub is_final: bool,
}

impl Checked {
    /// Whether this is worth telling to whom that was told: another lane, the last word, or a fifth less.
    #[must_use]
    pub fn is_news_after(&self, told: &Self) -> bool {
        self.lane != told.lane || self.is_final != told.is_final || self.round_trip * 5 < told.round_trip * 4
    }
}

/// What the browser says of the data channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direct {
    /// It is being made.
    Connecting,
    /// It is open, which says nothing about whether anything comes.
    Open,
    /// The browser has given its path up; an ICE restart may mend it.
    Failed,
    /// It is closed, or cannot be mended: only another connection helps.
    Dead,
}

/// Over which lanes the next packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Lanes {
    /// Over the data channel.
    pub direct: bool,
    /// Over the control WebSocket.
    pub server: bool,
}

/// What happens to a link. The driver acts on `Restart` and `Rebuild`; the rest is for the record and the page.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum LinkEvent {
    /// The direct lane does not deliver: an outage begins.
    Suspect(Cause),
    /// What comes, comes first over another lane than before.
    Switched(Lane, Cause),
    /// Restart ICE: which attempt of this outage, from 1.
    Restart(u8, Cause),
    /// Close the connection and make another.
    Rebuild(Cause),
    /// The direct lane has been good for 2 s: the outage is over.
    Stable,
    /// No lane has delivered for the grace.
    Lost(Cause),
    /// Something came again, after so long.
    Restored(Duration),
    /// The server lane would come too late if it were used only in outages: both lanes are used from here on.
    Hot,
    /// The path was measured.
    Sampled(Sample),
    /// Its grade has changed.
    Graded(Quality),
}

/// One link, seen from one of its ends. See the crate's documentation.
#[derive(Debug)]
pub struct Link {
    ends: Ends,
    rules: Rules,
    direct: Path,
    server: Path,
    state: Direct,
    state_since: Timestamp,
    made: Timestamp,
    server_up: bool,
    phase: Phase,
    /// Silence is counted from here at the earliest.
    excused: Timestamp,
    /// When the timers ran last.
    checked: Timestamp,
    peer_silent: bool,
    /// When the server lane first brought something new since the direct lane last brought anything.
    overtaken: Option<Timestamp>,
    /// When the browser's own checks of the path were last answered; `None` when it does not tell.
    answered: Option<Timestamp>,
    outage: Option<Outage>,
    active: Lane,
    hot: bool,
    lost: bool,
    next_probe: Timestamp,
    monitor: Monitor,
    restarts: u32,
    events: BoundedQueue<LinkEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The first connection is being made.
    Gathering,
    Playing,
    /// The peer may leave at any time: nothing is done about it.
    Retired,
}

impl Link {
    /// A link whose connection is about to be made.
    #[must_use]
    pub fn new(ends: Ends, rules: Rules, now: Timestamp) -> Self {
        Self {
            ends,
            rules,
            direct: Path::default(),
            server: Path::default(),
            state: if rules.direct { Direct::Connecting } else { Direct::Dead },
            state_since: now,
            made: now,
            server_up: false,
            phase: Phase::Gathering,
            excused: now,
            checked: now,
            peer_silent: false,
            overtaken: None,
            answered: None,
            outage: None,
            active: if rules.direct { Lane::Direct } else { Lane::Server },
            hot: rules.hot,
            lost: false,
            next_probe: now,
            monitor: Monitor::default(),
            restarts: 0,
            events: BoundedQueue::new(EVENTS),
        }
    }

    /// The game begins: from here on silence means something.
    pub fn begin(&mut self, now: Timestamp) {
        if self.phase != Phase::Gathering {
            return;
        }
        self.phase = Phase::Playing;
        self.excused = now;
        self.checked = now;
        self.monitor.begin(now);
        if self.rules.direct && self.state != Direct::Open {
            let mut outage = Outage::new(Cause::NotOpen, now);
            if self.state == Direct::Connecting {
                outage.wait_until(self.state_since + CONNECT_LIMIT);
            }
            self.outage = Some(outage);
            self.switch(Lane::Server, Cause::NotOpen);
        }
    }

    /// The peer may leave from here on without being missed.
    pub fn retire(&mut self) {
        self.phase = Phase::Retired;
    }

    /// The browser's word for the direct lane.
    pub fn handle_direct(&mut self, state: Direct, now: Timestamp) {
        if !self.rules.direct {
            return;
        }
        if state == Direct::Connecting || (state == Direct::Open && self.state == Direct::Connecting) {
            self.state_since = now;
        }
        self.state = state;
        if let Some(outage) = &mut self.outage
            && matches!(state, Direct::Failed | Direct::Dead)
        {
            outage.attempt_failed();
        }
        if state == Direct::Connecting {
            self.direct.forget_measurements();
        }
    }

    /// The browser's own checks of the path have been answered again.
    pub fn handle_answered(&mut self, now: Timestamp) {
        self.answered = Some(now);
    }

    /// Whether the server can be spoken to.
    pub fn handle_server_lane(&mut self, up: bool) {
        self.server_up = up;
    }

    /// Reads a packet that came over one of the lanes.
    ///
    /// # Errors
    /// As [`Refusal`] says. A refused packet leaves the link as it was.
    pub fn handle_packet(&mut self, lane: Lane, bytes: &[u8], now: Timestamp) -> Result<Received, Refusal> {
        let used = match lane {
            Lane::Direct => self.rules.direct,
            Lane::Server => self.rules.server_lane,
        };
        if !used {
            return Err(Refusal::WrongLane);
        }
        let packet = Packet::decode(bytes, self.ends.input_size)?;
        if packet.epoch != self.ends.epoch {
            return Err(Refusal::WrongEpoch(packet.epoch));
        }
        if packet.seat != self.ends.peer {
            return Err(Refusal::WrongSender(packet.seat));
        }
        if packet.incarnation != self.ends.peer_incarnation {
            return Err(Refusal::WrongIncarnation(packet.incarnation));
        }
        let silent_for = now.saturating_since(self.last_heard());
        let path = match lane {
            Lane::Direct => &mut self.direct,
            Lane::Server => &mut self.server,
        };
        let fresh = path.receive(packet.sequence, now);
        if fresh {
            if lane == Lane::Direct {
                self.overtaken = None;
                if self.state == Direct::Failed {
                    // Whatever the browser says: it delivers.
                    self.state = Direct::Open;
                }
            }
            if let Some(echo) = packet.echo {
                path.echoed(echo, now);
            }
            self.peer_silent = packet.silent;
            self.monitor.count(bytes.len());
            self.heard_after(silent_for);
        }
        Ok(Received { packet, fresh })
    }

    /// A packet brought inputs that no other had: tells which lane is in use.
    pub fn handle_news(&mut self, lane: Lane, now: Timestamp) {
        if lane == Lane::Direct {
            return;
        }
        self.overtaken.get_or_insert(now);
        // Only the end of an outage leads back, so only an outage leads away.
        if let Some(outage) = self.outage.filter(|_| self.phase == Phase::Playing)
            && self.silence(now).is_some()
        {
            self.switch(Lane::Server, outage.cause);
        }
    }

    fn heard_after(&mut self, silent_for: Duration) {
        let notable = self.lost || silent_for >= NOTABLE_SILENCE;
        self.lost = false;
        if notable && self.phase == Phase::Playing {
            self.tell(LinkEvent::Restored(silent_for));
        }
    }

    fn switch(&mut self, lane: Lane, cause: Cause) {
        if self.active != lane {
            self.active = lane;
            self.tell(LinkEvent::Switched(lane, cause));
        }
    }

    fn tell(&mut self, event: LinkEvent) {
        self.events.push_dropping_oldest(event);
    }

    /// When something came over any lane; the game's beginning or this page's own standing still count too.
    fn last_heard(&self) -> Timestamp {
        let heard = [self.direct.last_heard(), self.server.last_heard()];
        heard.into_iter().flatten().fold(self.excused, Timestamp::max)
    }

    /// From when on the direct lane has been silent.
    fn direct_silent_since(&self) -> Timestamp {
        let heard = self.direct.last_heard().unwrap_or_default();
        match self.outage {
            // Only what comes ends an outage; an excuse does not.
            Some(_) => heard,
            None => heard.max(self.state_since).max(self.excused),
        }
    }

    /// After how much silence the direct lane is suspect.
    fn threshold(&self) -> Duration {
        let jitter = self.direct.quality().jitter.unwrap_or_default();
        let threshold = (self.rules.interval * 3 + jitter * 2).max(LEAST_SILENCE);
        // In whole microseconds, as timestamps are.
        Duration::from_micros(threshold.as_nanos().div_ceil(1000) as u64)
    }

    /// Why nothing comes over the direct lane, if that is so.
    fn silence(&self, now: Timestamp) -> Option<Cause> {
        match self.state {
            // There is none that could be silent.
            _ if !self.rules.direct => None,
            Direct::Connecting => Some(Cause::NotOpen),
            Direct::Dead => Some(Cause::ChannelClosed),
            // What browsers call failed may still deliver.
            Direct::Open | Direct::Failed => {
                let silent = now.saturating_since(self.direct_silent_since()) >= self.threshold();
                let cause = if self.state == Direct::Failed { Cause::IceFailed } else { Cause::Silence };
                silent.then_some(cause)
            }
        }
    }

    /// What this moment says of the direct lane. In an outage both lanes carry everything: if neither brings a thing,
    /// a page was busy, and that is neither for the path nor against it.
    fn observe(&self, now: Timestamp) -> Observed {
        if self.silence(now).is_none() {
            return Observed::Good;
        }
        let open = matches!(self.state, Direct::Open | Direct::Failed);
        match self.outage {
            Some(_) if open && now < self.clear_at() => Observed::Unclear,
            _ => Observed::Bad,
        }
    }

    /// When a silence that says nothing begins to say something.
    fn clear_at(&self) -> Timestamp {
        let late = self.direct_silent_since() + LATE_PAGE;
        // A server lane that is the shorter way is always ahead by so much.
        let round_trips = (self.direct.quality().round_trip, self.server.quality().round_trip);
        let ahead = match round_trips {
            (Some(direct), Some(server)) => direct.saturating_sub(server) / 2,
            _ => Duration::ZERO,
        };
        self.overtaken.map_or(late, |at| late.min(at + self.threshold() + ahead))
    }

    /// When to call [`Link::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Gathering => {
                (self.state == Direct::Connecting).then_some(self.state_since + CONNECT_LIMIT)
            }
            Phase::Retired => None,
            Phase::Playing => {
                let outage = match &self.outage {
                    Some(outage) => {
                        let due = outage.poll_timeout(self.rules.leads);
                        let clear = outage.is_unclear().then(|| self.clear_at());
                        [due, clear].into_iter().flatten().min()
                    }
                    None => self.rules.direct.then(|| self.direct_silent_since() + self.threshold()),
                };
                let lost = (!self.lost).then(|| self.last_heard() + self.rules.grace);
                [outage, lost, self.monitor.poll_timeout()].into_iter().flatten().min()
            }
        }
    }

    /// Does what is due. Packets that have come are best handed in first.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let gap = now.saturating_since(self.checked);
        self.checked = now;
        if gap > self.rules.interval * 2 + LEAST_SILENCE {
            self.excused = now;
        }
        match self.phase {
            Phase::Gathering => self.gather(now),
            Phase::Playing => {
                self.watch(now);
                self.mend(now);
                self.look_for_loss(now);
                self.measure(now);
            }
            Phase::Retired => self.watch(now),
        }
    }

    /// Before the game, a connection that does not come about is made anew, as often as it takes.
    fn gather(&mut self, now: Timestamp) {
        let overdue = match self.state {
            Direct::Connecting => now.saturating_since(self.state_since) >= CONNECT_LIMIT,
            Direct::Open => false,
            Direct::Failed | Direct::Dead => self.rules.direct,
        };
        if overdue {
            self.state = Direct::Connecting;
            self.state_since = now;
            self.tell(LinkEvent::Rebuild(Cause::NotOpen));
        }
    }

    /// Begins and ends outages.
    fn watch(&mut self, now: Timestamp) {
        let observed = if self.peer_silent { Observed::Bad } else { self.observe(now) };
        if let Some(outage) = &mut self.outage {
            let heard = self.direct.last_heard().unwrap_or_default();
            if outage.observe(observed, heard, now) {
                self.outage = None;
                self.switch(Lane::Direct, Cause::Recovered);
                self.tell(LinkEvent::Stable);
            }
        } else if observed == Observed::Bad {
            let cause = self.silence(now).unwrap_or(Cause::PeerSilence);
            self.outage = Some(Outage::new(cause, now));
            self.tell(LinkEvent::Suspect(cause));
        }
    }

    fn mend(&mut self, now: Timestamp) {
        let Some(outage) = &mut self.outage else { return };
        let connection = Connection {
            // What never opened has nothing to restart.
            dead: matches!(self.state, Direct::Connecting | Direct::Dead),
            failed: self.state == Direct::Failed,
            leads: self.rules.leads,
        };
        let cause = outage.cause;
        match outage.next_step(connection, now) {
            Some(Step::Restart(attempt)) => {
                self.restarts += 1;
                // It has not failed yet.
                self.state = Direct::Open;
                self.tell(LinkEvent::Restart(attempt, cause));
            }
            Some(Step::Rebuild) => self.tell(LinkEvent::Rebuild(cause)),
            None => {}
        }
    }

    fn look_for_loss(&mut self, now: Timestamp) {
        if self.lost {
            return;
        }
        let silent = now.saturating_since(self.last_heard()) >= self.rules.grace;
        let server = self.rules.server_lane && self.server_up;
        let failed = self.state == Direct::Failed && self.silence(now).is_some();
        let hopeless = self.rules.direct && !server && (failed || self.state == Direct::Dead);
        if silent || hopeless {
            let cause = self.silence(now).or(self.outage.map(|outage| outage.cause));
            self.lost = true;
            self.tell(LinkEvent::Lost(cause.unwrap_or(Cause::Silence)));
        }
    }

    fn measure(&mut self, now: Timestamp) {
        let server = self.server.quality().round_trip;
        if let Some(round_trip) = server.filter(|_| !self.hot && self.outage.is_none())
            && (self.rules.server_lane && self.rules.direct)
            && self.threshold() + round_trip / 2 > self.rules.slack
        {
            self.hot = true;
            self.tell(LinkEvent::Hot);
        }
        let (sample, graded) = self.monitor.measure(self.active, self.quality(), now);
        if let Some(sample) = sample {
            self.tell(LinkEvent::Sampled(sample));
        }
        if let Some(quality) = graded {
            self.tell(LinkEvent::Graded(quality));
        }
    }

    /// Over which lanes the next packet goes.
    pub fn lanes(&mut self, now: Timestamp) -> Lanes {
        let direct = matches!(self.state, Direct::Open | Direct::Failed);
        let held = self.outage.is_some_and(|outage| outage.bad_for(now) > HOLD_AFTER)
            && self.answered.is_some_and(|at| now.saturating_since(at) > ANSWER_COUNTS);
        let probe = now >= self.next_probe;
        let needed = self.hot || self.outage.is_some() || !direct || self.phase == Phase::Gathering;
        let server = self.rules.server_lane && self.server_up && (needed || probe);
        if server {
            self.next_probe = now + PROBE_EVERY;
        }
        Lanes { direct: direct && !(held && server), server }
    }

    /// The sequence number and the echo of the next packet over a lane, which leaves now, and whether to say in it
    /// that nothing comes over the direct lane.
    pub fn next_header(&mut self, lane: Lane, now: Timestamp) -> (u32, Option<Echo>, bool) {
        let silent = match self.observe(now) {
            Observed::Good => false,
            Observed::Bad => true,
            Observed::Unclear => self.outage.is_some_and(|outage| outage.is_bad()),
        };
        let path = match lane {
            Lane::Direct => &mut self.direct,
            Lane::Server => &mut self.server,
        };
        let (sequence, echo) = path.send(now);
        (sequence, echo, silent)
    }

    /// The next thing that happened, until there is none.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        self.events.pop()
    }

    /// The lane over which a game could begin, and what was measured over it: the channel is open, or was waited for (where
    /// there can be one) and the server lane carries (S4).
    #[must_use]
    pub fn checked(&self, now: Timestamp) -> Option<Checked> {
        let of = |lane, path: &Path| {
            let (round_trip, is_final) = path.checked()?;
            Some(Checked { lane, round_trip, is_final })
        };
        if self.state == Direct::Open {
            return of(Lane::Direct, &self.direct);
        }
        let waited = !self.rules.direct || now.saturating_since(self.made) >= DIRECT_WAIT;
        of(Lane::Server, &self.server).filter(|_| waited)
    }

    /// Whether something has come from the peer of late, over any lane.
    #[must_use]
    pub fn hears(&self, now: Timestamp) -> bool {
        let heard = self.direct.last_heard().max(self.server.last_heard());
        !self.lost && heard.is_some_and(|at| now.saturating_since(at) < NOTABLE_SILENCE)
    }

    /// The lane over which what comes, comes first; none while the peer is lost.
    #[must_use]
    pub fn active(&self) -> Option<Lane> {
        (!self.lost).then_some(self.active)
    }

    /// Whether the direct lane is not to be relied on.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.outage.is_some()
    }

    /// How many ICE restarts were begun here.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// What is known about the path of the lane in use.
    #[must_use]
    pub fn quality(&self) -> PathQuality {
        match self.active {
            Lane::Direct => self.direct.quality(),
            Lane::Server => self.server.quality(),
        }
    }

    /// The grade of the lane in use, which changes slowly; `None` before the first measurement.
    #[must_use]
    pub fn grade(&self) -> Option<Quality> {
        self.monitor.grade()
    }
}
