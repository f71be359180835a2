//! Rooms of one server: live ones, in this process, mirrored to a journal so that a restart keeps them (R1–R11).
//!
//! A room is a [`Log`] behind a lock. What must survive is written down under the same lock, before anybody is
//! told; writing is handing bytes to the system, which takes microseconds.

pub(super) mod journal;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base::{Timestamp, WallTime};
use metrics::{counter, gauge};
use room::log::{Draft, JoinError, Log, Message, PullError, SendError, Sent};
use wire::close::CloseCode;
use wire::lane::Quality;
use wire::room::{Class, Epoch, Fence, Join, MemberId, Presence, RoomId, Send, SendRefusal, ServerFrame};

use super::outbox::Outbox;
use super::token::{Claims, LONGEST_TOKEN, Right};
use super::webhook::{Events, Webhook};
use super::{
    Health, Limits, MemberState, Membership, PublishError, RoomInfo, lock, offer, volatile, welcome,
};
use crate::stage::wall_time;
use journal::{Journal, Record, Revocations};

/// How often rooms that are over are looked for: what is over is gone within 100 ms (R6).
const SWEEP: Duration = Duration::from_millis(50);

/// How often the journal may begin another file.
pub(super) const TURN_OVER: Duration = Duration::from_secs(10);

/// All rooms; clones share them.
#[derive(Clone)]
pub(crate) struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    rooms: RwLock<HashMap<RoomId, Arc<Room>>>,
    journal: Arc<Journal>,
    /// What an application's own server is to hear.
    events: Option<Arc<Events>>,
    revoked: Mutex<Revocations>,
    limits: Limits,
    /// When which room has something to do.
    deadlines: Mutex<BinaryHeap<Reverse<(Timestamp, RoomId)>>>,
    fence: AtomicU64,
    /// The clock: the wall's at the start, and monotonic from then on.
    started: (Instant, WallTime),
}

/// One room.
pub(in crate::rooms) struct Room {
    pub(super) id: RoomId,
    state: Mutex<State>,
}

struct State {
    log: Log,
    connections: HashMap<MemberId, (Fence, Arc<Outbox>)>,
    /// What members told of their connections.
    qualities: BTreeMap<MemberId, Quality>,
    /// It is no longer among the rooms.
    is_over: bool,
    /// The deadline that is in the heap.
    scheduled: Option<Timestamp>,
}

