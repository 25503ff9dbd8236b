//! A port that a real container publishes, seen from the side of native processes.
//!
//! Needs a Docker Engine; without one it fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rollbot_host::process::{Deadlines, PortOwners, Processes, StopMethod, StopRequest};

struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.0]).output();
    }
}

fn run(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program:?} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_containers_port_is_named_and_its_proxy_is_never_signalled() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    run(&here.join("build-image.sh"), &[]);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let docker = Path::new("docker");
    let publish = format!("127.0.0.1:{port}:80");
    let container = Container(run(
        docker,
        &[
            "run",
            "-d",
            "-p",
            &publish,
            "rollbot-systemd:1",
            "/bin/sleep",
            "300",
        ],
    ));
    let owners = PortOwners::new(Deadlines::default());
    let begun = Instant::now();
    let owner = loop {
        if let Some(owner) = owners.status(&[], Some(port)).await.unwrap().owner {
            break owner;
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(owner.is_container(), "{owner:?}");

    let report = owners
        .stop(&StopRequest {
            method: StopMethod::PortOwner,
            units: Vec::new(),
            port: Some(port),
            grace: Duration::from_secs(5),
        })
        .await
        .unwrap();

    assert_eq!(report.status.owner, Some(owner));
    assert!(
        report.how.contains("belongs to a container"),
        "{}",
        report.how
    );
    let running = run(
        docker,
        &["inspect", "-f", "{{.State.Running}}", &container.0],
    );
    assert_eq!(running, "true");
}
