//! One game on this page: its session, environment, links and uploads. Dropping it leaves nothing behind (L9).

use base::Seat;
use session::{Session, SessionEvent, Setup, Status};
use wasm_bindgen_futures::spawn_local;
use wire::batch::{BatchAcknowledgement, RecordBatch};
use wire::control::{ClientMessage, ConnectionType, GameStart, Signal};

use crate::app::with_app;
use crate::canvas::Canvas;
use crate::clock::{Alarm, mark, now};
use crate::environment::{BrowserEnvironment, describe};
use crate::http;
use crate::keyboard::Keyboard;
use crate::peers::Peer;

/// One game.
pub(crate) struct Play {
    pub(crate) start: GameStart,
    pub(crate) peers: Vec<Peer>,
    pub(crate) connection_types: Vec<(Seat, ConnectionType)>,
    loaded: Option<Loaded>,
    ready: bool,
    /// `game_finished` was sent, or the game is over in another way: the session stands still.
    pub(crate) over: bool,
    drawn: Option<base::Frame>,
    alarm: Alarm,
}

/// What there is once the environment is loaded.
struct Loaded {
    session: Session,
    environment: BrowserEnvironment,
    canvas: Canvas,
    keyboard: Keyboard,
}

impl Play {
    /// Begins to load the environment and to make the links.
    pub(crate) fn new(start: GameStart) -> Result<Self, String> {
        mark("interplay:match");
        let others = Seat::all(start.seats).filter(|&seat| seat != start.seat);
        let peers: Result<Vec<_>, _> =
            others.map(|seat| Peer::new(start.seat, seat, 0, &start.ice_servers)).collect();
        let peers = peers.map_err(|error| format!("cannot make a connection: {}", describe(&error)))?;
        let alarm = Alarm::new(|| with_app(crate::app::App::tick)).map_err(|error| describe(&error))?;
        let (url, sha256, game) =
            (start.environment.url.clone(), start.environment.sha256.clone(), start.game_id);
        spawn_local(async move {
            let environment = load(&url, &sha256).await;
            with_app(|app| app.environment_loaded(game, environment));
        });
        Ok(Self {
            start,
            peers,
            connection_types: Vec::new(),
            loaded: None,
            ready: false,
            over: false,
            drawn: None,
            alarm,
        })
    }

    /// The environment is there: the session can be made.
    pub(crate) fn loaded(&mut self, environment: BrowserEnvironment) -> Result<(), String> {
        let manifest = environment.manifest();
        let (start, size) = (&self.start, manifest.input_bytes);
        let setup = Setup {
            seat: start.seat,
            seats: start.seats,
            epoch: start.epoch,
            seed: start.seed.0,
            rules: start.rules,
            input_size: size,
        };
        let session = Session::new(&setup, now()).map_err(|error| error.to_string())?;
        let canvas = Canvas::new(manifest.size).map_err(|error| describe(&error))?;
        let keyboard = Keyboard::new(&start.keys, &manifest.buttons, size);
        self.loaded = Some(Loaded { session, environment, canvas, keyboard });
        Ok(())
    }

    /// Says once that this seat is ready: the environment is loaded and every link is open.
    pub(crate) fn ready_message(&mut self) -> Option<ClientMessage> {
        let ready = self.loaded.is_some() && self.peers.iter().all(Peer::is_open);
        if !ready || std::mem::replace(&mut self.ready, true) {
            return None;
        }
        Some(ClientMessage::GameReady { game_id: self.start.game_id })
    }

