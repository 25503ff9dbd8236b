//! Whoever changes the audit log behind rollbot's back is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use rollbot_core::OperationId;
use rollbot_core::audit::{Broken, verify};
use rollbot_core::store::{OperationFilter, Store, StoreError};
use rollbot_store_conformance::sample::*;
use rollbot_store_sqlite::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

async fn five_rows(path: &Path) -> OperationId {
    let store = SqliteStore::open(path).await.unwrap();
    let id = request(&store, "trade", "a").await;
    for n in 1..=5 {
        store
            .note(id, audit_entry(&format!("note-{n}")))
            .await
            .unwrap();
    }
    store.close().await;
    id
}

/// As `rollbot audit verify` does it.
async fn verify_all(path: &Path) -> Result<Vec<Broken>, StoreError> {
    let store = SqliteStore::open_read_only(path).await?;
    let all = OperationFilter {
        limit: i64::MAX,
        ..OperationFilter::default()
    };
    let mut broken = Vec::new();
    for operation in store.operations(all).await? {
        broken.extend(verify(operation.id, &store.audit(operation.id).await?));
    }
    Ok(broken)
}

#[tokio::test]
async fn rows_of_the_audit_log_cannot_be_changed_or_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollbot.db");
    five_rows(&path).await;
    let mut shell = raw(&path).await;
    for sql in [
        "UPDATE audit SET actor = 'ben' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit",
        "UPDATE audit SET seq = seq + 10",
    ] {
        let error = sqlx::raw_sql(sql).execute(&mut shell).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(verify_all(&path).await, Ok(vec![]));
}

/// What somebody does to the log, and what is to be found.
type Change = (&'static str, fn(OperationId) -> Vec<Broken>);

#[tokio::test]
async fn what_is_changed_without_the_triggers_is_found() {
    let changes: [Change; 6] = [
        (
            "UPDATE audit SET actor = 'ben' WHERE seq = 2",
            |operation| vec![Broken::Changed { operation, seq: 2 }],
        ),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", |operation| {
            vec![Broken::Changed { operation, seq: 5 }]
        }),
        (
            "UPDATE audit SET facts = json_set(facts, '$.z', 2) WHERE seq = 1",
            |operation| vec![Broken::Changed { operation, seq: 1 }],
        ),
        ("DELETE FROM audit WHERE seq = 3", |operation| {
            vec![Broken::Missing {
                operation,
                expected: 3,
                found: 4,
            }]
        }),
        ("DELETE FROM audit WHERE seq = 1", |operation| {
            vec![Broken::Missing {
                operation,
                expected: 1,
                found: 2,
            }]
        }),
        ("DELETE FROM audit", |operation| {
            vec![Broken::Empty { operation }]
        }),
    ];
    for (sql, expected) in changes {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rollbot.db");
        let id = five_rows(&path).await;
        let mut shell = raw(&path).await;
        for drop in [
            "DROP TRIGGER audit_rows_stay_as_they_are",
            "DROP TRIGGER audit_rows_stay",
            sql,
        ] {
            sqlx::raw_sql(drop).execute(&mut shell).await.unwrap();
        }
        drop(shell);
        assert_eq!(verify_all(&path).await, Ok(expected(id)), "{sql}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_any_more_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollbot.db");
    five_rows(&path).await;
    let mut shell = raw(&path).await;
    for sql in [
        "DROP TRIGGER audit_rows_stay_as_they_are",
        "PRAGMA ignore_check_constraints = ON",
        "UPDATE audit SET hash = 'sha256:0' WHERE seq = 4",
    ] {
        sqlx::raw_sql(sql).execute(&mut shell).await.unwrap();
    }
    drop(shell);
    let error = verify_all(&path).await.unwrap_err();
    assert!(
        error.to_string().contains("row 4 of the audit log of RB-1"),
        "{error}"
    );
}
