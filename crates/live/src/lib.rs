//! Rooms' logs in Redis or Valkey, single or cluster: [`room::replica::Store`]'s contract, over a network (C1, C2).
//!
//! # What is kept
//!
//! | key | what |
//! | --- | --- |
//! | `interplay:room:{ID}` | a hash: `epoch`, `run`, `snapshot` and its `version`, `base`, `tip`, the last `at`; members' notes |
//! | `interplay:log:{ID}` | a stream: a record for each append, known by its last version, with its first, its time and all its entries |
//! | `interplay:void:{ID}:MEMBER` | until when a member's tokens are void |
//! | `interplay:nodes` | a sorted set: nodes, and when each one's life ends |
//!
//! The first two expire together, and live on with each operation but [`Live::end`]; notes and revocations do not make
//! a room live longer. A room's name between braces is its hash tag. Publications go to `interplay:{ID}`, through
//! sharded publication, which a single server has too; there they are the same for all of its numbered databases.
//!
//! Each operation is one script, so that nothing happens between its parts. The server does not look into entries: what
//! an append costs it does not depend on how many there are. Each script asks for the run itself: that costs 3 µs, and
//! no driver can be mistaken about which server has answered.
//!
//! # Runs
//!
//! A run is a history of the store's data, `master_replid` of `INFO replication`: every start of a master begins another,
//! and every promotion of a replica. A process's own `run_id` would not do: a server that was replaced, follows its
//! successor and is put in its place again has the same as before, and has lost what only it knew. It also changes when
//! a server gets its first replica, or has been without one for an hour: then rooms begin anew, with a gap, although
//! nothing was lost. The same is true of a room whose slot goes to another server.
//!
//! # What is not believed
//!
//! The store may be others' too. What cannot be read there, or has a hole, is what a store that has lost something
//! has: [`Live::open`] begins anew, and [`Live::read_after`] answers [`Refusal::Behind`]. A publication that cannot be
//! read is dropped; reading finds what was in it. Eviction makes such holes: `maxmemory-policy` should be
//! `noeviction`.
//!
//! # What its user must be allowed
//!
//! `~interplay:* &interplay:* +@read +@write +@scripting +@pubsub +@connection +info +time`, and in a cluster
//! `+cluster|slots`.

mod address;
mod codec;
mod connect;
mod connection;
mod error;
mod news;
mod script;
mod servers;
mod slots;
mod subscriptions;
mod tls;
mod url;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::WallTime;
use redis::{Cmd, Value};
use room::replica::{Entry, NodeId, Opened, Position, Refusal, Snapshot, SnapshotError, Stored, TAIL};
use tokio::sync::{mpsc, oneshot};
use wire::room::{Epoch, MemberId, RoomId};

use codec::Garbled;
pub use error::{ConnectError, Unanswered};
pub use news::News;
use script::Script;
use servers::{LIMIT, Question, Servers};
use slots::slot_of;
use subscriptions::Request;
pub use url::{RedisUrl, UrlError};

/// How long a node lives after a heartbeat (TRAPS 26).
const LEASE: Duration = Duration::from_secs(10);

/// Where nodes are.
const NODES: &str = "interplay:nodes";

/// What rooms' keys begin with.
const ROOMS: &str = "interplay:room:{";

/// A store; clones share its connections. What is asked is answered within a second, or is [`Unanswered`].
#[derive(Clone)]
pub struct Live {
    servers: Arc<Servers>,
    subscriptions: mpsc::UnboundedSender<Request>,
    ttl: Duration,
    lease: Duration,
}

/// What a heartbeat tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beat {
    /// The store's time.
    pub time: WallTime,
    /// Every node that lives.
    pub nodes: BTreeSet<NodeId>,
    /// Whether the store has known nodes for as long as one lives without a heartbeat. Before, it has just been
    /// emptied, or is new: who is not among `nodes` may live all the same, and must not be buried.
    pub is_whole: bool,
}

/// The keys of a room.
struct Keys {
    room: String,
    log: String,
}

