//! The demo as a process: started, killed, started again, cleaned up.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

use crate::console::Visitor;
use crate::eventually;

/// Which engine a demo uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Docker,
    StandIn,
}

impl Engine {
    pub fn argument(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::StandIn => "stand-in",
        }
    }
}

/// A demo with a directory of its own. Dropping it removes services, containers and files.
pub struct Demo {
    binary: PathBuf,
    directory: tempfile::TempDir,
    engine: Engine,
    port: u16,
    child: Option<Child>,
}

impl Demo {
    /// Starts it and waits until its console answers.
    ///
    /// # Errors
    /// It does not start; with its log.
    pub async fn start(binary: &str, engine: Engine) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("rollbot-demo-").tempdir()?;
        let port = free_port()?;
        let mut demo = Self {
            binary: binary.into(),
            directory,
            engine,
            port,
            child: None,
        };
        demo.begin().await?;
        Ok(demo)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The demo's configuration directory, for `--config`.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Somebody at its console.
    ///
    /// # Errors
    /// No client can be made.
    pub fn visitor(&self, person: &str) -> anyhow::Result<Visitor> {
        Visitor::new(&self.base(), person)
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("rollbot-test.log")
    }

    /// Starts it, or starts it again where it was.
    ///
    /// # Errors
    /// It does not start; with its log.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let child = Command::new(&self.binary)
            .arg("demo")
            .arg("--directory")
            .arg(self.directory.path())
            .args([
                "--engine",
                self.engine.argument(),
                "--port",
                &self.port.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", self.binary.display()))?;
        self.child = Some(child);
        let visitor = self.visitor("ana")?;
        let up = eventually("the demo's console", Duration::from_secs(120), || async {
            Ok(visitor.get("/healthz").await.ok())
        })
        .await;
        if let Err(error) = up {
            bail!("{error:#}\n{}", self.said());
        }
        Ok(())
    }

    /// What it printed and logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The program that it runs.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The port of its console; free while it does not run.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets what the demo's services let visitors set, at `trade`.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn control_trade(&self, path: &str, body: serde_json::Value) -> anyhow::Result<()> {
        let url = format!(
            "http://127.0.0.1:{}{path}",
            crate::world::port(self.directory())?
        );
        let http = crate::console::client(Duration::from_secs(5))?;
        let response = http.post(&url).json(&body).send().await?;
        if !response.status().is_success() {
            bail!("{url}: {}", response.text().await?);
        }
        Ok(())
    }

    /// Keeps so many orders of `trade` in flight for ten minutes, or ends that with 0.
    ///
    /// # Errors
    /// The service does not answer, or refuses.
    pub async fn orders_in_flight(&self, count: u32) -> anyhow::Result<()> {
        let body = serde_json::json!({ "count": count, "for_ms": 600_000 });
        self.control_trade("/demo/in-flight", body).await
    }

    /// Kills it as hard as can be.
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the demo is not running")?;
        child.start_kill()?;
        tokio::time::timeout(Duration::from_secs(10), child.wait()).await??;
        Ok(())
    }

    /// Runs `rollbot` with these arguments on the demo's configuration.
    ///
    /// # Errors
    /// It does not start or does not end.
    pub async fn rollbot(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        let run = Command::new(&self.binary)
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        Ok(tokio::time::timeout(Duration::from_secs(60), run).await??)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
        // What the demo made is removed by the demo itself, also when a test failed.
        let _ = std::process::Command::new(&self.binary)
            .args(["demo", "--clean", "--directory"])
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// A port nobody listens on now.
///
/// # Errors
/// There is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?
        .local_addr()?
        .port())
}
