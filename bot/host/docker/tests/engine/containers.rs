//! Containers that exist.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rollbot_host_docker::{Containers, Error, Health, MAX_LINE_CHARS};
use tokio::time::timeout;

use crate::lab::{Lab, docker, free_port, services};

const LONG: Duration = Duration::from_secs(60);

fn nothing_expected() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[tokio::test]
async fn status_tells_state_exit_code_and_image_in_the_order_asked_for() {
    let lab = Lab::new();
    let trade = lab.create("trade", &[], &["sleep"]);
    let auth = lab.create("auth", &[], &["exit", "7", "0"]);
    docker(&["start", &trade]);
    docker(&["start", &auth]);
    docker(&["wait", &auth]);
    let names = services(&["trade", "missing", "auth"]);
    let status = lab.engine().status(&lab.project, &names).await.unwrap();
    assert_eq!(
        status.len(),
        2,
        "a service without a container is left out: {status:?}"
    );
    assert_eq!(status[0].service, "trade");
    assert_eq!(status[0].id, trade);
    assert_eq!(status[0].name, format!("{}_trade_1", lab.project));
    assert_eq!(status[0].state, "running");
    assert_eq!(status[0].health, Health::None);
    assert_eq!(status[0].exit_code, None);
    assert_eq!(status[0].image_digest, lab.digest);
    assert_eq!(status[0].image, lab.image);
    assert_eq!(
        (status[1].state.as_str(), status[1].exit_code),
        ("exited", Some(7))
    );
}

