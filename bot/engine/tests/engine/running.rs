//! Performing approved plans.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use rollbot_core::Clock as _;
use rollbot_core::journal::{Class, Outcome};
use rollbot_core::operation::Phase;
use rollbot_core::store::Store as _;
use rollbot_engine::{RunEnd, RunEvent};

use crate::support::observer::{Observer, People, word};
use crate::support::operation::Case;
use crate::support::world::{Fault, IMAGE, World};
use crate::support::{ENGINE, scripted, trade};

/// Effects of every kind, all in one step.
pub const PLAN: &str = "step work Work\neffect stop-native stop\nafter stop-native stop-by-port stop-by-port\n\
    effect back-up-data back-up\neffect start-containers up\neffect paper-order transact paper-order\n\
    effect order submit order\neffect point-registry point\nundo undo-start start\nundo undo-down down\n\
    undo undo-point point-native\ntarget native-stopped\nundo-target native-running";

pub async fn script(world: &World, script: &str) -> Case {
    Case::new(
        scripted().await,
        world.clone(),
        &[("plan", PLAN), ("script", script)],
    )
    .await
}

/// Everything done and told as it should be, in its order.
pub const WHOLE_ROLLBACK: [&str; 5] = [
    "process.stop units",
    "backup.create trade_service",
    "docker.up trade",
    "probe.post RB-1/run/paper-order",
    "registry.point 127.0.0.1:9103",
];

#[tokio::test]
async fn a_rollback_goes_through_its_steps_and_reaches_its_targets() {
    let world = World::native();
    let case = Case::new(trade().await, world.clone(), &[]).await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    assert_eq!(world.changes(), WHOLE_ROLLBACK);
    let plan = case.operation().await.plan.unwrap();
    let observed = ENGINE.observe(&case.hosts, &plan.targets, &plan).await;
    assert!(
        !observed.is_empty() && observed.iter().all(|seen| seen.holds),
        "{observed:#?}"
    );

    let told: Vec<_> = observer
        .events()
        .iter()
        .map(word)
        .filter(|word| word != "note")
        .collect();
    assert_eq!(
        told,
        [
            "began",
            "step-began prepare",
            "step-ended prepare",
            "step-began stop",
            "effect-began stop-native",
            "effect-ended stop-native",
            "step-ended stop",
            "step-began back-up",
            "effect-began back-up-data",
            "effect-ended back-up-data",
            "step-ended back-up",
            "step-began start",
            "effect-began start-containers",
            "effect-ended start-containers",
            "step-ended start",
            "step-began verify",
            "effect-began paper-order",
            "effect-ended paper-order",
            "step-ended verify",
            "step-began switch",
            "effect-began point-registry",
            "effect-ended point-registry",
            "step-ended switch",
        ]
    );
    let audit: Vec<_> = case
        .audit()
        .await
        .into_iter()
        .filter(|word| word != "note")
        .collect();
    assert_eq!(audit, told, "what was told was written, in the same order");
}

#[tokio::test]
async fn every_call_has_an_intent_and_an_outcome() {
    let case = Case::new(trade().await, World::native(), &[]).await;
    assert_eq!(case.run().await.0, RunEnd::Finished);
    for entry in case.journal().await {
        assert!(
            matches!(entry.outcome, Some(Outcome::Returned(_))),
            "{entry:?}"
        );
        assert!(entry.outcome_at >= Some(entry.intent_at), "{entry:?}");
    }
}

#[tokio::test]
async fn a_second_run_is_answered_from_the_journal() {
    let world = World::native();
    let case = Case::new(trade().await, world.clone(), &[]).await;
    assert_eq!(case.run().await.0, RunEnd::Finished);
    let (changes, queries, journal) = (world.changes(), world.queries(), case.journal().await);
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    assert_eq!((world.changes(), world.queries()), (changes, queries));
    assert_eq!(case.journal().await, journal);
    assert!(
        matches!(observer.events()[..], [RunEvent::Began { replayed, .. }] if replayed == journal.len())
    );
}

#[tokio::test]
async fn exactly_the_planned_image_is_asked_for() {
    let world = World::native();
    let case = Case::new(trade().await, world.clone(), &[]).await;
    case.run().await;
    let planned = BTreeMap::from([("trade".to_owned(), IMAGE.to_owned())]);
    assert_eq!(world.images_asked_for(), [planned]);
}

#[tokio::test]
async fn an_archive_that_was_not_read_back_is_a_failure() {
    let world = World::native();
    world.fail("backup.create", [Fault::Ineffective]);
    let case = script(&world, "back-up back-up-data").await;
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    let question = &observer.questions()[0];
    assert!(
        question.details[0].contains("not read back in full"),
        "{question:#?}"
    );
}

#[tokio::test]
async fn a_key_that_somebody_else_changed_is_not_overwritten() {
    let world = World::native();
    let case = script(&world, "back-up back-up-data\npoint point-registry").await;
    world.change(|state| {
        state
            .registry
            .insert("services/trade".into(), ("10.0.0.1:1".into(), 7));
    });
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    let question = &observer.questions()[0];
    assert!(
        question.details[0].contains("leads to 10.0.0.1:1; when it was planned"),
        "{question:#?}"
    );
    assert_eq!(world.state().registry["services/trade"].0, "10.0.0.1:1");
}

