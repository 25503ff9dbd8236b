//! Containers that compose has to create.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rollbot_host_docker::{Containers, Engine, Error};
use tokio::sync::mpsc;

use crate::lab::{Lab, docker, free_port, services};

fn trade(lab: &Lab, more: &str) {
    lab.write_compose_file(&format!(
        "  trade:\n    image: {}\n    command: [serve]\n    init: true\n{more}",
        lab.image
    ));
}

/// An executable of a test's own.
fn script(directory: &Path, name: &str, text: &str) {
    let file = directory.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn up_creates_what_does_not_exist_starts_it_and_passes_the_output_on() {
    let lab = Lab::new();
    let port = free_port();
    trade(
        &lab,
        &format!(
            "    ports: ['{port}:80']\n    depends_on: [other]\n  other:\n    image: {}\n",
            lab.image
        ),
    );
    let (sender, mut receiver) = mpsc::channel(100);
    let engine = lab.engine().with_output(sender);
    let names = services(&["trade"]);
    let ready = engine.ready(&lab.project, &names).await.unwrap();
    assert_eq!(ready[0].problems, [] as [String; 0]);
    assert_eq!(ready[0].container, None);
    let expected = BTreeMap::from([("trade".to_owned(), lab.digest.clone())]);
    let report = engine.up(&lab.project, &names, &expected).await.unwrap();
    assert_eq!(report.containers.len(), 1);
    assert_eq!(report.containers[0].state, "running");
    assert_eq!(report.containers[0].image_digest, lab.digest);
    assert!(
        report.how.starts_with("compose created trade; "),
        "{}",
        report.how
    );
    assert_eq!(
        lab.ids().len(),
        1,
        "what it depends on is not started with it"
    );
    let mut told = Vec::new();
    while let Ok(line) = receiver.try_recv() {
        assert_eq!(line.project, lab.project);
        told.push(line.text);
    }
    assert!(told.iter().any(|line| line.contains("trade")), "{told:?}");
    let seen = engine
        .health(&lab.project, &names, Duration::from_secs(30))
        .await
        .unwrap();
    assert!(seen[0].is_well());
}

#[tokio::test]
async fn up_creates_nothing_from_another_image() {
    let lab = Lab::new();
    trade(&lab, "");
    let expected = BTreeMap::from([("trade".to_owned(), format!("sha256:{}", "0".repeat(64)))]);
    let error = lab
        .engine()
        .up(&lab.project, &services(&["trade"]), &expected)
        .await
        .unwrap_err();
    let Error::Failed(text) = &error else {
        panic!("{error:?}")
    };
    assert!(
        text.starts_with(&format!(
            "trade would start {} but the plan says sha256:000",
            lab.digest
        )),
        "{text}"
    );
    assert_eq!(lab.ids(), [] as [String; 0]);
}

#[tokio::test]
async fn an_image_that_the_engine_does_not_have_is_not_found_and_never_pulled() {
    let lab = Lab::new();
    lab.write_compose_file("  trade:\n    image: rollbot-test/never:1\n");
    let engine = lab.engine();
    let names = services(&["trade"]);
    let ready = engine.ready(&lab.project, &names).await.unwrap();
    assert_eq!(
        ready[0].problems,
        [
            "Image rollbot-test/never:1 of service trade is not on the engine; load, pull or build it first"
        ]
    );
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
}

#[tokio::test]
async fn a_compose_file_that_is_wrong_is_a_problem_with_composes_words() {
    let lab = Lab::new();
    lab.write_compose_file("  trade:\n    imagine: x\n");
    let engine = lab.engine();
    let names = services(&["trade"]);
    let ready = engine.ready(&lab.project, &names).await.unwrap();
    assert!(!ready[0].ready);
    assert!(
        ready[0].problems[0].contains("imagine"),
        "{:?}",
        ready[0].problems
    );
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("imagine")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_service_that_the_compose_file_does_not_have_is_not_found() {
    let lab = Lab::new();
    trade(&lab, "");
    let engine = lab.engine();
    let names = services(&["auth"]);
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFound(text) if text.contains("have no service auth")),
        "{error:?}"
    );
    let ready = engine.ready(&lab.project, &names).await.unwrap();
    assert!(
        ready[0].problems[0].contains("have no service auth"),
        "{:?}",
        ready[0].problems
    );
}