impl Rooms {
    /// Opens a data folder's rooms.
    pub(in crate::rooms) fn open(
        data: &Path,
        limits: Limits,
        webhook: Option<Webhook>,
    ) -> anyhow::Result<Self> {
        let started = (Instant::now(), wall_time());
        let now = Timestamp::from_millis(started.1.0);
        let (journal, mut restored) = Journal::open(data, limits.log, now, webhook.is_some())?;
        let journal = Arc::new(journal);
        let (next, untold) = (restored.next_event(now), std::mem::take(&mut restored.events));
        let begin = |webhook| Events::start(webhook, Arc::clone(&journal), untold, next, None);
        let events = webhook.map(begin).transpose()?;
        let shared = Shared {
            rooms: RwLock::default(),
            journal,
            events,
            revoked: Mutex::new(restored.revoked),
            limits,
            deadlines: Mutex::default(),
            fence: AtomicU64::new(restored.fence.0),
            started,
        };
        let rooms = Self { shared: Arc::new(shared) };
        for (id, log) in restored.rooms {
            let room = Room::new(id.clone(), log);
            rooms.shared.rooms.write().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&room));
            rooms.schedule(&room, &mut lock(&room.state));
        }
        Ok(rooms)
    }

    /// Sees to the rooms' deadlines, for as long as it runs.
    pub(in crate::rooms) async fn tend(self) {
        let mut ticks = tokio::time::interval(SWEEP);
        let mut turned = Instant::now();
        let mut turning = tokio::task::spawn_blocking(|| {});
        loop {
            ticks.tick().await;
            self.sweep();
            // Deadlines do not wait for the disk.
            if turned.elapsed() >= TURN_OVER && turning.is_finished() {
                turned = Instant::now();
                let rooms = self.clone();
                turning = tokio::task::spawn_blocking(move || {
                    if let Err(error) = rooms.turn_over() {
                        tracing::error!(%error, "the rooms' journal cannot be turned over");
                    }
                });
            }
        }
    }

    /// Closes every connection; rooms stay.
    pub(in crate::rooms) fn stop(&self) {
        for room in self.all() {
            for (_, outbox) in lock(&room.state).connections.values() {
                outbox.close(CloseCode::GoingAway);
            }
        }
    }

    pub(in crate::rooms) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether what is written down can be relied on.
    pub(in crate::rooms) fn health(&self) -> Health {
        if self.shared.journal.is_broken() { Health::Broken } else { Health::Well }
    }

    pub(in crate::rooms) fn now(&self) -> Timestamp {
        let (start, wall) = self.shared.started;
        Timestamp::from_millis(wall.0) + start.elapsed()
    }

    /// The number of a connection that is accepted now.
    pub(in crate::rooms) fn accept(&self) -> Fence {
        let now = self.now().as_micros();
        let last = self.shared.fence.fetch_max(now, Ordering::Relaxed);
        if last < now {
            return Fence(now);
        }
        Fence(self.shared.fence.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn find(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.shared.rooms.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// The room of this name, which may begin now.
    fn find_or_begin(&self, id: &RoomId) -> Result<Arc<Room>, CloseCode> {
        if let Some(room) = self.find(id) {
            return Ok(room);
        }
        let unavailable = |error: anyhow::Error| {
            tracing::error!(%error, room = %id, "a room cannot begin");
            CloseCode::Unavailable
        };
        let epoch = Epoch(u64::from_le_bytes(crate::token::random().map_err(unavailable)?));
        let mut rooms = self.shared.rooms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = rooms.get(id) {
            return Ok(Arc::clone(room));
        }
        if rooms.len() >= self.shared.limits.rooms {
            return Err(CloseCode::TooManyRooms);
        }
        self.shared.journal.write(id, &[Record::Opened { epoch: epoch.0 }]).map_err(unavailable)?;
        let room = Room::new(id.clone(), Log::new(epoch, self.shared.limits.log, self.now()));
        rooms.insert(id.clone(), Arc::clone(&room));
        gauge!("interplay_rooms").set(rooms.len() as f64);
        Ok(room)
    }

    /// Removes a room; whoever looks for it finds another.
    fn end(&self, room: &Room, state: &mut State, code: CloseCode) {
        state.is_over = true;
        let mut rooms = self.shared.rooms.write().unwrap_or_else(PoisonError::into_inner);
        rooms.remove(&room.id);
        gauge!("interplay_rooms").set(rooms.len() as f64);
        // Before another of its name can begin: what is read back is in this order.
        let members: Vec<_> = state.log.members().map(|(member, _)| (member, Presence::Left)).collect();
        self.note(room, vec![Record::Closed], &members).ok();
        drop(rooms);
        for (_, outbox) in state.connections.values() {
            outbox.close(code);
        }
        state.connections.clear();
    }

    /// Writes down what belongs together, with what the application is to hear of it.
    fn note(
        &self,
        room: &Room,
        records: Vec<Record>,
        became: &[(&MemberId, Presence)],
    ) -> anyhow::Result<()> {
        match &self.shared.events {
            Some(events) if !became.is_empty() => events.tell(&room.id, became, wall_time(), records),
            _ => self.shared.journal.write(&room.id, &records),
        }
    }

    /// Writes something down before anybody is told; `became` is what happened to a member with it. If that fails, the
    /// room's next numbers are in doubt: it ends, and its members come back to another epoch.
    fn write(
        &self,
        room: &Room,
        state: &mut State,
        record: Record,
        became: Option<(&MemberId, Presence)>,
    ) -> bool {
        match self.note(room, vec![record], became.as_slice()) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, room = %room.id, "a room ends: it cannot be written down");
                self.end(room, state, CloseCode::Unavailable);
                false
            }
        }
    }

    /// Sees to it that the room is looked at in time.
    fn schedule(&self, room: &Room, state: &mut State) {
        let due = state.log.poll_timeout().filter(|_| !state.is_over);
        if let Some(at) = due.filter(|&at| state.scheduled.is_none_or(|scheduled| at < scheduled)) {
            state.scheduled = Some(at);
            lock(&self.shared.deadlines).push(Reverse((at, room.id.clone())));
        }
    }

    fn sweep(&self) {
        let now = self.now();
        loop {
            let due = {
                let mut deadlines = lock(&self.shared.deadlines);
                match deadlines.peek() {
                    Some(Reverse((at, _))) if *at <= now => deadlines.pop(),
                    _ => return,
                }
            };
            let Some(Reverse((at, id))) = due else { return };
            let Some(room) = self.find(&id) else { continue };
            let mut state = lock(&room.state);
            // It was put earlier since, and done then.
            if state.scheduled != Some(at) {
                continue;
            }
            state.scheduled = None;
            state.log.handle_timeout(now);
            if state.log.is_over(now) && !state.is_over {
                tracing::debug!(room = %room.id, "a room has expired");
                counter!("interplay_rooms_ended_total", "reason" => "expired").increment(1);
                self.end(&room, &mut state, CloseCode::RoomDeleted);
            }
            self.schedule(&room, &mut state);
        }
    }

    fn turn_over(&self) -> anyhow::Result<()> {
        let Some(number) = self.shared.journal.turn_over()? else { return Ok(()) };
        for room in self.all() {
            let state = lock(&room.state);
            if !state.is_over {
                self.shared.journal.write_whole(&room.id, &state.log)?;
            }
        }
        if let Some(events) = &self.shared.events {
            events.write_whole()?;
        }
        let revoked = {
            let mut revoked = lock(&self.shared.revoked);
            let now = wall_time().0 / 1000;
            revoked.retain(|_, until| *until + LONGEST_TOKEN > now);
            revoked.clone()
        };
        self.shared.journal.write_revocations(&revoked)?;
        self.shared.journal.sync()?;
        self.shared.journal.remove_before(number)
    }

    fn all(&self) -> Vec<Arc<Room>> {
        self.shared.rooms.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// As [`Rooms::join`], for a socket.
    pub(super) fn take_in(
        &self,
        claims: &Claims,
        join: &Join,
        fence: Fence,
        outbox: &Arc<Outbox>,
    ) -> Result<Box<dyn Membership>, CloseCode> {
        let room = self.join(claims, join, fence, outbox)?;
        Ok(Box::new(Seated { rooms: self.clone(), room, member: claims.member.clone(), fence }))
    }

    /// A member comes, or comes back, over a connection that was accepted under `fence`.
    pub(super) fn join(
        &self,
        claims: &Claims,
        join: &Join,
        fence: Fence,
        outbox: &Arc<Outbox>,
    ) -> Result<Arc<Room>, CloseCode> {
        loop {
            if self.is_revoked(claims) {
                return Err(CloseCode::Kicked);
            }
            let room = self.find_or_begin(&claims.room)?;
            let mut state = lock(&room.state);
            if state.is_over {
                continue;
            }
            let joined = self.join_room(&room, &mut state, claims, join, (fence, outbox));
            // A room that began for nobody ends like any other.
            self.schedule(&room, &mut state);
            drop(state);
            return joined.map(|()| room);
        }
    }

    fn join_room(
        &self,
        room: &Room,
        state: &mut State,
        claims: &Claims,
        join: &Join,
        (fence, outbox): (Fence, &Arc<Outbox>),
    ) -> Result<(), CloseCode> {
        let member = &claims.member;
        // It may have been removed in the meantime.
        if self.is_revoked(claims) {
            return Err(CloseCode::Kicked);
        }
        let joined = state.log.join(member, fence, join.resume, join.after, join.sender.as_ref(), self.now());
        let joined = joined.map_err(|error| match error {
            JoinError::Replaced => CloseCode::Replaced,
            JoinError::Full => CloseCode::RoomFull,
        })?;
        if let Some(evicted) = &joined.evicted {
            self.left(room, state, evicted);
        }
        let presence = joined.presence();
        if let Some(record) = state.log.member(member).map(room::log::Member::record) {
            let record = Record::Member { member: member.clone(), record };
            if !self.write(room, state, record, presence.map(|presence| (member, presence))) {
                return Err(CloseCode::Unavailable);
            }
        }
        welcome(outbox, (&room.id, &state.log), (member, fence), &joined, self.limits());
        if let Some((_, older)) = state.connections.insert(member.clone(), (fence, Arc::clone(outbox))) {
            older.close(CloseCode::Replaced);
        }
        if let Some(presence) = presence {
            state.tell_others(member, presence);
        }
        Ok(())
    }

    /// Whether a token was given before its member was removed.
    pub(in crate::rooms) fn is_revoked(&self, claims: &Claims) -> bool {
        let revoked = lock(&self.shared.revoked);
        let until = revoked.get(&(claims.room.clone(), claims.member.clone()));
        until.is_some_and(|&until| claims.issued <= until)
    }

    /// A member sends.
    pub(in crate::rooms) fn send(&self, room: &Room, claims: &Claims, fence: Fence, send: Send) {
        let mut state = lock(&room.state);
        let Some(outbox) = state.outbox(&claims.member, fence) else { return };
        let Send { n, class, to, payload, acknowledged } = send;
        if let Some(sequence) = acknowledged {
            self.acknowledge_in(room, &mut state, &claims.member, fence, sequence);
        }
        let refused = |code| {
            counter!("interplay_refusals_total", "reason" => "send").increment(1);
            outbox.tell(&ServerFrame::Refused { n, code });
        };
        if !claims.may(Right::Send) {
            return refused(SendRefusal::NotAllowed);
        }
        if payload.len() > self.shared.limits.message {
            return refused(SendRefusal::TooLong);
        }
        let draft = Draft { to, class, payload };
        if class == Class::Volatile {
            if !state.relay(Some(&claims.member), &draft) {
                refused(SendRefusal::NoSuchMember);
            }
            return;
        }
        let sent = state.log.send(&claims.member, fence, n, draft, (self.now(), wall_time()));
        let n = n.unwrap_or_default();
        match sent {
            Ok(Sent::New(message)) => {
                let sender = state.log.member(&claims.member).and_then(|member| member.sender().cloned());
                let record = Record::message(&message, sender.map(|sender| (sender, n)));
                if self.write(room, &mut state, record, None) {
                    outbox.tell(&ServerFrame::Sent { n, sequence: Some(message.sequence) });
                    state.appended(&message);
                }
            }
            Ok(Sent::Repeat(sequence)) => {
                counter!("interplay_room_repeats_total").increment(1);
                outbox.tell(&ServerFrame::Sent { n, sequence });
            }
            Err(SendError::NoSuchMember) => refused(SendRefusal::NoSuchMember),
            Err(SendError::Fenced) => {}
        }
        self.schedule(room, &mut state);
    }

    /// The application's own server sends. A room that is not there begins.
    pub(in crate::rooms) fn publish(
        &self,
        id: &RoomId,
        draft: Draft,
    ) -> Result<(Epoch, Option<u64>), PublishError> {
        loop {
            let room = self.find_or_begin(id).map_err(|code| match code {
                CloseCode::TooManyRooms => PublishError::TooManyRooms,
                _ => PublishError::Unavailable,
            })?;
            let mut state = lock(&room.state);
            if state.is_over {
                continue;
            }
            let epoch = state.log.epoch();
            if draft.class == Class::Volatile {
                let known = state.relay(None, &draft);
                self.schedule(&room, &mut state);
                return known.then_some((epoch, None)).ok_or(PublishError::NoSuchMember);
            }
            let sent = state.log.publish(draft, self.now(), wall_time());
            let message = sent.map_err(|_| PublishError::NoSuchMember);
            if let Ok(message) = &message {
                if !self.write(&room, &mut state, Record::message(message, None), None) {
                    return Err(PublishError::Unavailable);
                }
                state.appended(message);
            }
            self.schedule(&room, &mut state);
            return message.map(|message| (epoch, Some(message.sequence)));
        }
    }

    /// The next messages for a connection, each with its `prev`.
    pub(in crate::rooms) fn pull(
        &self,
        room: &Room,
        member: &MemberId,
        fence: Fence,
        most: (usize, usize),
    ) -> Result<Vec<(u64, Arc<Message>)>, CloseCode> {
        let pulled = lock(&room.state).log.pull(member, fence, most);
        pulled.map_err(|error| match error {
            PullError::Fenced => CloseCode::Replaced,
            PullError::Overrun => CloseCode::SlowReader,
        })
    }

    /// The number of the newest message for a member, if its connection has been handed it.
    pub(in crate::rooms) fn tip(&self, room: &Room, member: &MemberId) -> Option<u64> {
        let state = lock(&room.state);
        state.log.member(member).filter(|member| member.cursor() >= member.tip()).map(room::log::Member::tip)
    }

    /// A member has everything up to a number.
    pub(in crate::rooms) fn acknowledge(&self, room: &Room, member: &MemberId, fence: Fence, sequence: u64) {
        let mut state = lock(&room.state);
        self.acknowledge_in(room, &mut state, member, fence, sequence);
    }

    fn acknowledge_in(&self, room: &Room, state: &mut State, member: &MemberId, fence: Fence, sequence: u64) {
        if !state.is_over && state.log.acknowledge(member, fence, sequence, self.now()) {
            self.write(room, state, Record::Acknowledged { member: member.clone(), sequence }, None);
        }
    }

    /// Something was heard from a member.
    pub(in crate::rooms) fn heard(&self, room: &Room, member: &MemberId, fence: Fence) {
        lock(&room.state).log.heard(member, fence, self.now());
    }

    /// A connection is gone.
    pub(in crate::rooms) fn dropped(&self, room: &Room, member: &MemberId, fence: Fence) {
        let mut state = lock(&room.state);
        if state.connections.get(member).is_some_and(|(current, _)| *current == fence) {
            state.connections.remove(member);
        }
        if state.is_over || !state.log.drop(member, fence, self.now()) {
            return;
        }
        let record = Record::Dropped { member: member.clone(), at: wall_time() };
        if self.write(room, &mut state, record, Some((member, Presence::Dropped))) {
            state.tell_others(member, Presence::Dropped);
            self.schedule(room, &mut state);
        }
    }

    /// A member leaves for good.
    pub(in crate::rooms) fn leave(&self, room: &Room, member: &MemberId, fence: Fence) {
        let mut state = lock(&room.state);
        let outbox = state.outbox(member, fence);
        if !state.is_over && state.log.leave(member, Some(fence), self.now()) {
            self.left(room, &mut state, member);
        }
        outbox.inspect(|outbox| outbox.close(CloseCode::Left));
    }

    /// A member is removed if it is there, and its tokens of before are void in this room.
    pub(in crate::rooms) fn kick(&self, id: &RoomId, member: &MemberId) -> anyhow::Result<()> {
        let (revoked, until) = ((id.clone(), member.clone()), wall_time().0 / 1000);
        lock(&self.shared.revoked).insert(revoked.clone(), until);
        let written = self.shared.journal.write_revocations(&Revocations::from([(revoked, until)]));
        let written = written.and_then(|()| self.shared.journal.sync());
        if let Some(room) = self.find(id) {
            let mut state = lock(&room.state);
            if !state.is_over && state.log.leave(member, None, self.now()) {
                if let Some((_, outbox)) = state.connections.get(member) {
                    outbox.close(CloseCode::Kicked);
                }
                self.left(&room, &mut state, member);
            }
        }
        written
    }

    fn left(&self, room: &Room, state: &mut State, member: &MemberId) {
        state.connections.remove(member);
        state.qualities.remove(member);
        let record = Record::Left { member: member.clone() };
        if !self.write(room, state, record, Some((member, Presence::Left))) {
            return;
        }
        state.tell_others(member, Presence::Left);
        if state.log.is_over(self.now()) {
            counter!("interplay_rooms_ended_total", "reason" => "left").increment(1);
            self.end(room, state, CloseCode::RoomDeleted);
        }
        self.schedule(room, state);
    }

    /// Ends a room with everything in it. False when there is none.
    pub(in crate::rooms) fn delete(&self, id: &RoomId) -> bool {
        let Some(room) = self.find(id) else { return false };
        let mut state = lock(&room.state);
        if state.is_over {
            return false;
        }
        counter!("interplay_rooms_ended_total", "reason" => "deleted").increment(1);
        self.end(&room, &mut state, CloseCode::RoomDeleted);
        true
    }

    /// One room.
    pub(in crate::rooms) fn info(&self, id: &RoomId) -> Option<RoomInfo> {
        self.find(id).map(|room| room.info())
    }

    /// One member.
    pub(in crate::rooms) fn member(&self, id: &RoomId, member: &MemberId) -> Option<MemberState> {
        let room = self.find(id)?;
        let state = lock(&room.state);
        state.log.member(member).map(|found| state.member(member, found))
    }

    /// A member has told how good its connection is. False when it is not there.
    pub(in crate::rooms) fn set_quality(&self, id: &RoomId, member: &MemberId, quality: Quality) -> bool {
        let Some(room) = self.find(id) else { return false };
        let mut state = lock(&room.state);
        let known = state.log.member(member).is_some();
        if known {
            state.qualities.insert(member.clone(), quality);
        }
        known
    }

    /// The first rooms by name, after one if it is given.
    pub(in crate::rooms) fn list(&self, after: Option<&str>, most: usize) -> Vec<RoomInfo> {
        let mut rooms = self.all();
        rooms.retain(|room| after.is_none_or(|after| room.id.as_str() > after));
        rooms.sort_by(|one, other| one.id.cmp(&other.id));
        rooms.iter().take(most).map(|room| room.info()).collect()
    }
}

