//! One room on this node: its replica, its connections, and what comes of what they ask.
//!
//! Everything here is done under the room's lock and waits for nothing. What has to be asked of the store, the room's task
//! finds with [`State::next`] (`task`).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::room::log::{Draft, JoinError, Joined, Log, Message, PullError, SendError, Sent};
use ::room::replica::{
    Applied, ClosedBy, Command, Entry, Handed, Outcome, Position, Replica, Reunion, Step, Stored,
};
use base::{Timestamp, WallTime};
use metrics::counter;
use tokio::sync::{Notify, oneshot};
use wire::close::CloseCode;
use wire::room::{Class, Epoch, Fence, Join, MemberId, Presence, RoomId, Send, SendRefusal, ServerFrame};

use super::{Shared, fresh_epoch};
use crate::rooms::outbox::Outbox;
use crate::rooms::{Claims, PublishError, Right, offer, volatile, wall, welcome};

/// How often a room is read although nothing tells that there is something: publications may be lost, and reading keeps it
/// from expiring (R6).
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// How long what members have acknowledged waits for something else to be appended with.
const ACKNOWLEDGE: Duration = Duration::from_millis(250);

/// How often the store is asked whether a room is over that nobody has come back to.
const EXPIRE_EVERY: Duration = Duration::from_millis(50);

/// How long a room is kept open that no connection of this node is in.
const LINGER: Duration = Duration::from_secs(5);

/// After so many entries, or bytes in them, since the last snapshot the next is due.
const ENTRIES: usize = 256;
const BYTES: usize = 1 << 20;

/// The most entries of an append, and about how many bytes.
const APPEND: (usize, usize) = (256, 256 * 1024);

/// As many entries, or about so many bytes, may wait for a store that takes them more slowly than they come.
const PENDING: (usize, usize) = (4096, 4 << 20);

/// A room on this node.
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) state: Mutex<State>,
    /// There may be something to do for its task.
    pub(super) work: Notify,
}

impl Room {
    pub(super) fn new(id: RoomId, asked: Ask) -> Arc<Self> {
        let state = State {
            replica: None,
            is_closed: false,
            connections: Vec::new(),
            waiting: HashMap::new(),
            asked: VecDeque::from([asked]),
            doubted: None,
            must_open: false,
            looked: Instant::now(),
            is_stale: false,
            grown: (0, 0),
            acknowledge: None,
            idle: Instant::now(),
            expires: Instant::now(),
            told: None,
        };
        Arc::new(Self { id, state: Mutex::new(state), work: Notify::new() })
    }
}

/// A connection of this node.
struct Connection {
    member: MemberId,
    fence: Fence,
    outbox: Arc<Outbox>,
    /// Whether its join was answered.
    is_joined: bool,
    /// Whether it came while the store did not answer.
    is_apart: bool,
    /// What it has acknowledged since that was last passed on.
    acknowledged: Option<u64>,
}

impl Connection {
    fn is(&self, member: &MemberId, fence: Fence) -> bool {
        self.fence == fence && self.member == *member
    }
}

/// What somebody wants, who waits for the answer. When the answer never comes, the room was given up: it may be asked again.
pub(super) enum Ask {
    Join {
        member: MemberId,
        join: Join,
        accepted: Timestamp,
        outbox: Arc<Outbox>,
        answer: oneshot::Sender<Answer>,
    },
    Publish {
        draft: Draft,
        answer: oneshot::Sender<Published>,
    },
    Leave {
        member: MemberId,
        answer: oneshot::Sender<()>,
    },
    End {
        answer: oneshot::Sender<()>,
    },
}

impl Ask {
    /// Whether nobody waits for the answer any more.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Join { answer, .. } => answer.is_closed(),
            Self::Publish { answer, .. } => answer.is_closed(),
            Self::Leave { answer, .. } | Self::End { answer } => answer.is_closed(),
        }
    }
}

/// What becomes of a join: the connection's number.
pub(super) type Answer = Result<Fence, CloseCode>;

/// What becomes of the application's message.
pub(super) type Published = Result<(Epoch, Option<u64>), PublishError>;

/// What waits for an entry to be applied.
enum Waiting {
    Join { member: MemberId, fence: Fence, answer: oneshot::Sender<Answer> },
    Send { member: MemberId, fence: Fence, n: u64 },
    Publish(oneshot::Sender<Published>),
    Done(oneshot::Sender<()>),
}

