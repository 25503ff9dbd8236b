//! Unpacking an archive, all of it or nothing.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use tracing::info;

use crate::check::{self, Checker};
use crate::control::Control;
use crate::create::{file_name, path_text, sync_directory};
use crate::error::Error;
use crate::extract::Extractor;
use crate::manifest::Manifest;
use crate::member::Reading;
use crate::space::readable;
use crate::{ArchiveFormat, ArchiverConfig, RestoreReport, name, space};

pub(crate) fn restore(
    archive: &Path,
    target: &Path,
    config: &ArchiverConfig,
    control: &Control,
) -> Result<RestoreReport, Error> {
    let format = name::format_of(archive)?;
    let manifest = Manifest::read(&name::manifest_path(archive))?
        .filter(|manifest| manifest.archive == file_name(archive));
    let target = std::path::absolute(target).map_err(|error| Error::io("use", target, &error))?;
    let (Some(parent), Some(own_name)) = (target.parent(), target.file_name()) else {
        return Err(Error::Failed(format!(
            "{} cannot be restored into; name a new directory",
            target.display()
        )));
    };
    check_target(&target, parent)?;
    if let Some(manifest) = &manifest {
        let free = space::free(parent)?;
        let needed = manifest.data_bytes.saturating_add(config.reserve);
        // Holes take no room, but how many there are is known only afterwards.
        if needed > free {
            return Err(Error::NoSpace(format!(
                "Restoring {} is only begun when {} are free in {}, and {} are",
                archive.display(),
                readable(needed),
                parent.display(),
                readable(free)
            )));
        }
    }
    // Beside the target, so that one rename puts everything into its place.
    let staging = tempfile::Builder::new()
        .prefix(&format!(".{}.restoring-", own_name.to_string_lossy()))
        .tempdir_in(parent)
        .map_err(|error| Error::io("make a directory in", parent, &error))?;
    let reading = Reading {
        threads: config.thread_count(),
        control,
    };
    let mut extractor = Extractor::new(
        staging.path(),
        Checker::new(manifest.as_ref()),
        config.restore_outside_links,
        format == ArchiveFormat::Zip,
    );
    let digested = check::read(archive, format, manifest.as_ref(), reading, &mut extractor)
        .map_err(|error| error.of_archive(archive))?;
    let has_root = extractor.has_root;
    let (checker, mut report) = extractor.finish()?;
    checker
        .finish(&digested)
        .map_err(|error| error.of_archive(archive))?;
    if !has_root {
        take_over(&target, staging.path())?;
    }
    control.check()?;
    let opened =
        File::open(staging.path()).map_err(|error| Error::io("open", staging.path(), &error))?;
    nix::unistd::syncfs(&opened)
        .map_err(|error| Error::io("sync", staging.path(), &error.into()))?;
    // Takes the place of an empty directory as well, and of nothing else.
    fs::rename(staging.path(), &target)
        .map_err(|error| Error::io("put what was restored into its place at", &target, &error))?;
    let _ = staging.keep();
    sync_directory(parent)?;
    report.target = path_text(&target)?;
    report.verified = manifest.is_some();
    info!(archive = %archive.display(), target = %target.display(), files = report.files, "archive restored");
    Ok(report)
}

fn check_target(target: &Path, parent: &Path) -> Result<(), Error> {
    if !parent.is_dir() {
        return Err(Error::Failed(format!(
            "{} does not exist, so nothing can be restored into {}",
            parent.display(),
            target.display()
        )));
    }
    match target.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(data) if data.is_dir() => {
            let mut listing =
                fs::read_dir(target).map_err(|error| Error::io("read", target, &error))?;
            if listing.next().is_none() {
                return Ok(());
            }
            Err(Error::Failed(format!(
                "{} is not empty; restore into an empty or a new directory",
                target.display()
            )))
        }
        Ok(_) => Err(Error::Failed(format!(
            "{} exists and is no directory; restore into an empty or a new directory",
            target.display()
        ))),
    }
}

/// Where the archive does not say how the target itself is to be, it stays as it was, or becomes
/// what a new directory usually is.
fn take_over(target: &Path, staging: &Path) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::io("set the mode of", staging, &error);
    let Ok(data) = target.metadata() else {
        return fs::set_permissions(staging, Permissions::from_mode(0o755)).map_err(failed);
    };
    if nix::unistd::geteuid().is_root() {
        chown(staging, Some(data.uid()), Some(data.gid())).map_err(failed)?;
    }
    fs::set_permissions(staging, data.permissions()).map_err(failed)
}
