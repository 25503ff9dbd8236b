//! `rollbot.toml`, but for what it says of the machine.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollbot_core::outbox::Destination;
use rollbot_engine::{EngineConfig, Limits};
use toml::Spanned;
use url::Url;

use super::reader::{Alphabet, Reader, Within, items};
use crate::config;
use crate::written::{self, Given, Period, Size, StoreKind};

const CHANNEL: Alphabet = Alphabet {
    also: "-_",
    upper_case: false,
    longest: 40,
    in_words: "lower case letters, digits, `-` and `_`",
};

const HEADER: Alphabet = Alphabet {
    also: "-",
    upper_case: true,
    longest: 64,
    in_words: "letters, digits and hyphens",
};

pub(crate) const ACCOUNT: Alphabet = Alphabet {
    also: "-._",
    upper_case: true,
    longest: 32,
    in_words: "letters, digits, `-`, `.` and `_`",
};

pub(crate) fn state_directory(reader: &Reader, file: &written::Rollbot) -> Option<PathBuf> {
    let within = Within {
        span: None,
        name: "rollbot.toml".to_owned(),
    };
    let what = "where the bot keeps what it must not lose, such as /var/lib/rollbot";
    reader
        .need(&within, "state_directory", what, &file.state_directory)
        .and_then(|path| reader.path(path))
}

pub(crate) fn bot(reader: &Reader, given: &Given<written::Bot>) -> Option<config::Bot> {
    let (within, bot) = reader.section("bot", given)?;
    let name = match bot.name.spanned() {
        Some(name) => reader.line(name),
        None => Some("rollbot".to_owned()),
    };
    let product = reader
        .need(
            &within,
            "product",
            "what users call the platform",
            &bot.product,
        )
        .and_then(|product| reader.line(product));
    let support = reader
        .need(&within, "support", "whom users write to", &bot.support)
        .and_then(|support| reader.line(support));
    Some(config::Bot {
        name: name?,
        product: product?,
        support: support?,
    })
}

pub(crate) fn store(
    reader: &Reader,
    given: &Given<written::Store>,
    state: Option<&Path>,
) -> Option<config::Store> {
    let (_, store) = reader.section("store", given)?;
    let default = state.map(|state| state.join("rollbot.sqlite"));
    match store.kind.get().copied().unwrap_or(StoreKind::Sqlite) {
        StoreKind::Sqlite => reader
            .path_or(&store.path, default)
            .map(|path| config::Store::Sqlite { path }),
    }
}

/// `Some(None)` where it is switched off.
pub(crate) fn console(
    reader: &Reader,
    given: &Given<written::Console>,
    chat: &Given<written::Chat>,
) -> Option<Option<config::Console>> {
    let (within, console) = reader.section("console", given)?;
    let listen = match console.listen.spanned() {
        Some(listen) => listen_address(reader, listen),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 8700))),
    };
    let public_url = match console.public_url.spanned() {
        Some(url) => public_url(reader, url),
        None => listen.map(|listen| format!("http://{listen}")),
    };
    let access = access(reader, &within, &console);
    let mut channels: Vec<config::Channel> = Vec::new();
    for channel in items(&console.channel) {
        let inner = Within {
            span: Some(channel.span()),
            name: "[[console.channel]]".to_owned(),
        };
        let written = channel.get_ref();
        let name = reader
            .need(&inner, "name", "a word such as ops", &written.name)
            .and_then(|name| Some((name.span(), reader.name(name, "a channel", CHANNEL)?)));
        let about = match written.about.spanned() {
            Some(about) => reader.line(about),
            None => Some(String::new()),
        };
        let (Some((span, name)), Some(about)) = (name, about) else {
            continue;
        };
        if channels.iter().any(|other| other.name == name) {
            reader.problem(span, format!("the channel `{name}` is listed twice"));
        }
        let announcements = reads(chat, |chat| &chat.announcements, &name)
            && !reads(chat, |chat| &chat.operations, &name);
        channels.push(config::Channel {
            name,
            about,
            announcements,
        });
    }
    let enabled = console.enabled.get().copied().unwrap_or(true);
    if enabled
        && items(&console.channel).next().is_none()
        && !reader.was_taken_out(&within, "channel")
    {
        let message = "[console] has no channel: add at least one [[console.channel]]";
        let help = "or switch the console off: enabled = false".to_owned();
        reader.problem_in(&within, message, Some(help));
    }
    if !enabled {
        return Some(None);
    }
    let (listen, public_url, access) = (listen?, public_url?, access?);
    Some(Some(config::Console {
        listen,
        public_url,
        access,
        channels,
    }))
}

