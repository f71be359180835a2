-- What the study's own server is to hear of visits that have ended, until it has answered that it got it (S5). Numbers are
-- not used again: they are what it tells repeats by.
CREATE TABLE visit_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    visit TEXT NOT NULL REFERENCES visits,
    ending TEXT NOT NULL,
    exit TEXT,                        -- JSON: a code or an address, or NULL
    at INTEGER NOT NULL,              -- when it ended
    due INTEGER NOT NULL              -- not to be told before
) STRICT;
