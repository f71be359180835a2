-- What must last, as sqlite/1.sql to 6.sql have it: their comments hold here too. Times are milliseconds since the Unix
-- epoch; identifiers are 32 hex digits; truths are 0 and 1. Text is ordered by its bytes, as in SQLite.

CREATE TABLE schema_version (
    version BIGINT NOT NULL
);

-- Who writes here, and the number of the last commit of each: what is asked when the answer to a commit was lost. Each start
-- of a server has a row.
CREATE TABLE writers (
    writer TEXT PRIMARY KEY,
    commits BIGINT NOT NULL
);

CREATE TABLE experiments (
    sha256 TEXT COLLATE "C" PRIMARY KEY,
    experiment TEXT NOT NULL
);

CREATE TABLE environments (
    sha256 TEXT COLLATE "C" PRIMARY KEY,
    prepared BYTEA NOT NULL
);

CREATE TABLE visits (
    visit TEXT COLLATE "C" PRIMARY KEY,
    participant TEXT NOT NULL,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    entry TEXT NOT NULL,
    scene BIGINT NOT NULL,
    ended TEXT,
    created BIGINT NOT NULL,
    progress TEXT,
    person TEXT,
    condition TEXT,
    changed BIGINT
);
CREATE UNIQUE INDEX visits_by_person ON visits (experiment, person) WHERE person IS NOT NULL;
CREATE INDEX visits_by_condition ON visits (experiment) WHERE condition IS NOT NULL;

CREATE TABLE games (
    game TEXT COLLATE "C" PRIMARY KEY,
    experiment TEXT NOT NULL,
    experiment_sha256 TEXT NOT NULL,
    scene TEXT NOT NULL,
    environment_sha256 TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    seed TEXT NOT NULL,
    rules TEXT NOT NULL,
    input_size BIGINT NOT NULL,
    created BIGINT NOT NULL,
    cancelled BIGINT NOT NULL DEFAULT 0,
    options TEXT NOT NULL DEFAULT '[]'
);

CREATE TABLE seats (
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    seat BIGINT NOT NULL,
    visit TEXT COLLATE "C" NOT NULL REFERENCES visits,
    reason TEXT,
    frame BIGINT,
    ended BIGINT,
    is_partial BIGINT,
    PRIMARY KEY (game, seat)
);
CREATE INDEX seats_by_visit ON seats (visit, game);

CREATE TABLE frames (
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    reporter BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    frame BIGINT NOT NULL,
    version BIGINT NOT NULL,
    incarnations BYTEA NOT NULL,
    inputs BYTEA NOT NULL,
    filled BIGINT NOT NULL,
    hash BIGINT NOT NULL,
    simulated_ms BIGINT NOT NULL,
    shown_ms BIGINT,
    predicted BIGINT NOT NULL,
    rollback_depth BIGINT NOT NULL,
    PRIMARY KEY (game, reporter, incarnation, frame, version)
);

CREATE TABLE durable (
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    reporter BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    frame BIGINT NOT NULL,
    event BIGINT NOT NULL,
    first BIGINT,
    PRIMARY KEY (game, reporter, incarnation)
);

CREATE TABLE play_events (
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    reporter BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    number BIGINT NOT NULL,
    frame BIGINT NOT NULL,
    ms BIGINT NOT NULL,
    event TEXT NOT NULL,
    PRIMARY KEY (game, reporter, incarnation, number)
);

CREATE TABLE server_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    seat BIGINT,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX server_events_by_game ON server_events (game, id);

CREATE TABLE live_games (
    game TEXT COLLATE "C" PRIMARY KEY REFERENCES games,
    state TEXT NOT NULL,
    saved BIGINT NOT NULL
);

CREATE TABLE alive (
    id BIGINT PRIMARY KEY CHECK (id = 0),
    at BIGINT NOT NULL
);

CREATE TABLE fences (
    game TEXT COLLATE "C" NOT NULL REFERENCES games,
    seat BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    cut_frame BIGINT NOT NULL,
    PRIMARY KEY (game, seat, incarnation)
);

CREATE TABLE answers (
    visit TEXT COLLATE "C" NOT NULL REFERENCES visits,
    scene TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    answer TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (visit, scene, field)
);

CREATE TABLE path (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visit TEXT COLLATE "C" NOT NULL REFERENCES visits,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    detail TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX path_by_visit ON path (visit, id);

CREATE TABLE visit_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    visit TEXT COLLATE "C" NOT NULL REFERENCES visits,
    ending TEXT NOT NULL,
    exit TEXT,
    at BIGINT NOT NULL,
    due BIGINT NOT NULL
);
