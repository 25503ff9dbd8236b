//! The price series of `data`: three symbols, a row for each every second.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Deployment;
use crate::journal::Journal;
use crate::reply::Reply;
use crate::server::lock;

pub const SYMBOLS: [&str; 3] = ["BTC-USD", "ETH-USD", "SOL-USD"];
const KEPT: usize = 3_000;
const MOST: usize = 1_000;

pub struct Market {
    deployment: Deployment,
    series: Mutex<Series>,
}

struct Series {
    journal: Journal,
    /// Oldest first.
    rows: VecDeque<Value>,
}

/// RFC 3339, UTC, to the millisecond.
pub fn now() -> String {
    format(Timestamp::now())
}

fn format(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A price that moves with time and is the same for every service that asks at the same second.
/// `None` for a symbol that is not traded.
pub fn reference_price(symbol: &str) -> Option<f64> {
    let (base, phase) = match symbol {
        "BTC-USD" => (96_000.0, 0.0),
        "ETH-USD" => (3_400.0, 1.3),
        "SOL-USD" => (180.0, 2.1),
        _ => return None,
    };
    let seconds = Timestamp::now().as_second() as f64;
    let wave = (seconds / 613.0 + phase).sin() * 0.012 + (seconds / 37.0 + phase).sin() * 0.0018;
    Some(cents(base * (1.0 + wave)))
}

fn cents(price: f64) -> f64 {
    (price * 100.0).round() / 100.0
}

impl Market {
    pub fn open(data: &Path, deployment: Deployment) -> io::Result<Self> {
        let journal = Journal::open(data.join("series.jsonl"))?;
        let mut rows = VecDeque::with_capacity(KEPT);
        journal.replay(|row| {
            if rows.len() == KEPT {
                rows.pop_front();
            }
            rows.push_back(row);
        })?;
        let market = Self {
            deployment,
            series: Mutex::new(Series { journal, rows }),
        };
        // The first answer must already have a fresh row.
        market.write()?;
        Ok(market)
    }

    /// One row for each symbol.
    pub fn write(&self) -> io::Result<()> {
        let mut series = lock(&self.series);
        let at = now();
        for symbol in SYMBOLS {
            let row = json!({
                "symbol": symbol,
                "price": reference_price(symbol),
                "at": at,
                "source": self.deployment.name(),
            });
            series.journal.append(&row)?;
            if series.rows.len() == KEPT {
                series.rows.pop_front();
            }
            series.rows.push_back(row);
        }
        Ok(())
    }

    /// `{"rows":[{"symbol","price","at","source"}],"count"}`, newest first. `stale` makes them look
    /// that much older.
    pub fn latest(&self, limit: Option<&str>, stale: Option<Duration>) -> Reply {
        let limit = match limit.map(str::parse::<usize>) {
            None => 10,
            Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
            Some(_) => {
                return Reply::error(400, format!("limit must be a number from 1 to {MOST}"));
            }
        };
        let series = lock(&self.series);
        let rows: Vec<Value> = series
            .rows
            .iter()
            .rev()
            .take(limit)
            .map(|row| match stale {
                Some(age) => aged(row, age),
                None => row.clone(),
            })
            .collect();
        Reply::ok(json!({
            "count": rows.len(),
            "rows": rows,
            "deployment": self.deployment.name(),
        }))
    }
}

fn aged(row: &Value, age: Duration) -> Value {
    let mut row = row.clone();
    if let Some(at) = row["at"]
        .as_str()
        .and_then(|at| at.parse::<Timestamp>().ok())
        && let Ok(earlier) = at.checked_sub(age)
    {
        row["at"] = json!(format(earlier));
    }
    row
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_fresh_newest_first_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let market = Market::open(dir.path(), Deployment::Native).unwrap();
        market.write().unwrap();
        drop(market);
        let market = Market::open(dir.path(), Deployment::Docker).unwrap();
        let reply = market.latest(Some("1000"), None);
        assert_eq!(reply.body["count"], 9);
        assert_eq!(reply.body["rows"][0]["source"], "docker");
        assert_eq!(reply.body["rows"][8]["source"], "native");
        let at: Timestamp = reply.body["rows"][0]["at"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(Timestamp::now().duration_since(at) < jiff::SignedDuration::from_secs(60));
        assert_eq!(market.latest(Some("none"), None).status, 400);
        assert_eq!(market.latest(None, None).body["count"], 9);
    }

    #[test]
    fn stale_rows_look_as_old_as_they_were_told() {
        let row = json!({"at": "2026-01-02T00:00:00.000Z"});
        assert_eq!(
            aged(&row, Duration::from_secs(86_400))["at"],
            "2026-01-01T00:00:00.000Z"
        );
    }
}
