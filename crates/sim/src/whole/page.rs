//! A participant's page: it drives a real session as the browser's does, and has a model of its control channel.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use base::{Frame, Input, Rng, Seat, SeatSet, StateHash, Timestamp, derive_seed};
use link::{Checked, Direct, Lane, LinkEvent};
use session::{SeatPhase, Session, SessionEvent, Setup};
use wire::batch::BatchAcknowledgement;
use wire::close::CloseCode;
use wire::control::{
    ClientMessage, Cut, GameStart, PauseNotice, SceneKind, ServerMessage, VisitEnding, place_of, with_counter,
};
use wire::lane::Cause;
use wire::transfer::StateTransfer;

use super::plan::{Plan, Sabotage};
use crate::chaos::Chaos;
use crate::seat::LocalClock;

/// What a page wants done.
#[derive(Debug)]
pub(super) enum Out {
    /// Open a control socket, and say hello.
    Connect,
    /// Close it.
    Disconnect(usize),
    Text(usize, String),
    Packet {
        to: usize,
        lane: Lane,
        bytes: Vec<u8>,
    },
    Upload {
        id: u64,
        bytes: Vec<u8>,
    },
    Fetch {
        id: u64,
        from: Frame,
    },
    FetchState {
        id: u64,
    },
    GiveState {
        bytes: Vec<u8>,
    },
    /// Make the connection to a peer anew.
    Rebuild {
        peer: usize,
    },
}

/// Waiting before coming back, as the browser's page does.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);
const HURRIED_WAIT: Duration = Duration::from_millis(500);
const SILENCE: Duration = Duration::from_secs(5);
const HURRIED_SILENCE: Duration = Duration::from_millis(1_500);
const BEAT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(250);

/// A measurement of the way to the server that is too slow, in milliseconds.
pub(super) const SLOW_PING: u32 = 400;

#[derive(Debug)]
struct Control {
    socket: Option<usize>,
    welcomed: bool,
    heard: Duration,
    retry_at: Duration,
    next_beat: Duration,
    wait: Duration,
    epoch: String,
    sequence: u64,
    counter: u64,
    unsent: VecDeque<(u64, String)>,
    stopped: bool,
}

/// One page load.
pub(super) struct Page {
    pub(super) seat: usize,
    pub(super) number: u64,
    clock: LocalClock,
    rng: Rng,
    sabotage: Option<Sabotage>,
    restlessness: f64,
    input_size: usize,
    load: Duration,
    replayed: usize,
    control: Control,
    pub(super) scene: Option<String>,
    pub(super) ended: Option<VisitEnding>,
    /// The scene whose game has ended early, until its data are saved.
    over: Option<String>,
    /// How many more measurements are too slow.
    pub(super) slow_pings: u32,
    /// Whether it is in the background.
    hidden: bool,
    pub(super) play: Option<Play>,
    /// A game that is over and whose record is still on its way.
    pub(super) ending: Option<Play>,
    pub(super) out: Vec<Out>,
    /// What is in the browser's storage when the page begins, to be sent before all else.
    leftovers: usize,
    next_id: u64,
    /// The last numbered message that was acted on, and what was wrong with the order of them.
    last_acted: (String, u64),
    pub(super) disorder: Option<String>,
    pub(super) welcomed_since: Option<Duration>,
    /// How many frames it has confirmed.
    pub(super) confirmed: Frame,
}

/// One game on a page.
pub(super) struct Play {
    pub(super) start: GameStart,
    pub(super) session: Option<Session>,
    environment: Chaos,
    loaded_at: Duration,
    go: bool,
    ready: bool,
    pause: Option<PauseNotice>,
    cut: Option<Cut>,
    lost: BTreeMap<Seat, Cause>,
    told_lost: SeatSet,
    last_pause: u32,
    history: Vec<u8>,
    fetching: Option<u64>,
    fetch_at: Duration,
    /// When to ask whether a state is there that was asked for.
    state_at: Option<Duration>,
    replayed: usize,
    /// Bytes of all seats' inputs of a frame.
    row: usize,
    under_way: Option<u64>,
    pub(super) over: bool,
    finished: Option<ClientMessage>,
}

