//! What each command and each reaction does. One file a command, named alike in the grammar.

pub mod answer;
pub mod cancel;
pub mod history;
pub mod locks;
pub mod rollback;
pub mod status;
pub mod suggest;
pub mod unlock;
pub mod vote;

use rollbot_core::audit::AuditEntry;
use rollbot_core::operation::Operation;
use rollbot_core::store::Write;
use rollbot_core::{OperationId, PersonId};

use crate::dispatch::{Desk, Refused};

impl Desk {
    pub(crate) async fn load(&self, id: OperationId) -> Result<Operation, Refused> {
        self.store.operation(id).await?.ok_or_else(|| {
            Refused::You(format!(
                "There is no operation {id}. `/rollbot history` lists them."
            ))
        })
    }

    pub(crate) fn entry(
        &self,
        actor: &str,
        kind: &str,
        text: impl Into<String>,
        facts: serde_json::Value,
    ) -> AuditEntry {
        AuditEntry {
            at: self.clock.now(),
            actor: actor.to_owned(),
            kind: kind.to_owned(),
            text: text.into(),
            facts,
        }
    }

    pub(crate) fn audit(
        &self,
        operation: OperationId,
        actor: &PersonId,
        kind: &str,
        text: impl Into<String>,
        facts: serde_json::Value,
    ) -> Write {
        Write::Audit {
            operation,
            entry: self.entry(&actor.0, kind, text, facts),
        }
    }
}
