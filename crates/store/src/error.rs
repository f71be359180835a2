//! What can go wrong with storage, and the cure.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::DatabaseError;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be made.
    #[error("cannot use the data folder {}: {source}; give another with --data", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server keeps its data there.
    #[error("the data folder {} is in use by another server; stop that one, or give another with --data", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
        /// Where that server listens, when it said so.
        server: Option<SocketAddr>,
    },
    /// Another server writes to that database.
    #[error(
        "the database {database} is in use by another server; stop that one, or give another with --database; several servers \
         of one experiment share one as nodes, each with --node"
    )]
    DatabaseInUse {
        /// Which.
        database: String,
    },
    /// The database cannot be used.
    #[error("cannot use the database {database}: {problem}; give another with --database")]
    Connect {
        /// Which.
        database: String,
        /// Why.
        problem: String,
    },
    /// The database's file cannot be opened.
    #[error(
        "cannot open {}: {source}; give a folder that can be written to, or that holds Interplay's data, with --data",
        path.display()
    )]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A newer release made it.
    #[error(
        "{database} was made by a newer release (schema {found}, this one knows {known}); use that release"
    )]
    Newer {
        /// Which.
        database: String,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] DatabaseError),
    /// The database holds what this release cannot read.
    #[error("the database holds a {what} that cannot be read: {value:?}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: String,
    },
    /// Whoever reports has been forgotten: nothing is kept of them.
    #[error("the data of this participant are deleted")]
    Forgotten,
    /// A commit failed that others had asked for too.
    #[error("the commit failed: {0}")]
    Commit(String),
    /// Others were in the way again and again; nothing was written.
    #[error("others write the same at the same time: {0}")]
    Conflict(String),
    /// The database could not be reached for too long; nothing was written.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database could not be reached again after it was told to commit.
    #[error("it is unknown whether this was written, for the database cannot be reached: {0}")]
    Unknown(String),
    /// Another node has taken the stage. Nothing is written from here any more; what was being committed at that moment may have
    /// been.
    #[error("another node has taken over; nothing more is written from here")]
    Superseded,
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the database found what was asked wrong in itself: it would find it so again.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_refusal())
    }
}
