//! Data as such a platform has it: some megabytes, made up but consistent, and the same in every
//! world of the same age.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::error::WorldError;
use crate::layout::Layout;
use crate::services::NAMES;

const SYMBOLS: [(&str, f64); 3] = [
    ("BTC-USD", 96_000.0),
    ("ETH-USD", 3_400.0),
    ("SOL-USD", 180.0),
];
const DAYS: i64 = 14;

/// Fills the directories: the native ones up to now, the containers' up to the cutover.
pub fn fill(layout: &Layout, cutover: Timestamp, now: Timestamp) -> Result<(), WorldError> {
    for directory in [
        layout.backups(),
        layout.compose(),
        layout.shared_data(),
        layout.scripts(),
        layout.logs(),
        layout.run(),
        layout.programs(),
    ] {
        fs::create_dir_all(&directory).map_err(WorldError::file(&directory))?;
    }
    for name in NAMES {
        for (directory, until, deployment) in [
            (layout.native_data(name), now, "native"),
            (layout.container_data(name), cutover, "docker"),
        ] {
            let seed = Seed {
                root: &directory,
                from: now - SignedDuration::from_hours(24 * DAYS),
                until,
                deployment,
            };
            seed.fill(name).map_err(WorldError::file(&directory))?;
        }
    }
    shared(layout, cutover).map_err(WorldError::file(&layout.shared_data()))
}

struct Seed<'a> {
    root: &'a Path,
    from: Timestamp,
    until: Timestamp,
    deployment: &'a str,
}