/// What a room's task is to do next.
pub(super) enum Next {
    /// Open the room.
    Open,
    /// End an epoch that is over, or in doubt.
    End(Epoch),
    Read(Position),
    Append(Position, Vec<Entry>),
    Compact(Position, Vec<u8>),
    /// Look whether the store answers again.
    Probe,
    /// Wait until there is something, at most until then.
    Wait(Instant),
    /// Nobody needs the room here.
    Close,
}

pub(super) struct State {
    /// None before it is opened.
    replica: Option<Box<Replica>>,
    is_closed: bool,
    connections: Vec<Connection>,
    /// By the entries' counters.
    waiting: HashMap<u64, Waiting>,
    /// What was asked before the room was open.
    asked: VecDeque<Ask>,
    /// An epoch that must not go on.
    doubted: Option<Epoch>,
    /// Whether the room is to be opened although nobody asks: it goes on, with connections that are no more.
    must_open: bool,
    /// When it was last read.
    looked: Instant,
    /// Whether something is known to be missing, or may be.
    is_stale: bool,
    /// Entries and bytes since the last snapshot.
    grown: (usize, usize),
    /// When acknowledgements are passed on at the latest.
    acknowledge: Option<Instant>,
    /// Since when no connection is here.
    idle: Instant,
    /// When the store may be asked whether the room is over.
    expires: Instant,
    /// Up to where an application was told what this node's entries made of members.
    told: Option<Position>,
}

impl State {
    /// Does what somebody wants, or keeps it until the room is open. False when the room is closed.
    pub(super) fn ask(&mut self, room: &RoomId, ask: Ask, shared: &Shared) -> bool {
        if self.is_closed {
            return false;
        }
        if self.replica.is_none() {
            self.asked.push_back(ask);
            return true;
        }
        match ask {
            Ask::Join { member, join, accepted, outbox, answer } => {
                self.join(room, member, &join, accepted, outbox, answer, shared);
            }
            Ask::Publish { draft, answer } => self.publish(room, draft, answer, shared),
            Ask::Leave { member, answer } => {
                self.leave_apart(&member, shared);
                self.propose(Command::Leave { member, fence: None }, Some(Waiting::Done(answer)));
            }
            Ask::End { answer } => self.propose(Command::End, Some(Waiting::Done(answer))),
        }
        true
    }

