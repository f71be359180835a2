//! The control WebSocket, and coming back when it is lost.

use core::time::Duration;

use base::{Frame, Timestamp};
use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{ClientMessage, HEARTBEAT_MILLIS, ServerMessage, place_of, with_counter};

use crate::app::{App, with_app};
use crate::clock::{Alarm, now};

/// Waiting before coming back: doubling from the first to the last, of which a random half is taken off.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Nothing heard for so long: the connection is taken for lost, whatever the browser says.
const SILENCE: Duration = Duration::from_secs(5);

/// While a game cannot rely on the way to a peer, or stands still: how often the server is asked whether it is there,
/// and after how long without an answer another socket is tried beside this one.
const HURRIED_BEAT: Duration = Duration::from_millis(250);
const OVERDUE: Duration = Duration::from_millis(1250);

/// The longest waiting then: for the first tries, and for later ones.
const HURRIED_WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// How long a connection may take to come about then, for the first tries and for later ones. What was begun while the
/// path was cut hangs in the system's retries, after 1, 3 and 7 s; a younger one does not. It takes the older one's
/// place, since browsers make one connection to a server at a time (RFC 6455, section 4.1). A slow path gets four times
/// what it last took, and now and then a connection gets all the time there is.
const PATIENCE: [Duration; 2] = [Duration::from_millis(700), Duration::from_secs(2)];

/// The first tries. Chromium makes a page wait that fails often: 20 ms after 13 failures, up to 5 s after 30.
const FIRST_TRIES: u32 = 12;

/// How long the server may take to hear of a socket that was given up after it had said who it is.
const GHOST: Duration = Duration::from_secs(30);

/// A packet that would wait behind so much is worth nothing: the next one holds everything.
const CONGESTED: u32 = 4096;

/// How many messages are kept until the server has them; the oldest go first.
const KEPT: usize = 128;

/// The connection to the server.
pub(crate) struct Control {
    token: String,
    page: u64,
    state: State,
    /// Another socket that may take this one's place: a lost connection looks like a slow one.
    racer: Option<Socket>,
    /// How many sockets there were, in all and since the server was last heard to be there.
    sockets: u32,
    tries: u32,
    /// When the newest was begun, and how long the last took until it was welcomed.
    tried: Timestamp,
    took: Duration,
    /// Until then the server may take a socket that was given up for the newest.
    ghost: Timestamp,
    hurried: bool,
    wait: Duration,
    heard: Timestamp,
    /// Where the server's messages go on: the epoch of the last `welcome`, and the last number of it that came.
    epoch: String,
    sequence: u64,
    /// What the server has not said to have, with its counters.
    unsent: base::BoundedQueue<(u64, String)>,
    counter: u64,
    heartbeat: Alarm,
    /// The last measurement of the way to the server that it was not told of, and when it was told of one.
    round_trip: Option<Duration>,
    reported: Timestamp,
}

enum State {
    /// Waits to come back.
    Waiting {
        until: Timestamp,
    },
    Open(Socket),
    /// Closed for good.
    Stopped,
}

struct Socket {
    number: u32,
    socket: WebSocket,
    begun: Timestamp,
    welcomed: bool,
    _handlers: Handlers,
}

impl Socket {
    fn is_connecting(&self) -> bool {
        self.socket.ready_state() == WebSocket::CONNECTING
    }
}

/// What the browser calls; gone with the socket.
type Handlers = (Closure<dyn Fn()>, Closure<dyn Fn(MessageEvent)>, Closure<dyn Fn(CloseEvent)>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        self.socket.close().ok();
    }
}

fn beat() {
    with_app(App::control_beat);
}

impl Control {
    pub(crate) fn new(token: String) -> Result<Self, JsValue> {
        let heartbeat = Alarm::new(beat)?;
        heartbeat.set(now());
        Ok(Self {
            token,
            page: (js_sys::Math::random() * 9_007_199_254_740_991.0) as u64,
            state: State::Waiting { until: now() },
            racer: None,
            sockets: 0,
            tries: 0,
            tried: now(),
            took: Duration::ZERO,
            ghost: Timestamp::default(),
            hurried: false,
            wait: FIRST_WAIT,
            heard: now(),
            epoch: String::new(),
            sequence: 0,
            unsent: base::BoundedQueue::new(KEPT),
            counter: 0,
            heartbeat,
            round_trip: None,
            reported: Timestamp::default(),
        })
    }

