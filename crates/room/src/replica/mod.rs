//! A room whose members are on several nodes: every node that has it open holds a replica (R1–R11, C1, C2).
//!
//! ```text
//!  a connection ─► propose ─► pending ─► append ─► the store's log:  1  2  3  4 …
//!                                                                    │  │  │  │
//!  outcome, messages, presence ◄──────────── apply, in order ◄───────┴──┴──┴──┘  on every node
//! ```
//!
//! # One order
//!
//! A node does not change the room; it appends what it wants to happen ([`Command`]) to a log that the store orders,
//! and every node applies the log's entries to its own [`Log`]. Applying depends on the entries alone: the time is
//! the store's, never the node's, and rules are those with which the epoch began, never the node's own. So replicas
//! at one version are equal, to the byte ([`Snapshot`]). Whether a join, a send or a leave was accepted, the node
//! that proposed it learns when it applies its own entry, and only then tells the client.
//!
//! What belongs to a connection (how far it was read to, whether it is too slow, when something was last heard over
//! it) is only where the connection is, and decides nothing that others see. A connection is known by its node and
//! fence.
//!
//! # What a driver does
//!
//! - **Opens** a room when the first member comes: it subscribes to the room's publications, then calls
//!   [`Store::open`], and makes a [`Replica`] of the answer. It closes a room that no member of its own is in.
//! - **Proposes**, and appends what is [pending](Replica::pending), one append of a room under way at a time, as
//!   often as it takes. An append that was not answered is repeated, never given up: nothing is known of it until its
//!   entries are applied.
//! - **Applies** what appends answer, publications tell and `read_after` returns, in any order and as often as it
//!   comes. At [`Step::Missing`] it reads what lies between, at [`Step::OtherEpoch`] it looks whether its own still
//!   is. Local connections then [pull](Replica::pull).
//! - **Looks** every 5 s, and after each reconnection to the store, with `read_after`: publications may be lost, and
//!   reading keeps the room from expiring (R6).
//! - **Buries**: each node keeps a key in the store, alive for 10 s, renewed every 3 s. [`Replica::drops`] tells the
//!   drops of connections whose node has none any more, and of those that the log has here and the driver has not (a
//!   join that was applied after its socket had closed). Any number of nodes may say so; dropping is idempotent. A store
//!   that has just been emptied does not know all nodes yet, and nobody is buried for that.
//! - **Compacts** after 256 entries or 1 MiB since the snapshot that it knows of. Two nodes may do it at once.
//! - **Expires** a room that nobody is connected to ([`Command::Expire`]): nodes keep it open until it is over, since none
//!   of them knows which will be there then.
//! - **Ends** the store's room ([`Store::end`]) when [`Replica::is_over`]: the last member's leave is an epoch's last
//!   entry, what comes after it changes nothing, and its proposer opens the room anew. If the node dies before, who
//!   opens the room finds that it is over, and ends it; or the time of the store's keys does.
//! - **Gives up** a replica at [`Step::Doubt`], and when the store refuses ([`Refusal`]): connections are closed with
//!   4104, members come back by themselves, and say where they were (`Resume::After`). If the epoch went on, they
//!   miss nothing; if another began, they are told a gap. Replicas are never repaired. After [`Step::Doubt`],
//!   [`Refusal::Behind`] and [`Reunion::Doubt`] the epoch is ended as well, at once and until that is answered,
//!   whether or not anybody comes to this node: it must not go on elsewhere. After [`Refusal::Compacted`] it does go
//!   on, with this node's connections in it: the node opens the room again at once, and buries them.
//!
//! Volatile messages do not go through the log.
//!
//! # Exactly once
//!
//! An entry has its origin's counter. Each replica remembers the last one of every node: what is there again changes
//! nothing, whenever it arrives. An append's entries are always the oldest that are pending, so a first attempt that
//! comes late brings only what others know already. Clients' own repeats are known by the sender's counters, in the
//! same state.
//!
//! # Fences
//!
//! A fence is the time at which a connection was accepted, and greater than all that its node and its client know of
//! ([`Replica::fence`]). So a clock that is behind makes nobody a duplicate. Drivers take the store's time, estimated
//! at each heartbeat: it matters only between joins of which neither node knew the other's, where the greater fence
//! wins. If both are one client's (the same sender), neither is told to stop: the loser's connection is closed with
//! 4104, and if it was the one that the client lives by, it comes back with a greater fence.
//!
//! # While the store does not answer
//!
//! After a second without an answer a node goes [apart](Replica::part): its members hear each other without numbers,
//! and who comes is told an epoch that is of this node only. What was under way is handed out like that too. Nothing of
//! the log is applied meanwhile: it may have what was handed out. When the store answers again, [`Replica::reunite`] tells what to do: if anything was said meanwhile, the epoch ends, since others
//! have missed it; else the room goes on where it was.
//!
//! # What is not promised
//!
//! - A node that dies apart takes with it what it alone knew: that others have missed something.
//! - What was handed out apart, and whose answer was lost, is sent again by its client; over another node, which the
//!   store still answers, it then gets a number, and who heard it apart hears it twice.
//! - Two pages of one member (an old one, and the one after a reload) that join at the same moment over nodes whose
//!   clocks differ are ordered by those clocks, and the other is told to stop.
//! - For how long a member was away is counted from its last entry: what was only heard over its connection (a pong)
//!   its own node knows.
//! - A quiet room keeps messages beyond their age until its next entry, within the other bounds.
//! - Nodes whose snapshots have another form, in the middle of an upgrade, cannot be in one room: those that cannot
//!   read it close its connections with 4104, and leave it to the others.

