//! Somebody at the console, through its HTTP API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::eventually;

/// One person at the console.
#[derive(Debug, Clone)]
pub struct Visitor {
    base: String,
    /// The header with which the console is told who it is.
    claim: (&'static str, String),
    http: reqwest::Client,
}

/// With which a visitor of a demo picks a person.
pub const ACT_AS: &str = "rollbot-act-as";

/// A message as the console shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Message {
    pub id: i64,
    pub channel: String,
    pub thread_of: Option<i64>,
    pub author: Option<Author>,
    pub private: bool,
    pub kind: String,
    pub html: String,
    pub text: String,
    pub buttons: Vec<Button>,
    pub reactions: Vec<Reaction>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Author {
    pub id: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Button {
    pub key: String,
    pub label: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Reaction {
    pub emoji: String,
    pub people: Vec<Author>,
}

/// How long anything in a demo may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

impl Visitor {
    /// Somebody in a demo. `base`: `http://127.0.0.1:8700`
    ///
    /// # Errors
    /// No client can be made.
    pub fn new(base: &str, person: &str) -> anyhow::Result<Self> {
        Self::claiming(base, ACT_AS, person)
    }

    /// Somebody whom this header identifies: a session's cookie, or what a proxy says.
    ///
    /// # Errors
    /// No client can be made.
    pub fn claiming(base: &str, header: &'static str, value: &str) -> anyhow::Result<Self> {
        let http = client(Duration::from_secs(15))?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            claim: (header, value.to_owned()),
            http,
        })
    }

    /// The same demo, as somebody else.
    #[must_use]
    pub fn acting_as(&self, person: &str) -> Self {
        Self {
            claim: (ACT_AS, person.to_owned()),
            ..self.clone()
        }
    }

    /// # Errors
    /// The console refuses, or does not answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .header(self.claim.0, &self.claim.1);
        answered(request.send().await?, path).await
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(format!("{}{path}", self.base))
            .header(self.claim.0, &self.claim.1)
            .header("origin", &self.base)
            .json(body);
        answered(request.send().await?, path).await
    }

    /// Types a line into a channel. Returns what it is answered, if it is.
    ///
    /// # Errors
    /// The console refuses, or does not answer.
    pub async fn types(&self, channel: &str, text: &str) -> anyhow::Result<Option<Message>> {
        let body = json!({ "channel": channel, "text": text, "client_id": client_id() });
        let answer = self.post("/api/messages", &body).await?;
        Ok(serde_json::from_value(
            answer.get("answer").cloned().unwrap_or_default(),
        )?)
    }

    /// Puts a reaction on, or takes it off. Returns what it is answered, if it is.
    ///
    /// # Errors
    /// The console refuses, or does not answer.
    pub async fn reacts(
        &self,
        message: i64,
        emoji: &str,
        on: bool,
    ) -> anyhow::Result<Option<Message>> {
        let body = json!({ "emoji": emoji, "on": on, "client_id": client_id() });
        let answer = self
            .post(&format!("/api/messages/{message}/reactions"), &body)
            .await?;
        Ok(serde_json::from_value(
            answer.get("answer").cloned().unwrap_or_default(),
        )?)
    }

    /// Presses a button.
    ///
    /// # Errors
    /// The console refuses, or does not answer.
    pub async fn presses(&self, message: i64, key: &str) -> anyhow::Result<Option<Message>> {
        let body = json!({ "client_id": client_id() });
        let path = format!("/api/messages/{message}/buttons/{key}");
        let answer = self.post(&path, &body).await?;
        Ok(serde_json::from_value(
            answer.get("answer").cloned().unwrap_or_default(),
        )?)
    }

    /// All messages this person sees.
    ///
    /// # Errors
    /// The console refuses, or does not answer.
    pub async fn sees(&self) -> anyhow::Result<Vec<Message>> {
        let answer = self.get("/api/messages").await?;
        let messages = answer
            .get("messages")
            .cloned()
            .context("no messages in the answer")?;
        Ok(serde_json::from_value(messages)?)
    }

    /// Waits for a message of this kind that contains all of these.
    ///
    /// # Errors
    /// None came.
    pub async fn awaits(&self, kind: &str, containing: &[&str]) -> anyhow::Result<Message> {
        let what = format!("a message `{kind}` with {containing:?}");
        let found = eventually(&what, PATIENCE, || async {
            let messages = self.sees().await?;
            Ok(messages.into_iter().rev().find(|message| {
                message.kind == kind && containing.iter().all(|part| message.text.contains(part))
            }))
        })
        .await;
        match found {
            Ok(message) => Ok(message),
            Err(error) => {
                let seen: Vec<_> = self
                    .sees()
                    .await
                    .unwrap_or_default()
                    .into_iter()
                    .map(|message| format!("[{}] {}", message.kind, message.text))
                    .collect();
                bail!("{error:#}; seen:\n{}", seen.join("\n---\n"))
            }
        }
    }
}

/// An HTTP client for addresses of this machine.
///
/// # Errors
/// None can be made.
pub fn client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    // Refused when there is one already, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(timeout)
        .build()?)
}

async fn answered(response: reqwest::Response, path: &str) -> anyhow::Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{path}: {status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
}

/// Makes each act an act of its own.
pub fn client_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{number:06}", std::process::id())
}
