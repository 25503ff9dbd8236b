//! Why no answer came, in words for people.

use std::{error::Error as StdError, io};

/// One sentence about a request that got no answer.
pub(crate) fn describe(error: &reqwest::Error, authority: &str) -> String {
    let causes: Vec<&(dyn StdError + 'static)> = chain(error).collect();
    let io = |e: &&(dyn StdError + 'static)| known(e.downcast_ref::<io::Error>()?, authority);
    if let Some(text) = causes.iter().find_map(io) {
        return text;
    }
    if let Some(tls) = causes.iter().find_map(|e| tls(*e)) {
        return format!("no TLS connection with {authority}: {tls}");
    }
    let root = causes.last().map_or_else(String::new, ToString::to_string);
    match error.is_connect() {
        true => format!("no connection to {authority}: {root}"),
        false => {
            format!("the connection to {authority} broke before the answer was complete: {root}")
        }
    }
}

/// One sentence about a connection that could not be made.
pub(crate) fn connecting(error: &io::Error, authority: &str) -> String {
    known(error, authority).unwrap_or_else(|| format!("no connection to {authority}: {error}"))
}

fn known(error: &io::Error, authority: &str) -> Option<String> {
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("connection refused at {authority}"),
        io::ErrorKind::ConnectionReset => format!("the connection was reset by {authority}"),
        io::ErrorKind::TimedOut => format!("no connection to {authority}: nobody answers there"),
        io::ErrorKind::HostUnreachable => format!("the host of {authority} is unreachable"),
        io::ErrorKind::NetworkUnreachable => {
            format!("the network of {authority} is unreachable from here")
        }
        _ => return None,
    })
}

/// rustls's own words.
fn tls(error: &(dyn StdError + 'static)) -> Option<String> {
    Some(error.downcast_ref::<rustls::Error>()?.to_string())
}

/// The error and what caused it, outermost first.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error names the source of what it wraps, not what it wraps.
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|wrapped| wrapped as &(dyn StdError + 'static));
        wrapped.or_else(|| error.source())
    })
}
