//! One game on this page: its session, environment, links and uploads. Dropping it leaves nothing behind (L9).

use core::time::Duration;

use base::{Frame, MAX_SEATS, Seat, StateHash, Timestamp};
use link::{Checked, Direct, Lane, LinkEvent};
use session::{SeatPhase, Session, SessionEvent, Setup, Status};
use wasm_bindgen_futures::spawn_local;
use wire::batch::{BatchAcknowledgement, RecordBatch};
use wire::control::{ClientMessage, ConnectionType, Cut, GameStart, IceServer, PauseNotice, Signal};
use wire::lane::Bundle;

use crate::app::with_app;
use crate::canvas::Canvas;
use crate::clock::{Alarm, mark, now};
use crate::environment::{BrowserEnvironment, describe};
use crate::keyboard::Keyboard;
use crate::pause::{Asked, Loss, Pause, report};
use crate::peers::Peer;
use crate::{http, unsent};

/// How often the statistics of a suspect connection are looked into.
const INSPECT_EVERY: Duration = Duration::from_millis(250);

/// Connections to a page are numbered from its incarnation on: those of a page that is gone all come before.
const ATTEMPTS: u32 = 1000;

/// One game.
pub(crate) struct Play {
    pub(crate) start: GameStart,
    pub(crate) peers: Vec<Peer>,
    pub(crate) connection_types: Vec<(Seat, ConnectionType)>,
    loaded: Option<Loaded>,
    ready: bool,
    /// The server said that everyone is ready, or that they were before.
    pub(crate) begun: bool,
    pub(crate) pause: Pause,
    /// How many frames there were and what came of them, once the server was told.
    finished: Option<(Frame, StateHash)>,
    /// Where in the browser's storage is what the server has not acknowledged.
    unsent: String,
    /// When to look into the statistics of suspect connections next.
    inspect_at: Timestamp,
    /// When TURN's credentials are to be renewed.
    renew_at: Option<Timestamp>,
    /// `game_finished` was sent, or the game is over in another way: the session stands still.
    pub(crate) over: bool,
    drawn: Option<Frame>,
    alarm: Alarm,
}

/// What a tick has brought about.
pub(crate) struct Ticked {
    pub(crate) messages: Vec<ClientMessage>,
    /// What is worth telling only now.
    pub(crate) live: Vec<ClientMessage>,
    /// For the server lane.
    pub(crate) lane: Bundle,
    /// Whether the way to a peer is not to be relied on, or the game stands still.
    pub(crate) hurried: bool,
}

/// Whether the server can be spoken to, and whether it was heard of late.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) token: &'a str,
    pub(crate) is_open: bool,
    pub(crate) is_heard: bool,
}

/// What there is once the environment is loaded.
struct Loaded {
    session: Session,
    environment: BrowserEnvironment,
    canvas: Canvas,
    keyboard: Keyboard,
    /// The bytes of a frame's inputs.
    row: usize,
}

impl Play {
    /// Begins to load the environment and to make the links.
    pub(crate) fn new(mut start: GameStart, token: &str) -> Result<Self, String> {
        mark("interplay:match");
        start.incarnations.resize(MAX_SEATS, 0);
        let unsent = unsent::key(token, start.game_id, incarnation(&start, start.seat));
        let relayed = start.relayed;
        let others = Seat::all(start.seats).filter(|&seat| seat != start.seat && !relayed.contains(seat));
        let peers: Result<Vec<_>, _> = others
            .map(|seat| Peer::new(seat, first_attempt(&start, seat), start.seat < seat, &start))
            .collect();
        let peers = peers.map_err(|error| format!("cannot make a connection: {}", describe(&error)))?;
        let alarm = Alarm::new(|| with_app(crate::app::App::tick)).map_err(|error| describe(&error))?;
        let (url, sha256, game) =
            (start.environment.url.clone(), start.environment.sha256.clone(), start.game_id);
        let options = start.options.clone();
        spawn_local(async move {
            let mut environment = load(&url, &sha256).await;
            if let Ok(environment) = &mut environment {
                environment.set_options(&options);
            }
            with_app(|app| app.environment_loaded(game, environment));
        });
        let renew_at = renewal(&start);
        Ok(Self {
            start,
            peers,
            connection_types: Vec::new(),
            loaded: None,
            ready: false,
            begun: false,
            pause: Pause::default(),
            finished: None,
            unsent,
            inspect_at: Timestamp::default(),
            renew_at,
            over: false,
            drawn: None,
            alarm,
        })
    }

