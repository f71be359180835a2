-- What must last. Times are milliseconds since the Unix epoch; identifiers are 32 hex digits.

CREATE TABLE visits (
    visit TEXT PRIMARY KEY,
    participant TEXT NOT NULL,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    entry TEXT NOT NULL,              -- JSON: the entry link's parameters
    scene INTEGER NOT NULL,           -- index of the current scene
    ended TEXT,                       -- a termination reason, or NULL while the visit goes on
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE environments (
    sha256 TEXT PRIMARY KEY,          -- of the prepared module
    prepared BLOB NOT NULL
) STRICT;

CREATE TABLE games (
    game TEXT PRIMARY KEY,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    scene TEXT NOT NULL,
    environment_sha256 TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seed TEXT NOT NULL,               -- 16 hex digits
    rules TEXT NOT NULL,              -- JSON
    input_size INTEGER NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE seats (
    game TEXT NOT NULL REFERENCES games,
    seat INTEGER NOT NULL,
    visit TEXT NOT NULL REFERENCES visits,
    reason TEXT,                      -- how it ended, or NULL
    frame INTEGER,                    -- where
    ended INTEGER,                    -- when
    is_partial INTEGER,
    PRIMARY KEY (game, seat)
) STRICT, WITHOUT ROWID;

CREATE INDEX seats_by_visit ON seats (visit, game);

-- One row for each frame that a seat reported. A frame that came again with other contents is kept as a further
-- version (D2).
CREATE TABLE frames (
    game TEXT NOT NULL REFERENCES games,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    version INTEGER NOT NULL,
    incarnations BLOB NOT NULL,       -- each seat's
    inputs BLOB NOT NULL,             -- all seats', in order
    filled INTEGER NOT NULL,          -- bit set of seats
    hash INTEGER NOT NULL,            -- the 64 bits, as a signed number
    simulated_ms INTEGER NOT NULL,
    shown_ms INTEGER,
    predicted INTEGER NOT NULL,       -- bit set of seats
    rollback_depth INTEGER NOT NULL,
    PRIMARY KEY (game, reporter, incarnation, frame, version)
) STRICT, WITHOUT ROWID;

-- How far a reporter's record goes without a hole: the first frame and the first event that are missing.
CREATE TABLE durable (
    game TEXT NOT NULL REFERENCES games,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (game, reporter, incarnation)
) STRICT, WITHOUT ROWID;

-- What happened at a seat, numbered by it.
CREATE TABLE play_events (
    game TEXT NOT NULL REFERENCES games,
    reporter INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    ms INTEGER NOT NULL,
    event TEXT NOT NULL,              -- JSON
    PRIMARY KEY (game, reporter, incarnation, number)
) STRICT, WITHOUT ROWID;

-- What the server saw or was told.
CREATE TABLE server_events (
    id INTEGER PRIMARY KEY,
    game TEXT NOT NULL REFERENCES games,
    seat INTEGER,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,             -- JSON
    at INTEGER NOT NULL
) STRICT;
