//! What the web console keeps.

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::console::{
    ConsoleMessage, ConsoleReaction, ConsoleSession, ConsoleStore, NewConsoleMessage,
};
use rollbot_core::id::PersonId;
use rollbot_core::store::StoreError;
use serde::Deserialize;
use sqlx::SqliteConnection;

use crate::fault::Fault;
use crate::{SqliteStore, column};

struct Row {
    id: i64,
    change: i64,
    channel: String,
    thread_of: Option<i64>,
    author: Option<String>,
    only_for: Option<String>,
    kind: String,
    created_at: i64,
    edited_at: Option<i64>,
    buttons: String,
    body: String,
    reactions: String,
}

/// As the query puts it together.
#[derive(Deserialize)]
struct ReactionRow {
    emoji: String,
    person: Option<String>,
    at: i64,
}

impl TryFrom<Row> for ConsoleMessage {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let what = format!("console message {}", row.id);
        let reactions: Vec<ReactionRow> = column::from_json(&what, &row.reactions)?;
        Ok(Self {
            id: row.id,
            channel: row.channel,
            thread_of: row.thread_of,
            author: row.author.map(PersonId),
            only_for: row.only_for.map(PersonId),
            body: row.body,
            kind: row.kind,
            buttons: column::from_json(&what, &row.buttons)?,
            reactions: reactions
                .into_iter()
                .map(|row| {
                    Ok(ConsoleReaction {
                        emoji: row.emoji,
                        person: row.person.map(PersonId),
                        at: column::time(&what, row.at)?,
                    })
                })
                .collect::<Result<_, StoreError>>()?,
            created_at: column::time(&what, row.created_at)?,
            edited_at: column::time_or_none(&what, row.edited_at)?,
            change: row.change,
        })
    }
}

/// The columns once, for every way to choose the rows. One statement, so that a message and its
/// reactions are of the same moment.
macro_rules! select_messages {
    ($tail:tt $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT m.id, m.change, m.channel, m.thread_of, m.author, m.only_for, m.kind,
                m.created_at, m.edited_at, m.buttons, m.body,
                (SELECT json_group_array(
                    json_object('emoji', r.emoji, 'person', r.person, 'at', r.at) ORDER BY r.id)
                 FROM console_reactions r WHERE r.message = m.id) AS "reactions!: String"
            FROM console_messages m "# + $tail
            $(, $argument)*
        )
    };
}

async fn by_id(
    connection: &mut SqliteConnection,
    id: i64,
) -> Result<Option<ConsoleMessage>, Fault> {
    let row = select_messages!("WHERE m.id = ?", id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(ConsoleMessage::try_from).transpose()?)
}

async fn existing(connection: &mut SqliteConnection, id: i64) -> Result<ConsoleMessage, Fault> {
    by_id(connection, id).await?.ok_or_else(|| {
        StoreError::NotFound {
            what: "console message",
            which: id.to_string(),
        }
        .into()
    })
}

fn all(rows: Vec<Row>) -> Result<Vec<ConsoleMessage>, Fault> {
    Ok(rows
        .into_iter()
        .map(ConsoleMessage::try_from)
        .collect::<Result<_, _>>()?)
}

async fn post(
    connection: &mut SqliteConnection,
    message: &NewConsoleMessage,
) -> Result<ConsoleMessage, Fault> {
    let known = select_messages!("WHERE m.identity = ?", message.identity)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = known {
        let known = ConsoleMessage::try_from(row)?;
        // Delivered twice: nothing to tell the readers.
        if known.body == message.body
            && known.kind == message.kind
            && known.buttons == message.buttons
        {
            return Ok(known);
        }
        return edit(
            connection,
            known.id,
            &message.body,
            &message.buttons,
            Some(&message.kind),
            message.at,
        )
        .await;
    }
    let buttons = column::json("the buttons", &message.buttons)?;
    let created_at = message.at.as_millisecond();
    let author = message.author.as_ref().map(|person| person.0.as_str());
    let only_for = message.only_for.as_ref().map(|person| person.0.as_str());
    if let Some(parent) = message.thread_of {
        existing(connection, parent).await?;
    }
    let done = sqlx::query!(
        "INSERT INTO console_messages (identity, change, channel, thread_of, author, only_for, kind,
            created_at, buttons, body)
        VALUES (?, (SELECT coalesce(max(change), 0) + 1 FROM console_messages), ?, ?, ?, ?, ?, ?, ?, ?)",
        message.identity,
        message.channel,
        message.thread_of,
        author,
        only_for,
        message.kind,
        created_at,
        buttons,
        message.body
    )
    .execute(&mut *connection)
    .await?;
    existing(connection, done.last_insert_rowid()).await
}

/// `kind` stays where none is given.
async fn edit(
    connection: &mut SqliteConnection,
    id: i64,
    body: &str,
    buttons: &[(String, String)],
    kind: Option<&str>,
    at: Timestamp,
) -> Result<ConsoleMessage, Fault> {
    let buttons = column::json("the buttons", buttons)?;
    let at = at.as_millisecond();
    sqlx::query!(
        "UPDATE console_messages SET body = ?, buttons = ?, kind = coalesce(?, kind), edited_at = ?,
            change = (SELECT max(change) + 1 FROM console_messages)
        WHERE id = ?",
        body,
        buttons,
        kind,
        at,
        id
    )
    .execute(&mut *connection)
    .await?;
    existing(connection, id).await
}

