//! One game, as a page plays it: its session and environment, its pauses, its record.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use base::{Frame, GameId, Rng, Seat, SeatSet, StateHash, Timestamp};
use host::{Module, NativeEnvironment};
use link::{Checked, Lane, LinkEvent};
use session::{Replayed, Session, SessionEvent, Setup};
use wire::batch::BatchAcknowledgement;
use wire::control::{ClientMessage, Cut, GameStart, Hex, PauseNotice};
use wire::lane::{Bundle, Cause};
use wire::transfer::StateTransfer;

use crate::hands::Hands;

/// How long to wait before asking again for what is not there yet.
const AGAIN: Duration = Duration::from_millis(250);

/// For how many frames the game is played anew at a time.
const REPLAY_FRAMES: usize = 240;

/// What is asked of the server over HTTP. Answers carry the same number.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) game: GameId,
    pub(crate) what: Asked,
}

#[derive(Debug)]
pub(crate) enum Asked {
    /// To keep a part of the record.
    Records(Vec<u8>),
    /// Everybody's inputs from a frame on.
    Inputs(Frame),
    /// A state that another page has given.
    State,
    /// To take this one's.
    GiveState(Vec<u8>),
}

/// What a game wants done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Said once, however often the connection is lost.
    Say(ClientMessage),
    Lane(Vec<u8>),
    Ask(Request),
}

/// For the record of a loss, as a page tells it.
fn wall_millis() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as f64
}

/// One game.
pub(crate) struct Play {
    pub(crate) start: GameStart,
    loaded: Option<Loaded>,
    has_begun: bool,
    ready: bool,
    /// Whose links the server knows of.
    notice: Option<PauseNotice>,
    cut: Option<Cut>,
    /// The last pause that was heard of.
    last_pause: u32,
    /// Who is not heard any more, why, and since when by the wall clock.
    lost: BTreeMap<Seat, (Cause, f64)>,
    told_lost: SeatSet,
    history: Vec<u8>,
    requests: u64,
    fetching: Option<u64>,
    fetch_at: Timestamp,
    /// When to ask whether a state is there that was asked for.
    state_at: Option<Timestamp>,
    uploading: Option<u64>,
    finished: Option<ClientMessage>,
    over: bool,
    outputs: VecDeque<Output>,
}

struct Loaded {
    session: Session,
    environment: NativeEnvironment,
    hands: Hands,
    /// Bytes of all seats' inputs of a frame.
    row: usize,
}

impl Play {
    pub(crate) fn new(start: GameStart, now: Timestamp) -> Self {
        Self {
            has_begun: start.begun,
            start,
            loaded: None,
            ready: false,
            notice: None,
            cut: None,
            last_pause: 0,
            lost: BTreeMap::new(),
            told_lost: SeatSet::EMPTY,
            history: Vec::new(),
            requests: 0,
            fetching: None,
            fetch_at: now,
            state_at: None,
            uploading: None,
            finished: None,
            over: false,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn say(&mut self, message: ClientMessage) {
        self.outputs.push_back(Output::Say(message));
    }

    fn ask(&mut self, what: Asked) -> u64 {
        self.requests += 1;
        let (number, game) = (self.requests, self.start.game_id);
        self.outputs.push_back(Output::Ask(Request { number, game, what }));
        number
    }

    fn fail(&mut self, reason: String, now: Timestamp) {
        let frame = self.loaded.as_ref().map_or(0, |loaded| loaded.session.status().frame);
        self.say(ClientMessage::GameFailed { game_id: self.start.game_id, frame, reason });
        self.stop(now);
    }

    /// The environment is there, or cannot be had.
    pub(crate) fn handle_module(&mut self, module: Result<Module, String>, rng: Rng, now: Timestamp) {
        if self.loaded.is_some() || self.over {
            return;
        }
        let made = module.and_then(|module| self.load(&module, rng, now));
        match made {
            Ok(loaded) => self.loaded = Some(loaded),
            Err(reason) => return self.fail(reason, now),
        }
        if self.has_begun {
            self.begin(now);
        }
        self.halt(now);
    }

    fn load(&self, module: &Module, rng: Rng, now: Timestamp) -> Result<Loaded, String> {
        let (start, manifest) = (&self.start, module.manifest());
        let setup = Setup::of(start, manifest.input_bytes);
        let session = Session::new(&setup, now).map_err(|error| error.to_string())?;
        let mut environment = NativeEnvironment::new(module).map_err(|error| error.to_string())?;
        if !start.options.is_empty() && !environment.set_options(&start.options) {
            return Err("the environment has no place for its options".to_owned());
        }
        let used = |name: &String| start.keys.values().any(|button| button == name);
        let bits = (0..).zip(&manifest.buttons).filter(|(_, name)| used(name)).map(|(bit, _)| bit);
        let hands = Hands::new(rng, bits.collect(), manifest.input_bytes);
        Ok(Loaded { session, environment, hands, row: manifest.input_bytes * usize::from(start.seats) })
    }

    /// Everyone is ready.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.has_begun = true;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.begin(now);
        }
    }

