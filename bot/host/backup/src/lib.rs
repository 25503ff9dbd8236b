//! Verified archives of directories.
//!
//! An archive counts only after it was read back in full. It is written under a hidden name, synced,
//! published under its own name without ever replacing another, decompressed and parsed again from
//! the disk, and compared entry by entry with what was read from the directory. Then its manifest is
//! written next to it: an archive that has one was found to be good.
//!
//! Archives that were made by hand, without a manifest, can be verified (parsed in full, with the
//! checksums that their format has), listed and restored as well.
//!
//! This crate knows nothing of operations, plans or grants.

mod archiver;
mod check;
mod compress;
mod control;
mod create;
mod decompress;
mod error;
mod extract;
mod listing;
mod manifest;
mod member;
mod name;
mod partial;
mod restore;
mod safe_path;
mod source;
mod space;
mod tar_read;
mod tar_write;
mod written;
mod zip_read;
mod zip_write;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use archiver::Archiver;
pub use control::{Control, Phase, Progress};
pub use create::Unverified;
pub use error::Error;
pub use manifest::{Change, Entry, EntryPath, Frame, Kind, Manifest, Mtime, Sha256Digest, Skipped};
pub use name::manifest_path;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArchiveFormat {
    /// tar and zstd, with all cores: the default.
    TarZst,
    TarGz,
    Zip,
}

/// What to archive, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CreateRequest {
    /// What is archived: everything below it, by paths relative to it.
    pub directory: PathBuf,
    /// `trade_service`; the time and the format's ending are appended.
    pub archive_name: String,
    pub format: ArchiveFormat,
    /// The directory that archives are written to. Made, for its owner only, where there is none.
    pub destination: PathBuf,
    /// The time in the archive's name.
    pub now: Timestamp,
    /// For whom it is made: `RB-17`. Noted in the manifest.
    pub operation_label: String,
}

/// An archive as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Archive {
    /// File name, with time and ending.
    pub name: String,
    pub path: String,
    pub created: Timestamp,
    /// Size of the archive itself.
    pub bytes: u64,
    /// Regular files in it. When listing an archive without a manifest: 0.
    pub files: u64,
    /// Of the archive itself, 64 digits. When listing an archive without a manifest: empty.
    pub sha256: String,
    /// Read back in full, and every checksum matched. Without a manifest: parsed in full, and the
    /// checksums that the format has matched.
    pub verified: bool,
    /// Files that changed while they were read, and how: `orders.log: grew by 12 bytes while it was
    /// read`.
    pub changed: Vec<String>,
}

/// What was written below a directory since a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// Files (and symbolic links) modified at that time or later.
    pub files: u64,
    /// The size of those files: an upper bound of what was written.
    pub bytes: u64,
    /// The newest modification there is, also when it is older than the time asked about; that time
    /// itself where there is no file at all.
    pub last_write: Timestamp,
}

/// What a restore put into its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RestoreReport {
    pub target: String,
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub hard_links: u64,
    /// Size of the files' contents.
    pub bytes: u64,
    /// Whether every entry was compared with the archive's manifest.
    pub verified: bool,
    /// What could not be restored as it was, one sentence each: attributes that this file system or
    /// user cannot set.
    pub notes: Vec<String>,
}

/// How archives are made and restored. The defaults are right for nearly everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiverConfig {
    pub zstd_level: i32,
    pub gzip_level: u32,
    /// Threads that compress or decompress; `None` for one a core.
    pub threads: Option<NonZeroUsize>,
    /// Bytes that stay free at the destination whatever happens.
    pub reserve: u64,
    /// Room that is demanded for an archive before it is begun, as a percentage of the data. 100
    /// counts on no compression at all, so that an archive never fills a disk half way.
    pub space_percent: u64,
    /// Whether a restore may create symbolic links that point out of its target. Nothing is ever
    /// written through a link in either case. By default such an archive is refused.
    pub restore_outside_links: bool,
}

impl Default for ArchiverConfig {
    fn default() -> Self {
        Self {
            zstd_level: 3,
            gzip_level: 6,
            threads: None,
            reserve: 64 << 20,
            space_percent: 100,
            restore_outside_links: false,
        }
    }
}

/// Making, checking and restoring archives on one machine. The work goes on in blocking threads;
/// when the future of a call is dropped, or its [`Control`] cancelled, they stop at the next block
/// and leave nothing behind. There is no deadline in here: how long an archive takes depends on the
/// directory, and the caller sees the progress.
#[async_trait]
pub trait Archives: Send + Sync {
    /// Archives a directory, reads the archive back in full and compares it before it returns.
    /// What the same archive name left unfinished in a process that is gone is removed first.
    ///
    /// # Errors
    /// [`Error::Empty`] for a directory without a file, [`Error::NoSpace`], [`Error::Mismatch`] when
    /// the archive does not hold what was read (it is then renamed to end in `.damaged`), and
    /// [`Error::Failed`].
    async fn create(&self, request: &CreateRequest, control: &Control) -> Result<Archive, Error>;

    /// Reads an archive back in full: against its manifest where it has one, and otherwise by the
    /// rules and checksums of its format.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for an archive that is damaged, cut or not what its manifest says, and
    /// [`Error::Failed`] when it cannot be read.
    async fn verify(&self, path: &Path, control: &Control) -> Result<Archive, Error>;

    /// Archives by that name, newest first. They are not read: `verified` says that they were read
    /// back when they were made and still have the same size.
    ///
    /// # Errors
    /// [`Error::Failed`] when the directory cannot be read. One that does not exist holds none.
    async fn list(&self, destination: &Path, archive_name: &str) -> Result<Vec<Archive>, Error>;

    /// What was written below a directory since a time, by the files' times.
    ///
    /// # Errors
    /// [`Error::Failed`] when a part of it cannot be read.
    async fn written_since(&self, directory: &Path, since: Timestamp) -> Result<Written, Error>;

    /// Unpacks an archive into a directory that is empty or does not exist yet. The target changes
    /// at the very end and at once, after everything was unpacked, compared with the manifest where
    /// there is one, and synced.
    ///
    /// # Errors
    /// [`Error::Failed`] for a target that is not empty and for an archive with paths or links that
    /// leave the target or with devices, [`Error::Mismatch`] for a damaged one, [`Error::NoSpace`].
    async fn restore(
        &self,
        path: &Path,
        target: &Path,
        control: &Control,
    ) -> Result<RestoreReport, Error>;
}
