//! The tables, and how a file comes to have them.
//!
//! Frames and events carry the smallest keys that tell their identity apart: the game's number, never its text.
//! Whatever comes in small numbers is kept as text that a person can read with any SQLite shell.

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;

/// Step *n* takes a database of schema *n* to schema *n* + 1. Steps are only ever added.
const STEPS: [&str; 1] = [r"
CREATE TABLE visits (
    visit TEXT NOT NULL PRIMARY KEY,
    participant TEXT NOT NULL,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    entry TEXT NOT NULL, -- JSON
    scene INTEGER NOT NULL,
    ended TEXT,
    created INTEGER NOT NULL -- ms since the Unix epoch
) STRICT, WITHOUT ROWID;

CREATE TABLE environments (
    sha256 TEXT NOT NULL PRIMARY KEY,
    prepared BLOB NOT NULL
) STRICT;

CREATE TABLE games (
    number INTEGER PRIMARY KEY,
    game TEXT NOT NULL UNIQUE,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    scene TEXT NOT NULL,
    environment_sha256 TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seed INTEGER NOT NULL, -- the 64 bits of an unsigned number
    rules TEXT NOT NULL, -- JSON
    input_size INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE seats (
    game INTEGER NOT NULL REFERENCES games (number),
    seat INTEGER NOT NULL,
    visit TEXT NOT NULL REFERENCES visits (visit),
    PRIMARY KEY (game, seat)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX seats_by_visit ON seats (game, visit);

CREATE TABLE endings (
    game INTEGER NOT NULL,
    seat INTEGER NOT NULL,
    reason TEXT NOT NULL,
    frame INTEGER NOT NULL,
    at INTEGER NOT NULL,
    is_partial INTEGER NOT NULL,
    PRIMARY KEY (game, seat),
    FOREIGN KEY (game, seat) REFERENCES seats (game, seat)
) STRICT, WITHOUT ROWID;

-- A reporter is a seat's page, so its incarnation is part of who tells; `incarnations` has a byte a seat.
CREATE TABLE frames (
    game INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    incarnations BLOB NOT NULL,
    version INTEGER NOT NULL,
    inputs BLOB NOT NULL,
    filled INTEGER NOT NULL, -- a bit a seat
    hash INTEGER NOT NULL, -- the 64 bits of an unsigned number
    simulated_millis INTEGER NOT NULL,
    shown_millis INTEGER,
    predicted INTEGER NOT NULL, -- a bit a seat
    rollback_depth INTEGER NOT NULL,
    PRIMARY KEY (game, frame, reporter, incarnation, incarnations, version)
) STRICT, WITHOUT ROWID;

-- How far each reporter's record reaches without a hole, and what it was last told of the seats' incarnations.
CREATE TABLE frame_progress (
    game INTEGER NOT NULL,
    reporter INTEGER NOT NULL,
    durable_frame INTEGER NOT NULL,
    incarnations BLOB NOT NULL,
    since INTEGER NOT NULL, -- the first frame told with these incarnations
    PRIMARY KEY (game, reporter),
    FOREIGN KEY (game, reporter) REFERENCES seats (game, seat)
) STRICT, WITHOUT ROWID;

CREATE TABLE play_events (
    game INTEGER NOT NULL,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    version INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    millis INTEGER NOT NULL,
    event TEXT NOT NULL, -- JSON
    PRIMARY KEY (game, reporter, incarnation, number, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE event_progress (
    game INTEGER NOT NULL,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    durable_event INTEGER NOT NULL,
    PRIMARY KEY (game, reporter, incarnation),
    FOREIGN KEY (game, reporter) REFERENCES seats (game, seat)
) STRICT, WITHOUT ROWID;

CREATE TABLE server_events (
    number INTEGER PRIMARY KEY,
    game INTEGER NOT NULL REFERENCES games (number),
    seat INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL, -- JSON
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX server_events_by_game ON server_events (game);
"];

/// The newest schema that this release knows.
pub(crate) const VERSION: u32 = STEPS.len() as u32;

/// The schema's version, which SQLite keeps in the file's header; 0 in a new file.
pub(crate) fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a database to [`VERSION`], all steps in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found != VERSION {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(transaction.commit()?)
}
