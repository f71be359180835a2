-- Groups that did not come about: a link was not good enough, or somebody left before the first frame. They are no games.
ALTER TABLE games ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;
