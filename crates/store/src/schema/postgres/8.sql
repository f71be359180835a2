-- One experiment on several nodes (C1). SQLite has nothing of this: a folder is one server's.

-- Which node runs the stage. Each that takes it counts `number` up, and whoever had it before writes nothing more.
CREATE TABLE stage (
    id BIGINT PRIMARY KEY CHECK (id = 0),
    number BIGINT NOT NULL,
    node TEXT COLLATE "C" NOT NULL,     -- which process of all; empty when it is no node's
    address TEXT COLLATE "C" NOT NULL,  -- where other nodes reach it
    at BIGINT NOT NULL                  -- when it was last known to live: milliseconds since the Unix epoch, by this database's clock
);
INSERT INTO stage VALUES (0, 0, '', '', 0);

-- The nodes that there are, each while it says so.
CREATE TABLE nodes (
    node TEXT COLLATE "C" PRIMARY KEY,
    address TEXT COLLATE "C" NOT NULL,
    turn TEXT,                          -- how its STUN and TURN are reached: JSON; NULL when it has none
    at BIGINT NOT NULL
);