#[tokio::test]
async fn undo_performs_the_contingencies_for_undo_and_nothing_else() {
    let world = World::native();
    let settings = [
        ("plan", PLAN),
        (
            "script",
            "stop stop-native\nback-up back-up-data\nup start-containers\npoint point-registry",
        ),
        (
            "undo-script",
            "tell stop stop-native\ndown undo-down\nstart undo-start\npoint undo-point",
        ),
    ];
    let case = Case::new(scripted().await, world.clone(), &settings).await;
    assert_eq!(case.run().await.0, RunEnd::Finished);
    let (end, observer) = case.undo().await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    assert!(observer.notes()[0].contains("`stop-native` is no effect of undo"));
    let state = world.state();
    assert!(state.units["cryptobot-trade"]);
    assert_eq!(state.containers["trade"].0, "exited");
    assert_eq!(state.registry["services/trade"].0, "127.0.0.1:9003");
    let undone = case.store.journal(case.id, Phase::Undo).await.unwrap();
    assert_eq!(undone.len(), 5, "undo has a journal of its own");
}

#[tokio::test]
async fn the_trade_plugin_undoes_what_it_did() {
    let world = World::native();
    let case = Case::new(trade().await, world.clone(), &[]).await;
    assert_eq!(case.run().await.0, RunEnd::Finished);
    let (end, observer) = case.undo().await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    let plan = case.operation().await.plan.unwrap();
    let observed = ENGINE.observe(&case.hosts, &plan.undo_targets, &plan).await;
    assert!(observed.iter().all(|seen| seen.holds), "{observed:#?}");
}

#[tokio::test]
async fn an_abort_stops_before_the_next_effect() {
    let case = script(&World::native(), "status\nstop stop-native").await;
    let observer = Observer::new(case.id, People::default());
    observer.abort.store(true, Ordering::SeqCst);
    let end = case.run_on(case.store.clone(), Phase::Run, &observer).await;
    assert_eq!(end, RunEnd::Aborted);
    assert_eq!(case.world.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn time_in_a_replay_is_the_time_of_the_first_run() {
    let case = script(&World::native(), "tell now\nsleep 60000\ntell now\ngive-up").await;
    let (_, observer) = case.run().await;
    let first = observer.notes();
    let time = |note: &str| note.rsplit(' ').next().unwrap().parse::<i64>().unwrap();
    assert!(time(&first[1]) - time(&first[0]) >= 60_000, "{first:?}");
    let before = case.clock.now();
    case.run().await;
    assert!(
        case.clock.now().as_millisecond() - before.as_millisecond() < 1_000,
        "it slept again"
    );
    let notes: Vec<_> = case
        .journal()
        .await
        .into_iter()
        .filter(|entry| entry.function == "progress.note")
        .map(|entry| entry.arguments)
        .collect();
    assert_eq!(notes.len(), 2);
}

#[tokio::test]
async fn secrets_are_in_no_answer_journal_event_or_question() {
    let world = World::native();
    world.show_secret("hunter2");
    world.fail("docker.up", [Fault::Failed("cannot log in with hunter2")]);
    let mut case = script(
        &world,
        "tell logs 3\nhttp health\nnote hunter2\nback-up back-up-data\nup start-containers",
    )
    .await;
    case.hosts = world.hosts_redacting(["hunter2".to_owned()]);
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    let outcomes: Vec<_> = case
        .journal()
        .await
        .into_iter()
        .map(|entry| entry.outcome)
        .collect();
    for (what, text) in [
        ("outcomes", format!("{outcomes:?}")),
        ("events", format!("{:?}", observer.events())),
        ("questions", format!("{:?}", observer.questions())),
    ] {
        assert!(!text.contains("hunter2"), "{what}: {text}");
        assert!(text.contains("[redacted]"), "{what}: {text}");
    }
}

#[tokio::test]
async fn every_host_function_can_be_called_and_is_journaled_under_its_class() {
    let world = World::native();
    let case = script(
        &world,
        "begin work\nstatus\nstop stop-native\ncontainers\nready\nlogs 3\nhealth 10\n\
         back-up back-up-data\narchives\nwritten-since 1000\nup start-containers\nhttp health\n\
         tcp 127.0.0.1:9003\ntransact paper-order\nsubmit order\nget services/trade\n\
         resolve services/trade\npoint point-registry\nask Well?|yes=Yes\nnow\nsleep 1\nnote hello\n\
         tell read-back /backups/trade_service_20261122000000.tar.zst\ntell start undo-start\n\
         tell down undo-down\nend work\nbegin work\nfail work for the test",
    )
    .await;
    let people = People::who_say([
        rollbot_core::operation::Decision::Answer { key: "yes".into() },
        rollbot_core::operation::Decision::Skip,
    ]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    let mut called: Vec<_> = Vec::new();
    for entry in case.journal().await {
        let known = rollbot_core::journal::host_function(&entry.function).unwrap();
        assert_eq!(entry.class, known.class, "{entry:?}");
        let arguments: serde_json::Value = serde_json::from_str(&entry.arguments).unwrap();
        assert_eq!(
            rollbot_core::plan::canonical_json(&arguments),
            entry.arguments
        );
        called.push(known.name);
    }
    for known in rollbot_core::journal::HOST_FUNCTIONS {
        assert!(
            called.contains(&known.name),
            "{} was not called",
            known.name
        );
    }
    assert!(
        case.journal()
            .await
            .iter()
            .any(|entry| entry.class == Class::AtMostOnce)
    );
}
