//! What a commit of the store costs beside a bare commit of SQLite on the same disk.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::cell::Cell;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rollbot_core::OperationId;
use rollbot_core::operation::{Phase, State};
use rollbot_core::outbox::About;
use rollbot_core::store::{Batch, Guard, Store, Write};
use rollbot_store_conformance::sample::*;
use rollbot_store_sqlite::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, SqliteConnection};
use tempfile::TempDir;

/// One outcome and the next intent: what a live host call commits.
fn live_call(operation: OperationId, fence: i64, seq: i64) -> Batch {
    Batch::new()
        .guard(Guard::Fence { operation, fence })
        .write(outcome(operation, Phase::Run, seq - 1, returned()))
        .write(intent(operation, Phase::Run, seq))
}

async fn bare(path: &Path) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .unwrap();
    sqlx::query("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

/// On the disk of the build, not in a file system that may be memory; `ROLLBOT_BENCH_DIRECTORY` names
/// another one.
fn place() -> TempDir {
    let directory = std::env::var("ROLLBOT_BENCH_DIRECTORY");
    tempfile::tempdir_in(directory.as_deref().unwrap_or(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

/// A file of its own for each run: criterion calls a benchmark more than once.
fn fresh(directory: &TempDir) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    directory.path().join(format!("{number}.db"))
}

fn commits(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let directory = place();
    let mut group = criterion.benchmark_group("commit");

    group.bench_function("bare: one row, one statement", |bencher| {
        let mut connection = runtime.block_on(bare(&fresh(&directory)));
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    sqlx::query("INSERT INTO t (text) VALUES (?)")
                        .bind("{\"ok\":null}")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                }
                start.elapsed()
            })
        });
    });

    group.bench_function("bare: one row between BEGIN and COMMIT", |bencher| {
        let mut connection = runtime.block_on(bare(&fresh(&directory)));
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    sqlx::query("BEGIN IMMEDIATE")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                    sqlx::query("INSERT INTO t (text) VALUES (?)")
                        .bind("{\"ok\":null}")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                    sqlx::query("COMMIT")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                }
                start.elapsed()
            })
        });
    });

    group.bench_function("store: one intent", |bencher| {
        let store = runtime
            .block_on(SqliteStore::open(fresh(&directory)))
            .unwrap();
        let id = runtime.block_on(request(&store, "trade", "a"));
        let next = Cell::new(0);
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let batch = Batch::new().write(intent(id, Phase::Run, next.get()));
                    store.commit(batch).await.unwrap();
                    next.set(next.get() + 1);
                }
                start.elapsed()
            })
        });
    });

    group.bench_function(
        "store: live call (fence, outcome, next intent)",
        |bencher| {
            let store = runtime
                .block_on(SqliteStore::open(fresh(&directory)))
                .unwrap();
            let id = runtime.block_on(async {
                let id = request(&store, "trade", "a").await;
                store
                    .commit(Batch::new().write(intent(id, Phase::Run, 0)))
                    .await
                    .unwrap();
                id
            });
            let next = Cell::new(1);
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let start = Instant::now();
                    for _ in 0..times {
                        store.commit(live_call(id, 0, next.get())).await.unwrap();
                        next.set(next.get() + 1);
                    }
                    start.elapsed()
                })
            });
        },
    );

    group.bench_function("store: request with audit row and message", |bencher| {
        let store = runtime
            .block_on(SqliteStore::open(fresh(&directory)))
            .unwrap();
        let next = Cell::new(0);
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let key = event(&next.get().to_string());
                    let with = |id: OperationId| {
                        let identity = format!("{id}/live@console/ops");
                        vec![
                            audit(id, "requested"),
                            notify(message(id, &identity, About::Live)),
                        ]
                    };
                    store
                        .create_operation(new_operation("trade"), key, &with)
                        .await
                        .unwrap();
                    next.set(next.get() + 1);
                }
                start.elapsed()
            })
        });
    });

    group.bench_function("store: state with audit row and message", |bencher| {
        let store = runtime
            .block_on(SqliteStore::open(fresh(&directory)))
            .unwrap();
        let operation = runtime.block_on(async {
            let id = operation_in(&store, "trade", "a", State::AwaitingApproval).await;
            store
                .commit(Batch::new().write(write_plan(id, plan("trade"))))
                .await
                .unwrap();
            id
        });
        let next = Cell::new(0);
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    let mut live = message(operation, "live", About::Live);
                    live.variables = serde_json::json!({ "n": next.get() });
                    let batch = Batch::new()
                        .guard(Guard::Fence {
                            operation,
                            fence: 0,
                        })
                        .write(Write::State {
                            operation,
                            state: State::AwaitingApproval,
                            at: at(next.get()),
                        })
                        .write(audit(operation, "state"))
                        .write(notify(live));
                    store.commit(batch).await.unwrap();
                    next.set(next.get() + 1);
                }
                start.elapsed()
            })
        });
    });

    group.bench_function("store: read the journal of 30 calls", |bencher| {
        let store = runtime
            .block_on(SqliteStore::open(fresh(&directory)))
            .unwrap();
        let id = runtime.block_on(async {
            let id = request(&store, "trade", "a").await;
            let writes = (0..30).map(|seq| intent(id, Phase::Run, seq));
            store.commit(Batch::new().writes(writes)).await.unwrap();
            id
        });
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..times {
                    black_box(store.journal(id, Phase::Run).await.unwrap());
                }
                start.elapsed()
            })
        });
    });
    group.finish();
}

/// The aim is a ratio, and a disk's speed changes from second to second: here the two take turns.
fn in_turns(_: &mut Criterion) {
    const ROUNDS: usize = 2_000;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let directory = place();
    let mut took: [Vec<Duration>; 3] = Default::default();
    runtime.block_on(async {
        let mut connection = bare(&fresh(&directory)).await;
        let store = SqliteStore::open(fresh(&directory)).await.unwrap();
        let id = request(&store, "trade", "a").await;
        store
            .commit(Batch::new().write(intent(id, Phase::Run, 0)))
            .await
            .unwrap();
        for round in 1..=ROUNDS {
            let start = Instant::now();
            sqlx::query("INSERT INTO t (text) VALUES (?)")
                .bind("{\"ok\":null}")
                .execute(&mut connection)
                .await
                .unwrap();
            took[0].push(start.elapsed());
            let batch = live_call(id, 0, i64::try_from(round).unwrap());
            let start = Instant::now();
            store.commit(batch).await.unwrap();
            took[1].push(start.elapsed());
            let start = Instant::now();
            store.note(id, audit_entry("note")).await.unwrap();
            took[2].push(start.elapsed());
        }
    });
    let names = [
        "bare: one row, one statement",
        "store: live call",
        "store: audit row",
    ];
    for (name, took) in names.into_iter().zip(&mut took) {
        took.sort();
        println!(
            "in turns: {name}: median {:?}, tenth {:?}",
            took[ROUNDS / 2],
            took[ROUNDS / 10]
        );
    }
    let ratio = |at: usize| took[1][at].as_secs_f64() / took[0][at].as_secs_f64();
    println!(
        "in turns: a live call costs {:.2} bare commits (median), {:.2} (tenth)",
        ratio(ROUNDS / 2),
        ratio(ROUNDS / 10)
    );
}

criterion_group!(benches, commits, in_turns);
criterion_main!(benches);
