//! From the request to a plan that people can vote on.

use rollbot_core::approval::{Ballots, tally};
use rollbot_core::operation::{Operation, State};
use rollbot_core::plan::Plan;
use rollbot_core::store::{Batch, Guard, StoreError, Write};

use super::conductor::{Conductor, Inner, Next};
use super::{PlanFailed, ROLLBOT};
use crate::messages::{self, Decided};
use rollbot_config::Service;

impl Conductor {
    /// Has the plan made and asks for votes on it; a dry run ends here.
    pub(super) async fn plan(
        &self,
        operation: Operation,
        entry: &Service,
    ) -> Result<Next, StoreError> {
        let inner = &self.inner;
        let policy = inner.policy(entry);
        let plan = match inner
            .workshop
            .plan(entry, policy, &operation.procedure)
            .await
        {
            Ok(plan) => plan,
            Err(PlanFailed::Store(error)) => return Err(error),
            Err(error) => {
                let why = format!("No plan could be made: {error}");
                inner.end(&operation, State::Failed, &why, ROLLBOT).await?;
                return Ok(Next::Done);
            }
        };
        if operation.dry_run {
            inner.show(&operation, plan).await?;
            return Ok(Next::Done);
        }
        let electorate = policy.electorate(inner.people(), &operation.requester);
        if electorate < policy.required as usize {
            let why = format!(
                "Nobody can approve this: {} approvals are needed, and only {electorate} people may vote when {} asks. Add people to the groups {} in people.toml.",
                policy.required,
                inner.people().name(&operation.requester),
                policy.groups.iter().cloned().collect::<Vec<_>>().join(", "),
            );
            inner.end(&operation, State::Failed, &why, ROLLBOT).await?;
            return Ok(Next::Done);
        }
        inner.ask_for_votes(&operation, entry, plan).await?;
        Ok(Next::Again)
    }
}

impl Inner {
    /// Records the plan and posts the request for votes on it.
    pub async fn ask_for_votes(
        &self,
        operation: &Operation,
        entry: &Service,
        plan: Plan,
    ) -> Result<(), StoreError> {
        let at = self.clock.now();
        let id = operation.id;
        let policy = self.policy(entry);
        let digest = plan.digest();
        let expires_at = policy.expires(at);
        let ballots = Ballots {
            operation: id,
            digest: &digest,
            requester: &operation.requester,
            expires_at,
            votes: &[],
        };
        let tally = tally(policy, self.people(), ballots, at);
        let messages = messages::approval(
            operation,
            &plan,
            &tally,
            policy,
            self.people(),
            &Decided::Open,
            &self.catalogue.operators,
        );
        let text = format!(
            "asks for {} approvals of plan {}",
            policy.required,
            digest.short()
        );
        let facts = serde_json::json!({
            "digest": digest, "expires-at": expires_at, "required": policy.required,
            "component": plan.component, "plugin": plan.plugin,
        });
        let batch = Batch::new()
            .guard(Guard::State {
                operation: id,
                one_of: vec![operation.state],
            })
            .write(Write::State {
                operation: id,
                state: State::AwaitingApproval,
                at,
            })
            .write(Write::Plan {
                operation: id,
                plan: Box::new(plan),
                digest,
                expires_at,
            })
            .write(self.audit(id, ROLLBOT, "planned", text, facts))
            .writes(
                messages
                    .into_iter()
                    .map(|message| Write::Notify(Box::new(message))),
            );
        self.store.commit(batch).await
    }

    /// A dry run: the plan is shown, and that is all.
    async fn show(&self, operation: &Operation, plan: Plan) -> Result<(), StoreError> {
        let at = self.clock.now();
        let id = operation.id;
        let words = messages::plan_words(&plan);
        let digest = plan.digest();
        let messages = self
            .catalogue
            .operators
            .iter()
            .map(|to| rollbot_core::outbox::Message {
                identity: format!("{id}/plan@{}/{}", to.platform, to.channel),
                operation: id,
                about: rollbot_core::outbox::About::Notice,
                destination: to.clone(),
                thread_of: None,
                template: "plan".to_owned(),
                variables: serde_json::to_value(&words).unwrap_or_default(),
                reactions: Vec::new(),
                buttons: Vec::new(),
                not_before: at,
            });
        let ending = "A dry run: the plan was shown, nothing was done.";
        let batch = Batch::new()
            .guard(Guard::State {
                operation: id,
                one_of: vec![State::Requested],
            })
            .write(Write::Plan {
                operation: id,
                plan: Box::new(plan),
                digest: digest.clone(),
                expires_at: at,
            })
            .write(Write::State {
                operation: id,
                state: State::Planned,
                at,
            })
            .write(Write::Ending {
                operation: id,
                ending: ending.to_owned(),
            })
            .write(self.audit(
                id,
                ROLLBOT,
                "planned",
                ending,
                serde_json::json!({ "digest": digest }),
            ))
            .writes(messages.map(|message| Write::Notify(Box::new(message))));
        self.store.commit(batch).await
    }
}
