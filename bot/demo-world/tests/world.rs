//! Whole worlds, in a real Docker Engine and in the stand-in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::ContainerSummaryStateEnum;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};
use rollbot_demo_world::{
    DemoService, Deployment, EngineChoice, EngineKind, OpenOptions, World, WorldError, WorldOptions,
};
use rollbot_host_process::{
    CommandUnits, Deadlines, Processes, StartRequest, StopMethod, StopRequest,
};
use rollbot_host_registry::{JsonFileRegistry, Registry};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-demo-world");
const SOCKET: &str = "/var/run/docker.sock";

/// Ports that no other test of this file gets: a port that one world has left may be taken by the
/// next one at once, and then nobody can tell whether it was left. Below those that worlds find for
/// themselves.
fn ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(18_000);
    loop {
        let base = NEXT.fetch_add(10, Ordering::Relaxed);
        assert!(base < 20_000, "no six free ports in a row");
        // Asked, and not bound: a process that is started meanwhile would inherit the socket.
        if (base..base + 6).all(|port| TcpStream::connect(("127.0.0.1", port)).is_err()) {
            return base;
        }
    }
}

fn options(engine: EngineChoice) -> WorldOptions {
    WorldOptions {
        engine,
        port_base: Some(ports()),
        stand_in_command: vec![BINARY.to_owned(), "stand-in-engine".to_owned()],
    }
}

/// A directory whose world is ended with the test, however the test ends.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap().join("world")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.path().join("world.json").exists() {
            let _ = Command::new(BINARY).arg("stop").arg(self.path()).status();
        }
    }
}

