//! Users hear of an operation that lasts, on schedule, and of none that is over.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rollbot_tests::console::{Message, PATIENCE, Visitor};
use rollbot_tests::demo::Engine;
use rollbot_tests::eventually;
use rollbot_tests::serve::Serve;
use rollbot_tests::world;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

const EVERY: Duration = Duration::from_secs(3);

/// What users read since the last maintenance began, oldest first.
async fn updates(ana: &Visitor) -> anyhow::Result<Vec<Message>> {
    let mut seen: Vec<_> = ana
        .sees()
        .await?
        .into_iter()
        .filter(|message| message.channel == "announcements")
        .collect();
    seen.sort_by_key(|message| message.id);
    let begun = seen
        .iter()
        .rposition(|message| message.text.contains("emergency maintenance"))
        .context("users were not told that it began")?;
    Ok(seen
        .split_off(begun)
        .into_iter()
        .filter(|message| message.text.contains("maintenance update"))
        .collect())
}

async fn so_many(ana: &Visitor, number: usize) -> anyhow::Result<Vec<Message>> {
    eventually(&format!("{number} updates"), PATIENCE, || async {
        let all = updates(ana).await?;
        Ok((all.len() >= number).then_some(all))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_lasts_is_told_of_on_schedule_until_it_ends() -> anyhow::Result<()> {
    let mut serve = Serve::prepare(BINARY, Engine::Docker).await?;
    serve.edit("rollbot.toml", "after = \"20s\"", "after = \"4s\"")?;
    serve.edit("rollbot.toml", "every = \"30s\"", "every = \"3s\"")?;
    serve.edit(
        "services.toml",
        "in-flight-limit = \"20s\"",
        "in-flight-limit = \"120s\"",
    )?;
    serve.begin().await?;
    let ana = serve.logged_in("ana").await?;
    let (_, native) = world::native_trade(serve.directory())?;

    // The first one: nobody knows yet how long it takes, and nobody says so.
    serve.world().orders_in_flight(1).await?;
    serve.approved(&ana, "trade", "RB-1").await?;
    let maintenance = ana
        .awaits("announcement", &["emergency maintenance"])
        .await?;
    ensure!(
        maintenance.text.contains("cannot say yet how long"),
        "{}",
        maintenance.text
    );
    let begin = tokio::time::Instant::now();
    let told = so_many(&ana, 3).await?;
    let took = begin.elapsed();
    // After 4 s, then every 3 s; the first may have been on its way when the clock here began.
    ensure!(
        took > 2 * EVERY && took < 6 * EVERY,
        "three updates came within {took:?}"
    );
    for update in &told {
        for part in [
            "still working on Trading",
            "We cannot say yet when it will be back",
            "The next update comes in 3.0 s at the latest",
        ] {
            ensure!(
                update.text.contains(part),
                "no \u{201c}{part}\u{201d}: {}",
                update.text
            );
        }
        ensure!(!update.text.contains("We now expect"), "{}", update.text);
        // Nothing was stopped and nothing was saved: nothing of it is claimed.
        ensure!(!update.text.contains("is paused"), "{}", update.text);
    }
    serve.world().orders_in_flight(0).await?;
    ana.awaits("announcement", &["Trading is back"]).await?;
    silence(&serve, &ana).await?;

    // The second one: now there is a run to compare with.
    let unlocked = serve.rollbot(&["unlock", "trade"]).await?;
    ensure!(unlocked.status.success());
    let _upgraded = world::upgrade_trade(serve.directory(), &native).await?;
    serve.world().orders_in_flight(1).await?;
    serve.approved(&ana, "trade", "RB-2").await?;
    eventually("an estimate before it begins", PATIENCE, || async {
        let all = ana.sees().await?;
        let with = |message: &Message| {
            message
                .text
                .contains("We expect it to take about a minute.")
        };
        Ok(all.iter().any(with).then_some(()))
    })
    .await?;
    let first = so_many(&ana, 1).await?;
    ensure!(
        first
            .iter()
            .any(|update| update.text.contains("We now expect it to take")),
        "{first:?}"
    );
    eventually("an update that admits the delay", PATIENCE, || async {
        let all = updates(&ana).await?;
        let late = |message: &Message| {
            message.text.contains("It takes longer than we expected.")
                && message
                    .text
                    .contains("We cannot say yet when it will be back")
        };
        Ok(all.iter().any(late).then_some(()))
    })
    .await?;

    // However it ends, that was the last update.
    let stopped = serve
        .rollbot(&["cancel", "RB-2", "--reason", "it runs in Docker already"])
        .await?;
    ensure!(stopped.status.success());
    serve.world().orders_in_flight(0).await?;
    let question = ana
        .awaits("question", &["RB-2", "is paused and asks"])
        .await?;
    // Waiting for people is no reason to leave users without news.
    let before = updates(&ana).await?.len();
    so_many(&ana, before + 1).await?;
    serve
        .logged_in("cleo")
        .await?
        .presses(question.id, "abort")
        .await?;
    ana.awaits("announcement", &["We have ended the maintenance"])
        .await?;
    silence(&serve, &ana).await
}

/// Longer than two updates would be apart, nothing is said of the maintenance that is over.
async fn silence(serve: &Serve, ana: &Visitor) -> anyhow::Result<()> {
    let at_the_end = updates(ana).await?.len();
    tokio::time::sleep(3 * EVERY).await;
    let later = updates(ana).await?;
    ensure!(
        later.len() == at_the_end,
        "users were told of maintenance that is over: {later:#?}\n{}",
        record(serve).await?
    );
    Ok(())
}

/// Who was told what when, as the bot has it.
async fn record(serve: &Serve) -> anyhow::Result<String> {
    let mut all = String::new();
    for operation in ["RB-1", "RB-2"] {
        let shown = serve.rollbot(&["show", operation, "--json"]).await?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        for told in shown["messages"].as_array().into_iter().flatten() {
            all.push_str(&format!("{told}\n"));
        }
    }
    Ok(all)
}
