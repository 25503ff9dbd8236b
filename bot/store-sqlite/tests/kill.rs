//! A process that is killed at any instant loses nothing it acknowledged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rollbot_core::OperationId;
use rollbot_core::audit::verify;
use rollbot_core::operation::Phase;
use rollbot_core::store::{Batch, Guard, Store};
use rollbot_store_conformance::sample::*;
use rollbot_store_sqlite::SqliteStore;

const FILE: &str = "ROLLBOT_TEST_KILLED_STORE";

/// The test below starts this program again with this one test, which is nothing by itself.
#[tokio::test]
async fn child_that_commits_until_it_is_killed() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let operation = OperationId::new(1).unwrap();
    let store = SqliteStore::open(path).await.unwrap();
    let fence = store.take_over(operation).await.unwrap();
    let from = i64::try_from(store.journal(operation, Phase::Run).await.unwrap().len()).unwrap();
    for seq in from.. {
        let mut writes = vec![
            intent(operation, Phase::Run, seq),
            audit(operation, "effect-begun"),
        ];
        // The last call before a kill has no outcome; nobody made it up.
        if seq > from {
            writes.push(outcome(operation, Phase::Run, seq - 1, returned()));
        }
        let batch = Batch::new()
            .guard(Guard::Fence { operation, fence })
            .writes(writes);
        store.commit(batch).await.unwrap();
        let mut out = std::io::stdout();
        out.write_all(format!("acknowledged {seq}\n").as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}

fn run_until_killed(path: &Path, acknowledgements: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_commits_until_it_is_killed",
            "--nocapture",
        ])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut last = None;
    let mut read = |line: std::io::Result<String>| {
        if let Some(seq) = line
            .ok()
            .as_deref()
            .and_then(|line| line.strip_prefix("acknowledged "))
        {
            last = Some(seq.parse::<i64>().unwrap());
            seen += 1;
        }
        seen
    };
    for line in lines.by_ref() {
        if read(line) == acknowledgements {
            break;
        }
    }
    child.kill().unwrap();
    // What it had said before it died counts as well.
    for line in lines {
        read(line);
    }
    child.wait().unwrap();
    last.expect("the child never committed")
}

#[tokio::test]
async fn a_killed_process_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollbot.db");
    let operation = {
        let store = SqliteStore::open(&path).await.unwrap();
        let operation = request(&store, "trade", "a").await;
        store.close().await;
        operation
    };
    for round in 1..=12_usize {
        let acknowledged = run_until_killed(&path, 1 + round * 37 % 29);
        let store = SqliteStore::open(&path).await.unwrap();
        let journal = store.journal(operation, Phase::Run).await.unwrap();
        let last = journal.last().unwrap().seq;
        assert!(
            last >= acknowledged,
            "{acknowledged} was acknowledged, {last} is the last"
        );
        // Nothing half: each call with its audit row, without gaps.
        for (seq, entry) in (0..).zip(&journal) {
            assert_eq!(entry.seq, seq);
        }
        let rows = store.audit(operation).await.unwrap();
        assert_eq!(rows.len(), journal.len());
        assert_eq!(verify(operation, &rows), vec![]);
        assert_eq!(
            store.operation(operation).await.unwrap().unwrap().fence,
            i64::try_from(round).unwrap()
        );
        store.close().await;
    }
}
