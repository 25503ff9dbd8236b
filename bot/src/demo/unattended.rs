//! The demo without a hand: three people at the console, played through its own HTTP API.
//!
//! It looks at what is and does what comes next, so that a demo which was killed goes on when it is
//! started again: each act has a fixed id, and doing it twice is doing it once.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rollbot_core::OperationId;
use rollbot_core::operation::{Operation, State};
use rollbot_core::outbox::About;
use rollbot_core::store::{OperationFilter, Store};
use serde_json::json;

/// Who acts, by their keys in people.toml.
pub const REQUESTER: &str = "ana";
pub const APPROVERS: [&str; 2] = ["ben", "cleo"];

/// Longer than this, and something hangs that should have paused.
const PATIENCE: Duration = Duration::from_secs(300);

/// The people, at a console of this address.
pub struct Cast {
    http: reqwest::Client,
    base: String,
    channel: String,
}

impl Cast {
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(base: String, channel: &str) -> anyhow::Result<Self> {
        // Refused when there is one already, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(15))
            .build()?;
        Ok(Self {
            http,
            base,
            channel: channel.to_owned(),
        })
    }

    /// Plays until the operation has ended.
    ///
    /// # Errors
    /// It paused, which nobody is there to answer; or it took too long.
    pub async fn play(
        &self,
        store: &dyn Store,
        tell: impl Fn(&Operation),
    ) -> anyhow::Result<Operation> {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            let operation = newest(store).await?;
            if let Some(operation) = &operation
                && last != Some(operation.state)
            {
                tell(operation);
                last = Some(operation.state);
            }
            match operation {
                None => {
                    let body = json!({
                        "channel": self.channel,
                        "text": "/rollback trade reason: orders failing",
                        "client_id": "unattended-request",
                    });
                    self.act(REQUESTER, "/api/messages", &body).await?;
                }
                Some(operation) if operation.state.is_final() => return Ok(operation),
                Some(operation) if operation.state == State::AwaitingApproval => {
                    self.vote(store, &operation).await?;
                }
                Some(operation) if operation.state == State::Paused => {
                    // A question that was answered is worked on in a moment; an open one stays.
                    let open = store
                        .questions(operation.id)
                        .await?
                        .into_iter()
                        .find(|question| question.answer.is_none());
                    if let Some(question) = open {
                        bail!(
                            "{} is paused, and nobody is here to answer: {} {}",
                            operation.id,
                            question.text,
                            question.details.join(" · ")
                        );
                    }
                }
                Some(_) => {}
            }
            if tokio::time::Instant::now() >= until {
                bail!("the demo has not ended within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Both approvers put ✅ under the newest request for votes, once it is there.
    async fn vote(&self, store: &dyn Store, operation: &Operation) -> anyhow::Result<()> {
        let rows = store.outbox_of(operation.id).await?;
        let message = rows.iter().find_map(|row| match &row.message.about {
            About::Approval { digest } if Some(digest) == operation.digest.as_ref() => {
                Some((row.message_ref.clone()?, digest.short().to_owned()))
            }
            _ => None,
        });
        let Some((message, digest)) = message else {
            return Ok(());
        };
        for person in APPROVERS {
            let body = json!({
                "emoji": "white_check_mark",
                "on": true,
                "client_id": format!("unattended-{person}-{digest}"),
            });
            self.act(person, &format!("/api/messages/{message}/reactions"), &body)
                .await?;
        }
        Ok(())
    }

    async fn act(&self, person: &str, path: &str, body: &serde_json::Value) -> anyhow::Result<()> {
        let response = self
            .http
            .post(format!("{}{path}", self.base))
            .header("rollbot-act-as", person)
            .header("origin", &self.base)
            .json(body)
            .send()
            .await
            .with_context(|| format!("{person} cannot reach the console"))?;
        let status = response.status();
        if !status.is_success() {
            bail!(
                "the console refuses {person}: {status}: {}",
                response.text().await?
            );
        }
        Ok(())
    }
}

async fn newest(store: &dyn Store) -> anyhow::Result<Option<Operation>> {
    let filter = OperationFilter {
        service: Some("trade".to_owned()),
        states: Vec::new(),
        limit: 1,
    };
    Ok(store.operations(filter).await?.into_iter().next())
}

/// What `--json` prints.
///
/// # Errors
/// The store did not answer.
pub async fn report(
    store: &dyn Store,
    id: OperationId,
    engine: &str,
) -> anyhow::Result<serde_json::Value> {
    use rollbot_core::operation::ApprovedBy;
    let operation = store
        .operation(id)
        .await?
        .context("the operation is gone")?;
    let people = match &operation.approved_by {
        Some(ApprovedBy::People { people }) => people.clone(),
        Some(ApprovedBy::BreakGlass { person, .. }) => vec![person.clone()],
        None => Vec::new(),
    };
    let steps: Vec<_> = store
        .steps(id)
        .await?
        .into_iter()
        .map(|step| {
            json!({
                "name": step.name,
                "state": step.state,
                "started_at": step.started_at,
                "ms": step.took(),
            })
        })
        .collect();
    let targets: Vec<_> = operation
        .observed
        .iter()
        .map(|seen| json!({ "name": seen.name, "wanted": seen.wanted, "observed": seen.observed }))
        .collect();
    let notifications: Vec<_> = store
        .outbox_of(id)
        .await?
        .into_iter()
        .map(|row| {
            json!({
                "identity": row.message.identity,
                "about": row.message.about.as_str(),
                "channel": row.message.destination.channel,
                "template": row.message.template,
                "delivered": row.delivered == row.revision,
            })
        })
        .collect();
    Ok(json!({
        "operation": operation.id,
        "state": operation.state,
        "plan_digest": operation.digest,
        "approvals": people,
        "steps": steps,
        "targets": targets,
        "notifications": notifications,
        "engine": engine,
    }))
}
