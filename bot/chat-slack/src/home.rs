//! The app's home: what is running, and what is locked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rollbot_chat::{Dispatch, Overview, OverviewLine};
use serde_json::Value;
use slack_morphism::SlackUserId;
use slack_morphism::api::SlackApiViewsPublishRequest;
use slack_morphism::prelude::*;

use crate::Slack;
use crate::message::{literal, small_print, titled};
use crate::pace::Urgency;
use crate::web::{Call, Token};

/// When each person's home was last drawn.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    drawn: Mutex<HashMap<String, Instant>>,
}

const MOST: usize = 10_000;
/// A home has at most 100 blocks.
const LINES: usize = 40;

impl Homes {
    /// Whether it is time to draw it anew; if so, it counts as drawn.
    fn is_due(&self, user: &str, every: Duration) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.len() >= MOST {
            drawn.retain(|_, at| at.elapsed() < every);
        }
        match drawn.get(user) {
            Some(at) if at.elapsed() < every => false,
            _ => {
                drawn.insert(user.to_owned(), Instant::now());
                true
            }
        }
    }
}

impl Slack {
    /// Draws somebody's home.
    pub(crate) async fn draw_home(&self, dispatch: &dyn Dispatch, user: &str) {
        if !self.homes.is_due(user, self.config.home_every) {
            return;
        }
        let blocks = blocks(&dispatch.overview().await);
        let view = SlackView::Home(SlackHomeView::new(blocks));
        let request = SlackApiViewsPublishRequest::new(SlackUserId(user.to_owned()), view);
        let call = Call::new("views.publish", user, Urgency::Normal);
        if let Err(error) = self.web.post::<_, Value>(Token::Bot, call, &request).await {
            tracing::warn!(%error, "a home could not be shown");
        }
    }
}

fn blocks(overview: &Overview) -> Vec<SlackBlock> {
    let header = |text: &str| SlackBlock::from(SlackHeaderBlock::new(literal(text)));
    let mut out = Vec::new();
    if let Some(trouble) = &overview.trouble {
        out.push(header("rollbot cannot say what is going on"));
        out.push(titled(trouble, "Try again in a moment."));
    } else {
        out.push(header("Running operations"));
        out.extend(list(&overview.operations, "Nothing is running."));
        out.push(SlackDividerBlock::new().into());
        out.push(header("Locked services"));
        out.extend(list(&overview.locks, "No service is locked."));
    }
    let now = jiff::Timestamp::now().strftime("%H:%M:%S");
    out.push(small_print(&format!(
        "As of {now} UTC. To ask for a rollback, type /rollback in a channel or use the shortcut."
    )));
    out
}

fn list(lines: &[OverviewLine], none: &str) -> Vec<SlackBlock> {
    if lines.is_empty() {
        return vec![small_print(none)];
    }
    let shown = lines.iter().take(LINES);
    let mut out: Vec<SlackBlock> = shown.map(|line| titled(&line.title, &line.text)).collect();
    if lines.len() > LINES {
        out.push(small_print(&format!("… and {} more.", lines.len() - LINES)));
    }
    out
}
