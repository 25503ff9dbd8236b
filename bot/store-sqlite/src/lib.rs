//! rollbot's store on SQLite: one file, nothing to run beside it.
//!
//! One connection writes, a few read. A batch is one `BEGIN IMMEDIATE` transaction, durable before
//! [`Store::commit`](rollbot_core::store::Store::commit) returns (WAL, `synchronous=FULL`). A commit
//! whose future is dropped is rolled back with the connection it ran on, unless SQLite had begun
//! to commit it already: then all of it is there.
//!
//! Every query is checked at compile time against the data in `.sqlx`, so that no database is needed
//! to build. After a change to a query or a migration run `prepare.sh`.

mod batch;
mod column;
mod console;
mod fault;
mod file;
mod journal;
mod open;
mod outbox;
mod read;
mod store;
mod writer;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rollbot_core::store::StoreError;
use sqlx::SqlitePool;

use crate::fault::Fault;
use crate::writer::Writer;

/// How long a write may take, the wait for other writes included.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a read may take, the wait for a connection included.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process that has the file locked. Shorter than the deadlines,
/// so that the answer says who is in the way.
const BUSY: Duration = Duration::from_secs(5);

/// The store in one file. Dropping it closes the file; [`SqliteStore::close`] also waits for that.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    readers: SqlitePool,
    /// `None` when it was opened for reading only.
    writer: Option<Writer>,
}

impl SqliteStore {
    /// Opens the file, and creates it where it is missing (mode 0600; missing directories 0700).
    /// A file of an older version is brought up to date.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be opened or written, belongs to something else or to a newer
    /// version; `Corrupt` when it is damaged or no database. The text names the path and says what
    /// to do.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let opened = tokio::time::timeout(WRITE_DEADLINE, open::for_writing(path));
        match opened.await {
            Ok(Ok((readers, writer))) => Ok(Self {
                path: path.to_owned(),
                readers,
                writer: Some(writer),
            }),
            Ok(Err(fault)) => Err(fault.at(path)),
            Err(_) => Err(Fault::Late(WRITE_DEADLINE).at(path)),
        }
    }

    /// Opens an existing file to look at it, also while a server works on it. Every write is refused.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; also when the file is missing, or of an older version.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let opened = tokio::time::timeout(READ_DEADLINE, open::for_reading(path));
        match opened.await {
            Ok(Ok(readers)) => Ok(Self {
                path: path.to_owned(),
                readers,
                writer: None,
            }),
            Ok(Err(fault)) => Err(fault.at(path)),
            Err(_) => Err(Fault::Late(READ_DEADLINE).at(path)),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for what is being written and closes the file. Calls that come later are refused.
    pub async fn close(&self) {
        // The writer last: whoever closes last moves the log into the file, and readers may not.
        self.readers.close().await;
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
    }

    fn writer(&self) -> Result<&Writer, Fault> {
        self.writer.as_ref().ok_or(Fault::ReadOnly)
    }

    /// Runs a write and gives its error the path.
    async fn writing<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, StoreError> {
        self.within(WRITE_DEADLINE, work).await
    }

    /// Runs a read and gives its error the path.
    async fn reading<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, StoreError> {
        self.within(READ_DEADLINE, work).await
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(deadline, work).await {
            Ok(result) => result.map_err(|fault| fault.at(&self.path)),
            Err(_) => Err(Fault::Late(deadline).at(&self.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_may_move_between_threads() {
        fn is_send(_: impl Send) {}
        is_send(SqliteStore::open("never-opened"));
        is_send(SqliteStore::open_read_only("never-opened"));
    }
}
