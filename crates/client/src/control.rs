//! The control WebSocket, and coming back when it is lost.

use core::time::Duration;

use base::Timestamp;
use wasm_bindgen::prelude::*;
use web_sys::{CloseEvent, MessageEvent, WebSocket};
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{ClientMessage, HEARTBEAT_MILLIS, ServerMessage};

use crate::app::{App, with_app};
use crate::clock::{Alarm, now};

/// Waiting before coming back: doubling from the first to the last, of which a random half is taken off.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Nothing heard for so long: the connection is taken for lost, whatever the browser says.
const SILENCE: Duration = Duration::from_secs(5);

/// How many messages are kept while the connection is away; the oldest go first.
const KEPT: usize = 256;

/// The connection to the server.
pub(crate) struct Control {
    token: String,
    page: u64,
    state: State,
    wait: Duration,
    heard: Timestamp,
    unsent: base::BoundedQueue<ClientMessage>,
    heartbeat: Alarm,
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
    socket: WebSocket,
    welcomed: bool,
    _handlers: Handlers,
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
            wait: FIRST_WAIT,
            heard: now(),
            unsent: base::BoundedQueue::new(KEPT),
            heartbeat,
        })
    }

    /// Whether the server can be spoken to.
    pub(crate) fn is_open(&self) -> bool {
        matches!(&self.state, State::Open(socket) if socket.welcomed)
    }

    /// Once a second: a ping, or a look whether to come back.
    pub(crate) fn beat(&mut self) {
        let now = now();
        match &self.state {
            State::Waiting { until } if now >= *until => self.open(),
            State::Open(_) if now > self.heard + SILENCE => self.lost(),
            State::Open(socket) if socket.welcomed => {
                let time = now.as_micros() as f64 / 1000.0;
                transmit(&socket.socket, &ClientMessage::Ping { time });
            }
            State::Waiting { .. } | State::Open(_) | State::Stopped => {}
        }
        let next = match &self.state {
            State::Waiting { until } => *until,
            State::Open(_) | State::Stopped => now + Duration::from_millis(HEARTBEAT_MILLIS),
        };
        self.heartbeat.set(next);
    }

    fn open(&mut self) {
        let Some(location) = web_sys::window().map(|window| window.location()) else { return };
        let scheme = if location.protocol().is_ok_and(|scheme| scheme == "https:") { "wss" } else { "ws" };
        let host = location.host().unwrap_or_default();
        let Ok(socket) = WebSocket::new(&format!("{scheme}://{host}/ws")) else { return self.lost() };
        let opened = Closure::<dyn Fn()>::new(|| with_app(App::control_opened));
        let message = Closure::<dyn Fn(MessageEvent)>::new(|event: MessageEvent| {
            let text = event.data().as_string();
            let message = text.and_then(|text| ServerMessage::from_json(&text).ok());
            if let Some(message) = message {
                with_app(|app| app.control_message(message));
            }
        });
        let closed = Closure::<dyn Fn(CloseEvent)>::new(|event: CloseEvent| {
            let code = event.code();
            with_app(|app| app.control_closed(code));
        });
        socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        self.heard = now();
        self.state = State::Open(Socket { socket, welcomed: false, _handlers: (opened, message, closed) });
    }

    pub(crate) fn opened(&mut self) {
        let hello =
            ClientMessage::Hello { protocol: PROTOCOL_VERSION, token: self.token.clone(), page: self.page };
        if let State::Open(socket) = &self.state {
            transmit(&socket.socket, &hello);
        }
    }

    /// Something came.
    pub(crate) fn hear(&mut self, message: &ServerMessage) {
        self.heard = now();
        let State::Open(socket) = &mut self.state else { return };
        if matches!(message, ServerMessage::Welcome { .. }) {
            socket.welcomed = true;
            self.wait = FIRST_WAIT;
            while let Some(message) = self.unsent.pop() {
                transmit(&socket.socket, &message);
            }
        }
    }

    /// The connection is gone; comes back after a while.
    fn lost(&mut self) {
        let shortened = self.wait.mul_f64(1.0 - js_sys::Math::random() / 2.0);
        self.state = State::Waiting { until: now() + shortened };
        self.wait = (self.wait * 2).min(LAST_WAIT);
        if let State::Waiting { until } = self.state {
            self.heartbeat.set(until);
        }
    }

    /// The connection was closed. Gives the code back when that means to stop.
    pub(crate) fn closed(&mut self, code: u16) -> Option<CloseCode> {
        if CloseCode::means_come_back(code) {
            self.lost();
            return None;
        }
        self.state = State::Stopped;
        Some(CloseCode::from_number(code).unwrap_or(CloseCode::BadMessage))
    }

    /// Begins anew with another token.
    pub(crate) fn restart(&mut self, token: String) {
        self.token = token;
        self.state = State::Waiting { until: now() };
        self.heartbeat.set(now());
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Says something, now or when the connection is back.
    pub(crate) fn send(&mut self, message: ClientMessage) {
        match &self.state {
            State::Open(socket) if socket.welcomed => transmit(&socket.socket, &message),
            _ => {
                self.unsent.push_dropping_oldest(message);
            }
        }
    }
}

fn transmit(socket: &WebSocket, message: &ClientMessage) {
    if let Ok(text) = serde_json::to_string(message) {
        // A socket that is closing takes nothing; its close event brings the rest about.
        socket.send_with_str(&text).ok();
    }
}