mod apart;
mod entry;
mod outcome;
mod shared;
mod store;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Timestamp, WallTime};
use wire::room::{Epoch, Fence, MemberId, Resume, SenderId};

use crate::log::{Draft, JoinError, Joined, Log, LogRules, Member, Message, PullError, SendError};
use apart::Apart;
pub use apart::Handed;
pub use entry::{Command, Entry, EntryId, NodeId, Origin, Position, Stored};
pub use outcome::{Applied, Closed, ClosedBy, Outcome, Reunion, Step};
use shared::Shared;
pub use shared::{Last, Snapshot, SnapshotError};
pub use store::{Opened, Refusal, Store, TAIL};

/// Of how many entries it is known which they were, to find that a store says something else later.
const RECENT: usize = 64;

/// How far ahead another node's clock may be for a client's word on its last connection to be believed.
const AHEAD: Duration = Duration::from_secs(60);

/// A room on one node.
#[derive(Clone, Debug)]
pub struct Replica {
    shared: Shared,
    origin: Origin,
    /// The counter of the newest entry of its own.
    counter: u64,
    /// Its own entries that were not applied yet, oldest first.
    pending: VecDeque<Entry>,
    /// The greatest version that it has heard of.
    known: u64,
    /// The latest entries that it has applied.
    recent: VecDeque<EntryId>,
    /// The greatest fence that it knows of.
    fence: Fence,
    /// When something was last heard over connections of this node, by its own clock.
    heard: BTreeMap<MemberId, Timestamp>,
    apart: Option<Apart>,
}

impl Replica {
    /// Takes up what a store has. `origin` is never used for another replica.
    ///
    /// # Errors
    /// When the snapshot cannot be read.
    pub fn open(origin: Origin, opened: &Opened) -> Result<Self, SnapshotError> {
        let shared = Shared::of_snapshot(Snapshot::of_bytes(&opened.snapshot)?);
        let mut replica = Self::of_shared(origin, shared);
        for stored in &opened.entries {
            replica.apply(stored);
        }
        Ok(replica)
    }

    /// A room that begins while the store does not answer.
    #[must_use]
    pub fn open_apart(origin: Origin, fresh: Epoch, rules: LogRules, now: Timestamp) -> Self {
        let mut replica = Self::of_shared(origin, Shared::of_snapshot(Snapshot::of_nothing(fresh, rules)));
        replica.apart = Some(Apart::new(fresh, rules, now));
        replica
    }

    fn of_shared(origin: Origin, shared: Shared) -> Self {
        let fence = shared.log.members().map(|(_, member)| member.fence()).max().unwrap_or_default();
        Self {
            known: shared.version,
            shared,
            origin,
            counter: 0,
            pending: VecDeque::new(),
            recent: VecDeque::new(),
            fence,
            heard: BTreeMap::new(),
            apart: None,
        }
    }

    /// What every replica of this version has.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// The room, as it is on all nodes, with the cursors of this node's connections.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The version that was applied last.
    #[must_use]
    pub fn applied(&self) -> Position {
        Position { epoch: self.shared.log.epoch(), version: self.shared.version }
    }

    /// The newest version that it knows to be there, for [`Store::append`].
    #[must_use]
    pub fn known(&self) -> Position {
        Position { epoch: self.shared.log.epoch(), version: self.known }
    }

