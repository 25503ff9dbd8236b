//! The stand-in for Discord, judged by a client that nobody here wrote, and by Discord's own
//! description of its API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rollbot_fakes::discord::{FakeDiscord, Options, described};
use tokio::process::Command;

#[tokio::test]
async fn discord_py_works_with_it() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let prepared = Command::new(here.join("../prepare/chat-client.sh"))
        .arg("discord")
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    assert!(
        prepared.status.success(),
        "tests/prepare/chat-client.sh failed"
    );
    let python = String::from_utf8(prepared.stdout).unwrap();
    let fake = FakeDiscord::start(Options {
        // Short, so that heartbeats are among what is tested.
        heartbeat: Duration::from_millis(500),
        ..Options::default()
    })
    .await
    .unwrap();
    let client = Command::new(python.trim())
        .arg(here.join("clients/discord/client.py"))
        .arg(fake.url())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(90), client).await;
    let ended = ended.expect("the client ends").unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{said}\n{complained}");
    assert!(said.contains("ok all"), "{said}");
    assert!(fake.heartbeats() > 0);
    assert_eq!(fake.violations(), Vec::<String>::new());
}

#[test]
fn every_body_in_use_is_described() {
    assert_eq!(described(), 12);
}
