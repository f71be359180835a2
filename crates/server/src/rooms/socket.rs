//! One WebSocket of a room: one task, which writes what is due and reads what comes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use base::Timestamp;
use futures_util::{FutureExt, SinkExt, StreamExt};
use metrics::{counter, gauge, histogram};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::close::CloseCode;
use wire::room::{ClientFrame, Fence, Join, ROOM_PROTOCOL, RoomId, ServerFrame};

use super::outbox::{self, Outbox};
use super::{Claims, Membership, RoomTokens, Rooms};
use crate::drain::Drain;
use crate::limits::Allowance;

/// By when a socket must have said who it is (A2).
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often the server asks whether the other end is still there, and after how long without a sign it is not.
const PING: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(40);

/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(2);

/// After so long without a message a member is told the number of its last one.
const QUIET: Duration = Duration::from_millis(500);

/// How long before its end a token is to be renewed.
const EXPIRING: Duration = Duration::from_secs(60);

/// How much is taken out of the log at a time.
const PULL: (usize, usize) = (64, 64 * 1024);

/// How many messages are read before anything is written.
const READ: usize = 32;

/// Serves a socket of a room until it closes. Holds `_open` until then, so that a server that stops can wait.
pub(crate) async fn serve(
    mut socket: WebSocket,
    (rooms, tokens): (Rooms, RoomTokens),
    (id, fence): (RoomId, Fence),
    drain: Drain,
    _open: watch::Receiver<()>,
) {
    gauge!("interplay_room_connections").increment(1.0);
    let has_others = matches!(rooms, Rooms::Cluster(_));
    let code = match timeout(HANDSHAKE, greet(&mut socket, &tokens, &id)).await {
        Err(_) => Some(CloseCode::HandshakeTimeout),
        Ok(Err(code)) => Some(code),
        // It is served by another node, if there is one.
        Ok(Ok(_)) if has_others && drain.has_begun() => Some(CloseCode::GoingAway),
        Ok(Ok((claims, join))) => {
            let outbox = Arc::new(Outbox::default());
            match rooms.join(&claims, &join, fence, &outbox).await {
                Err(code) => Some(code),
                Ok(membership) => {
                    let mut member = Connection::new(socket, rooms, tokens, membership, claims, outbox);
                    let code = tokio::select! {
                        code = member.run() => code,
                        () = drain.turn(), if has_others => Some(CloseCode::GoingAway),
                    };
                    socket = member.socket;
                    code
                }
            }
        }
    };
    gauge!("interplay_room_connections").decrement(1.0);
    if let Some(code) = code {
        counter!("interplay_room_closes_total", "code" => code.number().to_string()).increment(1);
        tracing::debug!(room = %id, code = code.number(), reason = code.reason(), "closing a connection");
        close(&mut socket, code).await;
    }
}

async fn greet(
    socket: &mut WebSocket,
    tokens: &RoomTokens,
    id: &RoomId,
) -> Result<(Claims, Join), CloseCode> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return Err(CloseCode::BadMessage) };
    let Ok(ClientFrame::Join(join)) = ClientFrame::of_text(&text) else { return Err(CloseCode::BadMessage) };
    if join.protocol != ROOM_PROTOCOL {
        return Err(CloseCode::ProtocolMismatch);
    }
    let claims = tokens.read(&join.token).filter(|claims| claims.room == *id);
    claims.map(|claims| (claims, join)).ok_or(CloseCode::Unauthorized)
}

struct Connection {
    socket: WebSocket,
    rooms: Rooms,
    tokens: RoomTokens,
    membership: Box<dyn Membership>,
    claims: Claims,
    outbox: Arc<Outbox>,
    /// By the rooms' clock; what is older is a replay.
    since: Timestamp,
    heard: Instant,
    ping: Instant,
    /// When to tell the number of the last message, if it was not told.
    quiet: Option<Instant>,
    expiry: Expiry,
    messages: Allowance,
    bytes: Allowance,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expiry {
    /// Then it is told that the token expires.
    Warn(Instant),
    /// Then it has expired.
    End(Instant),
}

impl Expiry {
    fn of(claims: &Claims) -> Self {
        let left = claims.left();
        Self::Warn(Instant::now() + left.saturating_sub(EXPIRING))
    }

