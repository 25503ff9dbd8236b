//! The demo's configuration: the same three files that `serve` reads, written for its world.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use rollbot_demo_world::{DemoService, World};

/// Channel of the operators.
pub const OPERATORS: &str = "ops";
/// The demo's people, by id; the first is who the visitor is at the beginning.
pub const PEOPLE: [&str; 4] = ["ana", "ben", "cleo", "dan"];
pub const ALL_SERVICES: [&str; 6] = ["auth", "strategy", "backtest", "trade", "data", "mcp"];

/// A text as TOML writes it.
fn q(text: impl AsRef<str>) -> String {
    toml::Value::String(text.as_ref().to_owned()).to_string()
}

fn path(path: &Path) -> String {
    q(path.to_string_lossy())
}

/// Writes the configuration of the demo in `directory`.
///
/// # Errors
/// A file cannot be written.
pub fn write(config: &Path, directory: &Path, world: &World, port: u16) -> anyhow::Result<()> {
    std::fs::create_dir_all(config).with_context(|| config.display().to_string())?;
    let files = [
        ("rollbot.toml", bot(directory, world, port)),
        ("services.toml", services(world)),
        ("people.toml", people()),
    ];
    for (name, text) in files {
        let path = config.join(name);
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn bot(directory: &Path, world: &World, port: u16) -> String {
    let state = directory.join("state");
    let mut text = format!(
        r#"# Written by `rollbot demo`, anew at every start.
state_directory = {state}

[bot]
product = "Cryptobot"
support = "support@cryptobot.example"

[console]
listen = "127.0.0.1:{port}"

[[console.channel]]
name = "{OPERATORS}"
about = "rollbacks: ask, approve, watch"

[[console.channel]]
name = "announcements"
about = "what users are told"

[chat]
operations = ["console/{OPERATORS}"]
announcements = ["console/announcements"]

[approval]
required = 2
groups = ["approvers"]
expiry = "15m"

[status_update]
after = "20s"
every = "30s"

[docker]
socket = {socket}

[docker.project.{project}]
directory = {docker}

[backup]
directory = {backups}
reserve = "16MiB"

[registry]
path = {registry}

[process]
manager = "commands"
state_directory = {run}
"#,
        state = path(&state),
        socket = path(world.engine_socket()),
        project = world.compose_project(),
        docker = path(&world.layout().compose()),
        backups = path(&world.layout().backups()),
        registry = path(&world.layout().registry()),
        run = path(&world.layout().run()),
    );
    for service in world.services() {
        let unit = service.unit();
        let argv: Vec<_> = unit.argv.iter().map(q).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[process.unit]]\nname = {}\nargv = [{}]\nlog = {}\n",
            q(&unit.name),
            argv.join(", "),
            path(&unit.log_file)
        );
        if let Some(port) = unit.port {
            let _ = writeln!(text, "port = {port}");
        }
    }
    text
}

fn services(world: &World) -> String {
    let mut text = "# Written by `rollbot demo`, anew at every start.\n".to_owned();
    for service in world.services() {
        // Those for which there is a plugin.
        let checks = match service.name.as_str() {
            "trade" => trade_checks(service),
            "data" => data_checks(service),
            _ => continue,
        };
        let title = match service.name.as_str() {
            "trade" => "Trading",
            _ => "Market data",
        };
        let _ = write!(
            text,
            r#"
[[service]]
name = {name}
type = {name}
title = "{title}"
critical = true
units = [{unit}]
port = {port}
compose_project = {project}
compose_services = [{compose}]
data_directory = {data}
archive_name = {archive}
cutover = {cutover}

[service.registry]
key = {key}
native = {native}
docker = {docker}

[service.checks.health]
url = {health}
expect = [{{ pointer = "/status", equals = "ok" }}]
within = "5s"
{checks}"#,
            name = q(&service.name),
            unit = q(&service.unit),
            port = service.port,
            project = q(world.compose_project()),
            compose = q(&service.compose_service),
            data = path(&service.data_directory),
            archive = q(&service.archive_name),
            cutover = q(world.cutover().to_string()),
            key = q(&service.registry_key),
            native = q(&service.registry_native),
            docker = q(&service.registry_docker),
            health = q(format!("{}/health", service.url)),
        );
    }
    text
}

/// Orders in flight hold the stop back; a paper order shows that the container executes.
fn trade_checks(service: &DemoService) -> String {
    format!(
        r#"
[service.checks.in-flight]
url = {in_flight}
expect = [{{ pointer = "/count", at_most = 0 }}]
within = "5s"

[service.checks.paper-order]
method = "post"
url = {paper}
body = {{ symbol = "BTC-USD", side = "buy", quantity = 0.01 }}
idempotency_key = true
expect = [{{ pointer = "/state", equals = "filled" }}]
within = "5s"

[service.settings]
in-flight-limit = "20s"
in-flight-poll = "500ms"
"#,
        in_flight = q(format!("{}/orders/in-flight", service.url)),
        paper = q(format!("{}/paper/orders", service.registry_docker)),
    )
}

fn data_checks(service: &DemoService) -> String {
    format!(
        r#"
[service.checks.fresh-rows]
url = {rows}
expect = [{{ pointer = "/rows/0/at", younger_than = "1m" }}]
within = "5s"
"#,
        rows = q(format!("{}/series/latest?limit=5", service.registry_docker)),
    )
}

/// Ana asks, Ben and Cleo approve, Dan may not. Whoever runs the demo is Eli on the command line.
fn people() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map_or_else(|| "root".to_owned(), |user| user.name);
    format!(
        r#"# Written by `rollbot demo`, anew at every start.

[[person]]
id = "ana"
name = "Ana"
groups = ["operators"]
console = true

[[person]]
id = "ben"
name = "Ben"
groups = ["operators", "approvers"]
console = true

[[person]]
id = "cleo"
name = "Cleo"
groups = ["approvers"]
console = true

[[person]]
id = "dan"
name = "Dan"
groups = ["support"]
console = true

# Whoever started the demo, on the command line.
[[person]]
id = "eli"
name = "Eli"
groups = ["approvers"]
unix = {}
"#,
        q(user)
    )
}
