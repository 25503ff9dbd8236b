-- A vote knows how it was given: reactions are read from the platform again, buttons and words from here.
CREATE TABLE votes_by_way (
    id        INTEGER PRIMARY KEY NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (id),
    digest    TEXT    NOT NULL CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
    platform  TEXT    NOT NULL,
    team      TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    ballot    TEXT    NOT NULL CHECK (ballot IN ('approve', 'veto')),
    way       TEXT    NOT NULL CHECK (way IN ('reaction', 'said')),
    at        INTEGER NOT NULL,
    UNIQUE (operation, digest, platform, team, account, ballot, way)
) STRICT;
INSERT INTO votes_by_way (id, operation, digest, platform, team, account, ballot, way, at)
    SELECT id, operation, digest, platform, team, account, ballot,
        CASE platform WHEN 'unix' THEN 'said' ELSE 'reaction' END, at
    FROM votes;
DROP TABLE votes;
ALTER TABLE votes_by_way RENAME TO votes;

-- Each platform is worked off by itself: one that does not answer keeps no other waiting.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (platform, priority, id, next_at)
    WHERE delivered < revision AND abandoned = 0;
