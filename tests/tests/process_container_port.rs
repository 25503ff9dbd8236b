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

/// Starts a container and waits until somebody listens on the port.
async fn left_alone(port: u16, arguments: &[&str]) {
    let docker = Path::new("docker");
    let container = Container(run(docker, &[&["run", "-d"], arguments].concat()));
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

fn free_port() -> u16 {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    run(&here.join("build-image.sh"), &[]);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_containers_port_is_named_and_its_proxy_is_never_signalled() {
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:80");
    let sleeps = ["rollbot-systemd:1", "/bin/sleep", "300"];
    left_alone(port, &[&["-p", publish.as_str()], &sleeps[..]].concat()).await;
}

#[tokio::test]
async fn a_container_with_the_hosts_network_is_never_signalled_either() {
    let port = free_port();
    let listens = format!(
        "my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => {port}) or die; sleep 300"
    );
    let arguments = [
        "--network",
        "host",
        "rollbot-systemd:1",
        "/usr/bin/perl",
        "-MIO::Socket::INET",
        "-e",
        &listens,
    ];
    left_alone(port, &arguments).await;
}
