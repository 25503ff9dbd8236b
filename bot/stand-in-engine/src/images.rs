//! Images: an unpacked archive and what is to be run of it.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::model::{Config, Healthcheck, Image};
use crate::query::Query;
use crate::transfer::Upload;

/// What an archive may unpack to.
const UNPACKED_LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// Whether `reference` is a name, the id or the beginning of the id of an image.
pub fn is_named(image: &Image, reference: &str) -> bool {
    let digest = image.id.trim_start_matches("sha256:");
    let wanted = reference.trim_start_matches("sha256:");
    image.tags.iter().any(|tag| *tag == with_tag(reference))
        || digest == wanted
        || (wanted.len() >= 6
            && wanted.bytes().all(|byte| byte.is_ascii_hexdigit())
            && digest.starts_with(wanted))
}

fn with_tag(name: &str) -> String {
    // A colon before the last slash belongs to a registry's port.
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

fn tag(query: &Query) -> Result<Option<String>, ApiError> {
    let Some(repo) = query.get("repo") else {
        return Ok(None);
    };
    let name = match query.get("tag") {
        Some(tag) => format!("{repo}:{tag}"),
        None => with_tag(repo),
    };
    let fine =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/:".contains(&byte);
    let repo_fine = !repo.is_empty() && repo.bytes().all(fine);
    let tag_fine = query.get("tag").is_none_or(|tag| {
        tag.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    if !repo_fine || !tag_fine || name.len() > 255 {
        return Err(ApiError::bad_request("invalid reference format"));
    }
    Ok(Some(name))
}

/// `POST /images/create?fromSrc=-`: makes an image of an archive.
pub async fn import(engine: &Engine, query: &Query, upload: Upload) -> Result<Value, ApiError> {
    let name = tag(query)?;
    let mut config = Config::default();
    for change in query.all("changes").flat_map(str::lines) {
        apply(&mut config, change)?;
    }
    let layer = format!("sha256:{}", upload.sha256);
    let files = engine.store.image_files(&layer);
    let images = engine.store.dir().join("images");
    let size = tokio::task::spawn_blocking(move || unpack(upload, &images, &files))
        .await
        .map_err(|_| ApiError::internal("the archive could not be unpacked"))??;
    let created = Timestamp::now();
    // As in the engine, the id covers the configuration and the time, not the files alone.
    let described = json!({ "config": config, "created": created.to_string(),
                            "rootfs": { "type": "layers", "diff_ids": [layer] } });
    let id = format!(
        "sha256:{}",
        hex::encode(Sha256::digest(described.to_string()))
    );
    let image = Image {
        id: id.clone(),
        tags: name.iter().cloned().collect(),
        layer,
        created,
        size,
        config,
    };
    engine.write(|state| {
        for other in state.images.values_mut() {
            other.tags.retain(|tag| Some(tag) != name.as_ref());
        }
        state.images.insert(id.clone(), image);
    })?;
    engine
        .events
        .image(&id, "import", name.as_deref().unwrap_or(&id));
    Ok(json!({ "status": id }))
}

fn unpack(upload: Upload, images: &Path, files: &Path) -> io::Result<u64> {
    if files.is_dir() {
        return directory_size(files);
    }
    let partial = tempfile::Builder::new()
        .prefix(".partial-")
        .tempdir_in(images)?;
    let mut archive = tar::Archive::new(upload.file);
    archive.set_preserve_mtime(true);
    let mut left = UNPACKED_LIMIT;
    for entry in archive.entries()? {
        let mut entry = entry?;
        left = left.checked_sub(entry.size()).ok_or_else(|| {
            io::Error::other(format!(
                "the archive holds more than {UNPACKED_LIMIT} bytes"
            ))
        })?;
        // Refuses what would land outside.
        entry.unpack_in(partial.path())?;
    }
    let size = directory_size(partial.path())?;
    match std::fs::rename(partial.path(), files) {
        Ok(()) => {
            let _ = partial.keep();
            Ok(size)
        }
        // Another import of the same files was first.
        Err(_) if files.is_dir() => Ok(size),
        Err(error) => Err(error),
    }
}

fn directory_size(dir: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() {
            directory_size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(size)
}

/// One instruction, as in a Dockerfile, of those that an import takes.
fn apply(config: &mut Config, change: &str) -> Result<(), ApiError> {
    let change = change.trim();
    if change.is_empty() {
        return Ok(());
    }
    let (word, rest) = change
        .split_once(char::is_whitespace)
        .unwrap_or((change, ""));
    let rest = rest.trim();
    let refuse = |why: &str| ApiError::bad_request(format!("{change}: {why}"));
    match word.to_ascii_uppercase().as_str() {
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "CMD" => config.cmd = Some(command(rest)),
        "ENV" => match rest.split_once('=') {
            Some((name, value)) => {
                set_env(
                    &mut config.env,
                    &format!("{name}={}", value.trim_matches('"')),
                );
            }
            None => return Err(refuse("ENV must be NAME=VALUE")),
        },
        "LABEL" => match rest.split_once('=') {
            Some((name, value)) => {
                config.labels.insert(
                    name.trim_matches('"').to_owned(),
                    value.trim_matches('"').to_owned(),
                );
            }
            None => return Err(refuse("LABEL must be NAME=VALUE")),
        },
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                let port = if port.contains('/') {
                    port.to_owned()
                } else {
                    format!("{port}/tcp")
                };
                config.exposed_ports.insert(port, json!({}));
            }
        }
        "WORKDIR" => config.working_dir = rest.to_owned(),
        "USER" => config.user = rest.to_owned(),
        "VOLUME" => {}
        "STOPSIGNAL" => {
            crate::process::signal(rest).ok_or_else(|| refuse("there is no such signal"))?;
            config.stop_signal = Some(rest.to_owned());
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest).map_err(|why| refuse(&why))?),
        other => return Err(refuse(&format!("{other} is not a valid change command"))),
    }
    Ok(())
}

/// `["a","b"]`, or a line for a shell.
fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text)
        .unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn healthcheck(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(option) = rest.strip_prefix("--") else {
            break;
        };
        let (option, after) = option
            .split_once(char::is_whitespace)
            .unwrap_or((option, ""));
        rest = after;
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| format!("--{option} has no value"))?;
        let time = || {
            value
                .parse::<jiff::SignedDuration>()
                .map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
                .map_err(|_| format!("{value:?} is not a duration"))
        };
        match name {
            "interval" => check.interval = time()?,
            "timeout" => check.timeout = time()?,
            "start-period" => check.start_period = time()?,
            "retries" => {
                check.retries = value
                    .parse()
                    .map_err(|_| format!("{value:?} is not a number"))?;
            }
            _ => return Err(format!("--{name} is not known")),
        }
    }
    let (kind, what) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    check.test = match kind.to_ascii_uppercase().as_str() {
        "NONE" => vec!["NONE".to_owned()],
        "CMD" => match serde_json::from_str::<Vec<String>>(what.trim()) {
            Ok(words) => std::iter::once("CMD".to_owned()).chain(words).collect(),
            Err(_) => vec!["CMD-SHELL".to_owned(), what.trim().to_owned()],
        },
        _ => return Err("it must be NONE or CMD".to_owned()),
    };
    Ok(check)
}

