//! The bot is killed around its commits, one at a time, and started again: the end must be that of
//! a run which nobody disturbed.
//!
//! `make test` takes a sample that has every kind of boundary in it, seeded by `ROLLBOT_CRASH_SEED`;
//! `make crash` (`ROLLBOT_CRASH_POINTS=all`) takes every boundary, on either side.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rollbot_tests::crashing::Side;
use rollbot_tests::world::{self, Seen};
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

/// What a run leaves behind, without times, ids and archive names.
#[derive(Debug, Clone, PartialEq)]
struct End {
    state: String,
    approvals: serde_json::Value,
    steps: Vec<String>,
    targets: serde_json::Value,
    /// Templates and channels of what people were told; details of the run are left out, since a
    /// restart adds one.
    told: Vec<String>,
    seen: Seen,
}

/// Runs the unattended demo in this directory; `None` if it killed itself as it was told.
async fn run(directory: &Path, environment: &[(&str, String)]) -> anyhow::Result<Option<End>> {
    let child = Command::new(BINARY)
        .args([
            "demo",
            "--unattended",
            "--json",
            "--keep",
            "--engine",
            "stand-in",
            "--port",
            "0",
        ])
        .arg("--directory")
        .arg(directory)
        .envs(
            environment
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        )
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(180), child)
        .await
        .context("it hangs")??;
    if output.status.success() {
        return Ok(Some(end(directory, &output.stdout)?));
    }
    use std::os::unix::process::ExitStatusExt as _;
    if output.status.signal() == Some(9) {
        return Ok(None);
    }
    let log = std::fs::read_to_string(directory.join("state/rollbot.log")).unwrap_or_default();
    let tail: Vec<_> = log.lines().rev().take(20).collect();
    bail!(
        "ended with {}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    )
}

fn end(directory: &Path, report: &[u8]) -> anyhow::Result<End> {
    let report: serde_json::Value = serde_json::from_slice(report)?;
    let text = |value: &serde_json::Value, key: &str| {
        value
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let list = |key: &str| {
        report
            .get(key)
            .and_then(serde_json::Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let told = list("notifications")
        .iter()
        .filter(|told| text(told, "about") != "detail")
        .map(|told| {
            format!(
                "{} to {}: {}",
                text(told, "template"),
                text(told, "channel"),
                told.get("delivered") == Some(&true.into())
            )
        })
        .collect();
    let port = world::port(directory)?.to_string();
    let targets = report
        .get("targets")
        .cloned()
        .unwrap_or_default()
        .to_string()
        .replace(&port, "PORT");
    let project = world::project(directory)?;
    Ok(End {
        state: text(&report, "state"),
        approvals: report.get("approvals").cloned().unwrap_or_default(),
        steps: list("steps")
            .iter()
            .map(|step| format!("{} {}", text(step, "name"), text(step, "state")))
            .collect(),
        targets: targets.replace(&project, "PROJECT").into(),
        told,
        seen: world::look(directory)?,
    })
}

async fn clean(directory: &Path) -> anyhow::Result<()> {
    Command::new(BINARY)
        .args(["demo", "--clean", "--directory"])
        .arg(directory)
        .output()
        .await?;
    Ok(())
}

/// A world of its own for each run: kill, start again, compare, remove.
async fn crashed_at(number: u64, side: Side, undisturbed: &End) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("rollbot-crash-")
        .tempdir()?;
    let at = format!("{number}:{}", side.name());
    let first = run(directory.path(), &[("ROLLBOT_CRASH_AT", at.clone())]).await;
    let again = match first {
        // Timing decides how many messages are edits of one another: there may be no such commit.
        Ok(Some(end)) => Ok(end),
        Ok(None) => match run(directory.path(), &[]).await {
            Ok(end) => end.context("killed itself without being told to"),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    clean(directory.path()).await?;
    let again = again.with_context(|| format!("killed {at}"))?;
    ensure!(
        again == *undisturbed,
        "killed {at}:\n{again:#?}\nundisturbed:\n{undisturbed:#?}"
    );
    Ok(())
}

/// Small, repeatable, and good enough to pick a sample.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_around_any_commit_it_ends_as_if_undisturbed() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("rollbot-crash-")
        .tempdir()?;
    let count = directory.path().join("commits");
    let undisturbed = run(
        directory.path(),
        &[("ROLLBOT_COUNT_COMMITS", count.display().to_string())],
    )
    .await;
    let commits = std::fs::read_to_string(&count);
    clean(directory.path()).await?;
    let undisturbed = undisturbed?.context("it killed itself without being told to")?;
    assert_eq!(undisturbed.state, "closed");

    // Commits by kind: `intent-process.stop`, `vote`, `delivered`, …
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut all = Vec::new();
    for line in commits?.lines() {
        let (number, kind) = line.split_once(' ').context("a line of commits")?;
        let number = number.parse()?;
        kinds.entry(kind.to_owned()).or_default().push(number);
        all.push(number);
    }
    ensure!(all.len() > 50, "only {} commits were counted", all.len());
    let points: Vec<(u64, Side)> =
        if std::env::var("ROLLBOT_CRASH_POINTS").is_ok_and(|points| points == "all") {
            all.iter()
                .flat_map(|&number| [(number, Side::Before), (number, Side::After)])
                .collect()
        } else {
            let seed = std::env::var("ROLLBOT_CRASH_SEED")
                .ok()
                .and_then(|seed| seed.parse().ok())
                .unwrap_or(1);
            let mut dice = Dice(seed);
            kinds
                .values()
                .filter_map(|numbers| {
                    let number = *numbers.get(dice.next(numbers.len()))?;
                    let side = if dice.next(2) == 0 {
                        Side::Before
                    } else {
                        Side::After
                    };
                    Some((number, side))
                })
                .collect()
        };
    println!(
        "{} commits of {} kinds, {} points",
        all.len(),
        kinds.len(),
        points.len()
    );
    for (index, &(number, side)) in points.iter().enumerate() {
        println!(
            "{} of {}: {} commit {number}",
            index + 1,
            points.len(),
            side.name()
        );
        crashed_at(number, side, &undisturbed).await?;
    }
    Ok(())
}
