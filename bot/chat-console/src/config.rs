//! How the console is set up: what it is told at start and never changes afterwards.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rollbot_core::PersonId;
use rollbot_core::approval::People;

/// Everything the console has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleConfig {
    /// Where it listens. Loopback unless somebody says otherwise.
    pub listen: SocketAddr,
    /// The address people type: `https://rollbot.example.org`. Requests for another host, and
    /// changes that come from pages of another origin, are refused.
    pub public_url: String,
    /// In the order in which they are listed. At least one.
    pub channels: Vec<Channel>,
    pub access: Access,
    /// Shown in the tab and at the top: `rollbot`.
    pub title: String,
    /// A few lines on what this console looks after, shown where there are no messages yet.
    pub product: Vec<String>,
}

/// A channel of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// `ops`: lower case letters, digits, `-` and `_`.
    pub name: String,
    /// What it is for, a few words.
    pub about: String,
    /// Only the bot posts here: what users are told.
    pub announcements: bool,
}

/// How the console knows who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The visitor picks whom to act as. For `rollbot demo` and nothing else.
    Demo { people: Vec<PersonId> },
    /// A one-time login link makes a session.
    Login,
    /// A proxy in front has authenticated them and says so in this header. It is believed only from
    /// these addresses.
    TrustedHeader { header: String, from: Vec<Network> },
}

/// Addresses that share a prefix: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// An IPv4 address that arrives on an IPv6 socket counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits);
                let cut = |bits: u32| bits.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits);
                let cut = |bits: u128| bits.checked_shr(shift).unwrap_or(0);
                cut(network.to_bits()) == cut(address.to_bits())
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network: write it as 10.0.0.7 or 10.0.0.0/8")]
pub struct NotANetwork(pub String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NotANetwork(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let address = address.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| bad())?,
            None => most,
        };
        if bits > most {
            return Err(bad());
        }
        Ok(Self { address, bits })
    }
}

/// What is wrong with the setup of the console.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("the console has no channel: name at least one")]
    NoChannel,
    #[error("`{0}` is no name for a channel: use 1 to 40 lower case letters, digits, `-` and `_`")]
    ChannelName(String),
    #[error("the channel `{0}` is listed twice")]
    ChannelTwice(String),
    #[error("public_url is `{0}`: write it as http://host:port or https://host, without a path")]
    PublicUrl(String),
    #[error("the demo acts as `{0}`, who is not in people.toml")]
    Stranger(PersonId),
    #[error("the demo has nobody to act as")]
    Nobody,
    #[error("the demo lets everybody act as anybody, so it listens on loopback only, not on {0}")]
    DemoInPublic(SocketAddr),
    #[error("`{0}` is not the name of a header")]
    Header(String),
    #[error("no address is trusted to name people: list the proxy's, or nobody can log in")]
    TrustsNobody,
}

impl ConsoleConfig {
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, people: &People) -> Result<(), ConfigError> {
        if self.channels.is_empty() {
            return Err(ConfigError::NoChannel);
        }
        for (index, channel) in self.channels.iter().enumerate() {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            if !(1..=40).contains(&channel.name.len()) || !channel.name.chars().all(fits) {
                return Err(ConfigError::ChannelName(channel.name.clone()));
            }
            if self
                .channels
                .iter()
                .take(index)
                .any(|other| other.name == channel.name)
            {
                return Err(ConfigError::ChannelTwice(channel.name.clone()));
            }
        }
        if self.public_authority().is_none() {
            return Err(ConfigError::PublicUrl(self.public_url.clone()));
        }
        match &self.access {
            Access::Demo { people: actors } => {
                if actors.is_empty() {
                    return Err(ConfigError::Nobody);
                }
                if let Some(stranger) = actors.iter().find(|id| people.get(id).is_none()) {
                    return Err(ConfigError::Stranger(stranger.clone()));
                }
                if !self.listen.ip().is_loopback() {
                    return Err(ConfigError::DemoInPublic(self.listen));
                }
            }
            Access::Login => {}
            Access::TrustedHeader { header, from } => {
                if axum::http::HeaderName::try_from(header.as_str()).is_err() {
                    return Err(ConfigError::Header(header.clone()));
                }
                if from.is_empty() {
                    return Err(ConfigError::TrustsNobody);
                }
            }
        }
        Ok(())
    }

    /// Whether people reach it by https, so that cookies are for https only.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// `host:port` of the public address, as browsers send it: without the scheme's own port.
    pub(crate) fn public_authority(&self) -> Option<String> {
        let url = self.public_url.trim_end_matches('/').to_ascii_lowercase();
        let (rest, own_port) = match url.strip_prefix("https://") {
            Some(rest) => (rest, ":443"),
            None => (url.strip_prefix("http://")?, ":80"),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || ".-:[]_".contains(c);
        let authority = rest.strip_suffix(own_port).unwrap_or(rest);
        (!authority.is_empty() && authority.chars().all(fits)).then(|| authority.to_owned())
    }

    pub(crate) fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.name == name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_shares_its_prefix() {
        let net = |text: &str| text.parse::<Network>().unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(net("10.0.0.0/8").contains(ip("10.200.3.4")));
        assert!(!net("10.0.0.0/8").contains(ip("11.0.0.1")));
        assert!(net("127.0.0.1").contains(ip("::ffff:127.0.0.1")));
        assert!(!net("127.0.0.1").contains(ip("127.0.0.2")));
        assert!(net("0.0.0.0/0").contains(ip("203.0.113.9")));
        assert!(!net("0.0.0.0/0").contains(ip("::1")));
        assert!(net("fd00::/8").contains(ip("fd12::1")));
        assert!(net("::/0").contains(ip("2001:db8::1")));
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::1/129",
            "host",
            "10.0.0.1/",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_public_address_is_compared_as_browsers_send_it() {
        let config = |url: &str| ConsoleConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            public_url: url.to_owned(),
            channels: Vec::new(),
            access: Access::Login,
            title: String::new(),
            product: Vec::new(),
        };
        let authority = |url: &str| config(url).public_authority();
        assert_eq!(
            authority("https://Ops.example.org/").unwrap(),
            "ops.example.org"
        );
        assert_eq!(
            authority("https://ops.example.org:443").unwrap(),
            "ops.example.org"
        );
        assert_eq!(
            authority("http://127.0.0.1:8700").unwrap(),
            "127.0.0.1:8700"
        );
        assert_eq!(authority("http://[::1]:8700").unwrap(), "[::1]:8700");
        for bad in [
            "ops.example.org",
            "ftp://x",
            "http://",
            "http://x/path",
            "http://a@b",
        ] {
            assert_eq!(authority(bad), None, "{bad}");
        }
    }
}
