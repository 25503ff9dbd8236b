//! The journal's rules: an intent once, an outcome after it, a retry only after a failure.

use std::sync::Arc;

use rollbot_core::journal::{Class, JournalWrite, Outcome};
use rollbot_core::operation::Phase;
use rollbot_core::store::{Batch, Store, StoreError, Write};

use crate::Backend;
use crate::sample::*;

async fn write(store: &dyn Store, write: Write) -> Result<(), StoreError> {
    store.commit(Batch::new().write(write)).await
}

fn is_refused(result: Result<(), StoreError>) {
    assert!(
        matches!(result, Err(StoreError::Journal { .. })),
        "{result:?}"
    );
}

pub async fn a_call_is_begun_once(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    write(&*store, intent(id, Phase::Run, 0)).await.unwrap();
    is_refused(write(&*store, intent(id, Phase::Run, 0)).await);
    write(&*store, outcome(id, Phase::Run, 0, returned()))
        .await
        .unwrap();
    is_refused(write(&*store, intent(id, Phase::Run, 0)).await);
    let journal = store.journal(id, Phase::Run).await.unwrap();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].outcome, Some(returned()));
    assert_eq!(journal[0].outcome_at, Some(at(200)));
}

pub async fn an_outcome_needs_an_intent_and_comes_once(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    is_refused(write(&*store, outcome(id, Phase::Run, 0, returned())).await);
    // The way the engine does it: the outcome of one call with the intent of the next.
    write(&*store, intent(id, Phase::Run, 0)).await.unwrap();
    let batch = Batch::new()
        .write(outcome(id, Phase::Run, 0, returned()))
        .write(intent(id, Phase::Run, 1));
    store.commit(batch).await.unwrap();
    is_refused(write(&*store, outcome(id, Phase::Run, 0, failed())).await);
    is_refused(write(&*store, outcome(id, Phase::Run, 0, returned())).await);
    is_refused(write(&*store, outcome(id, Phase::Undo, 1, returned())).await);
    let journal = store.journal(id, Phase::Run).await.unwrap();
    assert_eq!(journal[0].outcome, Some(returned()));
    assert_eq!(journal[1], entry(1, Class::Idempotent));
}

pub async fn a_failed_call_can_be_tried_again_or_settled(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    write(&*store, intent(id, Phase::Run, 0)).await.unwrap();
    for attempt in 1..4 {
        write(&*store, outcome(id, Phase::Run, 0, failed()))
            .await
            .unwrap();
        let row = store.journal(id, Phase::Run).await.unwrap().remove(0);
        assert_eq!((row.attempt, row.outcome), (attempt, Some(failed())));
        write(&*store, again(id, Phase::Run, 0)).await.unwrap();
        let row = store.journal(id, Phase::Run).await.unwrap().remove(0);
        assert_eq!(
            (row.attempt, row.outcome, row.outcome_at),
            (attempt + 1, None, None)
        );
        assert_eq!(row.intent_at, at(300));
    }
    // Another failure, and then people say how it ended.
    write(&*store, outcome(id, Phase::Run, 0, failed()))
        .await
        .unwrap();
    let worse = Outcome::Failed("{\"other\":\"worse\"}".into());
    write(&*store, outcome(id, Phase::Run, 0, worse))
        .await
        .unwrap();
    write(&*store, outcome(id, Phase::Run, 0, returned()))
        .await
        .unwrap();
    let row = store.journal(id, Phase::Run).await.unwrap().remove(0);
    assert_eq!((row.attempt, row.outcome), (4, Some(returned())));
}

pub async fn only_a_failed_call_is_tried_again(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    is_refused(write(&*store, again(id, Phase::Run, 0)).await);
    write(&*store, intent(id, Phase::Run, 0)).await.unwrap();
    is_refused(write(&*store, again(id, Phase::Run, 0)).await);
    write(&*store, outcome(id, Phase::Run, 0, returned()))
        .await
        .unwrap();
    is_refused(write(&*store, again(id, Phase::Run, 0)).await);
}

pub async fn phases_have_journals_of_their_own(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let other = request(&*store, "data", "b").await;
    for (operation, phase) in [(id, Phase::Run), (id, Phase::Undo), (other, Phase::Run)] {
        write(&*store, intent(operation, phase, 0)).await.unwrap();
    }
    write(&*store, outcome(id, Phase::Undo, 0, returned()))
        .await
        .unwrap();
    assert_eq!(
        store.journal(id, Phase::Run).await.unwrap()[0].outcome,
        None
    );
    assert_eq!(
        store.journal(id, Phase::Undo).await.unwrap()[0].outcome,
        Some(returned())
    );
    assert_eq!(
        store.journal(other, Phase::Run).await.unwrap()[0].outcome,
        None
    );
    assert!(store.journal(other, Phase::Undo).await.unwrap().is_empty());
}

pub async fn entries_come_in_order_whatever_order_they_were_written_in(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    for seq in [11, 2, 0, 10, 1] {
        write(&*store, intent(id, Phase::Run, seq)).await.unwrap();
    }
    let journal = store.journal(id, Phase::Run).await.unwrap();
    assert_eq!(
        journal.iter().map(|entry| entry.seq).collect::<Vec<_>>(),
        vec![0, 1, 2, 10, 11]
    );
}

pub async fn large_and_odd_texts_come_back_unchanged(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let odd = [
        String::new(),
        "\u{0}between\u{0}".into(),
        "'; DROP TABLE journal; --".into(),
        "line\r\nline\ttab \u{1F525} \u{202E}x".into(),
        "null".into(),
        "x".repeat(2_000_000),
    ];
    for (seq, text) in (0..).zip(&odd) {
        let mut call = entry(seq, Class::AtMostOnce);
        call.arguments.clone_from(text);
        let change = JournalWrite::Intent {
            phase: Phase::Run,
            entry: call,
        };
        let batch = Batch::new()
            .write(Write::Journal {
                operation: id,
                change,
            })
            .write(outcome(
                id,
                Phase::Run,
                seq,
                Outcome::Returned(text.clone()),
            ));
        store.commit(batch).await.unwrap();
    }
    let journal = store.journal(id, Phase::Run).await.unwrap();
    assert_eq!(journal.len(), odd.len());
    for (entry, text) in journal.iter().zip(&odd) {
        assert!(entry.arguments == *text, "arguments of {}", entry.seq);
        assert!(
            entry.outcome == Some(Outcome::Returned(text.clone())),
            "value of {}",
            entry.seq
        );
        assert_eq!(entry.class, Class::AtMostOnce);
    }
}