impl Keys {
    fn of(room: &RoomId) -> Self {
        Self { room: format!("{ROOMS}{room}}}"), log: format!("interplay:log:{{{room}}}") }
    }

    fn both(&self) -> [&str; 2] {
        [&self.room, &self.log]
    }
}

fn strange(_: Garbled) -> Unanswered {
    Unanswered::Strange("it is not what a script of this version answers".to_owned())
}

/// Milliseconds, at least one.
fn millis(duration: Duration) -> Vec<u8> {
    duration.as_millis().max(1).to_string().into_bytes()
}

impl Live {
    /// Connects, finds out by itself whether it is a cluster, and sees whether the store can do what is needed. `ttl`
    /// is how long a room lives that nobody asks for. News wait in a queue of a fixed length: a reader that is too slow
    /// misses some, and is told so ([`News::Interrupted`]).
    ///
    /// Must be called within tokio's runtime.
    ///
    /// # Errors
    /// When the store cannot be used; names the URL and the cure.
    pub async fn connect(
        url: &RedisUrl,
        ttl: Duration,
    ) -> Result<(Self, mpsc::Receiver<News>), ConnectError> {
        let servers = Arc::new(connect::connect(url).await?);
        let (teller, news) = news::Teller::new();
        let subscriptions = subscriptions::start(Arc::clone(&servers), teller);
        Ok((Self { servers, subscriptions, ttl, lease: LEASE }, news))
    }

