//! What a demo's world looks like from the outside: looked at with nothing of the product's own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// The service `trade` of a demo and everything around it, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Who answers on the service's port: `native`, `docker` or nobody.
    pub deployment: Option<String>,
    /// Value of the registry key.
    pub registry: String,
    /// Whether every archive can be read in full and holds the same files.
    pub archives: Vec<String>,
}

/// Looks at the world in this directory.
///
/// # Errors
/// It cannot be looked at.
pub fn look(directory: &Path) -> anyhow::Result<Seen> {
    Ok(Seen {
        archives: archives(&directory.join("backups"))?,
        ..look_without_archives(directory)?
    })
}

/// The port of `trade`.
///
/// # Errors
/// There is no world.
pub fn port(directory: &Path) -> anyhow::Result<u16> {
    let record = read_json(&directory.join("world.json"))?;
    let base = record
        .get("port-base")
        .and_then(Value::as_u64)
        .context("no port-base in world.json")?;
    Ok(u16::try_from(base + 3)?)
}

/// The compose project, whose name differs from world to world.
///
/// # Errors
/// There is no world.
pub fn project(directory: &Path) -> anyhow::Result<String> {
    let record = read_json(&directory.join("world.json"))?;
    let project = record.get("project").and_then(Value::as_str);
    Ok(project.context("no project in world.json")?.to_owned())
}

/// Looks at all but the archives, for a world whose backups directory was taken away.
///
/// # Errors
/// It cannot be looked at.
pub fn look_without_archives(directory: &Path) -> anyhow::Result<Seen> {
    let port = port(directory)?;
    let registry = read_json(&directory.join("registry.json"))?;
    let registry = registry
        .pointer("/services/trade/value")
        .and_then(Value::as_str)
        .context("no trade in registry.json")?
        .replace(&port.to_string(), "PORT");
    Ok(Seen {
        deployment: deployment(port),
        registry,
        archives: Vec::new(),
    })
}

fn read_json(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Asks the service itself.
fn deployment(port: u16) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(3)))
        .ok()?;
    stream
        .write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body = body.get(body.find('{')?..=body.rfind('}')?)?;
    let body: Value = serde_json::from_str(body).ok()?;
    Some(body.get("deployment")?.as_str()?.to_owned())
}

/// The names of the files in each archive, read with `tar`; archives with the same files once.
fn archives(directory: &Path) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with('.') {
            bail!("{name} was left half written");
        }
        if !name.ends_with(".tar.zst") {
            continue;
        }
        let listed = Command::new("tar")
            .arg("--zstd")
            .arg("-tf")
            .arg(&path)
            .output()?;
        if !listed.status.success() {
            bail!(
                "{name} cannot be read: {}",
                String::from_utf8_lossy(&listed.stderr)
            );
        }
        let mut files: Vec<_> = String::from_utf8(listed.stdout)?
            .lines()
            .map(str::to_owned)
            .collect();
        files.sort();
        all.push(files.join("\n"));
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Process, and program and arguments, of the native service `trade` while it runs.
///
/// # Errors
/// It does not run.
pub fn native_trade(directory: &Path) -> anyhow::Result<(i32, Vec<String>)> {
    let place = directory.display().to_string();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let words: Vec<_> = String::from_utf8_lossy(&line)
            .split_terminator('\0')
            .map(str::to_owned)
            .collect();
        let runs = |word: &String| word.starts_with(&place) && word.ends_with("/cryptobot-trade");
        if words.first().is_some_and(runs) {
            return Ok((entry.file_name().to_string_lossy().parse()?, words));
        }
    }
    bail!("the native service of {place} does not run")
}

/// Does by hand what an upgrade does: stops the container of `trade`, starts the native service and
/// leads the registry to it. The service ends when it is dropped.
///
/// # Errors
/// Docker or the service does not do its part.
pub async fn upgrade_trade(
    directory: &Path,
    native: &[String],
) -> anyhow::Result<tokio::process::Child> {
    let container = format!("{}_trade_1", project(directory)?);
    let stopped = Command::new("docker").args(["stop", &container]).output()?;
    if !stopped.status.success() {
        bail!(
            "docker stop {container}: {}",
            String::from_utf8_lossy(&stopped.stderr)
        );
    }
    let (program, arguments) = native.split_first().context("no program")?;
    let service = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let registry = directory.join("registry.json");
    let text = std::fs::read_to_string(&registry)?;
    let port = port(directory)?;
    std::fs::write(
        &registry,
        text.replace(
            &format!("127.0.0.1:{port}/docker"),
            &format!("127.0.0.1:{port}/native"),
        ),
    )?;
    let within = std::time::Duration::from_secs(20);
    crate::eventually("the native service", within, || async {
        Ok((deployment(port).as_deref() == Some("native")).then_some(()))
    })
    .await?;
    Ok(service)
}
