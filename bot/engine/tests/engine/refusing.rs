//! What is refused, and what stops a run.

use std::sync::Arc;

use rollbot_core::approval::Approved;
use rollbot_core::operation::Phase;
use rollbot_core::plan::Setting;
use rollbot_core::store::Store as _;
use rollbot_engine::{Grants, RunEnd, RunEvent, RunRequest};

use crate::running::{PLAN, script};
use crate::support::observer::{Observer, People, word};
use crate::support::operation::{Case, plan_with};
use crate::support::service::service;
use crate::support::world::World;
use crate::support::{ENGINE, lies, scripted, trade};

#[tokio::test]
async fn only_names_of_the_approved_plan_are_performed_and_by_the_right_function() {
    let world = World::native();
    let case = script(
        &world,
        "tell stop stop-everything\ntell stop back-up-data\ntell start undo-start\n\
         tell stop stop-by-port\ntell down undo-down",
    )
    .await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    assert_eq!(world.changes(), Vec::<String>::new());
    let notes = observer.notes();
    for (note, expected) in notes.iter().zip([
        "the approved plan has no effect `stop-everything`",
        "`back-up-data` is performed by backup.create, not by process.stop",
        "`undo-start` is for undo, which nobody chose",
        "`stop-by-port` is for after `stop-native`, which was not tried",
        "`undo-down` is for undo, which nobody chose",
    ]) {
        assert!(
            note.contains("not in the approved plan") && note.contains(expected),
            "{note}"
        );
    }
    assert_eq!(notes.len(), 5);
    let refused: Vec<_> = observer
        .events()
        .iter()
        .map(word)
        .filter(|w| w.starts_with("refused"))
        .collect();
    assert_eq!(refused.len(), 5);
    let journaled = case.calls().await;
    assert_eq!(
        journaled
            .iter()
            .filter(|call| call.starts_with("process"))
            .count(),
        4
    );
}

#[tokio::test]
async fn a_guest_that_lies_performs_nothing_that_was_not_approved() {
    for lie in [
        "unknown-effect",
        "wrong-kind",
        "undo-effect",
        "outside-grants",
        "unknown-step",
        "end-unbegun",
        "post-as-query",
    ] {
        let world = World::native();
        let settings = [("plan", PLAN), ("lie", lie)];
        let plugin = scripted().await;
        let plan = plan_with(&ENGINE, &plugin, &world, service(&settings))
            .await
            .unwrap();
        let case = Case::of_plan(lies().await, world.clone(), plan).await;
        let (end, observer) = case.run().await;
        assert_eq!(end, RunEnd::Finished, "{lie}");
        // After its lie, it performs what it may.
        assert_eq!(
            world.changes(),
            ["process.stop units", "backup.create trade_service"],
            "{lie}"
        );
        assert!(
            observer
                .events()
                .iter()
                .any(|event| matches!(event, RunEvent::Refused { .. })),
            "{lie}"
        );
    }
}

#[tokio::test]
async fn queries_outside_the_grants_reach_no_host() {
    let world = World::native();
    let settings = [("plan", PLAN), ("lie", "outside-grants")];
    let plan = plan_with(&ENGINE, &*scripted().await, &world, service(&settings))
        .await
        .unwrap();
    let case = Case::of_plan(lies().await, world.clone(), plan).await;
    let queries = world.queries();
    let (_, observer) = case.run().await;
    assert_eq!(world.queries(), queries);
    let refused: Vec<_> = observer
        .events()
        .iter()
        .map(word)
        .filter(|w| w.starts_with("refused"))
        .collect();
    assert_eq!(refused.len(), 6, "{refused:?}");
}

#[tokio::test]
async fn nothing_takes_the_place_of_data_before_its_backup_is_good() {
    let world = World::native();
    let case = script(
        &world,
        "tell up start-containers\ntell point point-registry\nback-up back-up-data\n\
         up start-containers\npoint point-registry",
    )
    .await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    for note in observer.notes() {
        assert!(
            note.contains("data that `back-up-data` has not backed up yet"),
            "{note}"
        );
    }
    assert_eq!(
        world.changes(),
        [
            "backup.create trade_service",
            "docker.up trade",
            "registry.point 127.0.0.1:9103"
        ]
    );
}

