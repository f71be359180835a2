//! A room's log: numbered messages, who has had which, and who is here (R1–R7, R10).
//!
//! ```text
//!  send ─► append: number n ─► buffer ─► pull by each member, from its cursor ─► acknowledged ─► trimmed
//! ```
//!
//! - **One log, many cursors.** Nothing is queued for a member: its connection pulls what lies after its cursor. A
//!   replay is a pull from further back, so nothing can fall between replay and live, or come twice (R3).
//! - **Who decides is the client.** It resumes after the last number that it has, whatever the server believes;
//!   a drop that the server never noticed costs nothing (R7).
//! - **The buffer follows what is acknowledged** (R2): the last messages always stay; beyond those, what a member has
//!   not acknowledged stays up to a greater bound. What was trimmed unread is told as a [`Gap`], never passed over.
//! - **Fences.** Connections are numbered in the order in which the server accepted them. Whatever is done for a
//!   member by an older one than its latest is refused: taking over needs no agreement of the one that is replaced.
//! - **A doubt ends the epoch**: numbers are never used twice within one.

mod buffer;
mod member;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Timestamp, WallTime};
use serde::{Deserialize, Serialize};
use wire::room::{
    Class, Delivery, Envelope, Epoch, Fence, Gap, GapReason, MemberId, MemberInfo, Payload, Presence, Resume,
    SenderId,
};

pub use buffer::Bounds;
use buffer::Buffer;
pub use member::{Member, MemberRecord, SenderRecord};
pub use record::{LogRecord, MessageRecord, PresentMember};

/// How a room behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogRules {
    /// What is kept of ordinary messages.
    pub normal: Bounds,
    /// What is kept of those of class `keep`.
    pub keep: Bounds,
    /// The most members, absent ones too.
    pub members: usize,
    /// How long a room without a connection lives.
    pub ttl: Duration,
    /// The most messages that may wait for a connection that does not read (R8).
    pub behind: usize,
    /// The most bytes that may.
    pub behind_bytes: usize,
}

impl Default for LogRules {
    fn default() -> Self {
        let normal = Bounds { least: 50, most: 2000, bytes: 1 << 20, age: Duration::from_secs(300) };
        Self {
            normal,
            keep: Bounds { least: 200, age: Duration::from_secs(3600), ..normal },
            members: 64,
            ttl: Duration::from_secs(300),
            behind: 256,
            behind_bytes: 1 << 20,
        }
    }
}

/// A message in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its number.
    pub sequence: u64,
    /// Who sent it; the application's own server when there is none.
    pub from: Option<MemberId>,
    /// The only recipient, if it is not for all.
    pub to: Option<MemberId>,
    /// What becomes of it.
    pub class: Class,
    /// When.
    pub at: WallTime,
    /// The same by the room's own clock.
    pub kept_since: Timestamp,
    /// What it carries.
    pub payload: Payload,
    /// The frame for its recipients.
    pub delivery: Delivery,
}

impl Message {
    /// A message with the frame for its recipients.
    #[must_use]
    pub fn new(
        sequence: u64,
        from: Option<MemberId>,
        draft: Draft,
        (kept_since, at): (Timestamp, WallTime),
    ) -> Self {
        let Draft { to, class, payload } = draft;
        let envelope =
            Envelope { sequence: Some(sequence), from: from.as_ref(), to: to.as_ref(), class, time: at.0 };
        let delivery = Delivery::new(envelope, &payload);
        Self { sequence, from, to, class, at, kept_since, payload, delivery }
    }

    /// Whether it is for this member.
    #[must_use]
    pub fn is_for(&self, member: &MemberId) -> bool {
        self.from.as_ref() != Some(member) && self.to.as_ref().is_none_or(|to| to == member)
    }

    fn weight(&self) -> usize {
        self.delivery.weight()
    }
}

/// A message to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Draft {
    /// For whom; everybody else when there is none.
    pub to: Option<MemberId>,
    /// What becomes of it; never volatile.
    pub class: Class,
    /// What it carries.
    #[serde(with = "record::payload")]
    pub payload: Payload,
}

