//! Running compose: an argument vector, no shell, next to no environment, and a deadline that ends
//! the whole process group.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::{OnceCell, mpsc};
use tracing::{debug, warn};

use crate::compose_file::{ServiceFacts, parse};
use crate::config::{EngineConfig, ProjectConfig};
use crate::error::{Error, seconds};
use crate::logs::visible_line;

/// Lines of a failed run that are kept as evidence.
const EVIDENCE_LINES: usize = 20;
/// What `compose config` may print.
const MAX_CONFIG_BYTES: usize = 8 << 20;
/// A line of output longer than this is passed on in pieces.
const MAX_LINE_BYTES: usize = 8 << 10;
/// How long compose's output may go on after compose has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// A line that compose printed while it worked on a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    pub project: String,
    pub service: String,
    /// Without control characters.
    pub text: String,
}

#[derive(Debug)]
pub(crate) struct Compose {
    socket: PathBuf,
    deadline: Duration,
    search_path: OsString,
    lines: Option<mpsc::Sender<OutputLine>>,
    program: OnceCell<Program>,
}

/// How compose is called here.
#[derive(Debug, Clone)]
struct Program {
    path: PathBuf,
    /// `compose`, where it is a plugin of the `docker` command.
    leading: Option<&'static str>,
}

struct Finished {
    status: ExitStatus,
    stdout: Vec<u8>,
    /// The last lines of both streams.
    evidence: VecDeque<String>,
}

impl Compose {
    pub(crate) fn new(config: &EngineConfig) -> Self {
        let search_path = config
            .compose_path
            .clone()
            .or_else(|| std::env::var_os("PATH"))
            .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        Self {
            socket: config.socket.clone(),
            deadline: config.deadlines.compose,
            search_path,
            lines: None,
            program: OnceCell::new(),
        }
    }

    pub(crate) fn send_output_to(&mut self, lines: mpsc::Sender<OutputLine>) {
        self.lines = Some(lines);
    }

    /// What the project's compose files say, after compose has checked them.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing file, [`Error::Failed`] with compose's words.
    pub(crate) async fn facts(
        &self,
        project: &str,
        config: &ProjectConfig,
    ) -> Result<BTreeMap<String, ServiceFacts>, Error> {
        let arguments = arguments(project, config, &["config"])?;
        let finished = self.run(project, "", config, arguments).await?;
        if !finished.status.success() {
            return Err(Error::Failed(format!(
                "The compose files of project {project} in {} are not valid: {}",
                config.directory.display(),
                said(&finished.evidence)
            )));
        }
        Ok(parse(&String::from_utf8_lossy(&finished.stdout)))
    }

    /// Creates the container of one service, and the networks and volumes it needs, and starts
    /// nothing.
    pub(crate) async fn create(
        &self,
        project: &str,
        config: &ProjectConfig,
        service: &str,
    ) -> Result<(), Error> {
        check_name("service", service)?;
        let command = [
            "up",
            "--no-start",
            "--no-deps",
            "--no-recreate",
            "--no-build",
            service,
        ];
        let arguments = arguments(project, config, &command)?;
        let finished = self.run(project, service, config, arguments).await?;
        if finished.status.success() {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "compose could not create the container of {service} in project {project} ({}): {}",
            finished.status,
            said(&finished.evidence)
        )))
    }

    async fn run(
        &self,
        project: &str,
        service: &str,
        config: &ProjectConfig,
        arguments: Vec<OsString>,
    ) -> Result<Finished, Error> {
        let program = self.program.get_or_try_init(|| self.find_program()).await?;
        let mut all = Vec::new();
        all.extend(program.leading.map(OsString::from));
        all.extend(arguments);
        let told = |text: &str| {
            if let Some(lines) = &self.lines {
                let line = OutputLine {
                    project: project.to_owned(),
                    service: service.to_owned(),
                    text: text.to_owned(),
                };
                if lines.try_send(line).is_err() {
                    debug!(project, service, text, "nobody takes compose's output");
                }
            }
        };
        self.execute(&program.path, &all, &config.directory, self.deadline, &told)
            .await
    }

    /// Version 2 is a plugin of `docker`; version 1 is a program of its own.
    async fn find_program(&self) -> Result<Program, Error> {
        let candidates = [("docker", Some("compose")), ("docker-compose", None)];
        for (name, leading) in candidates {
            let Some(path) = find_in(&self.search_path, name) else {
                continue;
            };
            let mut arguments: Vec<OsString> = leading.map(OsString::from).into_iter().collect();
            arguments.extend(["version", "--short"].map(OsString::from));
            let deadline = self.deadline.min(Duration::from_secs(20));
            let finished = self
                .execute(&path, &arguments, Path::new("/"), deadline, &|_| {})
                .await;
            match finished {
                Ok(finished) if finished.status.success() && says_version(&finished.stdout) => {
                    return Ok(Program { path, leading });
                }
                Ok(finished) => {
                    debug!(program = name, status = %finished.status, "no compose here")
                }
                Err(error) => warn!(program = name, %error, "cannot ask for compose's version"),
            }
        }
        Err(Error::Failed(format!(
            "Neither `docker compose` nor `docker-compose` works here (looked in {}); install one of them, or \
             create the containers yourself",
            self.search_path.to_string_lossy()
        )))
    }

    async fn execute(
        &self,
        program: &Path,
        arguments: &[OsString],
        directory: &Path,
        deadline: Duration,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<Finished, Error> {
        let mut host = OsString::from("unix://");
        host.push(&self.socket);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", &self.search_path)
            .env("LANG", "C.UTF-8")
            .env("DOCKER_HOST", host)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        let shown = shown(program, arguments);
        let mut child = command.spawn().map_err(|error| {
            Error::Failed(format!(
                "Cannot run `{shown}` in {}: {error}",
                directory.display()
            ))
        })?;
        let mut group = Group::of(child.id());
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::Failed(format!("`{shown}` has no output to read")));
        };
        let (sender, mut receiver) = mpsc::channel(64);
        let mut kept = Vec::new();
        let mut evidence = VecDeque::new();
        let work = async {
            let reading = async {
                let error_lines = sender.clone();
                tokio::join!(
                    read_lines(&mut stdout, Some(&mut kept), sender),
                    read_lines(&mut stderr, None, error_lines),
                );
            };
            let telling = async {
                while let Some(line) = receiver.recv().await {
                    told(&line);
                    if evidence.len() == EVIDENCE_LINES {
                        evidence.pop_front();
                    }
                    evidence.push_back(line);
                }
            };
            let output = async { tokio::join!(reading, telling) };
            tokio::pin!(output);
            tokio::select! {
                status = child.wait() => {
                    // What compose left behind may hold the pipes open for ever.
                    let _ = tokio::time::timeout(DRAIN, &mut output).await;
                    status
                }
                _ = &mut output => child.wait().await,
            }
        };
        let ended = tokio::time::timeout(deadline, work).await;
        match ended {
            Ok(Ok(status)) => {
                group.ended();
                Ok(Finished {
                    status,
                    stdout: kept,
                    evidence,
                })
            }
            Ok(Err(error)) => Err(Error::Failed(format!("Cannot wait for `{shown}`: {error}"))),
            Err(_) => {
                group.kill();
                // Reap it: nothing must be left of it when this returns.
                let _ = tokio::time::timeout(DRAIN, child.wait()).await;
                Err(Error::TimedOut(format!(
                    "`{shown}` did not end within {} and was killed with its children: {}",
                    seconds(deadline),
                    said(&evidence)
                )))
            }
        }
    }
}

