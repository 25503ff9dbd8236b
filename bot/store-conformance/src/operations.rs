//! Requests, numbers, states, fences, and what is kept for good.

use std::sync::Arc;

use rollbot_core::id::Digest;
use rollbot_core::operation::{Operation, Phase, State};
use rollbot_core::store::{Batch, Guard, GuardFailed, OperationFilter, StoreError, Write};

use crate::Backend;
use crate::sample::*;

pub async fn numbers_are_consecutive(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    for number in 1..=5 {
        let id = request(&*opened.store, "trade", &number.to_string()).await;
        assert_eq!(id.number(), number);
    }
    drop(opened);
    let opened = backend.open().await;
    assert_eq!(request(&*opened.store, "trade", "6").await.number(), 6);
}

pub async fn an_event_creates_one_operation(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    assert!(!store.seen(&event("a")).await.unwrap());
    request(&*store, "trade", "a").await;
    assert!(store.seen(&event("a")).await.unwrap());
    let again = store
        .create_operation(new_operation("trade"), event("a"), &|_| Vec::new())
        .await;
    assert_eq!(again, Err(StoreError::Guard(GuardFailed::SeenBefore)));
    let all = OperationFilter {
        limit: 10,
        ..OperationFilter::default()
    };
    assert_eq!(store.operations(all).await.unwrap().len(), 1);
}

pub async fn a_new_operation_reads_back_as_it_was_asked_for(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let mut new = new_operation("trade");
    new.dry_run = true;
    let id = store
        .create_operation(new.clone(), event("a"), &|_| Vec::new())
        .await
        .unwrap();
    let expected = Operation {
        id,
        service: new.service,
        host: new.host,
        procedure: new.procedure,
        reason: new.reason,
        requester: new.requester,
        origin: new.origin,
        dry_run: true,
        state: State::Requested,
        phase: Phase::Run,
        requested_at: new.requested_at,
        since: new.requested_at,
        expires_at: None,
        started_at: None,
        plan: None,
        digest: None,
        approved_by: None,
        ending: None,
        exceptions: Vec::new(),
        fence: 0,
        observed: Vec::new(),
    };
    assert_eq!(store.operation(id).await.unwrap(), Some(expected));
}

pub async fn what_is_written_with_a_new_operation_appears_with_it(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = store
        .create_operation(new_operation("trade"), event("a"), &|id| {
            one_of_each(id, "trade")
        })
        .await
        .unwrap();
    let all = everything(&*store, id).await;
    assert_eq!(all.operation.unwrap().state, State::Running);
    assert_eq!(all.audit.len(), 2);
    assert_eq!(all.outbox.len(), 1);
}

pub async fn an_operation_whose_first_writes_fail_leaves_no_gap(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let failed = store
        .create_operation(new_operation("trade"), event("a"), &|operation| {
            vec![
                audit(operation, "requested"),
                Write::State {
                    operation,
                    state: State::Closed,
                    at: at(1),
                },
            ]
        })
        .await;
    assert!(
        matches!(failed, Err(StoreError::Transition { .. })),
        "{failed:?}"
    );
    assert!(!store.seen(&event("a")).await.unwrap());
    let id = request(&*store, "trade", "a").await;
    assert_eq!(id.number(), 1);
    assert!(store.audit(id).await.unwrap().is_empty());
}

