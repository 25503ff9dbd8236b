//! Entries as a zip: deflate, zip64 where it is needed, and the Unix owner, mode and times in the
//! extra fields that Info-ZIP and 7-Zip use. A zip knows neither hard links nor holes: both become
//! plain files.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::write::FullFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::compress::{Compressed, Digested};
use crate::create::EntrySink;
use crate::error::Error;
use crate::manifest::{Entry, Kind, Mtime, Sha256Digest};
use crate::member::zeros;
use crate::source::Extent;

/// `0x7875`, Info-ZIP's "new Unix": owner and group.
pub(crate) const OWNER_FIELD: u16 = 0x7875;
/// Hundreds of nanoseconds since 1601.
const TICKS_PER_SECOND: i128 = 10_000_000;
const SECONDS_FROM_1601_TO_1970: i128 = 11_644_473_600;
/// Above this a file may need zip64, also when it cannot be compressed.
const LARGE: u64 = 4_000_000_000;

pub(crate) struct ZipSink<'a> {
    writer: ZipWriter<BufWriter<&'a File>>,
    path: &'a Path,
    buffer: Vec<u8>,
    hash: Sha256,
    digests: Vec<Sha256Digest>,
}

impl<'a> ZipSink<'a> {
    pub(crate) fn new(file: &'a File, path: &'a Path) -> Self {
        Self {
            writer: ZipWriter::new(BufWriter::with_capacity(1 << 20, file)),
            path,
            buffer: vec![0; 1 << 20],
            hash: Sha256::new(),
            digests: Vec::new(),
        }
    }

    /// The headers of a zip are completed afterwards, so that its own checksum needs another look
    /// at it.
    pub(crate) fn finish(self) -> Result<Compressed, Error> {
        let path = self.path;
        let failed = |error: std::io::Error| Error::io("write", path, &error);
        let writer = self.writer.finish().map_err(|error| failed(error.into()))?;
        let mut file = writer
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut buffer = self.buffer;
        loop {
            let count = file
                .read(&mut buffer)
                .map_err(|error| Error::io("read", path, &error))?;
            if count == 0 {
                break;
            }
            hash.update(&buffer[..count]);
            bytes += count as u64;
        }
        let sha256 = Sha256Digest(hash.finalize().into());
        Ok(Compressed {
            file: Digested { bytes, sha256 },
            frames: Vec::new(),
            digests: self.digests,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.writer
            .write_all(bytes)
            .map_err(|error| Error::io("write", self.path, &error))
    }
}

impl EntrySink for ZipSink<'_> {
    fn begin(
        &mut self,
        entry: &Entry,
        _xattrs: &[(Vec<u8>, Vec<u8>)],
        _extents: Option<&[Extent]>,
    ) -> Result<(), Error> {
        let name = portable_name(entry)?;
        let kind_bits = match entry.kind {
            Kind::Directory => 0o040_000,
            Kind::Symlink => 0o120_000,
            _ => 0o100_000,
        };
        let dos_directory = if entry.kind == Kind::Directory {
            0x10
        } else {
            0
        };
        let mut options = FullFileOptions::default()
            .compression_method(match entry.kind {
                Kind::File => CompressionMethod::Deflated,
                _ => CompressionMethod::Stored,
            })
            .external_attributes((kind_bits | entry.mode) << 16 | dos_directory)
            .system(zip::System::Unix)
            .last_modified_time(dos_time(entry.mtime))
            .large_file(entry.size >= LARGE);
        let failed = |error: zip::result::ZipError| {
            Error::io(format_args!("write {name} to"), self.path, &error.into())
        };
        if let Ok(seconds) = u32::try_from(entry.mtime.seconds) {
            options = options
                .with_extended_timestamp(Some(seconds), None, None)
                .map_err(failed)?;
        }
        let ticks = ticks(entry.mtime);
        options = options
            .with_ntfs_times(ticks, ticks, ticks)
            .map_err(failed)?;
        let mut owner = vec![1, 4];
        owner.extend_from_slice(&entry.uid.to_le_bytes());
        owner.push(4);
        owner.extend_from_slice(&entry.gid.to_le_bytes());
        options
            .add_extra_field(OWNER_FIELD, owner, false)
            .map_err(failed)?;
        match entry.kind {
            Kind::Directory => self.writer.add_directory(name.as_str(), options),
            Kind::Symlink => {
                let target = text(
                    entry,
                    entry.target.as_ref().map_or(&[][..], |target| &target.0),
                )?;
                self.writer.add_symlink(name.as_str(), target, options)
            }
            _ => self.writer.start_file(name.as_str(), options),
        }
        .map_err(failed)
    }

    fn room(&mut self) -> Result<&mut [u8], Error> {
        Ok(&mut self.buffer)
    }

    fn filled(&mut self, count: usize) -> Result<(), Error> {
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer[..count]);
        self.buffer = buffer;
        written
    }