    /// Everyone is ready.
    pub(crate) fn begin(&mut self) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.begin(now());
        }
    }

    pub(crate) fn signal(&mut self, from: Seat, signal: Signal) {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.seat == from) else { return };
        let (Signal::Description { attempt, .. } | Signal::Candidate { attempt, .. }) = &signal;
        if *attempt > peer.attempt() {
            // The other side has given this connection up.
            match Peer::new(self.start.seat, from, *attempt, &self.start.ice_servers) {
                Ok(next) => *peer = next,
                Err(_) => return,
            }
        }
        if *attempt == peer.attempt() {
            peer.handle_signal(signal);
        }
    }

    /// Makes anew, until the game begins, what does not come about.
    fn mend_connections(&mut self) {
        for peer in self.peers.iter_mut().filter(|peer| peer.is_overdue()) {
            let next = Peer::new(self.start.seat, peer.seat, peer.next_attempt(), &self.start.ice_servers);
            if let Ok(next) = next {
                *peer = next;
            }
        }
    }

    pub(crate) fn packet(&mut self, from: Seat, bytes: &[u8]) {
        if let Some(loaded) = &mut self.loaded {
            loaded.session.handle_packet(from, bytes, now());
        }
    }

    /// What the page may know of the session.
    pub(crate) fn status(&self) -> Option<Status> {
        self.loaded.as_ref().map(|loaded| loaded.session.status())
    }

    /// Does what is due; gives back what to tell the server.
    pub(crate) fn tick(&mut self, token: &str) -> Vec<ClientMessage> {
        let mut messages = Vec::new();
        if !self.ready && !self.over {
            self.mend_connections();
        }
        let Some(Loaded { session, environment, keyboard, .. }) = &mut self.loaded else { return messages };
        if self.over {
            // What is recorded still goes to the server.
            if let Some(batch) = session.poll_batch(now()) {
                upload(&self.start, token, &batch);
            }
            if let Some(deadline) = session.poll_timeout() {
                self.alarm.set(deadline.at);
            }
            return messages;
        }
        let game_id = self.start.game_id;
        let time = now();
        if let Some(input) = keyboard.input() {
            session.set_input(input);
        }
        let before = session.status().frame;
        if let Err(fault) = session.handle_timeout(environment, time) {
            self.over = true;
            session.stop(time);
            let frame = session.status().frame;
            messages.push(ClientMessage::GameFailed { game_id, frame, reason: fault.to_string() });
            return messages;
        }
        if before == 0 && session.status().frame > 0 {
            mark("interplay:first-frame");
        }
        while let Some(transmit) = session.poll_transmit() {
            if let Some(peer) = self.peers.iter().find(|peer| peer.seat == transmit.to) {
                peer.send(transmit.bytes);
            }
        }
        let mut finished = None;
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::Desync { peer, frame, own, theirs } => {
                    messages.push(ClientMessage::P2pDesync { game_id, peer, frame, own, theirs });
                }
                SessionEvent::Finished { .. }
                | SessionEvent::EpisodeBegan { .. }
                | SessionEvent::EpisodeEnded { .. } => {}
            }
        }
        if let Some(batch) = session.poll_batch(time) {
            upload(&self.start, token, &batch);
        }
        if session.is_complete() {
            let status = session.status();
            finished = status.hash.map(|(_, hash)| (status.frame, hash));
        }
        if let Some((frames, hash)) = finished {
            self.over = true;
            messages.push(ClientMessage::GameFinished { game_id, frames, hash });
        } else if let Some(deadline) = session.poll_timeout() {
            self.alarm.set(deadline.at);
        }
        messages
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

    /// The server's answer to the batch under way, or none.
    pub(crate) fn uploaded(&mut self, answer: Option<BatchAcknowledgement>) {
        let Some(loaded) = &mut self.loaded else { return };
        match answer {
            Some(answer) => loaded.session.handle_batch_acknowledged(answer, now()),
            None => loaded.session.handle_batch_failed(now()),
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

async fn load(url: &str, sha256: &str) -> Result<BrowserEnvironment, String> {
    let answer = http::get(url).await.map_err(|error| describe(&error))?;
    if answer.status != 200 {
        return Err(format!("the environment is not to be had: HTTP {}", answer.status));
    }
    if http::digest(&answer.body).await.is_some_and(|digest| digest != sha256) {
        return Err("the environment that came is another".into());
    }
    BrowserEnvironment::new(&answer.body).await.map_err(|error| describe(&error))
}

fn upload(start: &GameStart, token: &str, batch: &RecordBatch) {
    let (game, url, token) =
        (start.game_id, format!("/api/v1/games/{}/records", start.game_id), token.to_owned());
    let body = batch.encode();
    spawn_local(async move {
        let mut acknowledgement = None;
        if let Ok(body) = body
            && let Ok(answer) = http::post(&url, "application/octet-stream", Some(&token), &body).await
            && answer.status == 200
        {
            acknowledgement = serde_json::from_slice(&answer.body).ok();
        }
        with_app(|app| app.uploaded(game, acknowledgement));
    });
}