/// What became of a send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sent {
    /// It is in the log.
    New(Arc<Message>),
    /// It was there before: its number, unless that is too long ago to know.
    Repeat(Option<u64>),
}

/// Why a send was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SendError {
    /// Another connection has taken over, or the member is gone.
    Fenced,
    /// There is no such recipient.
    NoSuchMember,
}

/// Why a member could not join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JoinError {
    /// A newer connection of it is there.
    Replaced,
    /// There are as many members as may be.
    Full,
}

/// A member is here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The connection that it had, if the server still held one.
    pub replaced: Option<Fence>,
    /// For how long it was away, if it was here before.
    pub away: Option<Duration>,
    /// How many messages it gets now.
    pub missed: u64,
    /// What it does not get.
    pub gap: Option<Gap>,
    /// The `prev` of the next message.
    pub position: u64,
    /// The sender's last counter that was accepted.
    pub accepted: u64,
    /// Who had to make room: it was away for longer than the room would wait for anybody, and counts as having left.
    pub evicted: Option<MemberId>,
}

impl Joined {
    /// What the others are told of it: nothing when nobody had noticed that it was away.
    #[must_use]
    pub fn presence(&self) -> Option<Presence> {
        match (self.away, self.replaced) {
            (None, _) => Some(Presence::Joined),
            (Some(_), None) => Some(Presence::Returned),
            (Some(_), Some(_)) => None,
        }
    }
}

/// Why there is nothing to pull.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullError {
    /// Another connection has taken over, or the member is gone.
    Fenced,
    /// What comes next is no longer there: the connection was too slow (R8).
    Overrun,
}

/// A room.
#[derive(Clone, Debug)]
pub struct Log {
    rules: LogRules,
    epoch: Epoch,
    next: u64,
    normal: Buffer,
    keep: Buffer,
    /// The greatest number that was trimmed.
    trimmed: u64,
    members: BTreeMap<MemberId, Member>,
    /// Since when nobody has a connection.
    deserted: Option<Timestamp>,
    /// Whether somebody has been here.
    visited: bool,
}

impl Log {
    /// An empty room.
    #[must_use]
    pub fn new(epoch: Epoch, rules: LogRules, now: Timestamp) -> Self {
        Self {
            rules,
            epoch,
            next: 1,
            normal: Buffer::new(rules.normal),
            keep: Buffer::new(rules.keep),
            trimmed: 0,
            members: BTreeMap::new(),
            deserted: Some(now),
            visited: false,
        }
    }

    /// Nobody has been here before now.
    pub fn begin(&mut self, now: Timestamp) {
        self.deserted = self.deserted.map(|since| since.max(now));
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The number of the newest message; 0 before the first.
    #[must_use]
    pub fn tip(&self) -> u64 {
        self.next - 1
    }

    /// How many messages the buffer holds, and how many bytes they take.
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        (self.normal.len() + self.keep.len(), self.normal.bytes() + self.keep.bytes())
    }

    /// Everybody, by name.
    pub fn members(&self) -> impl Iterator<Item = (&MemberId, &Member)> {
        self.members.iter()
    }

