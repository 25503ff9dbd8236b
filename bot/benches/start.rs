//! From the start of the process until it says that it is ready, with plugins that were compiled by
//! an earlier start; and what it holds in memory when nothing is going on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "house/mod.rs"]
mod house;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(directory: &Path, port: u16) -> (Duration, Running) {
    let begun = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_rollbot"))
        .arg("--config")
        .arg(directory)
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(child);
    while !ready(port) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not get ready"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    (begun.elapsed(), running)
}

fn ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let request = format!("GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.split(' ').nth(1) == Some("200")
}

/// Resident memory in KiB: all of it, and without what is mapped from files.
fn memory(pid: u32) -> (u64, u64) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |key: &str| {
        text.lines()
            .find_map(|line| {
                line.strip_prefix(key)?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0)
    };
    (of("VmRSS:"), of("RssAnon:"))
}

fn starts(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    house::configuration(directory.path(), port);
    let (first, running) = start(directory.path(), port);
    println!("first start, which compiles the plugins: {first:?}");
    drop(running);
    let (_, running) = start(directory.path(), port);
    std::thread::sleep(Duration::from_secs(3));
    let (all, own) = memory(running.0.id());
    println!(
        "idle: {:.1} MiB resident, {:.1} MiB of it not from files",
        mib(all),
        mib(own)
    );
    drop(running);
    let mut group = criterion.benchmark_group("start");
    group.sample_size(20);
    group.bench_function("to ready", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| start(directory.path(), port).0).sum());
    });
    group.finish();
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

criterion_group!(benches, starts);
criterion_main!(benches);
