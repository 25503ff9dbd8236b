//! Rate limits: a bucket for each method, route and major parameter, as the headers say.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What a bucket allows.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    limit: u32,
    window: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: u32,
    resets: Instant,
}

/// What the headers of an answer say.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub bucket: String,
    pub limit: u32,
    pub remaining: u32,
    pub reset_after: Duration,
    /// Over the limit: the request is refused.
    pub refused: bool,
}

impl Told {
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let reset = (now + self.reset_after).as_secs_f64();
        vec![
            ("x-ratelimit-limit", self.limit.to_string()),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", format!("{reset:.3}")),
            (
                "x-ratelimit-reset-after",
                format!("{:.3}", self.reset_after.as_secs_f64()),
            ),
            ("x-ratelimit-bucket", self.bucket.clone()),
        ]
    }
}

#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: HashMap<String, Bucket>,
    /// By method and template; other routes allow a lot.
    special: HashMap<String, Allowance>,
}

/// `POST /channels/1/messages`: every id but the major one is left out.
pub(super) fn route(method: &str, segments: &[&str]) -> (String, String) {
    let mut template = method.to_owned();
    let mut key = method.to_owned();
    for (index, segment) in segments.iter().enumerate() {
        let is_id = segment.bytes().all(|b| b.is_ascii_digit());
        let major = index == 1 && matches!(segments.first(), Some(&"channels" | &"guilds"))
            || (1..3).contains(&index) && segments.first() == Some(&"webhooks");
        let shown = if is_id { ":id" } else { segment };
        template.push('/');
        template.push_str(if major { ":id" } else { shown });
        key.push('/');
        key.push_str(if major { segment } else { shown });
    }
    (template, key)
}

impl Rates {
    /// `template` as in `POST/channels/:id/messages`.
    pub fn limit(&mut self, template: &str, limit: u32, window: Duration) {
        self.special
            .insert(template.to_owned(), Allowance { limit, window });
    }

    pub fn count(&mut self, template: &str, key: &str) -> Told {
        let allowance = self.special.get(template).copied().unwrap_or(Allowance {
            limit: 100,
            window: Duration::from_secs(1),
        });
        let now = Instant::now();
        let bucket = self.buckets.entry(key.to_owned()).or_insert(Bucket {
            used: 0,
            resets: now + allowance.window,
        });
        if bucket.resets <= now {
            *bucket = Bucket {
                used: 0,
                resets: now + allowance.window,
            };
        }
        let refused = bucket.used >= allowance.limit;
        if !refused {
            bucket.used += 1;
        }
        Told {
            bucket: hex::encode(ring::digest::digest(
                &ring::digest::SHA256,
                template.as_bytes(),
            ))
            .chars()
            .take(20)
            .collect(),
            limit: allowance.limit,
            remaining: allowance.limit - bucket.used,
            reset_after: bucket.resets - now,
            refused,
        }
    }
}