    /// The environment is there: the session can be made.
    pub(crate) fn loaded(&mut self, environment: BrowserEnvironment) -> Result<(), String> {
        let manifest = environment.manifest();
        let (start, size) = (&self.start, manifest.input_bytes);
        let setup = Setup::of(start, size);
        let mut session = Session::new(&setup, now()).map_err(|error| error.to_string())?;
        for peer in &self.peers {
            session.handle_direct(peer.seat, peer.state(), now());
        }
        if let Some(notice) = &self.pause.notice {
            session.handle_pause(notice, now());
        }
        if let Some(cut) = &self.pause.cut {
            session.handle_cut(cut, now());
        }
        let canvas = Canvas::new(manifest.size).map_err(|error| describe(&error))?;
        let keyboard = Keyboard::new(&start.keys, &manifest.buttons, size);
        let row = size * usize::from(start.seats);
        self.loaded = Some(Loaded { session, environment, canvas, keyboard, row });
        Ok(())
    }

    /// Whether this page was loaded when the game was on already.
    pub(crate) fn has_been_replaced(&self) -> bool {
        incarnation(&self.start, self.start.seat) > 0
    }

    /// Whether the server takes this page for one that was loaded since: another had been here in between.
    pub(crate) fn is_outlived(&self, start: &GameStart) -> bool {
        incarnation(start, start.seat) > incarnation(&self.start, self.start.seat)
    }

