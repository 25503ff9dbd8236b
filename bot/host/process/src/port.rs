//! Who listens on a TCP port, and how to make it stop.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use listeners::{Protocol, SocketState};

use crate::{
    identity::{Identity, Stat},
    types::{Deadlines, Error, PortOwner},
};

/// A server with worker processes, or one that a supervisor starts again, may show several owners
/// one after the other. More than this many is a loop.
const MOST_OWNERS: usize = 32;

const POLL: Duration = Duration::from_millis(50);

/// The owner of the port, `None` when nobody listens. Where several processes share the socket it
/// is the one that the others descend from.
pub(crate) async fn owner(port: u16, deadlines: &Deadlines) -> Result<Option<PortOwner>, Error> {
    let looked = tokio::task::spawn_blocking(move || look(port));
    match tokio::time::timeout(deadlines.call, looked).await {
        Ok(Ok(Ok(owner))) => Ok(owner),
        Ok(Ok(Err(error))) => Err(Error::Failed(format!(
            "Who listens on port {port} cannot be found out: {error}"
        ))),
        Ok(Err(error)) => Err(Error::Failed(format!(
            "Who listens on port {port} cannot be found out: {error}"
        ))),
        Err(_) => Err(Error::TimedOut(format!(
            "Who listens on port {port} was not found out within {:?}: the machine is overloaded",
            deadlines.call
        ))),
    }
}

/// The owner for a report: nobody, if no port was asked for.
pub(crate) async fn owner_of(
    port: Option<u16>,
    deadlines: &Deadlines,
) -> Result<Option<PortOwner>, Error> {
    match port {
        Some(port) => owner(port, deadlines).await,
        None => Ok(None),
    }
}

fn look(port: u16) -> Result<Option<PortOwner>, String> {
    // A second look, since a socket may be closed between the two tables.
    for _ in 0..2 {
        let sockets = listening_sockets(port).map_err(|e| format!("/proc/net/tcp: {e}"))?;
        if sockets.is_empty() {
            return Ok(None);
        }
        let mut found: Vec<(u32, String)> = listeners::get_all()
            .map_err(|e| e.to_string())?
            .into_iter()
            .filter(|l| l.protocol == Protocol::TCP && l.state == SocketState::Listen)
            .filter(|l| l.socket.port() == port)
            .map(|l| (l.process.pid, l.process.name))
            .collect();
        found.sort();
        if let Some((pid, name)) = found.into_iter().next() {
            let (pid, name) = eldest_holder(pid, name, &sockets);
            let in_container = in_container(pid);
            return Ok(Some(PortOwner {
                port,
                pid,
                name,
                in_container,
            }));
        }
    }
    Ok(Some(PortOwner {
        port,
        pid: 0,
        name: "not visible to this user".to_owned(),
        in_container: false,
    }))
}

/// Whether the kernel counts the process to a container that is not ours.
fn in_container(pid: u32) -> bool {
    let container = |pid: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        container_of(&text).map(str::to_owned)
    };
    let theirs = container(&pid.to_string());
    theirs.is_some() && theirs != container("self")
}

/// The id of the container that a process is directly in, by the table of its control groups:
/// `/docker/4f…`, `/system.slice/docker-4f….scope`, `/machine.slice/libpod-4f….scope`. A service of
/// a service manager within a container is that manager's.
fn container_of(table: &str) -> Option<&str> {
    const ID: usize = 64;
    let path = |of: &str| {
        table.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.strip_prefix(of)?.strip_prefix(':')
        })
    };
    // With two versions at once it is the first that tells.
    let path = path("name=systemd")
        .filter(|path| *path != "/")
        .or_else(|| path(""))?;
    let last = path.rsplit('/').next()?;
    let last = last.strip_suffix(".scope").unwrap_or(last);
    let id = last.rsplit('-').next()?;
    (id.len() == ID && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// Inodes of the sockets that listen on the port, of all users and both address families.
fn listening_sockets(port: u16) -> io::Result<Vec<u64>> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match fs::read_to_string(table) {
            Ok(text) => text,
            // A kernel without IPv6 has no second table.
            Err(e) if e.kind() == io::ErrorKind::NotFound && table.ends_with('6') => continue,
            Err(e) => return Err(e),
        };
        inodes.extend(text.lines().skip(1).filter_map(|l| listening(l, port)));
    }
    Ok(inodes)
}

