-- Groups that did not come about: a link was not good enough, or somebody left before the first frame. They are no games.
ALTER TABLE games ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;

-- Visits are divided into conditions (S1), and what they come to on their way is kept.
ALTER TABLE visits ADD COLUMN condition TEXT;
ALTER TABLE visits ADD COLUMN changed INTEGER;    -- when its progress was last written
CREATE INDEX visits_by_condition ON visits (experiment) WHERE condition IS NOT NULL;

CREATE TABLE path (
    id INTEGER PRIMARY KEY,
    visit TEXT NOT NULL REFERENCES visits,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    detail TEXT NOT NULL,             -- JSON
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX path_by_visit ON path (visit, id);

-- The options that a game's environment has: JSON, in its manifest's order.
ALTER TABLE games ADD COLUMN options TEXT NOT NULL DEFAULT '[]';
