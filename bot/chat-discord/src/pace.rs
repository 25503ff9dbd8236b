//! What Discord has said about its rate limits, so that no request is sent which it would refuse.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serenity::http::{LightMethod, Route};
use tokio::time::Instant;

use crate::rest::Urgency;

/// As many buckets are remembered; those that have reset are forgotten first.
const MOST: usize = 1_024;

/// The method and the path: finer than Discord's buckets, never coarser.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    path: String,
    own_token: bool,
}

impl Key {
    pub fn of(route: &Route<'_>, method: LightMethod) -> Self {
        let path = route.path().to_string();
        let below = path.split("/api/v10/").nth(1).unwrap_or(&path);
        let parts: Vec<&str> = below.split('/').collect();
        let first = parts.first().copied().unwrap_or_default();
        // Ids behind the first one share a bucket; a reaction's emoji does as well.
        let shared = parts.iter().enumerate().map(|(index, part)| {
            let id = part.bytes().all(|b| b.is_ascii_digit());
            if index > 1 && (id || part.contains('%') || !part.is_ascii()) {
                "*"
            } else {
                part
            }
        });
        let shared: Vec<&str> = shared.collect();
        Self {
            path: format!("{method:?} {}", shared.join("/")),
            own_token: matches!(first, "webhooks" | "interactions"),
        }
    }

    /// Whether the path carries a token in place of the bot's.
    pub fn has_own_token(&self) -> bool {
        self.own_token
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    remaining: u32,
    resets: Instant,
}

#[derive(Debug, Default)]
struct Known {
    buckets: HashMap<Key, Bucket>,
    all_until: Option<Instant>,
}

#[derive(Debug, Default)]
pub(crate) struct Pace {
    known: Mutex<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Go,
    Wait(Duration),
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request may be sent now; if so, it is counted.
    pub fn ask(&self, key: &Key, urgency: Urgency) -> Verdict {
        let now = Instant::now();
        let mut known = self.lock();
        if let Some(until) = known.all_until.filter(|until| *until > now)
            && !key.own_token
        {
            return Verdict::Wait(until - now);
        }
        let Some(bucket) = known.buckets.get_mut(key) else {
            return Verdict::Go;
        };
        if bucket.resets <= now {
            known.buckets.remove(key);
            return Verdict::Go;
        }
        // What can wait leaves the last one to what cannot.
        let kept = match urgency {
            Urgency::First => 0,
            Urgency::CanWait => 1,
        };
        if bucket.remaining <= kept {
            return Verdict::Wait(bucket.resets - now);
        }
        bucket.remaining -= 1;
        Verdict::Go
    }

    /// What the headers of an answer say.
    pub fn told(&self, key: &Key, remaining: u32, reset_after: Duration) {
        let now = Instant::now();
        let mut known = self.lock();
        if known.buckets.len() >= MOST {
            known.buckets.retain(|_, bucket| bucket.resets > now);
        }
        if known.buckets.len() >= MOST && !known.buckets.contains_key(key) {
            return;
        }
        let resets = now + reset_after;
        let bucket = known
            .buckets
            .entry(key.clone())
            .or_insert(Bucket { remaining, resets });
        // Answers overtake each other: the smaller number is the newer one within a window.
        if resets > bucket.resets + Duration::from_millis(100) {
            *bucket = Bucket { remaining, resets };
        } else {
            bucket.remaining = bucket.remaining.min(remaining);
        }
    }

    pub fn limited(&self, key: &Key, after: Duration, global: bool) {
        let until = Instant::now() + after;
        if global {
            self.lock().all_until = Some(until);
            return;
        }
        let bucket = Bucket {
            remaining: 0,
            resets: until,
        };
        self.lock().buckets.insert(key.clone(), bucket);
    }
}

#[cfg(test)]
mod tests {
    use serenity::model::id::{ChannelId, MessageId};

    use super::*;

    fn message(channel: u64, message: u64) -> Key {
        let route = Route::ChannelMessage {
            channel_id: ChannelId::new(channel),
            message_id: MessageId::new(message),
        };
        Key::of(&route, LightMethod::Patch)
    }

    #[test]
    fn messages_of_a_channel_share_a_bucket_and_channels_do_not() {
        assert_eq!(message(1, 2), message(1, 3));
        assert_ne!(message(1, 2), message(2, 2));
    }

    #[tokio::test]
    async fn what_can_wait_leaves_the_last_one() {
        let pace = Pace::default();
        let waits = |urgency| matches!(pace.ask(&message(1, 1), urgency), Verdict::Wait(_));
        pace.told(&message(1, 1), 2, Duration::from_millis(200));
        assert!(!waits(Urgency::CanWait));
        assert!(waits(Urgency::CanWait));
        assert!(!waits(Urgency::First));
        assert!(waits(Urgency::First));
        tokio::time::sleep(Duration::from_millis(210)).await;
        assert!(!waits(Urgency::CanWait));
    }

    #[tokio::test]
    async fn a_global_limit_holds_for_everything() {
        let pace = Pace::default();
        pace.limited(&message(1, 1), Duration::from_secs(2), true);
        assert_ne!(pace.ask(&message(7, 1), Urgency::First), Verdict::Go);
    }
}
