//! `/rollback trade` from chat, on real processes and real containers, as the runbook has it. Each
//! scenario is described once, and happens at the console, in Slack, in Discord, and with everybody
//! somewhere else.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use rollbot_tests::console::{PATIENCE, client};
use rollbot_tests::demo::Engine;
use rollbot_tests::rooms::{Place, Rooms};
use rollbot_tests::{eventually, world};

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

macro_rules! in_every_place {
    ($($scenario:ident),* $(,)?) => {
        in_every_place!(@ console Console $($scenario)*);
        in_every_place!(@ slack Slack $($scenario)*);
        in_every_place!(@ discord Discord $($scenario)*);
        in_every_place!(@ everywhere Everywhere $($scenario)*);
    };
    (@ $place:ident $variant:ident $($scenario:ident)*) => {
        mod $place {
            use rollbot_tests::rooms::Place;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $scenario() -> anyhow::Result<()> {
                    super::$scenario(Place::$variant).await
                }
            )*
        }
    };
}

in_every_place! {
    two_approvals_bring_trade_back_to_its_container,
    a_veto_ends_it_and_a_withdrawn_vote_does_not_count,
    votes_by_button_count_and_are_taken_back_by_button,
    a_locked_service_says_who_holds_it_and_a_typing_slip_is_marked,
    orders_in_flight_hold_the_stop_back_until_people_decide,
    a_failed_step_pauses_with_evidence_and_undo_brings_the_native_service_back,
    skipping_needs_the_full_count_and_is_listed_at_the_end,
    killed_in_the_middle_it_goes_on_by_itself,
    the_command_line_obeys_the_same_rules,
    a_dry_run_shows_the_plan_and_leaves_no_lock,
}

async fn asked_for(rooms: &Rooms) -> anyhow::Result<()> {
    rooms
        .types("ana", "/rollback trade reason: orders failing")
        .await?;
    for person in ["ana", "ben", "cleo"] {
        rooms.awaits(person, &["RB-1", "0 of 2 approvals"]).await?;
    }
    Ok(())
}

async fn approved(rooms: &Rooms) -> anyhow::Result<()> {
    for person in ["ben", "cleo"] {
        rooms
            .reacts(person, "RB-1", "white_check_mark", true)
            .await?;
    }
    Ok(())
}

async fn two_approvals_bring_trade_back_to_its_container(place: Place) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::Docker, place).await?;
    let directory = rooms.serve.directory();
    let before = world::look(directory)?;
    assert_eq!(before.deployment.as_deref(), Some("native"));

    asked_for(&rooms).await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(
                person,
                &[
                    "0 of 2 approvals",
                    "orders failing",
                    "Only if needed",
                    "Returns to",
                    "sha256:",
                    "Data that will not be there",
                    "Members of approvers may vote, except who asked",
                ],
            )
            .await?;
    }

    for person in ["dan", "ana"] {
        rooms
            .reacts(person, "RB-1", "white_check_mark", true)
            .await?;
        rooms
            .is_told(person, &["only members of approvers"])
            .await?;
    }
    assert_eq!(world::look(directory)?, before, "nothing may have started");

    rooms
        .reacts("ben", "RB-1", "white_check_mark", true)
        .await?;
    rooms.awaits("cleo", &["1 of 2 approvals", "Ben"]).await?;
    rooms
        .reacts("cleo", "RB-1", "white_check_mark", true)
        .await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(person, &["closed", "Every target was observed"])
            .await?;
    }

    let after = world::look(directory)?;
    assert_eq!(after.deployment.as_deref(), Some("docker"));
    assert!(after.registry.ends_with("/docker"), "{}", after.registry);
    assert_eq!(after.archives.len(), 1);
    assert!(
        after
            .archives
            .iter()
            .all(|files| files.contains("orders.jsonl"))
    );
    for person in ["ana", "ben", "cleo"] {
        rooms.awaits(person, &["emergency maintenance"]).await?;
        rooms.awaits(person, &["Trading is back"]).await?;
    }

    let shown = rooms.serve.rollbot(&["show", "RB-1"]).await?;
    let timeline = String::from_utf8(shown.stdout)?;
    ensure!(shown.status.success());
    for part in ["approves", "Steps", "Observed", "verified and closed"] {
        ensure!(
            timeline.contains(part),
            "the timeline lacks \u{201c}{part}\u{201d}:\n{timeline}"
        );
    }
    let audit = rooms.serve.rollbot(&["audit", "verify"]).await?;
    ensure!(
        audit.status.success(),
        "{}",
        String::from_utf8_lossy(&audit.stdout)
    );
    rooms.in_order().await
}