#[tokio::test]
async fn another_plan_or_another_component_than_the_approved_is_not_started() {
    let case = script(&World::native(), "stop stop-native").await;
    let fence = case.store.take_over(case.id).await.unwrap();
    let mut operation = case.operation().await;
    let approved = Approved::resumed(&operation).unwrap();
    let observer = Observer::new(case.id, People::default());
    let grants = Grants::for_service(&service(&[]));
    let run = async |operation: &_, plugin: &_| {
        let request = RunRequest {
            approved: &approved,
            operation,
            phase: Phase::Run,
            fence,
            grants: grants.clone(),
        };
        let clock = Arc::new(case.clock.clone());
        ENGINE
            .run(
                plugin,
                &case.hosts,
                clock,
                case.store.clone(),
                request,
                observer.clone(),
            )
            .await
    };
    let other_plugin = run(&operation, &*trade().await).await;
    assert!(
        matches!(&other_plugin, RunEnd::NotApproved { why } if why.contains("component")),
        "{other_plugin}"
    );
    operation.plan.as_mut().unwrap().service.archive_name = "other".into();
    let other_plan = run(&operation, &case.plugin).await;
    assert!(
        matches!(&other_plan, RunEnd::NotApproved { why } if why.contains("was approved")),
        "{other_plan}"
    );
    assert_eq!(case.world.changes(), Vec::<String>::new());
    assert_eq!(case.journal().await, Vec::new());
}

#[tokio::test]
async fn grants_that_were_taken_away_are_obeyed_in_a_running_operation() {
    let case = script(&World::native(), "tell stop stop-native").await;
    let fence = case.store.take_over(case.id).await.unwrap();
    let operation = case.operation().await;
    let approved = Approved::resumed(&operation).unwrap();
    let observer = Observer::new(case.id, People::default());
    let request = RunRequest {
        approved: &approved,
        operation: &operation,
        phase: Phase::Run,
        fence,
        grants: Grants::default(),
    };
    let clock = Arc::new(case.clock.clone());
    let end = ENGINE
        .run(
            &case.plugin,
            &case.hosts,
            clock,
            case.store.clone(),
            request,
            observer.clone(),
        )
        .await;
    assert_eq!(end, RunEnd::Finished);
    assert!(observer.notes()[0].contains("not granted in the configuration"));
    assert_eq!(case.world.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn whoever_lost_the_operation_writes_nothing_any_more() {
    let case = script(&World::native(), "stop stop-native").await;
    let fence = case.store.take_over(case.id).await.unwrap();
    let operation = case.operation().await;
    case.store.take_over(case.id).await.unwrap();
    let approved = Approved::resumed(&operation).unwrap();
    let observer = Observer::new(case.id, People::default());
    let grants = Grants::for_service(&service(&[]));
    let request = RunRequest {
        approved: &approved,
        operation: &operation,
        phase: Phase::Run,
        fence,
        grants,
    };
    let clock = Arc::new(case.clock.clone());
    let end = ENGINE
        .run(
            &case.plugin,
            &case.hosts,
            clock,
            case.store.clone(),
            request,
            observer,
        )
        .await;
    assert_eq!(end, RunEnd::Fenced);
    assert_eq!(case.world.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn another_order_of_calls_than_the_journals_is_a_divergence_and_performs_nothing() {
    let world = World::native();
    let plan = plan_with(
        &ENGINE,
        &*scripted().await,
        &world,
        service(&[("plan", PLAN)]),
    )
    .await;
    let case = Case::of_plan(lies().await, world.clone(), plan.unwrap()).await;
    assert_eq!(case.run().await.0, RunEnd::Finished);
    let (changes, journal) = (world.changes(), case.journal().await);

    // A plugin that is not as deterministic as it should be.
    for (lie, expected) in [
        ("another-order", "process.stop"),
        ("early-return", "progress.begin"),
    ] {
        let mut operation = case.operation().await;
        let plan = operation.plan.as_mut().unwrap();
        plan.service.settings.push(Setting {
            name: "lie".into(),
            value: lie.into(),
        });
        operation.digest = Some(plan.digest());
        let approved = Approved::resumed(&operation).unwrap();
        let fence = case.store.take_over(case.id).await.unwrap();
        let observer = Observer::new(case.id, People::default());
        let grants = Grants::for_service(&service(&[]));
        let request = RunRequest {
            approved: &approved,
            operation: &operation,
            phase: Phase::Run,
            fence,
            grants,
        };
        let clock = Arc::new(case.clock.clone());
        let end = ENGINE
            .run(
                &case.plugin,
                &case.hosts,
                clock,
                case.store.clone(),
                request,
                observer,
            )
            .await;
        let RunEnd::Diverged {
            expected: found, ..
        } = &end
        else {
            panic!("{lie}: {end}")
        };
        assert!(found.starts_with(expected), "{lie}: {end}");
    }
    assert_eq!((world.changes(), case.journal().await), (changes, journal));
}

#[tokio::test]
async fn steps_must_be_of_the_plan_and_begin_before_they_end() {
    let case = script(
        &World::native(),
        "tell end work\ntell begin extra\ntell fail extra no\nbegin work\nend work\ntell end work",
    )
    .await;
    let (end, observer) = case.run().await;
    // `tell fail` is no call of the script's language.
    assert_eq!(end, RunEnd::Finished);
    let notes = observer.notes();
    assert!(notes[0].contains("step `work` has not begun"), "{notes:?}");
    assert!(
        notes[1].contains("the approved plan has no step `extra`"),
        "{notes:?}"
    );
    assert!(notes[3].contains("step `work` has not begun"), "{notes:?}");
}
