//! Reading a zip of anybody.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::extra_fields::ExtraField;
use zip::result::ZipError;
use zip::{ZipArchive, read::ZipFile};

use crate::compress::Digested;
use crate::control::{Control, Phase};
use crate::error::Error;
use crate::manifest::{Kind, Mtime, Sha256Digest};
use crate::member::{Member, Visitor};
use crate::zip_write::{OWNER_FIELD, from_ticks};

const BUFFER: usize = 1 << 20;
/// The target of a link is held in memory.
const LONGEST_TARGET: u64 = 64 << 10;

/// Goes through the entries in the order of the zip's directory. Every content's CRC is checked.
pub(crate) fn read(
    path: &Path,
    visitor: &mut dyn Visitor,
    control: &Control,
) -> Result<Digested, Error> {
    let digested = digest(path, control)?;
    let file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let mut archive = ZipArchive::new(BufReader::with_capacity(BUFFER, file)).map_err(wrong)?;
    // What one program finds under a name and another does not is how archives deceive.
    if archive.has_duplicate_names() {
        return Err(Error::damaged("it holds two entries of the same name"));
    }
    if archive.has_overlapping_entries().map_err(wrong)? {
        return Err(Error::damaged("its entries overlap"));
    }
    let mut buffer = vec![0; BUFFER];
    for index in 0..archive.len() {
        control.check()?;
        let mut entry = archive.by_index(index).map_err(wrong)?;
        let mut member = describe(&entry)?;
        if member.kind == Kind::Symlink {
            if entry.size() > LONGEST_TARGET {
                return Err(Error::damaged("the target of a link is too long"));
            }
            entry
                .read_to_end(&mut member.target)
                .map_err(Error::damaged)?;
        }
        let name = String::from_utf8_lossy(&member.path).into_owned();
        visitor.begin(&member)?;
        if member.kind == Kind::File {
            let mut read = 0;
            loop {
                control.check()?;
                let count = entry
                    .read(&mut buffer)
                    .map_err(|error| Error::damaged(format_args!("{name}: {error}")))?;
                if count == 0 {
                    break;
                }
                read += count as u64;
                visitor.data(&buffer[..count])?;
            }
            if read != member.size {
                return Err(Error::damaged(format_args!(
                    "{name} has {read} bytes and should have {}",
                    member.size
                )));
            }
        }
        visitor.end()?;
    }
    Ok(digested)
}

fn describe<R: Read>(entry: &ZipFile<'_, R>) -> Result<Member, Error> {
    let name = entry.name().map_err(wrong)?;
    if entry.encrypted() {
        return Err(Error::Failed(format!(
            "Entry {name} is encrypted; unpack this archive by hand"
        )));
    }
    let is_unix = entry.system() == zip::System::Unix;
    let from_dos = entry.system() == zip::System::Dos;
    let mode = is_unix
        .then_some(entry.external_attributes() >> 16)
        .filter(|mode| *mode != 0);
    // Some programs for Windows end the name of a directory in a backslash.
    let is_directory = entry.is_dir() || (from_dos && name.ends_with('\\'));
    let kind = match mode.map(|mode| mode & 0o170_000) {
        Some(0o120_000) => Kind::Symlink,
        Some(0o020_000 | 0o060_000 | 0o010_000 | 0o140_000) => Kind::Special,
        _ if is_directory => Kind::Directory,
        _ => Kind::File,
    };
    let mut mtime = None;
    let mut owner = None;
    for field in entry.extra_data_fields() {
        match field {
            ExtraField::Ntfs(times) => mtime = Some(from_ticks(times.mtime())),
            ExtraField::ExtendedTimestamp(times) if mtime.is_none() => {
                // Signed, in spite of what the field's accessor says.
                mtime = times.mod_time().map(|seconds| Mtime {
                    seconds: i64::from(seconds.cast_signed()),
                    nanoseconds: 0,
                });
            }
            ExtraField::Custom(custom) if custom.header_id == OWNER_FIELD => {
                owner = owner_of(&custom.data)
            }
            _ => {}
        }
    }
    Ok(Member {
        path: name.as_bytes().to_vec(),
        kind,
        size: if kind == Kind::File { entry.size() } else { 0 },
        mode: mode.map(|mode| mode & 0o7777),
        owner,
        mtime: mtime.or_else(|| dos_time(entry)),
        target: Vec::new(),
        xattrs: Vec::new(),
        from_dos,
    })
}

/// Version, then owner and group, each after its length.
fn owner_of(field: &[u8]) -> Option<(u32, u32)> {
    let id = |at: usize| -> Option<(u32, usize)> {
        let length = usize::from(*field.get(at)?);
        let bytes = field.get(at + 1..at + 1 + length)?;
        let value = bytes.iter().rev().try_fold(0u32, |sum, byte| {
            sum.checked_mul(256)?.checked_add(u32::from(*byte))
        })?;
        Some((value, at + 1 + length))
    };
    let (uid, next) = id(1)?;
    let (gid, _) = id(next)?;
    Some((uid, gid))
}

/// Of an unknown time zone: taken for UTC.
fn dos_time<R: Read>(entry: &ZipFile<'_, R>) -> Option<Mtime> {
    let time = entry.last_modified()?;
    let small = |number: u8| i8::try_from(number).ok();
    let civil = jiff::civil::DateTime::new(
        i16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second().min(59))?,
        0,
    )
    .ok()?;
    let seconds = jiff::tz::TimeZone::UTC
        .to_timestamp(civil)
        .ok()?
        .as_second();
    Some(Mtime {
        seconds,
        nanoseconds: 0,
    })
}

fn digest(path: &Path, control: &Control) -> Result<Digested, Error> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let mut file = File::open(path).map_err(|error| Error::io("open", path, &error))?;
    let length = file.metadata().map_err(failed)?.len();
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        control.check()?;
        let count = file.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        bytes += count as u64;
        control.report(Phase::Reading, bytes, length);
    }
    Ok(Digested {
        bytes,
        sha256: Sha256Digest(hash.finalize().into()),
    })
}

fn wrong(error: ZipError) -> Error {
    Error::damaged(error)
}
