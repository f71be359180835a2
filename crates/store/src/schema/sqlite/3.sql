-- What participants have answered (S1).
CREATE TABLE answers (
    visit TEXT NOT NULL REFERENCES visits,
    scene TEXT NOT NULL,
    field TEXT NOT NULL,
    answer TEXT NOT NULL,             -- JSON
    at INTEGER NOT NULL,
    PRIMARY KEY (visit, scene, field)
) STRICT, WITHOUT ROWID;