    fn hole(&mut self, bytes: u64) -> Result<(), Error> {
        let mut result = Ok(());
        zeros(bytes, |part| {
            if result.is_ok() {
                result = self.write(part);
            }
        });
        result
    }

    fn end_of_file(&mut self) -> Result<(), Error> {
        self.digests
            .push(Sha256Digest(self.hash.finalize_reset().into()));
        Ok(())
    }

    fn has_root(&self) -> bool {
        false
    }

    fn has_hard_links(&self) -> bool {
        false
    }

    fn has_xattrs(&self) -> bool {
        false
    }
}

/// Hundreds of nanoseconds since 1601, as far as there are such.
pub(crate) fn ticks(mtime: Mtime) -> u64 {
    let seconds = i128::from(mtime.seconds) + SECONDS_FROM_1601_TO_1970;
    let ticks = seconds * TICKS_PER_SECOND + i128::from(mtime.nanoseconds / 100);
    u64::try_from(ticks.max(0)).unwrap_or(u64::MAX)
}

pub(crate) fn from_ticks(ticks: u64) -> Mtime {
    let per_second = TICKS_PER_SECOND.unsigned_abs() as u64;
    let from_1601 = i64::try_from(ticks / per_second).unwrap_or(i64::MAX);
    Mtime {
        seconds: from_1601 - SECONDS_FROM_1601_TO_1970 as i64,
        nanoseconds: u32::try_from(ticks % per_second).unwrap_or(0) * 100,
    }
}

/// What old programs see: from 1980 to 2107, every other second.
fn dos_time(mtime: Mtime) -> DateTime {
    jiff::Timestamp::from_second(mtime.seconds)
        .ok()
        .and_then(|time| {
            let time = jiff::tz::TimeZone::UTC.to_datetime(time);
            let small = |number: i8| u8::try_from(number).ok();
            DateTime::from_date_and_time(
                u16::try_from(time.year()).ok()?,
                small(time.month())?,
                small(time.day())?,
                small(time.hour())?,
                small(time.minute())?,
                small(time.second())?,
            )
            .ok()
        })
        .unwrap_or_default()
}

/// Names in a zip are text, and other systems take a backslash for a separator: a name that would
/// become another file elsewhere is refused rather than changed.
fn portable_name(entry: &Entry) -> Result<String, Error> {
    let name = text(entry, &entry.path.0)?;
    if name.contains('\\') {
        return Err(unfit(entry, "has a backslash in its name"));
    }
    Ok(name)
}

fn text(entry: &Entry, bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| unfit(entry, "has a name that is not valid UTF-8"))
}

fn unfit(entry: &Entry, why: &str) -> Error {
    Error::Failed(format!(
        "{} {why}, which a zip cannot hold; use tar-zst or tar-gz for this directory",
        entry.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_to_a_hundred_nanoseconds() {
        for (seconds, nanoseconds) in [
            (0, 0),
            (-1, 999_999_900),
            (1_795_377_360, 123_456_700),
            (9_999_999_999, 0),
        ] {
            let mtime = Mtime {
                seconds,
                nanoseconds,
            };
            assert_eq!(from_ticks(ticks(mtime)), mtime);
        }
        assert_eq!(
            ticks(Mtime {
                seconds: i64::MIN,
                nanoseconds: 0
            }),
            0
        );
    }
}
