-- The store of rollbot. Times are milliseconds since 1970 UTC, digests are `sha256:` and 64
-- hexadecimal digits, structured values are JSON.

-- "rolb": tells rollbot's file from any other SQLite database.
PRAGMA application_id = 1919904866;

-- AUTOINCREMENT: a number is never given twice, whatever happens to the row that had it.
-- What may be long comes last, so that reading the columns before it does not read its pages.
CREATE TABLE operations (
    id             INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL CHECK (id >= 1),
    fence          INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
    state          TEXT    NOT NULL CHECK (state IN (
                       'requested', 'planned', 'awaiting-approval', 'running', 'paused', 'verified',
                       'closed', 'closed-with-exceptions', 'undone', 'vetoed', 'expired',
                       'cancelled', 'failed')),
    digest         TEXT    CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
    phase          TEXT    NOT NULL DEFAULT 'run' CHECK (phase IN ('run', 'undo')),
    service        TEXT    NOT NULL,
    host           TEXT    NOT NULL,
    procedure      TEXT    NOT NULL,
    requester      TEXT    NOT NULL,
    platform       TEXT    NOT NULL,
    channel        TEXT    NOT NULL,
    dry_run        INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    requested_at   INTEGER NOT NULL,
    since          INTEGER NOT NULL,
    expires_at     INTEGER,
    started_at     INTEGER,
    reason         TEXT,
    ending         TEXT,
    approved_by    TEXT    CHECK (json_valid(approved_by)),
    exceptions     TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(exceptions)),
    observed       TEXT    NOT NULL DEFAULT '[]' CHECK (json_valid(observed)),
    plan           TEXT    CHECK (json_valid(plan)),
    CHECK ((plan IS NULL) = (digest IS NULL)),
    CHECK ((approved_by IS NULL) = (started_at IS NULL))
) STRICT;
CREATE INDEX operations_by_service ON operations (service, id);
CREATE INDEX operations_by_state ON operations (state, id);

