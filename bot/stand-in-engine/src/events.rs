//! `/events`: what happened, to those who listen and for those who come later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::engine::lock;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::model::Container;
use crate::query::Query;

const KEPT: usize = 256;

#[derive(Debug, Clone)]
pub struct Event {
    kind: &'static str,
    action: String,
    id: String,
    attributes: BTreeMap<String, String>,
    at: Timestamp,
}

impl Event {
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// As the engine sends it: one JSON object.
    pub fn json(&self) -> Value {
        let mut event = json!({
            "Type": self.kind,
            "Action": self.action,
            "Actor": { "ID": self.id, "Attributes": self.attributes },
            "scope": "local",
            "time": self.at.as_second(),
            "timeNano": self.at.as_nanosecond() as i64,
        });
        if self.kind == "container" {
            event["status"] = json!(self.action);
            event["id"] = json!(self.id);
            event["from"] = json!(self.attributes.get("image"));
        }
        event
    }

    pub fn fits(&self, filters: &Filters) -> bool {
        let name = self.attributes.get("name");
        filters.any("type", |kind| kind == self.kind)
            && filters.any("event", |event| {
                // `health_status` fits `health_status: healthy`.
                self.action == event || self.action.split(':').next() == Some(event)
            })
            && filters.any("container", |wanted| {
                self.kind == "container"
                    && (self.id.starts_with(wanted) || name.is_some_and(|name| name == wanted))
            })
            && filters.any("image", |wanted| {
                self.attributes
                    .get("image")
                    .or(name)
                    .is_some_and(|name| name == wanted)
            })
            && filters.labels(&self.attributes)
    }
}

pub const KNOWN: [&str; 5] = ["type", "event", "container", "image", "label"];

pub struct Events {
    past: Mutex<VecDeque<Event>>,
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            past: Mutex::default(),
            sender: broadcast::channel(KEPT).0,
        }
    }
}

impl Events {
    pub fn container(&self, container: &Container, action: &str, more: &[(&str, String)]) {
        let mut attributes = container.config.labels.clone();
        attributes.insert("image".to_owned(), container.config.image.clone());
        attributes.insert("name".to_owned(), container.name.clone());
        for (name, value) in more {
            attributes.insert((*name).to_owned(), value.clone());
        }
        self.emit("container", action, &container.id, attributes);
    }

    pub fn image(&self, id: &str, action: &str, name: &str) {
        let attributes = BTreeMap::from([("name".to_owned(), name.to_owned())]);
        self.emit("image", action, id, attributes);
    }

    fn emit(
        &self,
        kind: &'static str,
        action: &str,
        id: &str,
        attributes: BTreeMap<String, String>,
    ) {
        let event = Event {
            kind,
            action: action.to_owned(),
            id: id.to_owned(),
            attributes,
            at: Timestamp::now(),
        };
        let mut past = lock(&self.past);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // Nobody listens: that is no error.
        let _ = self.sender.send(event);
    }

    /// What happened since, and what will happen, without a gap between them.
    pub fn subscribe(&self, since: Option<Timestamp>) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = lock(&self.past);
        let receiver = self.sender.subscribe();
        let since = since.map_or_else(Vec::new, |since| {
            past.iter()
                .filter(|event| event.at >= since)
                .cloned()
                .collect()
        });
        (since, receiver)
    }
}

/// `1700000000`, `1700000000.5` or RFC 3339.
pub fn time(query: &Query, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let time = match text.parse::<f64>() {
        Ok(0.0) => return Ok(None),
        Ok(seconds) => Timestamp::from_microsecond((seconds * 1e6) as i64).ok(),
        Err(_) => text.parse().ok(),
    };
    time.map(Some)
        .ok_or_else(|| ApiError::bad_request(format!("{name} is not a time: {text}")))
}
