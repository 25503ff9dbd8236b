//! Waiting until containers are well.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until};

use crate::Container;
use crate::engine::{Engine, PROJECT_LABEL, records};
use crate::error::Error;

impl Engine {
    pub(crate) async fn wait_for_health(
        &self,
        project: &str,
        services: &[String],
        within: Duration,
    ) -> Result<Vec<Container>, Error> {
        let end = Instant::now() + within;
        let client = self.connection.client().await?;
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            (
                "label".to_owned(),
                vec![format!("{PROJECT_LABEL}={project}")],
            ),
        ]);
        let options = EventsOptionsBuilder::default().filters(&filters).build();
        // Events only shorten the wait. They get lost, and a stream that ends is not opened again:
        // what counts is what the engine says of the containers.
        let mut events = Some(Box::pin(client.events(Some(options))));
        loop {
            let found = self.find(project, services).await?;
            if let Some((service, _)) = found.iter().find(|(_, containers)| containers.is_empty()) {
                return Err(Error::NotFound(format!(
                    "Service {service} of project {project} has no container to wait for; start it first"
                )));
            }
            let containers = records(&found);
            let over = containers.iter().all(Container::is_well)
                || containers
                    .iter()
                    .any(|container| has_ended(&container.state))
                || Instant::now() >= end;
            if over {
                return Ok(containers);
            }
            let next_look = end.min(Instant::now() + self.config.deadlines.poll);
            let woken = match events.as_mut() {
                Some(stream) => tokio::select! {
                    () = sleep_until(next_look) => true,
                    event = stream.next() => matches!(event, Some(Ok(_))),
                },
                None => {
                    sleep_until(next_look).await;
                    true
                }
            };
            if !woken {
                events = None;
            }
        }
    }
}

/// A `restarting` container may still become well, one that was never started is about to be.
fn has_ended(state: &str) -> bool {
    matches!(state, "exited" | "dead" | "removing")
}
