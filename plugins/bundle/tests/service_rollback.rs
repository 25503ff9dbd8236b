//! The official plugins at work, as components, on a model of a machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod model;

use model::{
    Broken, Capability, Decision, EffectKind, Failure, HttpMethod, Machine, PortOwner, Setting,
    describe, failing, plan, run, service,
};

const WHOLE_ROLLBACK: [&str; 5] = [
    "stop stop-native",
    "archive back-up-data",
    "up start-containers",
    "transact paper-order",
    "point point-registry",
];

fn assert_rolled_back(machine: &Machine) {
    assert!(!machine.native && machine.container);
    assert_eq!(machine.registry.as_deref(), Some("127.0.0.2:9003"));
}

#[test]
fn a_bundled_plugin_describes_itself_by_the_name_it_is_bundled_under() {
    for bundled in rollbot_plugins::components() {
        let (name, service_type, wants) = describe(bundled.name);
        assert_eq!(name, bundled.name);
        assert_eq!(service_type, bundled.name);
        assert_eq!(wants.contains(&Capability::Ask), name == "trade");
    }
}

#[test]
fn a_rollback_goes_through_its_six_steps_in_order() {
    let (result, machine) = run("trade", "rollback", &service(), Machine::new());
    assert!(result.is_ok());
    assert_rolled_back(&machine);
    assert_eq!(machine.effects_done(), WHOLE_ROLLBACK);
    let steps = ["prepare", "stop", "back-up", "start", "verify", "switch"];
    let expected: Vec<String> = steps
        .iter()
        .flat_map(|step| [format!("begin {step}"), format!("end {step}")])
        .collect();
    assert_eq!(machine.logged(&["begin", "end", "failed"]), expected);
    // The switch is followed as a client would.
    assert!(
        machine
            .log
            .contains(&"check http://127.0.0.2:9003/health".to_owned())
    );
    for said in [
        "Port 9003 is free.",
        "2 log lines read, 1 looks like errors.",
        "trade: ERROR no route to data",
        "trade_service_20261122200000.tar.zst: 12 files, 4.2 kB, read back in full, every checksum matches.",
        "services/trade leads to 127.0.0.2:9003; before, to 127.0.0.1:9003.",
    ] {
        assert!(
            machine.notes.iter().any(|note| note == said),
            "{said}: {:#?}",
            machine.notes
        );
    }
}

#[test]
fn every_effect_that_is_performed_is_in_the_plan_under_its_kind() {
    let plan = plan("trade", &service(), Machine::new()).unwrap();
    let planned: Vec<(&str, &EffectKind)> = plan
        .steps
        .iter()
        .flat_map(|step| &step.effects)
        .map(|effect| (effect.name.as_str(), &effect.kind))
        .collect();
    let names: Vec<&str> = planned.iter().map(|(name, _)| *name).collect();
    let performed: Vec<&str> = WHOLE_ROLLBACK
        .iter()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(names, performed);
    assert!(matches!(planned[3].1, EffectKind::Transact(_)));
    assert_eq!(plan.targets.len(), 3);
    assert_eq!(plan.undo_targets.len(), 3);
}

#[test]
fn a_paper_endpoint_without_idempotency_keys_gets_one_submission() {
    let mut service = service();
    service.checks[5].check.idempotency_key = false;
    let planned = plan("trade", &service, Machine::new()).unwrap();
    assert!(
        planned.steps[4]
            .effects
            .iter()
            .any(|effect| matches!(effect.kind, EffectKind::Submit(_)))
    );
    let (result, machine) = run("trade", "rollback", &service, Machine::new());
    assert!(result.is_ok());
    assert_eq!(
        machine.logged(&["transact", "submit"]),
        ["submit paper-order"]
    );
}

