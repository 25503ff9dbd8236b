//! Messages: content, revisions, and when they are due.

use std::sync::Arc;

use rollbot_core::outbox::{About, Message, OutboxRow};
use rollbot_core::store::{Batch, Store, StoreError};

use crate::Backend;
use crate::sample::*;

async fn put(store: &dyn Store, message: &Message) -> OutboxRow {
    store
        .commit(Batch::new().write(notify(message.clone())))
        .await
        .unwrap();
    store
        .outbox_by_identity(&message.identity)
        .await
        .unwrap()
        .unwrap()
}

async fn due(store: &dyn Store, millisecond: i64) -> Vec<String> {
    let rows = store
        .outbox_due("console", at(millisecond), 100)
        .await
        .unwrap();
    rows.into_iter().map(|row| row.message.identity).collect()
}

fn saying(message: &Message, what: &str) -> Message {
    Message {
        variables: serde_json::json!({ "says": what }),
        ..message.clone()
    }
}

pub async fn the_same_content_is_no_change(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    let row = put(&*store, &live).await;
    assert_eq!(
        row,
        OutboxRow {
            id: row.id,
            message: live.clone(),
            revision: 1,
            delivered: 0,
            message_ref: None,
            attempts: 0,
            next_at: at(0),
            last_error: None,
            abandoned: false,
            created_at: row.created_at,
            delivered_at: None,
        }
    );
    assert_eq!(put(&*store, &live).await, row);
    // Said again later, with its facts in another order: still the same.
    let again = Message {
        not_before: at(50_000),
        variables: serde_json::json!({ "share": 0.1, "step": 1 }),
        ..live.clone()
    };
    assert_eq!(put(&*store, &again).await, row);
    store
        .outbox_delivered(row.id, 1, "m-1", at(10))
        .await
        .unwrap();
    assert_eq!(put(&*store, &again).await.revision, 1);
    assert!(due(&*store, 100_000).await.is_empty());
}

pub async fn new_content_is_a_new_revision(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    let row = put(&*store, &live).await;
    store
        .outbox_delivered(row.id, 1, "m-1", at(10))
        .await
        .unwrap();
    let different = [
        saying(&live, "other words"),
        Message {
            template: "closed".into(),
            ..live.clone()
        },
        Message {
            reactions: vec![],
            ..live.clone()
        },
        Message {
            buttons: vec![],
            ..live.clone()
        },
        Message {
            thread_of: Some("root".into()),
            ..live.clone()
        },
        Message {
            about: About::Detail,
            ..live.clone()
        },
    ];
    for (revision, message) in (2..).zip(different) {
        let message = Message {
            not_before: at(revision * 100),
            ..message
        };
        let row = put(&*store, &message).await;
        assert_eq!(row.message, message);
        assert_eq!((row.revision, row.delivered), (revision, revision - 1));
        assert_eq!(row.next_at, at(revision * 100));
        assert_eq!(
            row.message_ref.as_deref(),
            Some("m-1"),
            "it is edited, not posted anew"
        );
        assert_eq!(due(&*store, revision * 100).await, vec!["live"]);
        store
            .outbox_delivered(row.id, revision, "m-1", at(revision * 100 + 1))
            .await
            .unwrap();
        assert!(due(&*store, 100_000).await.is_empty());
    }
}

pub async fn only_the_newest_content_is_due(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    for n in 0..5 {
        put(&*store, &saying(&live, &n.to_string())).await;
    }
    let rows = store.outbox_due("console", at(0), 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].revision, 5);
    assert_eq!(
        rows[0].message.variables,
        serde_json::json!({ "says": "4" })
    );
    // While revision 5 was on its way, 6 was written: it is still due.
    put(&*store, &saying(&live, "6")).await;
    store
        .outbox_delivered(rows[0].id, 5, "m-1", at(10))
        .await
        .unwrap();
    let rows = store.outbox_due("console", at(10), 10).await.unwrap();
    assert_eq!((rows[0].revision, rows[0].delivered), (6, 5));
    assert_eq!(rows[0].message_ref.as_deref(), Some("m-1"));
    assert_eq!(rows[0].delivered_at, Some(at(10)));
    store
        .outbox_delivered(rows[0].id, 6, "m-1", at(20))
        .await
        .unwrap();
    assert!(due(&*store, 100_000).await.is_empty());
}