-- Events from outside that were worked on.
CREATE TABLE events (
    key TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE votes (
    id        INTEGER PRIMARY KEY NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (id),
    digest    TEXT    NOT NULL CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
    platform  TEXT    NOT NULL,
    team      TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    ballot    TEXT    NOT NULL CHECK (ballot IN ('approve', 'veto')),
    at        INTEGER NOT NULL,
    UNIQUE (operation, digest, platform, team, account, ballot)
) STRICT;

-- Without row ids: the outcome of a call and the intent of the next lie on the same page, which is
-- what one commit has to write.
CREATE TABLE journal (
    operation  INTEGER NOT NULL REFERENCES operations (id),
    phase      TEXT    NOT NULL CHECK (phase IN ('run', 'undo')),
    seq        INTEGER NOT NULL CHECK (seq >= 0),
    function   TEXT    NOT NULL,
    arguments  TEXT    NOT NULL,
    class      TEXT    NOT NULL CHECK (class IN (
                   'query', 'capture', 'idempotent', 'keyed', 'at-most-once')),
    attempt    INTEGER NOT NULL,
    intent_at  INTEGER NOT NULL,
    outcome    TEXT    CHECK (outcome IN ('returned', 'failed')),
    value      TEXT,
    outcome_at INTEGER,
    PRIMARY KEY (operation, phase, seq),
    CHECK ((outcome IS NULL) = (value IS NULL) AND (outcome IS NULL) = (outcome_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    id         INTEGER PRIMARY KEY NOT NULL,
    operation  INTEGER NOT NULL REFERENCES operations (id),
    phase      TEXT    NOT NULL CHECK (phase IN ('run', 'undo')),
    name       TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('running', 'done', 'failed', 'skipped')),
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    UNIQUE (operation, phase, name)
) STRICT;

CREATE TABLE locks (
    service   TEXT    NOT NULL,
    host      TEXT    NOT NULL,
    operation INTEGER NOT NULL REFERENCES operations (id),
    holder    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    PRIMARY KEY (service, host)
) STRICT, WITHOUT ROWID;

CREATE TABLE questions (
    id          INTEGER PRIMARY KEY NOT NULL,
    operation   INTEGER NOT NULL REFERENCES operations (id),
    phase       TEXT    NOT NULL CHECK (phase IN ('run', 'undo')),
    seq         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    reason      TEXT    NOT NULL CHECK (json_valid(reason)),
    text        TEXT    NOT NULL,
    details     TEXT    NOT NULL CHECK (json_valid(details)),
    choices     TEXT    NOT NULL CHECK (json_valid(choices)),
    asked_at    INTEGER NOT NULL,
    chosen      TEXT    NOT NULL CHECK (json_valid(chosen)),
    answer      TEXT,
    answered_at INTEGER,
    UNIQUE (operation, phase, seq, attempt)
) STRICT;

CREATE TABLE audit (
    operation INTEGER NOT NULL REFERENCES operations (id),
    seq       INTEGER NOT NULL CHECK (seq >= 1),
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    text      TEXT    NOT NULL,
    facts     TEXT    NOT NULL CHECK (json_valid(facts)),
    previous  TEXT    NOT NULL CHECK (previous GLOB 'sha256:*' AND length(previous) = 71),
    hash      TEXT    NOT NULL CHECK (hash GLOB 'sha256:*' AND length(hash) = 71),
    PRIMARY KEY (operation, seq)
) STRICT, WITHOUT ROWID;

-- Against mistakes: whoever means harm is found by the chain of hashes.
CREATE TRIGGER audit_rows_stay_as_they_are BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE (ABORT, 'the audit log is append-only: a row cannot be changed');
END;
CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
BEGIN
    SELECT RAISE (ABORT, 'the audit log is append-only: a row cannot be deleted');
END;

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    identity     TEXT    NOT NULL UNIQUE,
    operation    INTEGER NOT NULL REFERENCES operations (id),
    priority     INTEGER NOT NULL,
    revision     INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1),
    delivered    INTEGER NOT NULL DEFAULT 0 CHECK (delivered BETWEEN 0 AND revision),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_at      INTEGER NOT NULL,
    abandoned    INTEGER NOT NULL DEFAULT 0 CHECK (abandoned IN (0, 1)),
    created_at   INTEGER NOT NULL,
    delivered_at INTEGER,
    platform     TEXT    NOT NULL,
    channel      TEXT    NOT NULL,
    message_ref  TEXT,
    thread_of    TEXT,
    not_before   INTEGER NOT NULL,
    last_error   TEXT,
    about        TEXT    NOT NULL CHECK (json_valid(about)),
    template     TEXT    NOT NULL,
    reactions    TEXT    NOT NULL CHECK (json_valid(reactions)),
    buttons      TEXT    NOT NULL CHECK (json_valid(buttons)),
    variables    TEXT    NOT NULL CHECK (json_valid(variables))
) STRICT;
CREATE INDEX outbox_by_operation ON outbox (operation, id);
CREATE INDEX outbox_due ON outbox (priority, id, next_at)
    WHERE delivered < revision AND abandoned = 0;
CREATE INDEX outbox_by_message ON outbox (platform, channel, message_ref)
    WHERE message_ref IS NOT NULL;

-- Components of plugins, by the digest of their bytes.
CREATE TABLE components (
    digest TEXT PRIMARY KEY NOT NULL CHECK (digest GLOB 'sha256:*' AND length(digest) = 71),
    bytes  BLOB NOT NULL
) STRICT;

-- Where a check for writability leaves its row for a moment.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY NOT NULL
) STRICT;

-- The web console.
CREATE TABLE console_messages (
    id         INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    identity   TEXT    NOT NULL UNIQUE,
    change     INTEGER NOT NULL UNIQUE,
    channel    TEXT    NOT NULL,
    thread_of  INTEGER REFERENCES console_messages (id),
    author     TEXT,
    only_for   TEXT,
    kind       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    edited_at  INTEGER,
    buttons    TEXT    NOT NULL CHECK (json_valid(buttons)),
    body       TEXT    NOT NULL
) STRICT;
CREATE INDEX console_messages_by_thread ON console_messages (thread_of, id)
    WHERE thread_of IS NOT NULL;

CREATE TABLE console_reactions (
    id      INTEGER PRIMARY KEY NOT NULL,
    message INTEGER NOT NULL REFERENCES console_messages (id),
    emoji   TEXT    NOT NULL,
    -- NULL: rollbot itself.
    person  TEXT,
    at      INTEGER NOT NULL
) STRICT;
-- NULLs differ from one another in a plain unique index.
CREATE UNIQUE INDEX console_reactions_once
    ON console_reactions (message, emoji, coalesce(person, ''));

CREATE TABLE console_sessions (
    token_digest TEXT PRIMARY KEY NOT NULL,
    person       TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