    fn propose(&mut self, command: Command, waiting: Option<Waiting>) {
        let Some(replica) = &mut self.replica else { return };
        let id = replica.propose(command);
        if let Some(waiting) = waiting {
            self.waiting.insert(id.counter, waiting);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a join is all of this")]
    fn join(
        &mut self,
        room: &RoomId,
        member: MemberId,
        join: &Join,
        accepted: Timestamp,
        outbox: Arc<Outbox>,
        answer: oneshot::Sender<Answer>,
        shared: &Shared,
    ) {
        // It may want to go on from there.
        self.pass_acknowledgements();
        let Some(replica) = &mut self.replica else { return };
        let &Join { resume, after, ref sender, .. } = join;
        let fence = replica.fence(accepted, after);
        let now = shared.nodes.now();
        let mut connection = Connection {
            member: member.clone(),
            fence,
            outbox,
            is_joined: false,
            is_apart: false,
            acknowledged: None,
        };
        let known = replica.apart().and_then(|log| log.member(&member)?.sender().cloned());
        let is_own = known.is_some() && known == *sender;
        let Some(joined) = replica.join_apart(&member, fence, resume, sender.as_ref(), now) else {
            self.connections.push(connection);
            let command =
                Command::Join { member: member.clone(), fence, resume, after, sender: sender.clone() };
            return self.propose(command, Some(Waiting::Join { member, fence, answer }));
        };
        let (Ok(joined), Some(log)) = (joined, replica.apart()) else {
            answer.send(Err(CloseCode::Unavailable)).ok();
            return;
        };
        welcome(&connection.outbox, (room, log), (&member, fence), &joined, &shared.limits);
        (connection.is_joined, connection.is_apart) = (true, true);
        while let Some(older) = self.connections.iter().position(|own| own.member == member) {
            let Connection { fence, outbox, .. } = self.connections.swap_remove(older);
            // One client is not told to stop because of itself.
            outbox.close(if is_own { CloseCode::Unavailable } else { CloseCode::Replaced });
            self.disconnected(&member, fence, shared);
        }
        self.connections.push(connection);
        if let Some(presence) = joined.presence() {
            self.tell_others(&member, presence);
        }
        if answer.send(Ok(fence)).is_err() {
            self.disconnect(&member, fence, shared);
        }
    }

    fn publish(&mut self, room: &RoomId, draft: Draft, answer: oneshot::Sender<Published>, shared: &Shared) {
        let Some(replica) = &mut self.replica else { return };
        let epoch = replica.applied().epoch;
        if draft.class == Class::Volatile {
            let relayed = self.relay(room, None, &draft, shared);
            answer.send(relayed.then_some((epoch, None)).ok_or(PublishError::NoSuchMember)).ok();
            return;
        }
        let at = wall(shared.nodes.now());
        match replica.publish_apart(draft.clone(), at) {
            None if self.is_full() => drop(answer.send(Err(PublishError::Unavailable))),
            None => self.propose(Command::Publish { draft }, Some(Waiting::Publish(answer))),
            Some(handed) => {
                self.hand(&handed);
                answer.send(Ok((epoch, None))).ok();
            }
        }
    }

    /// A member sends.
    pub(super) fn send(&mut self, claims: &Claims, fence: Fence, send: Send, shared: &Shared) {
        let member = &claims.member;
        let Some(outbox) = self.connection(member, fence).map(|own| Arc::clone(&own.outbox)) else { return };
        let Send { n, class, to, payload, acknowledged } = send;
        if let Some(sequence) = acknowledged {
            self.acknowledge(member, fence, sequence);
        }
        let refused = |code| {
            counter!("interplay_refusals_total", "reason" => "send").increment(1);
            outbox.tell(&ServerFrame::Refused { n, code });
        };
        if !claims.may(Right::Send) {
            return refused(SendRefusal::NotAllowed);
        }
        if payload.len() > shared.limits.message {
            return refused(SendRefusal::TooLong);
        }
        let draft = Draft { to, class, payload };
        if class == Class::Volatile {
            if !self.relay(&claims.room, Some(member), &draft, shared) {
                refused(SendRefusal::NoSuchMember);
            }
            return;
        }
        let Some(replica) = &mut self.replica else { return };
        let now = shared.nodes.now();
        match replica.send_apart((member, fence, n), draft.clone(), (now, wall(now))) {
            // It comes back, and says it again.
            None if self.is_full() => outbox.close(CloseCode::Unavailable),
            None => {
                let command = Command::Send { member: member.clone(), fence, counter: n, draft };
                let waiting = n.map(|n| Waiting::Send { member: member.clone(), fence, n });
                self.propose(command, waiting);
            }
            Some(Ok(handed)) => {
                outbox.tell(&ServerFrame::Sent { n: n.unwrap_or_default(), sequence: None });
                handed.iter().for_each(|handed| self.hand(handed));
            }
            Some(Err(SendError::Fenced)) => outbox.close(CloseCode::Unavailable),
            Some(Err(SendError::NoSuchMember)) => refused(SendRefusal::NoSuchMember),
        }
    }

    /// Whether as much waits for the store as may.
    fn is_full(&self) -> bool {
        let Some(replica) = &self.replica else { return false };
        let pending = replica.pending();
        // What little waits need not be weighed.
        pending.len() >= PENDING.0
            || pending.len() >= APPEND.0 / 4 && pending.iter().map(weight).sum::<usize>() >= PENDING.1
    }

    /// Hands out what has no number.
    fn hand(&self, handed: &Handed) {
        counter!("interplay_room_unsequenced_total").increment(1);
        for (member, fence) in &handed.to {
            if let Some(own) = self.connection(member, *fence) {
                own.outbox.hand(handed.delivery.frame(None));
            }
        }
    }

    /// Passes a volatile message on to whoever is here, and to other nodes. False when its recipient is no member.
    fn relay(&self, room: &RoomId, from: Option<&MemberId>, draft: &Draft, shared: &Shared) -> bool {
        let Some(replica) = &self.replica else { return true };
        let log = here(replica);
        if draft.to.as_ref().is_some_and(|to| log.member(to).is_none()) {
            return false;
        }
        let time = wall(shared.nodes.now());
        self.relayed(from, draft, time);
        if replica.apart().is_none() && replica.is_elsewhere() {
            shared.pass_on(room, replica.applied().epoch, from, draft, time);
        }
        true
    }

    /// Hands a volatile message to those who are here.
    pub(super) fn relayed(&self, from: Option<&MemberId>, draft: &Draft, time: WallTime) {
        let delivery = volatile(from, draft, time);
        let is_for = |own: &&Connection| {
            own.is_joined && Some(&own.member) != from && draft.to.as_ref().is_none_or(|to| *to == own.member)
        };
        self.connections.iter().filter(is_for).for_each(|own| offer(&own.outbox, &delivery));
    }

    fn connection(&self, member: &MemberId, fence: Fence) -> Option<&Connection> {
        self.connections.iter().find(|own| own.is(member, fence))
    }

    fn take(&mut self, member: &MemberId, fence: Fence) -> Option<Connection> {
        let at = self.connections.iter().position(|own| own.is(member, fence))?;
        let taken = self.connections.swap_remove(at);
        self.idle = Instant::now();
        Some(taken)
    }

    fn tell_others(&self, member: &MemberId, state: Presence) {
        let frame = ServerFrame::Presence { member: member.clone(), state };
        let others = self.connections.iter().filter(|own| own.is_joined && own.member != *member);
        others.for_each(|own| own.outbox.tell(&frame));
    }

    /// The next messages for a connection.
    pub(super) fn pull(
        &mut self,
        member: &MemberId,
        fence: Fence,
        most: (usize, usize),
    ) -> Result<Vec<(u64, Arc<Message>)>, CloseCode> {
        let Some(own) = self.connection(member, fence) else { return Err(CloseCode::Unavailable) };
        if own.is_apart || !own.is_joined {
            return Ok(Vec::new());
        }
        let Some(replica) = &mut self.replica else { return Err(CloseCode::Unavailable) };
        replica.pull(member, fence, most).map_err(|error| match error {
            // It is being told so.
            PullError::Fenced => CloseCode::Unavailable,
            PullError::Overrun => CloseCode::SlowReader,
        })
    }

    /// The number of the newest message for a member, if its connection has been handed it.
    pub(super) fn tip(&self, member: &MemberId, fence: Fence) -> Option<u64> {
        let own = self.connection(member, fence).filter(|own| own.is_joined && !own.is_apart)?;
        let found = self.replica.as_ref()?.log().member(&own.member)?;
        (found.cursor() >= found.tip()).then(|| found.tip())
    }

    /// A member has everything up to a number.
    pub(super) fn acknowledge(&mut self, member: &MemberId, fence: Fence, sequence: u64) {
        let mut own = self.connections.iter_mut();
        let Some(own) = own.find(|own| own.is(member, fence)) else { return };
        own.acknowledged = own.acknowledged.max(Some(sequence));
        self.acknowledge.get_or_insert_with(|| Instant::now() + ACKNOWLEDGE);
    }

    pub(super) fn heard(&mut self, member: &MemberId, fence: Fence, shared: &Shared) {
        if let Some(replica) = &mut self.replica {
            replica.heard(member, fence, shared.nodes.now());
        }
    }

    /// A socket has closed.
    pub(super) fn disconnect(&mut self, member: &MemberId, fence: Fence, shared: &Shared) {
        self.pass_acknowledgements();
        if self.take(member, fence).is_some() {
            self.disconnected(member, fence, shared);
            if self.is_apart() {
                self.tell_others(member, Presence::Dropped);
            }
        }
    }

    fn disconnected(&mut self, member: &MemberId, fence: Fence, shared: &Shared) {
        if let Some(replica) = &mut self.replica {
            replica.disconnect(member, fence, shared.nodes.now());
        }
    }

    /// A member leaves for good. Its connection is closed when that is in the log.
    pub(super) fn leave(&mut self, member: &MemberId, fence: Fence, shared: &Shared) {
        if self.connection(member, fence).is_none() {
            return;
        }
        if self.is_apart()
            && let Some(own) = self.take(member, fence)
        {
            own.outbox.close(CloseCode::Left);
        }
        self.leave_apart(member, shared);
        self.propose(Command::Leave { member: member.clone(), fence: Some(fence) }, None);
    }

    fn leave_apart(&mut self, member: &MemberId, shared: &Shared) {
        let Some(replica) = &mut self.replica else { return };
        let was_here = replica.apart().is_some_and(|log| log.member(member).is_some());
        replica.leave_apart(member, shared.nodes.now());
        if was_here {
            self.tell_others(member, Presence::Left);
        }
    }

    /// Whether something is to be appended.
    pub(super) fn has_pending(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| !replica.pending().is_empty())
    }

    /// Whether somebody waits for the room to be open.
    pub(super) fn is_waited_for(&self) -> bool {
        self.replica.is_none() && !self.asked.is_empty()
    }

    /// Whether members are by themselves.
    pub(super) fn is_apart(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.apart().is_some())
    }