    /// The server tells of the game anew. Pages that were loaded since get other connections.
    pub(crate) fn told_again(&mut self, incarnations: &[u8]) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_incarnations(incarnations, now());
        }
        for (seat, &incarnation) in Seat::all(self.start.seats).zip(incarnations) {
            let known = &mut self.start.incarnations[seat.index()];
            if *known < incarnation && seat != self.start.seat {
                *known = incarnation;
                self.ready = false;
                self.pause.restore(seat);
                self.rebuild(seat, first_attempt(&self.start, seat), self.start.seat < seat);
            }
        }
    }

    /// Everyone stands still. Gives back what this seat holds, if it holds anything.
    pub(crate) fn halt(&mut self, notice: PauseNotice) -> Option<ClientMessage> {
        self.begun = true;
        self.told_again(&notice.incarnations);
        let game_id = self.start.game_id;
        let report = self.loaded.as_mut().and_then(|loaded| {
            loaded.session.handle_pause(&notice, now());
            report(game_id, &loaded.session)
        });
        self.pause.take(notice);
        report
    }

    /// What all hold together.
    pub(crate) fn cut(&mut self, cut: Cut) {
        match &mut self.loaded {
            Some(loaded) => loaded.session.handle_cut(&cut, now()),
            None => self.pause.cut = Some(cut),
        }
    }

    /// What was asked of the server, or nothing.
    pub(crate) fn pause_answered(&mut self, asked: &Asked, bytes: Vec<u8>) {
        if let Some(loaded) = &self.loaded {
            self.pause.answered(asked, loaded.row, bytes);
        }
    }

    /// Somebody asks for this page's state.
    pub(crate) fn state_wanted(&mut self, pause: u32, round: u32) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_state_wanted(pause, round);
        }
    }

    /// Everyone goes on.
    pub(crate) fn resume(&mut self, pause: u32, countdown_millis: u32) {
        // A loss that was told while the game stood still anyway is one that stops it now.
        self.pause.forget_told();
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_resume(pause, Duration::from_millis(countdown_millis.into()), now());
        }
    }

    /// The control channel is another, perhaps of another server process, which may not know what was said before.
    pub(crate) fn retell(&mut self, is_another_server: bool) -> Option<ClientMessage> {
        self.pause.forget_told();
        // What was asked over the path as it was may never be answered.
        self.pause.fetch_anew();
        if !is_another_server {
            return None;
        }
        self.ready &= self.begun;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.forget_checked();
        }
        let (frames, hash) = self.finished?;
        Some(ClientMessage::GameFinished { game_id: self.start.game_id, frames, hash })
    }

    /// What the server must know before the game begins: each link that could be used, and then that all can (S4).
    pub(crate) fn check(&mut self, messages: &mut Vec<ClientMessage>) {
        let Some(Loaded { session, .. }) = self.loaded.as_mut().filter(|_| !self.begun) else { return };
        let game_id = self.start.game_id;
        while let Some((peer, Checked { lane, round_trip, is_final })) = session.poll_checked(now()) {
            let rtt_millis = round_trip.as_secs_f32() * 1000.0;
            messages.push(ClientMessage::LinkChecked { game_id, peer, lane, rtt_millis, is_final });
        }
        if session.is_ready(now()) && !std::mem::replace(&mut self.ready, true) {
            messages.push(ClientMessage::GameReady { game_id });
        }
    }

    /// Everyone is ready. False when that is not new.
    pub(crate) fn begin(&mut self) -> bool {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.begin(now());
        }
        !std::mem::replace(&mut self.begun, true)
    }

    pub(crate) fn signal(&mut self, from: Seat, signal: Signal) {
        let Some(peer) = self.peers.iter().find(|peer| peer.seat == from) else { return };
        let (Signal::Description { attempt, .. } | Signal::Candidate { attempt, .. }) = &signal;
        if *attempt > peer.attempt() {
            // The other side has given this connection up.
            self.rebuild(from, *attempt, false);
        }
        let peer = self.peers.iter().find(|peer| peer.seat == from && peer.attempt() == *attempt);
        if let Some(peer) = peer {
            peer.handle_signal(signal);
        }
    }

    /// Puts another connection in the place of one.
    fn rebuild(&mut self, seat: Seat, attempt: u32, offers: bool) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == seat) else { return };
        let Ok(next) = Peer::new(seat, attempt, offers, &self.start) else { return };
        *peer = next;
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_direct(seat, Direct::Connecting, now());
        }
    }

    /// The browser says something else of a connection than before. True when its channel is open.
    pub(crate) fn connection_changed(&mut self, seat: Seat, attempt: u32) -> bool {
        let Some(peer) = self.peers.iter().find(|peer| peer.seat == seat && peer.attempt() == attempt) else {
            return false;
        };
        let state = peer.state();
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_direct(seat, state, now());
        }
        state == Direct::Open
    }

    /// New servers and credentials. Who uses TURN moves to a new allocation: the old one's credentials expire.
    pub(crate) fn renew(&mut self, ice_servers: Vec<IceServer>, lifetime_millis: u32) {
        self.start.ice_servers = ice_servers;
        self.start.ice_lifetime_millis = lifetime_millis;
        self.renew_at = renewal(&self.start);
        for peer in &self.peers {
            peer.configure(&self.start);
            let relayed = self.connection_type(peer.seat).is_some_and(|kind| kind.connection_type == "relay");
            if relayed && self.start.seat < peer.seat {
                peer.restart();
            }
        }
    }

    /// How the link to a peer came about, as far as is known.
    pub(crate) fn connection_type(&self, seat: Seat) -> Option<&ConnectionType> {
        self.connection_types.iter().find(|(peer, _)| *peer == seat).map(|(_, kind)| kind)
    }

    /// The browser's own checks of the path to a peer have been answered.
    pub(crate) fn answered(&mut self, by: Seat) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_answered(by, now());
        }
    }

    pub(crate) fn packet(&mut self, from: Seat, lane: Lane, bytes: &[u8]) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_packet(from, lane, bytes, now());
        }
    }

    /// What the page may know of the session.
    pub(crate) fn status(&self) -> Option<Status> {
        self.loaded.as_ref().map(|loaded| loaded.session.status())
    }

    /// Does what is due; gives back what to tell the server.
    pub(crate) fn tick(&mut self, server: Server) -> Ticked {
        let game_id = self.start.game_id;
        let mut ticked = Ticked {
            messages: Vec::new(),
            live: Vec::new(),
            lane: Bundle::new(game_id),
            hurried: self.pause.notice.is_some() && !self.over,
        };
        let Some(Loaded { session, environment, keyboard, row, .. }) = &mut self.loaded else {
            return ticked;
        };
        let time = now();
        if self.over {
            // What is recorded still goes to the server.
            if let Some(batch) = session.poll_batch(time) {
                upload(&self.start, server.token, &self.unsent, &batch);
            }
            if let Some(deadline) = session.poll_timeout() {
                self.alarm.set(deadline.at);
            }
            return ticked;
        }
        if let Some(input) = keyboard.input() {
            session.set_input(input);
        }
        session.handle_server_lane(server.is_open);
        let before = session.status().frame;
        let played = match self.pause.make_up(session, environment, (game_id, *row), server.token) {
            Ok(()) => session.handle_timeout(environment, now()),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = played {
            self.over = true;
            session.stop(time);
            let frame = session.status().frame;
            ticked.messages.push(ClientMessage::GameFailed { game_id, frame, reason: fault.to_string() });
            return ticked;
        }
        let status = session.status();
        if before == 0 && status.frame > 0 {
            mark("interplay:first-frame");
        }
        while let Some(transmit) = session.poll_transmit() {
            match transmit.lane {
                Lane::Server => ticked.lane.push(transmit.to, transmit.bytes),
                Lane::Direct => {
                    if let Some(peer) = self.peers.iter().find(|peer| peer.seat == transmit.to) {
                        peer.send(transmit.bytes);
                    }
                }
            }
        }
        if let Some(batch) = session.poll_batch(time) {
            upload(&self.start, server.token, &self.unsent, &batch);
        }
        if server.is_open
            && let Some((pause_id, round, confirmed_frame, hash)) = session.poll_success()
        {
            let success =
                ClientMessage::P2pReconnectionSuccess { game_id, pause_id, round, confirmed_frame, hash };
            ticked.live.push(success);
        }
        if server.is_open {
            ticked.live.extend(self.pause.ask_for_state(session, game_id));
            self.pause.give_state(session, environment, game_id, server.token);
        }
        if session.is_complete()
            && let Some((_, hash)) = status.hash
        {
            self.over = true;
            self.finished = Some((status.frame, hash));
            ticked.messages.push(ClientMessage::GameFinished { game_id, frames: status.frame, hash });
        } else if let Some(deadline) = session.poll_timeout() {
            self.alarm.set(deadline.at);
        }
        let mut events = Vec::new();
        while let Some(event) = session.poll_event() {
            events.push(event);
        }
        for event in events {
            match event {
                SessionEvent::Desync { peer, frame, own, theirs } => {
                    ticked.messages.push(ClientMessage::P2pDesync { game_id, peer, frame, own, theirs });
                }
                SessionEvent::Link { peer, event } => {
                    ticked.messages.extend(self.link_event(peer, event, &status));
                }
                // Its connection was made anew when the server said so.
                SessionEvent::PeerReplaced { .. }
                | SessionEvent::Finished { .. }
                | SessionEvent::EpisodeBegan { .. }
                | SessionEvent::EpisodeEnded { .. } => {}
            }
        }
        if server.is_heard {
            self.pause.tell(game_id, &mut ticked.live);
        }
        if matches!(status.phase, SeatPhase::Connected | SeatPhase::Terminated) {
            self.pause.end();
        }
        let suspect = !status.finished && status.peers.iter().any(|peer| peer.is_suspect);
        ticked.hurried = suspect || status.phase != SeatPhase::Connected;
        if suspect && time >= self.inspect_at {
            self.inspect_at = time + INSPECT_EVERY;
            for peer in status.peers.iter().filter(|peer| peer.is_suspect) {
                if let Some(peer) = self.peers.iter().find(|other| other.seat == peer.peer) {
                    peer.inspect(status.frame, false);
                }
            }
        }
        if self.renew_at.take_if(|at| *at <= time).is_some() {
            ticked.messages.push(ClientMessage::RenewIce);
        }
        ticked
    }

    /// Does what a link asks for; gives back what the server must know.
    fn link_event(&mut self, seat: Seat, event: LinkEvent, status: &Status) -> Option<ClientMessage> {
        // A link that is the server lane alone has no connection.
        let peer = self.peers.iter().find(|peer| peer.seat == seat);
        let (game_id, frame) = (self.start.game_id, status.frame);
        match event {
            LinkEvent::Restart(..) => peer?.restart(),
            LinkEvent::Rebuild(_) => {
                let attempt = peer?.next_attempt();
                self.rebuild(seat, attempt, true);
            }
            LinkEvent::Stable => peer?.inspect(frame, true),
            LinkEvent::Sampled(_) => peer?.inspect(frame, false),
            LinkEvent::Lost(cause) => self.pause.lose(Loss {
                peer: seat,
                frame,
                ice_state: peer.map(|peer| peer.word("iceConnectionState")).unwrap_or_default(),
                dc_state: peer.map(Peer::channel_word).unwrap_or_default(),
                cause,
                timestamp: js_sys::Date::now(),
                told: false,
            }),
            LinkEvent::Restored(_) => {
                let told = self.pause.restore(seat);
                return told.then_some(ClientMessage::P2pConnectionRestored { game_id, frame, peer: seat });
            }
            LinkEvent::Graded(quality) => {
                let found = status.peers.iter().find(|peer| peer.peer == seat)?;
                let rtt_millis = found.path.round_trip.map(|time| time.as_secs_f32() * 1000.0);
                let lane = found.active.unwrap_or(Lane::Direct);
                return Some(ClientMessage::P2pQuality { game_id, peer: seat, quality, rtt_millis, lane });
            }
            LinkEvent::Suspect(_) | LinkEvent::Switched(..) | LinkEvent::Hot => {}
        }
        None
    }

    /// The game is over: nothing is played any more, and the links are gone.
    pub(crate) fn stop(&mut self) {
        self.over = true;
        self.peers.clear();
        if let Some(loaded) = &mut self.loaded {
            loaded.session.stop(now());
        }
    }

    /// Whether the server has the whole record.
    pub(crate) fn is_saved(&self) -> bool {
        self.loaded.as_ref().is_none_or(|loaded| loaded.session.is_complete())
    }

    /// What is not acknowledged is not to be sent any more.
    pub(crate) fn forget_unsent(&self) {
        unsent::remove(&self.unsent);
    }

    /// The server's answer to the batch under way, or none.
    pub(crate) fn uploaded(&mut self, answer: Option<BatchAcknowledgement>) {
        let Some(loaded) = &mut self.loaded else { return };
        match answer {
            Some(answer) => {
                unsent::remove(&self.unsent);
                loaded.session.handle_batch_acknowledged(answer, now());
            }
            None => loaded.session.handle_batch_failed(now()),
        }
    }

    /// The page goes away: keeps what the server does not have.
    pub(crate) fn keep_unsent(&self) {
        let Some(loaded) = &self.loaded else { return };
        for (number, batch) in loaded.session.pending_batches().iter().enumerate() {
            if let Ok(bytes) = batch.encode() {
                unsent::keep(&self.unsent, number, &bytes);
            }
        }
    }

    /// Draws the newest frame, if it has not been drawn.
    pub(crate) fn paint(&mut self) {
        let Some(Loaded { session, environment, canvas, .. }) = &mut self.loaded else { return };
        let status = session.status();
        if status.frame == 0 || self.drawn == Some(status.frame) {
            return;
        }
        // What cannot be drawn can still be played.
        if let Ok(list) = environment.draw(self.start.seat) {
            canvas.paint(&list);
        }
        self.drawn = Some(status.frame);
        session.handle_shown(now());
    }

    /// Forgets what was drawn, so that a resized canvas is filled again.
    pub(crate) fn repaint(&mut self) {
        self.drawn = None;
    }
}

