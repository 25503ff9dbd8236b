//! The bot's side.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rollbot_chat::ChatEvent;
use rollbot_chat_console::Console;
use rollbot_core::EventKey;
use rollbot_core::approval::{Account, Approved, Way};
use rollbot_core::operation::State;
use rollbot_core::store::{Batch, Guard};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::{LONGEST_LINE, Request, Response};
use crate::dispatch::{Desk, Refused, Reply};
use crate::handlers::{answer, vote};

/// A caller that says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const CALLERS: usize = 64;

/// Answers callers on a Unix socket, for as long as it is polled.
pub struct ControlServer {
    desk: Arc<Desk>,
    console: Option<Arc<Console>>,
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Binds the socket: for the bot's own user, and for the members of `group` where one is named.
///
/// # Errors
/// Another bot listens there, the directory cannot be written, or the group is not there or not
/// one that the bot may give files to.
pub fn bind(path: &Path, group: Option<&str>) -> std::io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            "another rollbot listens there",
        ));
    }
    // Left behind by a bot that was killed.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    let mode = match group {
        Some(name) => {
            give_to(path, name)?;
            0o660
        }
        None => 0o600,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

fn give_to(path: &Path, group: &str) -> std::io::Result<()> {
    let found = nix::unistd::Group::from_name(group)?.ok_or_else(|| {
        std::io::Error::new(
            std::io::ErrorKind::NotFound,
            format!("this machine has no group `{group}`, which [control] in rollbot.toml names"),
        )
    })?;
    std::os::unix::fs::chown(path, None, Some(found.gid.as_raw())).map_err(|error| {
        std::io::Error::new(
            error.kind(),
            format!("it cannot be given to the group `{group}`, of which the bot's user must be a member: {error}"),
        )
    })
}

impl ControlServer {
    pub fn new(
        desk: Arc<Desk>,
        console: Option<Arc<Console>>,
        listener: UnixListener,
        path: PathBuf,
    ) -> Self {
        Self {
            desk,
            console,
            listener,
            path,
        }
    }

