//! Rooms on several nodes: each node holds a replica of those that its members are in (C1, C2, R1–R11).
//!
//! | module | subject |
//! | --- | --- |
//! | this | what sockets and requests ask, and what the store tells |
//! | `nodes` | which nodes live, and what time it is for all of them |
//! | `room` | one room on this node: replica, connections, what comes of what they ask |
//! | `task` | a room's task: what it needs of the store, one thing after another |
//!
//! What is done here and why is told by [`room::replica`]; how the store does its part, by [`live`].

mod nodes;
mod room;
mod task;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ::room::log::{Draft, Log, Message};
use ::room::replica::{NodeId, Origin, Replica};
use anyhow::Context;
use base::{Timestamp, WallTime};
use futures_util::future::join_all;
use live::{Live, News, RedisUrl, Unanswered};
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use wire::close::CloseCode;
use wire::lane::Quality;
use wire::room::{Epoch, Fence, Join, MemberId, RoomId, Send};

use self::nodes::{BEAT, Nodes};
use self::room::{Ask, LOOK, Published, Room, here};
use super::local::TURN_OVER;
use super::local::journal::{Journal, Revocations};
use super::outbox::Outbox;
use super::webhook::{Events, Webhook};
use super::{
    Claims, Health, LONGEST_TOKEN, Limits, MemberState, Membership, PublishError, RoomInfo, lock, wall,
};

/// How long somebody waits for what was asked of a room.
const PATIENCE: Duration = Duration::from_secs(8);

/// How many volatile messages wait to be passed on to other nodes; more are lost, as they may be.
const RELAYS: usize = 4096;

/// How many of them are passed on at a time, and how many rooms are read.
const TOGETHER: usize = 64;

/// How long to wait before the next rooms are read.
const PAUSE: Duration = Duration::from_millis(2);

/// How long a node that stops waits for what its members' leaving makes of rooms.
const SETTLE: Duration = Duration::from_secs(3);

/// All rooms of this node; clones share them.
#[derive(Clone)]
pub(crate) struct Cluster {
    shared: Arc<Shared>,
}

/// What a room and its task need.
struct Shared {
    live: Live,
    node: NodeId,
    openings: AtomicU64,
    limits: Limits,
    rooms: RwLock<HashMap<RoomId, Arc<Room>>>,
    /// What an application's own server is to hear.
    events: Option<Arc<Events>>,
    nodes: Nodes,
    /// What this node has heard of tokens that are void.
    revoked: Mutex<Revocations>,
    relays: mpsc::Sender<(RoomId, Vec<u8>)>,
    is_stopping: AtomicBool,
}

/// A volatile message on its way to other nodes.
#[derive(Serialize, Deserialize)]
struct Relayed {
    epoch: Epoch,
    from: Option<MemberId>,
    draft: Draft,
    time: WallTime,
}

/// An epoch's name: random.
fn fresh_epoch() -> Epoch {
    // Without entropy no server has begun: tokens need it too.
    Epoch(crate::token::random().map(u64::from_le_bytes).unwrap_or_default())
}

impl Shared {
    /// Passes a volatile message on to other nodes, if there is room for it on the way.
    fn pass_on(&self, room: &RoomId, epoch: Epoch, from: Option<&MemberId>, draft: &Draft, time: WallTime) {
        let relayed = Relayed { epoch, from: from.cloned(), draft: draft.clone(), time };
        let Ok(bytes) = postcard::to_stdvec(&relayed) else { return };
        if self.relays.try_send((room.clone(), bytes)).is_err() {
            counter!("interplay_room_volatile_total", "result" => "dropped").increment(1);
        }
    }

    /// Tokens of a member that were given until this second are void.
    fn note_revoked(&self, room: &RoomId, member: &MemberId, until: u64) {
        let mut revoked = lock(&self.revoked);
        let noted = revoked.entry((room.clone(), member.clone())).or_default();
        *noted = until.max(*noted);
    }
}

