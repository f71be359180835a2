//! What all replicas share: a function of the log's entries and of nothing else.

use std::collections::BTreeMap;

use base::{Timestamp, WallTime};
use serde::{Deserialize, Serialize};
use wire::room::{Epoch, Fence, MemberId, Presence};

use super::{Applied, Closed, Command, EntryId, NodeId, Outcome, Stored};
use crate::log::{Joined, Log, LogRecord, LogRules, Member, SendError};

/// For how many nodes it is remembered what they have appended: those that did so latest. An older one would have to
/// repeat an append after so many others had come.
const ORIGINS: usize = 256;

/// Of what form snapshots and entries are. Nodes of another version of this program cannot take part in a room.
const FORMAT: u16 = 1;

/// A store counts in doubles.
const MOST_VERSIONS: u64 = 1 << 53;

/// A room at a version, as the store keeps it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// How it is to be read.
    pub format: u16,
    /// The version of the last entry that is in it.
    pub version: u64,
    /// The time of that entry.
    pub time: WallTime,
    /// Whether the epoch has ended.
    pub is_over: bool,
    /// Numbers, members and messages.
    pub log: LogRecord,
    /// Where members are connected.
    pub nodes: BTreeMap<MemberId, NodeId>,
    /// What nodes have appended last.
    pub origins: BTreeMap<NodeId, Last>,
}

/// The last entry of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Last {
    /// Of which of its replicas.
    pub opening: u64,
    /// That replica's counter.
    pub counter: u64,
    /// The entry's version.
    pub version: u64,
}

/// Why a snapshot cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is damaged, or of another form.
    #[error("a snapshot cannot be read: {0}")]
    Unreadable(#[from] postcard::Error),
    /// Its numbers are none that a room can have.
    #[error("a snapshot has impossible numbers")]
    Unsound,
    /// It is of another version of this program.
    #[error("a snapshot of form {0} is not for this version")]
    Format(u16),
}

impl Snapshot {
    /// What an epoch begins with.
    #[must_use]
    pub fn of_nothing(epoch: Epoch, rules: LogRules) -> Self {
        Shared::new(Log::new(epoch, rules, Timestamp::default())).snapshot()
    }

    /// For the store. Snapshots of a version are the same bytes on every node.
    ///
    /// # Panics
    /// Never: there is nothing in it that cannot be written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("a snapshot can be written")
    }

    /// From the store.
    ///
    /// # Errors
    /// As [`SnapshotError`] says.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (format, _) = postcard::take_from_bytes(bytes)?;
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let snapshot: Self = postcard::from_bytes(bytes)?;
        let is_sound = snapshot.version < MOST_VERSIONS && snapshot.log.is_sound();
        is_sound.then_some(snapshot).ok_or(SnapshotError::Unsound)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) log: Log,
    pub(super) version: u64,
    time: WallTime,
    pub(super) is_over: bool,
    nodes: BTreeMap<MemberId, NodeId>,
    origins: BTreeMap<NodeId, Last>,
}

impl Shared {
    fn new(log: Log) -> Self {
        let (nodes, origins) = Default::default();
        Self { log, version: 0, time: WallTime(0), is_over: false, nodes, origins }
    }

    pub(super) fn of_snapshot(snapshot: Snapshot) -> Self {
        let Snapshot { format: _, version, time, is_over, log, nodes, origins } = snapshot;
        Self { log: Log::of_record(log), version, time, is_over, nodes, origins }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let Self { log, version, time, is_over, nodes, origins } = self;
        Snapshot {
            format: FORMAT,
            version: *version,
            time: *time,
            is_over: *is_over,
            log: log.record(),
            nodes: nodes.clone(),
            origins: origins.clone(),
        }
    }

    /// A member's connection, and the node that has it.
    pub(super) fn connection(&self, member: &MemberId) -> Option<(NodeId, Fence)> {
        let fence = self.log.member(member)?.connection()?;
        self.nodes.get(member).map(|node| (*node, fence))
    }

    /// Every connection, and the node that has it.
    pub(super) fn connections(&self) -> impl Iterator<Item = (&MemberId, NodeId, Fence)> {
        self.nodes.iter().filter_map(|(member, node)| {
            let fence = self.log.member(member)?.connection()?;
            Some((member, *node, fence))
        })
    }

