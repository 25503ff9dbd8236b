//! From a container's settings to a process: what is run, with which arguments and variables.

use std::fs::OpenOptions;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::model::{Config, Container, Mount, Published};
use crate::process::MARK;
use crate::store::Store;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Takes the ports for a moment to see whether they are free; a free one is chosen for 0.
pub fn ports(container: &Container) -> Result<Vec<Published>, String> {
    let mut taken = Vec::new();
    let mut ports = Vec::new();
    for port in &container.host.ports {
        let host = if port.host_ip.is_empty() {
            "0.0.0.0"
        } else {
            &port.host_ip
        };
        let refuse = |error: io::Error| {
            // `error` alone would add the number in parentheses.
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => "address already in use".to_owned(),
                io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
                _ => error.to_string(),
            };
            format!(
                "driver failed programming external connectivity on endpoint {} ({}): Error starting userland proxy: listen tcp4 {host}:{}: bind: {why}",
                container.name, container.id, port.host_port
            )
        };
        let listener = TcpListener::bind((host, port.host_port)).map_err(refuse)?;
        let mut published = port.clone();
        published.host_port = listener.local_addr().map_err(refuse)?.port();
        taken.push(listener);
        ports.push(published);
    }
    Ok(ports)
}

/// The words of the command, and the file to run.
pub fn program(
    store: &Store,
    layer: &str,
    config: &Config,
    words: &[String],
) -> Result<PathBuf, String> {
    let Some(first) = words.first() else {
        return Err("No command specified".to_owned());
    };
    let root = store.image_files(layer);
    let candidates: Vec<PathBuf> = if first.contains('/') {
        let base = if first.starts_with('/') {
            "/"
        } else {
            config.working_dir.as_str()
        };
        vec![inside(&root, &format!("{base}/{first}"))]
    } else {
        PATH.split(':')
            .map(|dir| inside(&root, &format!("{dir}/{first}")))
            .collect()
    };
    let found = candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            format!(
                "OCI runtime create failed: exec: \"{first}\": no such file in the image: unknown"
            )
        })?;
    let executable = found
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    if executable {
        Ok(found)
    } else {
        Err(format!(
            "OCI runtime create failed: exec: \"{first}\": permission denied: unknown"
        ))
    }
}

/// `path` below `root`, whatever dots it has.
fn inside(root: &Path, path: &str) -> PathBuf {
    let mut result = root.to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => result.push(name),
            Component::ParentDir if result != root => {
                result.pop();
            }
            _ => {}
        }
    }
    result
}

/// Entry point and command, with paths below a mount rewritten.
pub fn words(container: &Container) -> Vec<String> {
    let config = &container.config;
    config
        .entrypoint
        .iter()
        .chain(config.cmd.iter())
        .flatten()
        .enumerate()
        .map(|(number, word)| {
            if number == 0 {
                word.clone()
            } else {
                rewrite(word, &container.host.mounts)
            }
        })
        .collect()
}

fn rewrite(text: &str, mounts: &[Mount]) -> String {
    for mount in mounts {
        let target = mount.target.trim_end_matches('/');
        if target.is_empty() {
            continue;
        }
        if text == target {
            return mount.source.display().to_string();
        }
        if let Some(rest) = text
            .strip_prefix(target)
            .filter(|rest| rest.starts_with('/'))
        {
            return format!("{}{rest}", mount.source.display());
        }
    }
    text.to_owned()
}

/// The variables of the process: the container's, and over them where its ports are.
pub fn environment(container: &Container, ports: &[Published]) -> Vec<(String, String)> {
    let mut variables = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        (
            "HOSTNAME".to_owned(),
            container.id.chars().take(12).collect(),
        ),
    ];
    for entry in &container.config.env {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        variables.push((name.to_owned(), rewrite(value, &container.host.mounts)));
    }
    if let Some(first) = ports.iter().min_by_key(|port| port.container_port) {
        variables.push(("PORT".to_owned(), first.host_port.to_string()));
        variables.push((
            "HOST".to_owned(),
            if first.host_ip.is_empty() {
                "0.0.0.0".to_owned()
            } else {
                first.host_ip.clone()
            },
        ));
    }
    for port in ports {
        variables.push((
            format!("PORT_{}", port.container_port),
            port.host_port.to_string(),
        ));
    }
    variables.push((MARK.to_owned(), container.id.clone()));
    variables
}

/// A command that has nothing of the stand-in's own surroundings.
pub fn command(
    store: &Store,
    layer: &str,
    container: &Container,
    program: &Path,
    words: &[String],
    ports: &[Published],
) -> Command {
    let mut command = Command::new(program);
    if let Some(name) = words.first() {
        command.arg0(name);
    }
    command
        .args(words.iter().skip(1))
        .env_clear()
        .envs(environment(container, ports))
        .current_dir(inside(
            &store.image_files(layer),
            &container.config.working_dir,
        ))
        .stdin(Stdio::null());
    command
}

/// The program under a name that tells what the process is to whoever finds it at a port. The
/// kernel takes the name from the file.
fn marked(program: &Path, dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join(crate::PROCESS_NAME);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if std::fs::hard_link(program, &path).is_err() {
        std::fs::copy(program, &path)?;
    }
    Ok(path)
}

/// Starts the container's process in a group of its own, writing to the container's log files.
pub async fn spawn(
    store: &Store,
    layer: &str,
    container: &Container,
    ports: &[Published],
) -> Result<Child, String> {
    for mount in &container.host.mounts {
        if !mount.source.exists() {
            std::fs::create_dir_all(&mount.source)
                .map_err(|error| format!("{}: {error}", mount.source.display()))?;
        }
    }
    let dir = store.container(&container.id);
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let log = |name: &str| {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(name))
            .map_err(|error| format!("{name}: {error}"))
    };
    let words = words(container);
    let program = program(store, layer, &container.config, &words)?;
    let program = marked(&program, &dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut command = command(store, layer, container, &program, &words, ports);
    command
        .process_group(0)
        .stdout(log(crate::logs::STDOUT)?)
        .stderr(log(crate::logs::STDERR)?);
    for _ in 0..20 {
        match command.spawn() {
            // Another thread forked while the file was still open for writing; it passes.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => return Err(format!("OCI runtime create failed: {error}: unknown")),
            Ok(child) => return Ok(child),
        }
    }
    Err("OCI runtime create failed: text file busy: unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_mount_are_rewritten_and_others_left() {
        let mounts = [Mount {
            source: "/srv/trade".into(),
            target: "/data".to_owned(),
            volume: None,
            read_only: false,
        }];
        assert_eq!(rewrite("/data", &mounts), "/srv/trade");
        assert_eq!(rewrite("/data/a/b", &mounts), "/srv/trade/a/b");
        assert_eq!(rewrite("/database", &mounts), "/database");
        assert_eq!(rewrite("data", &mounts), "data");
    }

    #[test]
    fn nothing_of_an_image_is_looked_up_outside_of_it() {
        let root = Path::new("/state/images/x");
        assert_eq!(inside(root, "/../../etc/./passwd"), root.join("etc/passwd"));
    }
}