    /// The room is to be read.
    pub(super) fn suspect(&mut self) {
        self.is_stale = true;
    }

    /// What the room's task is to do.
    pub(super) fn next(&mut self, shared: &Shared) -> Next {
        if self.is_apart() {
            return Next::Probe;
        }
        if let Some(epoch) = self.doubted {
            return Next::End(epoch);
        }
        let now = Instant::now();
        if self.replica.is_none() {
            if self.asked.is_empty() && !self.must_open {
                self.is_closed = true;
                return Next::Close;
            }
            return Next::Open;
        }
        if self.has_pending() || self.acknowledge.is_some_and(|due| due <= now) {
            self.pass_acknowledgements();
        }
        let Some(replica) = &mut self.replica else { return Next::Open };
        if self.is_stale || self.looked + LOOK <= now {
            return Next::Read(replica.applied());
        }
        if !replica.pending().is_empty() {
            let mut bytes = 0;
            let fits = |entry: &&Entry| {
                let before = bytes;
                bytes += weight(entry);
                before < APPEND.1
            };
            let entries = replica.pending().iter().take(APPEND.0).take_while(fits).cloned().collect();
            return Next::Append(replica.known(), entries);
        }
        if self.grown.0 >= ENTRIES || self.grown.1 >= BYTES {
            return Next::Compact(replica.applied(), replica.snapshot().to_bytes());
        }
        let look = self.looked + LOOK;
        let due = self.acknowledge.map_or(look, |due| due.min(look));
        if !self.connections.is_empty() || !self.waiting.is_empty() {
            return Next::Wait(due);
        }
        let log = replica.log();
        if log.members().any(|(_, member)| member.is_connected()) {
            // Others see to it.
            let close = self.idle + LINGER;
            if close > now {
                return Next::Wait(due.min(close));
            }
            (self.replica, self.is_closed) = (None, true);
            return Next::Close;
        }
        let (time, over) = (shared.nodes.now(), log.ends_at());
        let Some(left) = over.map(|over| over.saturating_since(time)) else { return Next::Wait(due) };
        // The store may say that it is too early: its clock is not known here to the millisecond.
        let end = if left.is_zero() { self.expires } else { now + left };
        if end <= now {
            self.expires = now + EXPIRE_EVERY;
            replica.propose(Command::Expire);
            return Next::Append(replica.known(), replica.pending().iter().cloned().collect());
        }
        Next::Wait(due.min(end))
    }

