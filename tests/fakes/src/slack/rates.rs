//! Rate limits: a bucket for each method, and for messages one for each channel.

use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: BTreeMap<String, Bucket>,
}

impl Rates {
    /// Takes one from the bucket, or says how many seconds to wait.
    pub(crate) fn take(&mut self, key: &str, rate: f64, burst: f64) -> Result<(), u64> {
        let now = Instant::now();
        let bucket = self.buckets.entry(key.to_owned()).or_insert(Bucket {
            tokens: burst,
            at: now,
        });
        let since = now.duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * rate).min(burst);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait = ((1.0 - bucket.tokens) / rate).ceil().max(1.0);
        // A wait of more than an hour cannot come of any rate used here.
        Err(if wait < 3_600.0 { wait as u64 } else { 3_600 })
    }
}
