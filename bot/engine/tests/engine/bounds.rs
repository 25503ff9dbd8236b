//! Guests that misbehave while they run: they end, and do nothing that was not approved.

use std::sync::Arc;
use std::time::Duration;

use rollbot_core::operation::Phase;
use rollbot_engine::{Engine, EngineConfig, EngineError, Limits, RunEnd, TrapKind};

use crate::running::PLAN;
use crate::support::observer::{Observer, People};
use crate::support::operation::{Case, plan_with};
use crate::support::service::service;
use crate::support::world::World;
use crate::support::{ENGINE, limits, scripted};

/// Runs a guest under these limits, with a plan that has the effects it may perform.
async fn run(
    bytes: &[u8],
    procedure: &str,
    settings: &[(&str, &str)],
    change: impl FnOnce(&mut Limits),
) -> (RunEnd, Case) {
    let mut limits = limits();
    change(&mut limits);
    let engine = Engine::new(EngineConfig {
        cache_dir: None,
        limits,
    })
    .unwrap();
    let plugin = engine.load("guest", bytes).await.unwrap();
    let world = World::native();
    let settings: Vec<_> = settings.iter().copied().chain([("plan", PLAN)]).collect();
    let mut plan = plan_with(&ENGINE, &*scripted().await, &world, service(&settings))
        .await
        .unwrap();
    plan.procedure = procedure.into();
    let case = Case::of_plan(plugin, world, plan).await;
    let observer = Observer::new(case.id, People::default());
    let end = case
        .run_as(
            &engine,
            &case.plugin,
            case.store.clone(),
            Phase::Run,
            &observer,
        )
        .await;
    (end, case)
}

#[tokio::test]
async fn a_guest_that_loops_runs_out_of_fuel() {
    let (end, case) = run(rollbot_test_guests::LOOPS, "rollback", &[], |limits| {
        limits.fuel_slice = 20_000_000;
    })
    .await;
    assert!(
        matches!(
            end,
            RunEnd::Trapped {
                kind: TrapKind::Fuel,
                ..
            }
        ),
        "{end}"
    );
    // Traps are never journaled; what was known before is.
    assert_eq!(case.calls().await, ["progress.begin"]);
}

#[tokio::test]
async fn a_guest_that_loops_with_fuel_runs_out_of_time_and_holds_nobody_up() {
    let begun = std::time::Instant::now();
    let looping = run(rollbot_test_guests::LOOPS, "rollback", &[], |limits| {
        limits.fuel_slice = u64::MAX / 4;
        limits.fuel_total = u64::MAX / 2;
        limits.compute_time = Duration::from_millis(300);
    });
    // On this executor of one thread, others go on in the meantime.
    let mut ticks = 0_u32;
    tokio::pin!(looping);
    let (end, _) = loop {
        tokio::select! {
            ended = &mut looping => break ended,
            () = tokio::time::sleep(Duration::from_millis(10)) => ticks += 1,
        }
    };
    assert!(
        matches!(
            end,
            RunEnd::Trapped {
                kind: TrapKind::Time,
                ..
            }
        ),
        "{end}"
    );
    assert!(ticks > 3, "{ticks} ticks in {:?}", begun.elapsed());
}

#[tokio::test]
async fn the_fuel_of_a_whole_run_is_bounded_too() {
    let script = [("script", "repeat 500 now")];
    let (end, _) = run(
        rollbot_test_guests::SCRIPTED,
        "rollback",
        &script,
        |limits| {
            limits.fuel_slice = 100_000;
            limits.fuel_total = 300_000;
        },
    )
    .await;
    assert!(
        matches!(
            end,
            RunEnd::Trapped {
                kind: TrapKind::Fuel,
                ..
            }
        ),
        "{end}"
    );
    let (end, _) = run(
        rollbot_test_guests::SCRIPTED,
        "rollback",
        &script,
        |limits| {
            limits.fuel_slice = 1_000_000;
            limits.fuel_total = 1_000_000_000;
        },
    )
    .await;
    assert_eq!(end, RunEnd::Finished);
}

#[tokio::test]
async fn a_guest_that_eats_memory_ends_at_its_limit() {
    let (end, case) = run(rollbot_test_guests::EATS_MEMORY, "rollback", &[], |_| {}).await;
    let RunEnd::Trapped {
        kind: TrapKind::Memory,
        detail,
    } = &end
    else {
        panic!("{end}")
    };
    assert!(detail.contains("67108864 are allowed"), "{detail}");
    assert_eq!(case.calls().await, ["progress.begin"]);
}

