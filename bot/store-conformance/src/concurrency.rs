//! Many at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rollbot_core::audit::verify;
use rollbot_core::console::NewConsoleMessage;
use rollbot_core::operation::Phase;
use rollbot_core::store::{Batch, Guard, GuardFailed, StoreError, Write};
use tokio::task::JoinSet;

use crate::Backend;
use crate::sample::*;

pub async fn many_requests_get_different_numbers(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let mut tasks = JoinSet::new();
    for n in 0..40 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { request(&*store, "trade", &n.to_string()).await.number() });
    }
    let numbers: BTreeSet<i64> = tasks.join_all().await.into_iter().collect();
    assert_eq!(numbers, (1..=40).collect());
}

pub async fn an_event_delivered_many_times_at_once_works_once(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let created = store
                .create_operation(new_operation("trade"), event("create"), &|id| {
                    vec![audit(id, "requested")]
                })
                .await;
            let batch = Batch::new()
                .guard(Guard::NewEvent(event("vote")))
                .write(audit(id, &format!("vote-{n}")));
            let committed = store.commit(batch).await;
            for error in [created.clone().err(), committed.clone().err()]
                .into_iter()
                .flatten()
            {
                assert_eq!(error, StoreError::Guard(GuardFailed::SeenBefore));
            }
            (created.is_ok(), committed.is_ok())
        });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|(created, _)| *created).count(), 1);
    assert_eq!(
        results.iter().filter(|(_, committed)| *committed).count(),
        1
    );
    assert_eq!(store.audit(id).await.unwrap().len(), 1);
}

pub async fn commits_on_one_operation_are_all_there(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let mut tasks = JoinSet::new();
    for seq in 0..60 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let batch = Batch::new()
                .guard(Guard::Fence {
                    operation: id,
                    fence: 0,
                })
                .write(intent(id, Phase::Run, seq))
                .write(audit(id, &format!("effect-{seq}")))
                .write(Write::Exception {
                    operation: id,
                    text: seq.to_string(),
                });
            store.commit(batch).await.unwrap();
            store.note(id, audit_entry("note")).await.unwrap();
        });
    }
    tasks.join_all().await;
    let rows = store.audit(id).await.unwrap();
    assert_eq!(rows.len(), 120);
    assert_eq!(verify(id, &rows), vec![]);
    assert_eq!(store.journal(id, Phase::Run).await.unwrap().len(), 60);
    let operation = store.operation(id).await.unwrap().unwrap();
    let texts: BTreeSet<_> = operation.exceptions.into_iter().collect();
    assert_eq!(texts.len(), 60);
}

pub async fn commits_on_many_operations_do_not_mix(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let mut tasks = JoinSet::new();
    for n in 0..12 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let service = format!("service-{n}");
            let id = request(&*store, &service, &service).await;
            for seq in 0..10 {
                let mut writes = vec![intent(id, Phase::Run, seq), audit(id, "effect-begun")];
                if seq > 0 {
                    writes.push(outcome(id, Phase::Run, seq - 1, returned()));
                }
                store.commit(Batch::new().writes(writes)).await.unwrap();
            }
            (id, service)
        });
    }
    for (id, service) in tasks.join_all().await {
        let all = everything(&*store, id).await;
        assert_eq!(all.operation.unwrap().service, service);
        assert_eq!(all.journal.len(), 10);
        assert!(
            all.journal[..9]
                .iter()
                .all(|entry| entry.outcome == Some(returned()))
        );
        assert_eq!(all.audit.len(), 10);
        assert_eq!(verify(id, &all.audit), vec![]);
    }
}

pub async fn one_of_many_gets_the_lock(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let mut ids = Vec::new();
    for n in 0..16 {
        ids.push(request(&*store, "trade", &n.to_string()).await);
    }
    let mut tasks = JoinSet::new();
    for id in ids {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let batch = Batch::new()
                .write(audit(id, "locked"))
                .write(Write::Lock(lock(id, "trade")));
            (id, store.commit(batch).await)
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = tasks
        .join_all()
        .await
        .into_iter()
        .partition(|(_, result)| result.is_ok());
    assert_eq!(won.len(), 1);
    let held = lock(won[0].0, "trade");
    assert_eq!(store.locks().await.unwrap(), vec![held.clone()]);
    for (id, result) in lost {
        assert_eq!(
            result,
            Err(StoreError::Guard(GuardFailed::Locked(held.clone())))
        );
        assert!(store.audit(id).await.unwrap().is_empty());
    }
}

pub async fn nobody_writes_with_an_old_fence(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let operation = request(&*store, "trade", "a").await;
    let first = store.take_over(operation).await.unwrap();
    let taken = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for worker in 0..4_i64 {
        let (store, taken) = (Arc::clone(&store), Arc::clone(&taken));
        tasks.spawn(async move {
            let mut after = 0;
            for n in 0.. {
                let late = taken.load(Ordering::SeqCst);
                let batch = Batch::new()
                    .guard(Guard::Fence {
                        operation,
                        fence: first,
                    })
                    .write(intent(operation, Phase::Run, worker * 100_000 + n));
                match store.commit(batch).await {
                    Ok(()) => assert!(!late, "written with a fence that was taken over"),
                    Err(error) => {
                        let fenced = GuardFailed::Fenced { operation };
                        assert_eq!(error, StoreError::Guard(fenced));
                        after += 1;
                        if after > 3 {
                            return;
                        }
                    }
                }
            }
        });
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let second = store.take_over(operation).await.unwrap();
    taken.store(true, Ordering::SeqCst);
    assert!(second > first);
    tasks.join_all().await;
    let batch = Batch::new()
        .guard(Guard::Fence {
            operation,
            fence: second,
        })
        .write(intent(operation, Phase::Undo, 0));
    store.commit(batch).await.unwrap();
}

pub async fn readers_never_see_half_a_batch(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        readers.spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let rows = store.audit(id).await.unwrap();
                assert_eq!(rows.len() % 5, 0, "half a batch was visible");
                if !rows.is_empty() {
                    assert_eq!(verify(id, &rows), vec![]);
                }
            }
        });
    }
    for _ in 0..30 {
        store
            .commit(Batch::new().writes((0..5).map(|_| audit(id, "note"))))
            .await
            .unwrap();
        // Whoever wrote sees it at once.
        assert_eq!(store.audit(id).await.unwrap().len() % 5, 0);
    }
    done.store(true, Ordering::SeqCst);
    readers.join_all().await;
    assert_eq!(store.audit(id).await.unwrap().len(), 150);
}

pub async fn console_changes_are_never_missed(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let console = Arc::clone(&console);
        writers.spawn(async move {
            for n in 0..15 {
                let message = NewConsoleMessage {
                    identity: format!("{writer}/{n}"),
                    channel: "ops".into(),
                    thread_of: None,
                    author: None,
                    only_for: None,
                    body: "x".into(),
                    kind: "live".into(),
                    buttons: vec![],
                    at: at(0),
                };
                console.console_post(message).await.unwrap();
            }
        });
    }
    // A reader that only ever asks for what is new sees every message: no change becomes visible
    // with a number below one that was seen.
    let mut seen = BTreeSet::new();
    let mut last = 0;
    while seen.len() < 60 {
        for message in console.console_changes(last, 7).await.unwrap() {
            assert!(message.change > last);
            last = message.change;
            assert!(seen.insert(message.id));
        }
    }
    writers.join_all().await;
}
