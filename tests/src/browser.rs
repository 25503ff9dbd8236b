//! A real browser, driven over WebDriver.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::process::{Child, Command};

use crate::demo::free_port;
use crate::eventually;

/// Chromium behind its driver. Both end with it.
pub struct Browser {
    pub client: Client,
    _driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser with a window of this size. `dark` chooses the colour scheme that pages
    /// are told people prefer.
    ///
    /// # Errors
    /// `chromium` or `chromedriver` is not there, or does not start.
    pub async fn start(width: u32, height: u32, dark: bool) -> anyhow::Result<Self> {
        let port = free_port()?;
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver (Debian package chromium-driver)")?;
        let profile = tempfile::tempdir()?;
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        if dark {
            arguments.push("--force-dark-mode".to_owned());
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let capabilities = serde_json::json!({ "goog:chromeOptions": { "args": arguments } });
        let capabilities = capabilities.as_object().cloned().unwrap_or_default();
        let address = format!("http://127.0.0.1:{port}");
        let client = eventually("a browser", Duration::from_secs(60), || async {
            let client = ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities.clone())
                .connect(&address)
                .await?;
            Ok(Some(client))
        })
        .await?;
        Ok(Self {
            client,
            _driver: driver,
            _profile: profile,
        })
    }

    /// Waits for an element and returns its text.
    ///
    /// # Errors
    /// It does not appear.
    pub async fn text(&self, css: &str) -> anyhow::Result<String> {
        eventually(css, Duration::from_secs(30), || async {
            let element = self.client.find(Locator::Css(css)).await?;
            // Drawn anew in between: found again at the next look.
            Ok(Some(element.text().await?))
        })
        .await
    }

    /// Saves what the window shows as a PNG.
    ///
    /// # Errors
    /// No picture, or it cannot be written.
    pub async fn screenshot(&self, path: &Path) -> anyhow::Result<()> {
        let png = self.client.screenshot().await?;
        std::fs::write(path, png).with_context(|| path.display().to_string())
    }
}