pub async fn operations_are_listed_newest_first_by_service_and_state(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let closed = operation_in(&*store, "trade", "a", State::Closed).await;
    let running = operation_in(&*store, "trade", "b", State::Running).await;
    let other = operation_in(&*store, "data", "c", State::Running).await;
    let newest = request(&*store, "trade", "d").await;
    let list = async |service: Option<&str>, states: &[State], limit| {
        let filter = OperationFilter {
            service: service.map(str::to_owned),
            states: states.to_vec(),
            limit,
        };
        let found = store.operations(filter).await.unwrap();
        found
            .into_iter()
            .map(|operation| operation.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        list(None, &[], 10).await,
        vec![newest, other, running, closed]
    );
    assert_eq!(list(None, &[], 2).await, vec![newest, other]);
    assert_eq!(
        list(Some("trade"), &[], i64::MAX).await,
        vec![newest, running, closed]
    );
    assert_eq!(
        list(None, &[State::Running], 10).await,
        vec![other, running]
    );
    assert_eq!(
        list(Some("trade"), &[State::Running, State::Closed], 10).await,
        vec![running, closed]
    );
    assert_eq!(
        list(Some("trade"), &[State::Running, State::Closed], 1).await,
        vec![running]
    );
    assert_eq!(list(Some("mcp"), &[], 10).await, vec![]);
    assert_eq!(list(None, &[], 0).await, vec![]);
}

pub async fn every_transition_is_allowed_or_refused_as_core_says(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    for from in State::ALL {
        for to in State::ALL {
            let operation = operation_in(&*store, "trade", &format!("{from}/{to}"), from).await;
            let before = everything(&*store, operation).await;
            let result = store
                .commit(Batch::new().write(Write::State {
                    operation,
                    state: to,
                    at: at(777),
                }))
                .await;
            if from.may_become(to) {
                assert_eq!(result, Ok(()), "{from} to {to}");
                let after = store.operation(operation).await.unwrap().unwrap();
                assert_eq!((after.state, after.since), (to, at(777)));
            } else {
                assert_eq!(
                    result,
                    Err(StoreError::Transition {
                        operation,
                        from,
                        to
                    })
                );
                assert_eq!(everything(&*store, operation).await, before);
            }
        }
    }
}

pub async fn everything_about_a_run_reads_back(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    store
        .commit(Batch::new().writes(one_of_each(id, "trade")))
        .await
        .unwrap();
    let all = everything(&*store, id).await;
    let operation = all.operation.unwrap();
    assert_eq!(operation.state, State::Running);
    assert_eq!(operation.since, at(31));
    assert_eq!(operation.phase, Phase::Undo);
    assert_eq!(operation.expires_at, Some(at(900_000)));
    assert_eq!(operation.started_at, Some(at(30)));
    assert!(operation.approved_by.is_some());
    assert_eq!(operation.ending.as_deref(), Some("Undone by Ben."));
    assert_eq!(
        operation.exceptions,
        vec!["step `x` was skipped, \"so\" 'it' goes".to_owned()]
    );
    assert_eq!(operation.observed.len(), 1);
    assert_eq!(all.votes.len(), 1);
    assert_eq!(all.journal[0].attempt, 2);
    assert_eq!(all.undo.len(), 1);
    assert_eq!(all.locks, vec![lock(id, "trade")]);
    assert_eq!(all.questions, vec![question(id, 0, 1)]);
}

pub async fn a_plan_comes_back_with_its_digest(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let id = request(&*opened.store, "trade", "a").await;
    let plan = plan("trade");
    opened
        .store
        .commit(Batch::new().write(write_plan(id, plan.clone())))
        .await
        .unwrap();
    drop(opened);
    let store = backend.open().await.store;
    let operation = store.operation(id).await.unwrap().unwrap();
    let read = operation.plan.unwrap();
    assert_eq!(read, plan);
    assert_eq!(Some(read.digest()), operation.digest);

    // A second plan replaces the first.
    let mut other = plan;
    other.procedure = "recover".into();
    store
        .commit(Batch::new().write(write_plan(id, other.clone())))
        .await
        .unwrap();
    let operation = store.operation(id).await.unwrap().unwrap();
    assert_eq!(operation.digest, Some(other.digest()));
    assert_eq!(operation.plan, Some(other));
}

pub async fn a_take_over_fences_the_owner_before(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let store = &opened.store;
    let operation = request(&**store, "trade", "a").await;
    let other = request(&**store, "data", "b").await;
    let write = |fence, seq| {
        Batch::new()
            .guard(Guard::Fence { operation, fence })
            .write(intent(operation, Phase::Run, seq))
    };
    assert_eq!(store.take_over(operation).await.unwrap(), 1);
    store.commit(write(1, 0)).await.unwrap();
    assert_eq!(store.take_over(operation).await.unwrap(), 2);
    let fenced = Err(StoreError::Guard(GuardFailed::Fenced { operation }));
    assert_eq!(store.commit(write(1, 1)).await, fenced);
    assert_eq!(store.commit(write(3, 1)).await, fenced);
    store.commit(write(2, 1)).await.unwrap();
    assert_eq!(store.operation(other).await.unwrap().unwrap().fence, 0);
    drop(opened);
    let store = backend.open().await.store;
    assert_eq!(store.take_over(operation).await.unwrap(), 3);
    assert_eq!(store.commit(write(2, 2)).await, fenced);
}

pub async fn an_operation_that_does_not_exist_is_named(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let missing = nobody();
    let named = Err(StoreError::NotFound {
        what: "operation",
        which: "RB-4711".into(),
    });
    let digest = Digest::of(b"plan");
    let message = message(missing, "m", rollbot_core::outbox::About::Live);
    for write in one_of_each(missing, "trade") {
        if matches!(write, Write::Unvote(_))
            || matches!(&write, Write::Journal { change, .. }
                if !matches!(change, rollbot_core::journal::JournalWrite::Intent { .. }))
        {
            continue;
        }
        assert_eq!(
            store.commit(Batch::new().write(write.clone())).await,
            named,
            "{write:?}"
        );
    }
    for guard in [
        Guard::Fence {
            operation: missing,
            fence: 0,
        },
        Guard::State {
            operation: missing,
            one_of: vec![State::Requested],
        },
        Guard::Digest {
            operation: missing,
            digest,
        },
    ] {
        assert_eq!(
            store.commit(Batch::new().guard(guard.clone())).await,
            named,
            "{guard:?}"
        );
    }
    assert_eq!(store.take_over(missing).await, named.clone().map(|()| 0));
    assert_eq!(store.note(missing, audit_entry("note")).await, named);
    assert_eq!(
        store.commit(Batch::new().write(notify(message))).await,
        named
    );
    let question = Guard::QuestionOpen {
        operation: missing,
        phase: Phase::Run,
        seq: 0,
        attempt: 1,
    };
    let unasked = store.commit(Batch::new().guard(question)).await;
    assert!(
        matches!(
            unasked,
            Err(StoreError::NotFound {
                what: "question",
                ..
            })
        ),
        "{unasked:?}"
    );
    assert_eq!(everything(&*store, missing).await.operation, None);
}

pub async fn everything_is_there_after_the_store_is_opened_again(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let id = request(&*opened.store, "trade", "a").await;
    opened
        .store
        .commit(Batch::new().writes(one_of_each(id, "trade")))
        .await
        .unwrap();
    opened.store.take_over(id).await.unwrap();
    opened
        .store
        .keep_component(&Digest::of(b"bytes"), b"bytes")
        .await
        .unwrap();
    let before = everything(&*opened.store, id).await;
    drop(opened);
    let store = backend.open().await.store;
    assert_eq!(everything(&*store, id).await, before);
    assert!(store.seen(&event("a")).await.unwrap());
    assert_eq!(
        store
            .component(&Digest::of(b"bytes"))
            .await
            .unwrap()
            .as_deref(),
        Some(b"bytes".as_slice())
    );
}

pub async fn components_are_kept_by_digest(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let digest = Digest::of(&bytes);
    assert_eq!(store.component(&digest).await.unwrap(), None);
    store.keep_component(&digest, &bytes).await.unwrap();
    store.keep_component(&digest, &bytes).await.unwrap();
    assert_eq!(store.component(&digest).await.unwrap(), Some(bytes));
    assert_eq!(store.component(&Digest::of(b"other")).await.unwrap(), None);
}

pub async fn the_store_can_be_checked_for_writing(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    for _ in 0..3 {
        store.check_writable().await.unwrap();
    }
    assert_eq!(request(&*store, "trade", "a").await.number(), 1);
}