impl Cluster {
    /// Connects to the store. What a webhook is still to be told is kept in the data folder.
    ///
    /// # Errors
    /// When the store cannot be used; names it and the cure.
    pub(crate) async fn connect(
        url: &RedisUrl,
        data: &Path,
        limits: Limits,
        webhook: Option<Webhook>,
    ) -> anyhow::Result<Self> {
        // Rooms are over when nodes say so; this is for rooms that no node has open any more.
        let (live, news) = Live::connect(url, limits.log.ttl + 3 * LOOK).await?;
        let node = NodeId(u64::from_le_bytes(crate::token::random()?));
        let (events, revoked) = match webhook {
            Some(webhook) => {
                let (events, revoked) = events(webhook, data, limits, node)?;
                (Some(events), revoked)
            }
            None => (None, Revocations::default()),
        };
        let (relays, relaying) = mpsc::channel(RELAYS);
        let shared = Shared {
            live,
            node,
            openings: AtomicU64::new(0),
            limits,
            rooms: RwLock::default(),
            events,
            nodes: Nodes::new(node),
            revoked: Mutex::new(revoked),
            relays,
            is_stopping: AtomicBool::new(false),
        };
        let cluster = Self { shared: Arc::new(shared) };
        cluster.beat().await.context("Redis does not answer")?;
        tokio::spawn(cluster.clone().hear(news));
        tokio::spawn(cluster.clone().relay(relaying));
        tracing::info!(node = ?node, redis = %url, "rooms are shared with other nodes");
        Ok(cluster)
    }

