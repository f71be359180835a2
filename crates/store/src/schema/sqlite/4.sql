-- Visits keep the version of the experiment that they began with (S2).
CREATE TABLE experiments (
    sha256 TEXT PRIMARY KEY,          -- its version
    experiment TEXT NOT NULL          -- JSON: all its scenes
) STRICT, WITHOUT ROWID;

-- What must be remembered of a visit beside its scene and its ending: JSON, of the machine that takes it on.
ALTER TABLE visits ADD COLUMN progress TEXT;

-- Who a platform's entry link says that somebody is: one person has one visit in an experiment (S5).
ALTER TABLE visits ADD COLUMN person TEXT;
CREATE UNIQUE INDEX visits_by_person ON visits (experiment, person) WHERE person IS NOT NULL;

-- A visit's endings have names of their own.
UPDATE visits SET ended = 'completed' WHERE ended = 'normal';
