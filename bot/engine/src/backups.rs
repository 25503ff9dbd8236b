//! Archives, as the engine asks for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rollbot_core::plan as core;
use rollbot_host::backup::{self as host, Archives, Control, CreateRequest};

use crate::bindings::rollbot::plugin::backup::{Archive, Error, Written};
use crate::convert::{millis_of, time_of};

/// Archives of one machine, and where they lie.
#[derive(Clone)]
pub struct Backups {
    pub archives: Arc<dyn Archives>,
    /// The directory that archives are written to, and the only one they are read from.
    pub directory: PathBuf,
}

/// For which operation an archive is made, and when.
pub(crate) struct Making {
    /// `RB-17`
    pub label: String,
    /// When the effect began: the time in the archive's name.
    pub begun_at: Timestamp,
    /// It was begun before. Then there may be an archive that nobody heard of.
    pub again: bool,
}

impl Backups {
    /// Archives a directory. An archive that an earlier go of the same effect has finished is read
    /// back in full and taken instead: a crash must not fill the disk.
    pub(crate) async fn create(
        &self,
        target: &core::CreateBackup,
        making: &Making,
    ) -> Result<Archive, Error> {
        if making.again
            && let Some(archive) = self.made_since(&target.archive_name, making.begun_at).await
        {
            return Ok(archive);
        }
        let request = CreateRequest {
            directory: PathBuf::from(&target.directory),
            archive_name: target.archive_name.clone(),
            format: match target.format {
                core::ArchiveFormat::TarZst => host::ArchiveFormat::TarZst,
                core::ArchiveFormat::TarGz => host::ArchiveFormat::TarGz,
                core::ArchiveFormat::Zip => host::ArchiveFormat::Zip,
            },
            destination: self.directory.clone(),
            now: making.begun_at,
            operation_label: making.label.clone(),
        };
        Ok(self
            .archives
            .create(&request, &Control::new())
            .await?
            .into())
    }

    /// The newest archive made since then, if it is good.
    async fn made_since(&self, name: &str, since: Timestamp) -> Option<Archive> {
        let newest = self.newest_since(name, since).await.ok()??;
        let archive = self.verify(&newest.path).await.ok()?;
        (archive.verified && archive.files > 0).then_some(archive)
    }

    /// The newest archive made since then, not read. The time in an archive's name has seconds.
    pub(crate) async fn newest_since(
        &self,
        name: &str,
        since: Timestamp,
    ) -> Result<Option<Archive>, Error> {
        let since = millis_of(since) / 1_000 * 1_000;
        let archives = self.list(name).await?;
        Ok(archives
            .into_iter()
            .find(|archive| archive.created >= since))
    }

    pub(crate) async fn list(&self, name: &str) -> Result<Vec<Archive>, Error> {
        let archives = self.archives.list(&self.directory, name).await?;
        Ok(archives.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn verify(&self, path: &str) -> Result<Archive, Error> {
        let path = Path::new(path);
        if path.parent() != Some(self.directory.as_path()) {
            return Err(Error::AccessDenied(format!(
                "{} does not lie in {}, where archives are",
                path.display(),
                self.directory.display()
            )));
        }
        Ok(self.archives.verify(path, &Control::new()).await?.into())
    }

    pub(crate) async fn written_since(
        &self,
        directory: &str,
        since: u64,
    ) -> Result<Written, Error> {
        let since = time_of(since)
            .ok_or_else(|| Error::Failed(format!("{since} ms since 1970 is no time")))?;
        let written = self
            .archives
            .written_since(Path::new(directory), since)
            .await?;
        Ok(Written {
            files: written.files,
            bytes: written.bytes,
            last_write: millis_of(written.last_write),
        })
    }
}

impl From<host::Archive> for Archive {
    fn from(archive: host::Archive) -> Self {
        Self {
            name: archive.name,
            path: archive.path,
            created: millis_of(archive.created),
            bytes: archive.bytes,
            files: archive.files,
            sha256: archive.sha256,
            verified: archive.verified,
            changed: archive.changed,
            by_hand: false,
        }
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::Empty(text) => Self::Empty(text),
            host::Error::NoSpace(text) => Self::NoSpace(text),
            host::Error::Mismatch(text) => Self::Mismatch(text),
            host::Error::Failed(text) => Self::Failed(text),
        }
    }
}
