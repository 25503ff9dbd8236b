//! `rollbot demo --unattended`: the whole scenario without a hand, and its exit status.

use anyhow::ensure;
use tokio::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

#[tokio::test(flavor = "multi_thread")]
async fn the_unattended_demo_reports_one_json_object_and_success() -> anyhow::Result<()> {
    for engine in ["docker", "stand-in"] {
        let run = Command::new(BINARY)
            .args(["demo", "--unattended", "--json", "--engine", engine])
            .kill_on_drop(true)
            .output()
            .await?;
        let errors = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "{engine}: {errors}");
        let report: serde_json::Value = serde_json::from_slice(&run.stdout)?;
        let at = |pointer: &str| report.pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(at("/operation"), "RB-1");
        assert_eq!(at("/state"), "closed");
        assert_eq!(at("/engine"), engine);
        assert_eq!(at("/approvals"), serde_json::json!(["ben", "cleo"]));
        let steps: Vec<_> = at("/steps")
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|step| {
                Some((
                    step.get("name")?.as_str()?.to_owned(),
                    step.get("state")?.as_str()?.to_owned(),
                ))
            })
            .collect();
        let names: Vec<_> = steps.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["prepare", "stop", "back-up", "start", "verify", "switch"]
        );
        assert!(steps.iter().all(|(_, state)| state == "done"), "{steps:?}");
        let undelivered = at("/notifications")
            .as_array()
            .into_iter()
            .flatten()
            .filter(|told| told.get("delivered") != Some(&true.into()))
            .count();
        assert_eq!(undelivered, 0);
    }
    Ok(())
}
