//! A batch is all or nothing: whatever guard fails, whatever write, and wherever it is cut off.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rollbot_core::id::{Digest, OperationId};
use rollbot_core::operation::{Phase, Question, State};
use rollbot_core::store::{Batch, Guard, GuardFailed, Store, StoreError, Write};

use crate::Backend;
use crate::sample::*;

pub async fn a_failing_guard_leaves_nothing(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let operation = request(&*store, "trade", "a").await;
    let asked = request(&*store, "data", "b").await;
    let answered = Question {
        answer: Some("retry".into()),
        answered_at: Some(at(460)),
        chosen: vec![chosen("ben", "retry")],
        ..question(asked, 3, 1)
    };
    store
        .commit(Batch::new().write(Write::Question(Box::new(answered))))
        .await
        .unwrap();
    let failing = [
        (Guard::NewEvent(event("a")), GuardFailed::SeenBefore),
        (
            Guard::Fence {
                operation,
                fence: 7,
            },
            GuardFailed::Fenced { operation },
        ),
        (
            Guard::State {
                operation,
                one_of: vec![State::Running, State::Paused],
            },
            GuardFailed::State {
                operation,
                is: State::Requested,
            },
        ),
        (
            Guard::State {
                operation,
                one_of: vec![],
            },
            GuardFailed::State {
                operation,
                is: State::Requested,
            },
        ),
        (
            Guard::Digest {
                operation,
                digest: Digest::of(b"another plan"),
            },
            GuardFailed::Digest { operation },
        ),
        (
            Guard::QuestionOpen {
                operation: asked,
                phase: Phase::Run,
                seq: 3,
                attempt: 1,
            },
            GuardFailed::Answered,
        ),
    ];
    let before = everything(&*store, operation).await;
    for (guard, expected) in failing {
        // Guards that hold stand before it and after it; they leave nothing either.
        let batch = Batch::new()
            .guard(Guard::NewEvent(event("new")))
            .guard(guard)
            .guard(Guard::Fence {
                operation,
                fence: 0,
            })
            .writes(one_of_each(operation, "trade"));
        assert_eq!(
            store.commit(batch).await,
            Err(StoreError::Guard(expected.clone()))
        );
        assert_eq!(everything(&*store, operation).await, before, "{expected:?}");
        assert!(!store.seen(&event("new")).await.unwrap(), "{expected:?}");
    }
    // All of them hold: the same writes go through.
    store
        .commit(Batch::new().write(write_plan(operation, plan("trade"))))
        .await
        .unwrap();
    store
        .commit(Batch::new().write(Write::Question(Box::new(question(asked, 4, 1)))))
        .await
        .unwrap();
    let batch = Batch::new()
        .guard(Guard::NewEvent(event("new")))
        .guard(Guard::Fence {
            operation,
            fence: 0,
        })
        .guard(Guard::State {
            operation,
            one_of: vec![State::Running, State::Requested],
        })
        .guard(Guard::Digest {
            operation,
            digest: plan("trade").digest(),
        })
        .guard(Guard::QuestionOpen {
            operation: asked,
            phase: Phase::Run,
            seq: 4,
            attempt: 1,
        })
        .writes(one_of_each(operation, "trade"));
    store.commit(batch).await.unwrap();
    assert!(store.seen(&event("new")).await.unwrap());
    is_whole(&*store, operation).await;
}

pub async fn a_failing_write_leaves_nothing_of_the_writes_before_it(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let holder = request(&*store, "mcp", "holder").await;
    store
        .commit(Batch::new().write(Write::Lock(lock(holder, "mcp"))))
        .await
        .unwrap();
    let operation = request(&*store, "trade", "a").await;
    let before = everything(&*store, operation).await;
    let failing = [
        Write::State {
            operation,
            state: State::Requested,
            at: at(99),
        },
        Write::Lock(lock(operation, "mcp")),
        intent(operation, Phase::Run, 0),
        outcome(operation, Phase::Run, 9, returned()),
        again(operation, Phase::Run, 0),
        audit(nobody(), "note"),
    ];
    for write in failing {
        let batch = Batch::new()
            .guard(Guard::NewEvent(event("new")))
            .writes(one_of_each(operation, "trade"))
            .write(write.clone())
            .write(audit(operation, "never"));
        let result = store.commit(batch).await;
        assert!(result.is_err(), "{write:?}");
        assert!(
            !matches!(result, Err(StoreError::Unavailable(_))),
            "{result:?}"
        );
        assert_eq!(everything(&*store, operation).await, before, "{write:?}");
        assert!(!store.seen(&event("new")).await.unwrap());
    }
    store
        .commit(Batch::new().writes(one_of_each(operation, "trade")))
        .await
        .unwrap();
    is_whole(&*store, operation).await;
}

