//! The real binary, as a process, over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-demo-service");

struct Service {
    child: Child,
    port: u16,
}

impl Service {
    fn start(service: &str, deployment: &str, data: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args([
                "--service",
                service,
                "--deployment",
                deployment,
                "--port",
                "0",
            ])
            .arg("--data")
            .arg(data)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("it says where it listens").unwrap();
        let port = first
            .split("127.0.0.1:")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("no port in {first:?}"));
        // Somebody must read on, or a full pipe would stop the service.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), serde_json::from_str(body).unwrap())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.send("GET", path, "", "");
        (status, body)
    }

    fn post(&self, path: &str, headers: &str, body: Value) -> (u16, Value) {
        let (status, _, body) = self.send("POST", path, headers, &body.to_string());
        (status, body)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    fn ended(&mut self) -> std::process::ExitStatus {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_service_says_who_it_is_and_does_its_work() {
    for (service, path) in [
        ("auth", None),
        ("strategy", Some("/strategies")),
        ("backtest", None),
        ("trade", Some("/orders/in-flight")),
        ("data", Some("/series/latest?limit=3")),
        ("mcp", Some("/tools")),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let running = Service::start(service, "native", dir.path(), &[]);
        let (status, health) = running.get("/health");
        assert_eq!((status, &health["service"]), (200, &json!(service)));
        assert_eq!(health["deployment"], "native");
        assert_eq!(health["status"], "ok");
        assert_eq!(health["pid"], running.child.id());
        if let Some(path) = path {
            assert_eq!(running.get(path).0, 200, "{service} {path}");
        }
        assert_eq!(running.get("/nowhere").0, 404);
        assert_eq!(running.post("/health", "", json!({})).0, 405);
    }
}

#[test]
fn the_name_of_the_other_deployment_in_the_path_is_misdirected() {
    let dir = tempfile::tempdir().unwrap();
    let running = Service::start("trade", "native", dir.path(), &[]);
    assert_eq!(running.get("/native/health").0, 200);
    let (status, body) = running.get("/docker/health");
    assert_eq!(status, 421);
    assert_eq!(
        body["error"],
        "this is the native deployment of trade, not the docker one"
    );
}

#[test]
fn an_order_is_executed_once_for_a_key_even_across_kill_dash_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Service::start("trade", "docker", dir.path(), &[]);
    let key = "Idempotency-Key: RB-1/verify\r\n";
    let (status, first) = running.post("/paper/orders", key, json!({}));
    assert_eq!((status, &first["state"]), (200, &json!("filled")));
    assert!(first["price"].as_f64().unwrap() > 0.0);
    running.signal(Signal::SIGKILL);
    running.ended();
    let running = Service::start("trade", "docker", dir.path(), &[]);
    let (status, head, again) = running.send("POST", "/paper/orders", key, "");
    assert_eq!((status, &again), (200, &first));
    assert!(head.contains("Idempotent-Replayed: true"));
    let written = std::fs::read_to_string(dir.path().join("orders.jsonl")).unwrap();
    assert_eq!(written.matches("RB-1/verify").count(), 1);
}

#[test]
fn sigterm_finishes_the_request_under_way_and_exits_with_zero() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Service::start("trade", "native", dir.path(), &["--demo-controls"]);
    let (status, _) = running.post("/demo/fault", "", json!({"kind": "slow", "delay_ms": 300}));
    assert_eq!(status, 200);
    std::thread::scope(|scope| {
        let request = scope.spawn(|| running.get("/orders/in-flight"));
        std::thread::sleep(Duration::from_millis(150));
        running.signal(Signal::SIGTERM);
        assert_eq!(request.join().unwrap().0, 200);
    });
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn a_service_told_to_ignore_sigterm_needs_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Service::start("data", "native", dir.path(), &["--demo-controls"]);
    running.post("/demo/fault", "", json!({"kind": "ignore-sigterm"}));
    running.signal(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(running.get("/health").0, 200);
    running.signal(Signal::SIGKILL);
    assert_eq!(running.ended().code(), None);
}

#[test]
fn rows_come_by_themselves_until_they_are_told_to_be_stale() {
    let dir = tempfile::tempdir().unwrap();
    let running = Service::start("data", "native", dir.path(), &["--demo-controls"]);
    let newest = || -> jiff::Timestamp {
        let (_, body) = running.get("/series/latest?limit=1");
        body["rows"][0]["at"].as_str().unwrap().parse().unwrap()
    };
    let first = newest();
    let end = Instant::now() + Duration::from_secs(30);
    while newest() == first {
        assert!(Instant::now() < end, "no new row comes");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.post(
        "/demo/fault",
        "",
        json!({"kind": "stale-rows", "age_ms": 7_200_000}),
    );
    assert!(jiff::Timestamp::now().duration_since(newest()).as_secs() >= 7_200);
}

#[test]
fn faults_show_where_they_should() {
    let dir = tempfile::tempdir().unwrap();
    let running = Service::start("trade", "native", dir.path(), &["--demo-controls"]);
    running.post("/demo/in-flight", "", json!({"count": 3, "for_ms": 60_000}));
    assert_eq!(running.get("/orders/in-flight").1["count"], 3);
    running.post("/demo/fault", "", json!({"kind": "reject-orders"}));
    let (status, body) = running.post("/paper/orders", "", json!({}));
    assert_eq!((status, &body["state"]), (422, &json!("rejected")));
    running.post("/demo/fault", "", json!({"kind": "fail-health"}));
    assert_eq!(running.get("/health").0, 503);
    let health = |port: u16| {
        Command::new(BINARY)
            .args(["--health", "--port", &port.to_string()])
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(health(running.port), Some(1));
    running.post("/demo/fault", "", json!({"kind": "none"}));
    assert_eq!(health(running.port), Some(0));
    let (status, _) = running.post("/demo/fault", "Origin: http://a.example\r\n", json!({}));
    assert_eq!(status, 403);
}

#[test]
fn without_leave_there_are_no_controls() {
    let dir = tempfile::tempdir().unwrap();
    let running = Service::start("trade", "native", dir.path(), &[]);
    assert_eq!(
        running.post("/demo/fault", "", json!({"kind": "slow"})).0,
        404
    );
}

#[test]
fn peers_are_found_through_the_registry_and_a_stale_entry_shows() {
    let dir = tempfile::tempdir().unwrap();
    let trade = Service::start("trade", "docker", &dir.path().join("trade"), &[]);
    let registry = dir.path().join("registry.json");
    let point = |deployment: &str| {
        let url = format!("http://127.0.0.1:{}/{deployment}", trade.port);
        std::fs::write(
            &registry,
            json!({"services": {"trade": {"value": url}}}).to_string(),
        )
        .unwrap();
    };
    point("docker");
    let data = Service::start(
        "data",
        "native",
        &dir.path().join("data"),
        &[
            "--peers",
            "trade=http://127.0.0.1:1",
            "--registry",
            registry.to_str().unwrap(),
        ],
    );
    let (_, body) = data.get("/peers");
    assert_eq!(
        (&body["unreachable"], &body["reachable"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(body["peers"][0]["deployment"], "docker");
    point("native");
    let (_, body) = data.get("/peers");
    assert_eq!(body["unreachable"], 1);
    assert!(body["peers"][0]["error"].as_str().unwrap().contains("421"));
}

#[test]
fn a_port_that_is_taken_is_said_and_the_data_stays_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let data = dir.path().join("trade");
    let output = Command::new(BINARY)
        .args(["--service", "trade", "--deployment", "native"])
        .args(["--port", &taken.local_addr().unwrap().port().to_string()])
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot listen on 127.0.0.1"), "{said}");
    assert!(!data.exists());
}
