-- Games survive their server (P6), pages that lose their memory void what the old ones still say (N5).

-- Where each game stands that is on.
CREATE TABLE live_games (
    game TEXT PRIMARY KEY REFERENCES games,
    state TEXT NOT NULL,              -- JSON, of the machine that runs it
    saved INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When the server was last alive: while games are on it writes that down each second.
CREATE TABLE alive (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    at INTEGER NOT NULL
) STRICT;

-- From this frame on, what older incarnations of a seat report is void.
CREATE TABLE fences (
    game TEXT NOT NULL REFERENCES games,
    seat INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,     -- the new page's
    cut_frame INTEGER NOT NULL,
    PRIMARY KEY (game, seat, incarnation)
) STRICT, WITHOUT ROWID;

-- Where a reporter's record begins: a page that was loaded in mid-game does not begin with the game. NULL while it has
-- told of no frame.
ALTER TABLE durable ADD COLUMN first INTEGER;
UPDATE durable SET first = 0;
