//! The compose file: the same containers, for people and for `docker-compose` 1 and 2.

use std::fmt::Write;

use serde_json::json;

use crate::containers::{HOST_NAME, Surroundings};
use crate::error::WorldError;
use crate::image;
use crate::options::EngineKind;
use crate::services::DemoService;

/// Writes `docker-compose.yml`, and `.env`, from which compose has the project's name.
pub fn write(surroundings: &Surroundings<'_>, all: &[DemoService]) -> Result<(), WorldError> {
    for (path, text) in [
        (surroundings.layout.compose_file(), file(surroundings, all)),
        (
            surroundings.layout.compose().join(".env"),
            format!("COMPOSE_PROJECT_NAME={}\n", surroundings.project),
        ),
    ] {
        // What somebody has changed stays.
        if !path.exists() {
            std::fs::write(&path, text).map_err(WorldError::file(&path))?;
        }
    }
    Ok(())
}

fn file(surroundings: &Surroundings<'_>, all: &[DemoService]) -> String {
    let mut text = String::from(
        "# The containers of rollbot's demo. The image was imported from a binary; there is nothing to pull.\n\
         version: \"2.4\"\n\
         services:\n",
    );
    for service in all {
        // JSON strings are YAML strings, whatever is in them.
        let quoted = |value: &str| json!(value).to_string();
        let port = service.port;
        let mut line = |depth: usize, content: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:1$}{content}", "", depth * 2);
        };
        line(1, format!("{}:", service.compose_service));
        line(2, format!("image: {}", quoted(&image::name())));
        line(2, "environment:".to_owned());
        for (name, value) in surroundings.environment(service, all) {
            line(3, format!("{name}: {}", quoted(&value)));
        }
        line(
            2,
            format!("ports: [{}]", quoted(&format!("127.0.0.1:{port}:{port}"))),
        );
        line(
            2,
            format!(
                "volumes: [{}]",
                quoted(&format!("./data/{}:/data:Z", service.name))
            ),
        );
        if let Some(user) = &surroundings.user {
            line(2, format!("user: {}", quoted(user)));
        }
        if surroundings.kind == EngineKind::Docker {
            line(
                2,
                format!(
                    "extra_hosts: [{}]",
                    quoted(&format!("{HOST_NAME}:host-gateway"))
                ),
            );
        }
        line(2, "cap_drop: [ALL]".to_owned());
        line(2, "read_only: true".to_owned());
        line(2, "restart: unless-stopped".to_owned());
        line(2, "stop_signal: SIGTERM".to_owned());
        line(2, "healthcheck:".to_owned());
        line(
            3,
            format!("test: {}", json!(["CMD", image::PROGRAM, "--health"])),
        );
        line(3, "interval: 2s".to_owned());
        line(3, "timeout: 5s".to_owned());
        line(3, "retries: 3".to_owned());
        line(3, "start_period: 5s".to_owned());
    }
    text
}
