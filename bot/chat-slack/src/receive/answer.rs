//! What somebody is told, in time or later.

use rollbot_chat::{Answer, SendError};
use rollbot_core::approval::Account;
use serde_json::Value;
use slack_morphism::api::SlackApiPostWebhookMessageRequest;
use slack_morphism::events::SlackCommandEventResponse;
use slack_morphism::{SlackMessageResponseType, SlackResponseUrl};

use super::Desk;
use crate::message::{Page, lay};
use crate::pace::Urgency;

/// How many more messages one answer may be: a response URL can be used five times.
const MOST_PAGES: usize = 4;

/// Who is told, and where.
#[derive(Debug)]
pub(super) struct To {
    pub(super) channel: String,
    pub(super) account: Account,
    /// Takes private answers for half an hour.
    pub(super) url: Option<SlackResponseUrl>,
}

fn pages(answer: &Answer) -> (Page, Vec<Page>) {
    let laid = lay(&answer.body, "answer", &[]);
    (laid.first, laid.more)
}

/// What goes into the acknowledgement of a command, and what has no room in it.
pub(super) fn payload(answer: &Answer) -> (Value, Vec<Page>) {
    let (first, rest) = pages(answer);
    let kind = if answer.private {
        SlackMessageResponseType::Ephemeral
    } else {
        SlackMessageResponseType::InChannel
    };
    let response = SlackCommandEventResponse::new(first.content()).with_response_type(kind);
    (serde_json::to_value(response).unwrap_or(Value::Null), rest)
}

impl Desk {
    /// Tells somebody an answer that could not be given at once.
    pub(super) async fn tell(&self, to: &To, answer: &Answer) {
        let (first, rest) = pages(answer);
        let pages = std::iter::once(first).chain(rest).collect();
        self.tell_rest(to, answer, pages).await;
    }

    pub(super) async fn tell_rest(&self, to: &To, answer: &Answer, rest: Vec<Page>) {
        for page in rest.into_iter().take(MOST_PAGES) {
            let told = if answer.private {
                self.privately(to, page).await
            } else {
                self.slack
                    .post_page(&to.channel, None, page, None, Urgency::High)
                    .await
                    .map(|_| ())
            };
            if let Err(error) = told {
                Self::unheard("an answer", &error);
                return;
            }
        }
    }

    /// Over the response URL while it lasts, and otherwise as a message that only they see.
    async fn privately(&self, to: &To, page: Page) -> Result<(), SendError> {
        if let Some(url) = &to.url {
            let request = SlackApiPostWebhookMessageRequest::new(page.clone().content())
                .with_replace_original(false);
            match self.slack.web.respond(url, &request).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(%error, "the response address is of no use any more"),
            }
        }
        self.slack
            .whisper_page(&to.channel, &to.account, page)
            .await
    }
}