fn reads(
    chat: &Given<written::Chat>,
    which: impl Fn(&written::Chat) -> &Given<Vec<Given<String>>>,
    channel: &str,
) -> bool {
    chat.get().is_some_and(|chat| {
        items(which(chat)).any(|to| to.get_ref().strip_prefix("console/") == Some(channel))
    })
}

pub(crate) fn listen_address(reader: &Reader, listen: &Spanned<String>) -> Option<SocketAddr> {
    let parsed = listen.get_ref().parse();
    if parsed.is_err() {
        reader.problem_with(
            listen.span(),
            format!("`{}` is not an address with a port", listen.get_ref()),
            "write it as 127.0.0.1:8700 or [::1]:8700",
        );
    }
    parsed.ok()
}

/// Scheme, host and port: browsers name no more than those as the origin of a page.
fn public_url(reader: &Reader, text: &Spanned<String>) -> Option<String> {
    let origin = Url::parse(text.get_ref()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    match origin {
        Some(url) => Some(url.origin().ascii_serialization()),
        None => {
            reader.problem_with(
                text.span(),
                "this is not the address of a whole site",
                "write it as https://rollbot.example.org, without a path",
            );
            None
        }
    }
}

fn access(reader: &Reader, within: &Within, console: &written::Console) -> Option<config::Access> {
    if console
        .access
        .get()
        .copied()
        .unwrap_or(written::Access::Login)
        == written::Access::Login
    {
        for (key, span) in [
            ("header", console.header.span()),
            ("from", console.from.span()),
        ] {
            if let Some(span) = span {
                reader.problem(
                    span,
                    format!("`{key}` only has a meaning with access = \"trusted-header\""),
                );
            }
        }
        return Some(config::Access::Login);
    }
    let what = "the header in which the proxy names the person";
    let header = reader
        .need(within, "header", what, &console.header)
        .and_then(|header| reader.name(header, "a header", HEADER));
    let what = "addresses of the proxy; nobody else's header counts";
    let from = reader
        .need(within, "from", what, &console.from)
        .and_then(|list| {
            if list.get_ref().is_empty() {
                reader.problem(
                    list.span(),
                    "no address is trusted to name people, so nobody could log in",
                );
                return None;
            }
            let all: Vec<_> = items(&console.from)
                .map(|text| network(reader, text))
                .collect();
            all.into_iter().collect::<Option<Vec<_>>>()
        });
    Some(config::Access::TrustedHeader {
        header: header?,
        from: from?,
    })
}

fn network(reader: &Reader, text: &Spanned<String>) -> Option<String> {
    let (address, bits) = match text.get_ref().split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text.get_ref().as_str(), None),
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => Some(32),
        Ok(IpAddr::V6(_)) => Some(128),
        Err(_) => None,
    };
    let good = most.is_some_and(|most| {
        bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
    });
    if !good {
        reader.problem_with(
            text.span(),
            format!("`{}` is neither an address nor a network", text.get_ref()),
            "write it as 10.0.0.7 or 10.0.0.0/8",
        );
    }
    good.then(|| text.get_ref().clone())
}

pub(crate) fn control(
    reader: &Reader,
    given: &Given<written::Control>,
    state: Option<&Path>,
) -> Option<config::Control> {
    /// What a socket's path may have, on every system.
    const LONGEST: usize = 100;
    let (_, control) = reader.section("control", given)?;
    let socket = reader.path_or(
        &control.socket,
        state.map(|state| state.join("control.sock")),
    );
    if let (Some(path), Some(given)) = (&socket, control.socket.span())
        && path.as_os_str().len() > LONGEST
    {
        reader.problem(
            given,
            format!("the path of a socket has at most {LONGEST} bytes"),
        );
    }
    let group = match control.group.spanned() {
        Some(group) => Some(reader.name(group, "a group of the system", ACCOUNT)?),
        None => None,
    };
    Some(config::Control {
        socket: socket?,
        group,
    })
}

