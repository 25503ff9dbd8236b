//! A vote counts however quick it is: also when it is cast before the bot has noted where its own
//! request for votes stands.

use std::time::Duration;

use anyhow::ensure;
use rollbot_tests::console::{PATIENCE, Visitor};
use rollbot_tests::demo::{Demo, Engine};
use rollbot_tests::eventually;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

/// Looks without a pause, as no person could.
async fn at_once(ana: &Visitor, kind: &str, operation: &str) -> anyhow::Result<i64> {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = ana.sees().await?;
        let found = seen
            .iter()
            .find(|message| message.kind == kind && message.text.contains(operation));
        if let Some(message) = found {
            return Ok(message.id);
        }
        ensure!(
            tokio::time::Instant::now() < until,
            "no {kind} of {operation}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vote_that_comes_at_once_counts() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let ana = demo.visitor("ana")?;
    let ben = ana.acting_as("ben");
    for number in 1..=12 {
        let operation = format!("RB-{number} ");
        ana.types("ops", "/rollback trade reason: a race").await?;
        let approval = at_once(&ana, "approval", &operation).await?;
        ben.reacts(approval, "white_check_mark", true).await?;
        let counted = eventually("Ben's vote to count", Duration::from_secs(10), || async {
            let all = ana.sees().await?;
            let one = all.iter().find(|message| message.id == approval);
            Ok(one
                .filter(|message| message.text.contains("1 of 2 approvals: Ben"))
                .map(|_| ()))
        });
        counted
            .await
            .map_err(|error| error.context(format!("{operation}lost a vote")))?;
        ana.types("ops", &format!("/rollbot cancel RB-{number}"))
            .await?;
        // Nobody types faster than the console lets a person.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_at_once_counts() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    // Nothing can be archived into a directory that is none.
    let backups = demo.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    std::fs::write(&backups, "in the way")?;
    let ana = demo.visitor("ana")?;
    let (ben, cleo) = (ana.acting_as("ben"), ana.acting_as("cleo"));
    ana.types("ops", "/rollback trade reason: a race").await?;
    let approval = at_once(&ana, "approval", "RB-1 ").await?;
    for person in [&ben, &cleo] {
        person.reacts(approval, "white_check_mark", true).await?;
    }
    let question = at_once(&ana, "question", "RB-1 ").await?;
    cleo.presses(question, "undo").await?;
    ana.awaits("live", &["undone"]).await?;
    Ok(())
}
