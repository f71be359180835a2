//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the store could not do what it was asked. Each names the culprit; where a person can cure it, the cure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or a file in it cannot be made, read or written.
    #[error("cannot use the data folder {}: {source}; make it writable, or name another with --data", path.display())]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("the data folder {} is in use by another server; stop that one, or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// There is nothing to read.
    #[error("{} does not exist; name the folder that the server was given with --data", .0.display())]
    Missing(PathBuf),
    /// The file is something else, or spoilt.
    #[error("{} is not an intact Interplay database; move it away, or name another folder with --data", .0.display())]
    NotADatabase(PathBuf),
    /// A newer release wrote it.
    #[error("{} has schema {found}, this release knows {known}; use the release that wrote it, or a newer one", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: u32,
        /// The newest that this release knows.
        known: u32,
    },
    /// There is no such visit, game or seat.
    #[error("there is no {what} {id}")]
    Unknown {
        /// What was asked for.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// The identifier is taken.
    #[error("{what} {id} exists already")]
    Exists {
        /// What was to be made.
        what: &'static str,
        /// Which.
        id: String,
    },
    /// The batch is not of this game's shape.
    #[error("the batch does not fit game {game}: {problem}")]
    Misfit {
        /// The game.
        game: String,
        /// What is wrong.
        problem: String,
    },
    /// A stored value is not one that this release writes.
    #[error("the database holds {value:?} as {what}, which no release writes; restore a backup")]
    Spoilt {
        /// Which value.
        what: &'static str,
        /// What stands there.
        value: String,
    },
    /// The work was done but could not be committed: nothing of it is durable.
    #[error("nothing was saved: {0}; look whether the disk is full")]
    NotCommitted(String),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}; raise the limit on processes")]
    NoThread(io::Error),
    /// The store is closed, or its thread could not go on.
    #[error("the store is closed")]
    Closed,
    /// Anything else that SQLite says.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
}
