//! The few facts that are needed of what `compose config` prints.
//!
//! Its output is not any YAML but what two programs print after they have checked and normalised
//! the files: two blanks an indent, one key a line. Versions 1 and 2 differ only in how far they
//! indent lists and in the form of ports.

use std::collections::BTreeMap;

/// What the compose files say of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServiceFacts {
    image: Option<String>,
    /// Ports of the machine: `9003/tcp`. Ranges are left out.
    pub(crate) published: Vec<String>,
}

impl ServiceFacts {
    /// A service that is built without a name for its image is named by compose, v1 and v2 each in
    /// its way.
    pub(crate) fn image_names(&self, project: &str, service: &str) -> Vec<String> {
        match &self.image {
            Some(image) => vec![image.clone()],
            None => vec![
                format!("{project}-{service}"),
                format!("{project}_{service}"),
            ],
        }
    }
}

/// By service.
pub(crate) fn parse(config: &str) -> BTreeMap<String, ServiceFacts> {
    let mut services: BTreeMap<String, ServiceFacts> = BTreeMap::new();
    let mut in_services = false;
    let mut service: Option<String> = None;
    let mut in_ports = false;
    let mut port = Port::default();
    for line in config.lines() {
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let is_item = text.starts_with("- ");
        if in_ports && (indent < 4 || (indent == 4 && !is_item)) {
            port.store(service.as_ref().and_then(|name| services.get_mut(name)));
            in_ports = false;
        }
        match indent {
            0 => {
                in_services = text == "services:";
                service = None;
            }
            2 if in_services => {
                service = key(text).map(|(name, _)| name);
                if let Some(name) = &service {
                    services.entry(name.clone()).or_default();
                }
            }
            _ => {
                let Some(facts) = service.as_ref().and_then(|name| services.get_mut(name)) else {
                    continue;
                };
                if in_ports {
                    let entry = match text.strip_prefix("- ") {
                        Some(entry) => {
                            port.store(Some(facts));
                            entry.trim()
                        }
                        None => text,
                    };
                    port.read(entry);
                } else if indent == 4 {
                    match key(text) {
                        Some((name, value)) if name == "image" && !value.is_empty() => {
                            facts.image = Some(value);
                        }
                        Some((name, value)) if name == "ports" && value.is_empty() => {
                            in_ports = true
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    if in_ports {
        port.store(service.as_ref().and_then(|name| services.get_mut(name)));
    }
    services
}

#[derive(Default)]
struct Port {
    published: Option<u16>,
    protocol: Option<String>,
}

impl Port {
    fn read(&mut self, entry: &str) {
        match key(entry) {
            Some((name, value)) if name == "published" => self.published = value.parse().ok(),
            Some((name, value)) if name == "protocol" => self.protocol = Some(value),
            Some((name, _)) if matches!(name.as_str(), "mode" | "target" | "host_ip" | "name") => {}
            _ => self.read_short(&unquoted(entry)),
        }
    }

    /// `9003:80/tcp`, `127.0.0.1:9003:80`, `80`
    fn read_short(&mut self, text: &str) {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let mut parts = ports.rsplit(':');
        let _target = parts.next();
        if let Some(published) = parts.next() {
            self.published = published.parse().ok();
            self.protocol = Some(protocol.to_owned());
        }
    }

    fn store(&mut self, facts: Option<&mut ServiceFacts>) {
        let port = std::mem::take(self);
        if let (Some(facts), Some(published)) = (facts, port.published)
            && published != 0
        {
            let protocol = port.protocol.unwrap_or_else(|| "tcp".to_owned());
            facts.published.push(format!("{published}/{protocol}"));
        }
    }
}

/// `name: value`, where the value may be empty.
fn key(text: &str) -> Option<(String, String)> {
    let (name, value) = match text.split_once(": ") {
        Some(parts) => parts,
        None => (text.strip_suffix(':')?, ""),
    };
    Some((unquoted(name), unquoted(value.trim())))
}

fn unquoted(text: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inner) = text
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.to_owned();
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_version_1_prints_is_understood() {
        let services = parse(
            "services:
  auth:
    build:
      context: /srv/auth
      image: not-this
    environment:
      image: 'nor: this'
  trade:
    image: cryptobot/trade:1.4.2
    init: true
    ports:
    - 9003:80/tcp
    - 127.0.0.1:9004:81/udp
    - published: 9005
      target: 82
    - '83'
    stop_grace_period: 2s
version: '3.7'
",
        );
        assert_eq!(services.keys().collect::<Vec<_>>(), ["auth", "trade"]);
        assert_eq!(
            services["trade"].image_names("p", "trade"),
            ["cryptobot/trade:1.4.2"]
        );
        assert_eq!(
            services["trade"].published,
            ["9003/tcp", "9004/udp", "9005/tcp"]
        );
        assert_eq!(
            services["auth"].image_names("p", "auth"),
            ["p-auth", "p_auth"]
        );
    }

    #[test]
    fn what_version_2_prints_is_understood() {
        let services = parse(
            "name: cryptobot
services:
  trade:
    image: \"cryptobot/trade:1.4.2\"
    networks:
      default: null
    ports:
      - mode: ingress
        host_ip: 127.0.0.1
        target: 80
        published: \"9003\"
        protocol: tcp
      - mode: ingress
        target: 81
        published: \"9004\"
        protocol: udp
networks:
  default:
    name: cryptobot_default
",
        );
        assert_eq!(services.len(), 1);
        assert_eq!(
            services["trade"].image_names("p", "trade"),
            ["cryptobot/trade:1.4.2"]
        );
        assert_eq!(services["trade"].published, ["9003/tcp", "9004/udp"]);
    }
}