    /// Says that this node lives, for as long as it runs.
    pub(super) async fn tend(self) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turned = Instant::now();
        loop {
            beats.tick().await;
            if turned.elapsed() >= TURN_OVER {
                turned = Instant::now();
                let cluster = self.clone();
                // It waits for the disk.
                tokio::task::spawn_blocking(move || cluster.turn_over());
            }
            if self.is_stopping() {
                return;
            }
            let was_answered = self.shared.nodes.is_answered();
            if let Err(error) = self.beat().await {
                tracing::warn!(%error, "Redis does not answer");
                // They find out by themselves what of it they can reach.
                self.suspect_all();
            }
            let is_answered = self.shared.nodes.is_answered();
            gauge!("interplay_redis_up").set(f64::from(is_answered));
            if was_answered != is_answered {
                self.suspect_all();
            }
            let now = self.now().as_micros() / 1_000_000;
            lock(&self.shared.revoked).retain(|_, until| *until + LONGEST_TOKEN > now);
        }
    }

    /// Has the journal of what an application is to hear begin another file, if it is due.
    fn turn_over(&self) {
        let Some(events) = &self.shared.events else { return };
        let revoked = lock(&self.shared.revoked).clone();
        if let Err(error) = events.turn_over(&revoked) {
            tracing::error!(%error, "the journal of what an application is to hear cannot be turned over");
        }
    }

    async fn beat(&self) -> Result<(), Unanswered> {
        let asked = Instant::now();
        let beat = self.shared.live.beat(self.shared.node).await?;
        if self.shared.nodes.beaten(asked, beat) {
            // Their members are dropped.
            self.suspect_all();
        }
        Ok(())
    }

    /// Has every room look whether it still is what it thinks: some at a time, so that the store can answer all of them in time.
    fn suspect_all(&self) {
        let rooms = self.all();
        tokio::spawn(async move {
            for some in rooms.chunks(TOGETHER) {
                for room in some {
                    lock(&room.state).suspect();
                    room.work.notify_one();
                }
                sleep(PAUSE).await;
            }
        });
    }

    /// Has rooms look whether the store answers again.
    fn suspect_apart(&self) {
        for room in self.all() {
            if lock(&room.state).is_apart() {
                room.work.notify_one();
            }
        }
    }

    /// Hears what the store tells.
    async fn hear(self, mut news: mpsc::Receiver<News>) {
        while let Some(news) = news.recv().await {
            match news {
                News::Stored { room, entries } => {
                    let Some(room) = self.find(&room) else { continue };
                    lock(&room.state).apply_all(&room.id, &entries, &self.shared);
                    room.work.notify_one();
                }
                News::Relayed { room, from, bytes } => {
                    if from == self.shared.node {
                        continue;
                    }
                    let (Some(room), Ok(relayed)) = (self.find(&room), postcard::from_bytes(&bytes)) else {
                        continue;
                    };
                    let Relayed { epoch, from, draft, time } = relayed;
                    let state = lock(&room.state);
                    if state.seen(|replica| replica.applied().epoch) == Some(epoch) {
                        state.relayed(from.as_ref(), &draft, time);
                    }
                }
                News::Interrupted => {
                    tracing::info!("what Redis tells was interrupted: rooms are read");
                    self.suspect_all();
                }
            }
        }
    }

    /// Passes volatile messages on to other nodes, in their order.
    async fn relay(self, mut relays: mpsc::Receiver<(RoomId, Vec<u8>)>) {
        let mut together = Vec::with_capacity(TOGETHER);
        while relays.recv_many(&mut together, TOGETHER).await > 0 {
            let (live, node) = (&self.shared.live, self.shared.node);
            let passing = together.iter().map(|(room, bytes)| live.relay(room, node, bytes));
            let lost = join_all(passing).await.into_iter().filter(Result::is_err).count();
            counter!("interplay_room_volatile_total", "result" => "dropped").increment(lost as u64);
            together.clear();
        }
    }

    /// Closes every connection; rooms stay.
    pub(super) fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        for room in self.all() {
            lock(&room.state).go_away();
        }
    }

    /// Waits until other nodes can know that nobody is connected here, and says that this node is gone.
    pub(super) async fn finish(&self) {
        let settled = async {
            while !self.all().iter().all(|room| lock(&room.state).is_settled()) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SETTLE, settled).await.ok();
        if let Err(error) = self.shared.live.part(self.shared.node).await {
            tracing::warn!(%error, "cannot say that this node is gone; others find out");
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(super) fn health(&self) -> Health {
        if self.shared.nodes.is_answered() { Health::Well } else { Health::Apart }
    }

    /// The store's time, as well as this node knows it.
    pub(super) fn now(&self) -> Timestamp {
        self.shared.nodes.now()
    }

    fn origin(&self) -> Origin {
        let opening = self.shared.openings.fetch_add(1, Ordering::Relaxed) + 1;
        Origin { node: self.shared.node, opening }
    }

    fn all(&self) -> Vec<Arc<Room>> {
        self.shared.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.shared.rooms.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// A room is closed here.
    fn forget(&self, room: &Arc<Room>) {
        let mut rooms = self.shared.rooms.write().unwrap_or_else(PoisonError::into_inner);
        rooms.remove(&room.id);
        gauge!("interplay_rooms").set(rooms.len() as f64);
    }

    /// Asks a room for something, which is opened for it if it is not open here, and waits for the answer.
    async fn ask<T>(
        &self,
        id: &RoomId,
        may_be_repeated: bool,
        make: impl Fn(oneshot::Sender<T>) -> Ask,
    ) -> Result<(Arc<Room>, T), Unasked> {
        let asking = async {
            loop {
                let (answer, answered) = oneshot::channel();
                let room = self.put(id, make(answer))?;
                let Some(room) = room else {
                    // It is being closed here: it is opened again in a moment.
                    sleep(Duration::from_millis(5)).await;
                    continue;
                };
                match answered.await {
                    Ok(answer) => return Ok((room, answer)),
                    // It was given up in the meantime; what was asked may have been done.
                    Err(_) if !may_be_repeated => return Err(Unasked::Late),
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(Unasked::Late))
    }

    /// Hands a room what is asked. None when it is being closed here.
    fn put(&self, id: &RoomId, ask: Ask) -> Result<Option<Arc<Room>>, Unasked> {
        let put = |room: Arc<Room>, ask| {
            let is_taken = lock(&room.state).ask(id, ask, &self.shared);
            room.work.notify_one();
            is_taken.then_some(room)
        };
        if let Some(room) = self.find(id) {
            return Ok(put(room, ask));
        }
        let mut rooms = self.shared.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(id).cloned() {
            drop(rooms);
            return Ok(put(room, ask));
        }
        if rooms.len() >= self.shared.limits.rooms {
            return Err(Unasked::TooManyRooms);
        }
        let room = Room::new(id.clone(), ask);
        rooms.insert(id.clone(), Arc::clone(&room));
        gauge!("interplay_rooms").set(rooms.len() as f64);
        drop(rooms);
        tokio::spawn(task::tend(self.clone(), Arc::clone(&room)));
        Ok(Some(room))
    }

    /// A member comes, or comes back.
    pub(super) async fn join(
        &self,
        claims: &Claims,
        join: &Join,
        accepted: Fence,
        outbox: &Arc<Outbox>,
    ) -> Result<Box<dyn Membership>, CloseCode> {
        if self.is_stopping() {
            return Err(CloseCode::GoingAway);
        }
        if self.is_revoked(claims).await {
            return Err(CloseCode::Kicked);
        }
        let accepted = Timestamp::from_micros(accepted.0);
        let make = |answer| Ask::Join {
            member: claims.member.clone(),
            join: join.clone(),
            accepted,
            outbox: Arc::clone(outbox),
            answer,
        };
        let (room, answer) = self.ask(&claims.room, true, make).await.map_err(|error| match error {
            Unasked::TooManyRooms => CloseCode::TooManyRooms,
            Unasked::Late => CloseCode::Unavailable,
        })?;
        let member = claims.member.clone();
        let seated = answer.map(|fence| Seated { cluster: self.clone(), room, member, fence })?;
        // It may have been removed while it came, over another node.
        let is_apart = lock(&seated.room.state).is_apart();
        if !is_apart && self.is_revoked(claims).await {
            seated.leave();
            return Err(CloseCode::Kicked);
        }
        // Those who were here have been told.
        if self.is_stopping() {
            return Err(CloseCode::GoingAway);
        }
        Ok(Box::new(seated))
    }

    fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Relaxed)
    }

    /// Whether this node knows that a token is void.
    pub(super) fn is_known_as_revoked(&self, claims: &Claims) -> bool {
        let revoked = lock(&self.shared.revoked);
        let until = revoked.get(&(claims.room.clone(), claims.member.clone()));
        until.is_some_and(|&until| claims.issued <= until)
    }

    /// Whether a token is void. While the store does not answer, for all that this node knows: members must be able to come
    /// back then.
    pub(super) async fn is_revoked(&self, claims: &Claims) -> bool {
        match self.shared.live.revoked(&claims.room, &claims.member).await {
            Ok(Some(until)) => self.shared.note_revoked(&claims.room, &claims.member, until),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot ask which tokens are void"),
        }
        self.is_known_as_revoked(claims)
    }

    /// The application's own server sends.
    pub(super) async fn publish(&self, id: &RoomId, draft: Draft) -> Published {
        let make = |answer| Ask::Publish { draft: draft.clone(), answer };
        let asked = self.ask(id, false, make).await.map_err(|error| match error {
            Unasked::TooManyRooms => PublishError::TooManyRooms,
            Unasked::Late => PublishError::Unavailable,
        });
        asked?.1
    }

    /// A member is removed if it is there, and its tokens of before are void in this room.
    pub(super) async fn kick(&self, id: &RoomId, member: &MemberId) -> Result<(), Unanswered> {
        let until = self.now().as_micros() / 1_000_000;
        self.shared.live.revoke(id, member, until, Duration::from_secs(LONGEST_TOKEN)).await?;
        self.shared.note_revoked(id, member, until);
        let is_there = async || self.look(id, |log| log.member(member).is_some()).await;
        if is_there().await? == Some(true) {
            let asked = self.ask(id, false, |answer| Ask::Leave { member: member.clone(), answer }).await;
            if asked.is_err() && is_there().await? == Some(true) {
                return Err(Unanswered::Lost("the room does not answer".to_owned()));
            }
        }
        Ok(())
    }

    /// Ends a room with everything in it.
    pub(super) async fn delete(&self, id: &RoomId) -> Result<bool, Unanswered> {
        if self.look(id, |_| ()).await?.is_none() {
            return Ok(false);
        }
        // Another may have ended it just now, and a room of its name may have begun: it is not asked twice.
        let asked = self.ask(id, false, |answer| Ask::End { answer }).await;
        if asked.is_err() && self.look(id, |_| ()).await?.is_some() {
            return Err(Unanswered::Lost("the room does not answer".to_owned()));
        }
        Ok(true)
    }

    /// Looks at a room, here or in the store. None when there is none.
    async fn look<T>(&self, id: &RoomId, see: impl Fn(&Log) -> T) -> Result<Option<T>, Unanswered> {
        let seen = |replica: &Replica| see(here(replica));
        if let Some(room) = self.find(id)
            && let Some(found) = lock(&room.state).seen(seen)
        {
            return Ok(Some(found));
        }
        let Some(opened) = self.shared.live.peek(id).await? else { return Ok(None) };
        match Replica::open(Origin { node: self.shared.node, opening: 0 }, &opened) {
            Ok(replica) if !replica.is_over() => Ok(Some(seen(&replica))),
            Ok(_) => Ok(None),
            Err(error) => Err(Unanswered::Strange(error.to_string())),
        }
    }

    /// One room.
    pub(super) async fn info(&self, id: &RoomId) -> Result<Option<RoomInfo>, Unanswered> {
        let Some(mut info) = self.look(id, |log| RoomInfo::of(id, log)).await? else { return Ok(None) };
        for member in &mut info.members {
            member.quality = self.quality(id, &member.member).await;
        }
        Ok(Some(info))
    }

    /// One member.
    pub(super) async fn member(
        &self,
        id: &RoomId,
        member: &MemberId,
    ) -> Result<Option<MemberState>, Unanswered> {
        let found =
            self.look(id, |log| log.member(member).map(|found| MemberState::of(member, found))).await?;
        let Some(mut found) = found.flatten() else { return Ok(None) };
        found.quality = self.quality(id, member).await;
        if let Some(room) = self.find(id)
            && let Some(Some(seen)) = lock(&room.state).seen(|replica| replica.last_seen(member))
        {
            found.last_seen = found.last_seen.max(wall(seen));
        }
        Ok(Some(found))
    }

    /// What a member told of its connection, if that can be known now.
    async fn quality(&self, id: &RoomId, member: &MemberId) -> Option<Quality> {
        if !self.shared.nodes.is_answered() {
            return None;
        }
        let note = self.shared.live.note(id, member).await.ok().flatten()?;
        serde_json::from_slice(&note).ok()
    }

    /// A member has told how good its connection is. False when it is not there.
    pub(super) async fn set_quality(
        &self,
        id: &RoomId,
        member: &MemberId,
        quality: Quality,
    ) -> Result<bool, Unanswered> {
        if self.look(id, |log| log.member(member).is_some()).await? != Some(true) {
            return Ok(false);
        }
        let note = serde_json::to_vec(&quality).unwrap_or_default();
        self.shared.live.set_note(id, member, &note).await
    }

    /// The first rooms by name, after one if it is given.
    pub(super) async fn list(&self, after: Option<&str>, most: usize) -> Result<Vec<RoomInfo>, Unanswered> {
        let mut infos = Vec::new();
        for id in self.shared.live.list(after, most).await? {
            infos.extend(self.info(&id).await?);
        }
        Ok(infos)
    }
}

/// Begins to tell an application what becomes of members.
fn events(
    webhook: Webhook,
    data: &Path,
    limits: Limits,
    node: NodeId,
) -> anyhow::Result<(Arc<Events>, Revocations)> {
    let now = Timestamp::from_millis(crate::stage::wall_time().0);
    let (journal, mut restored) = Journal::open(data, limits.log, now, true)?;
    let (next, untold) = (restored.next_event(now), std::mem::take(&mut restored.events));
    let events = Events::start(webhook, Arc::new(journal), untold, next, Some(node))?;
    // The folder may have been that of a server without other nodes.
    Ok((events, restored.revoked))
}

/// Why nothing came of what was asked.
enum Unasked {
    TooManyRooms,
    Late,
}

/// A member's connection.
struct Seated {
    cluster: Cluster,
    room: Arc<Room>,
    member: MemberId,
    fence: Fence,
}

impl Seated {
    /// Does something under the room's lock, after which there may be something to do for its task.
    fn with<T>(&self, does: impl FnOnce(&mut room::State, &Shared) -> T) -> T {
        let done = does(&mut lock(&self.room.state), &self.cluster.shared);
        self.room.work.notify_one();
        done
    }
}

impl Membership for Seated {
    fn send(&self, claims: &Claims, send: Send) {
        self.with(|state, shared| state.send(claims, self.fence, send, shared));
    }

    fn pull(&self, most: (usize, usize)) -> Result<Vec<(u64, Arc<Message>)>, CloseCode> {
        lock(&self.room.state).pull(&self.member, self.fence, most)
    }

    fn tip(&self) -> Option<u64> {
        lock(&self.room.state).tip(&self.member, self.fence)
    }

    fn acknowledge(&self, sequence: u64) {
        self.with(|state, _| state.acknowledge(&self.member, self.fence, sequence));
    }

    fn heard(&self) {
        lock(&self.room.state).heard(&self.member, self.fence, &self.cluster.shared);
    }

    fn leave(&self) {
        self.with(|state, shared| state.leave(&self.member, self.fence, shared));
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.with(|state, shared| state.disconnect(&self.member, self.fence, shared));
    }
}
