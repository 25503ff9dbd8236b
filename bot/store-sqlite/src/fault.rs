//! What goes wrong below the store, and how it is told.

use std::path::Path;
use std::time::Duration;

use rollbot_core::OperationId;
use rollbot_core::store::{GuardFailed, StoreError};
use sqlx::migrate::MigrateError;

// Primary result codes: https://www.sqlite.org/rescode.html
const PERM: i64 = 3;
const BUSY: i64 = 5;
const LOCKED: i64 = 6;
const READONLY: i64 = 8;
const IOERR: i64 = 10;
const CORRUPT: i64 = 11;
const FULL: i64 = 13;
const CANTOPEN: i64 = 14;
const CONSTRAINT: i64 = 19;
const NOTADB: i64 = 26;
// Extended ones.
const CONSTRAINT_FOREIGNKEY: i64 = 787;
const IOERR_SHMOPEN: i64 = 4618;

/// An error on its way up, before the path is added.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Final as it is.
    Store(StoreError),
    Sql(sqlx::Error),
    Migrate(MigrateError),
    Io {
        doing: &'static str,
        error: std::io::Error,
    },
    Missing,
    IsDirectory,
    ReadOnly,
    Closed,
    Late(Duration),
    NotRollbot,
    NoWal {
        mode: String,
    },
    Older {
        has: i64,
        knows: i64,
    },
    Newer {
        has: i64,
        knows: i64,
    },
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GuardFailed> for Fault {
    fn from(error: GuardFailed) -> Self {
        Self::Store(StoreError::Guard(error))
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<MigrateError> for Fault {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(error)
    }
}

impl Fault {
    /// A row names an operation that does not exist: says which.
    pub(crate) fn about(self, operation: OperationId) -> Self {
        match &self {
            Self::Sql(error) if code(error) == Some(CONSTRAINT_FOREIGNKEY) => {
                Self::Store(no_operation(operation))
            }
            _ => self,
        }
    }

    /// Whether the connection is as good as before: the database answered, and said no.
    pub(crate) fn is_an_answer(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Sql(error) => primary(error) == Some(CONSTRAINT),
            _ => false,
        }
    }

    /// What the caller gets.
    pub(crate) fn at(self, path: &Path) -> StoreError {
        let path = path.display();
        let text = match self {
            Self::Store(error) => return error,
            Self::Sql(error) => return of_sql(&error, &path.to_string()),
            Self::Migrate(
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
            ) => {
                return of_sql(&error, &path.to_string());
            }
            Self::Migrate(MigrateError::VersionMismatch(version)) => format!(
                "{path} was made by another build of rollbot: its schema {version} differs from \
                 this one's. Use the build that made it"
            ),
            Self::Migrate(error) => format!("{path} cannot be brought up to date: {error}"),
            Self::Io { doing, error } => {
                format!("{doing} {path} failed: {error}. Check the path, its owner and its mode")
            }
            Self::Missing => {
                format!("{path} does not exist. Start `rollbot serve` once, or name the right file")
            }
            Self::IsDirectory => {
                format!("{path} is a directory: name a file, for example rollbot.db in it")
            }
            Self::ReadOnly => format!("{path} was opened for reading only"),
            Self::Closed => format!("{path} was closed"),
            Self::Late(deadline) => format!(
                "{path} did not answer within {} s: the disk may hang, or hold too much work. What \
                 this call wrote is there as a whole or not at all; look before trying again",
                deadline.as_secs()
            ),
            Self::NotRollbot => format!(
                "{path} is a database of another program and was left as it is. Name another file"
            ),
            Self::NoWal { mode } => format!(
                "{path} is on a file system without shared memory (SQLite's journal mode stays \
                 `{mode}`): put it on a local disk"
            ),
            Self::Older { has, knows } => format!(
                "{path} was written by an older rollbot (schema {has}; this version has {knows}): \
                 start `rollbot serve` of this version once, which brings it up to date"
            ),
            Self::Newer { has, knows } => format!(
                "{path} was written by a newer rollbot (schema {has}; this version knows up to \
                 {knows}): use that version, or one that is newer still"
            ),
        };
        StoreError::Unavailable(text)
    }
}

/// There is no such operation.
pub(crate) fn no_operation(operation: OperationId) -> StoreError {
    StoreError::NotFound {
        what: "operation",
        which: operation.to_string(),
    }
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<i64> {
    match error {
        sqlx::Error::Database(error) => error.code()?.parse().ok(),
        _ => None,
    }
}

fn primary(error: &sqlx::Error) -> Option<i64> {
    code(error).map(|code| code & 0xff)
}

fn of_sql(error: &sqlx::Error, path: &str) -> StoreError {
    if code(error) == Some(IOERR_SHMOPEN) {
        return StoreError::Unavailable(format!(
            "the shared memory beside {path} cannot be opened ({error}): its directory must be \
             writable for this user, also for reading"
        ));
    }
    let text = match primary(error) {
        Some(BUSY | LOCKED) => format!(
            "{path} is locked by another process: end the other rollbot, backup or shell that \
             works on it (`fuser {path}` names it)"
        ),
        Some(READONLY | PERM) => format!(
            "{path} cannot be written: make the file and its directory writable for this user, and \
             its file system"
        ),
        Some(FULL) => format!(
            "the disk of {path} is full: free some space. What was acknowledged before is safe"
        ),
        Some(IOERR) => format!(
            "the disk of {path} fails ({error}): look at the system's log. What was acknowledged \
             before is as safe as the disk"
        ),
        Some(CANTOPEN) => format!(
            "{path} cannot be opened: it must be a file, in a directory that this user may read \
             and write"
        ),
        Some(CORRUPT) => {
            return StoreError::Corrupt {
                what: format!("the file {path}"),
                why: format!(
                    "it is damaged ({error}): stop rollbot, keep a copy, and restore the last backup"
                ),
            };
        }
        Some(NOTADB) => {
            return StoreError::Corrupt {
                what: format!("the file {path}"),
                why: "it is no SQLite database: restore it from a backup, or name another file"
                    .to_owned(),
            };
        }
        Some(CONSTRAINT) => {
            return StoreError::Corrupt {
                what: "a row that was to be written".to_owned(),
                why: format!("{error}; nothing was written to {path}"),
            };
        }
        _ => match error {
            sqlx::Error::PoolTimedOut => {
                format!("{path}: all connections for reading are busy; try again")
            }
            sqlx::Error::PoolClosed => format!("{path} was closed"),
            error @ (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) => {
                return StoreError::Corrupt {
                    what: format!("a row of {path}"),
                    why: error.to_string(),
                };
            }
            error => format!("{path}: {error}"),
        },
    };
    StoreError::Unavailable(text)
}
