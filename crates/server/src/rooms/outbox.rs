//! What waits for one connection beside the log: answers, presence, volatile messages.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Message;
use tokio::sync::Notify;
use wire::close::CloseCode;
use wire::room::{Frame, ServerFrame};

/// The most frames and bytes that wait (R8). What is in the log does not count: it waits there.
const FRAMES: usize = 256;
const BYTES: usize = 1 << 20;

/// A connection's mailbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Message>,
    bytes: usize,
    close: Option<CloseCode>,
}

fn length(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
        Message::Close(_) => 0,
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when there is no room within a part of the bounds: then it is not sent.
    fn put(&self, message: Message, share: usize) -> bool {
        let mut state = self.lock();
        let bytes = state.bytes + length(&message);
        let fits = state.frames.len() < FRAMES / share && bytes <= BYTES / share;
        if fits {
            state.bytes = bytes;
            state.frames.push_back(message);
        }
        drop(state);
        self.wake.notify_one();
        fits
    }

    /// What must arrive: a connection that has no room for it is closed, and its member comes back.
    pub(super) fn tell(&self, frame: &ServerFrame) {
        // Names, numbers and words: there is nothing in it that cannot be written.
        let text = serde_json::to_string(frame).unwrap_or_default();
        if !self.put(Message::Text(text.into()), 1) {
            self.close(CloseCode::SlowReader);
        }
    }

    /// A message that is in no log: a connection that has no room for it is closed, and its member comes back.
    pub(super) fn hand(&self, frame: Frame) {
        if !self.put(message(frame), 1) {
            self.close(CloseCode::SlowReader);
        }
    }

    /// What may be lost, and leaves room for what may not. False when it was.
    pub(super) fn offer(&self, frame: Frame) -> bool {
        self.put(message(frame), 2)
    }

    /// There is something in the log.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the connection; the first reason counts.
    pub(super) fn close(&self, code: CloseCode) {
        self.lock().close.get_or_insert(code);
        self.wake.notify_one();
    }

    pub(super) fn closed(&self) -> Option<CloseCode> {
        self.lock().close
    }

    pub(super) fn take(&self) -> Option<Message> {
        let mut state = self.lock();
        let message = state.frames.pop_front()?;
        state.bytes -= length(&message);
        if state.frames.is_empty() {
            state.frames.shrink_to(0);
        }
        Some(message)
    }

    /// Until there may be something to do. Cancelling this loses nothing.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// A frame as the WebSocket library takes it.
pub(super) fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text.into()),
        Frame::Binary(bytes) => Message::Binary(bytes.into()),
    }
}