async fn a_veto_ends_it_and_a_withdrawn_vote_does_not_count(place: Place) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    let before = world::look(rooms.serve.directory())?;
    asked_for(&rooms).await?;
    rooms
        .reacts("ben", "RB-1", "white_check_mark", true)
        .await?;
    rooms.awaits("ana", &["RB-1", "1 of 2 approvals"]).await?;
    rooms
        .reacts("ben", "RB-1", "white_check_mark", false)
        .await?;
    rooms.awaits("ana", &["RB-1", "0 of 2 approvals"]).await?;
    rooms.reacts("cleo", "RB-1", "x", true).await?;
    for person in ["ana", "ben", "cleo"] {
        rooms.awaits(person, &["RB-1", "vetoed"]).await?;
    }
    assert_eq!(world::look(rooms.serve.directory())?, before);

    // The lock went with it: the next request is planned.
    rooms.types("ana", "/rollback trade reason: again").await?;
    rooms.awaits("ana", &["RB-2", "0 of 2 approvals"]).await?;
    rooms
        .reacts("ben", "RB-1", "white_check_mark", true)
        .await?;
    rooms.is_told("ben", &["is over"]).await?;
    rooms.in_order().await
}

async fn votes_by_button_count_and_are_taken_back_by_button(place: Place) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    asked_for(&rooms).await?;
    let request: &[&str] = &["RB-1", "of 2 approvals"];
    let press = async |person, key| match (place, person) {
        // The console's reactions are buttons themselves.
        (Place::Console, _) | (Place::Everywhere, "cleo") => {
            let (emoji, on) = match key {
                "approve" => ("white_check_mark", true),
                _ => ("white_check_mark", false),
            };
            rooms.reacts(person, "RB-1", emoji, on).await
        }
        _ => rooms.presses(person, request, key).await,
    };
    press("ben", "approve").await?;
    rooms.awaits("cleo", &["RB-1", "1 of 2 approvals"]).await?;
    // A vote that was said is not lost when reactions are read again.
    rooms
        .reacts("dan", "RB-1", "white_check_mark", true)
        .await?;
    rooms.is_told("dan", &["only members of approvers"]).await?;
    rooms.awaits("cleo", &["RB-1", "1 of 2 approvals"]).await?;
    press("ben", "withdraw").await?;
    rooms.awaits("cleo", &["RB-1", "0 of 2 approvals"]).await?;
    press("ben", "approve").await?;
    press("cleo", "approve").await?;
    rooms
        .awaits("ana", &["closed", "Every target was observed"])
        .await?;
    rooms.in_order().await
}

async fn a_locked_service_says_who_holds_it_and_a_typing_slip_is_marked(
    place: Place,
) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    asked_for(&rooms).await?;
    rooms.types("ben", "/rollback trade").await?;
    rooms.is_told("ben", &["RB-1", "Ana"]).await?;
    rooms.types("ben", "/rollback trdae").await?;
    rooms.is_told("ben", &["trdae", "trade", "^"]).await?;
    rooms.types("ana", "/rollbot cancel RB-1").await?;
    rooms.awaits("ana", &["RB-1", "cancelled"]).await?;
    rooms.types("ben", "/rollbot locks").await?;
    rooms.is_told("ben", &["No service is locked"]).await?;
    rooms.in_order().await
}

/// Sets the demo service's own controls.
async fn control(rooms: &Rooms, path: &str, body: serde_json::Value) -> anyhow::Result<()> {
    let port = world::port(rooms.serve.directory())?;
    let url = format!("http://127.0.0.1:{port}{path}");
    let http = client(Duration::from_secs(5))?;
    let response = http.post(&url).json(&body).send().await?;
    ensure!(
        response.status().is_success(),
        "{url}: {}",
        response.text().await?
    );
    Ok(())
}

async fn orders_in_flight_hold_the_stop_back_until_people_decide(
    place: Place,
) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    let in_flight = serde_json::json!({ "count": 3, "for_ms": 600_000 });
    control(&rooms, "/demo/in-flight", in_flight).await?;
    asked_for(&rooms).await?;
    approved(&rooms).await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(person, &["is paused and asks", "in flight"])
            .await?;
    }
    assert_eq!(
        world::look(rooms.serve.directory())?.deployment.as_deref(),
        Some("native")
    );
    let none = serde_json::json!({ "count": 0, "for_ms": 0 });
    control(&rooms, "/demo/in-flight", none).await?;
    rooms.presses("ben", &["in flight"], "wait").await?;
    // Who did not answer sees that it was.
    rooms.awaits("cleo", &["answered", "Ben"]).await?;
    rooms
        .awaits("ana", &["closed", "Every target was observed"])
        .await?;
    assert_eq!(
        world::look(rooms.serve.directory())?.deployment.as_deref(),
        Some("docker")
    );
    rooms.in_order().await
}