#[tokio::test]
async fn containers_of_one_off_runs_and_other_projects_are_not_seen() {
    let lab = Lab::new();
    let other = Lab::new();
    other.create("trade", &[], &["sleep"]);
    lab.create(
        "trade",
        &["--label", "com.docker.compose.oneoff=True"],
        &["sleep"],
    );
    let status = lab
        .engine()
        .status(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert_eq!(status, []);
}

#[tokio::test]
async fn up_starts_the_stopped_container_and_leaves_the_running_one_alone() {
    let lab = Lab::new();
    let trade = lab.create("trade", &[], &["sleep"]);
    let engine = lab.engine();
    let expected = BTreeMap::from([("trade".to_owned(), lab.digest.clone())]);
    let first = engine
        .up(&lab.project, &services(&["trade"]), &expected)
        .await
        .unwrap();
    assert_eq!(first.containers[0].id, trade);
    assert_eq!(first.containers[0].state, "running");
    assert_eq!(first.how, format!("{}_trade_1 started", lab.project));
    let started = docker(&["inspect", "-f", "{{.State.StartedAt}}", &trade]);
    let second = engine
        .up(&lab.project, &services(&["trade"]), &expected)
        .await
        .unwrap();
    assert_eq!(second.how, format!("{}_trade_1 ran already", lab.project));
    assert_eq!(
        docker(&["inspect", "-f", "{{.State.StartedAt}}", &trade]),
        started
    );
}

#[tokio::test]
async fn up_refuses_another_image_before_anything_is_started() {
    let lab = Lab::new();
    let other_image = format!("rollbot-test/{}:2", lab.project);
    let other_digest = lab.import(&other_image, &["ENV VERSION=2"]);
    lab.create("auth", &[], &["sleep"]);
    lab.create_from(&other_image, "trade", &[], &["sleep"]);
    let expected = BTreeMap::from([
        ("auth".to_owned(), lab.digest.clone()),
        ("trade".to_owned(), lab.digest.clone()),
    ]);
    let names = services(&["auth", "trade"]);
    let error = lab
        .engine()
        .up(&lab.project, &names, &expected)
        .await
        .unwrap_err();
    let Error::Failed(text) = &error else {
        panic!("{error:?}")
    };
    let wanted = format!(
        "trade would start {other_digest} but the plan says {}",
        lab.digest
    );
    assert!(text.starts_with(&wanted), "{text}");
    let status = lab.engine().status(&lab.project, &names).await.unwrap();
    assert!(
        status.iter().all(|container| container.state == "created"),
        "{status:?}"
    );
}

#[tokio::test]
async fn up_refuses_a_paused_container() {
    let lab = Lab::new();
    let trade = lab.create("trade", &[], &["sleep"]);
    docker(&["start", &trade]);
    docker(&["pause", &trade]);
    let error = lab
        .engine()
        .up(&lab.project, &services(&["trade"]), &nothing_expected())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("docker unpause")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_container_that_cannot_start_is_a_failure_with_the_engines_words() {
    let lab = Lab::new();
    lab.create(
        "trade",
        &["--init=false", "--entrypoint", "/not-there"],
        &[],
    );
    let error = lab
        .engine()
        .up(&lab.project, &services(&["trade"]), &nothing_expected())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("/not-there")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_port_that_the_native_service_holds_is_named_and_can_be_tried_again() {
    let lab = Lab::new();
    let native = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = native.local_addr().unwrap().port();
    lab.create("trade", &["-p", &format!("{port}:80")], &["serve"]);
    let engine = lab.engine();
    let names = services(&["trade"]);
    let error = engine
        .up(&lab.project, &names, &nothing_expected())
        .await
        .unwrap_err();
    let Error::Failed(text) = &error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains(&format!(
            "cannot publish port {port}/tcp: address already in use"
        )),
        "{text}"
    );
    assert!(text.contains("native service may still hold it"), "{text}");
    drop(native);
    let report = engine
        .up(&lab.project, &names, &nothing_expected())
        .await
        .unwrap();
    assert_eq!(report.containers[0].state, "running");
}

#[tokio::test]
async fn down_stops_in_reverse_order_and_removes_nothing() {
    let lab = Lab::new();
    let names = services(&["auth", "trade"]);
    lab.create("auth", &["-v", "/data"], &["sleep"]);
    lab.create("trade", &[], &["sleep"]);
    let engine = lab.engine();
    engine
        .up(&lab.project, &names, &nothing_expected())
        .await
        .unwrap();
    let before = lab.ids();
    let report = engine.down(&lab.project, &names).await.unwrap();
    assert!(
        report
            .containers
            .iter()
            .all(|container| container.state == "exited"),
        "{report:?}"
    );
    let (auth, trade) = (
        report.how.find("_auth_1 stopped"),
        report.how.find("_trade_1 stopped"),
    );
    assert!(trade.is_some() && trade < auth, "{}", report.how);
    assert_eq!(lab.ids(), before);
    let volumes = docker(&[
        "inspect",
        "-f",
        "{{len .Mounts}}",
        &format!("{}_auth_1", lab.project),
    ]);
    assert_eq!(volumes, "1");
    let again = engine.down(&lab.project, &names).await.unwrap();
    assert!(again.how.contains("was stopped already"), "{}", again.how);
}

#[tokio::test]
async fn down_of_services_that_are_not_there_succeeds() {
    let lab = Lab::new();
    let report = lab
        .engine()
        .down(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert_eq!(report.containers, []);
    assert_eq!(report.how, "trade has no container");
}

#[tokio::test]
async fn down_gives_a_container_its_own_grace() {
    let lab = Lab::new();
    // Without an init process, and without a handler, the first process ignores SIGTERM.
    let trade = lab.create(
        "trade",
        &["--init=false", "--stop-timeout", "1"],
        &["sleep"],
    );
    docker(&["start", &trade]);
    let report = lab
        .engine()
        .down(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert!(
        report.how.contains("exit code 137, killed after its grace"),
        "{}",
        report.how
    );
}

#[tokio::test]
async fn health_waits_until_the_check_passes() {
    let lab = Lab::with_health_check();
    let trade = lab.create("trade", &[], &["serve", "1000"]);
    docker(&["start", &trade]);
    let names = services(&["trade"]);
    let first = lab.engine().status(&lab.project, &names).await.unwrap();
    assert_eq!(first[0].health, Health::Starting);
    let then = timeout(LONG, lab.engine().health(&lab.project, &names, LONG * 5))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(then[0].health, Health::Healthy);
    assert!(then[0].is_well());
}

#[tokio::test]
async fn health_ends_at_once_when_a_container_exits() {
    let lab = Lab::with_health_check();
    let auth = lab.create("auth", &[], &["sleep"]);
    let trade = lab.create("trade", &[], &["exit", "3", "700"]);
    docker(&["start", &auth]);
    docker(&["start", &trade]);
    let names = services(&["auth", "trade"]);
    let seen = timeout(LONG, lab.engine().health(&lab.project, &names, LONG * 60))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (seen[1].state.as_str(), seen[1].exit_code),
        ("exited", Some(3))
    );
}

#[tokio::test]
async fn health_says_what_is_when_the_time_is_over() {
    let lab = Lab::with_health_check();
    let trade = lab.create("trade", &[], &["sleep"]);
    docker(&["start", &trade]);
    let names = services(&["trade"]);
    let seen = lab
        .engine()
        .health(&lab.project, &names, Duration::from_secs(3))
        .await
        .unwrap();
    assert_eq!(seen[0].state, "running");
    assert_eq!(seen[0].health, Health::Unhealthy);
    assert!(!seen[0].is_well());
}

#[tokio::test]
async fn health_of_a_service_without_a_container_is_not_found() {
    let lab = Lab::new();
    let error = lab
        .engine()
        .health(&lab.project, &services(&["trade"]), LONG)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn logs_are_the_last_lines_of_both_streams_and_safe_to_show() {
    let lab = Lab::new();
    let trade = lab.create("trade", &[], &["talk"]);
    docker(&["start", &trade]);
    let engine = lab.engine();
    let names = services(&["trade"]);
    let begun = Instant::now();
    let lines = loop {
        let lines = engine.logs(&lab.project, &names, 100).await.unwrap();
        // The engine reads the two streams each for itself: which comes first is not ours to say.
        let all = ["last", "a word on the other stream"];
        if all
            .iter()
            .all(|text| lines.iter().any(|line| line.text == *text))
        {
            break lines;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{lines:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert!(lines.iter().all(|line| line.service == "trade"));
    let counted: Vec<&str> = texts
        .iter()
        .copied()
        .filter(|text| text.starts_with("line"))
        .collect();
    assert_eq!(counted, ["line 1", "line 2", "line 3"]);
    assert!(texts.contains(&"a word on the other stream"), "{texts:?}");
    assert!(
        texts.contains(&"\\u{1b}[31mred\\u{1b}[0m and \u{fffd}"),
        "{texts:?}"
    );
    let long = texts.iter().find(|text| text.starts_with("long")).unwrap();
    assert_eq!(long.chars().count(), MAX_LINE_CHARS);
    let two = engine.logs(&lab.project, &names, 2).await.unwrap();
    assert_eq!(two.len(), 2, "{two:?}");
    let error = engine
        .logs(&lab.project, &services(&["auth"]), 2)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn logs_of_a_container_with_a_terminal_are_read_as_well() {
    let lab = Lab::new();
    let trade = lab.create("trade", &["-t"], &["exit", "0", "0"]);
    docker(&["start", &trade]);
    docker(&["wait", &trade]);
    let lines = lab
        .engine()
        .logs(&lab.project, &services(&["trade"]), 5)
        .await
        .unwrap();
    assert_eq!(lines[0].text, "about to end");
}

#[tokio::test]
async fn a_stopped_container_whose_port_is_free_is_ready() {
    let lab = Lab::new();
    let port = free_port();
    let trade = lab.create("trade", &["-p", &format!("{port}:80")], &["serve"]);
    let ready = lab
        .engine()
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert_eq!(ready[0].problems, [] as [String; 0]);
    assert!(ready[0].ready);
    assert_eq!(ready[0].container.as_ref().unwrap().id, trade);
}

#[tokio::test]
async fn a_port_that_another_container_publishes_is_a_problem() {
    let lab = Lab::new();
    let other = Lab::new();
    let port = free_port();
    let publish = format!("{port}:80");
    lab.create("trade", &["-p", &publish], &["serve"]);
    let holder = other.create("web", &["-p", &publish], &["serve"]);
    docker(&["start", &holder]);
    let ready = lab
        .engine()
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert!(!ready[0].ready);
    assert_eq!(
        ready[0].problems,
        [format!(
            "Port {port}/tcp is published by the running container {}_web_1 already; stop that first",
            other.project
        )]
    );
}

#[tokio::test]
async fn an_image_that_is_gone_is_a_problem() {
    let lab = Lab::new();
    lab.create("trade", &[], &["serve"]);
    docker(&["rmi", "-f", &lab.digest]);
    let ready = lab
        .engine()
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert!(!ready[0].ready);
    assert!(
        ready[0].problems[0].contains("is no longer on the engine"),
        "{:?}",
        ready[0].problems
    );
}

#[tokio::test]
async fn a_full_disk_of_the_engine_is_a_problem() {
    let lab = Lab::new();
    lab.create("trade", &[], &["serve"]);
    let mut config = lab.config();
    config.min_free_bytes = u64::MAX;
    let engine = rollbot_host_docker::Engine::new(config);
    let ready = engine
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert!(
        ready[0].problems[0].contains("MiB left"),
        "{:?}",
        ready[0].problems
    );
}