/// `channels`: those of the console, where it is switched on and could be made out.
pub(crate) fn chat(
    reader: &Reader,
    given: &Given<written::Chat>,
    platforms: &[String],
    console: Option<&Option<config::Console>>,
) -> Option<config::Chat> {
    let (within, chat) = reader.section("chat", given)?;
    let list = |key: &str, what: &str, list: &Given<Vec<Given<String>>>| {
        let given = reader.need(&within, key, what, list)?;
        if given.get_ref().is_empty() {
            let message = format!("this list is empty: {what}");
            reader.problem_with(given.span(), message, "write them as \"console/ops\"");
            return None;
        }
        let mut all = Vec::new();
        for text in items(list) {
            all.push(destination(reader, text, platforms, console));
        }
        let texts: Vec<_> = items(list).cloned().collect();
        reader.no_repeats(&texts);
        all.into_iter().collect::<Option<Vec<_>>>()
    };
    let operations = list(
        "operations",
        "where operators ask, approve and watch",
        &chat.operations,
    );
    let announcements = list("announcements", "where users are told", &chat.announcements);
    Some(config::Chat {
        operations: operations?,
        announcements: announcements?,
    })
}

/// Platforms that need credentials.
const SECTIONS: [&str; 2] = ["discord", "slack"];

/// What a channel's id looks like there, and where people find it. Names are no ids: they can be
/// given to another channel.
struct Shape {
    fits: fn(&str) -> bool,
    how: &'static str,
}

fn shape(platform: &str) -> Option<Shape> {
    fn of_slack(id: &str) -> bool {
        id.starts_with(['C', 'G', 'D'])
            && id.contains(|c: char| c.is_ascii_digit())
            && id
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    }
    fn of_discord(id: &str) -> bool {
        id.parse().is_ok_and(|id: u64| id > 0)
    }
    match platform {
        "slack" => Some(Shape {
            fits: of_slack,
            how: "write it as \"slack/C024BE91L\"; Slack shows it at the end of the channel's details",
        }),
        "discord" => Some(Shape {
            fits: of_discord,
            how: "write it as \"discord/302050872383242240\"; Discord copies it from the channel's menu, \
             once developer mode is on",
        }),
        _ => None,
    }
}

fn destination(
    reader: &Reader,
    text: &Spanned<String>,
    platforms: &[String],
    console: Option<&Option<config::Console>>,
) -> Option<Destination> {
    let parts = text
        .get_ref()
        .split_once('/')
        .filter(|(platform, channel)| {
            !platform.is_empty()
                && !channel.is_empty()
                && !text
                    .get_ref()
                    .chars()
                    .any(|c| c.is_whitespace() || c.is_control())
        });
    let Some((platform, channel)) = parts else {
        reader.problem_with(
            text.span(),
            format!("`{}` is not a platform and a channel", text.get_ref()),
            "write it as \"console/ops\"",
        );
        return None;
    };
    if !platforms.iter().any(|known| known == platform) {
        let word = Spanned::new(text.span(), platform.to_owned());
        if SECTIONS.contains(&platform) {
            reader.problem_with(
                text.span(),
                format!("messages go to `{platform}`, and there is no [{platform}]"),
                format!("add a section [{platform}] with its credentials"),
            );
            return None;
        }
        let known = SECTIONS.into_iter().chain(["console"]);
        reader.unknown(&word, "chat platform", known, "platforms");
        return None;
    }
    if let Some(Shape { fits, how }) = shape(platform)
        && !fits(channel)
    {
        reader.problem_with(
            text.span(),
            format!("`{channel}` is not the id of a channel of {platform}"),
            how,
        );
        return None;
    }
    if platform == "console"
        && let Some(console) = console
    {
        let channels = console.as_ref().map(|console| console.channels.as_slice());
        let Some(channels) = channels else {
            reader.problem(
                text.span(),
                "the console is switched off: [console] says enabled = false",
            );
            return None;
        };
        if !channels.iter().any(|known| known.name == channel) {
            let word = Spanned::new(text.span(), channel.to_owned());
            let known = channels.iter().map(|channel| channel.name.as_str());
            reader.unknown(&word, "channel", known, "channels of [[console.channel]]");
            return None;
        }
    }
    Some(Destination {
        platform: platform.to_owned(),
        channel: channel.to_owned(),
    })
}

