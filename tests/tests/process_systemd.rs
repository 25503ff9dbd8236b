//! Units of a real systemd, which runs in a container; its bus is reached from here.
//!
//! Which systemd: `rollbot_tests::systemd`. There is no way to skip these tests: without Docker, or
//! without root, they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
    sync::Arc,
    time::Duration,
};

use rollbot_host::process::{
    Deadlines, Error, Processes, StartRequest, StopMethod, StopRequest, Systemd, UnitState,
};
use rollbot_tests::systemd::{BUS, Machine};
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

const DEADLINES: Deadlines = Deadlines {
    call: Duration::from_secs(20),
    start: Duration::from_secs(60),
    kill: Duration::from_secs(30),
    settle: Duration::from_millis(700),
};

/// Longer than any unit here needs that ends by itself.
const PATIENT: Duration = Duration::from_secs(60);

fn machine() -> Arc<Machine> {
    Machine::shared().unwrap()
}

fn systemd_of(machine: &Machine) -> Systemd {
    Systemd::new(Some(machine.address().to_owned()), DEADLINES).unwrap()
}

fn start(units: &[&str]) -> StartRequest {
    StartRequest {
        units: units.iter().map(|u| (*u).to_owned()).collect(),
        port: None,
    }
}

fn stop(units: &[&str], grace: Duration) -> StopRequest {
    StopRequest {
        method: StopMethod::ServiceManager,
        units: units.iter().map(|u| (*u).to_owned()).collect(),
        port: None,
        grace,
    }
}

async fn state(systemd: &Systemd, unit: &str) -> UnitState {
    let seen = systemd.status(&[unit.to_owned()], None).await.unwrap();
    seen.units[0].state
}

#[tokio::test]
async fn units_are_started_and_stopped_in_order_and_observed() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let units = ["cryptobot-trade", "cryptobot-data.service"];

    let started = systemd.start(&start(&units)).await.unwrap();
    assert!(started.status.service_manager);
    for (asked, seen) in units.iter().zip(&started.status.units) {
        assert_eq!(seen.unit, *asked);
        assert_eq!(seen.state, UnitState::Active);
        assert_eq!(seen.sub_state, "running");
        assert!(seen.pid.is_some());
    }
    assert!(
        started
            .how
            .starts_with("systemd started cryptobot-trade.service as "),
        "{}",
        started.how
    );

    let stopped = systemd.stop(&stop(&units, PATIENT)).await.unwrap();
    for seen in &stopped.status.units {
        assert_eq!(seen.state, UnitState::Inactive);
        assert_eq!(seen.sub_state, "dead");
        assert_eq!(seen.pid, None);
    }
    assert!(
        stopped
            .how
            .starts_with("systemd stopped cryptobot-trade.service (main process "),
        "{}",
        stopped.how
    );
    assert!(!stopped.how.contains("killed"), "{}", stopped.how);
}

#[tokio::test]
async fn starting_what_runs_and_stopping_what_is_stopped_succeeds() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let unit = "rollbot-test@twice";
    let first = systemd.start(&start(&[unit])).await.unwrap();
    let second = systemd.start(&start(&[unit])).await.unwrap();
    assert_eq!(first.status, second.status);
    assert!(second.how.contains("was running already"), "{}", second.how);
    systemd.stop(&stop(&[unit], PATIENT)).await.unwrap();
    let again = systemd.stop(&stop(&[unit], PATIENT)).await.unwrap();
    assert!(again.how.contains("was not running"), "{}", again.how);
}

#[tokio::test]
async fn an_unknown_unit_is_named_and_nothing_else_is_touched() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let known = "rollbot-test@bystander";
    systemd.start(&start(&[known])).await.unwrap();
    for error in [
        systemd
            .stop(&stop(&[known, "cryptobot-trad"], PATIENT))
            .await
            .unwrap_err(),
        systemd
            .start(&start(&[known, "cryptobot-trad"]))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            error,
            Error::UnknownUnit("systemd knows no unit cryptobot-trad.service".into())
        );
    }
    assert_eq!(state(&systemd, known).await, UnitState::Active);
    assert_eq!(state(&systemd, "cryptobot-trad").await, UnitState::NotFound);
    systemd.stop(&stop(&[known], PATIENT)).await.unwrap();
}

#[tokio::test]
async fn a_unit_that_ignores_sigterm_is_killed_when_the_grace_is_over() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let unit = "cryptobot-stubborn";
    systemd.start(&start(&[unit])).await.unwrap();
    let report = systemd
        .stop(&stop(&[unit], Duration::from_millis(500)))
        .await
        .unwrap();
    assert!(report.how.contains("was killed"), "{}", report.how);
    assert_ne!(report.status.units[0].state, UnitState::Active);
    assert_eq!(report.status.units[0].pid, None);
}