impl Room {
    fn new(id: RoomId, log: Log) -> Arc<Self> {
        let state = State {
            log,
            connections: HashMap::new(),
            qualities: BTreeMap::new(),
            is_over: false,
            scheduled: None,
        };
        Arc::new(Self { id, state: Mutex::new(state) })
    }

    fn info(&self) -> RoomInfo {
        let state = lock(&self.state);
        let mut info = RoomInfo::of(&self.id, &state.log);
        for member in &mut info.members {
            member.quality = state.qualities.get(&member.member).copied();
        }
        info
    }
}

impl State {
    fn member(&self, id: &MemberId, member: &room::log::Member) -> MemberState {
        MemberState { quality: self.qualities.get(id).copied(), ..MemberState::of(id, member) }
    }

    fn outbox(&self, member: &MemberId, fence: Fence) -> Option<Arc<Outbox>> {
        let (current, outbox) = self.connections.get(member)?;
        (*current == fence).then(|| Arc::clone(outbox))
    }

    fn tell_others(&self, member: &MemberId, state: Presence) {
        let frame = ServerFrame::Presence { member: member.clone(), state };
        for (_, (_, outbox)) in self.connections.iter().filter(|(other, _)| *other != member) {
            outbox.tell(&frame);
        }
    }

    /// A message is in the log: its recipients' connections fetch it, and whoever does not is cut off (R8).
    fn appended(&self, message: &Message) {
        counter!("interplay_room_messages_total").increment(1);
        for (member, (_, outbox)) in &self.connections {
            if message.is_for(member) {
                outbox.wake();
            }
        }
        for (member, fence) in self.log.overrun() {
            if let Some(outbox) = self.outbox(member, fence) {
                outbox.close(CloseCode::SlowReader);
            }
        }
    }

