//! Making plans.

use std::sync::Arc;
use std::time::Duration;

use rollbot_core::id::Digest;
use rollbot_core::plan::{BrokenPlan, EffectKind, Plan, Service};
use rollbot_engine::{Engine, EngineConfig, Limits, PlanError, TrapKind};

use crate::support::operation::{plan_with, request};
use crate::support::service::{QuickClock, service};
use crate::support::world::{Fault, IMAGE, World};
use crate::support::{ENGINE, limits, scripted, trade};

/// A plan of the scripted guest, with these lines.
async fn planned(world: &World, lines: &str) -> Result<Plan, PlanError> {
    let plugin = scripted().await;
    plan_with(&ENGINE, &plugin, world, service(&[("plan", lines)])).await
}

#[tokio::test]
async fn planning_changes_nothing_and_asks_a_lot() {
    let world = World::native();
    let before = world.state();
    let plan = plan_with(&ENGINE, &*trade().await, &world, service(&[]))
        .await
        .unwrap();
    assert_eq!(world.changes(), Vec::<String>::new());
    assert_eq!(world.state(), before);
    assert!(world.queries() > 4);
    let steps: Vec<_> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(
        steps,
        ["prepare", "stop", "back-up", "start", "verify", "switch"]
    );
    assert_eq!(plan.component, Digest::of(crate::support::bundled("trade")));
    assert!(plan.plugin.starts_with("trade "));
}

#[tokio::test]
async fn a_plan_made_again_has_the_same_digest_although_time_passed_and_data_was_written() {
    let (world, plugin, clock) = (
        World::native(),
        trade().await,
        Arc::new(QuickClock::default()),
    );
    let mut service = service(&[]);
    let hosts = world.hosts();
    let make = |service| ENGINE.plan(&plugin, &hosts, clock.clone(), request(service));
    let first = make(service.clone()).await.unwrap();
    service.cutover = None;
    let second = make(service).await.unwrap();
    assert_ne!(first.made_at, second.made_at);
    assert_ne!(first.data_loss, second.data_loss);
    assert_eq!(first.digest(), second.digest());
}

#[tokio::test]
async fn the_digest_changes_with_each_thing_that_it_covers() {
    let plugin = trade().await;
    let digest = async |world: &World, service, policy: &str, granted: Option<&str>| {
        let mut request = request(service);
        request.policy_version = policy.into();
        if let Some(unit) = granted {
            let host = request.grants.hosts.get_mut("local").unwrap();
            host.process.units.insert(unit.into());
        }
        let clock = Arc::new(QuickClock::default());
        ENGINE
            .plan(&plugin, &world.hosts(), clock, request)
            .await
            .unwrap()
            .digest()
    };
    let mut digests = vec![digest(&World::native(), service(&[]), "1", None).await];
    digests.push(digest(&World::native(), service(&[]), "2", None).await);
    digests.push(digest(&World::native(), service(&[]), "1", Some("another")).await);
    digests.push(digest(&World::native(), service(&[("stop-grace", "1")]), "1", None).await);
    let changes: [fn(&mut Service); 5] = [
        |service| service.registry_docker = "127.0.0.1:9".into(),
        |service| service.data_directory = "/opt/elsewhere".into(),
        |service| service.archive_name = "other".into(),
        |service| service.checks[0].check.within = 9,
        |service| service.port = None,
    ];
    for change in changes {
        let mut changed = service(&[]);
        change(&mut changed);
        digests.push(digest(&World::native(), changed, "1", None).await);
    }
    let another_image = World::native();
    another_image.change(|state| {
        state.containers.get_mut("trade").unwrap().1 = IMAGE.replace('1', "2");
    });
    digests.push(digest(&another_image, service(&[]), "1", None).await);
    let another_entry = World::native();
    another_entry.change(|state| {
        state.registry.get_mut("services/trade").unwrap().0 = "127.0.0.1:1".into();
    });
    digests.push(digest(&another_entry, service(&[]), "1", None).await);

    let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len(), "{digests:#?}");
}

#[tokio::test]
async fn what_only_the_bot_knows_is_pinned() {
    let plan = plan_with(&ENGINE, &*trade().await, &World::native(), service(&[]))
        .await
        .unwrap();
    let up = plan.effect("start-containers").unwrap();
    assert_eq!(up.pinned.images["trade"], IMAGE);
    assert_eq!(up.pinned.image_names["trade"], "cryptobot/trade:1.4.2");
    assert_eq!(up.pinned.containers["trade"], "cryptobot_trade_1");
    for name in ["point-registry", "undo-point-native"] {
        let point = plan.effect(name).unwrap();
        assert_eq!(
            point.pinned.registry_before.as_deref(),
            Some("127.0.0.1:9003")
        );
    }
}

