//! A configuration to measure with: one service, four people.

use std::path::Path;

/// One service, four people, and nothing that answers but the bot itself.
pub fn configuration(directory: &Path, port: u16) {
    let shown = directory.display();
    let bot = format!(
        r#"state_directory = "{shown}/state"
[bot]
product = "Cryptobot"
support = "support@cryptobot.example"
[console]
listen = "127.0.0.1:{port}"
[[console.channel]]
name = "ops"
about = "rollbacks"
[chat]
operations = ["console/ops"]
announcements = ["console/ops"]
[approval]
required = 2
groups = ["approvers"]
[docker]
socket = "{shown}/no-engine.sock"
[docker.project.cryptobot]
directory = "{shown}"
[backup]
directory = "{shown}/backups"
[registry]
path = "{shown}/registry.json"
[process]
manager = "commands"
state_directory = "{shown}/run"
[[process.unit]]
name = "cryptobot-trade"
argv = ["/bin/true"]
log = "{shown}/trade.log"
port = 9003
"#
    );
    let services = format!(
        r#"[[service]]
name = "trade"
type = "trade"
title = "Trading"
critical = true
units = ["cryptobot-trade"]
port = 9003
compose_project = "cryptobot"
compose_services = ["trade"]
data_directory = "{shown}"
archive_name = "trade_service"
cutover = "2026-11-01T00:00:00Z"
[service.registry]
key = "trade"
native = "http://127.0.0.1:9003"
docker = "http://127.0.0.1:9003"
[service.checks.health]
url = "http://127.0.0.1:9003/health"
[service.checks.in-flight]
url = "http://127.0.0.1:9003/orders/in-flight"
[service.checks.paper-order]
url = "http://127.0.0.1:9003/paper/orders"
"#
    );
    let people = r#"[[person]]
id = "ana"
name = "Ana"
groups = ["operators"]
console = true
[[person]]
id = "ben"
name = "Ben"
groups = ["approvers"]
console = true
[[person]]
id = "cleo"
name = "Cleo"
groups = ["approvers"]
console = true
[[person]]
id = "eve"
name = "Eve"
groups = ["approvers"]
console = true
"#;
    for (name, text) in [
        ("rollbot.toml", bot.as_str()),
        ("services.toml", services.as_str()),
        ("people.toml", people),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
}