#[tokio::test]
async fn a_missing_compose_file_and_a_project_without_one_are_not_found() {
    let lab = Lab::new();
    let engine = lab.engine();
    let names = services(&["trade"]);
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFound(text) if text.contains("compose.yml")),
        "{error:?}"
    );
    let error = engine
        .up("unheard-of", &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFound(text) if text.contains("no compose file is configured")),
        "{error:?}"
    );
    let ready = engine.ready("unheard-of", &names).await.unwrap();
    assert!(
        ready[0].problems[0].contains("no compose file is configured"),
        "{:?}",
        ready[0].problems
    );
}

#[tokio::test]
async fn a_port_that_another_container_publishes_is_a_problem_before_the_container_exists() {
    let lab = Lab::new();
    let port = free_port();
    trade(&lab, &format!("    ports: ['{port}:80']\n"));
    let other = Lab::new();
    let holder = other.create("web", &["-p", &format!("{port}:80")], &["serve"]);
    docker(&["start", &holder]);
    let ready = lab
        .engine()
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert!(
        ready[0].problems[0].starts_with(&format!("Port {port}/tcp is published")),
        "{:?}",
        ready[0].problems
    );
}

#[tokio::test]
async fn the_environment_file_fills_the_compose_file_in() {
    let lab = Lab::new();
    lab.write_compose_file("  trade:\n    image: ${IMAGE}\n    command: [serve]\n");
    fs::write(
        lab.directory.path().join("production.env"),
        format!("IMAGE={}\n", lab.image),
    )
    .unwrap();
    let mut config = lab.config();
    let project = config.projects.get_mut(&lab.project).unwrap();
    project.env_file = Some("production.env".into());
    let ready = Engine::new(config)
        .ready(&lab.project, &services(&["trade"]))
        .await
        .unwrap();
    assert_eq!(ready[0].problems, [] as [String; 0]);
}

#[tokio::test]
async fn the_plugin_is_preferred_and_sees_next_to_no_environment() {
    let lab = Lab::new();
    trade(&lab, "");
    let bin = tempfile::tempdir().unwrap();
    let seen = bin.path().join("seen");
    // The plugin's ways, and the other program's work.
    script(
        bin.path(),
        "docker",
        &format!(
            "[ \"$1\" = compose ] || exit 1\nshift\n\
             if [ \"$1\" = version ]; then echo 2.24.5; exit 0; fi\n\
             echo \"$@\" >> {seen}\n/usr/bin/env >> {seen}.env\n\
             PATH=/usr/local/bin:/usr/bin:/bin exec docker-compose \"$@\"",
            seen = seen.display()
        ),
    );
    script(bin.path(), "docker-compose", "exit 1");
    let mut config = lab.config();
    config.compose_path = Some(bin.path().into());
    let engine = Engine::new(config);
    engine
        .up(&lab.project, &services(&["trade"]), &BTreeMap::new())
        .await
        .unwrap();
    let calls = fs::read_to_string(&seen).unwrap();
    let directory = lab.directory.path().display();
    let common = format!(
        "-p {} -f {directory}/compose.yml --project-directory {directory}",
        lab.project
    );
    assert_eq!(
        calls.lines().collect::<Vec<_>>(),
        [
            format!("{common} config"),
            format!("{common} up --no-start --no-deps --no-recreate --no-build trade")
        ]
    );
    let environment = fs::read_to_string(format!("{}.env", seen.display())).unwrap();
    for line in environment.lines() {
        let name = line.split('=').next().unwrap();
        // `PWD`, `SHLVL`, `OLDPWD` and `_` are the test's own shell's.
        let allowed = [
            "PATH",
            "HOME",
            "LANG",
            "DOCKER_HOST",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_",
        ];
        assert!(allowed.contains(&name), "{line}");
    }
    assert!(
        environment.contains("DOCKER_HOST=unix:///var/run/docker.sock"),
        "{environment}"
    );
}

