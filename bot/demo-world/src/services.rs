//! The six services.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rollbot_host_process::CommandUnit;
use serde::Serialize;

use crate::layout::Layout;

/// In the order of their ports.
pub const NAMES: [&str; 6] = ["auth", "strategy", "backtest", "trade", "data", "mcp"];

/// Everything about one service that a configuration needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DemoService {
    /// `trade`; also its type.
    pub name: String,
    /// The port that native service and container share, on 127.0.0.1.
    pub port: u16,
    /// `cryptobot-trade`
    pub unit: String,
    /// `trade`
    pub compose_service: String,
    /// `rollbot-demo-1a2b3c_trade_1`
    pub container: String,
    /// The native service's data, which is to be archived.
    pub data_directory: PathBuf,
    /// The container's data.
    pub container_data_directory: PathBuf,
    /// `trade_service`, to which time and ending are added.
    pub archive_name: String,
    /// Program and arguments of the native service.
    pub argv: Vec<String>,
    /// Environment of the native service.
    pub environment: BTreeMap<String, String>,
    /// Where its output goes.
    pub log_file: PathBuf,
    /// Key in the service registry.
    pub registry_key: String,
    /// `http://127.0.0.1:9003/native`: a base URL that only the native service answers.
    pub registry_native: String,
    /// `http://127.0.0.1:9003/docker`: a base URL that only the container answers.
    pub registry_docker: String,
    /// `http://127.0.0.1:9003`, which either answers.
    pub url: String,
}

impl DemoService {
    /// The native service as a unit that is a command.
    pub fn unit(&self) -> CommandUnit {
        CommandUnit {
            name: self.unit.clone(),
            argv: self.argv.clone(),
            working_directory: None,
            environment: self.environment.clone(),
            log_file: self.log_file.clone(),
            port: Some(self.port),
        }
    }
}

/// The services of a world. `gateway` is an address of this machine that its containers can reach.
pub fn all(layout: &Layout, project: &str, base: u16, gateway: Option<&str>) -> Vec<DemoService> {
    let port = |index: usize| base + index as u16;
    let url = |index: usize| format!("http://127.0.0.1:{}", port(index));
    NAMES
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let unit = format!("cryptobot-{name}");
            let data = layout.native_data(name);
            // All others: what a service depends on must not depend on which one is looked at.
            let peers: Vec<String> = NAMES
                .iter()
                .enumerate()
                .filter(|(_, other)| *other != name)
                .map(|(other, name)| format!("{name}={}", url(other)))
                .collect();
            let mut argv = vec![layout.program(&unit).display().to_string()];
            for (option, value) in [
                ("--service", (*name).to_owned()),
                ("--deployment", "native".to_owned()),
                ("--port", port(index).to_string()),
                ("--host", "127.0.0.1".to_owned()),
                ("--data", data.display().to_string()),
                ("--peers", peers.join(",")),
                ("--registry", layout.registry().display().to_string()),
            ] {
                argv.push(option.to_owned());
                argv.push(value);
            }
            if let Some(gateway) = gateway {
                argv.push("--also-host".to_owned());
                argv.push(gateway.to_owned());
            }
            argv.push("--demo-controls".to_owned());
            DemoService {
                name: (*name).to_owned(),
                port: port(index),
                compose_service: (*name).to_owned(),
                container: format!("{project}_{name}_1"),
                data_directory: data,
                container_data_directory: layout.container_data(name),
                archive_name: match *name {
                    "mcp" => "mcp_services".to_owned(),
                    _ => format!("{name}_service"),
                },
                argv,
                environment: BTreeMap::new(),
                log_file: layout.log(&unit),
                unit,
                registry_key: (*name).to_owned(),
                registry_native: format!("{}/native", url(index)),
                registry_docker: format!("{}/docker", url(index)),
                url: url(index),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_services_have_six_ports_in_a_row_and_know_the_five_others() {
        let layout = Layout::new("/w".into());
        let services = all(&layout, "p", 9000, Some("172.17.0.1"));
        let ports: Vec<u16> = services.iter().map(|service| service.port).collect();
        assert_eq!(ports, [9000, 9001, 9002, 9003, 9004, 9005]);
        let trade = &services[3];
        assert_eq!(trade.registry_docker, "http://127.0.0.1:9003/docker");
        assert_eq!(trade.archive_name, "trade_service");
        let peers = trade
            .argv
            .iter()
            .find(|word| word.contains("data="))
            .map(String::as_str);
        assert_eq!(
            peers,
            Some(
                "auth=http://127.0.0.1:9000,strategy=http://127.0.0.1:9001,\
                 backtest=http://127.0.0.1:9002,data=http://127.0.0.1:9004,mcp=http://127.0.0.1:9005"
            )
        );
        assert_eq!(services[5].data_directory, layout.native_data("mcp"));
    }
}
