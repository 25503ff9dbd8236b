use std::{path::Path, time::Duration};

use rollbot_host_process::{
    CommandUnits, Deadlines, Error, Processes, ServiceManager, StartRequest, StopMethod,
    StopRequest, UnitState,
};

use crate::service::{Behaviour, ByHand, DEADLINES, free_port, unit};

const PATIENT: Duration = Duration::from_secs(30);

fn start(names: &[&str], port: Option<u16>) -> StartRequest {
    StartRequest {
        units: names.iter().map(|n| (*n).to_owned()).collect(),
        port,
    }
}

fn stop(names: &[&str], port: Option<u16>) -> StopRequest {
    StopRequest {
        method: StopMethod::ServiceManager,
        units: names.iter().map(|n| (*n).to_owned()).collect(),
        port,
        grace: PATIENT,
    }
}

fn manager(directory: &Path, behaviour: Behaviour, port: Option<u16>) -> CommandUnits {
    with_deadlines(directory, behaviour, port, DEADLINES)
}

fn with_deadlines(
    directory: &Path,
    behaviour: Behaviour,
    port: Option<u16>,
    deadlines: Deadlines,
) -> CommandUnits {
    let units = vec![unit(directory, "trade", behaviour, port)];
    CommandUnits::new(directory.join("state"), units, deadlines).unwrap()
}

async fn state(manager: &CommandUnits) -> UnitState {
    let seen = manager.status(&["trade".to_owned()], None).await.unwrap();
    seen.units[0].state
}

#[tokio::test]
async fn a_unit_is_started_seen_and_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    assert_eq!(state(&units).await, UnitState::Inactive);

    let started = units.start(&start(&["trade"], Some(port))).await.unwrap();
    let seen = &started.status.units[0];
    assert_eq!(seen.state, UnitState::Active);
    assert_eq!(seen.pid, started.status.owner.as_ref().map(|o| o.pid));
    assert!(
        started.how.starts_with("Started trade as "),
        "{}",
        started.how
    );

    // The ending that people write out of habit is understood.
    let stopped = units
        .stop(&stop(&["trade.service"], Some(port)))
        .await
        .unwrap();
    assert_eq!(stopped.status.units[0].state, UnitState::Inactive);
    assert_eq!(stopped.status.owner, None);
    assert!(stopped.how.contains("SIGTERM"), "{}", stopped.how);
}

#[tokio::test]
async fn starting_what_runs_and_stopping_what_is_stopped_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    let first = units.start(&start(&["trade"], None)).await.unwrap();
    let second = units.start(&start(&["trade"], None)).await.unwrap();
    assert_eq!(first.status.units, second.status.units);
    assert!(second.how.contains("running already"), "{}", second.how);
    units.stop(&stop(&["trade"], None)).await.unwrap();
    let again = units.stop(&stop(&["trade"], None)).await.unwrap();
    assert_eq!(again.how, "trade was not running");
}

#[tokio::test]
async fn two_starts_at_once_make_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let units = manager(directory.path(), Behaviour::NeverListens, None);
    let request = start(&["trade"], None);
    let (a, b) = tokio::join!(units.start(&request), units.start(&request));
    assert_eq!(a.unwrap().status.units, b.unwrap().status.units);
    units.stop(&stop(&["trade"], None)).await.unwrap();
}

#[tokio::test]
async fn a_unit_that_dies_at_once_is_reported_with_its_last_log_lines() {
    for port in [None, Some(free_port())] {
        let directory = tempfile::tempdir().unwrap();
        let units = manager(directory.path(), Behaviour::DiesAtOnce, port);
        let error = units.start(&start(&["trade"], None)).await.unwrap_err();
        let Error::Failed(text) = &error else {
            panic!("{error:?}")
        };
        assert!(text.contains("exit status: 7"), "{text}");
        assert!(text.contains("no such exchange: kraken"), "{text}");
        assert_eq!(state(&units).await, UnitState::Inactive);
    }
}

#[tokio::test]
async fn a_unit_that_never_listens_is_given_up_and_can_still_be_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let deadlines = Deadlines {
        start: Duration::from_secs(2),
        ..DEADLINES
    };
    let port = free_port();
    let units = with_deadlines(
        directory.path(),
        Behaviour::NeverListens,
        Some(port),
        deadlines,
    );
    let error = units.start(&start(&["trade"], None)).await.unwrap_err();
    let Error::TimedOut(text) = &error else {
        panic!("{error:?}")
    };
    assert!(text.contains("waiting for the database"), "{text}");
    assert_eq!(state(&units).await, UnitState::Activating);
    units.stop(&stop(&["trade"], Some(port))).await.unwrap();
    assert_eq!(state(&units).await, UnitState::Inactive);
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut broken = unit(directory.path(), "trade", Behaviour::Listens, None);
    broken.argv = vec!["/opt/nowhere/trade".to_owned()];
    let units = CommandUnits::new(directory.path().join("s"), vec![broken], DEADLINES).unwrap();
    let error = units.start(&start(&["trade"], None)).await.unwrap_err();
    assert!(error.to_string().contains("/opt/nowhere/trade"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_owned_already_counts_as_running() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let service = ByHand::start(Behaviour::Listens, port);
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    assert_eq!(state(&units).await, UnitState::Active);
    let report = units.start(&start(&["trade"], Some(port))).await.unwrap();
    assert_eq!(report.status.units[0].pid, Some(service.0.id()));
    let stopped = units.stop(&stop(&["trade"], Some(port))).await.unwrap();
    assert_eq!(stopped.status.units[0].state, UnitState::Inactive);
}

#[tokio::test]
async fn a_foreign_owner_of_the_port_makes_a_stop_of_units_fail() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let service = ByHand::start(Behaviour::Listens, port);
    let units = manager(directory.path(), Behaviour::Listens, None);
    let error = units.stop(&stop(&["trade"], Some(port))).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(
        error.to_string().contains(&service.0.id().to_string()),
        "{error}"
    );
}

