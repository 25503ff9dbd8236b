//! Reading an archive back in full.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::compress::Digested;
use crate::create::{archive_of, file_name, path_text};
use crate::decompress::decompress;
use crate::error::Error;
use crate::manifest::{Entry, Kind, Manifest, Sha256Digest};
use crate::member::{Member, Reading, Visitor, normal, zeros};
use crate::zip_write::ticks;
use crate::{Archive, ArchiveFormat, ArchiverConfig, Control, name, tar_read, zip_read};

/// More differences than this are only counted.
const DIFFERENCES_SHOWN: usize = 5;

pub(crate) fn verify(
    path: &Path,
    config: &ArchiverConfig,
    control: &Control,
) -> Result<Archive, Error> {
    let format = name::format_of(path)?;
    let reading = Reading {
        threads: config.thread_count(),
        control,
    };
    let manifest = Manifest::read(&name::manifest_path(path))?;
    if let Some(manifest) = manifest.filter(|manifest| manifest.archive == file_name(path)) {
        compare(path, &manifest, reading)?;
        return archive_of(path, &manifest);
    }
    let mut checker = Checker::new(None);
    let digested =
        read(path, format, None, reading, &mut checker).map_err(|error| error.of_archive(path))?;
    Ok(Archive {
        name: file_name(path),
        path: path_text(path)?,
        created: crate::listing::created(path, None)?,
        bytes: digested.bytes,
        files: checker.files,
        sha256: digested.sha256.to_string(),
        verified: true,
        changed: Vec::new(),
    })
}

/// Compares every entry, and the archive as a whole, with the manifest.
pub(crate) fn compare(path: &Path, manifest: &Manifest, reading: Reading<'_>) -> Result<(), Error> {
    let mut checker = Checker::new(Some(manifest));
    let digested = read(path, manifest.format, Some(manifest), reading, &mut checker)
        .map_err(|error| error.of_archive(path))?;
    checker
        .finish(&digested)
        .map_err(|error| error.of_archive(path))
}

/// Takes a visitor through an archive of any format.
pub(crate) fn read(
    path: &Path,
    format: ArchiveFormat,
    manifest: Option<&Manifest>,
    reading: Reading<'_>,
    visitor: &mut dyn Visitor,
) -> Result<Digested, Error> {
    match format {
        ArchiveFormat::Zip => zip_read::read(path, visitor, reading.control),
        ArchiveFormat::TarZst | ArchiveFormat::TarGz => {
            let frames = manifest.map_or(&[][..], |manifest| &manifest.frames);
            decompress(path, format, frames, reading, |blocks| {
                tar_read::read(blocks, visitor, reading.control)
            })
            .map(|((), digested)| digested)
        }
    }
}

