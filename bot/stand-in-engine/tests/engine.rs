//! The real binary, spoken to with bollard: what a rollback asks of an engine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HealthConfig, HealthStatusEnum, HostConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder,
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct StandIn {
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl StandIn {
    async fn start() -> (Self, Docker) {
        let mut engine = Self {
            dir: tempfile::tempdir().unwrap(),
            child: None,
        };
        let docker = engine.again().await;
        (engine, docker)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("engine.sock")
    }

    async fn again(&mut self) -> Docker {
        self.child = Some(
            Command::new(env!("CARGO_BIN_EXE_rollbot-stand-in-engine"))
                .arg("--socket")
                .arg(self.socket())
                .arg("--state")
                .arg(self.dir.path().join("state"))
                .env("RUST_LOG", "warn")
                .spawn()
                .unwrap(),
        );
        let path = self.socket().display().to_string();
        timeout(PATIENCE, async {
            loop {
                if let Ok(docker) =
                    Docker::connect_with_unix(&path, 30, bollard::API_DEFAULT_VERSION)
                    && let Ok(docker) = docker.negotiate_version().await
                {
                    return docker;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the stand-in answers")
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let state = std::fs::read_to_string(self.dir.path().join("state/state.json"));
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Its processes outlive it by design, so the test ends them itself.
        let state: serde_json::Value =
            serde_json::from_str(&state.unwrap_or_default()).unwrap_or_default();
        for container in state["containers"].as_object().into_iter().flatten() {
            if let Some(pid) = container.1["run"]["process"]["pid"].as_i64() {
                let _ = nix::sys::signal::killpg(
                    nix::unistd::Pid::from_raw(pid as i32),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }
}

/// An image with a shell script: the only interpreter that every machine has is its own, so the
/// image brings a script that names it.
async fn import(docker: &Docker, name: &str, script: &str, changes: &[&str]) -> String {
    let mut archive = tar::Builder::new(Vec::new());
    let text = format!("#!/bin/sh\n{script}\n");
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o755);
    header.set_cksum();
    archive
        .append_data(&mut header, "service", text.as_bytes())
        .unwrap();
    let mut all = vec!["ENTRYPOINT [\"/service\"]".to_owned()];
    all.extend(changes.iter().map(|change| (*change).to_owned()));
    let mut options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(name)
        .tag("1.0")
        .build();
    options.changes = all;
    let answers: Vec<_> = docker
        .create_image(
            Some(options),
            Some(bollard::body_full(archive.into_inner().unwrap().into())),
            None,
        )
        .try_collect()
        .await
        .unwrap();
    let id = answers.last().unwrap().status.clone().unwrap();
    assert!(id.starts_with("sha256:"), "{id}");
    id
}

async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> String {
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let created = docker.create_container(Some(options), body).await.unwrap();
    assert!(created.warnings[0].contains("stand-in"), "{created:?}");
    created.id
}

fn of(image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(format!("{image}:1.0")),
        ..Default::default()
    }
}

fn published(port: u16) -> HostConfig {
    HostConfig {
        port_bindings: Some(HashMap::from([(
            "9003/tcp".to_owned(),
            Some(vec![PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: Some(port.to_string()),
            }]),
        )])),
        ..Default::default()
    }
}

async fn inspect(docker: &Docker, id: &str) -> ContainerInspectResponse {
    docker.inspect_container(id, None).await.unwrap()
}

fn status(error: &Error) -> (u16, String) {
    match error {
        Error::DockerResponseServerError {
            status_code,
            message,
        } => (*status_code, message.clone()),
        other => panic!("not an answer of the engine: {other}"),
    }
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, check: impl Fn() -> F) -> T {
    timeout(PATIENCE, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("never: {what}"))
}

async fn logs(docker: &Docker, id: &str, timestamps: bool) -> Vec<LogOutput> {
    let options = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .timestamps(timestamps)
        .tail("100")
        .build();
    docker.logs(id, Some(options)).try_collect().await.unwrap()
}

/// Ends with 7 on SIGTERM, and says what it was given.
const OBEDIENT: &str = "trap 'echo bye; exit 7' TERM
echo port=$PORT host=$HOST data=$DATA
echo trouble >&2
while :; do sleep 0.05; done";

#[tokio::test]
async fn it_says_what_it_is_wherever_a_client_looks() {
    let (_engine, docker) = StandIn::start().await;
    let version = docker.version().await.unwrap();
    assert_eq!(version.version.as_deref(), Some("stand-in"));
    assert_eq!(version.api_version.as_deref(), Some("1.41"));
    let info = docker.info().await.unwrap();
    assert_eq!(info.server_version.as_deref(), Some("stand-in"));
    assert_eq!(
        info.operating_system.as_deref(),
        Some("rollbot stand-in engine (no containers, plain processes)")
    );
    assert_eq!(docker.ping().await.unwrap(), "OK");
}

#[tokio::test]
async fn a_container_lives_as_with_a_real_engine() {
    let (engine, docker) = StandIn::start().await;
    let image = import(&docker, "test/obedient", OBEDIENT, &["ENV DATA=/data"]).await;
    let port = free_port();
    let mut host = published(port);
    host.binds = Some(vec![format!(
        "{}:/data",
        engine.dir.path().join("own").display()
    )]);
    let id = create(
        &docker,
        "trade_1",
        ContainerCreateBody {
            labels: Some(HashMap::from([
                ("com.docker.compose.project".to_owned(), "p".to_owned()),
                ("com.docker.compose.service".to_owned(), "trade".to_owned()),
            ])),
            host_config: Some(host),
            ..of("test/obedient")
        },
    )
    .await;
    let created = inspect(&docker, "trade_1").await;
    assert_eq!(created.id.as_deref(), Some(id.as_str()));
    assert_eq!(created.image.as_deref(), Some(image.as_str()));
    assert_eq!(
        docker
            .inspect_image("test/obedient:1.0")
            .await
            .unwrap()
            .id
            .as_deref(),
        Some(image.as_str())
    );
    let events = listen(&docker, &id);

    docker.start_container(&id, None).await.unwrap();
    docker.start_container(&id, None).await.unwrap();
    let running = inspect(&docker, &id).await;
    let state = running.state.clone().unwrap();
    assert_eq!(state.running, Some(true));
    let pid = state.pid.unwrap();
    #[cfg(target_os = "linux")]
    assert_eq!(
        std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(),
        "stand-in-contai\n"
    );
    let ports = running.network_settings.unwrap().ports.unwrap();
    let binding = &ports["9003/tcp"].as_ref().unwrap()[0];
    assert_eq!(
        binding.host_port.as_deref(),
        Some(port.to_string().as_str())
    );

    let expected = format!(
        "port={port} host=127.0.0.1 data={}",
        engine.dir.path().join("own").display()
    );
    until("the log has its lines", || async {
        let text: Vec<String> = logs(&docker, &id, false)
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        (text.contains(&format!("{expected}\n")) && text.contains(&"trouble\n".to_owned()))
            .then_some(())
    })
    .await;
    let stderr = logs(&docker, &id, true).await;
    let stderr = stderr
        .iter()
        .find(|line| matches!(line, LogOutput::StdErr { .. }))
        .unwrap();
    assert!(stderr.to_string().contains("Z trouble"), "{stderr}");

    let labels = HashMap::from([(
        "label".to_owned(),
        vec!["com.docker.compose.project=p".to_owned()],
    )]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&labels)
        .build();
    let listed = docker.list_containers(Some(options)).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].status.as_ref().unwrap().starts_with("Up "));

    let stop = || Some(StopContainerOptionsBuilder::new().t(20).build());
    docker.stop_container(&id, stop()).await.unwrap();
    docker.stop_container(&id, stop()).await.unwrap();
    let state = inspect(&docker, &id).await.state.unwrap();
    assert_eq!((state.running, state.exit_code), (Some(false), Some(7)));
    docker.remove_container(&id, None).await.unwrap();
    let gone = docker.inspect_container(&id, None).await.unwrap_err();
    assert_eq!(status(&gone), (404, format!("No such container: {id}")));
    let seen = timeout(PATIENCE, events).await.unwrap().unwrap();
    assert_eq!(seen, ["start", "kill", "die", "stop", "destroy"]);
    docker
        .remove_image("test/obedient:1.0", None::<RemoveImageOptions>, None)
        .await
        .unwrap();
    assert!(
        docker
            .list_images(None::<ListImagesOptions>)
            .await
            .unwrap()
            .is_empty()
    );
}

fn listen(docker: &Docker, id: &str) -> tokio::task::JoinHandle<Vec<String>> {
    let filters = HashMap::from([("container".to_owned(), vec![id.to_owned()])]);
    // From now on, seen from before, so that none is missed while the request is on its way.
    let since = (jiff::Timestamp::now().as_millisecond() as f64 / 1000.0).to_string();
    let mut options = EventsOptionsBuilder::new().filters(&filters).build();
    options.since = Some(since);
    let mut events = docker.events(Some(options));
    tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(Ok(event)) = events.next().await {
            let action = event.action.unwrap();
            let last = action == "destroy";
            seen.push(action);
            if last {
                break;
            }
        }
        seen
    })
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[tokio::test]
async fn a_port_that_is_held_refuses_the_start_as_the_engine_does() {
    let (_engine, docker) = StandIn::start().await;
    import(&docker, "test/port", OBEDIENT, &[]).await;
    let native = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = native.local_addr().unwrap().port();
    let id = create(
        &docker,
        "trade_1",
        ContainerCreateBody {
            host_config: Some(published(port)),
            ..of("test/port")
        },
    )
    .await;
    let (code, message) = status(&docker.start_container(&id, None).await.unwrap_err());
    assert_eq!(code, 500);
    assert!(
        message.contains(&format!("127.0.0.1:{port}: bind: address already in use")),
        "{message}"
    );
    let state = inspect(&docker, &id).await.state.unwrap();
    assert_eq!((state.running, state.exit_code), (Some(false), Some(128)));
    assert!(state.error.unwrap().contains("address already in use"));
    drop(native);
    docker.start_container(&id, None).await.unwrap();
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_the_grace() {
    let (_engine, docker) = StandIn::start().await;
    import(
        &docker,
        "test/deaf",
        "trap '' TERM\nwhile :; do sleep 0.05; done",
        &[],
    )
    .await;
    let id = create(&docker, "deaf", of("test/deaf")).await;
    docker.start_container(&id, None).await.unwrap();
    // The shell needs a moment to become deaf.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let options = StopContainerOptionsBuilder::new().t(1).build();
    docker.stop_container(&id, Some(options)).await.unwrap();
    assert_eq!(
        inspect(&docker, &id).await.state.unwrap().exit_code,
        Some(137)
    );
    let (code, _) = status(
        &docker
            .kill_container(
                &id,
                Some(KillContainerOptionsBuilder::new().signal("SIGTERM").build()),
            )
            .await
            .unwrap_err(),
    );
    assert_eq!(code, 409);
}

#[tokio::test]
async fn health_goes_from_starting_over_healthy_to_unhealthy() {
    let (engine, docker) = StandIn::start().await;
    let sick = engine.dir.path().join("own/sick");
    let script = "[ \"$1\" = check ] && { echo checked; [ ! -e \"$DATA/sick\" ]; exit; }\nwhile :; do sleep 0.05; done";
    import(&docker, "test/health", script, &["ENV DATA=/data"]).await;
    let id = create(
        &docker,
        "healthy",
        ContainerCreateBody {
            healthcheck: Some(HealthConfig {
                test: Some(vec![
                    "CMD".to_owned(),
                    "/service".to_owned(),
                    "check".to_owned(),
                ]),
                interval: Some(100_000_000),
                timeout: Some(10_000_000_000),
                retries: Some(2),
                ..Default::default()
            }),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:/data", sick.parent().unwrap().display())]),
                ..Default::default()
            }),
            ..of("test/health")
        },
    )
    .await;
    docker.start_container(&id, None).await.unwrap();
    let health = || async { inspect(&docker, &id).await.state.unwrap().health.unwrap() };
    assert_eq!(health().await.status, Some(HealthStatusEnum::STARTING));
    until("healthy", || async {
        (health().await.status == Some(HealthStatusEnum::HEALTHY)).then_some(())
    })
    .await;
    std::fs::write(&sick, "").unwrap();
    let unhealthy = until("unhealthy", || async {
        Some(health().await).filter(|health| health.status == Some(HealthStatusEnum::UNHEALTHY))
    })
    .await;
    let last = unhealthy.log.unwrap().pop().unwrap();
    assert_eq!(
        (last.exit_code, last.output.as_deref()),
        (Some(1), Some("checked\n"))
    );
}

#[tokio::test]
async fn after_kill_dash_nine_the_next_one_finds_what_runs() {
    let (mut engine, docker) = StandIn::start().await;
    import(&docker, "test/survivor", OBEDIENT, &[]).await;
    let id = create(&docker, "survivor", of("test/survivor")).await;
    docker.start_container(&id, None).await.unwrap();
    let pid = inspect(&docker, &id).await.state.unwrap().pid.unwrap();
    engine.kill();
    let docker = engine.again().await;
    let state = inspect(&docker, &id).await.state.unwrap();
    assert_eq!((state.running, state.pid), (Some(true), Some(pid)));
    docker
        .stop_container(&id, Some(StopContainerOptionsBuilder::new().t(20).build()))
        .await
        .unwrap();
    let state = inspect(&docker, &id).await.state.unwrap();
    assert_eq!((state.running, state.exit_code), (Some(false), Some(255)));
    assert!(state.error.unwrap().contains("not known"));

    docker.start_container(&id, None).await.unwrap();
    let pid = inspect(&docker, &id).await.state.unwrap().pid.unwrap();
    engine.kill();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid as i32),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let docker = engine.again().await;
    until("the end is seen", || async {
        let state = inspect(&docker, &id).await.state.unwrap();
        (state.running == Some(false)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_crashing_process_is_started_again_as_its_policy_says() {
    let (_engine, docker) = StandIn::start().await;
    import(&docker, "test/crash", "exit 3", &[]).await;
    let id = create(
        &docker,
        "crash",
        ContainerCreateBody {
            host_config: Some(HostConfig {
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::ON_FAILURE),
                    maximum_retry_count: Some(2),
                }),
                ..Default::default()
            }),
            ..of("test/crash")
        },
    )
    .await;
    docker.start_container(&id, None).await.unwrap();
    let options = WaitContainerOptionsBuilder::new()
        .condition("not-running")
        .build();
    let ended = timeout(PATIENCE, docker.wait_container(&id, Some(options)).next())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(ended, Err(Error::DockerContainerWaitError { code: 3, .. })),
        "{ended:?}"
    );
    let after = inspect(&docker, &id).await;
    assert_eq!(after.restart_count, Some(2));
    assert_eq!(after.state.unwrap().exit_code, Some(3));
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_the_engines_status_codes() {
    let (_engine, docker) = StandIn::start().await;
    let absent = docker
        .create_container(None, of("test/absent"))
        .await
        .unwrap_err();
    assert_eq!(
        status(&absent),
        (404, "No such image: test/absent:1.0".to_owned())
    );
    import(&docker, "test/some", OBEDIENT, &[]).await;
    let id = create(&docker, "some", of("test/some")).await;
    let options = || Some(CreateContainerOptionsBuilder::new().name("some").build());
    let twice = docker
        .create_container(options(), of("test/some"))
        .await
        .unwrap_err();
    assert_eq!(status(&twice).0, 409);
    let used = docker
        .remove_image("test/some:1.0", None::<RemoveImageOptions>, None)
        .await
        .unwrap_err();
    assert_eq!(status(&used).0, 409);
    docker.start_container(&id, None).await.unwrap();
    let running = docker.remove_container(&id, None).await.unwrap_err();
    assert_eq!(status(&running).0, 409);
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    docker.remove_container(&id, Some(force)).await.unwrap();
    let pull = CreateImageOptionsBuilder::new()
        .from_image("alpine")
        .build();
    let pull = docker
        .create_image(Some(pull), None, None)
        .try_collect::<Vec<_>>()
        .await
        .unwrap_err();
    assert!(status(&pull).1.contains("pulls nothing"));
    let nothing = ContainerCreateBody {
        entrypoint: Some(vec!["/absent".to_owned()]),
        ..of("test/some")
    };
    let id = create(&docker, "nothing", nothing).await;
    let (code, message) = status(&docker.start_container(&id, None).await.unwrap_err());
    assert!(code == 400 && message.contains("/absent"), "{message}");
}

#[tokio::test]
async fn a_second_one_on_the_same_state_refuses() {
    let (engine, _docker) = StandIn::start().await;
    let output = Command::new(env!("CARGO_BIN_EXE_rollbot-stand-in-engine"))
        .arg("--socket")
        .arg(engine.dir.path().join("other.sock"))
        .arg("--state")
        .arg(engine.dir.path().join("state"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("another stand-in engine uses"), "{said}");
}

#[tokio::test]
async fn the_docker_client_can_drive_it_where_there_is_one() {
    let there = Command::new("docker").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("no docker client here: nothing to try");
        return;
    }
    let (engine, docker) = StandIn::start().await;
    import(&docker, "test/cli", OBEDIENT, &[]).await;
    create(&docker, "cli", of("test/cli")).await;
    let socket = engine.socket();
    let run = |words: &[&str]| run_docker(&socket, words);
    assert!(run(&["ps", "-a"]).contains("Created"));
    run(&["start", "cli"]);
    assert!(run(&["ps"]).contains("test/cli:1.0"));
    assert!(run(&["inspect", "-f", "{{.State.Status}}", "cli"]).contains("running"));
    until("docker logs shows a line", || async {
        run(&["logs", "cli"]).contains("port=").then_some(())
    })
    .await;
    assert!(run(&["info"]).contains("stand-in"));
    run(&["stop", "cli"]);
    assert!(run(&["ps", "-a"]).contains("Exited (7)"));
    run(&["rm", "cli"]);
    run(&["rmi", "test/cli:1.0"]);
}

fn run_docker(socket: &Path, words: &[&str]) -> String {
    let output = Command::new("docker")
        .arg("-H")
        .arg(format!("unix://{}", socket.display()))
        .args(words)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "docker {words:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