    /// The same store, in which a node lives for so long after a heartbeat. For tests: all nodes must agree.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    async fn ask(&self, tag: &str, command: impl Fn(bool) -> Cmd + Sync) -> Result<Value, Unanswered> {
        let question = Question { slot: slot_of(tag), command: &command, may_be_repeated: true };
        self.servers.ask(question).await
    }

    /// Runs a script of a room.
    async fn run(&self, script: &Script, room: &RoomId, arguments: &[&[u8]]) -> Result<Value, Unanswered> {
        let (keys, ttl) = (Keys::of(room), millis(self.ttl));
        let arguments: Vec<&[u8]> = [ttl.as_slice()].into_iter().chain(arguments.iter().copied()).collect();
        self.ask(room.as_str(), |is_known| script.command(&keys.both(), &arguments, is_known)).await
    }

    /// As [`Store::open`](room::replica::Store::open). A room that cannot be read begins anew as well, unless another
    /// version of this program has written it.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn open(&self, room: &RoomId, fresh: (Epoch, &[u8])) -> Result<Opened, Unanswered> {
        let epoch = fresh.0.to_string();
        // Who makes it unreadable again and again is not to be followed for ever.
        for _ in 0..2 {
            let answer = self.run(&script::OPEN, room, &[epoch.as_bytes(), fresh.1]).await?;
            let [found, snapshot, version, tip, log] = codec::parts(answer).map_err(strange)?;
            let found = codec::bytes(found).map_err(strange)?;
            match opened(&found, snapshot, (version, tip), log) {
                Ok(opened) => return Ok(opened),
                Err(garbled) => {
                    tracing::error!(%room, %garbled, "a room begins anew");
                    self.end_of(room, &found).await?;
                }
            }
        }
        Err(Unanswered::Strange(format!("the room {room} cannot be read")))
    }

    /// Looks at a room, which lives no longer for it. None when there is none, or none that can be read.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn peek(&self, room: &RoomId) -> Result<Option<Opened>, Unanswered> {
        let answer = self.run(&script::PEEK, room, &[]).await?;
        let Ok([found, snapshot, version, tip, log]) = codec::parts(answer) else { return Ok(None) };
        let found = codec::bytes(found).map_err(strange)?;
        Ok(opened(&found, snapshot, (version, tip), log).ok())
    }

    /// As [`Store::append`](room::replica::Store::append). While it takes, the connection may be lost and come back:
    /// then entries may be there twice already.
    ///
    /// # Errors
    /// As [`Unanswered`] and [`Refusal`] say.
    pub async fn append(
        &self,
        room: &RoomId,
        at: Position,
        entries: &[Entry],
    ) -> Result<Result<Vec<Stored>, Refusal>, Unanswered> {
        let (epoch, version) = (at.epoch.to_string(), at.version.to_string());
        let (count, bytes) = (entries.len().to_string(), codec::entries_to_bytes(entries));
        let channel = codec::channel(room);
        let arguments: [&[u8]; 5] =
            [epoch.as_bytes(), version.as_bytes(), count.as_bytes(), &bytes, channel.as_bytes()];
        let answer = match accepted(self.run(&script::APPEND, room, &arguments).await?).map_err(strange)? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let stored = || {
            let [first, time] = answer.try_into().map_err(|_| Garbled)?;
            codec::stored(at.epoch, codec::number(first)?, WallTime(codec::number(time)?), entries.to_vec())
        };
        stored().map(Ok).map_err(strange)
    }

    /// As [`Store::read_after`](room::replica::Store::read_after). What cannot be read, or has a hole, is
    /// [`Refusal::Behind`].
    ///
    /// # Errors
    /// As [`Unanswered`] and [`Refusal`] say.
    pub async fn read_after(
        &self,
        room: &RoomId,
        at: Position,
    ) -> Result<Result<Vec<Stored>, Refusal>, Unanswered> {
        let (epoch, version) = (at.epoch.to_string(), at.version.to_string());
        let answer = self.run(&script::READ_AFTER, room, &[epoch.as_bytes(), version.as_bytes()]).await?;
        let answer = match accepted(answer).map_err(strange)? {
            Ok(answer) => answer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let [tip, log] = answer.try_into().map_err(|_| strange(Garbled))?;
        let stored = codec::number(tip).and_then(|tip| codec::log_after(at, tip, log));
        Ok(stored.map_err(|garbled| {
            tracing::error!(%room, %garbled, "a room's log is damaged");
            Refusal::Behind
        }))
    }

    /// Whether a room can be written at all: a store that is full answers, and takes nothing.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn probe(&self, room: &RoomId) -> Result<(), Unanswered> {
        let key = format!("interplay:probe:{{{room}}}");
        let command = |_| redis::cmd("SET").arg(&key).arg("").arg("PX").arg(1).to_owned();
        self.ask(room.as_str(), command).await.map(|_| ())
    }

    /// As [`Store::compact`](room::replica::Store::compact).
    ///
    /// # Errors
    /// As [`Unanswered`] and [`Refusal`] say.
    pub async fn compact(
        &self,
        room: &RoomId,
        at: Position,
        snapshot: &[u8],
    ) -> Result<Result<(), Refusal>, Unanswered> {
        let (epoch, version, tail) = (at.epoch.to_string(), at.version.to_string(), TAIL.to_string());
        let arguments: [&[u8]; 4] = [epoch.as_bytes(), version.as_bytes(), snapshot, tail.as_bytes()];
        let answer = self.run(&script::COMPACT, room, &arguments).await?;
        Ok(accepted(answer).map_err(strange)?.map(|_| ()))
    }

    /// As [`Store::end`](room::replica::Store::end).
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn end(&self, room: &RoomId, epoch: Epoch) -> Result<(), Unanswered> {
        self.end_of(room, epoch.to_string().as_bytes()).await
    }

    async fn end_of(&self, room: &RoomId, epoch: &[u8]) -> Result<(), Unanswered> {
        self.run(&script::END, room, &[epoch]).await.map(|_| ())
    }

    /// Asks for news of a room. When it is answered, all publications from here on come, until they are told to be
    /// interrupted; they are asked for again by themselves. Without an answer they may come later: it is to be repeated
    /// or taken back. Asking twice is no different from asking once.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn subscribe(&self, room: &RoomId) -> Result<(), Unanswered> {
        let (answer, answered) = oneshot::channel();
        let gone = || Unanswered::Lost("nobody reads the news any more".to_owned());
        self.subscriptions.send(Request::Subscribe(room.clone(), answer)).map_err(|_| gone())?;
        match tokio::time::timeout(LIMIT, answered).await {
            Ok(answered) => answered.map_err(|_| gone()),
            Err(_) => {
                let problem = "news cannot be had yet".to_owned();
                Err(Unanswered::Late { limit: LIMIT, problem })
            }
        }
    }

    /// Wants no more news of a room. Some may still be on their way.
    ///
    /// # Errors
    /// When nobody reads news any more.
    #[expect(clippy::unused_async, reason = "drivers do not depend on how it is done")]
    pub async fn unsubscribe(&self, room: &RoomId) -> Result<(), Unanswered> {
        let sent = self.subscriptions.send(Request::Unsubscribe(room.clone()));
        sent.map_err(|_| Unanswered::Lost("nobody reads the news any more".to_owned()))
    }

    /// Publishes what is not kept, to all who hear of a room: this node too, if it does.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn relay(&self, room: &RoomId, from: NodeId, bytes: &[u8]) -> Result<(), Unanswered> {
        let (channel, publication) = (codec::channel(room), codec::relayed(from, bytes));
        let command = |_| redis::cmd("SPUBLISH").arg(&channel).arg(&publication).to_owned();
        let slot = slot_of(room.as_str());
        self.servers.ask(Question { slot, command: &command, may_be_repeated: false }).await.map(|_| ())
    }

    /// This node lives for another 10 s. Tells which do.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn beat(&self, node: NodeId) -> Result<Beat, Unanswered> {
        let (lease, node) = (millis(self.lease), name(node));
        let arguments: [&[u8]; 2] = [&lease, node.as_bytes()];
        let answer = self.ask(NODES, |known| script::BEAT.command(&[NODES], &arguments, known)).await?;
        beat(answer, self.lease).map_err(strange)
    }

    /// A node stops, and is not waited for.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn part(&self, node: NodeId) -> Result<(), Unanswered> {
        self.ask(NODES, |_| redis::cmd("ZREM").arg(NODES).arg(name(node)).to_owned()).await.map(|_| ())
    }

    /// Keeps something small of a member beside the log. It is gone with the room; it does not make it live longer. False
    /// when there is no room.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn set_note(&self, room: &RoomId, member: &MemberId, note: &[u8]) -> Result<bool, Unanswered> {
        let (keys, field) = (Keys::of(room), note_of(member));
        let arguments: [&[u8]; 2] = [field.as_bytes(), note];
        let command = |known| script::SET_NOTE.command(&[&keys.room], &arguments, known);
        let answer = self.ask(room.as_str(), command).await?;
        Ok(codec::number(answer).map_err(strange)? == 1)
    }

    /// What was last kept of a member beside the log.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn note(&self, room: &RoomId, member: &MemberId) -> Result<Option<Vec<u8>>, Unanswered> {
        let (keys, field) = (Keys::of(room), note_of(member));
        let command = |_| redis::cmd("HGET").arg(&keys.room).arg(&field).to_owned();
        optional(self.ask(room.as_str(), command).await?).map_err(strange)
    }

    /// A member's tokens that were issued until this second are void in the room. That outlives the room, for `keep`; neither is
    /// ever made less.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn revoke(
        &self,
        room: &RoomId,
        member: &MemberId,
        until: u64,
        keep: Duration,
    ) -> Result<(), Unanswered> {
        let (key, until, keep) = (void_of(room, member), format!("{until:020}"), millis(keep));
        let arguments: [&[u8]; 2] = [until.as_bytes(), &keep];
        let command = |known| script::REVOKE.command(&[&key], &arguments, known);
        self.ask(room.as_str(), command).await.map(|_| ())
    }

    /// Until which second a member's tokens are void in the room.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn revoked(&self, room: &RoomId, member: &MemberId) -> Result<Option<u64>, Unanswered> {
        let key = void_of(room, member);
        let answer = self.ask(room.as_str(), |_| redis::cmd("GET").arg(&key).to_owned()).await?;
        let until = optional(answer).map_err(strange)?;
        until.map(|until| codec::number(Value::BulkString(until)).map_err(strange)).transpose()
    }

    /// The rooms by name that come after one, at most so many. Looks through all keys of all servers, so it is for operators, and
    /// takes longer than anything else; what comes or goes meanwhile may be missing or there.
    ///
    /// # Errors
    /// As [`Unanswered`] says.
    pub async fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<RoomId>, Unanswered> {
        let mut found = BTreeSet::new();
        for server in self.servers.map().servers() {
            let mut cursor = b"0".to_vec();
            loop {
                let mut command = redis::cmd("SCAN");
                command.arg(&cursor).arg("MATCH").arg(format!("{ROOMS}*")).arg("COUNT").arg(1000);
                let answer = self.servers.ask_server(&server, &command).await?;
                let [next, Value::Array(keys)] = codec::parts(answer).map_err(strange)? else {
                    return Err(strange(Garbled));
                };
                for key in keys {
                    let key = String::from_utf8(codec::bytes(key).map_err(strange)?).unwrap_or_default();
                    let name = key.strip_prefix(ROOMS).and_then(|name| name.strip_suffix('}'));
                    let room = name.and_then(|name| name.parse::<RoomId>().ok());
                    found.extend(room.filter(|room| after.is_none_or(|after| room.as_str() > after)));
                    if found.len() > most {
                        found.pop_last();
                    }
                }
                cursor = codec::bytes(next).map_err(strange)?;
                if cursor == b"0" {
                    break;
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// Why a room cannot be gone on with.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("its log is damaged: {0}")]
    Log(#[from] Garbled),
    #[error(transparent)]
    Snapshot(SnapshotError),
}

fn opened(
    epoch: &[u8],
    snapshot: Value,
    (version, tip): (Value, Value),
    log: Value,
) -> Result<Opened, Damage> {
    let snapshot = codec::bytes(snapshot)?;
    match Snapshot::of_bytes(&snapshot) {
        Ok(_) => {}
        // Another version of this program is at work. Its entries are not for this one either.
        Err(SnapshotError::Format(_)) => return Ok(Opened { snapshot, entries: Vec::new() }),
        Err(error) => return Err(Damage::Snapshot(error)),
    }
    let epoch = Epoch(codec::hex(Value::BulkString(epoch.to_vec()))?);
    let at = Position { epoch, version: codec::number(version)? };
    let entries = codec::log_after(at, codec::number(tip)?, log)?;
    Ok(Opened { snapshot, entries })
}

/// What follows the word that a script begins its answer with, unless that is a refusal.
fn accepted(answer: Value) -> Result<Result<Vec<Value>, Refusal>, Garbled> {
    let Value::Array(mut parts) = answer else { return Err(Garbled) };
    if parts.is_empty() {
        return Err(Garbled);
    }
    let word = codec::bytes(parts.remove(0))?;
    if word == b"ok" {
        return Ok(Ok(parts));
    }
    codec::refusal(&word).map(Err).ok_or(Garbled)
}

fn optional(answer: Value) -> Result<Option<Vec<u8>>, Garbled> {
    match answer {
        Value::Nil => Ok(None),
        answer => codec::bytes(answer).map(Some),
    }
}

fn name(node: NodeId) -> String {
    format!("{node:?}")
}

fn note_of(member: &MemberId) -> String {
    format!("note:{member}")
}

fn void_of(room: &RoomId, member: &MemberId) -> String {
    format!("interplay:void:{{{room}}}:{member}")
}

fn beat(answer: Value, lease: Duration) -> Result<Beat, Garbled> {
    let [time, since, names] = codec::parts(answer)?;
    let time = codec::number(time)?;
    let since = String::from_utf8(codec::bytes(since)?).map_err(|_| Garbled)?;
    let since: u64 = since.strip_prefix('-').ok_or(Garbled)?.parse().map_err(|_| Garbled)?;
    let Value::Array(names) = names else { return Err(Garbled) };
    // `since` is among them, and is no node.
    let nodes = names.into_iter().filter_map(|name| codec::hex(name).ok()).map(NodeId).collect();
    let is_whole = u128::from(time.saturating_sub(since)) >= lease.as_millis();
    Ok(Beat { time: WallTime(time), nodes, is_whole })
}
