//! A machine with a real systemd: a container whose bus is reached from here.
//!
//! `ROLLBOT_TEST_SYSTEMD_BUS` names the bus of a systemd that is there already and knows the units of
//! `tests/systemd/units`. Otherwise a container is started, and removed with the last one who uses
//! it. There is no way to do without: where there is no Docker, or no root, it fails.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context as _, ensure};

/// The environment variable that names a bus.
pub const BUS: &str = "ROLLBOT_TEST_SYSTEMD_BUS";

/// A running systemd. Dropping it ends the container that was started for it.
pub struct Machine {
    address: String,
    /// The container's name, if it was started here.
    container: Option<String>,
}

fn script(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name);
    let output = Command::new(&path)
        .args(arguments)
        .output()
        .with_context(|| path.display().to_string())?;
    ensure!(
        output.status.success(),
        "{} {}: {}",
        path.display(),
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

impl Machine {
    /// One for all tests of this process that run at the same time.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Machine>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = shared.upgrade() {
            return Ok(machine);
        }
        let machine = Arc::new(match std::env::var(BUS) {
            Ok(address) => Machine {
                address,
                container: None,
            },
            Err(_) => Self::start(&[])?,
        });
        *shared = Arc::downgrade(&machine);
        Ok(machine)
    }

    /// One of its own. `docker_run`: what `docker run` is told besides.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(docker_run: &[&str]) -> anyhow::Result<Self> {
        // The one before, of this very process, may still be on its way out.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let nth = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("rollbot-systemd-{}-{nth}", std::process::id());
        let arguments = [&[name.as_str(), "--"], docker_run].concat();
        let address = script("start.sh", &arguments)?;
        Ok(Self {
            address,
            container: Some(name),
        })
    }

    /// The address of its bus: `unix:path=…`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The socket of its bus.
    ///
    /// # Errors
    /// The bus is reached in another way.
    pub fn socket(&self) -> anyhow::Result<PathBuf> {
        let path = self.address.strip_prefix("unix:path=");
        Ok(path.context("the bus is no Unix socket")?.into())
    }

    /// Runs a program inside and returns what it printed.
    ///
    /// # Errors
    /// It fails, or the machine is not a container of ours.
    pub fn runs(&self, argv: &[&str]) -> anyhow::Result<String> {
        let container = self.container.as_deref().context("it is no container")?;
        let output = Command::new("docker")
            .args(["exec", container])
            .args(argv)
            .output()?;
        ensure!(
            output.status.success(),
            "{}: {}",
            argv.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Makes a service known to systemd, in the place of another of this name.
    ///
    /// # Errors
    /// systemd does not take it.
    pub fn install(&self, unit: &str, argv: &[String]) -> anyhow::Result<()> {
        let line: Vec<_> = argv.iter().map(|word| format!("\"{word}\"")).collect();
        let text = format!(
            "[Unit]\nDescription=A native service of a demo\n\n[Service]\nExecStart={}\n",
            line.join(" ")
        );
        let path = format!("/etc/systemd/system/{unit}.service");
        self.runs(&["sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", &text, &path])?;
        self.runs(&["systemctl", "daemon-reload"])?;
        Ok(())
    }

    /// What systemd says of a unit: `ActiveState`, `InvocationID`, …
    ///
    /// # Errors
    /// systemd does not answer.
    pub fn property(&self, unit: &str, name: &str) -> anyhow::Result<String> {
        self.runs(&["systemctl", "show", "--value", "-p", name, unit])
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(name) = &self.container {
            let _ = script("stop.sh", &[name]);
        }
    }
}