pub(crate) fn status_update(
    reader: &Reader,
    given: &Given<written::StatusUpdate>,
) -> Option<config::StatusUpdate> {
    let (_, update) = reader.section("status_update", given)?;
    let period = |given: &Given<Period>, default, least| match given.spanned() {
        Some(given) => reader
            .within(given, Period::seconds(least), Period::seconds(24 * 3600))
            .map(|it| it.0),
        None => Some(Duration::from_secs(default)),
    };
    let after = period(&update.after, 5 * 60, 0);
    // Users are not told more often than this, whatever is configured.
    let every = period(&update.every, 10 * 60, 1);
    Some(config::StatusUpdate {
        after: after?,
        every: every?,
    })
}

/// `Some(None)` where the built-in ones are used.
pub(crate) fn templates(
    reader: &Reader,
    given: &Given<written::Templates>,
) -> Option<Option<PathBuf>> {
    let (_, templates) = reader.section("templates", given)?;
    match templates.directory.spanned() {
        Some(path) => reader.path(path).map(Some),
        None => Some(None),
    }
}

pub(crate) fn engine(
    reader: &Reader,
    given: &Given<written::Engine>,
    state: Option<&Path>,
) -> Option<EngineConfig> {
    const MIB: u64 = 1 << 20;
    /// Weeks of computing.
    const MOST_FUEL: u64 = 1_000_000_000_000_000;
    let (_, engine) = reader.section("engine", given)?;
    let cache = reader.path_or(
        &engine.cache_directory,
        state.map(|state| state.join("plugins")),
    );
    let mut limits = Limits::default();
    let mut good = true;
    let size = |given: &Given<Size>, limit: &mut usize| match given.spanned() {
        Some(given) => match reader.within(given, Size(MIB), Size(2048 * MIB)) {
            Some(size) => {
                *limit = usize::try_from(size.0).unwrap_or(usize::MAX);
                true
            }
            None => false,
        },
        None => true,
    };
    good &= size(&engine.memory, &mut limits.memory);
    good &= size(&engine.memory_large, &mut limits.memory_large);
    let period = |given: &Given<Period>, most, limit: &mut Duration| match given.spanned() {
        Some(given) => {
            let least = Period(Duration::from_millis(10));
            match reader.within(given, least, Period::seconds(most)) {
                Some(period) => {
                    *limit = period.0;
                    true
                }
                None => false,
            }
        }
        None => true,
    };
    good &= period(&engine.deadline, 600, &mut limits.compute_time);
    good &= period(&engine.plan_deadline, 3_600, &mut limits.plan_deadline);
    good &= period(
        &engine.effect_deadline,
        7 * 24 * 3_600,
        &mut limits.effect_deadline,
    );
    let count = |given: &Given<u32>, most, limit: &mut u32| match given.spanned() {
        Some(given) => match reader.within(given, 1, most) {
            Some(count) => {
                *limit = count;
                true
            }
            None => false,
        },
        None => true,
    };
    let mut calls = u32::try_from(limits.calls).unwrap_or(u32::MAX);
    good &= count(&engine.calls, 1_000_000, &mut calls);
    limits.calls = calls as usize;
    good &= count(&engine.attempts, 100, &mut limits.attempts);
    good &= count(&engine.instances, 1_000, &mut limits.instances);
    if let Some(fuel) = engine.fuel.spanned() {
        match reader.within(fuel, 1_000_000, MOST_FUEL) {
            Some(fuel) => {
                limits.fuel_total = fuel;
                limits.fuel_slice = limits.fuel_slice.min(fuel);
            }
            None => good = false,
        }
    }
    let cache_dir = Some(cache?);
    good.then_some(EngineConfig { cache_dir, limits })
}
