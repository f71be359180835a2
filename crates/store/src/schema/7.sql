-- People are forgotten (D5): when that was; of such a visit there is no more than how it ended.
ALTER TABLE visits ADD COLUMN deleted INTEGER;
CREATE INDEX visits_deleted ON visits (visit) WHERE deleted IS NOT NULL;

-- Who it was that the study's own server is to hear of, when that is written nowhere else any more; else NULL.
ALTER TABLE visit_events ADD COLUMN participant TEXT;
ALTER TABLE visit_events ADD COLUMN entry TEXT;     -- JSON
