-- People are forgotten (D5): when that was; of such a visit there is no more than how it ended.
ALTER TABLE visits ADD COLUMN deleted INTEGER;
ALTER TABLE visits ADD COLUMN deleted_games INTEGER;    -- whether its games are to go as well
CREATE INDEX visits_deleted ON visits (visit) WHERE deleted IS NOT NULL;

-- Who it was that the study's own server is to hear of, when that is written nowhere else any more; else NULL.
ALTER TABLE visit_events ADD COLUMN participant TEXT;
ALTER TABLE visit_events ADD COLUMN entry TEXT;     -- JSON

-- What an experiment's texts show: pictures, sound and video. Visits see those of the version that they began with,
-- whatever becomes of the folder. In parts, because nobody needs all of a long one at once.
CREATE TABLE files (
    sha256 TEXT NOT NULL,             -- of the content
    kind TEXT NOT NULL,               -- what its name ends with: "png"
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (sha256, kind, part)
) STRICT;
