//! The command line, and the environment variables that stand in for it in a container.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

pub const HELP: &str = "\
A small service of a trading platform, for demonstrations and tests of rollbacks.

  rollbot-demo-service --service NAME --port PORT --deployment native|docker --data DIR [...]
  rollbot-demo-service --health        asks the service on PORT for /health; status 0 or 1

Options, each also as an environment variable:
  --service NAME        SERVICE        auth, strategy, backtest, trade, data or mcp
  --deployment WHICH    DEPLOYMENT     native or docker
  --port PORT           PORT           0 takes a free one and prints it
  --host ADDRESS        HOST           address to listen on (127.0.0.1)
  --also-host ADDRESS   ALSO_HOST      a second address, listened on as soon as that is possible
  --data DIR            DATA           directory of its data; made when missing
  --peers LIST          PEERS          name=URL[|URL...],name=URL...: the services it depends on
  --registry FILE       REGISTRY       service registry to look the peers up in, by their names
  --demo-controls       DEMO_CONTROLS=1  allow POST /demo/in-flight and POST /demo/fault

Every service:  GET /health, GET /peers
auth:           POST /login {\"user\":\"demo\",\"password\":\"demo\"}, GET /session
strategy:       GET /strategies
backtest:       POST /jobs {\"strategy\",\"symbol\",\"days\"}, GET /jobs/ID
trade:          GET /orders/in-flight, POST /paper/orders (honours Idempotency-Key)
data:           GET /series/latest?limit=N
mcp:            GET /tools

Every path also exists below the name of the deployment (/native/health, /docker/health); below the
name of the other one the answer is 421, so that a client which was sent to the wrong deployment
finds out.

With --demo-controls:
  GET  /demo                 what is set
  POST /demo/in-flight       {\"count\":3,\"for_ms\":5000}
  POST /demo/fault           {\"kind\":\"reject-orders|stale-rows|slow|ignore-sigterm|fail-health|none\",
                              \"for_ms\":N, \"delay_ms\":N (slow), \"age_ms\":N (stale-rows)}";

/// Which of the six services the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Auth,
    Strategy,
    Backtest,
    Trade,
    Data,
    Mcp,
}

impl Service {
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Strategy => "strategy",
            Self::Backtest => "backtest",
            Self::Trade => "trade",
            Self::Data => "data",
            Self::Mcp => "mcp",
        }
    }

    fn read(text: &str) -> Result<Self, ConfigError> {
        [
            Self::Auth,
            Self::Strategy,
            Self::Backtest,
            Self::Trade,
            Self::Data,
            Self::Mcp,
        ]
        .into_iter()
        .find(|service| service.name() == text)
        .ok_or_else(|| {
            ConfigError::value(
                "--service",
                text,
                "auth, strategy, backtest, trade, data or mcp",
            )
        })
    }
}

/// Where the process runs, as it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployment {
    Native,
    Docker,
}

impl Deployment {
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Docker => "docker",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Native => Self::Docker,
            Self::Docker => Self::Native,
        }
    }

    fn read(text: &str) -> Result<Self, ConfigError> {
        match text {
            "native" => Ok(Self::Native),
            "docker" => Ok(Self::Docker),
            _ => Err(ConfigError::value("--deployment", text, "native or docker")),
        }
    }
}

/// A service this one depends on. The first URL that answers counts: inside a container network a
/// peer is found by its name while it is a container, and at the host while it is a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub name: String,
    pub urls: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Config {
    pub service: Service,
    pub deployment: Deployment,
    pub host: IpAddr,
    pub also_host: Option<IpAddr>,
    pub port: u16,
    pub data: PathBuf,
    pub peers: Vec<Peer>,
    pub registry: Option<PathBuf>,
    pub demo_controls: bool,
}

#[derive(Debug, Clone)]
pub enum Command {
    Serve(Box<Config>),
    Health { host: IpAddr, port: u16 },
    Help,
    Version,
}

/// What is wrong with the command line or the environment.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    Missing(&'static str),
    Unknown(String),
    NoValue(String),
    Value {
        option: &'static str,
        found: String,
        allowed: &'static str,
    },
}

impl ConfigError {
    fn value(option: &'static str, found: &str, allowed: &'static str) -> Self {
        Self::Value {
            option,
            found: found.to_owned(),
            allowed,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(option) => write!(f, "{option} is missing"),
            Self::Unknown(word) => write!(f, "{word:?} is not an option"),
            Self::NoValue(option) => write!(f, "{option} needs a value"),
            Self::Value {
                option,
                found,
                allowed,
            } => write!(f, "{option} is {found:?}, but must be {allowed}"),
        }
    }
}