async fn react(
    connection: &mut SqliteConnection,
    id: i64,
    emoji: &str,
    person: Option<&PersonId>,
    on: bool,
    at: Timestamp,
) -> Result<(ConsoleMessage, bool), Fault> {
    // First, since a reaction to nothing is no change but an error.
    let message = existing(connection, id).await?;
    let person = person.map(|person| person.0.as_str());
    let at = at.as_millisecond();
    let done = if on {
        sqlx::query!(
            "INSERT INTO console_reactions (message, emoji, person, at) VALUES (?, ?, ?, ?)
            ON CONFLICT DO NOTHING",
            id,
            emoji,
            person,
            at
        )
        .execute(&mut *connection)
        .await?
    } else {
        sqlx::query!(
            "DELETE FROM console_reactions WHERE message = ? AND emoji = ? AND person IS ?",
            id,
            emoji,
            person
        )
        .execute(&mut *connection)
        .await?
    };
    if done.rows_affected() == 0 {
        return Ok((message, false));
    }
    sqlx::query!(
        "UPDATE console_messages SET change = (SELECT max(change) + 1 FROM console_messages)
        WHERE id = ?",
        id
    )
    .execute(&mut *connection)
    .await?;
    Ok((existing(connection, id).await?, true))
}

#[async_trait]
impl ConsoleStore for SqliteStore {
    async fn console_post(&self, message: NewConsoleMessage) -> Result<ConsoleMessage, StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = post(transaction.connection(), &message).await;
            transaction.end(result).await
        })
        .await
    }

    async fn console_edit(
        &self,
        id: i64,
        body: &str,
        buttons: &[(String, String)],
        at: Timestamp,
    ) -> Result<ConsoleMessage, StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = edit(transaction.connection(), id, body, buttons, None, at).await;
            transaction.end(result).await
        })
        .await
    }

    async fn console_react(
        &self,
        id: i64,
        emoji: &str,
        person: Option<&PersonId>,
        on: bool,
        at: Timestamp,
    ) -> Result<(ConsoleMessage, bool), StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = react(transaction.connection(), id, emoji, person, on, at).await;
            transaction.end(result).await
        })
        .await
    }

    async fn console_message(&self, id: i64) -> Result<Option<ConsoleMessage>, StoreError> {
        self.reading(async {
            let row = select_messages!("WHERE m.id = ?", id)
                .fetch_optional(&self.readers)
                .await?;
            Ok(row.map(ConsoleMessage::try_from).transpose()?)
        })
        .await
    }

    async fn console_find(&self, identity: &str) -> Result<Option<ConsoleMessage>, StoreError> {
        self.reading(async {
            let row = select_messages!("WHERE m.identity = ?", identity)
                .fetch_optional(&self.readers)
                .await?;
            Ok(row.map(ConsoleMessage::try_from).transpose()?)
        })
        .await
    }

    async fn console_changes(
        &self,
        change: i64,
        limit: i64,
    ) -> Result<Vec<ConsoleMessage>, StoreError> {
        let limit = limit.max(0);
        self.reading(async {
            let rows = select_messages!(
                "WHERE m.change > ? ORDER BY m.change LIMIT ?",
                change,
                limit
            )
            .fetch_all(&self.readers)
            .await?;
            all(rows)
        })
        .await
    }

    async fn console_recent(&self, limit: i64) -> Result<Vec<ConsoleMessage>, StoreError> {
        let limit = limit.max(0);
        self.reading(async {
            // Channels take turns, so that a busy one does not push the others out. A thread's first
            // message is as recent as its newest answer: no answer comes without it.
            let rows = select_messages!(
                "WHERE m.id IN (
                    SELECT id FROM (
                        SELECT id, recent, thread_of IS NOT NULL AS answer, row_number() OVER (
                            PARTITION BY channel ORDER BY recent DESC, thread_of IS NOT NULL
                        ) AS turn
                        FROM (
                            SELECT t.id, t.channel, t.thread_of, coalesce(
                                (SELECT max(a.id) FROM console_messages a WHERE a.thread_of = t.id),
                                t.id
                            ) AS recent
                            FROM console_messages t
                        )
                    )
                    ORDER BY turn, recent DESC, answer LIMIT ?
                )
                ORDER BY m.id",
                limit
            )
            .fetch_all(&self.readers)
            .await?;
            all(rows)
        })
        .await
    }

    async fn console_open_session(&self, session: &ConsoleSession) -> Result<(), StoreError> {
        let expires_at = session.expires_at.as_millisecond();
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query!(
                "INSERT INTO console_sessions (token_digest, person, expires_at) VALUES (?, ?, ?)
                ON CONFLICT (token_digest) DO UPDATE SET person = excluded.person,
                    expires_at = excluded.expires_at",
                session.token_digest,
                session.person.0,
                expires_at
            )
            .execute(transaction.connection())
            .await
            .map(|_| ())
            .map_err(Fault::from);
            transaction.end(result).await
        })
        .await
    }

    async fn console_session(
        &self,
        token_digest: &str,
        now: Timestamp,
    ) -> Result<Option<ConsoleSession>, StoreError> {
        let now = now.as_millisecond();
        self.reading(async {
            let row = sqlx::query!(
                "SELECT person, expires_at FROM console_sessions
                WHERE token_digest = ? AND expires_at > ?",
                token_digest,
                now
            )
            .fetch_optional(&self.readers)
            .await?;
            let Some(row) = row else { return Ok(None) };
            Ok(Some(ConsoleSession {
                token_digest: token_digest.to_owned(),
                person: PersonId(row.person),
                expires_at: column::time("a session of the console", row.expires_at)?,
            }))
        })
        .await
    }

    async fn console_close_session(&self, token_digest: &str) -> Result<(), StoreError> {
        self.writing(async {
            let mut transaction = self.writer()?.begin().await?;
            let result = sqlx::query!(
                "DELETE FROM console_sessions WHERE token_digest = ?",
                token_digest
            )
            .execute(transaction.connection())
            .await
            .map(|_| ())
            .map_err(Fault::from);
            transaction.end(result).await
        })
        .await
    }
}