/// Sets one `NAME=VALUE` in a list of them.
pub fn set_env(env: &mut Vec<String>, entry: &str) {
    let name = entry.split('=').next().unwrap_or(entry);
    env.retain(|other| other.split('=').next() != Some(name));
    env.push(entry.to_owned());
}

/// `GET /images/json`
pub fn list(engine: &Engine, query: &Query) -> Result<Value, ApiError> {
    let filters = Filters::read(
        query,
        &["reference", "label", "dangling", "before", "since"],
    )?;
    Ok(engine.read(|state| {
        let mut images: Vec<&Image> = state
            .images
            .values()
            .filter(|image| {
                filters.labels(&image.config.labels)
                    && filters.any("reference", |wanted| {
                        image.tags.iter().any(|tag| {
                            *tag == with_tag(wanted)
                                || tag.rsplit_once(':').is_some_and(|(name, _)| name == wanted)
                        })
                    })
                    && filters.any("dangling", |wanted| {
                        image.tags.is_empty() == matches!(wanted, "true" | "1")
                    })
            })
            .collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        images
            .into_iter()
            .map(|image| {
                json!({
                    "Id": image.id,
                    "ParentId": "",
                    "RepoTags": image.tags,
                    "RepoDigests": [],
                    "Created": image.created.as_second(),
                    "Size": image.size,
                    "VirtualSize": image.size,
                    "SharedSize": -1,
                    "Labels": image.config.labels,
                    "Containers": state.containers.values()
                        .filter(|container| container.image_id == image.id).count(),
                })
            })
            .collect()
    }))
}