#[tokio::test]
async fn a_unit_stopped_by_its_port_does_not_look_as_if_it_had_failed() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    units.start(&start(&["trade"], None)).await.unwrap();
    let mut request = stop(&["trade"], Some(port));
    request.method = StopMethod::PortOwner;
    let report = units.stop(&request).await.unwrap();
    assert_eq!(report.status.units[0].state, UnitState::Inactive);
}

#[tokio::test]
async fn a_unit_that_died_by_itself_is_seen_as_failed() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    units.start(&start(&["trade"], None)).await.unwrap();
    rollbot_host_process::PortOwners::new(DEADLINES)
        .stop(&StopRequest {
            method: StopMethod::PortOwner,
            ..stop(&[], Some(port))
        })
        .await
        .unwrap();
    assert_eq!(state(&units).await, UnitState::Failed);
}

#[tokio::test]
async fn an_unknown_unit_is_named_and_nothing_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    units.start(&start(&["trade"], None)).await.unwrap();
    let error = units
        .stop(&stop(&["trade", "trad"], None))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        Error::UnknownUnit("No unit trad is configured; configured are: trade".into())
    );
    assert_eq!(state(&units).await, UnitState::Active);
    let seen = units.status(&["trad".to_owned()], None).await.unwrap();
    assert_eq!(seen.units[0].state, UnitState::NotFound);
    units.stop(&stop(&["trade"], None)).await.unwrap();
}

const DIRECTORY: &str = "ROLLBOT_TEST_DIRECTORY";
const UNIT_PORT: &str = "ROLLBOT_TEST_UNIT_PORT";

/// Starts the unit and waits to be killed.
#[tokio::test]
#[ignore = "it is run as a bot by the next test"]
async fn play_a_bot() {
    let (Ok(directory), Ok(port)) = (std::env::var(DIRECTORY), std::env::var(UNIT_PORT)) else {
        return;
    };
    let units = manager(
        Path::new(&directory),
        Behaviour::Listens,
        Some(port.parse().unwrap()),
    );
    units.start(&start(&["trade"], None)).await.unwrap();
    std::fs::write(Path::new(&directory).join("started"), "").unwrap();
    tokio::time::sleep(Duration::from_secs(300)).await;
}

#[tokio::test]
async fn a_unit_outlives_the_bot_that_is_killed_and_is_found_again_without_its_note() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut bot = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "command_units::play_a_bot"])
        .env(DIRECTORY, directory.path())
        .env(UNIT_PORT, port.to_string())
        .env("SECRET_OF_THE_BOT", "hunter2")
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while !directory.path().join("started").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bot.kill().unwrap();
    bot.wait().unwrap();

    let units = manager(directory.path(), Behaviour::Listens, Some(port));
    let seen = units
        .status(&["trade".to_owned()], Some(port))
        .await
        .unwrap();
    assert_eq!(seen.units[0].state, UnitState::Active);
    let pid = seen.units[0].pid.unwrap();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("hunter2"));

    // As if the bot had been killed between the start and the note.
    std::fs::remove_file(directory.path().join("state/trade.process")).unwrap();
    let without_port = manager(directory.path(), Behaviour::Listens, None);
    let seen = without_port
        .status(&["trade".to_owned()], None)
        .await
        .unwrap();
    assert_eq!(seen.units[0].pid, Some(pid));

    units.stop(&stop(&["trade"], Some(port))).await.unwrap();
    assert_eq!(state(&units).await, UnitState::Inactive);
}

#[test]
fn the_configuration_reads_as_documented() {
    let text = r#"
        kind = "commands"
        state-directory = "/var/lib/rollbot/units"
        [[unit]]
        name = "cryptobot-trade"
        argv = ["/opt/cryptobot/trade", "--port", "9003"]
        log-file = "/var/log/cryptobot/trade.log"
        port = 9003
    "#;
    let manager: ServiceManager = toml::from_str(text).unwrap();
    assert!(manager.open(Deadlines::default()).is_ok());
    let auto: ServiceManager = toml::from_str(r#"kind = "auto""#).unwrap();
    assert_eq!(auto, ServiceManager::Auto);
    let systemd: ServiceManager = toml::from_str(r#"kind = "systemd""#).unwrap();
    assert_eq!(systemd, ServiceManager::Systemd { bus: None });
    assert!(toml::from_str::<ServiceManager>("kind = \"systemd\"\nbuss = \"x\"").is_err());
}

#[test]
fn a_wrong_unit_is_refused_with_its_name() {
    let directory = Path::new("/tmp");
    let good = unit(directory, "trade", Behaviour::Listens, Some(9003));
    let refused = |change: &dyn Fn(&mut rollbot_host_process::CommandUnit)| {
        let mut wrong = good.clone();
        wrong.name = "other".to_owned();
        wrong.port = None;
        change(&mut wrong);
        let units = vec![good.clone(), wrong];
        let error = CommandUnits::new(directory.join("s"), units, DEADLINES);
        error.err().expect("it was accepted").to_string()
    };
    assert!(refused(&|u| u.name = "trade.service".into()).contains("Two units"));
    assert!(refused(&|u| u.name = "../x".into()).contains("letters"));
    assert!(refused(&|u| u.argv.clear()).contains("argv"));
    assert!(refused(&|u| u.argv = vec!["bin/x".into()]).contains("relative"));
    assert!(refused(&|u| u.port = Some(9003)).contains("both have port 9003"));
    assert!(refused(&|u| u.port = Some(0)).contains("port 0"));
}
