//! The workspace is true to a client that nobody here wrote: Slack's own Python SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::time::Duration;

use rollbot_fakes::slack::{FakeSlack, Settings};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slacks_own_sdk_finds_the_workspace_as_it_expects_it() {
    let settings = Settings {
        rotation_warning: Duration::from_millis(500),
        ..Settings::default()
    };
    let fake = FakeSlack::start(settings).await.unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/slack/run.sh");
    let running = Command::new(script)
        .arg(fake.base_url())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(300), running)
        .await
        .expect("the client did not end")
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.trim_end().ends_with("all ok"), "{said}");
    assert!(
        said.lines().filter(|line| line.starts_with("ok ")).count() > 50,
        "{said}"
    );
}
