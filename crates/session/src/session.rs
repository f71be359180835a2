//! The machine itself: what each tick and each packet do.

use core::time::Duration;

use base::{Deadline, Frame, Input, MAX_SEATS, Seat, SeatSet, StateHash, Timestamp, derive_seed};
use link::{Checked, Direct, Ends, Lane, Link, LinkEvent, Received, Rules};
use rollback::{Advance, Environment, Rollback};
use wire::batch::{BatchAcknowledgement, PlayEvent, RecordBatch};
use wire::control::{GameRules, LaneUse, OnDirectLoss};
use wire::packet::{Inputs, MAX_PACKET_BYTES, MAX_PACKET_FRAMES, Packet};

use crate::clock::FrameClock;
use crate::compare::{Comparison, Difference};
use crate::halt::Halt;
use crate::pace::{self, Advantage};
use crate::recorder::Recorder;
use crate::replay::Replay;
use crate::setup::{Setup, SetupError};
use crate::status::{PeerStatus, Status};

/// After its last frame is confirmed a seat goes on answering until every peer has all its inputs, and at most
/// so long: who cannot be reached for longer is given up by the server too.
const LINGER: Duration = Duration::from_secs(9);

/// When every peer has them, the seat stays at most so long to hear of their last states.
const LAST_STATES: Duration = Duration::from_secs(3);

/// After its last frame is confirmed a seat goes on sending at least so long, so that the peers hear of its last
/// state: no packet says that a hash has come.
const FAREWELL: Duration = Duration::from_millis(300);

/// The most events that wait for the driver; it takes them after every call.
const EVENTS: usize = 64;

/// Why the session wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A frame is due, or packets that keep the links alive.
    Frame,
    /// A link may be silent, or is to be mended or measured.
    Link,
    /// A batch may be due for upload.
    Upload,
}

/// What the page shows, reports or acts on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum SessionEvent {
    /// The environment was reset; the episode's first frame is next.
    EpisodeBegan {
        /// From 0.
        episode: u32,
    },
    /// The episode's last frame is confirmed.
    EpisodeEnded {
        /// From 0.
        episode: u32,
    },
    /// A peer's state differs from ours.
    Desync {
        /// Whose.
        peer: Seat,
        /// The confirmed frame after which they differ.
        frame: Frame,
        /// Our hash.
        own: StateHash,
        /// The peer's.
        theirs: StateHash,
    },
    /// A peer's page has lost its memory: the connection to it is gone, and another is to be made.
    PeerReplaced {
        /// Which peer.
        peer: Seat,
    },
    /// Something happened to the link with a peer. `Restart` and `Rebuild` are for the driver to do.
    Link {
        /// Which peer.
        peer: Seat,
        /// What.
        event: LinkEvent,
    },
    /// The last episode is over.
    Finished {
        /// How many frames the game had.
        frames: Frame,
        /// The hash of the last state.
        hash: StateHash,
    },
}

/// A packet that must leave now, and for whom.
#[derive(Debug)]
pub struct Transmit<'a> {
    /// The peer.
    pub to: Seat,
    /// Over which lane.
    pub lane: Lane,
    /// What.
    pub bytes: &'a [u8],
}

/// Where the game stands.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Phase {
    /// Before `begin`: links are being made, and measured.
    Gathering,
    /// Between episodes, and before the first.
    Intermission { until: Timestamp },
    /// Frames are being played.
    Playing { stalled: Option<Stall> },
    /// The last frame is confirmed.
    Finished { at: Timestamp },
    /// The game ended before that: no frame comes any more, and what is recorded goes to the server.
    Stopped,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Stall {
    since: Timestamp,
    missing: SeatSet,
}

/// One peer, as the session sees it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) seat: Seat,
    pub(crate) link: Link,
    pub(crate) advantage: Advantage,
    /// The peer holds our inputs of every frame before this one.
    acknowledged: Frame,
    /// Whether its last compared state was equal to ours: one event a divergence, not one a frame.
    pub(crate) agrees: bool,
    /// What was told of the check of its link.
    told: Option<Checked>,
}