    /// One member.
    #[must_use]
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.get(id)
    }

    /// Everybody, as told in `joined`.
    #[must_use]
    pub fn roster(&self) -> Vec<MemberInfo> {
        let info = |(member, state): (&MemberId, &Member)| MemberInfo {
            member: member.clone(),
            is_connected: state.is_connected(),
        };
        self.members.iter().map(info).collect()
    }

    /// Whether a member may be reached over this connection.
    fn current(&mut self, id: &MemberId, fence: Fence) -> Option<&mut Member> {
        self.members.get_mut(id).filter(|member| member.connection() == Some(fence))
    }

    /// A member comes or comes back. `after` is the last connection that its client knows of: another client that took
    /// over since then is not pushed out. (One of the same `sender` is its own, of which it never heard.)
    ///
    /// # Errors
    /// As [`JoinError`] says; the room is then as it was.
    pub fn join(
        &mut self,
        id: &MemberId,
        fence: Fence,
        resume: Option<Resume>,
        after: Option<Fence>,
        sender: Option<&SenderId>,
        now: Timestamp,
    ) -> Result<Joined, JoinError> {
        self.trim(now);
        let tip = self.tip();
        let mut evicted = None;
        let away = match self.members.get(id) {
            Some(member) if fence <= member.fence() => return Err(JoinError::Replaced),
            Some(member)
                if after.is_some_and(|after| after < member.fence())
                    && (sender.is_none() || member.sender() != sender) =>
            {
                return Err(JoinError::Replaced);
            }
            Some(member) => Some(member.away(now)),
            None => {
                evicted = self.make_room(now)?;
                None
            }
        };
        // A newcomer is owed nothing of what was before, unless it asks.
        let newcomer = || Member::new(tip, self.trimmed, now);
        let member = self.members.entry(id.clone()).or_insert_with(newcomer);
        let resume = resume.unwrap_or(if away.is_some() { Resume::Acknowledged } else { Resume::Live });
        let gap = |reason, after| Some(Gap { reason, after, before: member.trimmed() + 1 });
        let lost = |after| if member.trimmed() > after { gap(GapReason::Buffer, after) } else { None };
        let (position, gap) = match resume {
            Resume::Live => (member.tip(), None),
            Resume::Start => (0, None),
            Resume::Acknowledged => (member.acknowledged(), lost(member.acknowledged())),
            Resume::After { epoch, sequence } if epoch == self.epoch && sequence <= tip => {
                (sequence, lost(sequence))
            }
            // Of another epoch, or a number that there never was.
            Resume::After { sequence, .. } => (0, gap(GapReason::Epoch, sequence)),
        };
        let backlog = missed(&self.normal, &self.keep, id, position);
        let replaced = member.connect(fence, position, backlog, now);
        let accepted = member.begin_sender(sender);
        (self.deserted, self.visited) = (None, true);
        Ok(Joined { replaced, away, missed: backlog.0 as u64, gap, position, accepted, evicted })
    }

    /// Makes room for one more; tells who had to.
    fn make_room(&mut self, now: Timestamp) -> Result<Option<MemberId>, JoinError> {
        if self.members.len() < self.rules.members {
            return Ok(None);
        }
        let absent = self.members.iter().filter(|(_, member)| !member.is_connected());
        let longest = absent.max_by_key(|(_, member)| member.away(now));
        let id = longest
            .filter(|(_, member)| member.away(now) >= self.rules.ttl)
            .map(|(id, _)| id.clone())
            .ok_or(JoinError::Full)?;
        self.members.remove(&id);
        Ok(Some(id))
    }

    /// A member sends. `counter` is its sender's; one that was accepted before changes nothing (R10).
    ///
    /// # Errors
    /// As [`SendError`] says; the room is then as it was.
    pub fn send(
        &mut self,
        id: &MemberId,
        fence: Fence,
        counter: Option<u64>,
        draft: Draft,
        (now, at): (Timestamp, WallTime),
    ) -> Result<Sent, SendError> {
        let member = self.current(id, fence).ok_or(SendError::Fenced)?;
        member.seen(now);
        if let Some(answer) = counter.and_then(|counter| member.repeat(counter)) {
            return Ok(Sent::Repeat(answer));
        }
        let message = self.append(Some(id), draft, now, at)?;
        if let (Some(counter), Some(member)) = (counter, self.members.get_mut(id)) {
            member.accept(counter, message.sequence);
        }
        Ok(Sent::New(message))
    }

    /// A member says something that is for the room's owner alone: it is counted like a send, and nothing is appended.
    /// False for a repeat.
    ///
    /// # Errors
    /// When another connection has taken over, or the member is gone.
    pub fn hear(
        &mut self,
        id: &MemberId,
        fence: Fence,
        counter: u64,
        now: Timestamp,
    ) -> Result<bool, SendError> {
        let tip = self.tip();
        let member = self.current(id, fence).ok_or(SendError::Fenced)?;
        member.seen(now);
        let is_new = member.repeat(counter).is_none();
        if is_new {
            member.accept(counter, tip);
        }
        Ok(is_new)
    }

    /// The application's own server sends.
    ///
    /// # Errors
    /// When there is no such recipient.
    pub fn publish(&mut self, draft: Draft, now: Timestamp, at: WallTime) -> Result<Arc<Message>, SendError> {
        self.append(None, draft, now, at)
    }

    fn append(
        &mut self,
        from: Option<&MemberId>,
        draft: Draft,
        now: Timestamp,
        at: WallTime,
    ) -> Result<Arc<Message>, SendError> {
        if draft.to.as_ref().is_some_and(|to| !self.members.contains_key(to)) {
            return Err(SendError::NoSuchMember);
        }
        let message = Arc::new(Message::new(self.next, from.cloned(), draft, (now, at)));
        self.take_in(Arc::clone(&message));
        self.trim(now);
        Ok(message)
    }

    fn take_in(&mut self, message: Arc<Message>) {
        self.next = message.sequence + 1;
        let weight = message.weight();
        for (id, member) in &mut self.members {
            if message.is_for(id) {
                member.owe(message.sequence, weight);
            }
        }
        let buffer = if message.class == Class::Keep { &mut self.keep } else { &mut self.normal };
        buffer.push(message);
    }

    /// Lets go of what the bounds do not allow, or what nobody needs.
    fn trim(&mut self, now: Timestamp) {
        for buffer in [&mut self.normal, &mut self.keep] {
            while let Some(message) = buffer.trim(now, |message| {
                let waits = |(id, member): (&MemberId, &Member)| {
                    member.acknowledged() < message.sequence && message.is_for(id)
                };
                self.members.iter().any(waits)
            }) {
                for (id, member) in &mut self.members {
                    if message.is_for(id) {
                        member.lose(message.sequence);
                    }
                }
                self.trimmed = self.trimmed.max(message.sequence);
            }
        }
    }

    /// The next messages for a member's connection, at most so many and about so many bytes, each with its `prev`.
    ///
    /// # Errors
    /// As [`PullError`] says.
    pub fn pull(
        &mut self,
        id: &MemberId,
        fence: Fence,
        (most, bytes): (usize, usize),
    ) -> Result<Vec<(u64, Arc<Message>)>, PullError> {
        let member = self.members.get_mut(id).filter(|member| member.connection() == Some(fence));
        let member = member.ok_or(PullError::Fenced)?;
        if member.is_overrun(&self.rules) {
            return Err(PullError::Overrun);
        }
        if member.cursor() >= member.tip() {
            return Ok(Vec::new());
        }
        let mut pulled = Vec::new();
        let mut weight = 0;
        for message in merged(&self.normal, &self.keep, member.cursor()).filter(|message| message.is_for(id))
        {
            if pulled.len() == most || weight > bytes {
                break;
            }
            weight += message.weight();
            pulled.push((member.deliver(message.sequence, message.weight()), Arc::clone(message)));
        }
        Ok(pulled)
    }

    /// The connections that are too slow (R8); each is to be closed.
    pub fn overrun(&self) -> impl Iterator<Item = (&MemberId, Fence)> {
        let slow = |member: &&Member| member.is_overrun(&self.rules);
        self.members
            .iter()
            .filter_map(move |(id, member)| Some(member).filter(slow)?.connection().map(|fence| (id, fence)))
    }

    /// A member has everything up to this number. False when that is nothing new, or cannot be.
    pub fn acknowledge(&mut self, id: &MemberId, fence: Fence, sequence: u64, now: Timestamp) -> bool {
        let news = self.current(id, fence).is_some_and(|member| {
            member.seen(now);
            member.acknowledge(sequence)
        });
        if news {
            self.trim(now);
        }
        news
    }

    /// As [`Log::acknowledge`], on any node: how much was handed to the member's connection is known only where that is.
    pub fn acknowledge_anywhere(
        &mut self,
        id: &MemberId,
        fence: Fence,
        sequence: u64,
        now: Timestamp,
    ) -> bool {
        let news = self.current(id, fence).is_some_and(|member| {
            member.seen(now);
            member.acknowledge_anywhere(sequence)
        });
        if news {
            self.trim(now);
        }
        news
    }

    /// Something was heard from a member.
    pub fn heard(&mut self, id: &MemberId, fence: Fence, now: Timestamp) {
        if let Some(member) = self.current(id, fence) {
            member.seen(now);
        }
    }

    /// A connection is gone; its member stays. False when another has taken over.
    pub fn drop(&mut self, id: &MemberId, fence: Fence, now: Timestamp) -> bool {
        let Some(member) = self.current(id, fence) else { return false };
        member.disconnect(now);
        if self.members.values().all(|member| !member.is_connected()) {
            self.deserted = Some(now);
        }
        true
    }

    /// A member leaves for good, over its own connection or (`None`) because it is made to. False when it is not
    /// there, or another connection has taken over.
    pub fn leave(&mut self, id: &MemberId, fence: Option<Fence>, now: Timestamp) -> bool {
        let found = self.members.get(id);
        if found.is_none_or(|member| fence.is_some() && member.connection() != fence) {
            return false;
        }
        self.members.remove(id);
        if self.members.values().all(|member| !member.is_connected()) {
            self.deserted.get_or_insert(now);
        }
        true
    }

    /// When [`Log::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let ages = [self.normal.expiry(), self.keep.expiry()];
        let end = self.deserted.map(|since| since + self.rules.ttl);
        ages.into_iter().flatten().chain(end).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.trim(now);
    }

    /// When the room will be over, should nobody come; none while somebody is connected.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        let is_left = self.visited && self.members.is_empty();
        self.deserted.map(|since| if is_left { since } else { since + self.rules.ttl })
    }

    /// Whether nothing of this room is needed any more: its last member has left, or nobody came back in time.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends_at().is_some_and(|end| end <= now)
    }

    /// Takes a message back from where it was written down. Numbers only grow.
    pub fn restore_message(&mut self, message: Arc<Message>, counted: Option<(&SenderId, u64)>) {
        if message.sequence < self.next {
            return;
        }
        if let (Some(from), Some((sender, counter))) = (&message.from, counted)
            && let Some(member) = self.members.get_mut(from)
        {
            member.begin_sender(Some(sender));
            member.accept(counter, message.sequence);
        }
        self.take_in(message);
    }

    /// Takes a member back from where it was written down; nobody is connected then.
    pub fn restore_member(&mut self, id: MemberId, record: MemberRecord, now: Timestamp) {
        self.members.insert(id, Member::restored(record, now));
        (self.deserted, self.visited) = (Some(now), true);
    }

    /// A member was gone already when this was written down.
    pub fn restore_drop(&mut self, id: &MemberId, at: Timestamp) {
        if let Some(member) = self.members.get_mut(id) {
            member.restore_drop(at);
        }
    }

    /// Takes an acknowledgement back.
    pub fn restore_acknowledgement(&mut self, id: &MemberId, sequence: u64) {
        if let Some(member) = self.members.get_mut(id) {
            member.restore_acknowledgement(sequence);
        }
    }

    /// Takes numbers back that a buffer no longer holds.
    pub fn restore_position(&mut self, next: u64, trimmed: u64) {
        self.next = self.next.max(next);
        self.trimmed = self.trimmed.max(trimmed);
    }

    /// The numbers, for writing down: the next one, and the greatest that was trimmed.
    #[must_use]
    pub fn position(&self) -> (u64, u64) {
        (self.next, self.trimmed)
    }

    /// Every message that there is, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        merged(&self.normal, &self.keep, 0)
    }
}

/// Both classes' messages after a number, in order.
fn merged<'a>(normal: &'a Buffer, keep: &'a Buffer, after: u64) -> impl Iterator<Item = &'a Arc<Message>> {
    let (mut normal, mut keep) = (normal.after(after).peekable(), keep.after(after).peekable());
    std::iter::from_fn(move || match (normal.peek(), keep.peek()) {
        (Some(one), Some(other)) if one.sequence > other.sequence => keep.next(),
        (Some(_), _) => normal.next(),
        (None, _) => keep.next(),
    })
}

/// How many messages there are for a member after a number, and how many bytes.
fn missed(normal: &Buffer, keep: &Buffer, id: &MemberId, after: u64) -> (usize, usize) {
    let own = merged(normal, keep, after).filter(|message| message.is_for(id));
    own.fold((0, 0), |(count, bytes), message| (count + 1, bytes + message.weight()))
}
