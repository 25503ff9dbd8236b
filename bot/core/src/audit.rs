//! The audit log: append-only, and a hash chain for each operation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, OperationId};
use crate::plan::canonical_json;

/// What happened, before the store gives it a place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// `ana`, or `rollbot` itself, or the plugin: `plugin:trade`.
    pub actor: String,
    /// One word or two with a hyphen: `requested`, `vote`, `state`, `effect-begun`.
    pub kind: String,
    /// One sentence for people.
    pub text: String,
    /// The facts behind it, for programs.
    pub facts: serde_json::Value,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    pub operation: OperationId,
    /// Counts from 1 within the operation, without gaps.
    pub seq: i64,
    pub entry: AuditEntry,
    /// Hash of the row before; of the operation's name for the first.
    pub previous: Digest,
    pub hash: Digest,
}

/// What the first row of an operation's chain hangs on.
pub fn root(operation: OperationId) -> Digest {
    Digest::of(format!("rollbot audit {operation}").as_bytes())
}

/// The hash of a row with this content after `previous`.
pub fn hash(operation: OperationId, seq: i64, entry: &AuditEntry, previous: &Digest) -> Digest {
    let content = serde_json::json!({
        "operation": operation,
        "seq": seq,
        "at": entry.at.as_millisecond(),
        "actor": entry.actor,
        "kind": entry.kind,
        "text": entry.text,
        "facts": entry.facts,
        "previous": previous,
    });
    Digest::of(canonical_json(&content).as_bytes())
}

/// The row that follows `last`.
pub fn link(operation: OperationId, last: Option<&AuditRow>, entry: AuditEntry) -> AuditRow {
    let (seq, previous) = match last {
        Some(row) => (row.seq + 1, row.hash.clone()),
        None => (1, root(operation)),
    };
    let hash = hash(operation, seq, &entry, &previous);
    AuditRow {
        operation,
        seq,
        entry,
        previous,
        hash,
    }
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("{operation}: row {expected} is missing, {found} follows")]
    Missing {
        operation: OperationId,
        expected: i64,
        found: i64,
    },
    #[error("{operation}: row {seq} was changed after it was written")]
    Changed { operation: OperationId, seq: i64 },
    #[error("{operation}: row {seq} does not follow the row before it")]
    Unlinked { operation: OperationId, seq: i64 },
    #[error("{operation}: has no row at all, though the operation exists")]
    Empty { operation: OperationId },
}

/// Checks a whole chain, in order. A cut tail shows only against an anchor kept elsewhere.
pub fn verify(operation: OperationId, rows: &[AuditRow]) -> Vec<Broken> {
    let mut broken = Vec::new();
    if rows.is_empty() {
        return vec![Broken::Empty { operation }];
    }
    let mut previous = root(operation);
    let mut expected = 1;
    for row in rows {
        if row.seq != expected {
            broken.push(Broken::Missing {
                operation,
                expected,
                found: row.seq,
            });
        } else if row.previous != previous {
            broken.push(Broken::Unlinked {
                operation,
                seq: row.seq,
            });
        }
        if hash(operation, row.seq, &row.entry, &row.previous) != row.hash {
            broken.push(Broken::Changed {
                operation,
                seq: row.seq,
            });
        }
        previous = row.hash.clone();
        expected = row.seq + 1;
    }
    broken
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chain() -> (OperationId, Vec<AuditRow>) {
        let operation = OperationId::new(7).unwrap();
        let mut rows: Vec<AuditRow> = Vec::new();
        for number in 0..4 {
            let entry = AuditEntry {
                at: Timestamp::from_second(number).unwrap(),
                actor: "ana".into(),
                kind: "vote".into(),
                text: format!("entry {number}"),
                facts: serde_json::json!({ "b": number, "a": [1, 2] }),
            };
            let row = link(operation, rows.last(), entry);
            rows.push(row);
        }
        (operation, rows)
    }

    #[test]
    fn an_untouched_chain_holds() {
        let (operation, rows) = chain();
        assert_eq!(verify(operation, &rows), vec![]);
    }

    #[test]
    fn a_changed_row_is_found() {
        let (operation, mut rows) = chain();
        rows[2].entry.actor = "ben".into();
        assert_eq!(
            verify(operation, &rows),
            vec![Broken::Changed { operation, seq: 3 }]
        );
    }

    #[test]
    fn a_changed_row_with_a_fitting_hash_breaks_the_next() {
        let (operation, mut rows) = chain();
        rows[1].entry.text = "nothing".into();
        rows[1].hash = hash(operation, 2, &rows[1].entry, &rows[1].previous);
        assert_eq!(
            verify(operation, &rows),
            vec![Broken::Unlinked { operation, seq: 3 }]
        );
    }

    #[test]
    fn a_missing_row_is_found() {
        let (operation, mut rows) = chain();
        rows.remove(1);
        assert_eq!(
            verify(operation, &rows),
            vec![Broken::Missing {
                operation,
                expected: 2,
                found: 3
            }]
        );
    }
}