/// Reads the arguments (without the program's name); what they leave out comes from `environment`.
pub fn read(
    arguments: impl Iterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Command, ConfigError> {
    const VALUED: [(&str, &str); 8] = [
        ("--service", "SERVICE"),
        ("--deployment", "DEPLOYMENT"),
        ("--port", "PORT"),
        ("--host", "HOST"),
        ("--also-host", "ALSO_HOST"),
        ("--data", "DATA"),
        ("--peers", "PEERS"),
        ("--registry", "REGISTRY"),
    ];
    let mut given: Vec<(&'static str, String)> = Vec::new();
    let (mut health, mut controls) = (false, false);
    let mut arguments = arguments;
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            "--health" => health = true,
            "--demo-controls" => controls = true,
            _ => {
                let (name, inline) = match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word.clone(), None),
                };
                let Some((option, _)) = VALUED.iter().find(|(option, _)| *option == name) else {
                    return Err(ConfigError::Unknown(word));
                };
                let value = inline
                    .or_else(|| arguments.next())
                    .ok_or(ConfigError::NoValue(name))?;
                given.push((option, value));
            }
        }
    }
    let value = |option: &'static str| -> Option<String> {
        given
            .iter()
            .rev()
            .find(|(name, _)| *name == option)
            .map(|(_, value)| value.clone())
            .or_else(|| {
                let (_, variable) = VALUED.iter().find(|(name, _)| *name == option)?;
                environment(variable).filter(|value| !value.is_empty())
            })
    };

    let port = value("--port").ok_or(ConfigError::Missing("--port"))?;
    let port: u16 = port
        .parse()
        .map_err(|_| ConfigError::value("--port", &port, "a number from 0 to 65535"))?;
    let host = address("--host", value("--host"))?.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    if health {
        return Ok(Command::Health { host, port });
    }
    Ok(Command::Serve(Box::new(Config {
        service: Service::read(&value("--service").ok_or(ConfigError::Missing("--service"))?)?,
        deployment: Deployment::read(
            &value("--deployment").ok_or(ConfigError::Missing("--deployment"))?,
        )?,
        host,
        also_host: address("--also-host", value("--also-host"))?,
        port,
        data: value("--data")
            .ok_or(ConfigError::Missing("--data"))?
            .into(),
        peers: peers(value("--peers").unwrap_or_default().as_str())?,
        registry: value("--registry").map(PathBuf::from),
        demo_controls: controls || environment("DEMO_CONTROLS").as_deref() == Some("1"),
    })))
}

fn address(option: &'static str, text: Option<String>) -> Result<Option<IpAddr>, ConfigError> {
    text.map(|text| {
        text.parse()
            .map_err(|_| ConfigError::value(option, &text, "an IP address"))
    })
    .transpose()
}

fn peers(list: &str) -> Result<Vec<Peer>, ConfigError> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| {
            let (name, urls) = entry
                .split_once('=')
                .filter(|(name, urls)| !name.is_empty() && !urls.is_empty())
                .ok_or_else(|| {
                    ConfigError::value("--peers", entry, "name=URL[|URL...], separated by commas")
                })?;
            Ok(Peer {
                name: name.to_owned(),
                urls: urls.split('|').map(str::to_owned).collect(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = String> + '_ {
        text.split_whitespace().map(str::to_owned)
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let environment = |name: &str| match name {
            "SERVICE" => Some("data".to_owned()),
            "PORT" => Some("9004".to_owned()),
            "DEPLOYMENT" => Some("docker".to_owned()),
            "DATA" => Some("/data".to_owned()),
            _ => None,
        };
        let Command::Serve(config) = read(
            words("--port 7 --host=0.0.0.0 --peers a=http://a:1|http://b:2"),
            environment,
        )
        .unwrap() else {
            panic!("it should serve")
        };
        assert_eq!(config.port, 7);
        assert_eq!(config.service, Service::Data);
        assert_eq!(config.host, IpAddr::from([0, 0, 0, 0]));
        assert_eq!(config.peers[0].urls, ["http://a:1", "http://b:2"]);
        assert!(!config.demo_controls);
    }

    #[test]
    fn what_is_wrong_is_named_with_the_allowed_values() {
        let error = read(words("--service x --port 1"), |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--service is \"x\", but must be auth, strategy, backtest, trade, data or mcp"
        );
        assert_eq!(
            read(words("--prot 1"), |_| None).unwrap_err(),
            ConfigError::Unknown("--prot".to_owned())
        );
        assert_eq!(
            read(words("--service trade"), |_| None).unwrap_err(),
            ConfigError::Missing("--port")
        );
    }

    #[test]
    fn the_health_client_needs_the_port_only() {
        assert!(matches!(
            read(words("--health"), |name| (name == "PORT")
                .then(|| "9".to_owned()))
            .unwrap(),
            Command::Health { port: 9, .. }
        ));
    }
}
