//! The bot's own look at the targets.

use rollbot_core::operation::Observed;
use rollbot_core::plan::{ComposeTarget, PointRegistry, StartProcesses, Target, WantedState};

use crate::support::operation::plan_with;
use crate::support::service::service;
use crate::support::world::{Fault, IMAGE, KEY, PORT, UNIT, World};
use crate::support::{ENGINE, trade};

fn native() -> StartProcesses {
    StartProcesses {
        host: "local".into(),
        units: vec![UNIT.into()],
        port: Some(PORT),
    }
}

fn containers() -> ComposeTarget {
    ComposeTarget {
        host: "local".into(),
        project: "cryptobot".into(),
        services: vec!["trade".into()],
    }
}

async fn see(world: &World, wanted: WantedState) -> Observed {
    let plan = plan_with(&ENGINE, &*trade().await, &World::native(), service(&[]))
        .await
        .unwrap();
    let target = Target {
        name: "target".into(),
        wanted,
    };
    ENGINE
        .observe(&world.hosts(), &[target], &plan)
        .await
        .remove(0)
}

#[tokio::test]
async fn native_is_stopped_when_no_unit_is_active_and_only_a_container_owns_the_port() {
    let world = World::native();
    let seen = see(&world, WantedState::NativeStopped(native())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "cryptobot-trade is running")
    );
    world.change(|state| {
        state.units.insert(UNIT.into(), false);
        state.stray = true;
    });
    let seen = see(&world, WantedState::NativeStopped(native())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "port 9003 is held by 4711 (trade-native)")
    );
    world.change(|state| {
        state.stray = false;
        state.containers.get_mut("trade").unwrap().0 = "running".into();
    });
    let seen = see(&world, WantedState::NativeStopped(native())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str(), seen.wanted.as_str()),
        (true, "stopped", "stopped")
    );
}

#[tokio::test]
async fn native_runs_when_its_units_are_active_and_it_owns_the_port() {
    let world = World::native();
    assert!(
        see(&world, WantedState::NativeRunning(native()))
            .await
            .holds
    );
    world.change(|state| {
        state.units.insert(UNIT.into(), false);
        state.containers.get_mut("trade").unwrap().0 = "running".into();
    });
    let seen = see(&world, WantedState::NativeRunning(native())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "cryptobot-trade is dead")
    );
}

#[tokio::test]
async fn containers_run_when_each_is_well_and_of_the_planned_image() {
    let world = World::native();
    let seen = see(&world, WantedState::ContainersRunning(containers())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "cryptobot_trade_1 is exited")
    );
    assert!(
        see(&world, WantedState::ContainersStopped(containers()))
            .await
            .holds
    );
    world.change(|state| {
        state
            .containers
            .insert("trade".into(), ("running".into(), IMAGE.into()));
    });
    assert!(
        see(&world, WantedState::ContainersRunning(containers()))
            .await
            .holds
    );
    assert!(
        !see(&world, WantedState::ContainersStopped(containers()))
            .await
            .holds
    );
    world.change(|state| {
        state
            .containers
            .insert("trade".into(), ("running".into(), IMAGE.replace('1', "2")));
    });
    let seen = see(&world, WantedState::ContainersRunning(containers())).await;
    assert!(
        !seen.holds && seen.observed.contains("not the planned image"),
        "{seen:?}"
    );
    world.change(|state| state.containers.clear());
    let seen = see(&world, WantedState::ContainersRunning(containers())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "trade has no container")
    );
}

#[tokio::test]
async fn the_registry_is_where_it_leads() {
    let world = World::native();
    let at = |value: &str| {
        WantedState::RegistryAt(PointRegistry {
            key: KEY.into(),
            value: value.into(),
        })
    };
    assert!(see(&world, at("127.0.0.1:9003")).await.holds);
    let seen = see(&world, at("127.0.0.1:9103")).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "127.0.0.1:9003")
    );
}

#[tokio::test]
async fn what_cannot_be_seen_does_not_hold() {
    let world = World::native();
    world.fail("process.status", [Fault::Failed("access denied")]);
    let seen = see(&world, WantedState::NativeStopped(native())).await;
    assert_eq!(
        (seen.holds, seen.observed.as_str()),
        (false, "it cannot be seen: access denied")
    );
    let elsewhere = StartProcesses {
        host: "elsewhere".into(),
        ..native()
    };
    let seen = see(&world, WantedState::NativeStopped(elsewhere)).await;
    assert!(
        !seen.holds && seen.observed.contains("not configured"),
        "{seen:?}"
    );
}
