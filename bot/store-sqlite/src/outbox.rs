//! Messages to be sent.

use jiff::Timestamp;
use rollbot_core::id::OperationId;
use rollbot_core::outbox::{Destination, Message, OutboxRow};
use rollbot_core::store::StoreError;
use sqlx::{SqliteConnection, SqlitePool};

use crate::column;
use crate::fault::Fault;

struct Row {
    id: i64,
    identity: String,
    operation: i64,
    revision: i64,
    delivered: i64,
    attempts: i64,
    next_at: i64,
    abandoned: bool,
    created_at: i64,
    delivered_at: Option<i64>,
    platform: String,
    channel: String,
    message_ref: Option<String>,
    thread_of: Option<String>,
    not_before: i64,
    last_error: Option<String>,
    about: String,
    template: String,
    reactions: String,
    buttons: String,
    variables: String,
}

impl TryFrom<Row> for OutboxRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let what = format!("message {}", row.identity);
        Ok(Self {
            id: row.id,
            message: Message {
                operation: column::operation(row.operation)?,
                about: column::from_json(&what, &row.about)?,
                destination: Destination {
                    platform: row.platform,
                    channel: row.channel,
                },
                thread_of: row.thread_of,
                template: row.template,
                variables: column::from_json(&what, &row.variables)?,
                reactions: column::from_json(&what, &row.reactions)?,
                buttons: column::from_json(&what, &row.buttons)?,
                not_before: column::time(&what, row.not_before)?,
                identity: row.identity,
            },
            revision: row.revision,
            delivered: row.delivered,
            message_ref: row.message_ref,
            attempts: row.attempts,
            next_at: column::time(&what, row.next_at)?,
            last_error: row.last_error,
            abandoned: row.abandoned,
            created_at: column::time(&what, row.created_at)?,
            delivered_at: column::time_or_none(&what, row.delivered_at)?,
        })
    }
}

/// The columns once, for every way to choose the rows.
macro_rules! select_outbox {
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT id, identity, operation, revision, delivered, attempts, next_at,
                abandoned AS "abandoned: bool", created_at, delivered_at, platform, channel,
                message_ref, thread_of, not_before, last_error, about, template, reactions, buttons,
                variables
            FROM outbox "# + $tail
            $(, $argument)*
        )
    };
}

/// Puts a message in, or gives it new content.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    message: &Message,
) -> Result<(), Fault> {
    let known = select_outbox!("WHERE identity = ?", message.identity)
        .fetch_optional(&mut *connection)
        .await?;
    match known {
        None => insert(connection, message).await,
        Some(row) => {
            let row = OutboxRow::try_from(row)?;
            // When to send is not what it says: the same words at a later time are no edit.
            let same = Message {
                not_before: message.not_before,
                ..row.message.clone()
            } == *message;
            if same {
                Ok(())
            } else {
                edit(connection, &row, message).await
            }
        }
    }
}

/// What both ways of writing put into columns.
struct Columns {
    operation: i64,
    priority: i64,
    not_before: i64,
    about: String,
    reactions: String,
    buttons: String,
    variables: String,
}

impl Columns {
    fn of(message: &Message) -> Result<Self, StoreError> {
        let what = &message.identity;
        Ok(Self {
            operation: message.operation.number(),
            priority: message.about.priority(),
            not_before: message.not_before.as_millisecond(),
            about: column::json(what, &message.about)?,
            reactions: column::json(what, &message.reactions)?,
            buttons: column::json(what, &message.buttons)?,
            variables: column::json(what, &message.variables)?,
        })
    }
}