    fn pass_acknowledgements(&mut self) {
        let Some(replica) = self.replica.as_mut().filter(|replica| replica.apart().is_none()) else { return };
        self.acknowledge = None;
        for own in &mut self.connections {
            if let Some(sequence) = own.acknowledged.take() {
                replica.acknowledge(&own.member, own.fence, sequence);
            }
        }
    }

    /// The room is open: what was asked before is done now.
    pub(super) fn opened(&mut self, room: &RoomId, replica: Replica, entries: &[Stored], shared: &Shared) {
        (self.replica, self.grown) = (Some(Box::new(replica)), (0, 0));
        (self.looked, self.idle) = (Instant::now(), Instant::now());
        (self.is_stale, self.must_open) = (false, false);
        self.note_told(entries);
        self.apply_all(room, entries, shared);
        while self.replica.is_some()
            && let Some(ask) = self.asked.pop_front()
        {
            // Whoever was told that nothing came of it asks again.
            if !ask.is_given_up() {
                self.ask(room, ask, shared);
            }
        }
        self.bury(shared);
    }

    /// What the log has of this node is of replicas before, which have told it; but of the last one's, if that was given up
    /// in the same epoch, only as far as it had come.
    fn note_told(&mut self, entries: &[Stored]) {
        let Some(replica) = self.replica.as_ref().filter(|replica| replica.apart().is_none()) else { return };
        let at = replica.applied();
        if self.told.is_none_or(|told| told.epoch != at.epoch) {
            let version = entries.last().map_or(at.version, |last| last.version);
            self.told = Some(Position { version, ..at });
        }
    }

