//! `rollbot serve` as a process, on the services and containers of a demo whose own bot is gone.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use crate::console::{Visitor, client};
use crate::demo::{Demo, Engine};
use crate::eventually;

/// People, and the users of this machine that they are on the command line. Each of these users is
/// there on every Debian, and none of them is anybody.
const PEOPLE: [(&str, &str, &str, &str); 5] = [
    ("ana", "Ana", "daemon", r#"["operators"]"#),
    ("ben", "Ben", "bin", r#"["operators", "approvers"]"#),
    ("cleo", "Cleo", "sys", r#"["approvers"]"#),
    ("dan", "Dan", "games", r#"["support"]"#),
    ("eli", "Eli", "root", r#"["approvers"]"#),
];

/// A bot that serves. Dropping it ends bot, services and containers.
pub struct Serve {
    demo: Demo,
    config: PathBuf,
    child: Option<Child>,
}

impl Serve {
    /// Makes the world and a configuration for `serve`, and starts nothing.
    ///
    /// # Errors
    /// The world cannot be made.
    pub async fn prepare(binary: &str, engine: Engine) -> anyhow::Result<Self> {
        let mut demo = Demo::start(binary, engine).await?;
        demo.kill().await?;
        let root = demo.directory().to_owned();
        // Other users of the machine ask this bot as well.
        std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755))?;
        let config = root.join("serve-config");
        std::fs::create_dir(&config)?;
        for name in ["rollbot.toml", "services.toml"] {
            std::fs::copy(demo.config().join(name), config.join(name))?;
        }
        let people: String = PEOPLE
            .iter()
            .map(|(id, name, unix, groups)| {
                format!(
                    "[[person]]\nid = \"{id}\"\nname = \"{name}\"\ngroups = {groups}\nconsole = true\nunix = \"{unix}\"\n\n"
                )
            })
            .collect();
        std::fs::write(config.join("people.toml"), people)?;
        let serve = Self {
            demo,
            config,
            child: None,
        };
        let (was, is) = (root.join("state"), root.join("serve-state"));
        serve.edit(
            "rollbot.toml",
            &format!("state_directory = \"{}\"", was.display()),
            &format!("state_directory = \"{}\"", is.display()),
        )?;
        serve.append(&format!(
            "[control]\nsocket = \"{}\"\ngroup = \"root\"",
            serve.socket().display()
        ))?;
        Ok(serve)
    }

    /// Prepares it and starts it.
    ///
    /// # Errors
    /// It does not start; with its log.
    pub async fn start(binary: &str, engine: Engine) -> anyhow::Result<Self> {
        let mut serve = Self::prepare(binary, engine).await?;
        serve.begin().await?;
        Ok(serve)
    }

    /// The world it looks after.
    pub fn world(&self) -> &Demo {
        &self.demo
    }

    /// The world's directory.
    pub fn directory(&self) -> &Path {
        self.demo.directory()
    }

    /// Where the bot keeps what it must not lose.
    pub fn state(&self) -> PathBuf {
        self.directory().join("serve-state")
    }

    /// Its configuration directory.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// `http://127.0.0.1:8700`
    pub fn base(&self) -> String {
        self.demo.base()
    }

    fn socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    fn log(&self) -> PathBuf {
        self.directory().join("serve.log")
    }

    /// Puts a text of a configuration file in the place of another.
    ///
    /// # Errors
    /// It is not there exactly once.
    pub fn edit(&self, file: &str, was: &str, is: &str) -> anyhow::Result<()> {
        let path = self.config.join(file);
        let text = std::fs::read_to_string(&path)?;
        ensure!(
            text.matches(was).count() == 1,
            "`{was}` is not in {file} exactly once:\n{text}"
        );
        std::fs::write(&path, text.replace(was, is))?;
        Ok(())
    }

    /// Puts a text in the place of all from `start` up to `end` in a configuration file.
    ///
    /// # Errors
    /// They are not there in this order.
    pub fn replace(&self, file: &str, start: &str, end: &str, is: &str) -> anyhow::Result<()> {
        let path = self.config.join(file);
        let text = std::fs::read_to_string(&path)?;
        let parts = text
            .split_once(start)
            .and_then(|(before, rest)| Some((before, rest.split_once(end)?.1)));
        let (before, after) =
            parts.with_context(|| format!("no `{start}` up to `{end}` in {file}:\n{text}"))?;
        std::fs::write(&path, format!("{before}{is}\n{end}{after}"))?;
        Ok(())
    }

    /// Adds sections to `rollbot.toml`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, sections: &str) -> anyhow::Result<()> {
        let path = self.config.join("rollbot.toml");
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("{text}\n{sections}\n"))?;
        Ok(())
    }

    /// Starts the bot, or starts it again, and waits until its console answers.
    ///
    /// # Errors
    /// It does not start; with its log.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let child = Command::new(self.demo.binary())
            .arg("--config")
            .arg(&self.config)
            .arg("serve")
            .env("ROLLBOT_LOG", "info,rollbot=debug")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        let http = client(Duration::from_secs(5))?;
        let url = format!("{}/healthz", self.base());
        let up = eventually("the bot's console", Duration::from_secs(120), || async {
            Ok(http
                .get(&url)
                .send()
                .await?
                .status()
                .is_success()
                .then_some(()))
        })
        .await;
        if let Err(error) = up {
            bail!("{error:#}\n{}", self.said());
        }
        Ok(())
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// It does not end in good order within ten seconds.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        use nix::sys::signal::{Signal, kill};
        let mut child = self.child.take().context("the bot is not running")?;
        let id = child.id().context("the bot ended before")?;
        kill(
            nix::unistd::Pid::from_raw(i32::try_from(id)?),
            Signal::SIGTERM,
        )?;
        let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await??;
        ensure!(status.success(), "{status}: {}", self.said());
        Ok(())
    }

    /// Kills it as hard as can be.
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the bot is not running")?;
        child.start_kill()?;
        tokio::time::timeout(Duration::from_secs(10), child.wait()).await??;
        Ok(())
    }

    /// What it logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Runs `rollbot` on its configuration, as the user the tests run as: Eli.
    ///
    /// # Errors
    /// It does not start or does not end.
    pub async fn rollbot(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new(self.demo.binary())
            .arg("--config")
            .arg(&self.config)
            .args(arguments))
        .await
    }

    /// Runs a command that asks the bot, as the user of the machine that this person is.
    ///
    /// # Errors
    /// There is no such person or user, or it does not start or does not end.
    pub async fn rollbot_as(&self, person: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let (.., user, _) = PEOPLE
            .iter()
            .find(|(id, ..)| *id == person)
            .with_context(|| format!("nobody is called {person}"))?;
        let user = nix::unistd::User::from_name(user)?
            .with_context(|| format!("this machine has no user {user}"))?;
        let program = self.program_for_all()?;
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .arg("--socket")
            .arg(self.socket())
            .current_dir("/")
            .uid(user.uid.as_raw())
            // The socket's group: what lets a user ask, while the user says who asks.
            .gid(nix::unistd::getgid().as_raw());
        run(&mut Command::from(command)).await
    }

    /// The directory of the build may be closed to other users.
    fn program_for_all(&self) -> anyhow::Result<PathBuf> {
        let program = self.directory().join("rollbot");
        if !program.exists() && std::fs::hard_link(self.demo.binary(), &program).is_err() {
            std::fs::copy(self.demo.binary(), &program)?;
        }
        Ok(program)
    }

    /// The token of a link with which this person can log in once.
    ///
    /// # Errors
    /// The bot gives none.
    pub async fn login_token(&self, person: &str) -> anyhow::Result<String> {
        let output = self.rollbot_as(person, &["login", "--json"]).await?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said: serde_json::Value = serde_json::from_str(&said)?;
        let link = said
            .pointer("/text")
            .and_then(serde_json::Value::as_str)
            .context("no link")?;
        let start = format!("{}/login?token=", self.base());
        let token = link
            .strip_prefix(&start)
            .with_context(|| format!("{link} does not begin with {start}"))?;
        Ok(token.to_owned())
    }

    /// Uses a login link's token up. Returns the status and the session's cookie, if there is one.
    ///
    /// # Errors
    /// The console does not answer.
    pub async fn redeem(&self, token: &str) -> anyhow::Result<(u16, Option<String>)> {
        let answer = no_redirects()?
            .post(format!("{}/login", self.base()))
            .header("origin", self.base())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"))
            .send()
            .await?;
        let cookie = answer
            .headers()
            .get("set-cookie")
            .and_then(|value| value.to_str().ok()?.split(';').next().map(str::to_owned));
        Ok((answer.status().as_u16(), cookie))
    }

    /// Somebody who has logged in with a link.
    ///
    /// # Errors
    /// They cannot.
    pub async fn logged_in(&self, person: &str) -> anyhow::Result<Visitor> {
        let token = self.login_token(person).await?;
        let (status, cookie) = self.redeem(&token).await?;
        let cookie = cookie.with_context(|| format!("{person} got no session: {status}"))?;
        Visitor::claiming(&self.base(), "cookie", &cookie)
    }
}