async fn insert(connection: &mut SqliteConnection, message: &Message) -> Result<(), Fault> {
    let columns = Columns::of(message)?;
    sqlx::query!(
        "INSERT INTO outbox (identity, operation, priority, next_at, created_at, not_before,
            platform, channel, thread_of, about, template, reactions, buttons, variables)
        VALUES (?1, ?2, ?3, ?4, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        message.identity,
        columns.operation,
        columns.priority,
        columns.not_before,
        message.destination.platform,
        message.destination.channel,
        message.thread_of,
        columns.about,
        message.template,
        columns.reactions,
        columns.buttons,
        columns.variables
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn edit(
    connection: &mut SqliteConnection,
    row: &OutboxRow,
    message: &Message,
) -> Result<(), Fault> {
    let columns = Columns::of(message)?;
    // Content that waits already leaves at its own time: were each change to push it back, a message
    // that changes all the time would never be sent.
    let waits = row.delivered < row.revision && !row.abandoned;
    let next_at = if waits {
        row.next_at.min(message.not_before).as_millisecond()
    } else {
        columns.not_before
    };
    // Elsewhere it is a message that was not posted yet.
    let message_ref = row
        .message_ref
        .as_ref()
        .filter(|_| row.message.destination == message.destination);
    sqlx::query!(
        "UPDATE outbox SET operation = ?, priority = ?, not_before = ?, next_at = ?, platform = ?,
            channel = ?, message_ref = ?, thread_of = ?, about = ?, template = ?, reactions = ?,
            buttons = ?, variables = ?, revision = revision + 1, attempts = 0, last_error = NULL,
            abandoned = 0
        WHERE id = ?",
        columns.operation,
        columns.priority,
        columns.not_before,
        next_at,
        message.destination.platform,
        message.destination.channel,
        message_ref,
        message.thread_of,
        columns.about,
        message.template,
        columns.reactions,
        columns.buttons,
        columns.variables,
        row.id
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(crate) async fn due(
    pool: &SqlitePool,
    platform: &str,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<OutboxRow>, Fault> {
    let (now, limit) = (now.as_millisecond(), limit.max(0));
    let rows = select_outbox!(
        "WHERE platform = ? AND delivered < revision AND abandoned = 0 AND next_at <= ?
        ORDER BY priority, id LIMIT ?",
        platform,
        now,
        limit
    )
    .fetch_all(pool)
    .await?;
    all(rows)
}

pub(crate) async fn platforms(pool: &SqlitePool) -> Result<Vec<String>, Fault> {
    let all = sqlx::query_scalar!(
        "SELECT DISTINCT platform FROM outbox WHERE delivered < revision AND abandoned = 0"
    )
    .fetch_all(pool)
    .await?;
    Ok(all)
}

pub(crate) async fn of(pool: &SqlitePool, operation: OperationId) -> Result<Vec<OutboxRow>, Fault> {
    let number = operation.number();
    all(select_outbox!("WHERE operation = ? ORDER BY id", number)
        .fetch_all(pool)
        .await?)
}

pub(crate) async fn by_identity(
    pool: &SqlitePool,
    identity: &str,
) -> Result<Option<OutboxRow>, Fault> {
    let row = select_outbox!("WHERE identity = ?", identity)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(OutboxRow::try_from).transpose()?)
}

pub(crate) async fn by_message(
    pool: &SqlitePool,
    platform: &str,
    channel: &str,
    message_ref: &str,
) -> Result<Option<OutboxRow>, Fault> {
    let row = select_outbox!(
        "WHERE platform = ? AND channel = ? AND message_ref = ? ORDER BY id DESC LIMIT 1",
        platform,
        channel,
        message_ref
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(OutboxRow::try_from).transpose()?)
}

fn all(rows: Vec<Row>) -> Result<Vec<OutboxRow>, Fault> {
    Ok(rows
        .into_iter()
        .map(OutboxRow::try_from)
        .collect::<Result<_, _>>()?)
}

pub(crate) async fn delivered(
    connection: &mut SqliteConnection,
    id: i64,
    revision: i64,
    message_ref: &str,
    at: Timestamp,
) -> Result<(), Fault> {
    let at = at.as_millisecond();
    // A report that comes late must not take a newer one back.
    let done = sqlx::query!(
        "UPDATE outbox SET delivered = max(delivered, ?1), message_ref = ?2, delivered_at = ?3,
            attempts = 0, last_error = NULL
        WHERE id = ?4 AND revision >= ?1",
        revision,
        message_ref,
        at,
        id
    )
    .execute(connection)
    .await?;
    found(
        done.rows_affected(),
        format!("{id} with revision {revision}"),
    )
}

pub(crate) async fn failed(
    connection: &mut SqliteConnection,
    id: i64,
    revision: i64,
    error: &str,
    next_at: Timestamp,
    abandon: bool,
) -> Result<(), Fault> {
    let next_at = next_at.as_millisecond();
    // What was refused is this content: newer content written meanwhile has its own chance, now.
    let done = sqlx::query!(
        "UPDATE outbox SET
            attempts = CASE revision WHEN ?1 THEN attempts + 1 ELSE attempts END,
            last_error = CASE revision WHEN ?1 THEN ?2 ELSE last_error END,
            next_at = CASE revision WHEN ?1 THEN ?3 ELSE next_at END,
            abandoned = CASE revision WHEN ?1 THEN abandoned OR ?4 ELSE abandoned END
        WHERE id = ?5 AND revision >= ?1",
        revision,
        error,
        next_at,
        abandon,
        id
    )
    .execute(connection)
    .await?;
    found(
        done.rows_affected(),
        format!("{id} with revision {revision}"),
    )
}

fn found(rows: u64, which: String) -> Result<(), Fault> {
    if rows == 1 {
        Ok(())
    } else {
        Err(StoreError::NotFound {
            what: "message in the outbox",
            which,
        }
        .into())
    }
}
