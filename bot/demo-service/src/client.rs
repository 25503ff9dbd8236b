//! The little of an HTTP client that a health check needs.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

const LIMIT: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the service on this machine for its health. An address that means "all" means this one.
pub fn own_health(host: IpAddr, port: u16) -> Result<String, String> {
    let host = match host {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let address = SocketAddr::new(host, port);
    let (status, body) = request(&[address], &address.to_string(), "/health", PATIENCE)
        .map_err(|error| format!("http://{address}/health: {error}"))?;
    if status == 200 {
        Ok(body)
    } else {
        Err(format!("http://{address}/health answers {status}: {body}"))
    }
}

/// GET of a plain `http://` URL: status and the beginning of the body.
pub fn get(url: &str, patience: Duration) -> Result<(u16, String), String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("{url}: only http:// is known"))?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let target = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let addresses: Vec<SocketAddr> = target
        .to_socket_addrs()
        .map_err(|error| format!("{authority}: {error}"))?
        .take(4)
        .collect();
    request(&addresses, authority, path, patience).map_err(|error| format!("{url}: {error}"))
}

fn request(
    addresses: &[SocketAddr],
    authority: &str,
    path: &str,
    patience: Duration,
) -> Result<(u16, String), String> {
    let end = Instant::now() + patience;
    let left = || {
        end.checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
            .ok_or_else(|| "no answer in time".to_owned())
    };
    let mut stream = None;
    let mut last = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(address, left()?) {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(error) => last = error.to_string(),
        }
    }
    let mut stream = stream.ok_or(last)?;
    let say = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            "no answer in time".to_owned()
        }
        _ => error.to_string(),
    };
    stream.set_write_timeout(Some(left()?)).map_err(say)?;
    stream
        .write_all(
            format!("GET {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\n\r\n")
                .as_bytes(),
        )
        .map_err(say)?;
    // Read in parts, so that a server which trickles cannot outlast the deadline.
    let mut answer = Vec::new();
    let mut part = [0u8; 4096];
    loop {
        stream.set_read_timeout(Some(left()?)).map_err(say)?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(bytes) => answer.extend_from_slice(&part[..bytes]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(say(error)),
        }
        if answer.len() as u64 > LIMIT {
            return Err("the answer is too long".to_owned());
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or("the answer is not HTTP")?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or("the answer has no status")?;
    Ok((status, body.to_owned()))
}
