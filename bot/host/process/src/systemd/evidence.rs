//! Why a unit is not as wanted: systemd's properties, and the last lines of its log.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

use super::bus::Observation;
use crate::log_tail;

/// The end of a sentence. Never fails: evidence that cannot be had is left out.
pub(super) async fn of(
    unit: &str,
    seen: &Observation,
    own_machine: bool,
    deadline: Duration,
) -> String {
    let mut text = String::new();
    if !matches!(seen.result.as_str(), "" | "success") {
        text.push_str(&format!(", result {}", seen.result));
    }
    match (seen.exit_code, seen.exit_status) {
        (1, status) => text.push_str(&format!(", its process exited with status {status}")),
        (2 | 3, signal) => text.push_str(&format!(", its process was ended by signal {signal}")),
        _ => {}
    }
    if own_machine {
        let lines = journal(unit, deadline).await;
        if !lines.is_empty() {
            text.push_str(&log_tail::appended(&lines));
        }
    }
    text
}

/// The journal has no D-Bus interface: its own program reads it, if it is there and lets us.
async fn journal(unit: &str, deadline: Duration) -> Vec<String> {
    let read = Command::new("journalctl")
        .args(["--no-pager", "--quiet", "--output=cat", "--lines=10"])
        .arg(format!("--unit={unit}"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(deadline, read).await {
        Ok(Ok(output)) if output.status.success() => {
            log_tail::last_lines(&String::from_utf8_lossy(&output.stdout))
        }
        _ => Vec::new(),
    }
}
