//! The manifest next to an archive: what is in it, entry by entry, with checksums.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ArchiveFormat;
use crate::error::Error;

/// The only version there is so far.
const VERSION: u32 = 1;

/// Written only after the archive was read back in full and compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    pub version: u32,
    /// File name of the archive.
    pub archive: String,
    pub format: ArchiveFormat,
    /// For whom it was made: `RB-17`.
    pub operation: String,
    /// What was archived.
    pub directory: EntryPath,
    pub created: Timestamp,
    /// Size of the archive itself.
    pub bytes: u64,
    /// Of the archive itself.
    pub sha256: Sha256Digest,
    /// Regular files.
    pub files: u64,
    /// Size of their contents.
    pub data_bytes: u64,
    pub changed: Vec<Change>,
    pub skipped: Vec<Skipped>,
    /// The compressed archive's independent parts in order, so that they can be read in parallel.
    /// Empty for zip.
    pub frames: Vec<Frame>,
    /// In the archive's order.
    pub entries: Vec<Entry>,
}

/// A file that changed while it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    pub path: EntryPath,
    /// Continues the path: `grew by 12 bytes while it was read`.
    pub what: String,
}

/// Something that is not in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Skipped {
    pub path: EntryPath,
    /// `socket`, `device`, `named pipe`, or what was left out of an entry.
    pub what: String,
}

/// A zstd frame or gzip member. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Frame {
    pub compressed: u64,
    pub uncompressed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Relative to the directory; `.` is the directory itself.
    pub path: EntryPath,
    pub kind: Kind,
    /// Of a file's content, holes included; 0 for everything else.
    pub size: u64,
    /// The twelve permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Mtime,
    /// Of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256Digest>,
    /// Where a symbolic link points, or the path of the entry that a hard link is another name of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EntryPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Directory,
    File,
    Symlink,
    /// Another name of a file that comes earlier.
    HardLink,
    /// A device, socket or named pipe: never in an archive of ours.
    Special,
}

/// Seconds and nanoseconds since 1970; the nanoseconds count forwards also before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "(i64, u32)", into = "(i64, u32)")]
pub struct Mtime {
    pub seconds: i64,
    pub nanoseconds: u32,
}

/// Bytes as the file system has them. In JSON a string, or `{"hex": "…"}` where they are no UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPath(pub Vec<u8>);

/// In JSON 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest(pub [u8; 32]);

impl Manifest {
    pub(crate) fn current_version() -> u32 {
        VERSION
    }

    /// `None` where there is no manifest.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for a manifest that cannot be understood: its archive is not to be
    /// trusted either.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, &error)),
        };
        let manifest: Self = serde_json::from_reader(BufReader::new(file)).map_err(|error| {
            Error::Mismatch(format!(
                "The manifest {} is damaged: {error}",
                path.display()
            ))
        })?;
        if manifest.version != VERSION {
            return Err(Error::Failed(format!(
                "The manifest {} has version {}, and this program understands {VERSION}; use a newer one",
                path.display(),
                manifest.version
            )));
        }
        Ok(Some(manifest))
    }

    /// Synced, but not yet under a name that anybody looks at.
    pub(crate) fn write_to(&self, file: &File, path: &Path) -> Result<(), Error> {
        let failed = |error: std::io::Error| Error::io("write", path, &error);
        let mut writer = BufWriter::with_capacity(256 << 10, file);
        serde_json::to_writer(&mut writer, self).map_err(|error| failed(error.into()))?;
        writer
            .write_all(b"\n")
            .and_then(|()| writer.flush())
            .map_err(failed)?;
        drop(writer);
        file.sync_all().map_err(failed)
    }
}

impl Change {
    pub(crate) fn sentence(&self) -> String {
        format!("{}: {}", self.path, self.what)
    }
}

impl EntryPath {
    pub fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }
}

impl From<&Path> for EntryPath {
    fn from(path: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl std::fmt::Display for EntryPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.as_path().display(), formatter)
    }
}

#[derive(Serialize, Deserialize)]
struct HexBytes {
    hex: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes(HexBytes),
}

impl Serialize for EntryPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => HexBytes {
                hex: hex::encode(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for EntryPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match PathText::deserialize(deserializer)? {
            PathText::Text(text) => Ok(Self(text.into_bytes())),
            PathText::Bytes(bytes) => hex::decode(bytes.hex).map(Self).map_err(D::Error::custom),
        }
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl Serialize for Sha256Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Sha256Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(D::Error::custom)?;
        Ok(Self(digest))
    }
}

impl From<(u64, u64)> for Frame {
    fn from((compressed, uncompressed): (u64, u64)) -> Self {
        Self {
            compressed,
            uncompressed,
        }
    }
}

impl From<Frame> for (u64, u64) {
    fn from(frame: Frame) -> Self {
        (frame.compressed, frame.uncompressed)
    }
}

impl From<(i64, u32)> for Mtime {
    fn from((seconds, nanoseconds): (i64, u32)) -> Self {
        Self {
            seconds,
            nanoseconds,
        }
    }
}

impl From<Mtime> for (i64, u32) {
    fn from(mtime: Mtime) -> Self {
        (mtime.seconds, mtime.nanoseconds)
    }
}