impl Serve {
    /// Ana asks for a rollback of this service, whose number is known, and Ben and Cleo approve it.
    ///
    /// # Errors
    /// One of them cannot.
    pub async fn approved(
        &self,
        ana: &Visitor,
        service: &str,
        operation: &str,
    ) -> anyhow::Result<()> {
        ana.types(
            "ops",
            &format!("/rollback {service} reason: orders failing"),
        )
        .await?;
        let approval = ana
            .awaits("approval", &[operation, "0 of 2 approvals"])
            .await?
            .id;
        for person in ["ben", "cleo"] {
            let visitor = self.logged_in(person).await?;
            visitor.reacts(approval, "white_check_mark", true).await?;
        }
        Ok(())
    }
}

async fn run(command: &mut Command) -> anyhow::Result<Output> {
    let program = command.as_std().get_program().to_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_secs(60), output)
        .await
        .with_context(|| named(&program, "does not end"))?
        .with_context(|| named(&program, "does not start"))
}

fn named(program: &OsStr, what: &str) -> String {
    format!("{} {what}", program.display())
}

fn no_redirects() -> anyhow::Result<reqwest::Client> {
    // Made for its side effect: it chooses the cryptography of all clients.
    let _ = client(Duration::from_secs(1))?;
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(15))
        .build()?)
}

impl Drop for Serve {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.start_kill();
        }
    }
}