    /// Has the room opened although nobody asks.
    pub(super) fn reopen(&mut self) {
        self.must_open = true;
    }

    /// Tells those who wait for the room that it cannot be opened here.
    pub(super) fn refuse_all(&mut self) {
        for ask in self.asked.drain(..) {
            match ask {
                Ask::Join { answer, .. } => drop(answer.send(Err(CloseCode::Unavailable))),
                Ask::Publish { answer, .. } => drop(answer.send(Err(PublishError::Unavailable))),
                Ask::Leave { .. } | Ask::End { .. } => {}
            }
        }
        self.must_open = false;
    }

    /// The store has told everything.
    pub(super) fn read(&mut self, room: &RoomId, stored: &[Stored], shared: &Shared) {
        (self.looked, self.is_stale) = (Instant::now(), false);
        self.apply_all(room, stored, shared);
        self.bury(shared);
    }

    /// Drops those whose node is gone, and those of this node that have no socket.
    fn bury(&mut self, shared: &Shared) {
        let Some(replica) = self.replica.as_mut().filter(|replica| replica.apart().is_none()) else { return };
        let own = replica.origin().node;
        let connections = &self.connections;
        let exists = |node, member: &MemberId, fence| {
            if node == own {
                connections.iter().any(|own| own.is(member, fence))
            } else {
                shared.nodes.lives(node)
            }
        };
        for drop in replica.drops(exists) {
            replica.propose(drop);
        }
    }

    /// A snapshot is in the store.
    pub(super) fn compacted(&mut self) {
        self.grown = (0, 0);
    }

    /// An epoch has ended.
    pub(super) fn ended(&mut self, epoch: Epoch) {
        self.doubted.take_if(|doubted| *doubted == epoch);
    }

