//! Jobs of `backtest`: a crossing of two moving averages over made-up prices, really computed.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::journal::Journal;
use crate::market::now;
use crate::reply::Reply;
use crate::server::lock;

const QUEUE: usize = 16;
const KEPT: usize = 1_000;

pub struct Backtests {
    queue: SyncSender<Job>,
    state: Arc<Mutex<State>>,
}

struct State {
    journal: Journal,
    jobs: VecDeque<Value>,
    next: u64,
}

struct Job {
    id: String,
    strategy: String,
    symbol: String,
    days: u64,
}

impl State {
    fn put(&mut self, job: Value) {
        if let Some(known) = self.jobs.iter_mut().find(|known| known["id"] == job["id"]) {
            *known = job;
            return;
        }
        if self.jobs.len() == KEPT {
            self.jobs.pop_front();
        }
        self.jobs.push_back(job);
    }
}

impl Backtests {
    pub fn open(data: &Path) -> io::Result<Self> {
        let journal = Journal::open(data.join("jobs.jsonl"))?;
        let mut done = Vec::new();
        journal.replay(|job| done.push(job))?;
        let mut state = State {
            journal,
            jobs: VecDeque::new(),
            next: 1,
        };
        for job in done {
            let number = job["id"]
                .as_str()
                .and_then(|id| id.strip_prefix("job-"))
                .and_then(|number| number.parse::<u64>().ok())
                .unwrap_or(0);
            state.next = state.next.max(number + 1);
            state.put(job);
        }
        let state = Arc::new(Mutex::new(state));
        let (queue, jobs) = sync_channel(QUEUE);
        let worker = Arc::clone(&state);
        std::thread::Builder::new()
            .name("backtests".to_owned())
            .spawn(move || work(&jobs, &worker))?;
        Ok(Self { queue, state })
    }

    /// `{"id","state":"queued"}` with status 202.
    pub fn submit(&self, request: &Value) -> Reply {
        let days = request["days"].as_u64().unwrap_or(30);
        if !(1..=3_650).contains(&days) {
            return Reply::error(400, "days must be a number from 1 to 3650");
        }
        let text = |key: &str, otherwise: &str| {
            request[key]
                .as_str()
                .unwrap_or(otherwise)
                .chars()
                .take(64)
                .collect::<String>()
        };
        let mut state = lock(&self.state);
        let job = Job {
            id: format!("job-{:05}", state.next),
            strategy: text("strategy", "sma-cross"),
            symbol: text("symbol", "BTC-USD"),
            days,
        };
        let queued = json!({ "id": job.id, "state": "queued", "strategy": job.strategy,
                             "symbol": job.symbol, "days": days, "submitted_at": now() });
        // Offered before it is listed, under the lock: the worker waits for the listing.
        if self.queue.try_send(job).is_err() {
            return Reply::error(503, "too many jobs are queued; try again in a second")
                .with("Retry-After", "1");
        }
        state.next += 1;
        state.put(queued.clone());
        Reply::new(202, queued)
    }

    pub fn get(&self, id: &str) -> Reply {
        match lock(&self.state)
            .jobs
            .iter()
            .find(|job| job["id"] == json!(id))
        {
            Some(job) => Reply::ok(job.clone()),
            None => Reply::error(404, format!("there is no job {id:?}")),
        }
    }
}

fn work(jobs: &Receiver<Job>, state: &Mutex<State>) {
    while let Ok(job) = jobs.recv() {
        let result = crossing(&job.symbol, job.days);
        let done = json!({ "id": job.id, "state": "done", "strategy": job.strategy,
                           "symbol": job.symbol, "days": job.days, "finished_at": now(),
                           "result": result });
        let mut state = lock(state);
        if let Err(error) = state.journal.append(&done) {
            crate::log::line(format!("{} could not be written: {error}", job.id));
        }
        state.put(done);
    }
}

/// Buys when the mean of 12 hours rises above that of 48, sells when it falls below.
fn crossing(symbol: &str, days: u64) -> Value {
    let mut seed = symbol
        .bytes()
        .fold(0x9e37_79b9_7f4a_7c15_u64, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mut price = 100.0_f64;
    let prices: Vec<f64> = (0..days * 24)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            price *= 1.0 + ((seed % 2_001) as f64 - 1_000.0) / 100_000.0;
            price
        })
        .collect();
    let mean =
        |end: usize, hours: usize| prices[end - hours..end].iter().sum::<f64>() / hours as f64;
    let (mut money, mut bought, mut trades) = (1.0_f64, None::<f64>, 0_u64);
    let (mut peak, mut fall) = (1.0_f64, 0.0_f64);
    for (hour, &price) in prices.iter().enumerate().skip(48) {
        let rising = mean(hour, 12) > mean(hour, 48);
        match bought {
            None if rising => bought = Some(price),
            Some(paid) if !rising => {
                money *= price / paid;
                trades += 1;
                bought = None;
                peak = peak.max(money);
                fall = fall.max(1.0 - money / peak);
            }
            _ => {}
        }
    }
    let percent = |share: f64| (share * 10_000.0).round() / 100.0;
    json!({ "trades": trades, "return_percent": percent(money - 1.0),
            "max_drawdown_percent": percent(fall) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_job_is_computed_and_kept_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Backtests::open(dir.path()).unwrap();
        let submitted = jobs.submit(&json!({"days": 60}));
        assert_eq!(submitted.status, 202);
        let id = submitted.body["id"].as_str().unwrap().to_owned();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while jobs.get(&id).body["state"] != "done" {
            assert!(std::time::Instant::now() < end, "the job is never done");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let done = jobs.get(&id).body;
        assert!(done["result"]["trades"].as_u64().unwrap() > 0);
        drop(jobs);
        let jobs = Backtests::open(dir.path()).unwrap();
        assert_eq!(jobs.get(&id).body, done);
        assert_ne!(jobs.submit(&json!({})).body["id"], json!(id));
        assert_eq!(jobs.get("job-x").status, 404);
    }
}