    fn at(self) -> Instant {
        match self {
            Self::Warn(at) | Self::End(at) => at,
        }
    }
}

impl Connection {
    fn new(
        socket: WebSocket,
        rooms: Rooms,
        tokens: RoomTokens,
        membership: Box<dyn Membership>,
        claims: Claims,
        outbox: Arc<Outbox>,
    ) -> Self {
        let limits = rooms.limits();
        Self {
            messages: Allowance::new(limits.messages_per_second),
            bytes: Allowance::new(limits.bytes_per_second),
            expiry: Expiry::of(&claims),
            since: rooms.now(),
            heard: Instant::now(),
            ping: Instant::now() + PING,
            quiet: None,
            socket,
            rooms,
            tokens,
            membership,
            claims,
            outbox,
        }
    }

    /// Until the socket ends (`None`) or must be closed.
    async fn run(&mut self) -> Option<CloseCode> {
        loop {
            if let Err(code) = self.write().await {
                return code;
            }
            let due = [self.heard + SILENCE, self.ping, self.expiry.at()].into_iter().chain(self.quiet).min();
            let outbox = Arc::clone(&self.outbox);
            let read = tokio::select! {
                () = outbox.woken() => continue,
                () = sleep_until(due.unwrap_or(self.ping)) => None,
                message = self.socket.recv() => Some(message),
            };
            let done = match read {
                None => self.tick().await,
                Some(message) => self.read_all(message),
            };
            if let Err(code) = done {
                return code;
            }
        }
    }

    /// Reads what has come, a bounded part of it at a time; the answers leave together.
    fn read_all(&mut self, first: Option<Result<Message, axum::Error>>) -> Result<(), Option<CloseCode>> {
        self.read(first)?;
        for _ in 1..READ {
            let Some(message) = self.socket.recv().now_or_never() else { break };
            self.read(message)?;
        }
        Ok(())
    }

    /// Writes everything that is due; nothing of the log is taken out before it can be written.
    async fn write(&mut self) -> Result<(), Option<CloseCode>> {
        loop {
            if let Some(code) = self.outbox.closed() {
                return Err(Some(code));
            }
            if let Some(message) = self.outbox.take() {
                self.feed(message).await?;
                continue;
            }
            let pulled = self.membership.pull(PULL);
            // It may have been closed since it was looked at, for a reason that counts more.
            let pulled = pulled.map_err(|code| Some(self.outbox.closed().unwrap_or(code)))?;
            if pulled.is_empty() {
                let woken = unless_closed(&self.outbox, self.socket.flush()).await?;
                if woken {
                    continue;
                }
                return Ok(());
            }
            for (prev, message) in pulled {
                self.feed(outbox::message(message.delivery.frame(Some(prev)))).await?;
                if message.kept_since >= self.since {
                    let waited = self.rooms.now().saturating_since(message.kept_since);
                    histogram!("interplay_room_delivery_seconds").record(waited.as_secs_f64());
                }
            }
            self.quiet = Some(Instant::now() + QUIET);
        }
    }

    async fn feed(&mut self, message: Message) -> Result<(), Option<CloseCode>> {
        unless_closed(&self.outbox, self.socket.feed(message)).await.map(drop)
    }

    async fn tick(&mut self) -> Result<(), Option<CloseCode>> {
        let now = Instant::now();
        if now >= self.heard + SILENCE {
            return Err(Some(CloseCode::HeartbeatMissed));
        }
        if now >= self.ping {
            self.ping = now + PING;
            self.feed(Message::Ping(axum::body::Bytes::new())).await?;
        }
        if self.quiet.is_some_and(|at| now >= at) {
            self.quiet = None;
            if let Some(sequence) = self.membership.tip() {
                self.outbox.tell(&ServerFrame::Tip { sequence });
            }
        }
        match self.expiry {
            Expiry::Warn(at) if now >= at => {
                let left = self.claims.left();
                self.expiry = Expiry::End(now + left);
                self.outbox.tell(&ServerFrame::TokenExpiring { seconds: left.as_secs() });
            }
            Expiry::End(at) if now >= at => return Err(Some(CloseCode::TokenExpired)),
            Expiry::Warn(_) | Expiry::End(_) => {}
        }
        Ok(())
    }