#[tokio::test]
async fn a_unit_that_systemd_had_to_kill_is_stopped_and_the_report_says_so() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let unit = "cryptobot-slow";
    systemd.start(&start(&[unit])).await.unwrap();
    let report = systemd.stop(&stop(&[unit], PATIENT)).await.unwrap();
    assert!(
        report.how.contains("did not end cleanly: timeout"),
        "{}",
        report.how
    );
    assert_eq!(report.status.units[0].state, UnitState::Failed);
}

#[tokio::test]
async fn a_failing_stop_command_is_reported() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    let unit = "cryptobot-unclean";
    systemd.start(&start(&[unit])).await.unwrap();
    let report = systemd.stop(&stop(&[unit], PATIENT)).await.unwrap();
    assert!(
        report.how.contains("did not end cleanly: exit-code"),
        "{}",
        report.how
    );
    assert_eq!(report.status.units[0].pid, None);
}

#[tokio::test]
async fn a_unit_that_cannot_start_is_reported_with_the_verdict() {
    let machine = machine();
    let systemd = systemd_of(&machine);
    for (unit, words) in [
        ("cryptobot-broken", ["did not start", "result exit-code"]),
        (
            "cryptobot-dies",
            ["did not stay up", "exited with status 7"],
        ),
        // Seen while it is up or while it is down, as it happens.
        (
            "cryptobot-flapping",
            ["cryptobot-flapping.service ", ": it is "],
        ),
    ] {
        let error = systemd.start(&start(&[unit])).await.unwrap_err();
        let Error::Failed(text) = &error else {
            panic!("{unit}: {error:?}")
        };
        for word in words {
            assert!(text.contains(word), "{unit}: {text}");
        }
    }
    systemd
        .stop(&stop(&["cryptobot-flapping"], PATIENT))
        .await
        .unwrap();
}

/// A relay in front of the bus, whose connections can be cut.
struct Relay {
    _directory: tempfile::TempDir,
    address: String,
    cut: tokio::sync::watch::Sender<()>,
}

impl Relay {
    fn before(machine: &Machine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus");
        let listener = UnixListener::bind(&path).unwrap();
        let (cut, mut cuts) = tokio::sync::watch::channel(());
        let bus = machine.socket().unwrap();
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut client, _) = accepted.unwrap();
                        let mut server = UnixStream::connect(&bus).await.unwrap();
                        connections.spawn(async move {
                            let _ = copy_bidirectional(&mut client, &mut server).await;
                        });
                    }
                    changed = cuts.changed() => match changed {
                        Ok(()) => connections.abort_all(),
                        Err(_) => return,
                    },
                }
            }
        });
        Self {
            address: format!("unix:path={}", path.display()),
            _directory: directory,
            cut,
        }
    }
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let machine = machine();
    let relay = Relay::before(&machine);
    let systemd = Systemd::new(Some(relay.address.clone()), DEADLINES).unwrap();
    let unit = "rollbot-test@reconnect";
    systemd.start(&start(&[unit])).await.unwrap();
    for _ in 0..3 {
        relay.cut.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(state(&systemd, unit).await, UnitState::Active);
    }
    relay.cut.send(()).unwrap();
    systemd.stop(&stop(&[unit], PATIENT)).await.unwrap();
}

#[tokio::test]
async fn a_connection_lost_during_a_job_leaves_the_units_state_as_the_judge() {
    let machine = machine();
    let relay = Relay::before(&machine);
    let systemd = Systemd::new(Some(relay.address.clone()), DEADLINES).unwrap();
    let unit = "rollbot-slow@relay";
    systemd.start(&start(&[unit])).await.unwrap();
    let request = stop(&[unit], PATIENT);
    let (stopped, ()) = tokio::join!(systemd.stop(&request), async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        relay.cut.send(()).unwrap();
    });
    let report = stopped.unwrap();
    assert_eq!(report.status.units[0].state, UnitState::Failed);
    assert_eq!(report.status.units[0].pid, None);
}

/// Tries to start a unit, and prints what came of it.
#[tokio::test]
#[ignore = "it is run as another user by the next test"]
async fn play_a_bot_without_rights() {
    let Ok(address) = std::env::var(BUS) else {
        return;
    };
    let systemd = Systemd::new(Some(address), DEADLINES).unwrap();
    let unit = "rollbot-test@denied";
    println!("seen: {:?}", state(&systemd, unit).await);
    println!("said: {:?}", systemd.start(&start(&[unit])).await);
}

#[tokio::test]
async fn a_user_without_rights_sees_units_and_is_told_what_to_grant() {
    const NOBODY: u32 = 65_534;
    let machine = machine();
    // The directory of the build may be closed to other users.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("bot");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = Command::new(&program)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "play_a_bot_without_rights",
        ])
        .env(BUS, machine.address())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("seen: Inactive"), "{said}");
    assert!(said.contains("said: Err(Failed("), "{said}");
    assert!(
        said.contains("org.freedesktop.systemd1.manage-units"),
        "{said}"
    );
    assert!(said.contains("user 65534"), "{said}");
}
