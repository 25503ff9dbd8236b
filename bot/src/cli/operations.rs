//! `rollbot operations`: what was asked for, newest first.

use std::path::Path;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use rollbot_core::operation::State;
use rollbot_core::store::{OperationFilter, Store as _};

use super::Ended;
use super::args::OperationsArgs;
use super::style::{harmless, print_json, say};

pub async fn operations(config: &Path, args: OperationsArgs) -> Ended {
    let store = crate::serve::open_to_read(config).await?;
    let states = if args.open {
        State::ALL
            .into_iter()
            .filter(|state| !state.is_final())
            .collect()
    } else {
        Vec::new()
    };
    let filter = OperationFilter {
        service: args.service,
        states,
        limit: i64::from(args.limit),
    };
    let operations = store.operations(filter).await?;
    if args.json {
        let listed: Vec<_> = operations
            .iter()
            .map(|operation| {
                serde_json::json!({
                    "operation": operation.id,
                    "service": operation.service,
                    "procedure": operation.procedure,
                    "state": operation.state,
                    "requester": operation.requester,
                    "reason": operation.reason,
                    "requested_at": operation.requested_at,
                    "since": operation.since,
                })
            })
            .collect();
        print_json(&listed)?;
        return Ok(ExitCode::SUCCESS);
    }
    if operations.is_empty() {
        say("There is no operation yet.");
    }
    for operation in operations {
        say(&format!(
            "{:<6} {:<10} {:<22} {} UTC  {}{}",
            operation.id.to_string().bold(),
            operation.service,
            operation.state.in_words(),
            operation.requested_at.strftime("%Y-%m-%d %H:%M:%S"),
            operation.requester,
            operation
                .reason
                .map(|reason| format!(": {}", harmless(&reason)))
                .unwrap_or_default(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}