#[tokio::test]
async fn a_compose_that_hangs_is_killed_with_its_children() {
    let lab = Lab::new();
    trade(&lab, "");
    let bin = tempfile::tempdir().unwrap();
    let children = bin.path().join("children");
    script(
        bin.path(),
        "docker-compose",
        &format!(
            "if [ \"$1\" = version ]; then echo 1.29.2; exit 0; fi\n\
             /bin/sleep 1000 &\necho $! $$ > {}\necho working on it\nwait",
            children.display()
        ),
    );
    let mut config = lab.config();
    config.compose_path = Some(bin.path().into());
    config.deadlines.compose = Duration::from_secs(2);
    let error = Engine::new(config)
        .up(&lab.project, &services(&["trade"]), &BTreeMap::new())
        .await
        .unwrap_err();
    let Error::TimedOut(text) = &error else {
        panic!("{error:?}")
    };
    assert!(
        text.contains("was killed with its children: working on it"),
        "{text}"
    );
    for id in fs::read_to_string(children).unwrap().split_whitespace() {
        wait_until_gone(id).await;
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_compose_with_it() {
    let lab = Lab::new();
    trade(&lab, "");
    let bin = tempfile::tempdir().unwrap();
    let children = bin.path().join("children");
    script(
        bin.path(),
        "docker-compose",
        &format!(
            "if [ \"$1\" = version ]; then echo 1.29.2; exit 0; fi\n\
             /bin/sleep 1000 &\necho $! $$ > {file}.new\n/bin/mv {file}.new {file}\nwait",
            file = children.display()
        ),
    );
    let mut config = lab.config();
    config.compose_path = Some(bin.path().into());
    let engine = Engine::new(config);
    let names = services(&["trade"]);
    let expected = BTreeMap::new();
    tokio::select! {
        ended = engine.up(&lab.project, &names, &expected) => panic!("{ended:?}"),
        () = async { while !children.exists() { tokio::time::sleep(Duration::from_millis(20)).await; } } => {}
    }
    for id in fs::read_to_string(children).unwrap().split_whitespace() {
        wait_until_gone(id).await;
    }
}

#[tokio::test]
async fn without_compose_the_answer_says_what_to_install() {
    let lab = Lab::new();
    trade(&lab, "");
    let nothing = tempfile::tempdir().unwrap();
    let mut config = lab.config();
    config.compose_path = Some(nothing.path().into());
    let engine = Engine::new(config);
    let names = services(&["trade"]);
    let error = engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("install one of them")),
        "{error:?}"
    );
    // Where the container exists, compose is not needed.
    lab.create("trade", &[], &["sleep"]);
    engine
        .up(&lab.project, &names, &BTreeMap::new())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_service_whose_name_is_an_option_is_refused() {
    let lab = Lab::new();
    lab.write_compose_file(&format!("  trade:\n    image: {}\n", lab.image));
    let error = lab
        .engine()
        .up("-x", &services(&["trade"]), &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    let mut config = lab.config();
    let project = config.projects[&lab.project].clone();
    config.projects.insert("-x".to_owned(), project);
    let error = Engine::new(config)
        .up("-x", &services(&["trade"]), &BTreeMap::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("is not a name")),
        "{error:?}"
    );
}

/// A process that is gone, or is only waiting for somebody to reap it.
async fn wait_until_gone(id: &str) {
    for _ in 0..500 {
        let state = fs::read_to_string(format!("/proc/{id}/stat"))
            .ok()
            .and_then(|stat| stat.rsplit(") ").next()?.chars().next());
        if matches!(state, None | Some('Z' | 'X')) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {id} still lives");
}