impl Peer {
    fn new(setup: &Setup, seat: Seat, acknowledged: Frame, now: Timestamp) -> Self {
        let ends = Ends {
            epoch: setup.epoch,
            peer: seat,
            peer_incarnation: setup.incarnations[seat.index()],
            input_size: setup.input_size,
        };
        let link = Link::new(ends, link_rules(setup, seat), now);
        Self { seat, link, advantage: Advantage::default(), acknowledged, agrees: true, told: None }
    }
}

/// One seat of one game. See the crate's documentation.
#[derive(Debug)]
pub struct Session {
    pub(crate) setup: Setup,
    pub(crate) phase: Phase,
    /// Why the frames stand still, if they do.
    pub(crate) halt: Option<Halt>,
    clock: FrameClock,
    pub(crate) rollback: Rollback,
    pub(crate) peers: Vec<Peer>,
    held: Input,
    pub(crate) episode: u32,
    pub(crate) episode_first: Frame,
    /// How many episodes were told to have begun and to have ended: what is played anew is not told again.
    pub(crate) began: u32,
    pub(crate) ended: u32,
    /// What is played now was played before, by a page that is gone.
    pub(crate) replaying: bool,
    /// The game is being played anew.
    pub(crate) replay: Option<Replay>,
    /// What each seat has been rewarded with in the episode.
    pub(crate) scores: [f64; MAX_SEATS],
    pub(crate) comparison: Comparison,
    pub(crate) recorder: Recorder,
    events: base::BoundedQueue<SessionEvent>,
    /// To whom a packet is owed since the last tick, by lane.
    owed_direct: SeatSet,
    owed_server: SeatSet,
    pub(crate) now: Timestamp,
    packet: Box<[u8; MAX_PACKET_BYTES]>,
    stalled_ticks: u64,
    paused_ticks: u64,
    server_lane: bool,
    /// Who has played to the end and left: nobody to wait for.
    pub(crate) gone: SeatSet,
    refused: u64,
}

impl Session {
    /// A session that gathers: its links may carry packets, no frame is played before [`Session::begin`].
    ///
    /// # Errors
    /// When the setup is one that no game can have.
    pub fn new(setup: &Setup, now: Timestamp) -> Result<Self, SetupError> {
        setup.check()?;
        let rules = &setup.rules;
        let rollback = Rollback::new(rollback_config(setup))?;
        let delay = Frame::from(rules.input_delay);
        let peers = Seat::all(setup.seats).filter(|&seat| seat != setup.seat);
        let peers = peers.map(|seat| Peer::new(setup, seat, delay, now));
        let incarnation = setup.incarnations[setup.seat.index()];
        Ok(Self {
            setup: *setup,
            phase: Phase::Gathering,
            clock: FrameClock::new(rules.fps, now),
            rollback,
            peers: peers.collect(),
            held: Input::none(setup.input_size),
            episode: 0,
            episode_first: 0,
            scores: [0.0; MAX_SEATS],
            comparison: Comparison::new(),
            recorder: Recorder::new(setup.seats, incarnation, now),
            halt: None,
            began: 0,
            ended: 0,
            replaying: false,
            replay: None,
            paused_ticks: 0,
            server_lane: false,
            gone: SeatSet::EMPTY,
            events: base::BoundedQueue::new(EVENTS),
            owed_direct: SeatSet::EMPTY,
            owed_server: SeatSet::EMPTY,
            now,
            packet: Box::new([0; MAX_PACKET_BYTES]),
            stalled_ticks: 0,
            refused: 0,
        })
    }

    /// Everyone is there: the first episode begins at the next tick. Said twice, it changes nothing.
    pub fn begin(&mut self, now: Timestamp) {
        if self.phase == Phase::Gathering {
            self.recorder.begin(now);
            self.phase = Phase::Intermission { until: now };
            for peer in &mut self.peers {
                peer.link.begin(now);
            }
            self.take_link_events(now);
        }
    }

    /// Whether the game could begin over every link as it is.
    #[must_use]
    pub fn is_ready(&self, now: Timestamp) -> bool {
        self.peers.iter().all(|peer| peer.link.checked(now).is_some())
    }