/// The inode, if this line of the table is a socket that listens on the port.
fn listening(line: &str, port: u16) -> Option<u64> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, hex) = fields.get(1)?.rsplit_once(':')?;
    (u16::from_str_radix(hex, 16).ok()? == port && *fields.get(3)? == LISTEN)
        .then(|| fields.get(9)?.parse().ok())?
}

/// A worker shares its parent's socket, and is replaced when it is stopped: the one to name, and to
/// stop, is the eldest ancestor that holds the socket too.
fn eldest_holder(mut pid: u32, mut name: String, sockets: &[u64]) -> (u32, String) {
    while let Some(parent) = Stat::read(pid).map(|stat| stat.parent) {
        if parent <= 1 || !holds(parent, sockets) {
            break;
        }
        let Some(stat) = Stat::read(parent) else {
            break;
        };
        (pid, name) = (parent, stat.name);
    }
    (pid, name)
}

fn holds(pid: u32, sockets: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']')?.parse::<u64>().ok()
        })
        .any(|inode| sockets.contains(&inode))
}

/// Ends every native process that listens on the port, and returns what was done in one sentence
/// when the port was observed to be free of them. A container's port is left alone.
pub(crate) async fn free(
    port: u16,
    grace: Duration,
    deadlines: &Deadlines,
) -> Result<String, Error> {
    let mut ended: Vec<Identity> = Vec::new();
    let mut done: Vec<String> = Vec::new();
    let mut unexplained_since: Option<Instant> = None;
    loop {
        let Some(found) = owner(port, deadlines).await? else {
            // A supervisor needs a moment to start its service again.
            if !done.is_empty() {
                tokio::time::sleep(deadlines.settle).await;
                if let Some(again) = owner(port, deadlines).await?
                    && !again.is_container()
                {
                    return Err(Error::Failed(format!(
                        "{}; but port {port} was taken again at once by {}: a supervisor starts it \
                         again, and has to be told to stop",
                        done.join("; "),
                        again.label()
                    )));
                }
            }
            break;
        };
        if found.is_container() {
            done.push(format!(
                "port {port} belongs to a container ({}), which was left alone",
                found.label()
            ));
            break;
        }
        match Identity::of(found.pid) {
            Some(identity) if found.pid != 0 && !ended.contains(&identity) => {
                if ended.len() == MOST_OWNERS {
                    return Err(Error::Failed(format!(
                        "Port {port} had {MOST_OWNERS} owners one after the other, the last one {}: \
                         a supervisor starts them again, and has to be told to stop",
                        found.label()
                    )));
                }
                unexplained_since = None;
                done.push(
                    identity
                        .terminate(&found.name, grace, deadlines.kill)
                        .await?,
                );
                ended.push(identity);
            }
            // Either a process that just ended and whose socket the kernel has yet to close, or
            // one that cannot be seen at all.
            _ => {
                let since = *unexplained_since.get_or_insert_with(Instant::now);
                if since.elapsed() > deadlines.kill.min(Duration::from_secs(2)) {
                    return Err(Error::Failed(format!(
                        "Port {port} is held by {}: stop it by hand, or run the bot as a user that \
                         may see it",
                        found.label()
                    )));
                }
                tokio::time::sleep(POLL).await;
            }
        }
    }
    Ok(match done.is_empty() {
        true => format!("Nothing listened on port {port}"),
        false => capitalised(&done.join("; ")),
    })
}

