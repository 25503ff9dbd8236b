//! The services under test: this binary, run again with one "test" chosen by name.

use std::{
    collections::BTreeMap,
    io::Write,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rollbot_host_process::{CommandUnit, Deadlines};

const BEHAVIOUR: &str = "ROLLBOT_TEST_BEHAVIOUR";
const PORT: &str = "ROLLBOT_TEST_PORT";

pub const DEADLINES: Deadlines = Deadlines {
    call: Duration::from_secs(20),
    start: Duration::from_secs(30),
    kill: Duration::from_secs(20),
    settle: Duration::from_millis(200),
};

/// What a service does. A service that listens ends at SIGTERM unless it says otherwise.
#[derive(Clone, Copy)]
pub enum Behaviour {
    Listens,
    IgnoresSigterm,
    /// Listens, and so does a worker of its own that shares the socket.
    HasWorker,
    DiesAtOnce,
    NeverListens,
}

impl Behaviour {
    fn word(self) -> &'static str {
        match self {
            Self::Listens => "listens",
            Self::IgnoresSigterm => "ignores-sigterm",
            Self::HasWorker => "has-worker",
            Self::DiesAtOnce => "dies-at-once",
            Self::NeverListens => "never-listens",
        }
    }
}

#[test]
#[ignore = "it is run as a service by the other tests"]
fn play_a_service() {
    let Ok(behaviour) = std::env::var(BEHAVIOUR) else {
        return;
    };
    let mut log = std::io::stderr();
    if behaviour == "dies-at-once" {
        writeln!(log, "reading configuration").unwrap();
        writeln!(log, "no such exchange: kraken").unwrap();
        std::process::exit(7);
    }
    let port: u16 = std::env::var(PORT).unwrap_or_default().parse().unwrap_or(0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _ignored = (behaviour == "ignores-sigterm").then(|| {
        let _context = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap()
    });
    if behaviour == "never-listens" {
        writeln!(log, "waiting for the database").unwrap();
        std::thread::sleep(Duration::from_secs(300));
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut worker = (behaviour == "has-worker").then(|| {
        Command::new("sleep")
            .arg("300")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(
                listener.try_clone().unwrap(),
            )))
            .spawn()
            .unwrap()
    });
    writeln!(log, "listening on {port}").unwrap();
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
    }
    if let Some(worker) = &mut worker {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}

/// A port that is free now, from below the range that the kernel hands out by itself.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let process = u16::try_from(std::process::id() % 400).unwrap();
        let port = 12_000 + process * 40 + step % 40;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn argv() -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    let mut argv = vec![this.to_str().unwrap().to_owned()];
    argv.extend(
        [
            "--ignored",
            "--exact",
            "--nocapture",
            "service::play_a_service",
        ]
        .map(str::to_owned),
    );
    argv
}

fn environment(behaviour: Behaviour, port: u16) -> BTreeMap<String, String> {
    BTreeMap::from([
        (BEHAVIOUR.to_owned(), behaviour.word().to_owned()),
        (PORT.to_owned(), port.to_string()),
    ])
}

pub fn unit(directory: &Path, name: &str, behaviour: Behaviour, port: Option<u16>) -> CommandUnit {
    CommandUnit {
        name: name.to_owned(),
        argv: argv(),
        working_directory: Some(directory.to_owned()),
        environment: environment(behaviour, port.unwrap_or(0)),
        log_file: directory.join(format!("{name}.log")),
        port,
    }
}

/// A service that was started by hand. Ended when dropped.
pub struct ByHand(pub Child);

impl ByHand {
    pub fn start(behaviour: Behaviour, port: u16) -> Self {
        let argv = argv();
        let child = Command::new(&argv[0])
            .args(&argv[1..])
            .envs(environment(behaviour, port))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self(child);
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "it never listened"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