    pub async fn run(&self) {
        let places = Arc::new(Semaphore::new(CALLERS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (desk, console) = (self.desk.clone(), self.console.clone());
                    tokio::spawn(async move {
                        let served = serve(&desk, console.as_deref(), stream);
                        match tokio::time::timeout(PATIENCE, served).await {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "a caller broke off"),
                            Err(_) => tracing::debug!("a caller took too long"),
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

async fn serve(desk: &Desk, console: Option<&Console>, stream: UnixStream) -> std::io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let account = account_of(uid);
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(LONGEST_LINE))
        .read_line(&mut line)
        .await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => respond(desk, console, account, request).await,
        Err(error) => Response::Refused {
            why: format!(
                "That was not understood: {error}. Client and bot may be of different versions."
            ),
        },
    };
    let mut line = serde_json::to_string(&response)?;
    line.push('\n');
    write.write_all(line.as_bytes()).await?;
    write.shutdown().await
}

/// The kernel's word for who is at the other end.
fn account_of(uid: u32) -> Account {
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .ok()
        .flatten()
        .map_or_else(|| format!("uid {uid}"), |user| user.name);
    Account {
        platform: "unix".to_owned(),
        team: String::new(),
        user: name,
    }
}

async fn respond(
    desk: &Desk,
    console: Option<&Console>,
    account: Account,
    request: Request,
) -> Response {
    let handled = match request {
        Request::Command { id, text } => {
            let event = ChatEvent::Command {
                key: EventKey::new("unix", &id),
                account,
                channel: "command line".to_owned(),
                text,
            };
            desk.plainly(event).await
        }
        Request::Vote {
            id,
            operation,
            ballot,
            on,
        } => plain(cast(desk, &id, account, operation, ballot, on).await),
        Request::BreakGlass {
            id,
            operation,
            reason,
        } => plain(break_glass(desk, &id, account, operation, &reason).await),
        Request::Answer {
            id,
            operation,
            choice,
        } => plain(choose(desk, &id, &account, operation, &choice).await),
        Request::Login => login(desk, console, &account).await,
    };
    match handled {
        Ok(reply) => {
            let reply = reply.unwrap_or_else(|| Reply::say("That was worked on before."));
            Response::Said {
                title: reply.title,
                text: reply.text,
                lines: reply.lines,
                block: reply.block,
            }
        }
        Err(why) => Response::Refused { why },
    }
}

fn plain(handled: Result<Option<Reply>, Refused>) -> Result<Option<Reply>, String> {
    match handled {
        Ok(reply) => Ok(reply),
        Err(Refused::SeenBefore) => Ok(None),
        Err(Refused::You(why) | Refused::Slip(why)) => Err(why),
        Err(Refused::Us(error)) => {
            tracing::error!(%error, "a caller could not be served");
            Err(format!("Not recorded: {error}"))
        }
    }
}

async fn cast(
    desk: &Desk,
    id: &str,
    account: Account,
    operation: rollbot_core::OperationId,
    ballot: rollbot_core::approval::Ballot,
    on: bool,
) -> Result<Option<Reply>, Refused> {
    let found = desk.load(operation).await?;
    let Some(digest) = found.digest else {
        return Err(Refused::You(format!(
            "{operation} has no plan to vote on: it is {}.",
            found.state.in_words()
        )));
    };
    let cast = vote::Cast {
        operation,
        digest,
        account,
        ballot: Some(ballot),
        way: Way::Said,
        on,
    };
    vote::cast_vote(desk, EventKey::new("unix", id), cast).await
}

async fn break_glass(
    desk: &Desk,
    id: &str,
    account: Account,
    operation: rollbot_core::OperationId,
    reason: &str,
) -> Result<Option<Reply>, Refused> {
    let person = desk.person(&account)?;
    let found = desk.load(operation).await?;
    let (State::AwaitingApproval, Some(digest)) = (found.state, &found.digest) else {
        return Err(Refused::You(format!(
            "{operation} does not wait for votes: it is {}.",
            found.state.in_words()
        )));
    };
    let policy = &desk.catalogue.break_glass;
    let approved = match Approved::break_glass(policy, person, reason, operation, digest) {
        Ok(approved) => approved,
        Err(why) => {
            let entry = desk.audit(
                operation,
                &person.id,
                "break-glass-refused",
                format!("wants to start it alone, and may not: {why}"),
                serde_json::json!({ "reason": reason }),
            );
            let batch = Batch::new()
                .guard(Guard::NewEvent(EventKey::new("unix", id)))
                .write(entry);
            desk.store
                .commit(batch)
                .await
                .map_err(Refused::from_store)?;
            return Err(Refused::You(format!("{why}.")));
        }
    };
    desk.conductor
        .break_glass(found, approved)
        .await
        .map_err(Refused::from_store)?;
    let now = desk.load(operation).await?;
    match now.state {
        State::AwaitingApproval => Err(Refused::You(format!(
            "{operation} did not start: its plan has changed since it was shown. Read the new one first."
        ))),
        State::Failed => Err(Refused::You(now.ending.unwrap_or_else(|| {
            format!("{operation} did not start: it {}.", now.state.in_words())
        }))),
        _ => Ok(Some(Reply::say(format!(
            "{operation} starts without a vote. Everybody who was not asked is told."
        )))),
    }
}

async fn choose(
    desk: &Desk,
    id: &str,
    account: &Account,
    operation: rollbot_core::OperationId,
    choice: &str,
) -> Result<Option<Reply>, Refused> {
    let person = desk.person(account)?;
    let question = answer::open_question(desk, operation).await?;
    answer::choose(desk, EventKey::new("unix", id), person, question, choice).await
}

async fn login(
    desk: &Desk,
    console: Option<&Console>,
    account: &Account,
) -> Result<Option<Reply>, String> {
    let person = desk.person(account).map_err(|error| error.to_string())?;
    let Some(console) = console else {
        return Err("The console is switched off in rollbot.toml.".to_owned());
    };
    let link = console
        .login_link(&person.id)
        .await
        .map_err(|error| error.to_string())?;
    Ok(Some(Reply::say(link).titled(format!(
        "{}, this link logs you in once",
        person.name
    ))))
}