#[test]
fn a_service_manager_that_fails_is_followed_by_the_owner_of_the_port() {
    let mut machine = Machine::new();
    machine.breaks("stop-native", &[Broken::Fails]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_rolled_back(&machine);
    assert_eq!(
        machine.logged(&["stop", "failed"]),
        ["stop stop-native", "stop stop-by-port"]
    );
}

#[test]
fn a_port_still_held_after_the_stop_is_freed_by_its_owner() {
    let mut machine = Machine::new();
    machine.idle.push("stop-native".into());
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_rolled_back(&machine);
    assert_eq!(
        machine.logged(&["stop"]),
        ["stop stop-native", "stop stop-by-port"]
    );
    assert!(machine.slept >= 30_000, "it waited for the port first");
}

#[test]
fn a_native_service_that_cannot_be_stopped_is_put_before_people_and_nothing_starts() {
    let mut machine = Machine::new();
    machine
        .idle
        .extend(["stop-native".into(), "stop-by-port".into()]);
    machine.wait_decisions(&[
        Decision::Skip,
        Decision::Skip,
        Decision::Skip,
        Decision::Skip,
    ]);
    let (_, machine) = run("trade", "rollback", &service(), machine);
    assert_eq!(machine.logged(&["up"]), [] as [&str; 0]);
    assert!(
        machine.evidence[0]
            .summary
            .contains("still runs 30 s after the stop")
    );
    assert_eq!(
        machine.evidence[0].details,
        [
            "cryptobot-trade is running.",
            "Port 9003 is held by trade-native (pid 4711)."
        ]
    );
}

#[test]
fn without_a_service_manager_a_containers_proxy_is_never_stopped() {
    let machine = Machine {
        manager: false,
        native: false,
        container: true,
        ..Machine::new()
    };
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_eq!(machine.logged(&["stop"]), [] as [&str; 0]);
    assert_rolled_back(&machine);
}

#[test]
fn what_cannot_start_stops_nothing() {
    let without_image = || Machine {
        image_missing: true,
        ..Machine::new()
    };
    let warnings = plan("trade", &service(), without_image()).unwrap().warnings;
    assert_eq!(
        warnings,
        ["trade cannot be started: The image cryptobot/trade:1.4.2 is missing."]
    );
    let mut machine = without_image();
    machine.wait_decisions(&[Decision::Retry, Decision::Skip]);
    let (_, machine) = run("trade", "rollback", &service(), machine);
    assert_eq!(
        machine.logged(&["failed", "stop"])[..3],
        ["failed prepare", "failed prepare", "stop stop-native"]
    );
    assert_eq!(
        machine.evidence[0].summary,
        "trade cannot be started in Docker; the native service was not touched"
    );
}

#[test]
fn an_empty_data_directory_is_found_before_the_stop() {
    let mut machine = Machine {
        data_files: 0,
        ..Machine::new()
    };
    machine.wait_decisions(&[Decision::Skip]);
    let (_, machine) = run("trade", "rollback", &service(), machine);
    assert!(machine.evidence[0].summary.contains("/data/trade is empty"));
    let first_failure = machine.log.iter().position(|line| line == "failed prepare");
    let stop = machine
        .log
        .iter()
        .position(|line| line == "stop stop-native");
    assert!(first_failure.unwrap() < stop.unwrap());
}

#[test]
fn a_failed_verification_is_run_again_when_people_say_so() {
    let mut machine = Machine::new();
    machine.check_answers("api-orders", vec![failing("expected 200")]);
    machine.wait_decisions(&[Decision::Retry]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_eq!(
        machine.logged(&["begin", "failed", "end"])[8..12],
        [
            "begin verify",
            "failed verify",
            "begin verify",
            "end verify"
        ]
    );
    assert_eq!(
        machine.evidence[0].summary,
        "Check api-orders did not pass: it answered 503 after 5 ms: expected 200"
    );
    assert_eq!(
        machine.evidence[0].details,
        ["expected 200", "The answer began: not now"]
    );
}

#[test]
fn a_paper_order_that_is_not_executed_is_not_verified() {
    let mut machine = Machine::new();
    machine.check_answers("paper-order", vec![failing("/state is \"rejected\"")]);
    machine.wait_decisions(&[Decision::Skip]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert!(
        machine.evidence[0]
            .summary
            .contains("The paper order was not executed")
    );
    assert!(!machine.log.contains(&"end verify".to_owned()));
}

#[test]
fn a_skipped_effect_lets_its_step_go_on() {
    let mut machine = Machine::new();
    machine.breaks("back-up-data", &[Broken::Skipped]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert!(machine.log.contains(&"end back-up".to_owned()));
    assert_rolled_back(&machine);
}

#[test]
fn an_effect_that_is_refused_ends_the_run() {
    let mut machine = Machine::new();
    machine.breaks("start-containers", &[Broken::NotInPlan]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(matches!(result, Err(Failure::Host(_))), "{result:?}");
    assert!(!machine.container);
    assert!(!machine.log.contains(&"point point-registry".to_owned()));
}

#[test]
fn orders_in_flight_are_waited_for() {
    let mut machine = Machine::new();
    machine.check_answers("in-flight", vec![failing("/count is 2"); 3]);
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_eq!(machine.slept, 6_000);
    assert_eq!(machine.logged(&["?"]), [] as [&str; 0]);
}

#[test]
fn people_decide_about_orders_that_stay_in_flight() {
    let mut service = service();
    service.settings = [("in-flight-poll", "1000"), ("in-flight-limit", "5000")]
        .map(|(name, value)| Setting {
            name: name.into(),
            value: value.into(),
        })
        .into();
    let mut machine = Machine::new();
    machine.check_answers("in-flight", vec![failing("/count is 2"); 100]);
    machine.answers = ["wait".to_owned(), "stop-anyway".to_owned()].into();
    let (result, machine) = run("trade", "rollback", &service, machine);
    assert!(result.is_ok());
    assert_eq!(
        machine.logged(&["?"]),
        ["? Orders are still in flight after 5 s. Stop the native service all the same?"; 2]
    );
    assert!(
        (10_000..12_000).contains(&machine.slept),
        "{}",
        machine.slept
    );
    assert_rolled_back(&machine);
}

#[test]
fn orders_in_flight_are_a_warning_before_the_vote() {
    let mut machine = Machine::new();
    machine.check_answers("in-flight", vec![failing("/count is 2")]);
    let warnings = plan("trade", &service(), machine).unwrap().warnings;
    assert_eq!(
        warnings,
        ["Orders are in flight now: the stop waits for them up to 60 s, then asks."]
    );
}

#[test]
fn a_service_that_already_stopped_is_not_asked_for_orders() {
    let machine = Machine {
        native: false,
        ..Machine::new()
    };
    let (result, machine) = run("trade", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert!(!machine.log.iter().any(|line| line.ends_with("/in-flight")));
    assert_rolled_back(&machine);
}

#[test]
fn data_counts_as_verified_once_rows_are_fresh() {
    let mut machine = Machine::new();
    machine.check_answers("fresh-rows", vec![failing("the newest row is 2 h old"); 4]);
    let (result, machine) = run("data", "rollback", &service(), machine);
    assert!(result.is_ok());
    assert_eq!(machine.slept, 2_000);
    assert_rolled_back(&machine);

    let mut machine = Machine::new();
    machine.check_answers(
        "fresh-rows",
        vec![failing("the newest row is 2 h old"); 1_000],
    );
    machine.wait_decisions(&[Decision::Skip]);
    let (_, machine) = run("data", "rollback", &service(), machine);
    assert!(
        machine.evidence[0]
            .summary
            .contains("the newest row is 2 h old")
    );
}

#[test]
fn a_missing_or_unfit_check_is_named_and_nothing_is_touched() {
    for (plugin, name) in [
        ("trade", "in-flight"),
        ("trade", "paper-order"),
        ("trade", "health"),
        ("data", "fresh-rows"),
    ] {
        let mut incomplete = service();
        incomplete.checks.retain(|check| check.name != name);
        for result in [
            plan(plugin, &incomplete, Machine::new()).map(|_| ()),
            run(plugin, "rollback", &incomplete, Machine::new()).0,
        ] {
            let Err(Failure::Misconfigured(said)) = result else {
                panic!("{plugin} without {name}: {result:?}");
            };
            assert!(
                said.contains(&format!("`{name}`")) && said.contains("services.toml"),
                "{said}"
            );
        }
    }
    let mut posting = service();
    posting.checks[3].check.method = HttpMethod::Post;
    assert!(matches!(
        plan("trade", &posting, Machine::new()),
        Err(Failure::Misconfigured(_))
    ));
}

#[test]
fn undo_stops_the_containers_before_the_native_start_and_leads_traffic_back_last() {
    let (result, machine) = run("trade", "undo", &service(), Machine::rolled_back());
    assert!(result.is_ok());
    assert_eq!(
        machine.effects_done(),
        [
            "down undo-stop-containers",
            "start undo-start-native",
            "point undo-point-native"
        ]
    );
    assert!(machine.native && !machine.container);
    assert_eq!(machine.registry.as_deref(), Some("127.0.0.1:9003"));
    assert!(
        machine
            .log
            .contains(&"check http://127.0.0.1:9003/health".to_owned())
    );
}

#[test]
fn undo_of_what_did_not_begin_changes_nothing() {
    let (result, machine) = run("trade", "undo", &service(), Machine::new());
    assert!(result.is_ok());
    assert_eq!(machine.effects_done(), [] as [&str; 0]);
}

#[test]
fn undo_after_the_stop_starts_the_native_service_again() {
    let machine = Machine {
        native: false,
        ..Machine::new()
    };
    let (result, machine) = run("trade", "undo", &service(), machine);
    assert!(result.is_ok());
    assert_eq!(machine.effects_done(), ["start undo-start-native"]);
}

#[test]
fn undo_does_not_start_onto_a_port_that_somebody_holds() {
    let mut machine = Machine {
        native: false,
        manager: false,
        container: false,
        squatter: Some(PortOwner {
            port: 9003,
            pid: 12,
            name: "dockerd".into(),
        }),
        ..Machine::new()
    };
    machine.wait_decisions(&[Decision::Skip]);
    let (_, machine) = run("trade", "undo", &service(), machine);
    assert_eq!(machine.logged(&["start"]), [] as [&str; 0]);
    assert!(
        machine.evidence[0]
            .summary
            .contains("still held by dockerd (pid 12)")
    );
}

#[test]
fn an_unhealthy_native_service_gets_no_traffic_back_without_people() {
    let mut machine = Machine::rolled_back();
    machine.check_answers("health", vec![failing("expected 200"); 1_000]);
    machine.wait_decisions(&[Decision::Skip]);
    let (_, machine) = run("trade", "undo", &service(), machine);
    let failed = machine
        .log
        .iter()
        .position(|line| line == "failed stop")
        .unwrap();
    let point = machine
        .log
        .iter()
        .position(|line| line == "point undo-point-native")
        .unwrap();
    assert!(failed < point);
    assert!(
        (55_000..=60_500).contains(&machine.slept),
        "{}",
        machine.slept
    );
}
