//! A plugin as a file: the component that the bot keeps for as long as an operation may need it.

use anyhow::{Context as _, ensure};
use rollbot_core::Digest;
use rollbot_core::store::Store as _;
use rollbot_store_sqlite::SqliteStore;
use rollbot_tests::demo::{Demo, Engine};
use rollbot_tests::transcript::rollbot;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

fn inspected(what: &str) -> anyhow::Result<String> {
    let output = rollbot(BINARY).args(["plugin", "inspect", what]).output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_component_that_the_bot_keeps_is_the_plugin_it_came_with() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let output = rollbot(BINARY)
        .args(["plugin", "list", "--json"])
        .output()?;
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let trade = listed
        .as_array()
        .into_iter()
        .flatten()
        .find(|plugin| plugin.pointer("/description/name") == Some(&"trade".into()))
        .context("no plugin `trade`")?;
    let digest: Digest = serde_json::from_value(trade["digest"].clone())?;
    let store = SqliteStore::open_read_only(&demo.directory().join("state/rollbot.sqlite")).await?;
    let bytes = store
        .component(&digest)
        .await?
        .context("the store does not keep it")?;
    assert_eq!(Digest::of(&bytes), digest);
    let file = demo.directory().join("trade.wasm");
    std::fs::write(&file, bytes)?;
    assert_eq!(inspected(&file.display().to_string())?, inspected("trade")?);
    Ok(())
}