    /// A link over which the game could begin, and what was measured of it, if that is worth telling after what was told of
    /// it; none once the game has begun. Ask until there is none.
    pub fn poll_checked(&mut self, now: Timestamp) -> Option<(Seat, Checked)> {
        if self.phase != Phase::Gathering {
            return None;
        }
        self.peers.iter_mut().find_map(|peer| {
            let checked = peer.link.checked(now)?;
            if peer.told.is_some_and(|told| !checked.is_news_after(&told)) {
                return None;
            }
            peer.told = Some(checked);
            Some((peer.seat, checked))
        })
    }

    /// Whoever was told of the checks has forgotten it: all are told again.
    pub fn forget_checked(&mut self) {
        for peer in &mut self.peers {
            peer.told = None;
        }
    }

    /// The browser's word for the data channel to a peer.
    pub fn handle_direct(&mut self, with: Seat, state: Direct, now: Timestamp) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == with) {
            peer.link.handle_direct(state, now);
        }
    }

    /// The browser's own checks of the path to a peer have been answered again.
    pub fn handle_answered(&mut self, by: Seat, now: Timestamp) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == by) {
            peer.link.handle_answered(now);
        }
    }

    /// Whether the server can be spoken to.
    pub fn handle_server_lane(&mut self, up: bool) {
        self.server_lane = up;
        for peer in &mut self.peers {
            peer.link.handle_server_lane(up);
        }
    }

    /// Whose inputs a frame has, as far as is known here: each seat's incarnation.
    #[must_use]
    pub fn incarnations_at(&self, frame: Frame) -> Vec<u8> {
        self.recorder.incarnations_at(frame).0
    }

    /// Some pages have lost their memory: what they sent before is void, and their links begin anew (N5).
    pub fn handle_incarnations(&mut self, incarnations: &[u8], now: Timestamp) {
        for (seat, &incarnation) in Seat::all(self.setup.seats).zip(incarnations) {
            let known = &mut self.setup.incarnations[seat.index()];
            let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == seat) else { continue };
            if *known < incarnation {
                *known = incarnation;
                let acknowledged = peer.acknowledged;
                *peer = Peer::new(&self.setup, seat, acknowledged, now);
                peer.link.handle_server_lane(self.server_lane);
                self.events.push_dropping_oldest(SessionEvent::PeerReplaced { peer: seat });
            }
        }
    }

    /// The game is over before its end, for whatever reason. Only the record is still to be sent.
    pub fn stop(&mut self, now: Timestamp) {
        if !matches!(self.phase, Phase::Finished { .. } | Phase::Stopped) {
            self.recorder.finish(now);
        }
        // Nobody waits for the peers any more, not even after the last frame.
        self.phase = Phase::Stopped;
        self.halt = None;
        self.replay = None;
    }

    /// What the participant holds now; each frame takes it as it is then. An input of another size is refused
    /// and changes nothing.
    pub fn set_input(&mut self, held: Input) {
        if held.as_bytes().len() == self.setup.input_size {
            self.held = held;
        }
    }

    /// Takes a packet that came over a lane of the link to `from`. Whatever is wrong with it is counted and
    /// forgotten.
    pub fn handle_packet(&mut self, from: Seat, lane: Lane, bytes: &[u8], now: Timestamp) {
        self.now = now;
        if self.try_packet(from, lane, bytes, now).is_none() {
            self.refused += 1;
        }
        self.take_link_events(now);
    }

    fn try_packet(&mut self, from: Seat, lane: Lane, bytes: &[u8], now: Timestamp) -> Option<()> {
        let waits_for_cut = self.waits_for_cut();
        let peer = self.peers.iter_mut().find(|peer| peer.seat == from)?;
        let Received { packet, fresh } = peer.link.handle_packet(lane, bytes, now).ok()?;
        // What the peer says of us must be possible: it cannot hold what we never made, nor have simulated
        // further past our inputs than its window goes.
        let made = self.rollback.known_until(self.setup.seat);
        let window = Frame::from(self.setup.rules.window);
        if packet.acknowledged > made || packet.frame > made + window {
            return None;
        }
        if packet.hash.is_some_and(|(frame, _)| frame >= packet.frame) {
            return None;
        }
        let known = self.rollback.known_until(from);
        // What was reported to the server is put together there: until it is, nothing is added to it (N5).
        if packet.first <= known && !waits_for_cut {
            let inputs = packet.inputs(self.setup.input_size);
            self.rollback.add_remote(from, packet.first, inputs).ok()?;
            if self.rollback.known_until(from) > known {
                peer.link.handle_news(lane, now);
            }
        }
        peer.acknowledged = peer.acknowledged.max(packet.acknowledged);
        if fresh && self.halt.is_none() && matches!(self.phase, Phase::Playing { .. }) {
            let one_way = peer.link.quality().round_trip.unwrap_or_default() / 2;
            let interval = self.clock.interval();
            peer.advantage.learn(self.rollback.frame(), packet.frame, one_way, interval, packet.advantage);
        }
        if let Some((frame, hash)) = packet.hash
            && let Some(compared) = self.comparison.hear(from, frame, hash)
        {
            self.compared(from, compared.err());
        }
        Some(())
    }

    fn compared(&mut self, with: Seat, difference: Option<Difference>) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == with) else { return };
        let agreed = core::mem::replace(&mut peer.agrees, difference.is_none());
        let Some(Difference { peer, frame, own, theirs }) = difference.filter(|_| agreed) else { return };
        self.recorder.event(self.rollback.frame(), self.now, PlayEvent::Desync { peer, frame, own, theirs });
        self.tell(SessionEvent::Desync { peer, frame, own, theirs });
    }

    pub(crate) fn tell(&mut self, event: SessionEvent) {
        self.events.push_dropping_oldest(event);
    }

    /// When to call [`Session::handle_timeout`] next. Changes with every call that takes `now`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Deadline<Reason>> {
        if self.is_complete() {
            return None;
        }
        let playing = self.phase != Phase::Stopped;
        let frame = playing.then(|| Deadline { at: self.clock.next(), reason: Reason::Frame });
        let links = self.here().filter_map(|peer| peer.link.poll_timeout()).min();
        let link = links.filter(|_| playing).map(|at| Deadline { at, reason: Reason::Link });
        let upload = self.recorder.poll_timeout().filter(|_| self.has_memory());
        let upload = upload.map(|at| Deadline { at, reason: Reason::Upload });
        base::earliest([frame, link, upload])
    }

    /// Does what is due: simulates frames, and owes every peer a packet.
    ///
    /// # Errors
    /// The environment's; the game cannot go on at this seat then.
    pub fn handle_timeout<E: Environment>(
        &mut self,
        environment: &mut E,
        now: Timestamp,
    ) -> Result<(), E::Error> {
        self.now = now;
        if self.phase == Phase::Stopped {
            return Ok(());
        }
        let gone = self.gone;
        for peer in self.peers.iter_mut().filter(|peer| !gone.contains(peer.seat)) {
            let trusted = !peer.link.is_suspect();
            peer.link.handle_timeout(now);
            if trusted && peer.link.is_suspect() && peer.link.lanes(now).server {
                // The other lane's first packet does not wait for the tick.
                self.owed_server.insert(peer.seat);
            }
        }
        self.take_link_events(now);
        while self.clock.tick(now, self.stretch()) {
            self.tick(environment, now)?;
            for peer in self.peers.iter_mut().filter(|peer| !gone.contains(peer.seat)) {
                let lanes = peer.link.lanes(now);
                if lanes.direct {
                    self.owed_direct.insert(peer.seat);
                }
                if lanes.server {
                    self.owed_server.insert(peer.seat);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn take_link_events(&mut self, now: Timestamp) {
        let frame = self.rollback.frame();
        let recorded = !matches!(self.phase, Phase::Gathering | Phase::Stopped);
        for peer in &mut self.peers {
            while let Some(event) = peer.link.poll_event() {
                if let Some(event) = play_event(peer.seat, event).filter(|_| recorded) {
                    self.recorder.event(frame, now, event);
                }
                self.events.push_dropping_oldest(SessionEvent::Link { peer: peer.seat, event });
            }
        }
    }

    /// The peers that still play.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| !self.gone.contains(peer.seat))
    }

    fn stretch(&self) -> f64 {
        // Who stands still is neither ahead nor behind.
        if self.halt.is_some() {
            return 1.0;
        }
        match self.phase {
            Phase::Playing { .. } => pace::stretch(self.here().map(|peer| peer.advantage)),
            Phase::Gathering | Phase::Intermission { .. } | Phase::Finished { .. } | Phase::Stopped => 1.0,
        }
    }

    fn tick<E: Environment>(&mut self, environment: &mut E, now: Timestamp) -> Result<(), E::Error> {
        if self.halt.is_some() && self.stands_still(environment, now)? {
            self.paused_ticks += 1;
            return Ok(());
        }
        if let Phase::Intermission { until } = self.phase {
            if now < until {
                return Ok(());
            }
            self.begin_episode(environment, now)?;
        }
        let Phase::Playing { stalled } = self.phase else { return Ok(()) };
        let advance = self.rollback.advance(self.held, environment)?;
        if let Advance::Stepped { frame } = advance {
            self.recorder.simulated(frame, now);
        }
        self.take_confirmed();
        match advance {
            Advance::Stepped { .. } => self.end_stall(stalled, now),
            Advance::Waiting { missing } => {
                self.stalled_ticks += 1;
                let stall = stalled.unwrap_or(Stall { since: now, missing });
                self.phase = Phase::Playing { stalled: Some(stall) };
            }
            Advance::EpisodeEnding => {}
            Advance::EpisodeOver => {
                self.end_stall(stalled, now);
                self.end_episode(now);
            }
        }
        Ok(())
    }

    pub(crate) fn begin_episode<E: Environment>(
        &mut self,
        environment: &mut E,
        now: Timestamp,
    ) -> Result<(), E::Error> {
        let episode = self.episode;
        let seed = derive_seed(self.setup.seed, u64::from(episode));
        environment.reset(self.setup.seats, episode, seed)?;
        self.rollback.begin_episode(environment);
        self.phase = Phase::Playing { stalled: None };
        self.episode_first = self.rollback.frame();
        self.scores = [0.0; MAX_SEATS];
        if self.began <= episode {
            self.began = episode + 1;
            if !self.replaying {
                self.recorder.event(self.episode_first, now, PlayEvent::EpisodeBegan { episode });
                self.tell(SessionEvent::EpisodeBegan { episode });
            }
        }
        Ok(())
    }

    pub(crate) fn end_episode(&mut self, now: Timestamp) {
        let (episode, frame) = (self.episode, self.rollback.frame());
        let steps = frame - self.episode_first;
        if self.ended <= episode {
            self.ended = episode + 1;
            if !self.replaying {
                self.recorder.event(frame, now, PlayEvent::EpisodeEnded { episode, steps });
                self.tell(SessionEvent::EpisodeEnded { episode });
            }
        }
        if episode + 1 < self.setup.rules.episodes {
            self.episode += 1;
            let pause = Duration::from_millis(u64::from(self.setup.rules.intermission_millis));
            self.phase = Phase::Intermission { until: now + pause };
            return;
        }
        self.phase = Phase::Finished { at: now };
        for peer in &mut self.peers {
            peer.link.retire();
        }
        self.recorder.finish(now);
        if let Some((_, hash)) = self.comparison.newest() {
            self.tell(SessionEvent::Finished { frames: frame, hash });
        }
    }

    pub(crate) fn end_stall(&mut self, stalled: Option<Stall>, now: Timestamp) {
        let Some(Stall { since, missing }) = stalled else { return };
        let millis = u32::try_from(now.saturating_since(since).as_millis()).unwrap_or(u32::MAX);
        self.recorder.event(self.rollback.frame(), now, PlayEvent::Stalled { millis, missing });
        self.phase = Phase::Playing { stalled: None };
    }

    pub(crate) fn take_confirmed(&mut self) {
        while let Some(confirmed) = self.rollback.poll_confirmed() {
            for (score, reward) in self.scores.iter_mut().zip(confirmed.outcome.rewards) {
                *score += reward;
            }
            self.recorder.confirm(&confirmed, self.rollback.closed_at(confirmed.frame));
            let mut found = [None; MAX_SEATS];
            self.comparison.confirm(confirmed.frame, confirmed.hash, |difference| {
                found[difference.peer.index()] = Some(difference);
            });
            for difference in found.into_iter().flatten() {
                self.compared(difference.peer, Some(difference));
            }
        }
    }

    /// The newest frame was drawn.
    pub fn handle_shown(&mut self, now: Timestamp) {
        self.recorder.shown(now);
    }

    /// The next packet to send, until there is none. Call it after [`Session::handle_timeout`]; a packet that
    /// is not sent at once is better forgotten, since the next holds everything.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        let (lane, owed) = if self.owed_direct.is_empty() {
            (Lane::Server, &mut self.owed_server)
        } else {
            (Lane::Direct, &mut self.owed_direct)
        };
        let to = owed.iter().next()?;
        owed.remove(to);
        let packet = self.packet_for(to, lane)?;
        let bytes = packet.encode(&mut self.packet).ok()?;
        Some(Transmit { to, lane, bytes })
    }

    fn packet_for(&mut self, to: Seat, lane: Lane) -> Option<Packet> {
        let peer = self.peers.iter_mut().find(|peer| peer.seat == to)?;
        let (sequence, echo, silent) = peer.link.next_header(lane, self.now);
        let own = self.setup.seat;
        let first = peer.acknowledged.max(self.rollback.inputs_start(own));
        let mut inputs = Inputs::new();
        for input in self.rollback.inputs(own, first).take(MAX_PACKET_FRAMES) {
            inputs.extend_from_slice(input.as_bytes()).ok()?;
        }
        Some(Packet {
            epoch: self.setup.epoch,
            seat: self.setup.seat,
            incarnation: self.setup.incarnations[own.index()],
            sequence,
            echo,
            silent,
            frame: self.rollback.frame(),
            advantage: peer.advantage.told(),
            acknowledged: self.rollback.known_until(to),
            first,
            inputs,
            hash: self.comparison.newest(),
        })
    }

    /// The next thing that happened, until there is none.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop()
    }

    /// The next batch to upload, if one is due and none is under way.
    pub fn poll_batch(&mut self, now: Timestamp) -> Option<RecordBatch> {
        // What a page without memory plays anew is not yet its own to tell.
        if self.has_memory() { self.recorder.poll_batch(now) } else { None }
    }

    /// Everything that the server has not acknowledged, in batches: for a page that goes away.
    #[must_use]
    pub fn pending_batches(&self) -> Vec<RecordBatch> {
        if self.has_memory() { self.recorder.pending() } else { Vec::new() }
    }

    /// The server's answer to the batch under way.
    pub fn handle_batch_acknowledged(&mut self, answer: BatchAcknowledgement, now: Timestamp) {
        self.recorder.acknowledged(answer, now);
    }

    /// The batch under way got no answer.
    pub fn handle_batch_failed(&mut self, now: Timestamp) {
        self.recorder.failed(now);
    }

    /// Whether this seat may leave: its last frame is confirmed, the server has its whole record, the peers have all
    /// its inputs (or there were 9 s for that), and their last states are compared with its own (or there were 3 s).
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let at = match self.phase {
            Phase::Finished { at } => at,
            Phase::Stopped => return self.recorder.is_complete(),
            Phase::Gathering | Phase::Intermission { .. } | Phase::Playing { .. } => return false,
        };
        let end = self.rollback.frame();
        let served = self.here().all(|peer| peer.acknowledged >= end);
        let compared = self.here().all(|peer| self.comparison.heard_until(peer.seat) >= end);
        let stay = match (served, compared) {
            (true, true) => FAREWELL,
            (true, false) => LAST_STATES,
            (false, _) => LINGER,
        };
        self.recorder.is_complete() && self.now >= at + stay
    }

    /// Packets that were refused, by whoever sent them.
    #[must_use]
    pub fn refused_packets(&self) -> u64 {
        self.refused
    }

    /// What the page and its tests may know.
    #[must_use]
    pub fn status(&self) -> Status {
        let (compared_hashes, desyncs) = self.comparison.counts();
        let intermission = match self.phase {
            Phase::Intermission { until } if self.episode > 0 => Some(until.saturating_since(self.now)),
            _ => None,
        };
        Status {
            episode: self.episode,
            step: self.rollback.frame().saturating_sub(self.episode_first),
            frame: self.rollback.frame(),
            confirmed_frame: self.rollback.confirmed(),
            hash: self.comparison.newest(),
            stalled_frames: self.stalled_ticks,
            paused_frames: self.paused_ticks,
            rollbacks: self.rollback.rollbacks(),
            compared_hashes,
            desyncs,
            score: self.scores[self.setup.seat.index()],
            intermission,
            finished: matches!(self.phase, Phase::Finished { .. }),
            phase: self.seat_phase(),
            countdown: self.countdown(),
            peers: self
                .peers
                .iter()
                .map(|peer| PeerStatus {
                    peer: peer.seat,
                    path: peer.link.quality(),
                    active: peer.link.active(),
                    is_suspect: peer.link.is_suspect(),
                    grade: peer.link.grade(),
                    restarts: peer.link.restarts(),
                })
                .collect(),
            uploads: self.recorder.status(),
        }
    }
}

