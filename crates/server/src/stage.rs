//! The one task that owns the stager: it feeds it what sockets say and carries out what it decides, in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::{Timestamp, VisitId, WallTime};
use metrics::{counter, gauge};
use room::{Effect, Identity, Restored, Stager};
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use wire::close::CloseCode;
use wire::control::{ClientMessage, ServerMessage};

use crate::lanes::{LaneBox, Lanes};
use crate::turn::TurnAccess;

/// How many events wait for the stager; a socket that brings more waits with it.
const MAILBOX: usize = 4096;

/// How many messages wait for a socket (R8).
pub(crate) const OUTBOX: usize = 256;

/// One socket among all that there have been; a later one of the same visit has another number (R7).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ConnectionId(u64);

/// The stager's side of a socket.
pub(crate) struct Connection {
    pub(crate) outbox: mpsc::Sender<ServerMessage>,
    pub(crate) close: watch::Sender<Option<CloseCode>>,
    pub(crate) lane: Arc<LaneBox>,
    /// The name under which the page reached this server.
    pub(crate) host: String,
}

enum Event {
    Joined { identity: Identity, page: u64, connection: Connection, answer: oneshot::Sender<ConnectionId> },
    Message { visit: VisitId, connection: ConnectionId, message: ClientMessage },
    Dropped { visit: VisitId, connection: ConnectionId },
    Stop { answer: oneshot::Sender<()> },
}

/// The way to the stage.
#[derive(Clone)]
pub(crate) struct Stage {
    events: mpsc::Sender<Event>,
    lanes: Lanes,
}

/// What the stage knows of the experiment beside the stager.
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) experiment: String,
    pub(crate) experiment_sha256: String,
    /// This server's own STUN and TURN, if it has them.
    pub(crate) turn: Option<TurnAccess>,
}

impl Stage {
    /// Starts the task.
    pub(crate) fn start(stager: Stager, context: Context) -> Self {
        let (events, mailbox) = mpsc::channel(MAILBOX);
        let lanes = Lanes::default();
        let task = Task {
            stager,
            context,
            lanes: lanes.clone(),
            connections: HashMap::new(),
            next_connection: 0,
            start: Instant::now(),
        };
        tokio::spawn(task.run(mailbox));
        Self { events, lanes }
    }

    /// Passes on what a page sent over the server lane, without waiting for anything.
    pub(crate) fn relay(&self, from: VisitId, packets: &[u8]) {
        self.lanes.relay(from, packets);
    }

    /// A socket has said who it is. None when the server is stopping.
    pub(crate) async fn joined(
        &self,
        identity: Identity,
        page: u64,
        connection: Connection,
    ) -> Option<ConnectionId> {
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::Joined { identity, page, connection, answer }).await.ok()?;
        answered.await.ok()
    }

    pub(crate) async fn message(&self, visit: VisitId, connection: ConnectionId, message: ClientMessage) {
        self.events.send(Event::Message { visit, connection, message }).await.ok();
    }

    pub(crate) async fn dropped(&self, visit: VisitId, connection: ConnectionId) {
        self.events.send(Event::Dropped { visit, connection }).await.ok();
    }

    /// Closes every socket, and answers when all that was decided is durable.
    pub(crate) async fn stop(&self) {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::Stop { answer }).await.is_ok() {
            answered.await.ok();
        }
    }
}

struct Task {
    stager: Stager,
    context: Context,
    lanes: Lanes,
    connections: HashMap<VisitId, (ConnectionId, Connection)>,
    next_connection: u64,
    start: Instant,
}

