//! What the ordered log of a room holds.

use std::fmt;

use base::WallTime;
use serde::{Deserialize, Serialize};
use wire::room::{Epoch, Fence, MemberId, Resume, SenderId};

use crate::log::Draft;

/// One life of a server's process: a restart makes another. Random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Who appends: a node, and the how-manieth replica it is that this node has opened, of any room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The node.
    pub node: NodeId,
    /// Greater for each replica that it opens.
    pub opening: u64,
}

/// What an entry is known by, however often it is appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntryId {
    /// Who appends it.
    pub origin: Origin,
    /// The origin's counter, from 1, without a hole.
    pub counter: u64,
}

/// What a node wants to happen in a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What is to happen.
    pub command: Command,
}

/// What can happen in a room. What is done over a connection counts only from the node that has the connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// A member comes, or comes back, to the entry's node.
    Join {
        /// Who.
        member: MemberId,
        /// The connection's number.
        fence: Fence,
        /// Where to go on.
        resume: Option<Resume>,
        /// The last connection that its client knows of.
        after: Option<Fence>,
        /// Who counts what is sent.
        sender: Option<SenderId>,
    },
    /// A member sends.
    Send {
        /// Who.
        member: MemberId,
        /// Over which connection.
        fence: Fence,
        /// The sender's counter.
        counter: Option<u64>,
        /// What; never volatile.
        draft: Draft,
    },
    /// The application's own server sends.
    Publish {
        /// What; never volatile.
        draft: Draft,
    },
    /// A member has everything up to a number.
    Acknowledge {
        /// Who.
        member: MemberId,
        /// Over which connection.
        fence: Fence,
        /// The number.
        sequence: u64,
    },
    /// A connection is gone, or the node that had it.
    Drop {
        /// Whose.
        member: MemberId,
        /// Which.
        fence: Fence,
        /// The node that has or had it.
        node: NodeId,
    },
    /// A member leaves for good, over its connection, or because it is made to.
    Leave {
        /// Who.
        member: MemberId,
        /// Over which connection.
        fence: Option<Fence>,
    },
    /// The room is deleted.
    End,
    /// The room is over if nobody has been connected for as long as it waits.
    Expire,
}

/// An entry at its place in the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// Which log.
    pub epoch: Epoch,
    /// Its place, from 1, without a hole in an epoch.
    pub version: u64,
    /// When, by the store's clock.
    pub at: WallTime,
    /// The entry.
    pub entry: Entry,
}

/// How much of which log a node knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The epoch.
    pub epoch: Epoch,
    /// The last version; 0 before the first.
    pub version: u64,
}