pub(crate) fn rollback_config(setup: &Setup) -> rollback::Config {
    let rules = &setup.rules;
    rollback::Config {
        seats: setup.seats,
        local: setup.seat,
        input_size: setup.input_size,
        input_delay: rules.input_delay,
        window: rules.window,
        prediction: match rules.prediction {
            wire::control::Prediction::RepeatLast => rollback::Prediction::RepeatLast,
            wire::control::Prediction::Default => rollback::Prediction::Default,
        },
        max_frames: rules.max_frames,
    }
}

/// How the link to a peer behaves in this game.
fn link_rules(setup: &Setup, peer: Seat) -> Rules {
    let GameRules { fps, window, input_delay, lanes, on_direct_loss, grace_millis, .. } = setup.rules;
    let interval = Duration::from_secs(1) / u32::from(fps.max(1));
    Rules {
        interval,
        hot: lanes == LaneUse::Hot,
        direct: !setup.relayed.contains(setup.seat) && !setup.relayed.contains(peer),
        server_lane: on_direct_loss == OnDirectLoss::Server,
        grace: Duration::from_millis(u64::from(grace_millis)),
        // Two frames go by while an input is made and taken.
        slack: interval * (u32::from(window) + u32::from(input_delay)).saturating_sub(2),
        leads: setup.seat < peer,
    }
}