/// A process group that is killed unless its leader has ended: also when the future is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self(
            leader
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn ended(&mut self) {
        self.0 = None;
    }

    fn kill(&mut self) {
        if let Some(group) = self.0.take()
            && let Err(error) = killpg(group, Signal::SIGKILL)
        {
            warn!(%group, %error, "cannot kill compose's process group");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read_lines(
    from: &mut (impl AsyncRead + Unpin),
    mut whole: Option<&mut Vec<u8>>,
    lines: mpsc::Sender<String>,
) {
    let mut open = Vec::new();
    let mut buffer = [0u8; 8192];
    // A pipe that breaks ends like one that is closed: the exit status decides.
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        if let Some(whole) = whole.as_deref_mut() {
            let room = MAX_CONFIG_BYTES.saturating_sub(whole.len());
            whole.extend_from_slice(&buffer[..count.min(room)]);
        }
        for &byte in &buffer[..count] {
            // Progress displays use carriage returns.
            let ends = byte == b'\n' || byte == b'\r' || open.len() >= MAX_LINE_BYTES;
            if !ends {
                open.push(byte);
            } else if !open.is_empty() {
                let line = visible_line(&open);
                open.clear();
                if !matches!(byte, b'\n' | b'\r') {
                    open.push(byte);
                }
                if lines.send(line).await.is_err() {
                    return;
                }
            }
        }
    }
    if !open.is_empty() {
        let _ = lines.send(visible_line(&open)).await;
    }
}

fn arguments(
    project: &str,
    config: &ProjectConfig,
    command: &[&str],
) -> Result<Vec<OsString>, Error> {
    check_name("project", project)?;
    if config.files.is_empty() {
        return Err(Error::NotFound(format!(
            "No compose file is configured for project {project}"
        )));
    }
    let mut arguments: Vec<OsString> = vec!["-p".into(), project.into()];
    for file in &config.files {
        let file = config.directory.join(file);
        if !file.is_file() {
            return Err(Error::NotFound(format!(
                "The compose file {} of project {project} does not exist",
                file.display()
            )));
        }
        arguments.extend(["-f".into(), file.into_os_string()]);
    }
    if let Some(env_file) = &config.env_file {
        arguments.extend([
            "--env-file".into(),
            config.directory.join(env_file).into_os_string(),
        ]);
    }
    arguments.extend([
        "--project-directory".into(),
        config.directory.clone().into_os_string(),
    ]);
    arguments.extend(command.iter().map(OsString::from));
    Ok(arguments)
}

/// A name that begins with a hyphen would be an option.
fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{name:?} is not a name of a compose {what}: letters, digits, `_`, `-` and `.` only, and a letter or a \
         digit first"
    )))
}

fn find_in(search_path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(search_path)
        .map(|directory| directory.join(name))
        .find(|file| {
            std::fs::metadata(file)
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

/// `1.29.2`, `v2.24.5`. An older `docker` prints its own help for a plugin it does not have.
fn says_version(stdout: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stdout);
    text.trim()
        .trim_start_matches('v')
        .starts_with(|first: char| first.is_ascii_digit())
}

fn shown(program: &Path, arguments: &[OsString]) -> String {
    let mut text = program.display().to_string();
    for argument in arguments {
        text.push(' ');
        text.push_str(&visible_line(argument.as_encoded_bytes()));
    }
    text
}

fn said(evidence: &VecDeque<String>) -> String {
    if evidence.is_empty() {
        return "it printed nothing".to_owned();
    }
    evidence
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" | ")
}