pub(crate) fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Task {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    async fn run(mut self, mut mailbox: mpsc::Receiver<Event>) {
        loop {
            let wake = self.stager.poll_timeout().map(|deadline| {
                tokio::time::Instant::from_std(
                    self.start + deadline.at.saturating_since(Timestamp::default()),
                )
            });
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = mailbox.recv() => match event {
                    Some(Event::Stop { answer }) => {
                        self.stop().await;
                        answer.send(()).ok();
                        return;
                    }
                    Some(event) => self.handle(event).await,
                    None => return,
                },
                () = timer => self.stager.handle_timeout(self.now()),
            }
            self.carry_out().await;
            let (connections, games) = self.stager.counts();
            gauge!("interplay_connections").set(connections as f64);
            gauge!("interplay_games").set(games as f64);
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Joined { identity, page, connection, answer } => {
                let restored = self.restored(identity.visit).await;
                let id = ConnectionId(self.next_connection);
                self.next_connection += 1;
                self.lanes.connect(identity.visit, Arc::clone(&connection.lane));
                if let Some((_, older)) = self.connections.insert(identity.visit, (id, connection)) {
                    close(&older, CloseCode::Replaced);
                }
                answer.send(id).ok();
                self.stager.handle_joined(identity, page, restored, self.now());
            }
            // What an older socket says after another took over is not heard (R7).
            Event::Message { visit, connection, message } if self.is_current(visit, connection) => {
                counter!("interplay_messages_total").increment(1);
                self.stager.handle_message(visit, message, self.now());
            }
            Event::Dropped { visit, connection } if self.is_current(visit, connection) => {
                self.connections.remove(&visit);
                self.lanes.disconnect(visit);
                self.stager.handle_dropped(visit, self.now());
            }
            Event::Message { .. } | Event::Dropped { .. } | Event::Stop { .. } => {}
        }
    }

    fn is_current(&self, visit: VisitId, connection: ConnectionId) -> bool {
        self.connections.get(&visit).is_some_and(|(current, _)| *current == connection)
    }

    /// How far a visit had come, if this stager does not know it.
    async fn restored(&self, visit: VisitId) -> Restored {
        if self.stager.knows(visit) {
            return Restored::default();
        }
        let store = &self.context.store;
        let (row, open_game) = (store.visit(visit).await, store.open_seat(visit).await);
        if let Err(error) = row.as_ref().and(open_game.as_ref()) {
            tracing::error!(%visit, %error, "cannot read how far a visit had come");
        }
        let row = row.ok().flatten();
        Restored {
            scene: row.as_ref().map_or(0, |row| row.scene),
            ended: row.and_then(|row| row.ended),
            open_game: open_game.ok().flatten(),
        }
    }

    async fn carry_out(&mut self) {
        while let Some(effect) = self.stager.poll_effect() {
            if let Err(error) = self.carry_out_one(effect).await {
                tracing::error!(%error, "cannot write down what was decided");
            }
        }
    }

    async fn carry_out_one(&mut self, effect: Effect) -> Result<(), store::StoreError> {
        let store = &self.context.store;
        match effect {
            Effect::Send { visit, message } => {
                let Some((_, connection)) = self.connections.get(&visit) else { return Ok(()) };
                let message = self.with_ice_servers(message, visit, &connection.host);
                if let Err(mpsc::error::TrySendError::Full(_)) = connection.outbox.try_send(message) {
                    close(connection, CloseCode::SlowReader);
                }
            }
            Effect::Close { visit, code } => {
                if let Some((_, connection)) = self.connections.get(&visit) {
                    close(connection, code);
                }
            }
            Effect::Progress { visit, scene, ended } => store.set_progress(visit, scene, ended).await?,
            Effect::CreateGame(new) => {
                counter!("interplay_games_total").increment(1);
                self.lanes.add_game(new.game, &new.seats);
                tracing::info!(game = %new.game, seats = new.seats.len(), "a game begins");
                let game = store::NewGame {
                    game: new.game,
                    experiment: self.context.experiment.clone(),
                    experiment_sha256: self.context.experiment_sha256.clone(),
                    scene: new.scene,
                    environment_sha256: new.environment_sha256,
                    epoch: new.epoch,
                    seed: new.seed,
                    rules: new.rules,
                    input_size: new.input_size,
                    seats: new.seats,
                    created: wall_time(),
                };
                store.create_game(game).await?;
            }
            Effect::EndSeat { game, seat, ending } => {
                let room::SeatEnding { reason, frame, is_partial } = ending;
                self.lanes.end_seat(game, seat);
                counter!("interplay_seats_ended_total", "reason" => reason.name()).increment(1);
                tracing::info!(%game, %seat, reason = reason.name(), frame, "a seat ended");
                let ending = store::SeatEnding { reason, frame, at: wall_time(), is_partial };
                store.end_seat(game, seat, ending).await?;
            }
            Effect::Record { game, seat, kind, detail } => {
                tracing::info!(%game, ?seat, kind, %detail, "told by a seat");
                store.add_server_event(game, seat, kind, detail, wall_time()).await?;
            }
        }
        Ok(())
    }

    /// Adds this server's own STUN and TURN, with the visit's own credentials.
    fn with_ice_servers(&self, mut message: ServerMessage, visit: VisitId, host: &str) -> ServerMessage {
        let (servers, lifetime) = match &mut message {
            ServerMessage::GameStart(start) => (&mut start.ice_servers, &mut start.ice_lifetime_millis),
            ServerMessage::IceServers { ice_servers, ice_lifetime_millis } => {
                (ice_servers, ice_lifetime_millis)
            }
            _ => return message,
        };
        if let Some(turn) = &self.context.turn {
            servers.extend(turn.servers(visit, host));
            *lifetime = turn.lifetime_millis();
        }
        message
    }

    async fn stop(&mut self) {
        self.carry_out().await;
        for (_, connection) in self.connections.values() {
            close(connection, CloseCode::GoingAway);
        }
        if let Err(error) = self.context.store.flush().await {
            tracing::error!(%error, "cannot flush the store");
        }
    }
}

/// Tells a socket to close; the first reason stands.
fn close(connection: &Connection, code: CloseCode) {
    connection.close.send_if_modified(|reason| {
        let first = reason.is_none();
        if first {
            *reason = Some(code);
        }
        first
    });
}