    /// Applies the next entry.
    pub(super) fn apply(&mut self, stored: &Stored) -> Applied {
        let Stored { epoch: _, version, at, entry } = stored;
        self.version = *version;
        // Another machine may have become the store.
        self.time = self.time.max(*at);
        if *version == 1 {
            self.log.begin(self.now());
        }
        if self.is_over {
            return Outcome::Over.into();
        }
        if !self.admit(entry.id) {
            return Outcome::Repeat.into();
        }
        let applied = self.obey(entry.id.origin.node, &entry.command);
        self.is_over = match entry.command {
            Command::Leave { .. } => {
                applied.outcome == Outcome::Left(true) && self.log.members().next().is_none()
            }
            Command::End => true,
            Command::Expire => applied.outcome == Outcome::Expired(true),
            _ => false,
        };
        applied
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.time.0)
    }

    /// Remembers an entry as its node's last. False when it was there before.
    fn admit(&mut self, id: EntryId) -> bool {
        let EntryId { origin, counter } = id;
        let last = self.origins.get(&origin.node);
        // What an older replica of the node had under way, nobody waits for.
        if last.is_some_and(|last| (origin.opening, counter) <= (last.opening, last.counter)) {
            return false;
        }
        if last.is_none() && self.origins.len() >= ORIGINS {
            let oldest = self.origins.iter().min_by_key(|(_, last)| last.version).map(|(node, _)| *node);
            oldest.map(|oldest| self.origins.remove(&oldest));
        }
        let last = Last { opening: origin.opening, counter, version: self.version };
        self.origins.insert(origin.node, last);
        true
    }

    fn obey(&mut self, node: NodeId, command: &Command) -> Applied {
        let now = self.now();
        // What is said over a connection that is elsewhere was said over an older one.
        let is_here = |member: &MemberId| self.nodes.get(member) == Some(&node);
        match command {
            Command::Join { member, fence, resume, after, sender } => {
                let before = self.connection(member);
                let known = self.log.member(member).and_then(Member::sender);
                let is_own = sender.is_some() && known == sender.as_ref();
                match self.log.join(member, *fence, *resume, *after, sender.as_ref(), now) {
                    Ok(joined) => {
                        self.nodes.insert(member.clone(), node);
                        let closed =
                            before.map(|(node, fence)| Closed::replaced(member.clone(), fence, node, is_own));
                        Applied {
                            presence: presence(member, &joined),
                            closed,
                            ..Outcome::Joined(joined).into()
                        }
                    }
                    Err(error) => Outcome::Refused { error, is_own }.into(),
                }
            }
            Command::Send { member, fence, counter, draft } => {
                let sent = if is_here(member) {
                    self.log.send(member, *fence, *counter, draft.clone(), (now, self.time))
                } else {
                    Err(SendError::Fenced)
                };
                Outcome::Sent(sent).into()
            }
            Command::Publish { draft } => {
                Outcome::Published(self.log.publish(draft.clone(), now, self.time)).into()
            }
            Command::Acknowledge { member, fence, sequence } => {
                let news = is_here(member) && self.log.acknowledge_anywhere(member, *fence, *sequence, now);
                Outcome::Acknowledged(news).into()
            }
            Command::Drop { member, fence, node } => {
                let dropped = self.nodes.get(member) == Some(node) && self.log.drop(member, *fence, now);
                if dropped {
                    self.nodes.remove(member);
                }
                let closed = dropped.then(|| Closed::dropped(member.clone(), *fence, *node));
                let presence = dropped.then(|| (member.clone(), Presence::Dropped));
                Applied {
                    outcome: Outcome::Dropped(dropped),
                    presence: presence.into_iter().collect(),
                    closed,
                }
            }
            Command::Leave { member, fence } => {
                let connection = self.connection(member);
                let left = (fence.is_none() || is_here(member)) && self.log.leave(member, *fence, now);
                if left {
                    self.nodes.remove(member);
                }
                let closed = connection
                    .filter(|_| left)
                    .map(|(node, fence)| Closed::left(member.clone(), fence, node));
                let presence = left.then(|| (member.clone(), Presence::Left));
                Applied { outcome: Outcome::Left(left), presence: presence.into_iter().collect(), closed }
            }
            Command::End => Outcome::Ended.into(),
            Command::Expire => Outcome::Expired(self.log.is_over(now)).into(),
        }
    }
}

/// What others are told of a join.
fn presence(member: &MemberId, joined: &Joined) -> Vec<(MemberId, Presence)> {
    let evicted = joined.evicted.iter().map(|evicted| (evicted.clone(), Presence::Left));
    evicted.chain(joined.presence().map(|own| (member.clone(), own))).collect()
}
