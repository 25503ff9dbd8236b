//! Commands that ask the running bot.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use owo_colors::OwoColorize as _;
use rollbot_command::{Command, Reason};
use rollbot_core::approval::Ballot;

use super::Ended;
use super::args::{
    AnswerArgs, BallotArg, CancelArgs, LoginArgs, Remote, RequestArgs, UnlockArgs, VoteArgs,
};
use super::style::{harmless, print_json, say};
use crate::control::{Request, Response, call};

pub async fn request(config: &Path, args: RequestArgs) -> Ended {
    let command = Command::Rollback {
        service: args.service,
        reason: reason(args.reason)?,
        dry_run: args.dry_run,
    };
    ask(
        config,
        &args.remote,
        Request::Command {
            id: new_id(),
            text: command.to_string(),
        },
    )
    .await
}

pub async fn vote(config: &Path, args: VoteArgs) -> Ended {
    let id = new_id();
    let operation = args.operation;
    let request = if args.break_glass {
        anyhow::ensure!(
            args.ballot == BallotArg::Approve,
            "--break-glass starts {operation}: it goes with `approve`, and a veto needs no glass broken"
        );
        Request::BreakGlass {
            id,
            operation,
            reason: args.reason.unwrap_or_default(),
        }
    } else {
        let ballot = match args.ballot {
            BallotArg::Approve => Ballot::Approve,
            BallotArg::Veto => Ballot::Veto,
        };
        Request::Vote {
            id,
            operation,
            ballot,
            on: !args.withdraw,
        }
    };
    ask(config, &args.remote, request).await
}

pub async fn answer(config: &Path, args: AnswerArgs) -> Ended {
    let request = Request::Answer {
        id: new_id(),
        operation: args.operation,
        choice: args.choice,
    };
    ask(config, &args.remote, request).await
}

pub async fn cancel(config: &Path, args: CancelArgs) -> Ended {
    let command = Command::Cancel {
        operation: args.operation,
        reason: reason(args.reason)?,
    };
    ask(
        config,
        &args.remote,
        Request::Command {
            id: new_id(),
            text: command.to_string(),
        },
    )
    .await
}

pub async fn unlock(config: &Path, args: UnlockArgs) -> Ended {
    let command = Command::Unlock {
        service: args.service,
        reason: reason(args.reason)?,
    };
    ask(
        config,
        &args.remote,
        Request::Command {
            id: new_id(),
            text: command.to_string(),
        },
    )
    .await
}

pub async fn login(config: &Path, args: LoginArgs) -> Ended {
    ask(config, &args.remote, Request::Login).await
}

fn reason(text: Option<String>) -> anyhow::Result<Option<Reason>> {
    text.map(|text| Reason::new(&text).context("--reason"))
        .transpose()
}

/// Makes a call that is sent twice one call.
fn new_id() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

fn socket(config: &Path, remote: &Remote) -> anyhow::Result<PathBuf> {
    match &remote.socket {
        Some(socket) => Ok(socket.clone()),
        None => crate::serve::control_socket(config),
    }
}

async fn ask(config: &Path, remote: &Remote, request: Request) -> Ended {
    let socket = socket(config, remote)?;
    let response = call(&socket, &request).await?;
    if remote.json {
        print_json(&response)?;
    }
    match response {
        Response::Said {
            title,
            text,
            lines,
            block,
        } => {
            if !remote.json {
                if !title.is_empty() {
                    say(&harmless(&title).bold().to_string());
                }
                if !text.is_empty() {
                    say(&harmless(&text));
                }
                for line in lines {
                    say(&format!("- {}", harmless(&line)));
                }
                if let Some(block) = block {
                    say(&harmless(&block));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Response::Refused { why } => {
            if !remote.json {
                // What spans lines marks a place by its column.
                let between = if why.contains('\n') { "\n" } else { " " };
                anstream::eprintln!("{}{between}{}", "Not done:".red().bold(), harmless(&why));
            }
            Ok(ExitCode::from(1))
        }
    }
}