pub async fn a_changing_message_is_not_pushed_back_for_ever(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    for n in 0..5 {
        let not_before = at(1_000 + n * 500);
        put(
            &*store,
            &Message {
                not_before,
                ..saying(&live, &n.to_string())
            },
        )
        .await;
    }
    assert!(due(&*store, 999).await.is_empty());
    assert_eq!(due(&*store, 1_000).await, vec!["live"]);
}

pub async fn a_failure_waits_and_new_content_starts_anew(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    let row = put(&*store, &live).await;
    store
        .outbox_failed(row.id, 1, "429", at(2_000), false)
        .await
        .unwrap();
    store
        .outbox_failed(row.id, 1, "500", at(5_000), false)
        .await
        .unwrap();
    let failed = store.outbox_by_identity("live").await.unwrap().unwrap();
    assert_eq!((failed.attempts, failed.next_at), (2, at(5_000)));
    assert_eq!(failed.last_error.as_deref(), Some("500"));
    assert!(due(&*store, 4_999).await.is_empty());
    assert_eq!(due(&*store, 5_000).await, vec!["live"]);
    let anew = put(
        &*store,
        &Message {
            not_before: at(3_000),
            ..saying(&live, "new")
        },
    )
    .await;
    assert_eq!(
        (anew.attempts, anew.next_at, anew.last_error),
        (0, at(3_000), None)
    );
    store
        .outbox_failed(row.id, 2, "500", at(6_000), false)
        .await
        .unwrap();
    store
        .outbox_delivered(row.id, 2, "m-1", at(6_001))
        .await
        .unwrap();
    let sent = store.outbox_by_identity("live").await.unwrap().unwrap();
    assert_eq!((sent.attempts, sent.last_error), (0, None));
}

pub async fn what_was_given_up_is_not_due_until_it_says_something_new(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    let row = put(&*store, &live).await;
    store
        .outbox_failed(row.id, 1, "no such channel", at(10), true)
        .await
        .unwrap();
    assert!(
        store
            .outbox_by_identity("live")
            .await
            .unwrap()
            .unwrap()
            .abandoned
    );
    assert!(due(&*store, 100_000).await.is_empty());
    put(&*store, &live).await;
    assert!(due(&*store, 100_000).await.is_empty());
    let anew = put(
        &*store,
        &Message {
            not_before: at(20),
            ..saying(&live, "the end")
        },
    )
    .await;
    assert!(!anew.abandoned);
    assert_eq!(due(&*store, 20).await, vec!["live"]);
}

