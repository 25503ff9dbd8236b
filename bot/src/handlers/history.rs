//! `/rollbot history [<service>]`: the last operations, newest first.

use rollbot_core::store::OperationFilter;

use super::status::line;
use crate::dispatch::{Desk, Handled, Reply};

pub async fn handle(desk: &Desk, service: Option<String>) -> Handled {
    let filter = OperationFilter {
        service: service.clone(),
        states: Vec::new(),
        limit: 20,
    };
    let operations = desk.store.operations(filter).await?;
    if operations.is_empty() {
        let of = service
            .map(|name| format!(" of {name}"))
            .unwrap_or_default();
        return Ok(Some(Reply::say(format!("There was no operation{of} yet."))));
    }
    let lines = operations
        .iter()
        .map(|operation| line(desk, operation))
        .collect();
    Ok(Some(
        Reply::default().titled("The last operations").lines(lines),
    ))
}