impl Seed<'_> {
    fn fill(&self, service: &str) -> io::Result<()> {
        fs::create_dir_all(self.root)?;
        match service {
            "auth" => self.auth(),
            "strategy" => self.strategy(),
            "backtest" => self.backtest(),
            "trade" => self.trade(),
            "data" => self.data(),
            _ => self.mcp(),
        }
    }

    /// A file whose last change is at `at`, by way of `write`.
    fn file(
        &self,
        name: &str,
        at: Timestamp,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        put(&self.root.join(name), at, write)
    }

    /// The beginnings of the steps from the first to the last moment.
    fn steps(&self, step: SignedDuration) -> impl Iterator<Item = Timestamp> + use<> {
        let until = self.until;
        std::iter::successors(Some(self.from), move |at| at.checked_add(step).ok())
            .take_while(move |at| *at < until)
    }

    fn days(&self) -> impl Iterator<Item = (String, Timestamp, Timestamp)> + use<> {
        let until = self.until;
        self.steps(SignedDuration::from_hours(24))
            .map(move |begin| {
                let end = (begin + SignedDuration::from_hours(24)).min(until);
                (begin.strftime("%Y-%m-%d").to_string(), begin, end)
            })
    }

    fn auth(&self) -> io::Result<()> {
        self.file("logins.jsonl", self.until, |file| {
            for (number, at) in self.steps(SignedDuration::from_mins(7)).enumerate() {
                let line = json!({ "at": at.to_string(), "user": "demo",
                                   "accepted": number % 23 != 0 });
                writeln!(file, "{line}")?;
            }
            Ok(())
        })?;
        self.file("roles.json", self.from, |file| {
            let roles = json!({ "trader": ["orders:write"], "viewer": ["orders:read"] });
            writeln!(file, "{roles:#}")
        })?;
        // Secrets are not for everybody, and an archive must keep it that way.
        let keys = self.root.join("keys");
        fs::create_dir_all(&keys)?;
        self.file("keys/signing.demo", self.from, |file| {
            writeln!(file, "this is a demonstration: there is no key")
        })?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(keys.join("signing.demo"), fs::Permissions::from_mode(0o600))
    }

    fn strategy(&self) -> io::Result<()> {
        self.file("strategies.json", self.from, |file| {
            let strategies = json!([
                { "name": "sma-cross", "symbol": "BTC-USD", "enabled": true },
                { "name": "mean-reversion", "symbol": "ETH-USD", "enabled": true },
                { "name": "breakout", "symbol": "SOL-USD", "enabled": false },
            ]);
            writeln!(file, "{strategies:#}")
        })?;
        for (day, begin, end) in self.days() {
            self.file(&format!("signals/{day}.csv"), end, |file| {
                writeln!(file, "at,strategy,symbol,signal,strength")?;
                let mut random = Random::new(&day);
                let mut at = begin;
                while at < end {
                    let (symbol, _) = SYMBOLS[random.below(3)];
                    let signal = ["buy", "hold", "sell"][random.below(3)];
                    let strength = random.share();
                    writeln!(file, "{at},sma-cross,{symbol},{signal},{strength:.4}")?;
                    at += SignedDuration::from_mins(5);
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    fn backtest(&self) -> io::Result<()> {
        for (number, (day, _, end)) in self.days().enumerate() {
            let mut random = Random::new(&day);
            self.file(&format!("results/{day}.json"), end, |file| {
                let mut money = 10_000.0;
                let curve: Vec<f64> = (0..2_000)
                    .map(|_| {
                        money *= 1.0 + (random.share() - 0.49) / 200.0;
                        (money * 100.0_f64).round() / 100.0
                    })
                    .collect();
                let result = json!({ "id": format!("history-{number:03}"), "strategy": "sma-cross",
                                     "finished_at": end.to_string(), "equity": curve });
                writeln!(file, "{result}")
            })?;
        }
        fs::create_dir_all(self.root.join("queue"))
    }

    fn trade(&self) -> io::Result<()> {
        let mut random = Random::new("orders");
        self.file("orders.jsonl", self.until, |file| {
            for (number, at) in self.steps(SignedDuration::from_mins(4)).enumerate() {
                let (symbol, base) = SYMBOLS[random.below(3)];
                let price = (base * (0.97 + 0.06 * random.share()) * 100.0).round() / 100.0;
                let side = ["buy", "sell"][random.below(2)];
                let order = json!({
                    "id": format!("paper-{}-{:06}", self.deployment, number + 1),
                    "state": "filled",
                    "symbol": symbol,
                    "side": side,
                    "quantity": ((1 + random.below(50)) as f64) / 1_000.0,
                    "price": price,
                    "filled_at": at.to_string(),
                    "deployment": self.deployment,
                    "origin": "strategy",
                });
                writeln!(file, "{order}")?;
            }
            Ok(())
        })?;
        let mut last = None;
        for (day, begin, end) in self.days() {
            let name = format!("ledger/{day}.csv");
            let mut random = Random::new(&day);
            self.file(&name, end, |file| {
                writeln!(file, "at,account,symbol,change,balance")?;
                let (mut at, mut balance) = (begin, 100_000.0);
                while at < end {
                    let change = (random.share() - 0.5) * 40.0;
                    balance += change;
                    let (symbol, _) = SYMBOLS[random.below(3)];
                    writeln!(file, "{at},paper,{symbol},{change:.2},{balance:.2}")?;
                    at += SignedDuration::from_secs(90);
                }
                Ok(())
            })?;
            last = Some(format!("{day}.csv"));
        }
        if let Some(last) = last {
            let link = self.root.join("ledger/current");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(last, link)?;
        }
        self.file("positions.json", self.until, |file| {
            let positions: Vec<_> = SYMBOLS
                .iter()
                .map(|(symbol, price)| json!({ "symbol": symbol, "quantity": 1.25, "average": price }))
                .collect();
            writeln!(file, "{:#}", json!({ "account": "paper", "positions": positions }))
        })
    }

    fn data(&self) -> io::Result<()> {
        for (symbol, base) in SYMBOLS {
            self.file(&format!("candles/{symbol}-1m.csv"), self.until, |file| {
                writeln!(file, "at,open,high,low,close,volume")?;
                let mut random = Random::new(symbol);
                let mut price = base;
                for at in self.steps(SignedDuration::from_mins(1)) {
                    let open = price;
                    price *= 1.0 + (random.share() - 0.5) / 400.0;
                    let (high, low) = (open.max(price) * 1.0004, open.min(price) * 0.9996);
                    let volume = random.share() * 12.0;
                    writeln!(
                        file,
                        "{},{open:.2},{high:.2},{low:.2},{price:.2},{volume:.4}",
                        at.strftime("%Y-%m-%dT%H:%MZ")
                    )?;
                }
                Ok(())
            })?;
        }
        let begin = self.until - SignedDuration::from_mins(90);
        self.file("series.jsonl", self.until, |file| {
            let mut random = Random::new("series");
            for second in 0..5_400 {
                let at = begin + SignedDuration::from_secs(second);
                let (symbol, base) = SYMBOLS[second.rem_euclid(3) as usize];
                let price = (base * (0.999 + 0.002 * random.share()) * 100.0).round() / 100.0;
                let row = json!({ "symbol": symbol, "price": price, "at": at.to_string(),
                                  "source": self.deployment });
                writeln!(file, "{row}")?;
            }
            Ok(())
        })
    }

    fn mcp(&self) -> io::Result<()> {
        for server in [
            "paper-trading",
            "portfolio-management",
            "reporting",
            "risk-management",
            "strategy-execution",
        ] {
            self.file(&format!("{server}/settings.json"), self.from, |file| {
                let settings = json!({ "server": server, "timeout_seconds": 30, "enabled": true });
                writeln!(file, "{settings:#}")
            })?;
            self.file(&format!("{server}/calls.jsonl"), self.until, |file| {
                let mut random = Random::new(server);
                for at in self.steps(SignedDuration::from_mins(20)) {
                    let took = 5 + random.below(400);
                    let call = json!({ "at": at.to_string(), "tool": server, "ms": took });
                    writeln!(file, "{call}")?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn shared(layout: &Layout, cutover: Timestamp) -> io::Result<()> {
    let directory = layout.shared_data();
    put(&directory.join("users.csv"), cutover, |file| {
        writeln!(file, "id,name,since")?;
        for number in 1..=200 {
            writeln!(
                file,
                "{number},user{number:03},2025-01-{:02}",
                number % 28 + 1
            )?;
        }
        Ok(())
    })?;
    put(&directory.join("README.txt"), cutover, |file| {
        writeln!(
            file,
            "Data that all services share. Everything in this directory is made up."
        )
    })?;
    put(&layout.scripts().join("README.txt"), cutover, |file| {
        writeln!(file, "Scripts of the operators go here.")
    })
}

fn put(
    path: &Path,
    at: Timestamp,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = BufWriter::new(File::create(path)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.set_modified(SystemTime::from(at))
}

/// A small generator with a name for a seed: made-up data need not be unpredictable.
struct Random(u64);

impl Random {
    fn new(name: &str) -> Self {
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, |seed, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: u64) -> usize {
        (self.next() % limit) as usize
    }

    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_native_side_has_data_from_after_the_cutover() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        let now = Timestamp::now();
        let cutover = now - SignedDuration::from_hours(30);
        fill(&layout, cutover, now).unwrap();
        let since: SystemTime = cutover.into();
        for name in NAMES {
            let written = |root: &Path| {
                let (mut later, mut bytes) = (0, 0);
                let mut left = vec![root.to_owned()];
                while let Some(directory) = left.pop() {
                    for entry in fs::read_dir(directory).unwrap() {
                        let entry = entry.unwrap();
                        let metadata = entry.path().symlink_metadata().unwrap();
                        if metadata.is_dir() {
                            left.push(entry.path());
                        } else if metadata.is_file() {
                            bytes += metadata.len();
                            later += usize::from(metadata.modified().unwrap() > since);
                        }
                    }
                }
                (later, bytes)
            };
            let (later, bytes) = written(&layout.native_data(name));
            assert!(
                later > 0 && bytes > 10_000,
                "{name}: {later} files, {bytes} bytes"
            );
            assert_eq!(written(&layout.container_data(name)).0, 0, "{name}");
        }
    }
}