    /// Whether this page has nothing more to say to the server.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, State::Stopped)
    }

    /// Whether the server can be spoken to.
    pub(crate) fn is_open(&self) -> bool {
        matches!(&self.state, State::Open(socket) if socket.welcomed)
    }

    /// Whether the server was heard of late. While it matters it is asked often enough for that to mean something.
    pub(crate) fn hears(&self) -> bool {
        self.is_open() && (!self.hurried || now() <= self.heard + OVERDUE)
    }

    /// What the server's numbers belong to; empty before it was ever heard.
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Once a second, or more often when it matters: a ping, or a look whether to come back.
    /// `frame` is where a game stands, if one is on.
    pub(crate) fn beat(&mut self, frame: Option<Frame>) {
        let now = now();
        match &self.state {
            State::Waiting { until } if now >= *until => match self.open() {
                Some(socket) => self.state = State::Open(socket),
                None => self.lost(),
            },
            State::Open(_) if now > self.heard + SILENCE => self.lost(),
            State::Open(socket) => {
                if socket.welcomed {
                    let due = now >= self.reported + Duration::from_millis(HEARTBEAT_MILLIS / 2);
                    let round_trip = self.round_trip.take_if(|_| due);
                    if round_trip.is_some() {
                        self.reported = now;
                    }
                    self.ping(round_trip, frame);
                }
                if self.hurried {
                    self.race(now);
                }
            }
            State::Waiting { .. } | State::Stopped => {}
        }
        let next = match &self.state {
            State::Waiting { until } => *until,
            State::Open(_) if self.hurried => now + HURRIED_BEAT,
            State::Open(_) | State::Stopped => now + Duration::from_millis(HEARTBEAT_MILLIS),
        };
        self.heartbeat.set(next);
    }

    /// Asks whether the server is there; says how long the last answer took, and where a game stands.
    pub(crate) fn ping(&self, round_trip: Option<Duration>, frame: Option<Frame>) {
        self.tell(&ClientMessage::Ping {
            time: now().as_micros() as f64 / 1000.0,
            sequence: self.sequence,
            rtt_millis: round_trip.map(|time| time.as_secs_f32() * 1000.0),
            frame,
        });
    }

    /// Whether it matters more than usual that the server is there.
    pub(crate) fn hurry(&mut self, hurried: bool) {
        if self.hurried != hurried {
            self.hurried = hurried;
            if hurried {
                if let State::Waiting { until } = &mut self.state {
                    *until = (*until).min(now() + HURRIED_WAITS[0]);
                }
                self.beat(None);
            }
        }
    }

    /// Tries another socket: beside one that was welcomed and is silent, instead of one that does not come about.
    fn race(&mut self, now: Timestamp) {
        let State::Open(current) = &self.state else { return };
        let newest = self.racer.as_ref().unwrap_or(current);
        let overdue = if newest.welcomed {
            now > self.heard + OVERDUE && now >= self.tried + HURRIED_WAITS[0]
        } else {
            now >= newest.begun + self.patience(newest)
        };
        if !overdue {
            return;
        }
        let beside = current.welcomed;
        let given_up = match self.racer.take() {
            None if !beside => {
                let waiting = State::Waiting { until: now };
                match std::mem::replace(&mut self.state, waiting) {
                    State::Open(socket) => Some(socket),
                    State::Waiting { .. } | State::Stopped => None,
                }
            }
            racer => racer,
        };
        self.give_up(given_up);
        match self.open() {
            Some(socket) if beside => self.racer = Some(socket),
            Some(socket) => self.state = State::Open(socket),
            None if beside => {}
            None => self.lost(),
        }
    }

    /// How long a socket may take to be welcomed.
    fn patience(&self, socket: &Socket) -> Duration {
        let [first, later] = PATIENCE;
        let least = match self.tries {
            // The server is there, and only has to answer.
            _ if !socket.is_connecting() => OVERDUE * 2,
            ..FIRST_TRIES => first,
            tries if tries % 8 == 0 => SILENCE,
            _ => later,
        };
        least.max(self.took * 4).min(SILENCE)
    }

    /// A socket is closed before it was welcomed, or was silent. If it has said who it is, the server may yet hear that.
    fn give_up(&mut self, socket: Option<Socket>) {
        if socket.is_some_and(|socket| !socket.welcomed && socket.socket.ready_state() == WebSocket::OPEN) {
            self.ghost = now() + GHOST;
        }
    }

    fn open(&mut self) -> Option<Socket> {
        let location = web_sys::window()?.location();
        let scheme = if location.protocol().is_ok_and(|scheme| scheme == "https:") { "wss" } else { "ws" };
        let host = location.host().unwrap_or_default();
        let socket = WebSocket::new(&[scheme, "://", &host, "/ws"].concat()).ok()?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        self.sockets += 1;
        self.tries += 1;
        self.tried = now();
        if !self.is_open() {
            self.heard = self.tried;
        }
        let number = self.sockets;
        let opened = Closure::<dyn Fn()>::new(move || with_app(|app| app.control_opened(number)));
        let message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let data = event.data();
            if let Some(text) = data.as_string() {
                let (place, message) = (place_of(&text), ServerMessage::from_json(&text).ok());
                with_app(|app| app.control_message(number, place, message));
            } else if let Ok(buffer) = data.dyn_into::<ArrayBuffer>() {
                let bytes = Uint8Array::new(&buffer).to_vec();
                with_app(|app| app.lane_message(&bytes));
            }
        });
        let closed = Closure::<dyn Fn(CloseEvent)>::new(move |event: CloseEvent| {
            let code = event.code();
            with_app(|app| app.control_closed(number, code));
        });
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        Some(Socket {
            number,
            socket,
            begun: self.tried,
            welcomed: false,
            _handlers: (opened, message, closed),
        })
    }

    fn socket(&self, number: u32) -> Option<&Socket> {
        let current = match &self.state {
            State::Open(socket) => Some(socket),
            State::Waiting { .. } | State::Stopped => None,
        };
        current.into_iter().chain(&self.racer).find(|socket| socket.number == number)
    }

    pub(crate) fn opened(&mut self, number: u32) {
        let hello = ClientMessage::Hello {
            protocol: PROTOCOL_VERSION,
            token: self.token.clone(),
            page: self.page,
            epoch: self.epoch.clone(),
            sequence: self.sequence,
            texts: Some(crate::words::id()),
        };
        if let Some(socket) = self.socket(number) {
            transmit(&socket.socket, &json(&hello));
        }
    }

    /// Something came; `place` is its number and that of the one before it. False when it came over a socket that has
    /// been replaced, when it came before, or when something before it is missing: then it will come again. `None` is
    /// what only a newer page would understand.
    pub(crate) fn hear(
        &mut self,
        number: u32,
        place: Option<(u64, u64)>,
        message: Option<&ServerMessage>,
    ) -> bool {
        if self.racer.as_ref().is_some_and(|racer| racer.number == number) {
            // It was faster: the other one is not coming back.
            let Some(racer) = self.racer.take() else { return false };
            self.state = State::Open(racer);
        }
        let State::Open(socket) = &mut self.state else { return false };
        if socket.number != number {
            return false;
        }
        self.heard = now();
        // It was slow, and not lost. A racer that the server may have heard stays: it is then the newer one.
        self.racer.take_if(|racer| racer.is_connecting());
        if let Some(ServerMessage::Welcome { epoch, .. }) = message {
            socket.welcomed = true;
            self.took = self.heard.saturating_since(socket.begun);
            self.tries = 0;
            self.wait = FIRST_WAIT;
            if self.epoch != *epoch {
                self.epoch.clone_from(epoch);
                self.sequence = place.map_or(0, |(sequence, _)| sequence);
            }
            for (_, text) in self.unsent.iter() {
                transmit(&socket.socket, text);
            }
            return true;
        }
        if let Some((sequence, prev)) = place {
            // The socket that this one has overtaken brought it.
            if sequence <= self.sequence {
                return false;
            }
            if prev != self.sequence {
                self.lost();
                return false;
            }
            self.sequence = sequence;
        }
        if let Some(ServerMessage::Pong { time, accepted }) = message {
            let sent = Timestamp::from_micros((time * 1000.0) as u64);
            self.round_trip = Some(self.heard.saturating_since(sent));
            self.has(*accepted);
        }
        true
    }

    /// The server has what was counted up to there.
    fn has(&mut self, accepted: u64) {
        while self.unsent.iter().next().is_some_and(|(n, _)| *n <= accepted) {
            self.unsent.pop();
        }
    }

    /// Sends packets over the server lane, unless what was sent before still waits.
    pub(crate) fn send_lane(&self, bundle: &[u8]) {
        if let State::Open(socket) = &self.state
            && socket.welcomed
            && socket.socket.buffered_amount() <= CONGESTED
        {
            socket.socket.send_with_u8_array(bundle).ok();
        }
    }

    /// The connection is gone; comes back with the socket that is tried already, or after a while.
    fn lost(&mut self) {
        let waiting = State::Waiting { until: now() };
        let next = self.racer.take().map_or(waiting, State::Open);
        if let State::Open(socket) = std::mem::replace(&mut self.state, next) {
            self.give_up(Some(socket));
        }
        self.heard = now();
        if let State::Waiting { until } = &mut self.state {
            let most = match self.tries {
                _ if !self.hurried => LAST_WAIT,
                ..FIRST_TRIES => HURRIED_WAITS[0],
                _ => HURRIED_WAITS[1],
            };
            let wait = self.wait.min(most);
            *until = self.heard + wait.mul_f64(1.0 - js_sys::Math::random() / 2.0);
            self.wait = (wait * 2).min(most);
            self.heartbeat.set(*until);
        }
    }

    /// A connection was closed. Gives the code back when that means to stop.
    pub(crate) fn closed(&mut self, number: u32, code: u16) -> Option<CloseCode> {
        self.racer.take_if(|racer| racer.number == number);
        self.socket(number)?;
        if code == CloseCode::Replaced.number()
            && let Some(racer) = self.racer.take()
        {
            // By this page's own other socket.
            self.state = State::Open(racer);
            return None;
        }
        let by_ghost = code == CloseCode::Replaced.number() && now() < self.ghost;
        if by_ghost || CloseCode::means_come_back(code) {
            self.ghost = Timestamp::default();
            self.lost();
            return None;
        }
        self.racer = None;
        self.state = State::Stopped;
        Some(CloseCode::from_number(code).unwrap_or(CloseCode::BadMessage))
    }

    /// Begins anew with another token.
    pub(crate) fn restart(&mut self, token: String) {
        self.token = token;
        self.epoch.clear();
        self.state = State::Waiting { until: now() };
        self.heartbeat.set(now());
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Says what is true now: it is not kept, and nothing is said when the server cannot be spoken to.
    pub(crate) fn tell(&self, message: &ClientMessage) {
        if let State::Open(socket) = &self.state
            && socket.welcomed
        {
            transmit(&socket.socket, &json(message));
        }
    }

    /// Says something, now or when the connection is back; the server hears it once (R10).
    pub(crate) fn send(&mut self, message: &ClientMessage) {
        self.counter += 1;
        let text = with_counter(&json(message), self.counter);
        if let State::Open(socket) = &self.state
            && socket.welcomed
        {
            transmit(&socket.socket, &text);
        }
        self.unsent.push_dropping_oldest((self.counter, text));
    }
}

fn json(message: &ClientMessage) -> String {
    // Names, numbers and words: there is nothing in it that cannot be written.
    serde_json::to_string(message).unwrap_or_default()
}

fn transmit(socket: &WebSocket, text: &str) {
    // A socket that is closing takes nothing; its close event brings the rest about.
    socket.send_with_str(text).ok();
}