/// What of a link's doings belongs into the data.
fn play_event(peer: Seat, event: LinkEvent) -> Option<PlayEvent> {
    Some(match event {
        LinkEvent::Suspect(_) | LinkEvent::Stable => return None,
        LinkEvent::Switched(lane, cause) => PlayEvent::LaneSwitched { peer, lane, cause },
        LinkEvent::Restart(attempt, cause) => PlayEvent::IceRestarted { peer, attempt, cause },
        LinkEvent::Rebuild(cause) => PlayEvent::ConnectionRebuilt { peer, cause },
        LinkEvent::Lost(cause) => PlayEvent::LinkLost { peer, cause },
        LinkEvent::Restored(silent) => {
            let silent_millis = u32::try_from(silent.as_millis()).unwrap_or(u32::MAX);
            PlayEvent::LinkRestored { peer, silent_millis }
        }
        LinkEvent::Hot => PlayEvent::LanesHot { peer },
        LinkEvent::Sampled(sample) => {
            let millis = |time: Option<Duration>| time.map_or(-1.0, |time| time.as_secs_f32() * 1000.0);
            PlayEvent::QualitySampled {
                peer,
                lane: sample.lane,
                rtt_millis: millis(sample.path.round_trip),
                loss_percent: sample.path.loss.map_or(-1.0, |loss| loss as f32 * 100.0),
                jitter_millis: millis(sample.path.jitter),
                bytes: sample.bytes,
                packets: sample.packets,
            }
        }
        LinkEvent::Graded(quality) => PlayEvent::QualityChanged { peer, quality },
    })
}
