//! What can go wrong with storage, and the cure.

use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// The database cannot be opened.
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
        "{} was made by a newer release (schema {found}, this one knows {known}); use that release",
        path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
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
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the database found what was asked wrong in itself: it would find it so again.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation))
    }
}
