//! The audit log: a chain for each operation, without gaps.

use std::sync::Arc;

use rollbot_core::audit::{Broken, root, verify};
use rollbot_core::store::{Batch, Write};

use crate::Backend;
use crate::sample::*;

pub async fn rows_link_to_one_another(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let store = &opened.store;
    let id = request(&**store, "trade", "a").await;
    let other = request(&**store, "data", "b").await;
    assert_eq!(
        verify(id, &store.audit(id).await.unwrap()),
        vec![Broken::Empty { operation: id }]
    );
    for kind in ["requested", "planned", "vote"] {
        store
            .commit(Batch::new().write(audit(id, kind)))
            .await
            .unwrap();
        store
            .commit(Batch::new().write(audit(other, kind)))
            .await
            .unwrap();
    }
    drop(opened);
    let store = backend.open().await.store;
    store
        .commit(Batch::new().write(audit(id, "state")))
        .await
        .unwrap();
    let rows = store.audit(id).await.unwrap();
    assert_eq!(verify(id, &rows), vec![]);
    assert_eq!(rows[0].previous, root(id));
    assert_eq!(
        rows.iter().map(|row| row.seq).collect::<Vec<_>>(),
        vec![1, 2, 3, 4]
    );
    let kinds: Vec<_> = rows.iter().map(|row| row.entry.kind.as_str()).collect();
    assert_eq!(kinds, vec!["requested", "planned", "vote", "state"]);
    assert_eq!(rows[0].entry, audit_entry("requested"));
    assert_eq!(verify(other, &store.audit(other).await.unwrap()), vec![]);
}

pub async fn several_rows_in_one_batch_link_as_well(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let other = request(&*store, "data", "b").await;
    for round in 0..3 {
        let writes = (0..5).flat_map(|n| {
            let kind = format!("entry-{round}-{n}");
            [audit(id, &kind), audit(other, &kind)]
        });
        store.commit(Batch::new().writes(writes)).await.unwrap();
    }
    for operation in [id, other] {
        let rows = store.audit(operation).await.unwrap();
        assert_eq!(rows.len(), 15);
        assert_eq!(verify(operation, &rows), vec![]);
    }
}

pub async fn a_note_changes_nothing_else(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    store
        .commit(Batch::new().writes(one_of_each(id, "trade")))
        .await
        .unwrap();
    let mut expected = everything(&*store, id).await;
    store.note(id, audit_entry("late-vote")).await.unwrap();
    let after = everything(&*store, id).await;
    assert_eq!(after.audit.len(), 3);
    assert_eq!(verify(id, &after.audit), vec![]);
    expected.audit.clone_from(&after.audit);
    assert_eq!(after, expected);
}

pub async fn numbers_and_orders_of_keys_survive_the_chain(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let id = request(&*opened.store, "trade", "a").await;
    for bits in [
        0x3fd5_5555_5555_5555_u64,
        0x3fb9_9999_9999_999a,
        0x0010_0000_0000_0000,
        0x7fef_ffff_ffff_ffff,
        0x4340_0000_0000_0001,
    ] {
        let mut entry = audit_entry("figures");
        entry.text = "odd \u{0} text \u{202E}".into();
        entry.facts = serde_json::json!({
            "z": f64::from_bits(bits), "a": i64::MIN, "m": u64::MAX, "nested": { "y": [1.0, -0.0], "b": "\u{0}" },
        });
        opened
            .store
            .commit(Batch::new().write(Write::Audit {
                operation: id,
                entry,
            }))
            .await
            .unwrap();
    }
    drop(opened);
    let store = backend.open().await.store;
    store.note(id, audit_entry("after")).await.unwrap();
    assert_eq!(verify(id, &store.audit(id).await.unwrap()), vec![]);
}
