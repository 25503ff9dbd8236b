//! What did not fit into a message: more messages in its thread, or a file there.

use rollbot_chat::{Outgoing, SendError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Slack;
use crate::message::Page;
use crate::pace::Urgency;
use crate::platform::At;
use crate::web::{Call, Token};

#[derive(Deserialize)]
struct Place {
    upload_url: String,
    file_id: String,
}

impl Slack {
    /// Writes it, or makes what is there already say it. What fails is only logged: the message
    /// itself is there and says that something is missing, and sending it again would double it.
    pub(crate) async fn overflow(
        &self,
        at: At<'_>,
        message: &Outgoing,
        more: &[Page],
        file: Option<&str>,
        is_new: bool,
    ) {
        let done = match file {
            // A file cannot be edited; what it says of an older state stays as it was.
            Some(text) if is_new => self.upload(at, message, text).await,
            Some(_) => Ok(()),
            None => self.continue_in_thread(at, message, more, is_new).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, identity = message.identity, "the rest of a long message did not arrive");
        }
    }

    async fn continue_in_thread(
        &self,
        at: At<'_>,
        message: &Outgoing,
        more: &[Page],
        is_new: bool,
    ) -> Result<(), SendError> {
        // A reply cannot have replies: what continues it goes into the same thread.
        let thread = message.thread_of.as_deref().unwrap_or(at.ts);
        for (index, page) in more.iter().enumerate() {
            let identity = format!("{}#{}", message.identity, index + 2);
            let there = if is_new {
                None
            } else {
                self.find_in_thread(at.channel, thread, &identity).await?
            };
            let known = (identity.as_str(), message.kind.as_str());
            match there {
                Some(ts) => {
                    let at = At {
                        channel: at.channel,
                        ts: &ts,
                    };
                    self.edit_page(at, page.clone(), known, Urgency::Low)
                        .await?;
                }
                None => {
                    self.post_page(
                        at.channel,
                        Some(thread),
                        page.clone(),
                        Some(known),
                        Urgency::Normal,
                    )
                    .await?;
                }
            }
        }
        Ok(())
    }

    /// Uploads the whole text and shares it in the message's thread.
    async fn upload(&self, at: At<'_>, message: &Outgoing, text: &str) -> Result<(), SendError> {
        let call = |method| Call::new(method, at.channel, Urgency::Normal);
        let arguments = [
            ("filename", Some("message.txt".to_owned())),
            ("length", Some(text.len().to_string())),
        ];
        let place: Place = self
            .web
            .get(call("files.getUploadURLExternal"), &arguments)
            .await?;
        let url = url::Url::parse(&place.upload_url).map_err(|_| {
            SendError::Refused("Slack's address for the upload is no address".to_owned())
        })?;
        self.web.upload(url, text.as_bytes()).await?;
        let thread = message.thread_of.as_deref().unwrap_or(at.ts);
        let request = json!({
            "files": [{"id": place.file_id, "title": "The whole message"}],
            "channel_id": at.channel, "thread_ts": thread,
        });
        let complete = call("files.completeUploadExternal");
        let _: Value = self.web.post(Token::Bot, complete, &request).await?;
        Ok(())
    }
}