    /// Whether the epoch has ended, so that the store may let go of the room.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.is_over
    }

    /// The fence of a connection that was accepted at this time: greater than all before it, and than the last that
    /// its client knows of, if that can be true.
    pub fn fence(&mut self, accepted: Timestamp, after: Option<Fence>) -> Fence {
        let latest = Fence((accepted + AHEAD).as_micros());
        let known = self.fence.max(after.filter(|after| *after <= latest).unwrap_or_default());
        self.fence = Fence(accepted.as_micros().max(known.0.saturating_add(1)));
        self.fence
    }

    /// Wants something to happen; what comes of it is the [`Outcome`] of the entry of this name.
    pub fn propose(&mut self, command: Command) -> EntryId {
        self.counter += 1;
        let id = EntryId { origin: self.origin, counter: self.counter };
        self.pending.push_back(Entry { id, command });
        id
    }

    /// What is to be appended, in this order. It stays until it is applied.
    #[must_use]
    pub fn pending(&self) -> &VecDeque<Entry> {
        &self.pending
    }

    /// Takes an entry from the store, whichever way it came.
    pub fn apply(&mut self, stored: &Stored) -> Step {
        if stored.epoch != self.shared.log.epoch() {
            return Step::OtherEpoch;
        }
        let (version, next) = (stored.version, self.shared.version + 1);
        self.known = self.known.max(version);
        if version > next {
            return Step::Missing;
        }
        let id = stored.entry.id;
        if version < next {
            let back = usize::try_from(next - version).unwrap_or(usize::MAX);
            let known = self.recent.len().checked_sub(back).and_then(|at| self.recent.get(at));
            return if known.is_none_or(|known| *known == id) { Step::Seen } else { Step::Doubt };
        }
        let mut applied = self.shared.apply(stored);
        applied.closed = applied.closed.filter(|closed| closed.node == self.origin.node);
        if let Some(closed) = &applied.closed {
            self.heard.remove(&closed.member);
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        if id.origin == self.origin {
            while self.pending.front().is_some_and(|entry| entry.id.counter <= id.counter) {
                self.pending.pop_front();
            }
        }
        if let Command::Join { fence, .. } = &stored.entry.command {
            self.fence = self.fence.max(*fence);
        }
        Step::Applied(applied)
    }

    /// Who it is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether somebody is connected to another node.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.shared.connections().any(|(_, node, _)| node != self.origin.node)
    }

    /// Whether the log has this connection, on this node.
    #[must_use]
    pub fn is_here(&self, member: &MemberId, fence: Fence) -> bool {
        self.shared.connection(member) == Some((self.origin.node, fence))
    }

    /// The next messages for a connection of this node, as [`Log::pull`].
    ///
    /// # Errors
    /// As [`PullError`] says.
    pub fn pull(
        &mut self,
        member: &MemberId,
        fence: Fence,
        most: (usize, usize),
    ) -> Result<Vec<(u64, Arc<Message>)>, PullError> {
        if !self.is_here(member, fence) {
            return Err(PullError::Fenced);
        }
        self.shared.log.pull(member, fence, most)
    }

    /// The connections of this node that are too slow (R8).
    pub fn overrun(&self) -> impl Iterator<Item = (&MemberId, Fence)> {
        self.shared.log.overrun().filter(|(member, fence)| self.is_here(member, *fence))
    }

    /// A member has everything up to a number. Drivers pass on the newest, a few times a second. `None` when it is nothing
    /// new, or cannot be.
    pub fn acknowledge(&mut self, member: &MemberId, fence: Fence, sequence: u64) -> Option<EntryId> {
        let found = self.shared.log.member(member).filter(|_| self.is_here(member, fence))?;
        let news = sequence > found.acknowledged() && sequence <= found.cursor();
        let command = || Command::Acknowledge { member: member.clone(), fence, sequence };
        news.then(|| self.propose(command()))
    }

    /// Something was heard over a connection of this node. Nobody else is told.
    pub fn heard(&mut self, member: &MemberId, fence: Fence, now: Timestamp) {
        if self.is_here(member, fence) {
            self.heard.insert(member.clone(), now);
        }
    }

    /// When something was last heard from a member, for all that is known here (R5).
    #[must_use]
    pub fn last_seen(&self, member: &MemberId) -> Option<Timestamp> {
        let found = self.shared.log.member(member).map(Member::last_seen)?;
        Some(self.heard.get(member).map_or(found, |heard| found.max(*heard)))
    }

    /// The drops of connections that do not exist: on another node, because that is gone; on this one, because the
    /// driver has none of this fence.
    pub fn drops(&self, exists: impl Fn(NodeId, &MemberId, Fence) -> bool) -> Vec<Command> {
        let gone = self.shared.connections().filter(|(member, node, fence)| !exists(*node, member, *fence));
        let drops = gone.map(|(member, node, fence)| Command::Drop { member: member.clone(), fence, node });
        drops.filter(|drop| !self.pending.iter().any(|entry| entry.command == *drop)).collect()
    }

    /// A connection of this node is gone.
    pub fn disconnect(&mut self, member: &MemberId, fence: Fence, now: Timestamp) {
        if let Some(apart) = &mut self.apart {
            apart.drop(member, fence, now);
        }
        let node = self.origin.node;
        self.propose(Command::Drop { member: member.clone(), fence, node });
    }

    /// The store does not answer: until it does, members on this node are by themselves, in an epoch of their own.
    /// `now` is this node's clock. What they had said and is not in the log, for all that is known, is handed out
    /// at once; if it is in the log after all, the epoch ends without any of them hearing it again.
    pub fn part(
        &mut self,
        fresh: Epoch,
        rules: LogRules,
        now: (Timestamp, WallTime),
    ) -> Vec<(EntryId, Handed)> {
        let mut apart = Apart::new(fresh, rules, now.0);
        apart.take_in(&self.shared, self.own(), now.0);
        let mut handed = Vec::new();
        self.pending.retain(|entry| {
            let out = match &entry.command {
                Command::Send { member, fence, counter, draft } => {
                    apart.send((member, *fence, *counter), draft.clone(), now).ok().flatten()
                }
                Command::Publish { draft } => Some(apart.hand_out(None, draft.clone(), now.1)),
                Command::Leave { member, .. } => {
                    apart.leave(member, now.0);
                    None
                }
                Command::Drop { member, fence, .. } => {
                    apart.drop(member, *fence, now.0);
                    None
                }
                _ => None,
            };
            let is_kept = out.is_none();
            handed.extend(out.map(|out| (entry.id, out)));
            is_kept
        });
        self.apart = Some(apart);
        handed
    }

    fn own(&self) -> Vec<(MemberId, Fence)> {
        let own = self.shared.connections().filter(|(_, node, _)| *node == self.origin.node);
        own.map(|(member, _, fence)| (member.clone(), fence)).collect()
    }

    /// Who is here while the store does not answer.
    #[must_use]
    pub fn apart(&self) -> Option<&Log> {
        self.apart.as_ref().map(Apart::log)
    }

    /// A member comes while the store does not answer. `None` when it does.
    pub fn join_apart(
        &mut self,
        member: &MemberId,
        fence: Fence,
        resume: Option<Resume>,
        sender: Option<&SenderId>,
        now: Timestamp,
    ) -> Option<Result<Joined, JoinError>> {
        self.apart.as_mut().map(|apart| apart.join(member, fence, resume, sender, now))
    }

    /// A member leaves while the store does not answer.
    pub fn leave_apart(&mut self, member: &MemberId, now: Timestamp) {
        if let Some(apart) = &mut self.apart {
            apart.leave(member, now);
        }
    }

    /// A member sends while the store does not answer. Who is elsewhere is not reached. Nothing is handed out for a repeat; `None` when it does
    /// answer.
    pub fn send_apart(
        &mut self,
        from: (&MemberId, Fence, Option<u64>),
        draft: Draft,
        now: (Timestamp, WallTime),
    ) -> Option<Result<Option<Handed>, SendError>> {
        self.apart.as_mut().map(|apart| apart.send(from, draft, now))
    }

    /// The application's own server sends while the store does not answer. `None` when it does.
    pub fn publish_apart(&mut self, draft: Draft, at: WallTime) -> Option<Handed> {
        self.apart.as_mut().map(|apart| apart.hand_out(None, draft, at))
    }

    /// The store answers again.
    pub fn reunite(&mut self) -> Reunion {
        let Some(apart) = self.apart.take() else { return Reunion::GoOn(Vec::new()) };
        if apart.has_spoken() {
            return Reunion::Doubt;
        }
        let members = apart.log().members();
        let here = members.filter_map(|(id, member)| Some((id.clone(), member.connection()?)));
        Reunion::GoOn(here.filter(|(member, fence)| !self.is_here(member, *fence)).collect())
    }
}
