//! An engine that misbehaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rollbot_host_docker::{Containers, Deadlines, Engine, EngineConfig, Error};

use crate::lab::{Lab, docker, services};
use crate::proxy::{Fault, Proxy};

fn engine_at(socket: &Path) -> Engine {
    let mut config = EngineConfig::new(socket);
    config.deadlines = Deadlines {
        call: Duration::from_secs(2),
        start: Duration::from_secs(2),
        stop: Duration::from_secs(1),
        logs: Duration::from_secs(2),
        compose: Duration::from_secs(20),
        poll: Duration::from_millis(200),
    };
    Engine::new(config)
}

fn assert_unavailable(error: &Error, socket: &Path, says: &str) {
    let Error::Unavailable(text) = error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains(&format!("The Docker engine at {}", socket.display())),
        "{text}"
    );
    assert!(text.contains(says), "{text}");
    assert!(text.contains("check that it runs"), "{text}");
}

#[tokio::test]
async fn an_engine_that_hangs_is_unavailable_and_the_socket_is_named() {
    let proxy = Proxy::start();
    proxy.spoil("", Fault::Hang);
    let engine = engine_at(&proxy.socket);
    let names = services(&["trade"]);
    let error = engine.status("p", &names).await.unwrap_err();
    assert_unavailable(&error, &proxy.socket, "did not answer within 2 s");
}

#[tokio::test]
async fn an_engine_that_hangs_later_is_unavailable_in_every_call() {
    let proxy = Proxy::start();
    let engine = engine_at(&proxy.socket);
    let names = services(&["trade"]);
    engine.status("p", &names).await.unwrap();
    proxy.spoil("", Fault::Hang);
    let expected = BTreeMap::new();
    let wait = Duration::from_secs(30);
    let (status, ready, logs, health, up, down) = tokio::join!(
        engine.status("p", &names),
        engine.ready("p", &names),
        engine.logs("p", &names, 5),
        engine.health("p", &names, wait),
        engine.up("p", &names, &expected),
        engine.down("p", &names),
    );
    let errors = [
        status.unwrap_err(),
        ready.unwrap_err(),
        logs.unwrap_err(),
        health.unwrap_err(),
        up.unwrap_err(),
        down.unwrap_err(),
    ];
    for error in errors {
        assert_unavailable(
            &error,
            &proxy.socket,
            "did not answer within 2 s when asked to",
        );
    }
}

#[tokio::test]
async fn an_engine_that_resets_answers_500_or_talks_nonsense_is_unavailable() {
    let names = services(&["trade"]);
    for (fault, says) in [
        (Fault::Reset, "broke off when asked to"),
        (
            Fault::Answer(500, "{\"message\":\"the graph driver is sick\"}".into()),
            "the graph driver is sick",
        ),
        (Fault::Answer(503, String::new()), "answered 503"),
        (Fault::Answer(200, "<html>".into()), "not the Docker API's"),
        (Fault::Cut(40), "broke off"),
    ] {
        let proxy = Proxy::start();
        proxy.spoil("", fault.clone());
        let error = engine_at(&proxy.socket)
            .status("p", &names)
            .await
            .unwrap_err();
        assert_unavailable(&error, &proxy.socket, says);
        // The same once it has been known to work.
        let proxy = Proxy::start();
        let engine = engine_at(&proxy.socket);
        engine.status("p", &names).await.unwrap();
        proxy.spoil("", fault);
        let error = engine.status("p", &names).await.unwrap_err();
        assert_unavailable(&error, &proxy.socket, says);
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_unavailable_until_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    let engine = engine_at(&socket);
    let names = services(&["trade"]);
    let error = engine.status("p", &names).await.unwrap_err();
    assert_unavailable(&error, &socket, "there is no such socket");
    std::os::unix::fs::symlink(crate::lab::SOCKET, &socket).unwrap();
    engine.status("p", &names).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_is_too_old_is_told_apart() {
    let proxy = Proxy::start();
    proxy.spoil(
        "/version",
        Fault::Answer(200, "{\"ApiVersion\":\"1.30\"}".into()),
    );
    let error = engine_at(&proxy.socket)
        .status("p", &services(&["trade"]))
        .await
        .unwrap_err();
    assert_unavailable(&error, &proxy.socket, "speaks API 1.30");
}

#[tokio::test]
async fn a_start_that_is_not_answered_while_the_engine_lives_has_timed_out() {
    let lab = Lab::new();
    lab.create("trade", &[], &["sleep"]);
    let proxy = Proxy::start();
    proxy.spoil("/start", Fault::HangAfterwards);
    let engine = engine_at(&proxy.socket);
    let names = services(&["trade"]);
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    let Error::TimedOut(text) = &error else {
        panic!("{error:?}")
    };
    assert!(text.contains("the container is running"), "{text}");
    // It is idempotent: doing it again finds that it was done.
    let report = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap();
    assert!(report.how.ends_with("ran already"), "{}", report.how);
}

#[tokio::test]
async fn a_start_that_is_answered_with_500_is_unavailable_and_starts_nothing() {
    let lab = Lab::new();
    lab.create("trade", &[], &["sleep"]);
    let proxy = Proxy::start();
    proxy.spoil(
        "/start",
        Fault::Answer(500, "{\"message\":\"containerd is gone\"}".into()),
    );
    let engine = engine_at(&proxy.socket);
    let names = services(&["trade"]);
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert_unavailable(&error, &proxy.socket, "containerd is gone");
    assert_eq!(
        engine.status(&lab.project, &names).await.unwrap()[0].state,
        "created"
    );
}

#[tokio::test]
async fn a_stop_that_is_not_answered_is_not_taken_for_done() {
    let lab = Lab::new();
    let trade = lab.create("trade", &["--stop-timeout", "1"], &["sleep"]);
    docker(&["start", &trade]);
    let proxy = Proxy::start();
    proxy.spoil("/stop", Fault::Hang);
    let engine = engine_at(&proxy.socket);
    let error = engine
        .down(&lab.project, &services(&["trade"]))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::TimedOut(text) if text.contains("is running")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_wait_for_health_goes_on_without_events() {
    for fault in [
        Fault::Hang,
        Fault::Reset,
        Fault::Answer(404, "{\"message\":\"page not found\"}".into()),
    ] {
        let lab = Lab::with_health_check();
        let trade = lab.create("trade", &[], &["serve", "500"]);
        docker(&["start", &trade]);
        let proxy = Proxy::start();
        proxy.spoil("/events", fault);
        let engine = engine_at(&proxy.socket);
        let wait = Duration::from_secs(60);
        let seen = engine
            .health(&lab.project, &services(&["trade"]), wait)
            .await
            .unwrap();
        assert!(seen[0].is_well(), "{seen:?}");
    }
}

#[tokio::test]
async fn logs_that_stop_in_the_middle_are_an_error_and_not_a_short_log() {
    let lab = Lab::new();
    let trade = lab.create("trade", &[], &["talk"]);
    docker(&["start", &trade]);
    let proxy = Proxy::start();
    proxy.spoil("/logs", Fault::Cut(400));
    let engine = engine_at(&proxy.socket);
    let error = engine
        .logs(&lab.project, &services(&["trade"]), 100)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
}
