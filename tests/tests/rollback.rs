//! `/rollback trade` from the console, on real processes and real containers, as the runbook has it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rollbot_tests::console::{PATIENCE, Visitor, client};
use rollbot_tests::demo::{Demo, Engine};
use rollbot_tests::{eventually, world};

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

async fn asked_for(demo: &Demo) -> anyhow::Result<(Visitor, i64)> {
    let ana = demo.visitor("ana")?;
    let answer = ana
        .types("ops", "/rollback trade reason: orders failing")
        .await?;
    let answer = answer.context("the command was not answered")?;
    ensure!(answer.text.contains("RB-"), "{}", answer.text);
    let approval = ana.awaits("approval", &["0 of 2 approvals"]).await?;
    Ok((ana, approval.id))
}

async fn approved(ana: &Visitor, approval: i64) -> anyhow::Result<()> {
    for person in ["ben", "cleo"] {
        ana.acting_as(person)
            .reacts(approval, "white_check_mark", true)
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_approvals_bring_trade_back_to_its_container() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::Docker).await?;
    let before = world::look(demo.directory())?;
    assert_eq!(before.deployment.as_deref(), Some("native"));

    let (ana, approval) = asked_for(&demo).await?;
    let plan = ana.awaits("approval", &["0 of 2 approvals"]).await?;
    for part in [
        "orders failing",
        "Only if needed",
        "Returns to",
        "sha256:",
        "Data that will not be there",
        "Members of approvers may vote, except who asked",
    ] {
        ensure!(
            plan.text.contains(part),
            "the plan lacks \u{201c}{part}\u{201d}:\n{}",
            plan.text
        );
    }

    let dan = ana.acting_as("dan");
    let refused = dan.reacts(approval, "white_check_mark", true).await?;
    ensure!(
        refused.is_some_and(
            |answer| answer.private && answer.text.contains("only members of approvers")
        )
    );
    let own = ana.reacts(approval, "white_check_mark", true).await?;
    ensure!(own.is_some_and(|answer| answer.text.contains("only members of approvers")));
    assert_eq!(
        world::look(demo.directory())?,
        before,
        "nothing may have started"
    );

    ana.acting_as("ben")
        .reacts(approval, "white_check_mark", true)
        .await?;
    ana.awaits("approval", &["1 of 2 approvals", "Ben"]).await?;
    ana.acting_as("cleo")
        .reacts(approval, "white_check_mark", true)
        .await?;
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;

    let after = world::look(demo.directory())?;
    assert_eq!(after.deployment.as_deref(), Some("docker"));
    assert!(after.registry.ends_with("/docker"), "{}", after.registry);
    assert_eq!(after.archives.len(), 1);
    assert!(
        after
            .archives
            .iter()
            .all(|files| files.contains("orders.jsonl"))
    );

    ana.awaits("announcement", &["emergency maintenance"])
        .await?;
    let restored = ana.awaits("announcement", &["Trading is back"]).await?;
    assert_eq!(restored.channel, "announcements");

    let shown = demo.rollbot(&["show", "RB-1"]).await?;
    let timeline = String::from_utf8(shown.stdout)?;
    ensure!(shown.status.success());
    for part in ["approves", "Steps", "Observed", "verified and closed"] {
        ensure!(
            timeline.contains(part),
            "the timeline lacks \u{201c}{part}\u{201d}:\n{timeline}"
        );
    }
    let audit = demo.rollbot(&["audit", "verify"]).await?;
    ensure!(
        audit.status.success(),
        "{}",
        String::from_utf8_lossy(&audit.stdout)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_veto_ends_it_and_a_withdrawn_vote_does_not_count() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let before = world::look(demo.directory())?;
    let (ana, approval) = asked_for(&demo).await?;
    let ben = ana.acting_as("ben");
    ben.reacts(approval, "white_check_mark", true).await?;
    ana.awaits("approval", &["1 of 2 approvals"]).await?;
    ben.reacts(approval, "white_check_mark", false).await?;
    ana.awaits("approval", &["0 of 2 approvals"]).await?;
    ana.acting_as("cleo").reacts(approval, "x", true).await?;
    ana.awaits("approval", &["vetoed"]).await?;
    assert_eq!(world::look(demo.directory())?, before);

    // The lock went with it: the next request is planned.
    ana.types("ops", "/rollback trade reason: again").await?;
    ana.awaits("approval", &["RB-2", "0 of 2 approvals"])
        .await?;
    let late = ben.reacts(approval, "white_check_mark", true).await?;
    ensure!(late.is_some_and(|answer| answer.text.contains("is over")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_service_says_who_holds_it_and_a_typing_slip_is_marked() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let (ana, _) = asked_for(&demo).await?;
    let ben = ana.acting_as("ben");
    let locked = ben
        .types("ops", "/rollback trade")
        .await?
        .context("no answer")?;
    ensure!(
        locked.private && locked.text.contains("RB-1") && locked.text.contains("Ana"),
        "{}",
        locked.text
    );
    let slip = ben
        .types("ops", "/rollback trdae")
        .await?
        .context("no answer")?;
    ensure!(
        slip.text.contains("trade") && slip.text.contains('^'),
        "{}",
        slip.text
    );
    let cancelled = ana
        .types("ops", "/rollbot cancel RB-1")
        .await?
        .context("no answer")?;
    ensure!(cancelled.text.contains("cancelled"), "{}", cancelled.text);
    let locks = ben
        .types("ops", "/rollbot locks")
        .await?
        .context("no answer")?;
    ensure!(
        locks.text.contains("No service is locked"),
        "{}",
        locks.text
    );
    Ok(())
}

/// Sets the demo service's own controls.
async fn control(demo: &Demo, path: &str, body: serde_json::Value) -> anyhow::Result<()> {
    let record = std::fs::read_to_string(demo.directory().join("world.json"))?;
    let record: serde_json::Value = serde_json::from_str(&record)?;
    let base = record
        .get("port-base")
        .and_then(serde_json::Value::as_u64)
        .context("port-base")?;
    let url = format!("http://127.0.0.1:{}{path}", base + 3);
    let http = client(Duration::from_secs(5))?;
    let response = http.post(&url).json(&body).send().await?;
    ensure!(
        response.status().is_success(),
        "{url}: {}",
        response.text().await?
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_in_flight_hold_the_stop_back_until_people_decide() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    control(
        &demo,
        "/demo/in-flight",
        serde_json::json!({ "count": 3, "for_ms": 600_000 }),
    )
    .await?;
    let (ana, approval) = asked_for(&demo).await?;
    approved(&ana, approval).await?;
    let question = ana
        .awaits("question", &["is paused and asks", "in flight"])
        .await?;
    assert_eq!(
        world::look(demo.directory())?.deployment.as_deref(),
        Some("native")
    );
    control(
        &demo,
        "/demo/in-flight",
        serde_json::json!({ "count": 0, "for_ms": 0 }),
    )
    .await?;
    let wait = question
        .buttons
        .iter()
        .find(|button| button.key == "wait")
        .context("no `wait`")?;
    ana.acting_as("ben").presses(question.id, &wait.key).await?;
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;
    assert_eq!(
        world::look(demo.directory())?.deployment.as_deref(),
        Some("docker")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_pauses_with_evidence_and_undo_brings_the_native_service_back()
-> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    // Nothing can be archived into a directory that is none.
    let backups = demo.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    std::fs::write(&backups, "in the way")?;
    let (ana, approval) = asked_for(&demo).await?;
    approved(&ana, approval).await?;
    let question = ana.awaits("question", &["is paused and asks"]).await?;
    for key in ["retry", "skip", "undo", "abort"] {
        ensure!(
            question.buttons.iter().any(|button| button.key == key),
            "no `{key}`: {}",
            question.text
        );
    }
    ensure!(
        question.text.contains("backups"),
        "no evidence: {}",
        question.text
    );
    ana.acting_as("cleo").presses(question.id, "undo").await?;
    ana.awaits("live", &["undone"]).await?;
    let after = world::look_without_archives(demo.directory())?;
    assert_eq!(after.deployment.as_deref(), Some("native"));
    assert!(after.registry.ends_with("/native"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn skipping_needs_the_full_count_and_is_listed_at_the_end() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let backups = demo.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    std::fs::write(&backups, "in the way")?;
    let (ana, approval) = asked_for(&demo).await?;
    approved(&ana, approval).await?;
    let question = ana.awaits("question", &["is paused and asks"]).await?;
    ana.acting_as("ben").presses(question.id, "skip").await?;
    ana.awaits("question", &["1 so far"]).await?;
    let again = ana.acting_as("ben").presses(question.id, "skip").await?;
    ensure!(again.is_none_or(|answer| answer.text.contains("1 of 2")));
    let own = ana.presses(question.id, "skip").await?;
    ensure!(own.is_some_and(|answer| answer.text.contains("Only members")));
    ana.acting_as("cleo").presses(question.id, "skip").await?;
    let live = ana.awaits("live", &["closed with exceptions"]).await?;
    ensure!(live.text.contains("was skipped"), "{}", live.text);
    let restored = ana
        .sees()
        .await?
        .into_iter()
        .any(|message| message.text.contains("Trading is back"));
    ensure!(
        !restored,
        "an all-clear was sent although something was skipped"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_it_goes_on_by_itself() -> anyhow::Result<()> {
    let mut demo = Demo::start(BINARY, Engine::Docker).await?;
    let (ana, approval) = asked_for(&demo).await?;
    approved(&ana, approval).await?;
    ana.awaits("live", &["running"]).await?;
    demo.kill().await?;
    demo.begin().await?;
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;
    assert_eq!(
        world::look(demo.directory())?.deployment.as_deref(),
        Some("docker")
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_obeys_the_same_rules() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let requested = demo
        .rollbot(&["request", "data", "--reason", "stale rows"])
        .await?;
    ensure!(
        requested.status.success(),
        "{}",
        String::from_utf8_lossy(&requested.stderr)
    );
    let ana = demo.visitor("ana")?;
    let approval = ana.awaits("approval", &["RB-1", "stale rows"]).await?;
    // Who asked, asked as Eli: his vote does not count.
    let own = demo.rollbot(&["vote", "RB-1", "approve"]).await?;
    assert_eq!(own.status.code(), Some(1));
    ensure!(String::from_utf8_lossy(&own.stderr).contains("cannot approve"));
    let glass = demo
        .rollbot(&["vote", "RB-1", "approve", "--break-glass", "--reason", "x"])
        .await?;
    assert_eq!(glass.status.code(), Some(1));
    ensure!(String::from_utf8_lossy(&glass.stderr).contains("break-glass is off"));
    approved(&ana, approval.id).await?;
    eventually("RB-1 to close", PATIENCE, || async {
        let listed = demo.rollbot(&["operations", "--json"]).await?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
        Ok((listed.pointer("/0/state") == Some(&"closed".into())).then_some(()))
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_plan_and_leaves_no_lock() -> anyhow::Result<()> {
    let demo = Demo::start(BINARY, Engine::StandIn).await?;
    let before = world::look(demo.directory())?;
    let ana = demo.visitor("ana")?;
    ana.types("ops", "/rollback trade --dry-run").await?;
    ana.awaits("notice", &["Plan: rollback of trade", "nothing is done"])
        .await?;
    let locks = ana
        .types("ops", "/rollbot locks")
        .await?
        .context("no answer")?;
    ensure!(locks.text.contains("No service is locked"));
    assert_eq!(world::look(demo.directory())?, before);
    Ok(())
}
