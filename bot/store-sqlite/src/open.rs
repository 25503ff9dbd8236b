//! Opening the file: options, whose it is, and which version.

use std::path::Path;

use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use crate::fault::Fault;
use crate::writer::Writer;
use crate::{BUSY, READ_DEADLINE, file};

static MIGRATOR: Migrator = sqlx::migrate!();

/// sqlx's own table of what was applied.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
/// As the first migration sets it.
const APPLICATION_ID: i64 = 1_919_904_866;
const READERS: u32 = 4;
/// A checkpoint cuts the log back to this.
const LOG_SIZE_LIMIT: &str = "67108864";

pub(crate) async fn for_writing(path: &Path) -> Result<(SqlitePool, Writer), Fault> {
    let to_make = path.to_owned();
    match tokio::task::spawn_blocking(move || file::make(&to_make)).await {
        Ok(result) => result?,
        Err(error) => {
            return Err(Fault::Io {
                doing: "creating",
                error: std::io::Error::other(error),
            });
        }
    }
    // Looked at before it is set up as ours: setting the journal mode would already change it.
    let mut connection = reading(path).connect().await?;
    owner(&mut connection).await?;
    connection.close().await?;

    let options = writing(path);
    let mut connection = options.connect().await?;
    let mode = sqlx::query_scalar!(
        r#"SELECT lower(journal_mode) AS "mode!: String" FROM pragma_journal_mode"#
    )
    .fetch_one(&mut connection)
    .await?;
    if mode != "wal" {
        return Err(Fault::NoWal { mode });
    }
    migrate(&mut connection).await?;
    Ok((readers(path), Writer::new(options, connection)))
}

pub(crate) async fn for_reading(path: &Path) -> Result<SqlitePool, Fault> {
    if !path.exists() {
        return Err(Fault::Missing);
    }
    if path.is_dir() {
        return Err(Fault::IsDirectory);
    }
    let mut connection = reading(path).connect().await?;
    let applied = match owner(&mut connection).await? {
        Owner::Rollbot => connection.list_applied_migrations(MIGRATIONS_TABLE).await?,
        Owner::Nobody => Vec::new(),
    };
    let has = applied
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    match has.cmp(&newest()) {
        std::cmp::Ordering::Less => {
            return Err(Fault::Older {
                has,
                knows: newest(),
            });
        }
        std::cmp::Ordering::Greater => {
            return Err(Fault::Newer {
                has,
                knows: newest(),
            });
        }
        std::cmp::Ordering::Equal => {}
    }
    connection.close().await?;
    Ok(readers(path))
}

/// Opens nothing yet: a process that only writes has no reader.
fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READ_DEADLINE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(reading(path))
}

fn reading(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .read_only(true)
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("journal_size_limit", LOG_SIZE_LIMIT)
        // Where fsync alone leaves data in the drive's cache (macOS); nothing elsewhere.
        .pragma("fullfsync", "ON")
        .pragma("checkpoint_fullfsync", "ON")
}

enum Owner {
    Rollbot,
    /// The file is empty.
    Nobody,
}

/// # Errors
/// `NotRollbot` when another program's data is in it.
async fn owner(connection: &mut SqliteConnection) -> Result<Owner, Fault> {
    let application = sqlx::query_scalar!(
        r#"SELECT max(application_id) AS "id!: i64" FROM pragma_application_id"#
    )
    .fetch_one(&mut *connection)
    .await?;
    if application == APPLICATION_ID {
        return Ok(Owner::Rollbot);
    }
    let tables = sqlx::query_scalar!(r#"SELECT count(*) AS "count!: i64" FROM sqlite_schema"#)
        .fetch_one(&mut *connection)
        .await?;
    if application == 0 && tables == 0 {
        Ok(Owner::Nobody)
    } else {
        Err(Fault::NotRollbot)
    }
}

/// In one transaction: two processes that start at once do not meet half way.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // `run` takes its connection in a way that keeps the future from being `Send`.
    match MIGRATOR.run_direct(None, &mut *transaction, false).await {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(has)) => {
            return Err(Fault::Newer {
                has,
                knows: newest(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    transaction.commit().await?;
    Ok(())
}

/// The newest schema that this version knows.
fn newest() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}