    /// Passes a volatile message on to whoever is here. False when its recipient is no member.
    fn relay(&self, from: Option<&MemberId>, draft: &Draft) -> bool {
        if draft.to.as_ref().is_some_and(|to| self.log.member(to).is_none()) {
            return false;
        }
        let delivery = volatile(from, draft, wall_time());
        for (member, (_, outbox)) in &self.connections {
            if Some(member) != from && draft.to.as_ref().is_none_or(|to| to == member) {
                offer(outbox, &delivery);
            }
        }
        true
    }
}

/// A member's connection.
struct Seated {
    rooms: Rooms,
    room: Arc<Room>,
    member: MemberId,
    fence: Fence,
}

impl Membership for Seated {
    fn send(&self, claims: &Claims, send: Send) {
        self.rooms.send(&self.room, claims, self.fence, send);
    }

    fn pull(&self, most: (usize, usize)) -> Result<Vec<(u64, Arc<Message>)>, CloseCode> {
        self.rooms.pull(&self.room, &self.member, self.fence, most)
    }

    fn tip(&self) -> Option<u64> {
        self.rooms.tip(&self.room, &self.member)
    }

    fn acknowledge(&self, sequence: u64) {
        self.rooms.acknowledge(&self.room, &self.member, self.fence, sequence);
    }

    fn heard(&self) {
        self.rooms.heard(&self.room, &self.member, self.fence);
    }

    fn leave(&self) {
        self.rooms.leave(&self.room, &self.member, self.fence);
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.rooms.dropped(&self.room, &self.member, self.fence);
    }
}