#[tokio::test]
async fn what_a_guest_did_before_it_panicked_is_in_the_journal() {
    let (end, case) = run(rollbot_test_guests::PANICS, "rollback", &[], |_| {}).await;
    assert!(
        matches!(
            end,
            RunEnd::Trapped {
                kind: TrapKind::Panic,
                ..
            }
        ),
        "{end}"
    );
    assert_eq!(case.world.changes(), ["process.stop units"]);
    let journal = case.journal().await;
    assert_eq!(journal[1].function, "process.stop");
    assert!(journal[1].outcome.is_some(), "{journal:#?}");
    let (end, case) = run(rollbot_test_guests::PANICS, "panic-at-once", &[], |_| {}).await;
    assert!(
        matches!(
            end,
            RunEnd::Trapped {
                kind: TrapKind::Panic,
                ..
            }
        ),
        "{end}"
    );
    assert_eq!(case.journal().await, Vec::new());
}

#[tokio::test]
async fn a_guest_that_calls_without_end_is_stopped() {
    let chat = [("chat", "calls")];
    let (end, case) = run(rollbot_test_guests::CHATTY, "rollback", &chat, |limits| {
        limits.calls = 200;
    })
    .await;
    assert_eq!(
        end,
        RunEnd::TooMuch {
            what: "more than 200 calls".into()
        }
    );
    assert_eq!(case.journal().await.len(), 200);
    assert_eq!(case.world.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_guest_that_says_too_much_is_stopped() {
    for (chat, performed) in [
        ("notes", 0),
        ("one-note", 0),
        ("evidence", 0),
        ("effect-name", 0),
    ] {
        let settings = [("chat", chat)];
        let (end, case) = run(rollbot_test_guests::CHATTY, "rollback", &settings, |_| {}).await;
        assert!(
            matches!(
                end,
                RunEnd::TooMuch { .. }
                    | RunEnd::Trapped {
                        kind: TrapKind::Other,
                        ..
                    }
            ),
            "{chat}: {end}"
        );
        assert_eq!(case.world.changes().len(), performed, "{chat}");
        assert_eq!(case.calls().await, ["progress.begin"], "{chat}");
    }
    let (end, _) = run(
        rollbot_test_guests::SCRIPTED,
        "rollback",
        &[("script", "repeat 100 note 0123456789")],
        |limits| limits.output = 500,
    )
    .await;
    assert_eq!(
        end,
        RunEnd::TooMuch {
            what: "more than 500 bytes of arguments in one run".into()
        }
    );
}

#[tokio::test]
async fn a_sleep_of_a_thousand_years_is_not_slept() {
    let chat = [("chat", "sleeps")];
    let (end, _) = run(rollbot_test_guests::CHATTY, "rollback", &chat, |_| {}).await;
    assert!(matches!(end, RunEnd::TooMuch { .. }), "{end}");
}

#[tokio::test]
async fn what_is_no_plugin_is_not_loaded() {
    let error = ENGINE
        .load("noise", b"not a component at all")
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::Invalid { .. }), "{error}");
    // A component that exports nothing.
    let empty = b"\0asm\x0d\0\x01\0";
    let error = ENGINE.load("empty", empty).await.unwrap_err();
    assert!(matches!(error, EngineError::Misfit { .. }), "{error}");
}

#[tokio::test]
async fn more_plugins_than_places_wait_for_each_other() {
    let limits = Limits {
        instances: 1,
        ..limits()
    };
    let engine = Arc::new(
        Engine::new(EngineConfig {
            cache_dir: None,
            limits,
        })
        .unwrap(),
    );
    let plugin = engine
        .load("scripted", rollbot_test_guests::SCRIPTED)
        .await
        .unwrap();
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (engine, plugin) = (engine.clone(), plugin.clone());
        runs.spawn(async move {
            let settings = [("plan", PLAN), ("script", "status\nnow")];
            let case = Case::new(scripted().await, World::native(), &settings).await;
            let observer = Observer::new(case.id, People::default());
            case.run_as(&engine, &plugin, case.store.clone(), Phase::Run, &observer)
                .await
        });
    }
    while let Some(end) = runs.join_next().await {
        assert_eq!(end.unwrap(), RunEnd::Finished);
    }
}