/// Nothing can be archived into a directory that is none.
fn put_something_in_the_way(rooms: &Rooms) -> anyhow::Result<()> {
    let backups = rooms.serve.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    Ok(std::fs::write(&backups, "in the way")?)
}

async fn a_failed_step_pauses_with_evidence_and_undo_brings_the_native_service_back(
    place: Place,
) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    put_something_in_the_way(&rooms)?;
    asked_for(&rooms).await?;
    approved(&rooms).await?;
    for person in ["ben", "cleo"] {
        let question = rooms
            .awaits(person, &["is paused and asks", "backups"])
            .await?;
        for key in ["retry", "skip", "undo", "abort"] {
            ensure!(
                question.buttons.iter().any(|button| button == key),
                "no `{key}`: {question:?}"
            );
        }
    }
    rooms
        .presses("cleo", &["is paused and asks"], "undo")
        .await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(person, &["rollback of trade · undone"])
            .await?;
    }
    let after = world::look_without_archives(rooms.serve.directory())?;
    assert_eq!(after.deployment.as_deref(), Some("native"));
    assert!(after.registry.ends_with("/native"));
    rooms.in_order().await
}

async fn skipping_needs_the_full_count_and_is_listed_at_the_end(
    place: Place,
) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    put_something_in_the_way(&rooms)?;
    asked_for(&rooms).await?;
    approved(&rooms).await?;
    let question: &[&str] = &["is paused and asks"];
    rooms.presses("ben", question, "skip").await?;
    rooms
        .awaits("cleo", &["is paused and asks", "1 so far"])
        .await?;
    rooms.presses("ben", question, "skip").await?;
    rooms.presses("ana", question, "skip").await?;
    rooms.is_told("ana", &["Only members"]).await?;
    rooms.presses("cleo", question, "skip").await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(person, &["closed with exceptions", "was skipped"])
            .await?;
        let restored = rooms
            .sees(person)
            .await?
            .into_iter()
            .any(|message| message.text.contains("Trading is back"));
        ensure!(
            !restored,
            "an all-clear was sent although something was skipped"
        );
    }
    rooms.in_order().await
}

async fn killed_in_the_middle_it_goes_on_by_itself(place: Place) -> anyhow::Result<()> {
    let mut rooms = Rooms::open(BINARY, Engine::Docker, place).await?;
    asked_for(&rooms).await?;
    approved(&rooms).await?;
    rooms
        .awaits("ana", &["rollback of trade · running"])
        .await?;
    rooms.serve.kill().await?;
    rooms.begin().await?;
    for person in ["ana", "ben", "cleo"] {
        rooms
            .awaits(person, &["closed", "Every target was observed"])
            .await?;
    }
    assert_eq!(
        world::look(rooms.serve.directory())?.deployment.as_deref(),
        Some("docker")
    );
    Ok(())
}

async fn the_command_line_obeys_the_same_rules(place: Place) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    let requested = rooms
        .serve
        .rollbot(&["request", "trade", "--reason", "stale rows"])
        .await?;
    ensure!(
        requested.status.success(),
        "{}",
        String::from_utf8_lossy(&requested.stderr)
    );
    rooms.awaits("ana", &["RB-1", "stale rows"]).await?;
    // Who asked, asked as Eli: his vote does not count.
    let own = rooms.serve.rollbot(&["vote", "RB-1", "approve"]).await?;
    assert_eq!(own.status.code(), Some(1));
    ensure!(String::from_utf8_lossy(&own.stderr).contains("cannot approve"));
    let glass = rooms
        .serve
        .rollbot(&["vote", "RB-1", "approve", "--break-glass", "--reason", "x"])
        .await?;
    assert_eq!(glass.status.code(), Some(1));
    ensure!(String::from_utf8_lossy(&glass.stderr).contains("break-glass is off"));
    approved(&rooms).await?;
    eventually("RB-1 to close", PATIENCE, || async {
        let listed = rooms.serve.rollbot(&["operations", "--json"]).await?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
        Ok((listed.pointer("/0/state") == Some(&"closed".into())).then_some(()))
    })
    .await
    .context("after two approvals")?;
    rooms.in_order().await
}

async fn a_dry_run_shows_the_plan_and_leaves_no_lock(place: Place) -> anyhow::Result<()> {
    let rooms = Rooms::open(BINARY, Engine::StandIn, place).await?;
    let before = world::look(rooms.serve.directory())?;
    rooms.types("ana", "/rollback trade --dry-run").await?;
    rooms
        .awaits("ana", &["Plan: rollback of trade", "nothing is done"])
        .await?;
    rooms.types("ana", "/rollbot locks").await?;
    rooms.is_told("ana", &["No service is locked"]).await?;
    assert_eq!(world::look(rooms.serve.directory())?, before);
    rooms.in_order().await
}