/// Counts and hashes what is in an archive, and compares it with a manifest where there is one.
pub(crate) struct Checker<'a> {
    manifest: Option<&'a Manifest>,
    /// Index of the entry that should come next.
    next: usize,
    hash: Sha256,
    /// Path, kind and size of the entry that is being read.
    current: Option<(Vec<u8>, Kind, u64)>,
    seen: u64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    differences: Vec<String>,
    more_differences: u64,
    /// Paths of files without a manifest, to which hard links may point.
    known: HashSet<Vec<u8>>,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(manifest: Option<&'a Manifest>) -> Self {
        Self {
            manifest,
            next: 0,
            hash: Sha256::new(),
            current: None,
            seen: 0,
            files: 0,
            bytes: 0,
            differences: Vec::new(),
            more_differences: 0,
            known: HashSet::new(),
        }
    }

    /// # Errors
    /// [`Error::Mismatch`] with the first differences.
    pub(crate) fn finish(mut self, digested: &Digested) -> Result<(), Error> {
        let Some(manifest) = self.manifest else {
            return Ok(());
        };
        if let Some(missing) = manifest.entries.get(self.next) {
            let count = manifest.entries.len() - self.next;
            self.differ(format!(
                "{} and {} more entries are missing",
                missing.path,
                count - 1
            ));
        }
        if digested.bytes != manifest.bytes {
            self.differ(format!(
                "the archive has {} bytes and should have {}",
                digested.bytes, manifest.bytes
            ));
        } else if digested.sha256 != manifest.sha256 {
            self.differ(format!(
                "the archive's checksum is {} and should be {}",
                digested.sha256, manifest.sha256
            ));
        }
        if self.differences.is_empty() {
            return Ok(());
        }
        let mut text = self.differences.join("; ");
        if self.more_differences > 0 {
            text.push_str(&format!("; and {} more differences", self.more_differences));
        }
        Err(Error::Mismatch(format!(
            "The archive is not what its manifest says: {text}"
        )))
    }

    fn differ(&mut self, what: String) {
        if self.differences.len() < DIFFERENCES_SHOWN {
            self.differences.push(what);
        } else {
            self.more_differences += 1;
        }
    }

    fn compare(&mut self, expected: &Entry, member: &Member, path: &[u8], format: ArchiveFormat) {
        let shown = String::from_utf8_lossy(path).into_owned();
        if path != expected.path.0 {
            self.differ(format!(
                "there is {shown} where {} should be",
                expected.path
            ));
            return;
        }
        let same_time = match (member.mtime, format) {
            (Some(mtime), ArchiveFormat::Zip) => ticks(mtime) == ticks(expected.mtime),
            (Some(mtime), _) => mtime == expected.mtime,
            (None, _) => false,
        };
        let target = match member.kind {
            Kind::HardLink => normal(&member.target),
            _ => member.target.clone(),
        };
        let expected_target = expected.target.as_ref().map_or(&[][..], |target| &target.0);
        let checks = [
            ("kind", member.kind == expected.kind),
            ("size", member.size == expected.size),
            ("mode", member.mode == Some(expected.mode)),
            ("owner", member.owner == Some((expected.uid, expected.gid))),
            ("time", same_time),
            ("target", target == expected_target),
        ];
        for (what, same) in checks {
            if !same {
                self.differ(format!("{shown} has another {what}"));
            }
        }
    }
}

impl Visitor for Checker<'_> {
    fn begin(&mut self, member: &Member) -> Result<(), Error> {
        let path = normal(&member.path);
        if let Some(manifest) = self.manifest {
            match manifest.entries.get(self.next) {
                Some(expected) => self.compare(expected, member, &path, manifest.format),
                None => self.differ(format!("{} is too much", String::from_utf8_lossy(&path))),
            }
        } else {
            match member.kind {
                Kind::File => {
                    self.known.insert(path.clone());
                }
                Kind::HardLink if !self.known.contains(&normal(&member.target)) => {
                    return Err(Error::damaged(format_args!(
                        "{} is another name of {}, which is not in it",
                        String::from_utf8_lossy(&path),
                        String::from_utf8_lossy(&member.target)
                    )));
                }
                _ => {}
            }
        }
        self.seen = 0;
        self.current = Some((path, member.kind, member.size));
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // Without a manifest there is nothing to compare a hash with.
        if self.manifest.is_some() {
            self.hash.update(bytes);
        }
        self.seen += bytes.len() as u64;
        Ok(())
    }

    fn hole(&mut self, bytes: u64) -> Result<(), Error> {
        if self.manifest.is_some() {
            zeros(bytes, |part| self.hash.update(part));
        }
        self.seen += bytes;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        let Some((path, kind, size)) = self.current.take() else {
            return Ok(());
        };
        if kind == Kind::File {
            self.files += 1;
            self.bytes = self.bytes.saturating_add(self.seen);
            let digest = Sha256Digest(self.hash.finalize_reset().into());
            let expected = self
                .manifest
                .and_then(|manifest| manifest.entries.get(self.next))
                .and_then(|entry| entry.sha256);
            if self.seen != size {
                self.differ(format!(
                    "{} has {} bytes and should have {size}",
                    String::from_utf8_lossy(&path),
                    self.seen
                ));
            } else if expected.is_some_and(|expected| expected != digest) {
                self.differ(format!(
                    "{} has another content",
                    String::from_utf8_lossy(&path)
                ));
            }
        }
        self.next += 1;
        Ok(())
    }
}

/// The time that the file itself has, where its name says none.
pub(crate) fn modified(path: &Path) -> Result<Timestamp, Error> {
    let data = path
        .metadata()
        .map_err(|error| Error::io("read", path, &error))?;
    let time = data
        .modified()
        .map_err(|error| Error::io("read", path, &error))?;
    Ok(Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH))
}
