//! Archiving 64 MiB of mixed data, beside what people do by hand on the same data: `tar -czf`, and
//! `tar` piped into `zstd -T0`. The sizes are printed first.
//!
//! Ours are synced to the disk; the commands' are not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rollbot_host_backup::{ArchiveFormat, Archiver, Archives, Control, CreateRequest};

/// What a trading service leaves behind: logs, tables, records, and some that cannot be compressed.
fn generate(root: &Path) -> u64 {
    let mut random = StdRng::seed_from_u64(64);
    let mut total = 0;
    let mut write = |name: String, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        total += bytes.len() as u64;
    };
    let symbols = [
        "BTC-USD", "ETH-USD", "SOL-EUR", "ADA-USDT", "DOT-USD", "XRP-EUR",
    ];
    let verbs = [
        "order accepted",
        "order filled",
        "order cancelled",
        "position closed",
        "risk check passed",
    ];
    for file in 0..6 {
        let mut text = String::new();
        while text.len() < 4 << 20 {
            writeln!(
                text,
                "2026-11-{:02}T{:02}:{:02}:{:02}.{:06}Z INFO trade::engine: {} id={:016x} symbol={} quantity={:.4} price={:.2}",
                random.random_range(1..29),
                random.random_range(0..24),
                random.random_range(0..60),
                random.random_range(0..60),
                random.random_range(0..1_000_000),
                verbs[random.random_range(0..verbs.len())],
                random.next_u64(),
                symbols[random.random_range(0..symbols.len())],
                random.random::<f64>() * 10.0,
                random.random::<f64>() * 90_000.0,
            )
            .unwrap();
        }
        write(format!("logs/trade.{file}.log"), text.as_bytes());
    }
    for file in 0..2_000 {
        let mut text = String::from("{\"orders\":[");
        for _ in 0..random.random_range(20..100) {
            write!(
                text,
                "{{\"id\":{},\"symbol\":\"{}\",\"side\":\"{}\",\"quantity\":{:.3},\"state\":\"filled\"}},",
                random.next_u32(),
                symbols[random.random_range(0..symbols.len())],
                if random.random() { "buy" } else { "sell" },
                random.random::<f64>() * 5.0,
            )
            .unwrap();
        }
        text.push_str("null]}");
        write(
            format!("orders/{:02}/{file}.json", file % 32),
            text.as_bytes(),
        );
    }
    for file in 0..2 {
        let mut records = Vec::new();
        let mut price = 4_000_000u64;
        let mut time = 1_795_000_000_000u64;
        while records.len() < 10 << 20 {
            price = price.wrapping_add_signed(random.random_range(-500..500));
            time += random.random_range(1..2_000);
            records.extend_from_slice(&time.to_le_bytes());
            records.extend_from_slice(&price.to_le_bytes());
            records.extend_from_slice(&random.random_range(0..10_000u32).to_le_bytes());
            records.extend_from_slice(&[0; 12]);
        }
        write(format!("candles/{file}.bin"), &records);
    }
    let mut noise = vec![0; 8 << 20];
    random.fill_bytes(&mut noise);
    write("models/weights.bin".to_owned(), &noise);
    total
}

struct Bench {
    directory: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    archiver: Archiver,
}

impl Bench {
    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn request(&self, format: ArchiveFormat) -> CreateRequest {
        CreateRequest {
            directory: self.data(),
            archive_name: "trade_service".to_owned(),
            format,
            destination: self.out(),
            now: jiff::Timestamp::UNIX_EPOCH,
            operation_label: "RB-1".to_owned(),
        }
    }

    /// Returns the archive's size.
    fn create(&self, format: ArchiveFormat, read_back: bool) -> u64 {
        let (request, control) = (self.request(format), Control::new());
        self.runtime.block_on(async {
            if read_back {
                return self
                    .archiver
                    .create(&request, &control)
                    .await
                    .unwrap()
                    .bytes;
            }
            self.archiver
                .write(&request, &control)
                .await
                .unwrap()
                .bytes()
        })
    }

    fn tar_gzip(&self) -> u64 {
        let out = self.out().join("by-hand.tar.gz");
        let status = Command::new("tar")
            .arg("-C")
            .arg(self.directory.path())
            .arg("-czf")
            .arg(&out)
            .arg("data")
            .status()
            .unwrap();
        assert!(status.success());
        fs::metadata(out).unwrap().len()
    }

    fn tar_zstd(&self) -> u64 {
        let out = self.out().join("by-hand.tar.zst");
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(self.directory.path())
            .args(["-cf", "-", "data"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = Command::new("zstd")
            .args(["-T0", "-q", "-f", "-o"])
            .arg(&out)
            .stdin(tar.stdout.take().unwrap())
            .status()
            .unwrap();
        assert!(status.success() && tar.wait().unwrap().success());
        fs::metadata(out).unwrap().len()
    }

    fn clear(&self) {
        for item in fs::read_dir(self.out()).unwrap() {
            fs::remove_file(item.unwrap().path()).unwrap();
        }
    }

    /// The removal of what was written is not counted.
    fn measure(&self, times: u64, work: impl Fn() -> u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let start = Instant::now();
            std::hint::black_box(work());
            spent += start.elapsed();
            self.clear();
        }
        spent
    }
}

fn backup(criterion: &mut Criterion) {
    let bench = Bench {
        directory: tempfile::tempdir().unwrap(),
        runtime: tokio::runtime::Runtime::new().unwrap(),
        archiver: Archiver::default(),
    };
    fs::create_dir_all(bench.out()).unwrap();
    let bytes = generate(&bench.data());
    type Work<'a> = (&'a str, Box<dyn Fn() -> u64 + 'a>);
    let works: Vec<Work<'_>> = vec![
        ("tar -czf", Box::new(|| bench.tar_gzip())),
        ("tar | zstd -T0", Box::new(|| bench.tar_zstd())),
        (
            "create tar-zst",
            Box::new(|| bench.create(ArchiveFormat::TarZst, false)),
        ),
        (
            "create tar-zst, read back",
            Box::new(|| bench.create(ArchiveFormat::TarZst, true)),
        ),
        (
            "create tar-gz, read back",
            Box::new(|| bench.create(ArchiveFormat::TarGz, true)),
        ),
        (
            "create zip, read back",
            Box::new(|| bench.create(ArchiveFormat::Zip, true)),
        ),
    ];
    println!("data: {bytes} bytes");
    for (name, work) in &works {
        println!("{name}: {} bytes", work());
        bench.clear();
    }
    let mut group = criterion.benchmark_group("backup");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    for (name, work) in &works {
        group.bench_function(*name, |bencher| {
            bencher.iter_custom(|times| bench.measure(times, work));
        });
    }
    group.finish();
}

criterion_group!(benches, backup);
criterion_main!(benches);