/// `None` where there is no Docker, which fails only where it is demanded.
async fn create(stage: &Stage, engine: EngineKind) -> Option<World> {
    let choice = match engine {
        EngineKind::Docker => EngineChoice::Docker(SOCKET.into()),
        EngineKind::StandIn => EngineChoice::StandIn,
    };
    match World::create(&stage.path(), options(choice)).await {
        Ok(world) => {
            assert_eq!(world.engine_kind(), engine);
            Some(world)
        }
        Err(WorldError::Engine { reason, .. })
            if engine == EngineKind::Docker
                && std::env::var_os("ROLLBOT_REQUIRE_DOCKER").is_none() =>
        {
            eprintln!("no Docker here, so nothing was tried: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn request(url: &str, method: &str) -> (u16, Value) {
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.0\r\nHost: {authority}\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    (status, serde_json::from_str(body).unwrap())
}

fn get(url: &str) -> (u16, Value) {
    request(url, "GET")
}

fn units(world: &World) -> CommandUnits {
    CommandUnits::new(
        world.layout().run(),
        world.services().iter().map(DemoService::unit).collect(),
        Deadlines::default(),
    )
    .unwrap()
}

async fn stop_native(world: &World, service: &DemoService) {
    units(world)
        .stop(&StopRequest {
            method: StopMethod::ServiceManager,
            units: vec![service.unit.clone()],
            port: Some(service.port),
            grace: Duration::from_secs(5),
        })
        .await
        .unwrap();
}

fn docker(world: &World) -> Docker {
    let socket = world.engine_socket().display().to_string();
    Docker::connect_with_unix(
        &socket,
        60,
        &bollard::ClientVersion {
            major_version: 1,
            minor_version: 41,
        },
    )
    .unwrap()
}

async fn containers(
    docker: &Docker,
    project: &str,
) -> HashMap<String, Option<ContainerSummaryStateEnum>> {
    let label = format!("com.docker.compose.project={project}");
    let filters = HashMap::from([("label".to_owned(), vec![label])]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    docker
        .list_containers(Some(options))
        .await
        .unwrap()
        .into_iter()
        .map(|container| {
            let service = container.labels.unwrap()["com.docker.compose.service"].clone();
            (service, container.state)
        })
        .collect()
}

/// Processes that have a path below the directory in their command line.
fn processes(dir: &Path) -> Vec<String> {
    let dir = dir.display().to_string();
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|words| String::from_utf8_lossy(&words).replace('\0', " "))
        .filter(|words| words.contains(&dir))
        .collect()
}

async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !check().await {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn all_native(world: &World) -> bool {
    world
        .observe()
        .await
        .iter()
        .all(|seen| seen.deployment == Deployment::Native && seen.healthy)
}

async fn a_world_stands_and_leaves_nothing_behind(engine: EngineKind) {
    let stage = Stage::new();
    let Some(mut world) = create(&stage, engine).await else {
        return;
    };
    assert_eq!(world.services().len(), 6);
    assert!(all_native(&world).await, "{:?}", world.observe().await);
    let engine_api = docker(&world);
    let project = world.compose_project().to_owned();
    let states = containers(&engine_api, &project).await;
    assert_eq!(states.len(), 6);
    assert!(
        states
            .values()
            .all(|state| *state == Some(ContainerSummaryStateEnum::CREATED)),
        "{states:?}"
    );
    let registry = JsonFileRegistry::new(world.layout().registry());
    for service in world.services() {
        let entry = registry.get(&service.registry_key).await.unwrap();
        assert_eq!(entry.value, service.registry_native);
        assert_eq!(get(&format!("{}/health", entry.value)).0, 200);
        assert_eq!(get(&format!("{}/health", service.registry_docker)).0, 421);
        let (_, peers) = get(&format!("{}/peers", service.url));
        assert_eq!(peers["unreachable"], 0, "{peers}");
        assert!(
            std::fs::read_dir(&service.data_directory)
                .unwrap()
                .next()
                .is_some()
        );
    }
    let text = world.describe().to_string();
    assert!(
        text.contains(&project) && text.contains("cryptobot-trade"),
        "{text}"
    );
    compose_accepts(&world);

    world.stop().await.unwrap();
    assert_eq!(processes(&stage.path()), Vec::<String>::new());
    for service in world.services() {
        assert!(TcpStream::connect(("127.0.0.1", service.port)).is_err());
    }
    match engine {
        EngineKind::Docker => {
            assert!(containers(&engine_api, &project).await.is_empty());
            let label = format!("com.docker.compose.project={project}");
            let filters = HashMap::from([("label".to_owned(), vec![label])]);
            let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
            assert!(
                engine_api
                    .list_networks(Some(options))
                    .await
                    .unwrap()
                    .is_empty()
            );
        }
        EngineKind::StandIn => assert!(!world.engine_socket().exists()),
    }
    world
        .stop()
        .await
        .expect("ending what has ended is no error");
}

/// By compose itself, in whichever version there is.
fn compose_accepts(world: &World) {
    for words in [&["docker-compose"][..], &["docker", "compose"][..]] {
        let (program, first) = words.split_first().unwrap();
        let there = Command::new(program).args(first).arg("version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let run = |more: &[&str]| {
            let output = Command::new(program)
                .args(first)
                .args(more)
                .current_dir(world.layout().compose())
                .env(
                    "DOCKER_HOST",
                    format!("unix://{}", world.engine_socket().display()),
                )
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{words:?} {more:?}: {complaint}");
            text
        };
        let services = run(&["config", "--services"]);
        assert_eq!(services.lines().count(), 6, "{services}");
        if world.engine_kind() == EngineKind::Docker {
            let listed = run(&["ps", "-a"]);
            assert!(
                listed.contains(&format!("{}_trade_1", world.compose_project())),
                "{listed}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_in_docker_stands_and_leaves_nothing_behind() {
    a_world_stands_and_leaves_nothing_behind(EngineKind::Docker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_in_the_stand_in_stands_and_leaves_nothing_behind() {
    a_world_stands_and_leaves_nothing_behind(EngineKind::StandIn).await;
}

async fn a_service_is_rolled_back_and_stays_so(engine: EngineKind) {
    let stage = Stage::new();
    let Some(mut world) = create(&stage, engine).await else {
        return;
    };
    let trade = world.service("trade").unwrap().clone();
    let engine_api = docker(&world);
    let held = engine_api.start_container(&trade.container, None).await;
    assert!(
        held.unwrap_err()
            .to_string()
            .contains("address already in use")
    );
    stop_native(&world, &trade).await;
    engine_api
        .start_container(&trade.container, None)
        .await
        .unwrap();
    until("the container is healthy", async || {
        let state = engine_api
            .inspect_container(&trade.container, None)
            .await
            .unwrap()
            .state
            .unwrap();
        state
            .health
            .is_some_and(|health| health.status.unwrap().to_string() == "healthy")
    })
    .await;
    let registry = JsonFileRegistry::new(world.layout().registry());
    let data = world.service("data").unwrap().clone();
    let (_, peers) = get(&format!("{}/peers", data.url));
    assert_eq!(peers["unreachable"], 1, "the registry is stale: {peers}");
    registry
        .point(&trade.registry_key, &trade.registry_docker, None)
        .await
        .unwrap();
    let (_, peers) = get(&format!("{}/peers", data.url));
    assert_eq!(peers["unreachable"], 0, "{peers}");
    let (_, peers) = get(&format!("{}/peers", trade.registry_docker));
    assert_eq!(peers["unreachable"], 0, "{peers}");
    let (status, order) = request(&format!("{}/paper/orders", trade.registry_docker), "POST");
    assert_eq!((status, order["state"].as_str()), (200, Some("filled")));
    let written =
        std::fs::read_to_string(trade.container_data_directory.join("orders.jsonl")).unwrap();
    assert!(written.contains(order["id"].as_str().unwrap()));

    // A stand-in that is killed is started again, and finds the container's process.
    if engine == EngineKind::StandIn {
        let pid = std::fs::read_to_string(world.layout().root().join("engine/engine.pid")).unwrap();
        assert!(
            Command::new("kill")
                .args(["-9", pid.trim()])
                .status()
                .unwrap()
                .success()
        );
        world = World::open(&stage.path()).await.unwrap();
        let state = docker(&world)
            .inspect_container(&trade.container, None)
            .await
            .unwrap()
            .state;
        assert_eq!(state.unwrap().running, Some(true));
    }
    world.stop().await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", trade.port)).is_err());
    let world = World::open(&stage.path()).await.unwrap();
    until(
        "trade is served by its container, the rest natively",
        async || {
            world.observe().await.iter().all(|seen| {
                let wanted = match seen.service.as_str() {
                    "trade" => Deployment::Docker,
                    _ => Deployment::Native,
                };
                seen.deployment == wanted
            })
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_rolled_back_to_docker_stays_so() {
    a_service_is_rolled_back_and_stays_so(EngineKind::Docker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_rolled_back_to_the_stand_in_stays_so() {
    a_service_is_rolled_back_and_stays_so(EngineKind::StandIn).await;
}

/// Kills the creator after each of some times; whatever stood then, opening completes it.
async fn a_killed_creation_is_completed(engine: &str, after: Duration) {
    let stage = Stage::new();
    let mut creator = Command::new(BINARY)
        .arg("create")
        .arg(stage.path())
        .args(["--engine", engine])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the world is begun", async || {
        stage.path().join("world.json").exists()
    })
    .await;
    tokio::time::sleep(after).await;
    creator.kill().unwrap();
    creator.wait().unwrap();
    let world = World::open(&stage.path()).await.unwrap();
    assert!(all_native(&world).await, "{:?}", world.observe().await);
    assert_eq!(
        containers(&docker(&world), world.compose_project())
            .await
            .len(),
        6
    );
    let pids = |world: &World| -> Vec<Value> {
        let services = world.services().iter();
        services
            .map(|service| get(&format!("{}/health", service.url)).1["pid"].clone())
            .collect()
    };
    let before = pids(&world);
    drop(world);
    let world = World::open(&stage.path()).await.unwrap();
    assert_eq!(pids(&world), before, "what runs is found and left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_killed_at_any_moment_is_completed_by_opening() {
    for milliseconds in [0, 60, 250] {
        a_killed_creation_is_completed("stand-in", Duration::from_millis(milliseconds)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_stopped_stays_stopped_until_the_machine_is_started_anew() {
    let stage = Stage::new();
    let world = create(&stage, EngineKind::StandIn).await.unwrap();
    let (trade, auth) = (
        world.service("trade").unwrap().clone(),
        world.service("auth").unwrap().clone(),
    );
    stop_native(&world, &trade).await;
    let world = World::open(&stage.path()).await.unwrap();
    let serving = |seen: &[rollbot_demo_world::Observed], name: &str| {
        seen.iter()
            .find(|seen| seen.service == name)
            .unwrap()
            .deployment
    };
    assert_eq!(serving(&world.observe().await, "trade"), Deployment::Nobody);

    // As after a start of the machine: another boot id, and nothing runs. The registry says that
    // auth was rolled back; an operation is under way with trade.
    stop_native(&world, &auth).await;
    JsonFileRegistry::new(world.layout().registry())
        .point(&auth.registry_key, &auth.registry_docker, None)
        .await
        .unwrap();
    let record = world.layout().root().join("world.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let boot = value["boot"].clone();
    let reboot = |value: &mut Value| {
        value["boot"] = "another".into();
        std::fs::write(&record, value.to_string()).unwrap();
    };
    reboot(&mut value);
    let options = OpenOptions {
        keep_stopped: ["trade".to_owned()].into(),
        ..OpenOptions::default()
    };
    let world = World::open_with(&stage.path(), options).await.unwrap();
    assert_eq!(serving(&world.observe().await, "trade"), Deployment::Nobody);
    let mut value: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    assert_eq!(value["boot"], boot);
    reboot(&mut value);
    let world = World::open(&stage.path()).await.unwrap();
    let seen = world.observe().await;
    assert_eq!(serving(&seen, "trade"), Deployment::Native);
    assert_eq!(serving(&seen, "auth"), Deployment::Nobody);
    // Undo of a rollback starts the service exactly as it ran before.
    let request = StartRequest {
        units: vec![auth.unit.clone()],
        port: Some(auth.port),
    };
    units(&world).start(&request).await.unwrap();
    assert!(all_native(&world).await);
}

#[tokio::test]
async fn a_world_that_cannot_be_made_says_why_and_leaves_nothing() {
    let stage = Stage::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let wished = WorldOptions {
        port_base: Some(port.min(65_000)),
        ..options(EngineChoice::StandIn)
    };
    if port <= 65_000 {
        let error = World::create(&stage.path(), wished).await.unwrap_err();
        assert!(matches!(error, WorldError::Ports(_)), "{error}");
    }
    assert!(matches!(
        World::open(&stage.path()).await.unwrap_err(),
        WorldError::Absent(_)
    ));
    let absent = EngineChoice::Docker(stage.path().join("no.sock"));
    let error = World::create(&stage.path(), options(absent))
        .await
        .unwrap_err();
    assert!(matches!(error, WorldError::Engine { .. }), "{error}");
    let broken = WorldOptions {
        stand_in_command: vec!["/bin/false".to_owned()],
        ..options(EngineChoice::StandIn)
    };
    let error = World::create(&stage.path(), broken).await.unwrap_err();
    assert!(matches!(error, WorldError::StandIn { .. }), "{error}");
    assert!(!stage.path().join("world.json").exists());
    assert_eq!(processes(&stage.path()), Vec::<String>::new());

    let world = World::create(&stage.path(), options(EngineChoice::StandIn))
        .await
        .unwrap();
    let error = World::create(&stage.path(), options(EngineChoice::StandIn))
        .await
        .unwrap_err();
    assert!(matches!(error, WorldError::Exists(_)), "{error}");
    assert!(all_native(&world).await);
}
