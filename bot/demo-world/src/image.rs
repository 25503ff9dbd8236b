//! The image: one static binary, imported through the engine's API. Nothing is pulled.

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptions};
use futures_util::TryStreamExt;

use crate::binary::{self, BINARY, VERSION};
use crate::containers::{self, within};
use crate::error::WorldError;

const REPOSITORY: &str = "cryptobot/demo-service";
/// Marks the images that were made here, with the digest of what is in them.
const LABEL: &str = "org.rollbot.demo.binary";
pub const PROGRAM: &str = "/rollbot-demo-service";

/// `cryptobot/demo-service:0.1.0`
pub fn name() -> String {
    format!("{REPOSITORY}:{VERSION}")
}

/// Imports the image unless it is there with the same binary; its id.
pub async fn ensure(docker: &Docker) -> Result<String, WorldError> {
    let what = "import the demo's image";
    match within(what, docker.inspect_image(&name())).await {
        Ok(image) => {
            let labels = image.config.and_then(|config| config.labels);
            let binary = labels.as_ref().and_then(|labels| labels.get(LABEL));
            if binary.is_some_and(|digest| digest == binary::digest())
                && let Some(id) = image.id
            {
                return Ok(id);
            }
        }
        Err(Ok(error)) if containers::status(&error) == Some(404) => {}
        Err(error) => return Err(containers::failed(what, error)),
    }
    let archive = archive().map_err(|error| WorldError::Container {
        what: what.to_owned(),
        reason: error.to_string(),
    })?;
    let mut options = CreateImageOptionsBuilder::new()
        .from_src("-")
        .repo(REPOSITORY)
        .tag(VERSION)
        .message("the demo's service, imported by rollbot")
        .build();
    options.changes = vec![
        format!("ENTRYPOINT [\"{PROGRAM}\"]"),
        format!("LABEL {LABEL}={}", binary::digest()),
        "LABEL org.opencontainers.image.title=rollbot-demo-service".to_owned(),
        format!("LABEL org.opencontainers.image.version={VERSION}"),
        format!(
            "HEALTHCHECK --interval=2s --timeout=5s --retries=3 --start-period=5s CMD [\"{PROGRAM}\", \"--health\"]"
        ),
    ];
    let import = docker
        .create_image(
            Some(options),
            Some(bollard::body_full(archive.into())),
            None,
        )
        .try_collect::<Vec<_>>();
    within(what, import)
        .await
        .map_err(|error| containers::failed(what, error))?;
    within(what, docker.inspect_image(&name()))
        .await
        .map_err(|error| containers::failed(what, error))?
        .id
        .ok_or_else(|| WorldError::Container {
            what: what.to_owned(),
            reason: "the engine does not tell its id".to_owned(),
        })
}

fn archive() -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(BINARY.len() + 4096));
    let mut header = tar::Header::new_gnu();
    header.set_size(BINARY.len() as u64);
    header.set_mode(0o755);
    // The same binary gives the same archive, and with it the same layer.
    header.set_mtime(0);
    header.set_cksum();
    archive.append_data(&mut header, PROGRAM.trim_start_matches('/'), BINARY)?;
    archive.into_inner()
}

/// Removes an image that was made here. One that another world's containers use stays.
pub async fn remove(docker: &Docker, id: &str) -> Result<(), WorldError> {
    let what = "remove the demo's image";
    let gone = |error: &Error| matches!(containers::status(error), Some(404 | 409));
    let image = match within(what, docker.inspect_image(id)).await {
        Ok(image) => image,
        Err(Ok(error)) if gone(&error) => return Ok(()),
        Err(error) => return Err(containers::failed(what, error)),
    };
    let ours = image
        .config
        .and_then(|config| config.labels)
        .is_some_and(|labels| labels.contains_key(LABEL));
    if !ours {
        return Ok(());
    }
    match within(
        what,
        docker.remove_image(id, None::<RemoveImageOptions>, None),
    )
    .await
    {
        Ok(_) => Ok(()),
        Err(Ok(error)) if gone(&error) => Ok(()),
        Err(error) => Err(containers::failed(what, error)),
    }
}