pub async fn an_event_is_remembered_with_its_batch_only(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let operation = request(&*store, "trade", "a").await;
    let batch = Batch::new()
        .guard(Guard::NewEvent(event("vote")))
        .write(audit(operation, "vote"));
    store.commit(batch.clone()).await.unwrap();
    let again = store.commit(batch).await;
    assert_eq!(again, Err(StoreError::Guard(GuardFailed::SeenBefore)));
    assert_eq!(store.audit(operation).await.unwrap().len(), 1);
    // The same event twice in one batch is not new the second time.
    let twice = Batch::new()
        .guard(Guard::NewEvent(event("twice")))
        .guard(Guard::NewEvent(event("twice")));
    assert_eq!(
        store.commit(twice).await,
        Err(StoreError::Guard(GuardFailed::SeenBefore))
    );
    assert!(!store.seen(&event("twice")).await.unwrap());
}

pub async fn guards_see_the_state_before_the_batch(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let operation = request(&*store, "trade", "a").await;
    let batch = Batch::new()
        .write(Write::State {
            operation,
            state: State::AwaitingApproval,
            at: at(1),
        })
        .guard(Guard::State {
            operation,
            one_of: vec![State::AwaitingApproval],
        });
    let is = State::Requested;
    assert_eq!(
        store.commit(batch).await,
        Err(StoreError::Guard(GuardFailed::State { operation, is }))
    );
}

pub async fn writes_happen_in_their_order(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let operation = request(&*store, "trade", "a").await;
    let to = |state, millisecond| Write::State {
        operation,
        state,
        at: at(millisecond),
    };
    let batch = Batch::new().writes([
        to(State::AwaitingApproval, 1),
        to(State::Running, 2),
        to(State::Verified, 3),
        to(State::Closed, 4),
        Write::Exception {
            operation,
            text: "first".into(),
        },
        Write::Exception {
            operation,
            text: "second".into(),
        },
        Write::Ending {
            operation,
            ending: "one".into(),
        },
        Write::Ending {
            operation,
            ending: "two".into(),
        },
    ]);
    store.commit(batch).await.unwrap();
    let read = store.operation(operation).await.unwrap().unwrap();
    assert_eq!((read.state, read.since), (State::Closed, at(4)));
    assert_eq!(
        read.exceptions,
        vec!["first".to_owned(), "second".to_owned()]
    );
    assert_eq!(read.ending.as_deref(), Some("two"));

    // The other way round the second step is refused, and with it the first.
    let operation = request(&*store, "trade", "b").await;
    let batch = Batch::new().writes([
        Write::State {
            operation,
            state: State::AwaitingApproval,
            at: at(1),
        },
        Write::State {
            operation,
            state: State::Closed,
            at: at(2),
        },
    ]);
    let (from, to) = (State::AwaitingApproval, State::Closed);
    let refused = store.commit(batch).await;
    assert_eq!(
        refused,
        Err(StoreError::Transition {
            operation,
            from,
            to
        })
    );
    assert_eq!(
        store.operation(operation).await.unwrap().unwrap().state,
        State::Requested
    );
}

pub async fn an_empty_batch_is_fine(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    store.commit(Batch::new()).await.unwrap();
}

