//! The one connection that writes, and its transactions.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use crate::fault::Fault;

/// Holds the connection while nobody writes.
#[derive(Debug)]
pub(crate) struct Writer {
    options: SqliteConnectOptions,
    place: Mutex<Place>,
}

#[derive(Debug)]
enum Place {
    Here(SqliteConnection),
    /// A writer was dropped under way, or the database failed it: what it left is not to be trusted,
    /// and the next one opens its own. SQLite rolls back whatever the lost one had not committed, and
    /// lets nobody begin before that.
    Lost,
    Closed,
}

impl Writer {
    pub(crate) fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self {
            options,
            place: Mutex::new(Place::Here(connection)),
        }
    }

    /// Waits for its turn and begins a transaction that no other can overtake.
    pub(crate) async fn begin(&self) -> Result<Transaction<'_>, Fault> {
        let mut place = self.place.lock().await;
        // From here on the connection belongs to the transaction: it comes back when that has ended
        // well, and dies with it otherwise.
        let mut connection = match std::mem::replace(&mut *place, Place::Lost) {
            Place::Here(connection) => connection,
            Place::Lost => self.options.connect().await?,
            Place::Closed => {
                *place = Place::Closed;
                return Err(Fault::Closed);
            }
        };
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut connection)
            .await?;
        Ok(Transaction { place, connection })
    }

    pub(crate) async fn close(&self) {
        let mut place = self.place.lock().await;
        if let Place::Here(connection) = std::mem::replace(&mut *place, Place::Closed) {
            // An error here means that the file is gone already; all that was committed is durable.
            let _ = connection.close().await;
        }
    }
}

/// Everything on its connection until [`Transaction::end`].
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    place: MutexGuard<'a, Place>,
    connection: SqliteConnection,
}

impl Transaction<'_> {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Commits what went well, and rolls back what did not.
    pub(crate) async fn end<T>(mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        match result {
            Ok(value) => {
                sqlx::query("COMMIT").execute(&mut self.connection).await?;
                *self.place = Place::Here(self.connection);
                Ok(value)
            }
            Err(fault) if fault.is_an_answer() => {
                if sqlx::query("ROLLBACK")
                    .execute(&mut self.connection)
                    .await
                    .is_ok()
                {
                    *self.place = Place::Here(self.connection);
                }
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }
}
