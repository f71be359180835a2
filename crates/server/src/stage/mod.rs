//! The one task that owns the stager: it feeds it what sockets say and carries out what it decides, in order.

mod carry_out;
mod checks;
mod restart;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base::{GameId, Timestamp, VisitId, WallTime};
use metrics::{counter, gauge};
use room::{Agent, Experiment, Identity, Progress, Restored, Stager};
use store::{Store, StoreError, Write};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use wire::close::CloseCode;
use wire::control::ClientMessage;
use wire::room::{Fence, Resume};

use self::checks::{Answered, Checks};
use crate::channel::{Channel, close};
use crate::completions::Completions;
use crate::lanes::{LaneBox, Lanes};
use crate::scrubber::Scrubber;
use crate::texts;
use crate::turn::TurnOffer;

/// How many events wait for the stager; a socket that brings more waits with it.
const MAILBOX: usize = 4096;

/// How many of them go into one commit at most, when they come faster than the disk writes.
const TOGETHER: usize = 256;

/// How many messages wait for a socket (R8).
pub(crate) const OUTBOX: usize = 256;

/// How often it is written down that this server is alive, while games are on: how long a game had lived on after it was
/// saved is then known to a second.
const BEAT: Duration = Duration::from_secs(1);

/// The stager's side of a socket.
pub(crate) struct Connection {
    pub(crate) outbox: mpsc::Sender<String>,
    pub(crate) close: watch::Sender<Option<CloseCode>>,
    pub(crate) lane: Arc<LaneBox>,
    /// The name under which the page reached this server.
    pub(crate) host: String,
    /// What its request's headers say of the browser.
    pub(crate) agent: Agent,
}

/// Who a socket is, and where its page left off.
pub(crate) struct Hello {
    pub(crate) identity: Identity,
    /// Its token's mark, of one that was given for a platform's id alone.
    pub(crate) by_id: Option<u64>,
    pub(crate) page: u64,
    /// Which texts the page has, if it needs some.
    pub(crate) texts: Option<String>,
    pub(crate) resume: Resume,
}

/// What a page says, with its counter if it must be heard once (R10).
pub(crate) struct Said {
    pub(crate) message: ClientMessage,
    pub(crate) n: Option<u64>,
}

enum Event {
    Joined { hello: Hello, connection: Connection, answer: oneshot::Sender<Fence> },
    Message { visit: VisitId, fence: Fence, said: Said },
    Dropped { visit: VisitId, fence: Fence },
    IsHere { visit: VisitId, answer: oneshot::Sender<bool> },
    Forgotten { visit: VisitId, answer: oneshot::Sender<Option<bool>> },
    TakeUp { experiment: Box<Experiment>, answer: oneshot::Sender<()> },
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
    /// The STUN and TURN that pages are told of, if there are some.
    pub(crate) turn: Option<TurnOffer>,
    /// Whom visits' endings are told.
    pub(crate) completions: Completions,
    /// Who takes out of the files what was deleted.
    pub(crate) scrubber: Scrubber,
}

impl Stage {
    /// Starts the task, with the games that were on when the folder's last server ended.
    ///
    /// # Errors
    /// When those cannot be read.
    pub(crate) async fn start(stager: Stager, context: Context, data: &Path) -> Result<Self, StoreError> {
        let (events, mailbox) = mpsc::channel(MAILBOX);
        let lanes = Lanes::default();
        let (checks, answered) = Checks::new(data);
        let mut task = Task {
            stager,
            checks,
            context,
            lanes: lanes.clone(),
            channels: HashMap::new(),
            unwritten: Vec::new(),
            unanswered: Vec::new(),
            next_connection: 1,
            start: Instant::now(),
        };
        task.restore_conditions().await?;
        task.restore_games().await?;
        tokio::spawn(task.run(mailbox, answered));
        Ok(Self { events, lanes })
    }

    /// Passes on what a page sent over the server lane, without waiting for anything.
    pub(crate) fn relay(&self, from: VisitId, packets: &[u8]) {
        self.lanes.relay(from, packets);
    }

