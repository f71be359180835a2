//! A visit's control channel: a room's log with one member, its page (R1, R7, R8, R10). What the server says is
//! numbered and kept until the page has it (up to 1 MiB), so that a connection that is lost loses nothing of it.
//!
//! It is not one of `rooms`, whose journal would outlive what it tells of: it lives in memory beside the stager whose
//! words it carries. After a restart both begin anew, and the page is told its scene in another epoch.

use std::collections::VecDeque;

use base::Timestamp;
use room::log::{Bounds, Draft, Log, LogRules};
use tokio::sync::mpsc::error::TrySendError;
use wire::close::CloseCode;
use wire::control::{ClientMessage, ServerMessage, with_place};
use wire::room::{Class, Epoch, Fence, MemberId, Payload, Resume, SenderId};

use crate::stage::{Connection, wall_time};

/// How much is taken out of the log at a time.
const PULL: (usize, usize) = (64, 256 * 1024);

/// How many places in a socket's queue are kept for what is about the connection itself.
const SPARE: usize = 16;

/// How many page loads that were replaced are remembered: their last words may come late.
const PAGES: usize = 16;

/// A visit's channel.
pub(crate) struct Channel {
    log: Log,
    page: MemberId,
    connection: Option<(Fence, Connection)>,
    /// The mark of its token, of one that was given for a platform's id alone.
    by_id: Option<u64>,
    /// The page load that spoke last, and those before it.
    current: Option<u64>,
    replaced: VecDeque<u64>,
    /// The `prev` of the first message on this connection.
    position: u64,
}

impl Channel {
    pub(crate) fn begin(now: Timestamp) -> anyhow::Result<Self> {
        let usual = LogRules::default();
        // What the page has is not needed any more: who reloads is told all that counts anew.
        let keep = Bounds { least: 0, ..usual.keep };
        let epoch = Epoch(u64::from_le_bytes(crate::token::random()?));
        let log = Log::new(epoch, LogRules { keep, ..usual }, now);
        Ok(Self {
            log,
            page: "page".parse()?,
            connection: None,
            by_id: None,
            current: None,
            replaced: VecDeque::new(),
            position: 0,
        })
    }

    /// Whether another page load has taken this one's place before.
    pub(crate) fn has_replaced(&self, page: u64) -> bool {
        self.replaced.contains(&page)
    }

    /// A socket takes over.
    pub(crate) fn connect(
        &mut self,
        fence: Fence,
        connection: Connection,
        by_id: Option<u64>,
        (page, resume): (u64, Resume),
        now: Timestamp,
    ) {
        if let Some(older) = self.current.replace(page).filter(|&older| older != page) {
            self.replaced.push_back(older);
            if self.replaced.len() > PAGES {
                self.replaced.pop_front();
            }
        }
        // Digits are a name; a page load counts what it says.
        let sender: Option<SenderId> = page.to_string().parse().ok();
        // One member always has room, and connections are numbered as they come.
        if let Ok(joined) = self.log.join(&self.page, fence, Some(resume), None, sender.as_ref(), now) {
            self.position = joined.position;
            if let Some(gap) = joined.gap {
                tracing::info!(?gap, "a page has missed what it cannot be told any more");
            }
        }
        self.by_id = by_id;
        if let Some((_, older)) = self.connection.replace((fence, connection)) {
            close(&older, CloseCode::Replaced);
        }
    }

    /// Whether somebody has it open, with another token than one that was given for a platform's id.
    pub(crate) fn is_closed_to(&self, by_id: Option<u64>) -> bool {
        self.is_open() && by_id.is_some() && self.by_id != by_id
    }

    /// A socket is gone. False when another has taken over.
    pub(crate) fn disconnect(&mut self, fence: Fence, now: Timestamp) -> bool {
        let is_current = self.log.drop(&self.page, fence, now);
        if is_current {
            self.connection = None;
        }
        is_current
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// The name under which the page reached this server.
    pub(crate) fn host(&self) -> &str {
        self.connection.as_ref().map_or("", |(_, connection)| &connection.host)
    }

    /// Whether what a socket says counts: it is the latest, and has not said it before.
    pub(crate) fn hears(
        &mut self,
        fence: Fence,
        message: &ClientMessage,
        n: Option<u64>,
        now: Timestamp,
    ) -> bool {
        if let ClientMessage::Ping { sequence, .. } = message {
            self.log.acknowledge(&self.page, fence, *sequence, now);
        }
        match n {
            Some(n) => self.log.hear(&self.page, fence, n, now) == Ok(true),
            None => self.connection.as_ref().is_some_and(|(current, _)| *current == fence),
        }
    }

    /// Says something: what is about this connection at once, everything else in its turn, now or when the page is back.
    pub(crate) fn send(&mut self, mut message: ServerMessage, now: Timestamp) {
        let place = match &mut message {
            ServerMessage::Welcome { epoch, .. } => {
                *epoch = self.log.epoch().to_string();
                Some(self.position)
            }
            ServerMessage::Pong { accepted, .. } => {
                *accepted = self.log.member(&self.page).map_or(0, room::log::Member::accepted);
                None
            }
            _ => return self.publish(&message, now),
        };
        let (Ok(json), Some((_, connection))) = (serde_json::to_string(&message), &self.connection) else {
            return;
        };
        let text = match place {
            Some(place) => with_place(&json, place, place),
            None => json,
        };
        put(connection, text);
        self.pump();
    }

    fn publish(&mut self, message: &ServerMessage, now: Timestamp) {
        if let Ok(json) = serde_json::to_string(message) {
            let draft = Draft { to: None, class: Class::Keep, payload: Payload::Json(json.into()) };
            // To everybody: there is nobody who might not be there.
            self.log.publish(draft, now, wall_time()).ok();
        }
        self.pump();
    }

    /// Hands over what lies after the page's cursor.
    fn pump(&mut self) {
        let Some((fence, connection)) = &self.connection else { return };
        loop {
            // What has no room yet waits in the log, until the page says something: it pings each second.
            let room = connection.outbox.capacity().saturating_sub(SPARE);
            match self.log.pull(&self.page, *fence, (room.min(PULL.0), PULL.1)) {
                Ok(pulled) if pulled.is_empty() => return,
                Ok(pulled) => {
                    for (prev, message) in pulled {
                        if let Payload::Json(json) = &message.payload {
                            put(connection, with_place(json, message.sequence, prev));
                        }
                    }
                }
                Err(_) => return close(connection, CloseCode::SlowReader),
            }
        }
    }

    pub(crate) fn close(&self, code: CloseCode) {
        if let Some((_, connection)) = &self.connection {
            close(connection, code);
        }
    }
}

/// A socket that has no room for a message is closed: its page comes back, and gets what it missed.
fn put(connection: &Connection, text: String) {
    if let Err(TrySendError::Full(_)) = connection.outbox.try_send(text) {
        close(connection, CloseCode::SlowReader);
    }
}

/// Tells a socket to close; the first reason stands.
pub(crate) fn close(connection: &Connection, code: CloseCode) {
    connection.close.send_if_modified(|reason| {
        let first = reason.is_none();
        if first {
            *reason = Some(code);
        }
        first
    });
}
