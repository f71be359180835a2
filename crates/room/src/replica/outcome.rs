//! What comes of an entry, and of the store's return.

use std::sync::Arc;

use wire::room::{Fence, MemberId, Presence};

use super::NodeId;
use crate::log::{JoinError, Joined, Message, SendError, Sent};

/// What an entry has led to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A member is here.
    Joined(Joined),
    /// A member could not join.
    Refused {
        /// Why.
        error: JoinError,
        /// Whether the connection that it has or had is of the same client: then it is not told to stop.
        is_own: bool,
    },
    /// A member's send.
    Sent(Result<Sent, SendError>),
    /// The application's.
    Published(Result<Arc<Message>, SendError>),
    /// Whether an acknowledgement was news.
    Acknowledged(bool),
    /// Whether a connection was dropped.
    Dropped(bool),
    /// Whether a member has left.
    Left(bool),
    /// The room was deleted.
    Ended,
    /// Whether nobody has been connected for as long as the room waits.
    Expired(bool),
    /// It was there before; nothing has changed.
    Repeat,
    /// The epoch was over; nothing has changed.
    Over,
}

/// Why a connection is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClosedBy {
    /// Another connection has taken over.
    Replaced {
        /// Of the same client: then it is not told to stop.
        is_own: bool,
    },
    /// It was dropped, by its own node or by one that held this node for dead.
    Dropped,
    /// The member has left, or was made to.
    Left,
}

/// A connection that counts no more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Whose.
    pub member: MemberId,
    /// Which.
    pub fence: Fence,
    /// Where.
    pub node: NodeId,
    /// Why.
    pub by: ClosedBy,
}

impl Closed {
    pub(super) fn replaced(member: MemberId, fence: Fence, node: NodeId, is_own: bool) -> Self {
        Self { member, fence, node, by: ClosedBy::Replaced { is_own } }
    }

    pub(super) fn dropped(member: MemberId, fence: Fence, node: NodeId) -> Self {
        Self { member, fence, node, by: ClosedBy::Dropped }
    }

    pub(super) fn left(member: MemberId, fence: Fence, node: NodeId) -> Self {
        Self { member, fence, node, by: ClosedBy::Left }
    }
}

/// An entry was applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// What it led to, for who proposed it.
    pub outcome: Outcome,
    /// What became of members, for all others.
    pub presence: Vec<(MemberId, Presence)>,
    /// The connection that counts no more; only told on its own node.
    pub closed: Option<Closed>,
}

impl From<Outcome> for Applied {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, presence: Vec::new(), closed: None }
    }
}

impl Applied {
    /// The message that is new in the log.
    #[must_use]
    pub fn message(&self) -> Option<&Arc<Message>> {
        match &self.outcome {
            Outcome::Sent(Ok(Sent::New(message))) | Outcome::Published(Ok(message)) => Some(message),
            _ => None,
        }
    }
}

/// What became of an entry that a replica was handed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// It was the next.
    Applied(Applied),
    /// It was applied before.
    Seen,
    /// Entries between the last that was applied and this one are missing, and have to be read.
    Missing,
    /// It is of another epoch: a late publication, or one of an epoch that has followed. Reading tells which.
    OtherEpoch,
    /// The store says something else than before: the epoch has to end.
    Doubt,
}

/// What to do when the store answers again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reunion {
    /// Nothing was said meanwhile: after reading what has come, the room goes on. These connections came meanwhile,
    /// and are to be closed: their members come back.
    GoOn(Vec<(MemberId, Fence)>),
    /// Others have missed something: the epoch has to end.
    Doubt,
}