impl Page {
    pub(super) fn new(plan: &Plan, seat: usize, number: u64, leftovers: &[Vec<u8>], now: Duration) -> Self {
        let mut rng = Rng::from_seed(derive_seed(plan.seed, 5000 + number * 16 + seat as u64));
        let clock = LocalClock::new(&mut rng, plan.drift_ppm);
        let mut page = Self {
            seat,
            number,
            clock,
            sabotage: plan.sabotage,
            restlessness: plan.restlessness,
            input_size: plan.input_size,
            load: plan.load.mul_f64(0.5 + rng.unit()),
            replayed: plan.replayed,
            rng,
            control: Control {
                socket: None,
                welcomed: false,
                heard: now,
                retry_at: now,
                next_beat: now,
                wait: FIRST_WAIT,
                epoch: String::new(),
                sequence: 0,
                counter: 0,
                unsent: VecDeque::new(),
                stopped: false,
            },
            scene: None,
            ended: None,
            over: None,
            slow_pings: 0,
            hidden: false,
            play: None,
            ending: None,
            out: Vec::new(),
            leftovers: leftovers.len(),
            next_id: 1,
            last_acted: (String::new(), 0),
            disorder: None,
            welcomed_since: None,
            confirmed: 0,
        };
        for bytes in leftovers {
            let id = page.new_id();
            page.out.push(Out::Upload { id, bytes: bytes.clone() });
        }
        if !leftovers.is_empty() {
            page.control.retry_at = now + Duration::from_secs(2);
            page.control.next_beat = page.control.retry_at;
        }
        page
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn is_connected(&self) -> bool {
        self.control.socket.is_some() && self.control.welcomed
    }

    /// The session's view, while a game is on.
    pub(super) fn session(&self) -> Option<&Session> {
        self.play.as_ref().filter(|play| !play.over).and_then(|play| play.session.as_ref())
    }

    /// What changes the state of a page's environment without anybody's having pressed anything.
    pub(super) fn corrupt(&mut self) -> bool {
        let play = self.play.as_mut().filter(|play| play.session.is_some() && !play.over);
        play.is_some_and(|play| play.environment.corrupt(1 << self.seat))
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        let session = |play: &Option<Play>| {
            let deadline = play.as_ref()?.session.as_ref()?.poll_timeout()?;
            Some(self.clock.when(deadline.at))
        };
        let load = self.play.as_ref().filter(|play| play.session.is_none()).map(|play| play.loaded_at);
        let fetch = self.play.as_ref().filter(|play| play.wants_fetch()).map(|play| play.fetch_at);
        let beat = (!self.control.stopped).then_some(self.control.next_beat);
        [beat, load, fetch, session(&self.play), session(&self.ending)].into_iter().flatten().min()
    }

    pub(super) fn wake(&mut self, now: Duration) {
        self.beat(now);
        self.tick(now);
    }

    // The control channel.

    fn hurried(&self) -> bool {
        self.play.as_ref().is_some_and(|play| {
            let phase = play.session.as_ref().map(|session| session.status().phase);
            !play.over && phase.is_some_and(|phase| phase != SeatPhase::Connected)
        })
    }

    fn beat(&mut self, now: Duration) {
        if self.control.stopped || now < self.control.next_beat {
            return;
        }
        let hurried = self.hurried();
        let silence = if hurried { HURRIED_SILENCE } else { SILENCE };
        match self.control.socket {
            None if now >= self.control.retry_at => {
                self.out.push(Out::Connect);
                self.control.heard = now;
            }
            Some(_) if now > self.control.heard + silence => self.lost(now),
            Some(socket) if self.control.welcomed => {
                let slow = self.slow_pings > 0;
                self.slow_pings -= u32::from(slow);
                let rtt_millis = Some(if slow { SLOW_PING as f32 } else { 20.0 });
                let ping = ClientMessage::Ping {
                    time: 0.0,
                    sequence: self.control.sequence,
                    rtt_millis,
                    frame: None,
                };
                self.out.push(Out::Text(socket, json(&ping)));
            }
            _ => {}
        }
        self.control.next_beat = match self.control.socket {
            None => self.control.retry_at.max(now + Duration::from_millis(1)),
            Some(_) if hurried => now + RETRY,
            Some(_) => now + BEAT,
        };
    }

    /// A socket was made for it.
    pub(super) fn connecting(&mut self, socket: usize, now: Duration) {
        self.control.socket = Some(socket);
        self.control.welcomed = false;
        self.control.heard = now;
    }

    pub(super) fn hello(&self) -> (String, u64) {
        (self.control.epoch.clone(), self.control.sequence)
    }

    fn lost(&mut self, now: Duration) {
        if let Some(socket) = self.control.socket.take() {
            self.out.push(Out::Disconnect(socket));
        }
        self.control.welcomed = false;
        self.welcomed_since = None;
        if self.sabotage == Some(Sabotage::NeverBack) && self.control.sequence > 0 {
            self.control.stopped = true;
        }
        let most = if self.hurried() { HURRIED_WAIT } else { LAST_WAIT };
        let wait = self.control.wait.min(most).mul_f64(1.0 - self.rng.unit() / 2.0);
        self.control.retry_at = now + wait;
        self.control.next_beat = self.control.retry_at;
        self.control.wait = (self.control.wait * 2).min(LAST_WAIT);
    }

    /// The server, or the network, has closed a socket.
    pub(super) fn closed(&mut self, socket: usize, code: Option<CloseCode>, now: Duration) {
        if self.control.socket != Some(socket) {
            return;
        }
        self.control.socket = None;
        if code.is_some_and(|code| !CloseCode::means_come_back(code.number())) {
            self.control.stopped = true;
            self.play = None;
        } else {
            self.lost(now);
        }
    }

    fn say(&mut self, message: &ClientMessage) {
        self.control.counter += 1;
        let text = with_counter(&json(message), self.control.counter);
        if let Some(socket) = self.control.socket.filter(|_| self.control.welcomed) {
            self.out.push(Out::Text(socket, text.clone()));
        }
        self.control.unsent.push_back((self.control.counter, text));
    }

    pub(super) fn hear(&mut self, socket: usize, text: &str, now: Duration) {
        if self.control.socket != Some(socket) {
            return;
        }
        self.control.heard = now;
        let place = place_of(text);
        let message = ServerMessage::from_json(text).expect("the server speaks the protocol");
        if let ServerMessage::Welcome { epoch, .. } = &message {
            self.control.welcomed = true;
            self.welcomed_since = Some(now);
            self.control.wait = FIRST_WAIT;
            if self.control.epoch != *epoch {
                self.control.epoch.clone_from(epoch);
                self.control.sequence = place.map_or(0, |(sequence, _)| sequence);
                self.retell();
            }
            let unsent: Vec<_> = self.control.unsent.iter().map(|(_, text)| text.clone()).collect();
            self.out.extend(unsent.into_iter().map(|text| Out::Text(socket, text)));
            if self.hidden || self.play.is_some() {
                self.tell_visibility();
            }
        } else if let Some((sequence, prev)) = place {
            let careful = self.sabotage != Some(Sabotage::DoubleMessages);
            if careful && sequence <= self.control.sequence {
                return;
            }
            if careful && prev != self.control.sequence {
                return self.lost(now);
            }
            self.control.sequence = sequence;
            let (epoch, last) =
                core::mem::replace(&mut self.last_acted, (self.control.epoch.clone(), sequence));
            if epoch == self.control.epoch && (sequence <= last || prev != last) {
                self.disorder = Some(format!(
                    "seat {} acted on message {sequence} (after {prev}) after {last}",
                    self.seat
                ));
            }
        }
        if let ServerMessage::Pong { accepted, .. } = message {
            while self.control.unsent.front().is_some_and(|&(n, _)| n <= accepted) {
                self.control.unsent.pop_front();
            }
        } else {
            self.act_on(message, now);
        }
        self.tick(now);
    }

    /// Another server knows nothing of what was said to the one before it.
    fn retell(&mut self) {
        if let Some(play) = &mut self.play {
            play.ready = false;
            if let Some(session) = &mut play.session {
                session.forget_checked();
            }
            play.told_lost = SeatSet::EMPTY;
            if let Some(finished) = play.finished.clone() {
                self.say(&finished);
            }
        }
    }

    fn act_on(&mut self, message: ServerMessage, now: Duration) {
        let time = self.clock.read(now);
        match message {
            ServerMessage::ActivateScene { scene } => {
                if self.scene.as_ref().is_some_and(|old| *old != scene.id) {
                    self.leave_game(time);
                }
                self.over = None;
                if let SceneKind::End { reason, .. } = scene.kind {
                    self.ended = Some(reason);
                }
                self.scene = Some(scene.id);
            }
            ServerMessage::TerminateScene { scene_id } if self.scene.as_ref() == Some(&scene_id) => {
                self.leave_game(time);
                self.scene = None;
            }
            ServerMessage::GameStart(start) => self.start_game(*start, now),
            ServerMessage::GameCancelled { game_id } => {
                self.play.take_if(|play| play.start.game_id == game_id);
            }
            ServerMessage::GameGo { .. } => {
                if let Some(play) = &mut self.play {
                    play.go = true;
                    play.begin(time);
                }
            }
            ServerMessage::P2pPause(notice) => {
                let Some(play) = &mut self.play else { return };
                if play.last_pause != notice.pause_id {
                    // What was said before this pause does not count any more; what is still so is said again.
                    play.told_lost = SeatSet::EMPTY;
                }
                let round = |notice: &PauseNotice| (notice.pause_id, notice.round);
                if play.pause.as_ref().map(round) != Some(round(&notice)) {
                    // What was fetched for another round may have become void since.
                    play.history.clear();
                    play.fetching = None;
                    play.state_at = None;
                }
                play.last_pause = notice.pause_id;
                play.pause = Some(notice);
                self.paused(now);
            }
            ServerMessage::P2pCut(cut) => {
                let Some(play) = &mut self.play else { return };
                play.cut = Some(cut);
                self.cut(now);
            }
            ServerMessage::P2pStateWanted { pause_id, round, .. } => {
                if let Some(session) = self.play.as_mut().and_then(|play| play.session.as_mut()) {
                    session.handle_state_wanted(pause_id, round);
                }
            }
            ServerMessage::P2pResume { pause_id, countdown_ms, .. } => {
                let Some(play) = &mut self.play else { return };
                play.last_pause = play.last_pause.max(pause_id);
                play.told_lost = SeatSet::EMPTY;
                if let Some(session) = &mut play.session {
                    session.handle_resume(pause_id, Duration::from_millis(countdown_ms.into()), time);
                }
            }
            ServerMessage::TriggerDataExport { .. } => {
                self.leave_game(time);
                self.over.clone_from(&self.scene);
            }
            _ => {}
        }
    }

    /// The page goes into the background, or comes back.
    pub(super) fn set_hidden(&mut self, hidden: bool) {
        self.hidden = hidden;
        self.tell_visibility();
    }

    fn tell_visibility(&mut self) {
        let session = self.play.as_ref().and_then(|play| play.session.as_ref());
        let frame = session.map(|session| session.status().frame);
        self.say(&ClientMessage::Visibility { hidden: self.hidden, frame });
    }

    /// The participant has had enough.
    pub(super) fn leave_study(&mut self) {
        self.say(&ClientMessage::LeaveStudy { delete: false });
    }

    fn leave_game(&mut self, time: Timestamp) {
        let Some(mut play) = self.play.take() else { return };
        play.stop(time);
        self.ending =
            Some(play).filter(|play| play.session.as_ref().is_some_and(|session| !session.is_complete()));
    }

    fn start_game(&mut self, start: GameStart, now: Duration) {
        let time = self.clock.read(now);
        if let Some(play) = self.play.as_mut().filter(|play| play.start.game_id == start.game_id) {
            if play.start.incarnations != start.incarnations {
                play.start.incarnations.clone_from(&start.incarnations);
                play.ready = false;
                if let Some(session) = &mut play.session {
                    session.handle_incarnations(&start.incarnations, time);
                }
            }
            return;
        }
        assert_eq!(start.seat.index(), self.seat, "seats go by visits' ids");
        let loaded_at = now + self.load;
        let row = self.input_size * usize::from(start.seats);
        self.play = Some(Play {
            start,
            session: None,
            environment: Chaos::new(None),
            loaded_at,
            go: false,
            ready: false,
            pause: None,
            cut: None,
            lost: BTreeMap::new(),
            told_lost: SeatSet::EMPTY,
            last_pause: 0,
            history: Vec::new(),
            fetching: None,
            fetch_at: now,
            state_at: None,
            replayed: self.replayed,
            row,
            under_way: None,
            over: false,
            finished: None,
        });
    }

    /// The environment is there.
    fn loaded(&mut self, ending: Option<crate::Ending>, now: Duration) {
        let time = self.clock.read(now);
        let input_size = self.input_size;
        let Some(play) = &mut self.play else { return };
        let setup = Setup::of(&play.start, input_size);
        play.environment = Chaos::new(ending);
        let mut session = Session::new(&setup, time).expect("a valid game");
        session.handle_server_lane(self.control.welcomed);
        play.session = Some(session);
        if play.go {
            play.begin(time);
        }
        for peer in Seat::all(play.start.seats).filter(|&seat| seat != play.start.seat) {
            self.out.push(Out::Rebuild { peer: peer.index() });
        }
        self.paused(now);
        self.cut(now);
    }

    fn paused(&mut self, now: Duration) {
        let time = self.clock.read(now);
        let Some(play) = &mut self.play else { return };
        let (Some(session), Some(notice)) = (&mut play.session, &play.pause) else { return };
        session.handle_pause(notice, time);
        let game_id = play.start.game_id;
        if let Some(report) = session.report() {
            let message = ClientMessage::P2pPauseReport {
                game_id,
                pause_id: report.pause,
                round: report.round,
                confirmed_frame: report.confirmed,
                first: report.first,
                inputs: report.inputs.into_iter().map(wire::control::Hex).collect(),
            };
            self.say(&message);
        }
    }

    fn cut(&mut self, now: Duration) {
        let time = self.clock.read(now);
        let Some(play) = &mut self.play else { return };
        let (Some(session), Some(cut)) = (&mut play.session, &play.cut) else { return };
        session.handle_cut(cut, time);
        play.fetch_at = now;
    }

    // The game.

    pub(super) fn packet(&mut self, from: usize, lane: Lane, bytes: &[u8], now: Duration) {
        let time = self.clock.read(now);
        if let Some(session) =
            self.play.as_mut().filter(|play| !play.over).and_then(|play| play.session.as_mut())
        {
            session.handle_packet(Seat::new(from as u8).expect("a seat"), lane, bytes, time);
        }
    }

    pub(super) fn direct(&mut self, peer: usize, state: Direct, now: Duration) {
        let time = self.clock.read(now);
        if let Some(session) = self.play.as_mut().and_then(|play| play.session.as_mut()) {
            session.handle_direct(Seat::new(peer as u8).expect("a seat"), state, time);
        }
    }

    pub(super) fn uploaded(&mut self, id: u64, answer: Option<BatchAcknowledgement>, now: Duration) {
        let time = self.clock.read(now);
        if self.leftovers > 0 {
            self.leftovers -= 1;
            if self.leftovers == 0 {
                self.control.retry_at = self.control.retry_at.min(now);
                self.control.next_beat = self.control.next_beat.min(now);
            }
        }
        for play in [&mut self.play, &mut self.ending].into_iter().flatten() {
            if play.under_way == Some(id)
                && let Some(session) = &mut play.session
            {
                play.under_way = None;
                match answer {
                    Some(answer) => session.handle_batch_acknowledged(answer, time),
                    None => session.handle_batch_failed(time),
                }
            }
        }
        self.ending.take_if(|play| play.session.as_ref().is_none_or(Session::is_complete));
    }

    pub(super) fn fetched(&mut self, id: u64, answer: Option<&[u8]>, now: Duration) {
        let Some(play) = self.play.as_mut().filter(|play| play.fetching == Some(id)) else { return };
        play.fetching = None;
        play.fetch_at = now + RETRY;
        if let Some(bytes) = answer {
            play.history.extend_from_slice(bytes);
        }
    }

    /// True when the page goes on from the state that came.
    pub(super) fn take_state(&mut self, bytes: &[u8], now: Duration) -> bool {
        let time = self.clock.read(now);
        let Some(play) = self.play.as_mut().filter(|play| play.state_at.is_some()) else { return false };
        let (Some(session), Ok(state)) = (&mut play.session, StateTransfer::decode(bytes)) else {
            return false;
        };
        session.handle_state(state, &mut play.environment, time)
    }

    pub(super) fn draw(&mut self, now: Duration) {
        let time = self.clock.read(now);
        if let Some(session) = self.play.as_mut().and_then(|play| play.session.as_mut()) {
            session.handle_shown(time);
        }
    }

    pub(super) fn load_if_due(&mut self, ending: Option<crate::Ending>, now: Duration) {
        if self.play.as_ref().is_some_and(|play| play.session.is_none() && now >= play.loaded_at) {
            self.loaded(ending, now);
        }
    }

    fn tick(&mut self, now: Duration) {
        let time = self.clock.read(now);
        let connected = self.is_connected();
        if self.ending.is_none()
            && let Some(scene_id) = self.over.take()
        {
            self.say(&ClientMessage::AdvanceScene { scene_id, answers: Default::default() });
        }
        let mut said = Vec::new();
        let mut id = self.next_id;
        if let Some(play) = &mut self.ending
            && let Some(batch) = play.session.as_mut().and_then(|session| session.poll_batch(time))
        {
            id += 1;
            play.under_way = Some(id);
            self.out.push(Out::Upload { id, bytes: batch.encode().expect("a batch fits") });
        }
        let Some(play) = &mut self.play else {
            self.next_id = id;
            return;
        };
        let game_id = play.start.game_id;
        let wants_fetch = play.wants_fetch() && now >= play.fetch_at;
        let Some(session) = &mut play.session else {
            self.next_id = id;
            return;
        };
        if !play.over {
            if self.rng.chance(self.restlessness) {
                let held: Vec<_> = (0..self.input_size).map(|_| self.rng.below(4) as u8).collect();
                session.set_input(Input::new(&held).expect("inputs have a valid size"));
            }
            session.handle_server_lane(connected);
            let Ok(_) = session.handle_history(&play.history, &mut play.environment, play.replayed, time);
            let Ok(()) = session.handle_timeout(&mut play.environment, time);
            while let Some(transmit) = session.poll_transmit() {
                let bytes = transmit.bytes.to_vec();
                self.out.push(Out::Packet { to: transmit.to.index(), lane: transmit.lane, bytes });
            }
        }
        if let Some(batch) = session.poll_batch(time) {
            id += 1;
            play.under_way = Some(id);
            let mut batch = batch;
            if self.sabotage == Some(Sabotage::ForgedUploads) {
                for frame in &mut batch.frames {
                    frame.inputs[0] ^= 1;
                }
            }
            self.out.push(Out::Upload { id, bytes: batch.encode().expect("a batch fits") });
        }
        if wants_fetch {
            id += 1;
            play.fetching = Some(id);
            self.out.push(Out::Fetch { id, from: (play.history.len() / play.row) as Frame });
        }
        if connected && !play.over {
            if let Some((pause_id, round)) = session.poll_state_request() {
                play.state_at = Some(now + RETRY);
                said.push(ClientMessage::P2pStateRequest { game_id, pause_id, round });
            }
            if let Some(state) = session.poll_state(&play.environment) {
                self.out.push(Out::GiveState { bytes: state.encode() });
            }
        }
        if session.wants_history().is_none() {
            play.state_at = None;
        }
        if play.state_at.take_if(|at| now >= *at).is_some() {
            id += 1;
            play.state_at = Some(now + RETRY);
            self.out.push(Out::FetchState { id });
        }
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Desync { peer, frame, own, theirs }
                    if self.sabotage != Some(Sabotage::LyingHashes) =>
                {
                    said.push(ClientMessage::P2pDesync { game_id, peer, frame, own, theirs });
                }
                SessionEvent::PeerReplaced { peer } => {
                    play.lost.remove(&peer);
                    play.told_lost.remove(peer);
                    self.out.push(Out::Rebuild { peer: peer.index() });
                }
                SessionEvent::Link { peer, event: LinkEvent::Rebuild(_) } => {
                    self.out.push(Out::Rebuild { peer: peer.index() });
                }
                SessionEvent::Link { peer, event: LinkEvent::Lost(cause) } => {
                    play.lost.insert(peer, cause);
                }
                SessionEvent::Link { peer, event: LinkEvent::Restored(_) } => {
                    play.lost.remove(&peer);
                    play.told_lost.remove(peer);
                }
                _ => {}
            }
        }
        if !play.over && connected {
            let frame = session.status().frame;
            for (&lost_peer, &cause) in &play.lost {
                if !play.told_lost.contains(lost_peer) {
                    play.told_lost.insert(lost_peer);
                    said.push(ClientMessage::P2pConnectionLost {
                        game_id,
                        frame,
                        lost_peer,
                        ice_state: "unknown".into(),
                        dc_state: "unknown".into(),
                        cause,
                        timestamp: 0.0,
                        pause_id: play.last_pause,
                    });
                }
            }
            while let Some((peer, Checked { lane, round_trip, is_final })) = session.poll_checked(time) {
                let rtt_millis = round_trip.as_secs_f32() * 1000.0;
                said.push(ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final });
            }
            if session.is_ready(time) && !play.ready {
                play.ready = true;
                said.push(ClientMessage::GameReady { game_id });
            }
        }
        if !play.over
            && let Some((pause_id, round, confirmed_frame, hash)) = session.poll_success()
        {
            said.push(ClientMessage::P2pReconnectionSuccess {
                game_id,
                pause_id,
                round,
                confirmed_frame,
                hash,
            });
        }
        if !play.over && session.is_complete() {
            play.over = true;
            let status = session.status();
            let hash = status.hash.map_or(StateHash(0), |(_, hash)| hash);
            let finished = ClientMessage::GameFinished { game_id, frames: status.frame, hash };
            play.finished = Some(finished.clone());
            said.push(finished);
        }
        self.confirmed = session.status().confirmed_frame;
        self.next_id = id;
        for message in said {
            self.say(&message);
        }
    }
}

impl Play {
    fn begin(&mut self, time: Timestamp) {
        if let Some(session) = &mut self.session {
            session.begin(time);
        }
    }

    fn stop(&mut self, time: Timestamp) {
        self.over = true;
        if let Some(session) = &mut self.session {
            session.stop(time);
        }
    }

    fn wants_fetch(&self) -> bool {
        let wants = self.session.as_ref().and_then(Session::wants_history);
        wants.is_some_and(|first| self.history.len() < first as usize * self.row)
            && self.fetching.is_none()
            && !self.over
    }
}

fn json(message: &ClientMessage) -> String {
    serde_json::to_string(message).expect("a message")
}
