//! Archives that there are.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use jiff::Timestamp;

use crate::create::{archive_of, file_name, path_text};
use crate::error::Error;
use crate::manifest::Manifest;
use crate::{Archive, ArchiveFormat, check, name};

pub(crate) fn list(destination: &Path, archive_name: &str) -> Result<Vec<Archive>, Error> {
    name::check(archive_name)?;
    let failed = |error: std::io::Error| Error::io("list", destination, &error);
    let listing = match fs::read_dir(destination) {
        Ok(listing) => listing,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut archives = Vec::new();
    for item in listing {
        let item = item.map_err(failed)?;
        let own_name = item.file_name().to_string_lossy().into_owned();
        let Some((stem, _)) = ArchiveFormat::split(&own_name) else {
            continue;
        };
        let is_file = item.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !name::belongs(archive_name, stem) {
            continue;
        }
        match archive(&item.path(), archive_name) {
            Ok(archive) => archives.push(archive),
            // Removed since it was listed.
            Err(_) if !item.path().exists() => {}
            Err(error) => return Err(error),
        }
    }
    // Of those of one second, the one with the longer or greater suffix is the newer one.
    archives.sort_by(|a, b| {
        (b.created, b.name.len(), &b.name).cmp(&(a.created, a.name.len(), &a.name))
    });
    Ok(archives)
}

fn archive(path: &Path, archive_name: &str) -> Result<Archive, Error> {
    let bytes = path
        .metadata()
        .map_err(|error| Error::io("read", path, &error))?
        .len();
    // A damaged manifest is found when the archive is verified; until then it proves nothing.
    let manifest = Manifest::read(&name::manifest_path(path)).ok().flatten();
    if let Some(manifest) = manifest.filter(|manifest| manifest.archive == file_name(path)) {
        let verified = manifest.bytes == bytes;
        return Ok(Archive {
            bytes,
            verified,
            ..archive_of(path, &manifest)?
        });
    }
    Ok(Archive {
        name: file_name(path),
        path: path_text(path)?,
        created: created(path, Some(archive_name))?,
        bytes,
        files: 0,
        sha256: String::new(),
        verified: false,
        changed: Vec::new(),
    })
}

/// From the name, or else from the file's own time.
pub(crate) fn created(path: &Path, archive_name: Option<&str>) -> Result<Timestamp, Error> {
    let own_name = file_name(path);
    let from_name = ArchiveFormat::split(&own_name).and_then(|(stem, _)| {
        let archive_name = match archive_name {
            Some(archive_name) => archive_name,
            None => stem.rsplit_once('_')?.0,
        };
        name::created(archive_name, stem)
    });
    match from_name {
        Some(time) => Ok(time),
        None => check::modified(path),
    }
}
