//! The `filters` parameter, which comes in two shapes: `{"label":["a=b"]}` and `{"label":{"a=b":true}}`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::ApiError;
use crate::model::{Container, Image};
use crate::query::Query;

#[derive(Debug, Default)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    pub fn read(query: &Query, known: &[&str]) -> Result<Self, ApiError> {
        let Some(text) = query.get("filters") else {
            return Ok(Self::default());
        };
        let malformed = || ApiError::bad_request(format!("filters are not as expected: {text}"));
        let value: Value = serde_json::from_str(text).map_err(|_| malformed())?;
        let mut filters = BTreeMap::new();
        for (name, values) in value.as_object().ok_or_else(malformed)? {
            if !known.contains(&name.as_str()) {
                return Err(ApiError::bad_request(format!("Invalid filter '{name}'")));
            }
            let values: Vec<String> = match values {
                Value::Array(values) => values
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned).ok_or_else(malformed))
                    .collect::<Result<_, _>>()?,
                Value::Object(values) => values
                    .iter()
                    .filter(|(_, on)| **on == Value::Bool(true))
                    .map(|(value, _)| value.clone())
                    .collect(),
                _ => return Err(malformed()),
            };
            filters.insert(name.clone(), values);
        }
        Ok(Self(filters))
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|values| !values.is_empty())
    }

    /// Whether any value of the filter fits, or there is no such filter.
    pub fn any(&self, name: &str, fits: impl Fn(&str) -> bool) -> bool {
        match self.0.get(name) {
            Some(values) if !values.is_empty() => values.iter().any(|value| fits(value)),
            _ => true,
        }
    }

    /// All labels asked for must be there, `name` or `name=value`.
    pub fn labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0
            .get("label")
            .into_iter()
            .flatten()
            .all(|wanted| match wanted.split_once('=') {
                Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
                None => labels.contains_key(wanted),
            })
    }
}

pub const CONTAINERS: [&str; 7] = [
    "id", "name", "label", "status", "health", "ancestor", "exited",
];

pub fn container(filters: &Filters, container: &Container, image: Option<&Image>) -> bool {
    let run = &container.run;
    filters.labels(&container.config.labels)
        && filters.any("id", |id| container.id.starts_with(id))
        && filters.any("name", |name| {
            let (exact, wanted) = (name.starts_with('^'), name.trim_start_matches('^'));
            let (end, wanted) = (wanted.ends_with('$'), wanted.trim_end_matches('$'));
            let wanted = wanted.trim_start_matches('/');
            match (exact, end) {
                (true, true) => container.name == wanted,
                (true, false) => container.name.starts_with(wanted),
                (false, true) => container.name.ends_with(wanted),
                (false, false) => container.name.contains(wanted),
            }
        })
        && filters.any("status", |status| run.status.name() == status)
        && filters.any("health", |health| {
            run.health
                .as_ref()
                .map_or("none", |own| own.status.as_str())
                == health
        })
        && filters.any("exited", |code| {
            run.finished_at.is_some() && run.exit_code.to_string() == code
        })
        && filters.any("ancestor", |name| {
            container.config.image == name
                || image.is_some_and(|image| crate::images::is_named(image, name))
        })
}
