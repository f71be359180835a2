//! The contract of a store: what each operation must do, all of it at once or nothing.
//!
//! # What a store holds of a room
//!
//! `epoch`; `run`, the life of the store in which the epoch began; `snapshot` and the version that it is of; the
//! entries after `base`, a version at or before the snapshot's; `tip`, the last version. All keys of a room have one
//! hash tag, and expire together ([the room's `ttl`](crate::log::LogRules), R6): each operation but `end` sets that
//! time anew. Nodes with connected members read every 5 s, so a room expires only when no node has had one for as
//! long.
//!
//! # Runs
//!
//! Within one life of a store's process nothing that it acknowledged is lost. After a restart or a failover it may
//! be, and nobody can tell: others may already have filled the lost versions with something else, so that no
//! comparison of versions shows it, and the only node that knew better may be gone. So an epoch is bound to the run
//! in which it began. Whoever meets it in another run ([`Refusal::Behind`]) makes it end. A run is a history of the
//! store's data, not a process: one that was replaced, follows its successor and is put in its place again has lost what
//! only it knew. For Redis and Valkey that is `master_replid` of `INFO replication`, for which each script asks itself, so
//! that no driver can be mistaken about which server has answered. A room whose place in a cluster moves to another server
//! is in another run, too. What cannot be read, or has a hole, is as if it had been lost.
//!
//! # Time
//!
//! The store's clock is the only one that counts: `at` is the greater of its own and that of the entry before. A node
//! whose clock is ahead would make all messages of a room too old for its buffer.

use wire::room::Epoch;

use super::{Entry, Position, Stored};

/// How many entries before the snapshot stay, so that a node which is behind can still read them.
pub const TAIL: u64 = 256;

/// What is known of a room by who opens it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The state at some version ([`Snapshot`](super::Snapshot)).
    pub snapshot: Vec<u8>,
    /// Everything after it, in order.
    pub entries: Vec<Stored>,
}

/// Why nothing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The room is in another epoch.
    #[error("the room is in another epoch")]
    OtherEpoch,
    /// There is no such room: it has expired, has ended, or the store was emptied.
    #[error("there is no such room")]
    Gone,
    /// The epoch began in another run of the store, or the store has less than this node knows: it has, or may have,
    /// lost something.
    #[error("the store may have lost something")]
    Behind,
    /// What comes after this position is no longer there.
    #[error("the position is too old")]
    Compacted,
}

/// A store. An `Err` says that it has answered; when it does not answer, nothing is known of what it did.
///
/// `append`, `read_after` and `compact` first look, in this order: is there the room ([`Refusal::Gone`]), in this
/// epoch ([`Refusal::OtherEpoch`]), which began in this run, with at least the caller's version
/// ([`Refusal::Behind`])?
pub trait Store {
    /// Reads a room, or begins one: with `fresh`, a snapshot of nothing at version 0, when there is none, or when its
    /// epoch began in another run. Of any number of nodes that do so at once, one begins it.
    fn open(&mut self, fresh: (Epoch, &[u8])) -> Opened;

    /// Adds entries, in their order, with the next versions, and publishes them; answers them as they are stored.
    /// `at.version` is the greatest that the caller knows of. The caller has one append under way for a room: what
    /// comes meanwhile goes together in the next. When no answer comes, the same entries are the first of the next
    /// append, in the same order. The store does not recognise them: every replica passes over what is there a second
    /// time ([`Origin`]'s counter), so that it does not matter how late a first attempt arrives.
    ///
    /// [`Origin`]: super::Origin
    ///
    /// # Errors
    /// As [`Refusal`] says.
    fn append(&mut self, at: Position, entries: &[Entry]) -> Result<Vec<Stored>, Refusal>;

    /// Everything after a position: nothing when the caller has all. This is also how a quiet node sees to it that
    /// its rooms still are what it thinks: after every reconnection to the store, and every 5 s, since publications
    /// may be lost.
    ///
    /// # Errors
    /// As [`Refusal`] says; [`Refusal::Compacted`] if `at.version` is before `base`.
    fn read_after(&mut self, at: Position) -> Result<Vec<Stored>, Refusal>;

    /// Takes a snapshot that is of `at.version`, unless it has a newer one, and lets go of the entries up to [`TAIL`]
    /// before it. Every node's snapshot of a version is the same.
    ///
    /// # Errors
    /// As [`Refusal`] says.
    fn compact(&mut self, at: Position, snapshot: Vec<u8>) -> Result<(), Refusal>;

    /// Removes everything of a room that is in this epoch, whichever run it began in; in another, or when there is
    /// none, nothing. For an epoch that is over, or in doubt: the next `open` begins another, and to everybody else
    /// the room is [`Refusal::Gone`]. Epochs do not come again, so it does not matter how late or how often it
    /// arrives.
    fn end(&mut self, epoch: Epoch);
}