    /// The server tells of the game again: pages may have been loaded since.
    pub(crate) fn told_again(&mut self, incarnations: &[u8], now: Timestamp) {
        if self.start.incarnations == incarnations {
            return;
        }
        self.start.incarnations = incarnations.to_vec();
        self.ready = false;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_incarnations(incarnations, now);
        }
    }

    /// Another server, or one that has forgotten, does not know what was said.
    pub(crate) fn retell(&mut self) {
        self.ready &= self.has_begun;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.forget_checked();
        }
        self.told_lost = SeatSet::EMPTY;
        if let Some(finished) = self.finished.clone() {
            self.say(finished);
        }
    }

    /// Everyone stands still.
    pub(crate) fn handle_pause(&mut self, notice: PauseNotice, now: Timestamp) {
        self.has_begun = true;
        if self.last_pause != notice.pause_id {
            // What was said before this pause does not count any more; what is still so is said again.
            self.told_lost = SeatSet::EMPTY;
        }
        let round = |notice: &PauseNotice| (notice.pause_id, notice.round);
        if self.notice.as_ref().map(round) != Some(round(&notice)) {
            // What was fetched for another round may have become void since.
            self.history.clear();
            self.fetching = None;
            self.state_at = None;
            self.cut = None;
        }
        self.last_pause = notice.pause_id;
        self.notice = Some(notice);
        self.halt(now);
    }

    /// What all hold together.
    pub(crate) fn handle_cut(&mut self, cut: Cut, now: Timestamp) {
        self.cut = Some(cut);
        self.take_cut(now);
    }

    fn halt(&mut self, now: Timestamp) {
        let (Some(loaded), Some(notice)) = (&mut self.loaded, &self.notice) else { return };
        loaded.session.handle_pause(notice, now);
        if let Some(report) = loaded.session.report() {
            let report = ClientMessage::P2pPauseReport {
                game_id: self.start.game_id,
                pause_id: report.pause,
                round: report.round,
                confirmed_frame: report.confirmed,
                first: report.first,
                inputs: report.inputs.into_iter().map(Hex).collect(),
            };
            self.say(report);
        }
        self.take_cut(now);
    }

    fn take_cut(&mut self, now: Timestamp) {
        if let (Some(loaded), Some(cut)) = (&mut self.loaded, &self.cut) {
            loaded.session.handle_cut(cut, now);
            self.fetch_at = now;
        }
    }

    /// Somebody asks for this seat's state.
    pub(crate) fn state_wanted(&mut self, pause: u32, round: u32) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_state_wanted(pause, round);
        }
    }

    /// Everyone goes on.
    pub(crate) fn resume(&mut self, pause: u32, countdown: Duration, now: Timestamp) {
        self.last_pause = self.last_pause.max(pause);
        self.told_lost = SeatSet::EMPTY;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_resume(pause, countdown, now);
        }
    }

    /// The game is over; what is recorded still goes to the server.
    pub(crate) fn stop(&mut self, now: Timestamp) {
        self.over = true;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.stop(now);
        }
    }

    /// Whether the server has the whole record.
    pub(crate) fn is_saved(&self) -> bool {
        self.loaded.as_ref().is_none_or(|loaded| loaded.session.is_complete())
    }

    pub(crate) fn packet(&mut self, from: Seat, bytes: &[u8], now: Timestamp) {
        if let Some(loaded) = self.loaded.as_mut().filter(|_| !self.over) {
            loaded.session.handle_packet(from, Lane::Server, bytes, now);
        }
    }

    /// What was asked for came (HTTP's 200), or did not.
    pub(crate) fn answered(&mut self, request: &Request, answer: Option<&[u8]>, now: Timestamp) {
        let Some(loaded) = &mut self.loaded else { return };
        match request.what {
            Asked::Records(_) if self.uploading == Some(request.number) => {
                self.uploading = None;
                let kept = answer.and_then(|body| serde_json::from_slice::<BatchAcknowledgement>(body).ok());
                match kept {
                    Some(kept) => loaded.session.handle_batch_acknowledged(kept, now),
                    None => loaded.session.handle_batch_failed(now),
                }
            }
            Asked::Inputs(_) if self.fetching == Some(request.number) => {
                self.fetching = None;
                self.fetch_at = now + AGAIN;
                if let Some(rows) = answer.filter(|body| body.len() >= loaded.row) {
                    self.history.extend_from_slice(&rows[..rows.len() / loaded.row * loaded.row]);
                    self.fetch_at = now;
                }
            }
            Asked::State if self.state_at.is_some() => {
                let state = answer.and_then(|body| StateTransfer::decode(body).ok());
                if state.is_some_and(|state| loaded.session.handle_state(state, &mut loaded.environment, now))
                {
                    self.state_at = None;
                    self.history = Vec::new();
                }
            }
            Asked::Records(_) | Asked::Inputs(_) | Asked::State | Asked::GiveState(_) => {}
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let session = &self.loaded.as_ref()?.session;
        let fetch = self.wants_inputs().then_some(self.fetch_at);
        let session = session.poll_timeout().map(|deadline| deadline.at);
        [fetch, session, self.state_at].into_iter().flatten().min()
    }

    fn wants_inputs(&self) -> bool {
        let Some(loaded) = self.loaded.as_ref().filter(|_| !self.over && self.fetching.is_none()) else {
            return false;
        };
        loaded.session.wants_history().is_some_and(|first| self.history.len() < first as usize * loaded.row)
    }

    /// Does what is due. `is_open` is whether the server can be spoken to.
    pub(crate) fn handle_timeout(&mut self, is_open: bool, now: Timestamp) {
        if !self.over {
            self.play(is_open, now);
        }
        let batch = self.loaded.as_mut().and_then(|loaded| loaded.session.poll_batch(now));
        if let Some(bytes) = batch.and_then(|batch| batch.encode().ok()) {
            self.uploading = Some(self.ask(Asked::Records(bytes)));
        }
    }

    fn play(&mut self, is_open: bool, now: Timestamp) {
        let game_id = self.start.game_id;
        let Some(Loaded { session, environment, hands, .. }) = &mut self.loaded else { return };
        if let Some(input) = hands.at(session.status().frame) {
            session.set_input(input);
        }
        session.handle_server_lane(is_open);
        let mut played = Ok(());
        if session.wants_history().is_some() {
            played = loop {
                match session.handle_history(&self.history, environment, REPLAY_FRAMES, now) {
                    Ok(Replayed::Partly) => {}
                    Ok(Replayed::NeedsHistory | Replayed::Done) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
        }
        if let Err(error) = played.and_then(|()| session.handle_timeout(environment, now)) {
            return self.fail(error.to_string(), now);
        }
        let mut bundle = Bundle::new(game_id);
        while let Some(transmit) = session.poll_transmit() {
            if transmit.lane == Lane::Server {
                bundle.push(transmit.to, transmit.bytes);
            }
        }
        if !bundle.is_empty() && is_open {
            self.outputs.push_back(Output::Lane(bundle.as_bytes().to_vec()));
        }
        self.look_after_links(is_open, now);
        self.make_up(is_open, now);
        self.finish();
    }

    /// Tells the server what it must know of links.
    fn look_after_links(&mut self, is_open: bool, now: Timestamp) {
        let game_id = self.start.game_id;
        let Some(Loaded { session, .. }) = &mut self.loaded else { return };
        let frame = session.status().frame;
        let mut said = Vec::new();
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Desync { peer, frame, own, theirs } => {
                    said.push(ClientMessage::P2pDesync { game_id, peer, frame, own, theirs });
                }
                SessionEvent::Link { peer, event: LinkEvent::Lost(cause) } => {
                    self.lost.insert(peer, (cause, wall_millis()));
                    self.told_lost.remove(peer);
                }
                SessionEvent::Link { peer, event: LinkEvent::Restored(_) } => {
                    self.lost.remove(&peer);
                    if self.told_lost.contains(peer) {
                        self.told_lost.remove(peer);
                        said.push(ClientMessage::P2pConnectionRestored { game_id, frame, peer });
                    }
                }
                SessionEvent::PeerReplaced { peer } => {
                    self.lost.remove(&peer);
                    self.told_lost.remove(peer);
                }
                SessionEvent::Link { .. }
                | SessionEvent::EpisodeBegan { .. }
                | SessionEvent::EpisodeEnded { .. }
                | SessionEvent::Finished { .. } => {}
            }
        }
        if is_open {
            for (&lost_peer, &(cause, timestamp)) in &self.lost {
                if !self.told_lost.contains(lost_peer) {
                    self.told_lost.insert(lost_peer);
                    said.push(ClientMessage::P2pConnectionLost {
                        game_id,
                        frame,
                        lost_peer,
                        ice_state: String::new(),
                        dc_state: String::new(),
                        cause,
                        timestamp,
                        pause_id: self.last_pause,
                    });
                }
            }
        }
        if is_open && !self.has_begun {
            while let Some((peer, Checked { lane, round_trip, is_final })) = session.poll_checked(now) {
                let rtt_millis = round_trip.as_secs_f32() * 1000.0;
                said.push(ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final });
            }
            if session.is_ready(now) && !self.ready {
                self.ready = true;
                said.push(ClientMessage::GameReady { game_id });
            }
        }
        self.outputs.extend(said.into_iter().map(Output::Say));
    }

    /// Gets what is missing after a pause, and gives what others miss.
    fn make_up(&mut self, is_open: bool, now: Timestamp) {
        let game_id = self.start.game_id;
        if self.wants_inputs() && now >= self.fetch_at {
            let row = self.loaded.as_ref().map_or(1, |loaded| loaded.row.max(1));
            let from = (self.history.len() / row) as Frame;
            self.fetching = Some(self.ask(Asked::Inputs(from)));
        }
        let Some(Loaded { session, environment, .. }) = &mut self.loaded else { return };
        if session.wants_history().is_none() {
            self.state_at = None;
        }
        if !is_open {
            return;
        }
        let wanted = session.poll_state_request();
        let given = session.poll_state(environment);
        let success = session.poll_success();
        if let Some((pause_id, round)) = wanted {
            self.state_at = Some(now + AGAIN);
            self.say(ClientMessage::P2pStateRequest { game_id, pause_id, round });
        }
        if let Some(state) = given {
            self.ask(Asked::GiveState(state.encode()));
        }
        if self.state_at.is_some_and(|at| now >= at) {
            self.state_at = Some(now + AGAIN);
            self.ask(Asked::State);
        }
        if let Some((pause_id, round, confirmed_frame, hash)) = success {
            self.say(ClientMessage::P2pReconnectionSuccess {
                game_id,
                pause_id,
                round,
                confirmed_frame,
                hash,
            });
        }
    }

    fn finish(&mut self) {
        let Some(Loaded { session, .. }) = &self.loaded else { return };
        if session.is_complete() {
            let status = session.status();
            let hash = status.hash.map_or(StateHash(0), |(_, hash)| hash);
            let (game_id, frames) = (self.start.game_id, status.frame);
            let finished = ClientMessage::GameFinished { game_id, frames, hash };
            self.over = true;
            self.finished = Some(finished.clone());
            self.say(finished);
        }
    }
}