    /// The store has not answered for too long (R9).
    pub(super) fn part(&mut self, room: &RoomId, shared: &Shared) {
        let Some(replica) = self.replica.as_ref().filter(|replica| replica.apart().is_none()) else { return };
        tracing::warn!(%room, version = replica.applied().version, "Redis does not answer: members reach others on this node only");
        counter!("interplay_room_partings_total").increment(1);
        // Whose join was not answered comes again.
        let (joined, joining): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.connections).into_iter().partition(|own| own.is_joined);
        self.connections = joined;
        self.waiting.retain(|_, waiting| !matches!(waiting, Waiting::Join { .. }));
        for own in joining {
            self.disconnected(&own.member, own.fence, shared);
        }
        let Some(replica) = &mut self.replica else { return };
        let (epoch, now) = (replica.applied().epoch, shared.nodes.now());
        for (id, handed) in replica.part(fresh_epoch(), shared.limits.log, (now, wall(now))) {
            self.hand(&handed);
            match self.waiting.remove(&id.counter) {
                Some(Waiting::Send { member, fence, n }) => {
                    let own = self.connection(&member, fence);
                    own.inspect(|own| own.outbox.tell(&ServerFrame::Sent { n, sequence: None }));
                }
                Some(Waiting::Publish(answer)) => drop(answer.send(Ok((epoch, None)))),
                _ => {}
            }
        }
        // Who was about to leave is let go.
        let is_there = |own: &Connection| {
            self.replica.as_ref().and_then(|replica| replica.apart()?.member(&own.member)).is_some()
        };
        let (there, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.connections).into_iter().partition(is_there);
        self.connections = there;
        left.iter().for_each(|own| own.outbox.close(CloseCode::Left));
    }

    /// The store answers again.
    pub(super) fn reunite(&mut self, room: &RoomId) {
        let Some(replica) = &mut self.replica else { return };
        let epoch = replica.applied().epoch;
        match replica.reunite() {
            Reunion::Doubt => {
                tracing::info!(%room, %epoch, "others have missed what was said here: the epoch ends");
                self.give_up(Some(epoch));
            }
            Reunion::GoOn(came) => {
                for (member, fence) in came {
                    if let Some(own) = self.take(&member, fence) {
                        own.outbox.close(CloseCode::Unavailable);
                    }
                }
                self.is_stale = true;
            }
        }
    }

    /// Forgets the replica; members come back.
    pub(super) fn give_up(&mut self, doubted: Option<Epoch>) {
        self.replica = None;
        self.doubted = self.doubted.or(doubted);
        self.waiting.clear();
        self.acknowledge = None;
        // Whose join was not answered is asked for again by who waits for that.
        for own in std::mem::take(&mut self.connections).into_iter().filter(|own| own.is_joined) {
            own.outbox.close(CloseCode::Unavailable);
        }
    }

    /// Closes every connection, because this node stops.
    pub(super) fn go_away(&self) {
        self.connections.iter().for_each(|own| own.outbox.close(CloseCode::GoingAway));
    }

    /// Whether all that was asked for on this node is in the store.
    pub(super) fn is_settled(&self) -> bool {
        self.replica.as_ref().is_none_or(|replica| {
            replica.apart().is_some() || (replica.pending().is_empty() && self.connections.is_empty())
        })
    }

    /// What is known of the room here.
    pub(super) fn seen<T>(&self, see: impl FnOnce(&Replica) -> T) -> Option<T> {
        self.replica.as_deref().map(see)
    }

    /// Takes entries from the store, whichever way they came.
    pub(super) fn apply_all(&mut self, room: &RoomId, entries: &[Stored], shared: &Shared) {
        if self.is_apart() {
            // It may be what was handed out without numbers.
            return;
        }
        for stored in entries {
            let Some(replica) = &mut self.replica else { return };
            let epoch = replica.applied().epoch;
            match replica.apply(stored) {
                Step::Applied(applied) => self.applied(room, stored, &applied, shared),
                Step::Seen => {}
                Step::OtherEpoch | Step::Missing => self.is_stale = true,
                Step::Doubt => {
                    tracing::error!(%room, %epoch, "Redis tells something else than before: the epoch ends");
                    counter!("interplay_room_doubts_total").increment(1);
                    self.give_up(Some(epoch));
                }
            }
        }
    }

    fn applied(&mut self, room: &RoomId, stored: &Stored, applied: &Applied, shared: &Shared) {
        self.grown = (self.grown.0 + 1, self.grown.1 + weight(&stored.entry));
        let Some(replica) = &self.replica else { return };
        let (origin, is_over) = (replica.origin(), replica.is_over());
        let at = Position { epoch: stored.epoch, version: stored.version };
        let was_told = self.told.is_some_and(|told| told.epoch == at.epoch && told.version >= at.version);
        if !was_told {
            self.told = Some(at);
        }
        if stored.entry.id.origin.node == origin.node && !was_told {
            self.tell_application(room, stored, applied, is_over, shared);
        }
        let is_own = stored.entry.id.origin == origin && applied.outcome != Outcome::Repeat;
        let waiting = if is_own { self.waiting.remove(&stored.entry.id.counter) } else { None };
        if let Some(closed) = &applied.closed
            && let Some(own) = self.take(&closed.member, closed.fence)
        {
            let is_own_wish = matches!(&stored.entry.command, Command::Leave { fence: Some(_), .. });
            own.outbox.close(match closed.by {
                ClosedBy::Replaced { is_own: false } => CloseCode::Replaced,
                ClosedBy::Left if is_own_wish => CloseCode::Left,
                ClosedBy::Left => CloseCode::Kicked,
                ClosedBy::Replaced { is_own: true } | ClosedBy::Dropped => CloseCode::Unavailable,
            });
        }
        if let Command::Leave { member, fence: None } = &stored.entry.command {
            shared.note_revoked(room, member, stored.at.0 / 1000);
        }
        if let Some(message) = applied.message() {
            counter!("interplay_room_messages_total").increment(1);
            let here = self.connections.iter().filter(|own| own.is_joined && message.is_for(&own.member));
            here.for_each(|own| own.outbox.wake());
        }
        if let Some(waiting) = waiting {
            self.answer(room, waiting, &applied.outcome, shared);
        }
        for (member, state) in &applied.presence {
            self.tell_others(member, *state);
        }
        self.close_slow();
        if is_over {
            let is_deleted = !matches!(stored.entry.command, Command::Leave { .. });
            let reason = match stored.entry.command {
                Command::End => "deleted",
                Command::Expire => "expired",
                _ => "left",
            };
            counter!("interplay_rooms_ended_total", "reason" => reason).increment(1);
            if is_deleted {
                let joined = self.connections.iter().filter(|own| own.is_joined);
                joined.for_each(|own| own.outbox.close(CloseCode::RoomDeleted));
            }
            self.give_up(Some(stored.epoch));
        }
    }

    /// Tells the application's own server what became of members. The node does whose entry it was.
    fn tell_application(
        &self,
        room: &RoomId,
        stored: &Stored,
        applied: &Applied,
        is_over: bool,
        shared: &Shared,
    ) {
        let Some(events) = &shared.events else { return };
        let mut became: Vec<_> = applied.presence.iter().map(|(member, state)| (member, *state)).collect();
        if let Some(replica) = self.replica.as_ref().filter(|_| is_over) {
            became.extend(replica.log().members().map(|(member, _)| (member, Presence::Left)));
        }
        if !became.is_empty()
            && let Err(error) = events.tell(room, &became, stored.at, Vec::new())
        {
            tracing::error!(%error, %room, "what became of members cannot be written down");
        }
    }

    fn answer(&mut self, room: &RoomId, waiting: Waiting, outcome: &Outcome, shared: &Shared) {
        match (waiting, outcome) {
            (Waiting::Join { member, fence, answer }, Outcome::Joined(joined)) => {
                self.join_answered(room, (&member, fence), joined, answer, shared);
            }
            (Waiting::Join { member, fence, answer }, Outcome::Refused { error, is_own }) => {
                self.take(&member, fence);
                answer
                    .send(Err(match error {
                        JoinError::Replaced if !is_own => CloseCode::Replaced,
                        JoinError::Replaced => CloseCode::Unavailable,
                        JoinError::Full => CloseCode::RoomFull,
                    }))
                    .ok();
            }
            (Waiting::Send { member, fence, n }, Outcome::Sent(sent)) => {
                let Some(own) = self.connection(&member, fence) else { return };
                match sent {
                    Ok(Sent::New(message)) => {
                        own.outbox.tell(&ServerFrame::Sent { n, sequence: Some(message.sequence) });
                    }
                    Ok(Sent::Repeat(sequence)) => {
                        counter!("interplay_room_repeats_total").increment(1);
                        own.outbox.tell(&ServerFrame::Sent { n, sequence: *sequence });
                    }
                    Err(SendError::NoSuchMember) => {
                        counter!("interplay_refusals_total", "reason" => "send").increment(1);
                        own.outbox
                            .tell(&ServerFrame::Refused { n: Some(n), code: SendRefusal::NoSuchMember });
                    }
                    Err(SendError::Fenced) => {}
                }
            }
            (Waiting::Publish(answer), Outcome::Published(published)) => {
                let Some(replica) = &self.replica else { return };
                let epoch = replica.applied().epoch;
                let published = published.as_ref().map(|message| (epoch, Some(message.sequence)));
                answer.send(published.map_err(|_| PublishError::NoSuchMember)).ok();
            }
            (Waiting::Done(answer), outcome) if *outcome != Outcome::Over => {
                answer.send(()).ok();
            }
            // The room was over before; who waits asks again.
            _ => {}
        }
    }

    fn join_answered(
        &mut self,
        room: &RoomId,
        (member, fence): (&MemberId, Fence),
        joined: &Joined,
        answer: oneshot::Sender<Answer>,
        shared: &Shared,
    ) {
        let mut own = self.connections.iter_mut();
        // Its socket may have closed meanwhile; that it is to be dropped is pending.
        let Some(own) = own.find(|own| own.is(member, fence)) else { return };
        own.is_joined = true;
        let Some(replica) = &self.replica else { return };
        welcome(&own.outbox, (room, replica.log()), (member, fence), joined, &shared.limits);
        if answer.send(Ok(fence)).is_err() {
            self.disconnect(member, fence, shared);
        }
    }

    /// Closes connections that are too slow (R8).
    fn close_slow(&self) {
        let Some(replica) = &self.replica else { return };
        for (member, fence) in replica.overrun() {
            if let Some(own) = self.connection(member, fence) {
                own.outbox.close(CloseCode::SlowReader);
            }
        }
    }
}

/// Who is there for members of this node.
pub(super) fn here(replica: &Replica) -> &Log {
    replica.apart().unwrap_or(replica.log())
}

/// About how long an entry is.
fn weight(entry: &Entry) -> usize {
    const REST: usize = 64;
    match &entry.command {
        Command::Send { draft, .. } | Command::Publish { draft } => REST + draft.payload.len(),
        _ => REST,
    }
}