/// All of [`one_of_each`] is there.
async fn is_whole(store: &dyn Store, operation: OperationId) {
    let all = everything(store, operation).await;
    let row = all.operation.unwrap();
    assert_eq!(row.state, State::Running);
    assert_eq!(row.phase, Phase::Undo);
    assert_eq!(row.exceptions.len(), 1);
    assert_eq!(row.observed.len(), 1);
    assert!(row.plan.is_some() && row.approved_by.is_some() && row.ending.is_some());
    assert_eq!(all.votes.len(), 1);
    assert_eq!((all.journal.len(), all.undo.len()), (1, 1));
    assert_eq!(all.steps.len(), 1);
    assert!(all.locks.iter().any(|lock| lock.operation == operation));
    assert_eq!(all.questions.len(), 1);
    assert_eq!(all.audit.len(), 2);
    assert_eq!(all.outbox.len(), 1);
    assert_eq!(rollbot_core::audit::verify(operation, &all.audit), vec![]);
}

/// Nothing or everything, and the store still works. Returns whether it was everything.
async fn nothing_or_everything(store: &dyn Store, operation: OperationId, service: &str) -> bool {
    // Stands behind whatever the dropped commit still does.
    store.check_writable().await.unwrap();
    let all = everything(store, operation).await;
    let seen = store
        .seen(&event(&format!("commit of {operation}")))
        .await
        .unwrap();
    let untouched = all.operation.as_ref().unwrap().state == State::Requested;
    if untouched {
        assert!(!seen);
        let row = all.operation.unwrap();
        assert!(row.plan.is_none() && row.ending.is_none() && row.exceptions.is_empty());
        assert_eq!(row.phase, Phase::Run);
        assert!(all.votes.is_empty() && all.journal.is_empty() && all.undo.is_empty());
        assert!(all.steps.is_empty() && all.questions.is_empty());
        assert!(all.locks.iter().all(|lock| lock.operation != operation));
        assert!(all.audit.is_empty() && all.outbox.is_empty());
        store
            .commit(Batch::new().writes(one_of_each(operation, service)))
            .await
            .unwrap();
    } else {
        assert!(seen);
    }
    is_whole(store, operation).await;
    !untouched
}

fn batch_of(operation: OperationId, service: &str) -> Batch {
    Batch::new()
        .guard(Guard::NewEvent(event(&format!("commit of {operation}"))))
        .guard(Guard::Fence {
            operation,
            fence: 0,
        })
        .writes(one_of_each(operation, service))
}

/// Polls at most so often and then drops the future; `None` if it had not finished.
async fn polled_at_most<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let poll = future.as_mut().poll(context);
        if left == 0 && poll.is_pending() {
            return Poll::Ready(None);
        }
        poll.map(Some)
    })
    .await
}

pub async fn a_commit_dropped_at_any_point_is_there_as_a_whole_or_not_at_all(
    backend: Arc<dyn Backend>,
) {
    let store = backend.open().await.store;
    let mut dropped = 0;
    for times in 0.. {
        let service = format!("service-{times}");
        let operation = request(&*store, &service, &service).await;
        let result = polled_at_most(times, store.commit(batch_of(operation, &service))).await;
        let whole = nothing_or_everything(&*store, operation, &service).await;
        match result {
            None => dropped += 1,
            Some(result) => {
                result.unwrap();
                assert!(whole, "acknowledged, and not there");
                break;
            }
        }
    }
    // A store that works in one poll would not have been tested at all.
    assert!(dropped > 3, "dropped at {dropped} points only");
}

pub async fn a_commit_aborted_at_any_moment_is_there_as_a_whole_or_not_at_all(
    backend: Arc<dyn Backend>,
) {
    let store = backend.open().await.store;
    for moment in 0..150_u32 {
        let service = format!("service-{moment}");
        let operation = request(&*store, &service, &service).await;
        let task = tokio::spawn({
            let (store, service) = (Arc::clone(&store), service.clone());
            async move { store.commit(batch_of(operation, &service)).await }
        });
        for _ in 0..moment * moment / 10 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let result = task.await;
        let whole = nothing_or_everything(&*store, operation, &service).await;
        if let Ok(result) = result {
            result.unwrap();
            assert!(whole, "acknowledged, and not there");
        }
    }
}
