//! What the engine adds to the work itself. Hosts answer at once, so everything that is measured is
//! rollbot's own: instantiation, the journal, and a whole rollback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/engine/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rollbot_core::Clock as _;
use rollbot_core::journal::{Class, Entry, JournalWrite};
use rollbot_core::operation::Phase;
use rollbot_core::store::{Batch, Guard, Store, Write};
use rollbot_engine::{Engine, EngineConfig, RunEnd};
use support::observer::{Observer, People};
use support::operation::Case;
use support::world::World;
use support::{limits, scripted, trade};

const PLAN: &str = "step work\neffect stop-native stop\ntarget native-stopped";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn calls(script: &str) -> Case {
    Case::new(
        scripted().await,
        World::native(),
        &[("plan", PLAN), ("script", script)],
    )
    .await
}

async fn run(case: &Case) -> Duration {
    let observer = Observer::new(case.id, People::default());
    let begun = Instant::now();
    let end = case.run_on(case.store.clone(), Phase::Run, &observer).await;
    let took = begun.elapsed();
    assert_eq!(end, RunEnd::Finished);
    took
}

/// A store, an instance and a call of `describe`, for a component that came from the cache.
fn instantiation(criterion: &mut Criterion) {
    let runtime = runtime();
    let directory = tempfile::tempdir().unwrap();
    let config = || EngineConfig {
        cache_dir: Some(directory.path().to_owned()),
        limits: limits(),
    };
    let bytes = support::bundled("trade");
    runtime.block_on(async {
        Engine::new(config())
            .unwrap()
            .load("trade", bytes)
            .await
            .unwrap()
    });
    let engine = Engine::new(config()).unwrap();
    let plugin = runtime.block_on(engine.load("trade", bytes)).unwrap();
    assert_eq!(engine.compiled(), 0);
    criterion.bench_function("instantiate and describe", |bencher| {
        bencher.iter(|| runtime.block_on(engine.check(&plugin)).unwrap());
    });
    let mut all: Vec<Duration> = (0..5_000)
        .map(|_| {
            let begun = Instant::now();
            runtime.block_on(engine.check(&plugin)).unwrap();
            begun.elapsed()
        })
        .collect();
    all.sort_unstable();
    println!(
        "instantiate and describe: p50 {:?}, p99 {:?}",
        all[all.len() / 2],
        all[all.len() * 99 / 100]
    );
    criterion.bench_function("load from the cache", |bencher| {
        bencher.iter(|| runtime.block_on(engine.load("trade", bytes)).unwrap());
    });
}

/// The difference of two replays, one with many calls more than the other.
fn replayed_call(criterion: &mut Criterion) {
    const CALLS: u32 = 1_000;
    let runtime = runtime();
    let (few, many) = runtime.block_on(async {
        let few = calls("status").await;
        let many = calls(&format!("repeat {CALLS} status\nstatus")).await;
        run(&few).await;
        run(&many).await;
        (few, many)
    });
    criterion.bench_function("replay of a whole run with 1,001 calls", |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    total += run(&many).await;
                }
                total
            })
        });
    });
    criterion.bench_function(
        "a replayed host call, with reading it from the store",
        |bencher| {
            bencher.iter_custom(|iterations| {
                runtime.block_on(async {
                    let mut total = Duration::ZERO;
                    for _ in 0..iterations {
                        total += run(&many).await.saturating_sub(run(&few).await) / CALLS;
                    }
                    total
                })
            });
        },
    );
}

/// A live query, beside one bare commit of a journal row.
fn live_call(criterion: &mut Criterion) {
    const CALLS: u32 = 500;
    let runtime = runtime();
    let mut group = criterion.benchmark_group("live");
    group.sample_size(10);
    group.bench_function("one commit of the store", |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let case = calls("status").await;
                let fence = case.store.take_over(case.id).await.unwrap();
                let batch = |seq| {
                    let entry = Entry {
                        seq,
                        function: "process.status".into(),
                        arguments: "[\"local\",[\"cryptobot-trade\"],9003]".into(),
                        class: Class::Query,
                        attempt: 1,
                        intent_at: case.clock.now(),
                        outcome: None,
                        outcome_at: None,
                    };
                    let change = JournalWrite::Intent {
                        phase: Phase::Run,
                        entry,
                    };
                    Batch::new()
                        .guard(Guard::Fence {
                            operation: case.id,
                            fence,
                        })
                        .write(Write::Journal {
                            operation: case.id,
                            change,
                        })
                };
                let begun = Instant::now();
                for seq in 0..i64::try_from(iterations).unwrap() {
                    case.store.commit(batch(seq)).await.unwrap();
                }
                begun.elapsed()
            })
        });
    });
    group.bench_function("one journaled host call", |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let case = calls(&format!("repeat {CALLS} status")).await;
                    total += run(&case).await / CALLS;
                }
                total
            })
        });
    });
    group.finish();
}

/// Everything that a rollback of the trade service costs beyond the work of its hosts.
fn whole_rollback(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("whole");
    group.sample_size(20);
    group.bench_function("rollback of trade, with instant hosts", |bencher| {
        bencher.iter_custom(|iterations| {
            runtime.block_on(async {
                let plugin = trade().await;
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    let case = Case::new(Arc::clone(&plugin), World::native(), &[]).await;
                    total += run(&case).await;
                }
                total
            })
        });
    });
    group.finish();
}

criterion_group!(
    benches,
    instantiation,
    replayed_call,
    live_call,
    whole_rollback
);
criterion_main!(benches);
