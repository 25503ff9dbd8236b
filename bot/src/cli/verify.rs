//! `rollbot audit verify`: whether the audit log is as it was written.

use std::path::Path;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use rollbot_core::audit;
use rollbot_core::store::{OperationFilter, Store as _};

use super::Ended;
use super::args::{AuditArgs, AuditVerb};
use super::style::{print_json, say};

pub async fn audit(config: &Path, args: AuditArgs) -> Ended {
    let AuditVerb::Verify { operation, json } = args.what;
    let store = crate::serve::open_to_read(config).await?;
    let operations = match operation {
        Some(id) => vec![id],
        None => {
            let filter = OperationFilter {
                limit: i64::MAX,
                ..OperationFilter::default()
            };
            store
                .operations(filter)
                .await?
                .into_iter()
                .map(|operation| operation.id)
                .collect()
        }
    };
    let (mut rows, mut broken) = (0, Vec::new());
    // Numbers are given without gaps: an operation that was taken out whole shows as one.
    if operation.is_none() {
        let newest = operations.iter().map(|id| id.number()).max().unwrap_or(0);
        for number in 1..=newest {
            if !operations.iter().any(|id| id.number() == number) {
                broken.push(format!("RB-{number}: the operation is missing"));
            }
        }
    }
    for &id in &operations {
        let chain = store.audit(id).await?;
        rows += chain.len();
        broken.extend(
            audit::verify(id, &chain)
                .into_iter()
                .map(|broken| broken.to_string()),
        );
    }
    if json {
        print_json(&serde_json::json!({
            "operations": operations.len(), "rows": rows, "broken": broken,
        }))?;
    } else if broken.is_empty() {
        say(&format!(
            "{} {rows} {} of {} {} as they were written.",
            "Whole.".green().bold(),
            if rows == 1 { "row" } else { "rows" },
            operations.len(),
            if operations.len() == 1 {
                "operation are"
            } else {
                "operations are"
            },
        ));
        say("A tail that was cut off would not show here: compare with an anchor kept elsewhere.");
    } else {
        say(&"The audit log was tampered with:".red().bold().to_string());
        for line in &broken {
            say(&format!("  {line}"));
        }
    }
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
