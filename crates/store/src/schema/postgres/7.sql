-- As sqlite/7.sql has it.
ALTER TABLE visits ADD COLUMN deleted BIGINT;
ALTER TABLE visits ADD COLUMN deleted_games BIGINT;
CREATE INDEX visits_deleted ON visits (visit) WHERE deleted IS NOT NULL;

ALTER TABLE visit_events ADD COLUMN participant TEXT;
ALTER TABLE visit_events ADD COLUMN entry TEXT;

CREATE TABLE files (
    sha256 TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    part BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (sha256, kind, part)
);
