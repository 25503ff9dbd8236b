//! The file itself: who may read it, what else it may be, and what people are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use rollbot_core::audit::verify;
use rollbot_core::store::{Batch, OperationFilter, Store, StoreError};
use rollbot_store_conformance::sample::*;
use rollbot_store_sqlite::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

async fn execute(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollbot.db");
    (directory, path)
}

/// The error's text, which must name the file and hold these words.
fn tells(result: Result<impl Sized, StoreError>, path: &Path, words: &[&str]) -> String {
    let Err(error) = result else {
        panic!("it worked")
    };
    let text = error.to_string();
    assert!(
        text.contains(&*path.to_string_lossy()),
        "no path in: {text}"
    );
    for word in words {
        assert!(text.contains(word), "no `{word}` in: {text}");
    }
    text
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_directory_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state/of/rollbot.db");
    let store = SqliteStore::open(&path).await.unwrap();
    request(&store, "trade", "a").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    for name in ["rollbot.db", "rollbot.db-wal", "rollbot.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn commits_are_synced_to_the_disk_and_logged_ahead() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    request(&store, "trade", "a").await;
    // The header of a file in WAL mode says version 2 in bytes 18 and 19.
    store.close().await;
    let header = std::fs::read(&path).unwrap();
    assert_eq!(header[18..20], [2, 2]);
}

#[tokio::test]
async fn a_missing_file_cannot_be_looked_at_and_is_not_created() {
    let (_directory, path) = place();
    tells(
        SqliteStore::open_read_only(&path).await,
        &path,
        &["does not exist", "rollbot serve"],
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn an_empty_file_is_filled_and_not_yet_fit_to_be_looked_at() {
    let (_directory, path) = place();
    std::fs::write(&path, b"").unwrap();
    tells(
        SqliteStore::open_read_only(&path).await,
        &path,
        &["older", "rollbot serve"],
    );
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(request(&store, "trade", "a").await.number(), 1);
}

#[tokio::test]
async fn a_reader_sees_what_a_server_writes_and_writes_nothing() {
    let (_directory, path) = place();
    let server = SqliteStore::open(&path).await.unwrap();
    let id = request(&server, "trade", "a").await;
    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    server
        .commit(Batch::new().writes(one_of_each(id, "trade")))
        .await
        .unwrap();
    assert_eq!(everything(&reader, id).await, everything(&server, id).await);
    let all = OperationFilter {
        limit: i64::MAX,
        ..OperationFilter::default()
    };
    for operation in reader.operations(all).await.unwrap() {
        assert_eq!(
            verify(operation.id, &reader.audit(operation.id).await.unwrap()),
            vec![]
        );
    }
    tells(
        reader.commit(Batch::new().write(audit(id, "x"))).await,
        &path,
        &["reading only"],
    );
    tells(reader.check_writable().await, &path, &["reading only"]);
    tells(reader.take_over(id).await, &path, &["reading only"]);
    // Also when nobody serves it any more.
    server.close().await;
    drop((server, reader));
    let reader = SqliteStore::open_read_only(&path).await.unwrap();
    assert_eq!(reader.audit(id).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_alone() {
    let (_directory, path) = place();
    let text = "[server]\nlisten = \"127.0.0.1:8080\"\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    tells(
        SqliteStore::open(&path).await,
        &path,
        &["no SQLite database", "another file"],
    );
    tells(
        SqliteStore::open_read_only(&path).await,
        &path,
        &["no SQLite database"],
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let (_directory, path) = place();
    let mut other = raw(&path).await;
    execute(&mut other, "CREATE TABLE bookmarks (url TEXT)").await;
    drop(other);
    let before = std::fs::read(&path).unwrap();
    tells(SqliteStore::open(&path).await, &path, &["another program"]);
    tells(
        SqliteStore::open_read_only(&path).await,
        &path,
        &["another program"],
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let (_directory, path) = place();
    SqliteStore::open(&path).await.unwrap().close().await;
    let mut newer = raw(&path).await;
    execute(
        &mut newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'future', TRUE, x'00', 0)",
    )
    .await;
    drop(newer);
    tells(
        SqliteStore::open(&path).await,
        &path,
        &["newer rollbot", "9999"],
    );
    tells(
        SqliteStore::open_read_only(&path).await,
        &path,
        &["newer rollbot", "9999"],
    );
}

#[tokio::test]
async fn a_directory_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    tells(SqliteStore::open(path).await, path, &["is a directory"]);
    tells(
        SqliteStore::open_read_only(path).await,
        path,
        &["is a directory"],
    );
    // Nor can one be made where a file is in the way.
    let file = path.join("file");
    std::fs::write(&file, b"").unwrap();
    let below = file.join("rollbot.db");
    tells(SqliteStore::open(&below).await, &below, &["Check the path"]);
}

#[tokio::test]
async fn two_servers_that_start_at_once_both_get_a_whole_schema() {
    let (_directory, path) = place();
    let (one, two) = tokio::join!(SqliteStore::open(&path), SqliteStore::open(&path));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(request(&one, "trade", "a").await.number(), 1);
    assert_eq!(request(&two, "trade", "b").await.number(), 2);
}

#[tokio::test]
async fn a_file_locked_by_somebody_else_is_said_to_be_and_works_afterwards() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let id = request(&store, "trade", "a").await;
    let mut shell = raw(&path).await;
    execute(&mut shell, "BEGIN IMMEDIATE").await;
    let refused = store.commit(Batch::new().write(audit(id, "refused"))).await;
    tells(refused, &path, &["locked by another process", "fuser"]);
    execute(&mut shell, "ROLLBACK").await;
    store
        .commit(Batch::new().write(audit(id, "accepted")))
        .await
        .unwrap();
    let rows = store.audit(id).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry.kind, "accepted");
}

#[tokio::test]
async fn damage_is_reported_as_damage() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let id = request(&store, "trade", "a").await;
    for n in 0..50 {
        store
            .note(id, audit_entry(&format!("note-{n}")))
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    // Every page but the first, which holds the schema's root.
    let mut bytes = std::fs::read(&path).unwrap();
    for (n, byte) in bytes.iter_mut().enumerate().skip(4_096) {
        *byte = u8::try_from(n * 31 % 251).unwrap();
    }
    std::fs::write(&path, &bytes).unwrap();
    let result = match SqliteStore::open_read_only(&path).await {
        Ok(store) => store.audit(id).await.map(|_| ()),
        Err(error) => Err(error),
    };
    tells(result, &path, &["damaged", "restore"]);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let (_directory, path) = place();
    let store = SqliteStore::open(&path).await.unwrap();
    let id = request(&store, "trade", "a").await;
    store.close().await;
    tells(
        store.commit(Batch::new().write(audit(id, "x"))).await,
        &path,
        &["was closed"],
    );
    tells(store.operation(id).await, &path, &["was closed"]);
}

/// On a file system of one megabyte, where the user may mount one.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_loses_nothing_and_works_again_once_there_is_room() {
    use std::process::Command;

    struct Mounted<'a>(&'a Path);
    impl Drop for Mounted<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(directory.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("not run: this user may not mount a tmpfs");
        return;
    }
    let mounted = Mounted(directory.path());
    let path = directory.path().join("rollbot.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let id = request(&store, "trade", "a").await;
    let mut kept = 0;
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![0; 400_000]).unwrap();
    let error = loop {
        let mut entry = audit_entry("note");
        entry.text = "x".repeat(20_000);
        match store.note(id, entry).await {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "the disk is never full");
    };
    tells(Err::<(), _>(error), &path, &["full"]);
    assert_eq!(store.audit(id).await.unwrap().len(), kept);
    std::fs::remove_file(&ballast).unwrap();
    store.check_writable().await.unwrap();
    store.note(id, audit_entry("after")).await.unwrap();
    let rows = store.audit(id).await.unwrap();
    assert_eq!(rows.len(), kept + 1);
    assert_eq!(verify(id, &rows), vec![]);
    store.close().await;
    drop(mounted);
}