/// Waits until the port has an owner. `None` when it had none when the time was over.
pub(crate) async fn owned_within(
    port: u16,
    limit: Duration,
    deadlines: &Deadlines,
) -> Result<Option<PortOwner>, Error> {
    let begun = Instant::now();
    loop {
        if let Some(found) = owner(port, deadlines).await? {
            return Ok(Some(found));
        }
        let Some(left) = limit.checked_sub(begun.elapsed()) else {
            return Ok(None);
        };
        tokio::time::sleep(POLL.min(left)).await;
    }
}

/// An error if a native process owns the port: units were stopped, and this is none of them.
pub(crate) async fn must_be_free(
    port: Option<u16>,
    deadlines: &Deadlines,
) -> Result<Option<PortOwner>, Error> {
    let Some(port) = port else { return Ok(None) };
    let begun = Instant::now();
    loop {
        match owner(port, deadlines).await? {
            Some(found) if !found.is_container() => {
                if begun.elapsed() > deadlines.settle {
                    return Err(Error::Failed(format!(
                        "The units are stopped, but port {port} is still held by {}: it was not \
                         started by the service manager; stop it as the owner of the port",
                        found.label()
                    )));
                }
                tokio::time::sleep(POLL).await;
            }
            found => return Ok(found),
        }
    }
}

/// The sentence with a capital letter, unless it begins with a name or number.
fn capitalised(sentence: &str) -> String {
    match sentence.strip_prefix("port ") {
        Some(rest) => format!("Port {rest}"),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn only_a_listening_socket_on_this_very_port_counts() {
        let line = |port: &str, state: &str| {
            format!(
                "   0: 00000000:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 \
                 00000000     0        0 31337 1 0000000000000000 100 0 0 10 0"
            )
        };
        assert_eq!(listening(&line("232B", "0A"), 9003), Some(31337));
        assert_eq!(listening(&line("232B", "01"), 9003), None);
        assert_eq!(listening(&line("232C", "0A"), 9003), None);
        assert_eq!(listening("", 9003), None);
    }

    #[tokio::test]
    async fn a_connection_from_the_port_is_no_owner() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = client.local_addr().unwrap().port();
        assert_eq!(owner(port, &Deadlines::default()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_owner_is_named_with_its_pid() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = owner(port, &Deadlines::default()).await.unwrap().unwrap();
        assert_eq!(found.pid, std::process::id());
        assert_eq!(found.port, port);
    }

    #[test]
    fn the_proxies_of_container_engines_are_known() {
        let owner = |name: &str| PortOwner {
            port: 1,
            pid: 2,
            name: name.to_owned(),
            in_container: false,
        };
        for name in ["docker-proxy", "dockerd", "com.docker.back", "pasta.avx2"] {
            assert!(owner(name).is_container(), "{name}");
        }
        assert!(!owner("trade-native").is_container());
    }

    #[test]
    fn a_process_in_a_container_is_told_from_one_of_the_machine() {
        let id = "4f".repeat(32);
        for (table, wanted) in [
            (format!("0::/docker/{id}\n"), true),
            (format!("0::/system.slice/docker-{id}.scope\n"), true),
            (format!("0::/machine.slice/libpod-{id}.scope\n"), true),
            (
                format!("4:memory:/docker/{id}\n1:name=systemd:/docker/{id}\n0::/\n"),
                true,
            ),
            (
                format!(
                    "4:memory:/docker/{id}\n1:name=systemd:/docker/{id}/system.slice/trade.service\n"
                ),
                false,
            ),
            (
                "0::/system.slice/cryptobot-trade.service\n".to_owned(),
                false,
            ),
            (
                "1:name=systemd:/\n0::/user.slice/session-3.scope\n".to_owned(),
                false,
            ),
            (String::new(), false),
        ] {
            assert_eq!(
                container_of(&table),
                wanted.then_some(id.as_str()),
                "{table}"
            );
        }
        assert!(!in_container(std::process::id()));
    }
}