#[tokio::test]
async fn an_effect_while_planning_is_not_in_the_plan() {
    let world = World::native();
    let lines = "step work\neffect stop-native stop\ntarget native-stopped\ncall stop stop-native";
    let error = planned(&world, lines).await.unwrap_err();
    let PlanError::Refused(said) = error else {
        panic!("{error}")
    };
    assert!(
        said.contains("not in the approved plan: process.stop was called while planning"),
        "{said}"
    );
    assert_eq!(world.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn people_are_not_asked_and_nothing_is_told_while_planning() {
    for (line, expected) in [
        ("ask May I?|yes=Yes", "people are not asked while planning"),
        ("begin work", "not in the approved plan"),
        ("note hello", "not in the approved plan"),
    ] {
        let lines = format!("step work\ntarget native-stopped\ncall {line}");
        let error = planned(&World::native(), &lines).await.unwrap_err();
        let PlanError::Refused(said) = error else {
            panic!("{error}")
        };
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_query_outside_the_grants_is_denied_while_planning() {
    let lines = "step work\ntarget native-stopped\ncall get another/key";
    let error = planned(&World::native(), lines).await.unwrap_err();
    let PlanError::Refused(said) = error else {
        panic!("{error}")
    };
    assert!(
        said.contains("registry key `another/key` is not among the grants"),
        "{said}"
    );
}

#[tokio::test]
async fn a_plan_outside_the_grants_is_refused_by_the_name_of_its_effect() {
    let plugin = scripted().await;
    let lines = "step work\neffect stop-native stop\nundo start-it start\ntarget native-stopped";
    let mut request = request(service(&[("plan", lines)]));
    request
        .grants
        .hosts
        .get_mut("local")
        .unwrap()
        .process
        .units
        .clear();
    let clock = Arc::new(QuickClock::default());
    let error = ENGINE
        .plan(&plugin, &World::native().hosts(), clock, request)
        .await
        .unwrap_err();
    let PlanError::OutsideGrants { name, why } = error else {
        panic!("{error}")
    };
    assert_eq!(name, "stop-native");
    assert!(why.contains("unit `cryptobot-trade` on `local`"), "{why}");
}

#[tokio::test]
async fn a_target_outside_the_grants_is_refused_as_well() {
    let plugin = scripted().await;
    let lines = "step work\neffect stop-native stop\ntarget registry-docker";
    let mut request = request(service(&[("plan", lines)]));
    request.grants.registry.keys.clear();
    let clock = Arc::new(QuickClock::default());
    let error = ENGINE
        .plan(&plugin, &World::native().hosts(), clock, request)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, PlanError::OutsideGrants { name, .. } if name == "registry-docker"),
        "{error}"
    );
}

#[tokio::test]
async fn a_plan_whose_images_cannot_be_found_out_is_none() {
    let world = World::native();
    world.fail("docker.ready", [Fault::Failed("no space left on device")]);
    let lines = "step work\neffect start-it up\ntarget containers-running";
    let error = planned(&world, lines).await.unwrap_err();
    assert!(
        matches!(&error, PlanError::Unpinned { effect, why }
            if effect == "start-it" && why.contains("no space left")),
        "{error}"
    );
}

#[tokio::test]
async fn broken_plans_are_refused() {
    let no_target = planned(&World::native(), "step work\neffect stop-native stop").await;
    assert_eq!(
        no_target.unwrap_err(),
        PlanError::Broken(BrokenPlan::NoTarget)
    );
    let twice = "step work\neffect it stop\nundo it start\ntarget native-stopped";
    assert!(matches!(
        planned(&World::native(), twice).await.unwrap_err(),
        PlanError::Broken(BrokenPlan::Twice { .. })
    ));
}

#[tokio::test]
async fn the_plugins_own_reasons_are_handed_on() {
    let gave_up = planned(&World::native(), "give-up no reason at all")
        .await
        .unwrap_err();
    assert_eq!(gave_up, PlanError::Refused("no reason at all".into()));
    let mut incomplete = service(&[]);
    incomplete
        .checks
        .retain(|named| named.name != "paper-order");
    let error = plan_with(&ENGINE, &*trade().await, &World::native(), incomplete)
        .await
        .unwrap_err();
    let PlanError::Misconfigured(said) = error else {
        panic!("{error}")
    };
    assert!(said.contains("paper-order"), "{said}");
}

#[tokio::test]
async fn a_procedure_that_the_plugin_does_not_have_is_not_planned() {
    let mut request = request(service(&[]));
    request.procedure = "recover".into();
    let clock = Arc::new(QuickClock::default());
    let error = ENGINE
        .plan(&*trade().await, &World::native().hosts(), clock, request)
        .await;
    let PlanError::NoProcedure { has, .. } = error.unwrap_err() else {
        panic!()
    };
    assert_eq!(has, "rollback, undo");
}

#[tokio::test]
async fn secrets_reach_neither_the_plan_nor_the_plugin() {
    let world = World::native();
    world.show_secret("hunter2");
    let plugin = scripted().await;
    let hosts = world.hosts_redacting(["hunter2".to_owned()]);
    world.change(|state| {
        state
            .registry
            .insert("services/trade".into(), ("hunter2.example.org".into(), 1));
    });
    // The answer of the registry reaches the plan through a pinned value.
    let lines = "step work\ntarget native-stopped\neffect point-it point";
    let clock = Arc::new(QuickClock::default());
    let request = request(service(&[("plan", lines)]));
    let plan = ENGINE.plan(&plugin, &hosts, clock, request).await.unwrap();
    let before = plan
        .effect("point-it")
        .unwrap()
        .pinned
        .registry_before
        .clone();
    assert_eq!(before.as_deref(), Some("[redacted].example.org"));
}

#[tokio::test]
async fn effects_keep_their_kinds_and_targets() {
    let lines = "step work\neffect a stop\nafter a b stop-by-port\neffect c submit order\n\
                 undo d point-native\ntarget native-stopped\nundo-target native-running\n\
                 warning beware\nnone-since 1000";
    let plan = planned(&World::native(), lines).await.unwrap();
    let functions: Vec<_> = plan
        .effects()
        .map(|effect| effect.kind.function())
        .collect();
    assert_eq!(
        functions,
        [
            "process.stop",
            "probe.submit",
            "process.stop",
            "registry.point"
        ]
    );
    let EffectKind::Submit(send) = &plan.effect("c").unwrap().kind else {
        panic!()
    };
    assert_eq!(send.check, service(&[]).checks[3].check);
    assert!(plan.has_contingency_after("a"));
    assert_eq!(plan.warnings, ["beware"]);
    assert_eq!(plan.undo_targets.len(), 1);
}

async fn engine_with(change: impl FnOnce(&mut Limits)) -> Engine {
    let mut limits = limits();
    change(&mut limits);
    Engine::new(EngineConfig {
        cache_dir: None,
        limits,
    })
    .unwrap()
}

async fn misbehave(engine: &Engine, bytes: &[u8], procedure: &str) -> PlanError {
    let plugin = engine.load("guest", bytes).await.unwrap();
    let mut request = request(service(&[]));
    request.procedure = procedure.into();
    let clock = Arc::new(QuickClock::default());
    engine
        .plan(&plugin, &World::native().hosts(), clock, request)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn guests_that_misbehave_while_planning_end() {
    let by_fuel = engine_with(|limits| limits.fuel_slice = 20_000_000).await;
    let error = misbehave(&by_fuel, rollbot_test_guests::LOOPS, "loop-in-plan").await;
    assert!(
        matches!(
            error,
            PlanError::Trapped {
                kind: TrapKind::Fuel,
                ..
            }
        ),
        "{error}"
    );
    let by_time = engine_with(|limits| limits.compute_time = Duration::from_millis(100)).await;
    let error = misbehave(&by_time, rollbot_test_guests::LOOPS, "loop-in-plan").await;
    assert!(
        matches!(
            error,
            PlanError::Trapped {
                kind: TrapKind::Time,
                ..
            }
        ),
        "{error}"
    );
    let by_deadline = engine_with(|limits| limits.plan_deadline = Duration::from_millis(100)).await;
    let error = misbehave(&by_deadline, rollbot_test_guests::LOOPS, "loop-in-plan").await;
    assert!(matches!(error, PlanError::TooLong { .. }), "{error}");

    let error = misbehave(&ENGINE, rollbot_test_guests::EATS_MEMORY, "eat-in-plan").await;
    assert!(
        matches!(
            error,
            PlanError::Trapped {
                kind: TrapKind::Memory,
                ..
            }
        ),
        "{error}"
    );
    let error = misbehave(&ENGINE, rollbot_test_guests::PANICS, "panic-in-plan").await;
    assert!(
        matches!(
            error,
            PlanError::Trapped {
                kind: TrapKind::Panic,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_plan_that_is_too_large_or_asks_too_much_is_refused() {
    let plugin = ENGINE
        .load("chatty", rollbot_test_guests::CHATTY)
        .await
        .unwrap();
    for chat in ["plan", "title"] {
        let error = plan_with(
            &ENGINE,
            &plugin,
            &World::native(),
            service(&[("chat", chat)]),
        )
        .await;
        assert!(
            matches!(error, Err(PlanError::TooMuch { .. } | PlanError::Broken(_))),
            "{chat}: {error:?}"
        );
    }
    let lines = format!(
        "step work\ntarget native-stopped\n{}",
        "call now\n".repeat(600)
    );
    let error = planned(&World::native(), &lines).await.unwrap_err();
    assert_eq!(
        error,
        PlanError::TooMuch {
            what: "more than 500 calls while planning".into()
        }
    );
}
