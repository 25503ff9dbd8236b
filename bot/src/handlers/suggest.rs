//! Values for a place in a command, as somebody types.

use rollbot_chat::{Place, Suggestion};
use rollbot_core::store::{OperationFilter, StoreError};

use crate::dispatch::Desk;

/// Operations further back than this are typed by hand.
const RECENT: i64 = 200;

pub async fn suggest(
    desk: &Desk,
    place: Place,
    typed: &str,
    limit: usize,
) -> Result<Vec<Suggestion>, StoreError> {
    let all: Vec<Suggestion> = match place {
        Place::Service => desk
            .catalogue
            .names()
            .into_iter()
            .map(|name| {
                let title = desk.catalogue.service(&name).map(|entry| &entry.title);
                let label = match title {
                    Some(title) if *title != name => format!("{name} · {title}"),
                    _ => name.clone(),
                };
                Suggestion { value: name, label }
            })
            .collect(),
        Place::Operation => {
            let filter = OperationFilter {
                service: None,
                states: Vec::new(),
                limit: RECENT,
            };
            let operations = desk.store.operations(filter).await?;
            operations
                .iter()
                .map(|operation| Suggestion {
                    value: operation.id.to_string(),
                    label: format!(
                        "{} · {} · {}",
                        operation.id,
                        operation.service,
                        operation.state.in_words()
                    ),
                })
                .collect()
        }
        Place::LockedService => {
            let locks = desk.store.locks().await?;
            locks
                .iter()
                .map(|lock| Suggestion {
                    value: lock.service.clone(),
                    label: format!("{} · locked by {}", lock.service, lock.operation),
                })
                .collect()
        }
    };
    Ok(best(all, typed, limit))
}

/// Those that begin with what was typed, then those that contain it.
fn best(all: Vec<Suggestion>, typed: &str, limit: usize) -> Vec<Suggestion> {
    let typed = typed.trim().to_lowercase();
    let (begin, rest): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|one| one.value.to_lowercase().starts_with(&typed));
    let contain = rest
        .into_iter()
        .filter(|one| one.label.to_lowercase().contains(&typed));
    begin.into_iter().chain(contain).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_so_comes_before_what_contains_it() {
        let all: Vec<Suggestion> = ["strategy", "trade", "data"]
            .map(|name| Suggestion {
                value: name.to_owned(),
                label: format!("{name} · the rate of it"),
            })
            .into();
        let values = |typed: &str, limit| -> Vec<String> {
            best(all.clone(), typed, limit)
                .into_iter()
                .map(|one| one.value)
                .collect()
        };
        assert_eq!(values("T", 9), ["trade", "strategy", "data"]);
        assert_eq!(values("tr", 9), ["trade", "strategy"]);
        assert_eq!(values("", 2), ["strategy", "trade"]);
        assert_eq!(values("zz", 2), Vec::<String>::new());
    }
}