    fn read(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), Option<CloseCode>> {
        let message = match message {
            None | Some(Ok(Message::Close(_))) => return Err(None),
            // Too long, or not a WebSocket frame; a lost connection looks the same, and then nobody reads the code.
            Some(Err(_)) => return Err(Some(CloseCode::BadMessage)),
            Some(Ok(message)) => message,
        };
        self.heard = Instant::now();
        let frame = match &message {
            Message::Text(text) if self.allows(text.len()) => ClientFrame::of_text(text),
            Message::Binary(bytes) if self.allows(bytes.len()) => ClientFrame::of_binary(bytes),
            Message::Text(_) | Message::Binary(_) => return Err(Some(CloseCode::TooFast)),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {
                self.membership.heard();
                return Ok(());
            }
        };
        let frame = frame.map_err(|error| {
            tracing::debug!(room = %self.claims.room, member = %self.claims.member, %error, "not understood");
            Some(CloseCode::BadMessage)
        })?;
        self.obey(frame)
    }

    fn allows(&mut self, bytes: usize) -> bool {
        self.messages.take(1.0) && self.bytes.take(bytes as f64)
    }

    fn obey(&mut self, frame: ClientFrame) -> Result<(), Option<CloseCode>> {
        let member = &self.claims.member;
        match frame {
            ClientFrame::Join(_) => return Err(Some(CloseCode::BadMessage)),
            ClientFrame::Send(send) => self.membership.send(&self.claims, send),
            ClientFrame::Acknowledge { sequence } => self.membership.acknowledge(sequence),
            ClientFrame::Ping { time } => {
                self.membership.heard();
                self.outbox.tell(&ServerFrame::Pong { time });
            }
            ClientFrame::Renew { token } => {
                let renewed = self.tokens.read(&token);
                let same = |claims: &Claims| {
                    claims.room == self.claims.room
                        && claims.member == *member
                        && !self.rooms.is_known_as_revoked(claims)
                };
                let Some(claims) = renewed.filter(same) else {
                    return Err(Some(CloseCode::Unauthorized));
                };
                self.expiry = Expiry::of(&claims);
                self.outbox.tell(&ServerFrame::Renewed { seconds: claims.left().as_secs() });
                self.claims = claims;
            }
            ClientFrame::Leave => self.membership.leave(),
        }
        Ok(())
    }
}

/// Waits for the socket, but not when the connection is to be closed. Tells whether there may be more to do.
async fn unless_closed(
    outbox: &Outbox,
    io: impl Future<Output = Result<(), axum::Error>>,
) -> Result<bool, Option<CloseCode>> {
    let mut io = std::pin::pin!(io);
    let mut silence = std::pin::pin!(sleep(SILENCE));
    let mut woken = false;
    loop {
        tokio::select! {
            biased;
            done = &mut io => return done.map(|()| woken).map_err(|_| None),
            () = outbox.woken() => {
                woken = true;
                if let Some(code) = outbox.closed() {
                    return Err(Some(code));
                }
            }
            () = &mut silence => return Err(Some(CloseCode::HeartbeatMissed)),
        }
    }
}

async fn close(socket: &mut WebSocket, code: CloseCode) {
    let frame = CloseFrame { code: code.number(), reason: code.reason().into() };
    timeout(CLOSING, socket.send(Message::Close(Some(frame)))).await.ok();
    // What it had sent before it knew is read: a socket that is closed with something unread is reset, and the
    // other end would never see the code.
    timeout(CLOSING, async { while let Some(Ok(_)) = socket.next().await {} }).await.ok();
}