fn incarnation(start: &GameStart, seat: Seat) -> u8 {
    start.incarnations.get(seat.index()).copied().unwrap_or_default()
}

/// The number of the first connection between this page and a peer's: both derive the same.
fn first_attempt(start: &GameStart, peer: Seat) -> u32 {
    (u32::from(incarnation(start, start.seat)) + u32::from(incarnation(start, peer))) * ATTEMPTS
}

/// When to ask for new credentials: before the old ones expire, with time to move to them. Higher seats do first:
/// the lower seat of a link restarts it, and both ends then use new ones.
fn renewal(start: &GameStart) -> Option<Timestamp> {
    let lifetime = Duration::from_millis(start.ice_lifetime_millis.into());
    let twentieths = 16 - u32::from(start.seat.number());
    (!lifetime.is_zero()).then(|| now() + lifetime * twentieths / 20)
}

/// How long to wait before another try to load the environment, in milliseconds.
const LOAD_AGAIN: i32 = 1000;

pub(crate) async fn sleep(millis: i32) {
    let waiting = js_sys::Promise::new(&mut |done, _| {
        if let Some(window) = web_sys::window() {
            window.set_timeout_with_callback_and_timeout_and_arguments_0(&done, millis).ok();
        }
    });
    wasm_bindgen_futures::JsFuture::from(waiting).await.ok();
}