/// `DELETE /images/NAME`: takes the name away and, with the last one, the image.
pub fn remove(engine: &Engine, reference: &str, force: bool) -> Result<Value, ApiError> {
    let image = engine.image(reference)?;
    let by_name = image.tags.contains(&with_tag(reference));
    let last = !by_name || image.tags.len() == 1;
    if !by_name && image.tags.len() > 1 && !force {
        return Err(ApiError::conflict(format!(
            "conflict: unable to delete {reference} (must be forced) - image is referenced in multiple repositories"
        )));
    }
    if last
        && let Some(container) = engine.read(|state| {
            state
                .containers
                .values()
                .find(|container| container.image_id == image.id)
                .cloned()
        })
    {
        return Err(ApiError::conflict(format!(
            "conflict: unable to remove repository reference \"{reference}\" - container {} is using its referenced image {}",
            &container.id[..12.min(container.id.len())],
            image.id
        )));
    }
    let untagged: Vec<String> = if by_name {
        vec![with_tag(reference)]
    } else {
        image.tags.clone()
    };
    let unused_files = engine.write(|state| {
        if last {
            state.images.remove(&image.id);
        } else if let Some(kept) = state.images.get_mut(&image.id) {
            kept.tags.retain(|tag| !untagged.contains(tag));
        }
        !state
            .images
            .values()
            .any(|other| other.layer == image.layer)
    })?;
    let mut answer: Vec<Value> = untagged
        .iter()
        .map(|name| json!({ "Untagged": name }))
        .collect();
    for name in &untagged {
        engine.events.image(&image.id, "untag", name);
    }
    if last {
        if unused_files {
            let files = engine.store.image_files(&image.layer);
            if let Err(error) = std::fs::remove_dir_all(&files) {
                tracing::warn!(%error, path = %files.display(), "left over");
            }
        }
        engine.events.image(&image.id, "delete", &image.id);
        answer.push(json!({ "Deleted": image.id }));
    }
    Ok(Value::Array(answer))
}

/// `GET /images/NAME/json`
pub fn inspect(image: &Image) -> Value {
    json!({
        "Id": image.id,
        "RepoTags": image.tags,
        "RepoDigests": [],
        "Parent": "",
        "Comment": "imported; runs as plain processes of this machine",
        "Created": image.created.to_string(),
        "Config": image.config,
        "Architecture": crate::inspect::architecture(),
        "Os": std::env::consts::OS,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": { "Name": "none", "Data": {} },
        "RootFS": { "Type": "layers", "Layers": [image.layer] },
        "Metadata": { "LastTagTime": image.created.to_string() },
    })
}

/// Refuses what would need a registry, and says why.
pub fn no_pull(query: &Query) -> ApiError {
    ApiError::not_found(format!(
        "pull access denied for {}: this is a stand-in engine, which pulls nothing; import an archive with fromSrc=-",
        query.get("fromImage").unwrap_or("an image")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn changes_are_read_as_in_a_dockerfile() {
        let mut config = Config::default();
        for change in [
            "ENTRYPOINT [\"/svc\",\"--x\"]",
            "CMD serve now",
            "ENV A=1",
            "ENV A=\"2 3\"",
            "LABEL org.x=\"y\"",
            "EXPOSE 9003 9004/udp",
            "HEALTHCHECK --interval=2s --retries=4 CMD [\"/svc\", \"--health\"]",
        ] {
            apply(&mut config, change).unwrap();
        }
        assert_eq!(config.entrypoint.unwrap(), ["/svc", "--x"]);
        assert_eq!(config.cmd.unwrap(), ["/bin/sh", "-c", "serve now"]);
        assert_eq!(config.env, ["A=2 3"]);
        assert_eq!(config.labels["org.x"], "y");
        assert!(config.exposed_ports.contains_key("9003/tcp"));
        let check = config.healthcheck.unwrap();
        assert_eq!((check.interval, check.retries), (2_000_000_000, 4));
        assert_eq!(check.test, ["CMD", "/svc", "--health"]);
        assert!(apply(&mut Config::default(), "RUN x").is_err());
        assert!(apply(&mut Config::default(), "STOPSIGNAL SIGX").is_err());
    }

    #[test]
    fn an_image_is_found_by_name_and_by_the_beginning_of_its_id() {
        let image = Image {
            id: "sha256:abcdef0123".to_owned(),
            tags: vec!["a/b:latest".to_owned()],
            layer: String::new(),
            created: Timestamp::UNIX_EPOCH,
            size: 0,
            config: Config::default(),
        };
        for name in ["a/b", "a/b:latest", "sha256:abcdef0123", "abcdef"] {
            assert!(is_named(&image, name), "{name}");
        }
        for name in ["a/b:1", "abcd", "b"] {
            assert!(!is_named(&image, name), "{name}");
        }
    }
}