pub async fn urgent_messages_come_first_and_none_before_its_time(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let digest = plan("trade").digest();
    let all = [
        message(id, "detail", About::Detail),
        message(id, "live", About::Live),
        message(id, "announcement", About::Announcement),
        message(id, "notice", About::Notice),
        message(
            id,
            "question",
            About::Question {
                question: "RB-1/run/0.1".into(),
            },
        ),
        message(id, "approval", About::Approval { digest }),
        Message {
            not_before: at(500),
            ..message(id, "later", About::Notice)
        },
        message(id, "detail-2", About::Detail),
    ];
    for message in &all {
        assert_eq!(put(&*store, message).await.message, *message);
    }
    let now = [
        "question",
        "approval",
        "notice",
        "announcement",
        "live",
        "detail",
        "detail-2",
    ];
    assert_eq!(due(&*store, 499).await, now);
    assert_eq!(due(&*store, 500).await[3], "later");
    let first = store.outbox_due("console", at(499), 2).await.unwrap();
    assert_eq!(first.len(), 2);
    assert_eq!(first[0].message.identity, "question");
    assert!(
        store
            .outbox_due("console", at(-1), 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        store
            .outbox_due("console", at(499), 0)
            .await
            .unwrap()
            .is_empty()
    );
}

pub async fn a_message_is_found_by_its_id_on_the_platform(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let row = put(&*store, &message(id, "live", About::Live)).await;
    let find = async |platform, channel, message_ref| {
        let row = store
            .outbox_by_message(platform, channel, message_ref)
            .await
            .unwrap();
        row.map(|row| row.id)
    };
    assert_eq!(find("console", "ops", "m-1").await, None);
    store
        .outbox_delivered(row.id, 1, "m-1", at(10))
        .await
        .unwrap();
    assert_eq!(find("console", "ops", "m-1").await, Some(row.id));
    assert_eq!(find("slack", "ops", "m-1").await, None);
    assert_eq!(find("console", "users", "m-1").await, None);
    assert_eq!(find("console", "ops", "m-2").await, None);
}

pub async fn a_late_report_of_delivery_takes_nothing_back(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    put(&*store, &live).await;
    let row = put(&*store, &saying(&live, "new")).await;
    store
        .outbox_delivered(row.id, 2, "m-1", at(10))
        .await
        .unwrap();
    store
        .outbox_delivered(row.id, 1, "m-1", at(11))
        .await
        .unwrap();
    assert_eq!(
        store
            .outbox_by_identity("live")
            .await
            .unwrap()
            .unwrap()
            .delivered,
        2
    );
    assert!(due(&*store, 100_000).await.is_empty());
}

pub async fn reports_on_unknown_messages_are_refused(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let row = put(&*store, &message(id, "live", About::Live)).await;
    let refused = |result: Result<(), StoreError>| {
        assert!(
            matches!(result, Err(StoreError::NotFound { .. })),
            "{result:?}"
        );
    };
    refused(store.outbox_delivered(row.id + 1, 1, "m", at(1)).await);
    refused(store.outbox_delivered(row.id, 2, "m", at(1)).await);
    refused(store.outbox_failed(row.id + 1, 1, "x", at(1), false).await);
    assert_eq!(store.outbox_by_identity("nobody").await.unwrap(), None);
    assert_eq!(store.outbox_by_identity("live").await.unwrap(), Some(row));
}

pub async fn messages_of_an_operation_are_listed_in_order(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let other = request(&*store, "data", "b").await;
    for (operation, identity) in [(id, "one"), (other, "else"), (id, "two"), (id, "three")] {
        put(&*store, &message(operation, identity, About::Detail)).await;
    }
    put(&*store, &saying(&message(id, "one", About::Detail), "new")).await;
    let rows = store.outbox_of(id).await.unwrap();
    let identities: Vec<_> = rows
        .iter()
        .map(|row| row.message.identity.as_str())
        .collect();
    assert_eq!(identities, vec!["one", "two", "three"]);
}

pub async fn a_refusal_concerns_only_the_content_that_was_refused(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let live = message(id, "live", About::Live);
    let row = put(&*store, &live).await;
    // Shorter words were written while the long ones were being refused.
    put(&*store, &saying(&live, "shorter")).await;
    store
        .outbox_failed(row.id, 1, "too long", at(9_000), true)
        .await
        .unwrap();
    let newer = store.outbox_by_identity("live").await.unwrap().unwrap();
    assert!(!newer.abandoned);
    assert_eq!((newer.attempts, newer.last_error), (0, None));
    assert_eq!(due(&*store, 0).await, vec!["live"]);
    let unknown = store
        .outbox_failed(row.id, 3, "from the future", at(1), false)
        .await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound { .. })),
        "{unknown:?}"
    );
}

pub async fn each_platform_has_its_own_queue(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    assert!(store.outbox_platforms().await.unwrap().is_empty());
    let here = message(id, "here", About::Live);
    let mut there = message(id, "there", About::Live);
    there.destination.platform = "slack".into();
    put(&*store, &here).await;
    let row = put(&*store, &there).await;
    assert_eq!(due(&*store, 0).await, vec!["here"]);
    let rows = store.outbox_due("slack", at(0), 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].message, there);
    let mut platforms = store.outbox_platforms().await.unwrap();
    platforms.sort();
    assert_eq!(platforms, ["console", "slack"]);
    store
        .outbox_delivered(row.id, 1, "m-1", at(10))
        .await
        .unwrap();
    assert_eq!(store.outbox_platforms().await.unwrap(), ["console"]);
}