async fn load(url: &str, sha256: &str) -> Result<BrowserEnvironment, String> {
    let answer = loop {
        match http::get(url, None, None).await {
            Ok(answer) if answer.status == 200 => break answer,
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                return Err(["the environment is not to be had: HTTP ", &answer.status.to_string()].concat());
            }
            // A server that is away comes back; how long that may take is its own to say.
            Ok(_) | Err(_) => sleep(LOAD_AGAIN).await,
        }
    };
    if http::digest(&answer.body).await.is_some_and(|digest| digest != sha256) {
        return Err("the environment that came is another".into());
    }
    BrowserEnvironment::new(&answer.body).await.map_err(|error| describe(&error))
}

fn upload(start: &GameStart, token: &str, key: &str, batch: &RecordBatch) {
    let (game, token) = (start.game_id, token.to_owned());
    let url = ["/api/v1/games/", &game.to_string(), "/records"].concat();
    let body = batch.encode();
    if let Ok(body) = &body {
        unsent::keep(key, 0, body);
    }
    spawn_local(async move {
        let mut acknowledgement = None;
        if let Ok(body) = body
            && let Ok(answer) = http::post(&url, "application/octet-stream", Some(&token), &body).await
        {
            if unsent::is_refused(answer.status) {
                return with_app(|app| app.upload_refused(game));
            }
            acknowledgement = answer.json().filter(|_| answer.status == 200);
        }
        with_app(|app| app.uploaded(game, acknowledgement));
    });
}