    /// A socket has said who it is. None when the server is stopping.
    pub(crate) async fn joined(&self, hello: Hello, connection: Connection) -> Option<Fence> {
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::Joined { hello, connection, answer }).await.ok()?;
        answered.await.ok()
    }

    pub(crate) async fn message(&self, visit: VisitId, fence: Fence, said: Said) {
        self.events.send(Event::Message { visit, fence, said }).await.ok();
    }

    pub(crate) async fn dropped(&self, visit: VisitId, fence: Fence) {
        self.events.send(Event::Dropped { visit, fence }).await.ok();
    }

    /// Whether a visit's page is connected.
    pub(crate) async fn is_here(&self, visit: VisitId) -> bool {
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::IsHere { visit, answer }).await.is_ok() && answered.await.unwrap_or(false)
    }

    /// What was written down of a visit is to be deleted (D5): whoever is on the way is told that this is the end, when that is durable.
    /// Whether the stager has progress of it, which is all that is left then; none when it could not be written down.
    pub(crate) async fn forgotten(&self, visit: VisitId) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.events.send(Event::Forgotten { visit, answer }).await.ok()?;
        answered.await.ok().flatten()
    }

    /// Another version of the experiment, for new visits.
    pub(crate) async fn take_up(&self, experiment: Experiment) {
        let (answer, answered) = oneshot::channel();
        if self.events.send(Event::TakeUp { experiment: Box::new(experiment), answer }).await.is_ok() {
            answered.await.ok();
        }
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
    checks: Checks,
    context: Context,
    lanes: Lanes,
    channels: HashMap<VisitId, Channel>,
    /// What was decided and could not be written down: it comes first when something is written again.
    unwritten: Vec<Write>,
    /// Whose durable record could not be read when it was asked for.
    unanswered: Vec<GameId>,
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

    async fn run(mut self, mut mailbox: mpsc::Receiver<Event>, mut answered: mpsc::Receiver<Answered>) {
        let mut events = Vec::with_capacity(TOGETHER);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
                count = mailbox.recv_many(&mut events, TOGETHER) => {
                    if count == 0 {
                        return;
                    }
                    for event in events.drain(..) {
                        if let Event::Stop { answer } = event {
                            self.stop().await;
                            answer.send(()).ok();
                            return;
                        }
                        self.handle(event).await;
                    }
                }
                Some((check, answer)) = answered.recv() => {
                    self.stager.handle_check(check, answer, self.now());
                }
                () = timer => self.stager.handle_timeout(self.now()),
                _ = beats.tick() => {
                    self.beat();
                    for game in std::mem::take(&mut self.unanswered) {
                        self.tell_history(game).await;
                    }
                }
            }
            self.carry_out().await;
            self.forget();
            let (connections, games) = self.stager.counts();
            gauge!("interplay_connections").set(connections as f64);
            gauge!("interplay_games").set(games as f64);
            gauge!("interplay_games_paused").set(self.stager.paused() as f64);
        }
    }

    async fn handle(&mut self, event: Event) {
        match event {
            Event::Joined { hello: Hello { identity, by_id, page, texts, resume }, connection, answer } => {
                // What a visit that comes is told of where it was must be durable.
                self.carry_out().await;
                let restored = match self.restored(identity.visit).await {
                    Ok(Some(restored)) => restored,
                    // A token of another data folder: the page asks for one of this.
                    Ok(None) => return close(&connection, CloseCode::Unauthorized),
                    Err(error) => {
                        // Where it was is not to be guessed: it comes back when the store can tell.
                        tracing::error!(visit = %identity.visit, %error, "cannot read how far a visit had come");
                        return close(&connection, CloseCode::Unavailable);
                    }
                };
                let now = self.now();
                let fence = Fence(self.next_connection);
                self.next_connection += 1;
                let channel = match self.channels.entry(identity.visit) {
                    Entry::Occupied(channel) => channel.into_mut(),
                    Entry::Vacant(place) => match Channel::begin(now) {
                        Ok(channel) => place.insert(channel),
                        Err(error) => {
                            tracing::error!(%error, "a control channel cannot begin");
                            return close(&connection, CloseCode::Unavailable);
                        }
                    },
                };
                if channel.is_closed_to(by_id) {
                    // An id is no proof: whoever has the visit open keeps it (S5).
                    return close(&connection, CloseCode::Replaced);
                }
                if channel.has_replaced(page) {
                    // Its hello has been long under way: the page was loaded anew since (R7).
                    return close(&connection, CloseCode::Replaced);
                }
                let agent = connection.agent.clone();
                self.lanes.connect(identity.visit, Arc::clone(&connection.lane));
                channel.connect(fence, connection, by_id, (page, resume), now);
                answer.send(fence).ok();
                self.stager.handle_joined(identity, page, texts.as_deref(), restored, now);
                self.stager.handle_agent(identity.visit, agent);
            }
            // What an older socket says after another took over is not heard (R7), and nothing is heard twice (R10).
            Event::Message { visit, fence, said: Said { message, n } } => {
                let now = self.now();
                let Some(channel) = self.channels.get_mut(&visit) else { return };
                if channel.hears(fence, &message, n, now) {
                    counter!("interplay_messages_total").increment(1);
                    self.stager.handle_message(visit, message, now);
                }
            }
            Event::Dropped { visit, fence } => {
                let now = self.now();
                if self.channels.get_mut(&visit).is_some_and(|channel| channel.disconnect(fence, now)) {
                    self.lanes.disconnect(visit);
                    self.stager.handle_dropped(visit, now);
                }
            }
            Event::IsHere { visit, answer } => {
                answer.send(self.channels.get(&visit).is_some_and(Channel::is_open)).ok();
            }
            Event::Forgotten { visit, answer } => {
                let is_known = self.stager.handle_forgotten(visit, self.now());
                self.carry_out().await;
                answer.send(self.unwritten.is_empty().then_some(is_known)).ok();
            }
            Event::TakeUp { experiment, answer } => {
                self.stager.take_up(*experiment);
                answer.send(()).ok();
            }
            Event::Stop { .. } => {}
        }
    }

    /// Lets go of channels of visits that have been away for too long.
    fn forget(&mut self) {
        let stager = &self.stager;
        self.channels.retain(|&visit, channel| channel.is_open() || stager.knows(visit));
    }

    /// How far a visit had come, if this stager does not know it.
    /// None when there is no such visit.
    async fn restored(&mut self, visit: VisitId) -> Result<Option<Restored>, StoreError> {
        if self.stager.knows(visit) {
            return Ok(Some(Restored::default()));
        }
        let Some(row) = self.context.store.visit(visit).await? else { return Ok(None) };
        if row.is_deleted && row.progress.is_none() {
            return Ok(None);
        }
        let version = row.experiment_sha256;
        self.learn_version(&version).await?;
        // Those that were written down by servers before there was more to write have a scene and an ending.
        let (scene, ended) = (row.scene, row.ended);
        let written = row.progress.as_deref().map(serde_json::from_str).transpose();
        let progress = written.unwrap_or_else(|error| {
            tracing::error!(%visit, %error, "what was written of a visit cannot be read");
            None
        });
        let is_parameter = |name: &str| room::ENTRY_PARAMETERS.contains(&name);
        Ok(Some(Restored {
            version,
            progress: progress.unwrap_or(Progress { scene, ended, ..Progress::default() }),
            is_bot: row.entry.contains_key(bot::MARK),
            entry: row.entry.into_iter().filter(|(name, _)| is_parameter(name)).collect(),
            open_game: self.context.store.open_seat(visit).await?,
        }))
    }

    /// Visits go on with the version of the experiment that they began with (S2).
    async fn learn_version(&mut self, version: &str) -> Result<(), StoreError> {
        if self.stager.knows_version(version) {
            return Ok(());
        }
        let Some(kept) = self.context.store.experiment(version.to_owned()).await? else { return Ok(()) };
        match serde_json::from_str::<Experiment>(&kept) {
            Ok(experiment) => {
                // A page of today needs texts that there may not have been then.
                let texts = texts::whole(experiment.texts);
                self.stager.add_version(Experiment { version: version.to_owned(), texts, ..experiment });
            }
            Err(error) => {
                tracing::warn!(version, %error, "an older version of the experiment cannot be read; its visits go on in this one");
            }
        }
        Ok(())
    }

    async fn stop(&mut self) {
        self.carry_out().await;
        self.beat();
        for channel in self.channels.values() {
            channel.close(CloseCode::GoingAway);
        }
        if let Err(error) = self.context.store.flush().await {
            tracing::error!(%error, "cannot flush the store");
        }
    }
}
