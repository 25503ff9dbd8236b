//! What archives are called: `trade_service_20261122195600.tar.zst`, and beside it
//! `trade_service_20261122195600.manifest.json`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::ArchiveFormat;
use crate::error::Error;

const STAMP: &str = "%Y%m%d%H%M%S";
const STAMP_DIGITS: usize = 14;
pub(crate) const PARTIAL_ENDING: &str = ".partial";
const MANIFEST_ENDING: &str = ".manifest.json";

impl ArchiveFormat {
    /// `.tar.zst`
    pub fn ending(self) -> &'static str {
        match self {
            Self::TarZst => ".tar.zst",
            Self::TarGz => ".tar.gz",
            Self::Zip => ".zip",
        }
    }

    /// Splits a file name into what comes before the ending, and the format it stands for.
    pub(crate) fn split(name: &str) -> Option<(&str, Self)> {
        const ENDINGS: [(&str, ArchiveFormat); 5] = [
            (".tar.zst", ArchiveFormat::TarZst),
            (".tzst", ArchiveFormat::TarZst),
            (".tar.gz", ArchiveFormat::TarGz),
            (".tgz", ArchiveFormat::TarGz),
            (".zip", ArchiveFormat::Zip),
        ];
        ENDINGS
            .iter()
            .find_map(|(ending, format)| name.strip_suffix(ending).map(|stem| (stem, *format)))
    }
}

/// Where the manifest of an archive lies, whether there is one or not.
pub fn manifest_path(archive: &Path) -> PathBuf {
    let name = archive
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    let stem = ArchiveFormat::split(&name).map_or(&*name, |(stem, _)| stem);
    archive.with_file_name(format!("{stem}{MANIFEST_ENDING}"))
}

pub(crate) fn format_of(path: &Path) -> Result<ArchiveFormat, Error> {
    let name = path
        .file_name()
        .map(OsStr::to_string_lossy)
        .unwrap_or_default();
    ArchiveFormat::split(&name)
        .map(|(_, format)| format)
        .ok_or_else(|| {
            Error::Failed(format!(
                "{} does not end in .tar.zst, .tar.gz, .tgz or .zip, so its format is not known",
                path.display()
            ))
        })
}

/// # Errors
/// [`Error::Failed`] for a name that would not stay one file name.
pub(crate) fn check(archive_name: &str) -> Result<(), Error> {
    let plain = |c: char| !c.is_control() && c != '/' && c != '\\';
    if archive_name.is_empty()
        || archive_name.starts_with('.')
        || archive_name.len() > 150
        || !archive_name.chars().all(plain)
    {
        return Err(Error::Failed(format!(
            "{archive_name:?} is no name for an archive: at most 150 bytes, no slash, and no dot first"
        )));
    }
    Ok(())
}

/// `trade_service_20261122195600`, then with `-2`, `-3`, …
pub(crate) fn stem(archive_name: &str, now: Timestamp, attempt: u32) -> String {
    let stamp = now.strftime(STAMP);
    match attempt {
        0 | 1 => format!("{archive_name}_{stamp}"),
        more => format!("{archive_name}_{stamp}-{more}"),
    }
}

/// Whether any archive, or the manifest of one, has this stem.
pub(crate) fn is_taken(destination: &Path, stem: &str) -> bool {
    [".tar.zst", ".tar.gz", ".zip", MANIFEST_ENDING]
        .iter()
        .any(|ending| {
            destination
                .join(format!("{stem}{ending}"))
                .symlink_metadata()
                .is_ok()
        })
}

/// The time in the name of an archive of ours.
pub(crate) fn created(archive_name: &str, stem: &str) -> Option<Timestamp> {
    let rest = stem.strip_prefix(archive_name)?.strip_prefix('_')?;
    let stamp = rest.split('-').next()?;
    if stamp.len() != STAMP_DIGITS {
        return None;
    }
    let time = DateTime::strptime(STAMP, stamp).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Whether an archive is of this name: ours, or one that people named with a date in their own way
/// (`trade_service_2026-11-22_1956`). `trade_service_…` is no archive of `trade`.
pub(crate) fn belongs(archive_name: &str, stem: &str) -> bool {
    stem.strip_prefix(archive_name)
        .and_then(|rest| rest.strip_prefix('_'))
        .is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_digit())
                && rest.chars().filter(char::is_ascii_digit).count() >= 8
                && rest
                    .chars()
                    .all(|c| c.is_ascii_digit() || matches!(c, '-' | '_' | 'T' | 'Z' | ':' | '.'))
        })
}

/// A hidden name that is nobody else's: two processes may archive the same directory at once.
pub(crate) fn partial(
    archive_name: &str,
    now: Timestamp,
    format: ArchiveFormat,
    unique: &str,
) -> String {
    format!(
        ".{}{}.{unique}{PARTIAL_ENDING}",
        stem(archive_name, now, 1),
        format.ending()
    )
}

/// Whether a file is the unfinished archive or manifest of this archive name.
pub(crate) fn is_partial_of(archive_name: &str, file_name: &str) -> bool {
    let Some(rest) = file_name
        .strip_prefix('.')
        .and_then(|rest| rest.strip_suffix(PARTIAL_ENDING))
        .and_then(|rest| rest.strip_prefix(archive_name))
        .and_then(|rest| rest.strip_prefix('_'))
    else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits == STAMP_DIGITS && matches!(rest.as_bytes().get(digits), Some(b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_carries_its_time_and_is_found_again() {
        let now: Timestamp = "2026-11-22T19:56:00.75Z".parse().unwrap();
        assert_eq!(
            stem("trade_service", now, 1),
            "trade_service_20261122195600"
        );
        assert_eq!(
            stem("trade_service", now, 2),
            "trade_service_20261122195600-2"
        );
        let whole: Timestamp = "2026-11-22T19:56:00Z".parse().unwrap();
        assert_eq!(
            created("trade_service", "trade_service_20261122195600-2"),
            Some(whole)
        );
        assert_eq!(created("trade", "trade_service_20261122195600"), None);
    }

    #[test]
    fn archives_of_longer_names_do_not_belong() {
        assert!(belongs("trade", "trade_20261122195600"));
        assert!(belongs("trade", "trade_2026-11-22_195600"));
        assert!(!belongs("trade", "trade_service_20261122195600"));
        assert!(!belongs("trade", "trade_1"));
        assert!(!belongs("trade", "trade"));
    }

    #[test]
    fn partials_are_told_apart_by_the_whole_archive_name() {
        let now: Timestamp = "2026-11-22T19:56:00Z".parse().unwrap();
        let name = partial("trade", now, ArchiveFormat::TarZst, "x1");
        assert!(is_partial_of("trade", &name));
        assert!(!is_partial_of("trade_service", &name));
        assert!(!is_partial_of(
            "trade",
            ".trade_service_20261122195600.tar.zst.x.partial"
        ));
        assert!(!is_partial_of("trade", "trade_20261122195600.tar.zst"));
    }

    #[test]
    fn the_manifest_lies_beside_the_archive() {
        assert_eq!(
            manifest_path(Path::new("/b/a_1.tar.zst")),
            Path::new("/b/a_1.manifest.json")
        );
        assert_eq!(
            manifest_path(Path::new("/b/a_1.tgz")),
            Path::new("/b/a_1.manifest.json")
        );
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for name in ["", ".x", "a/b", "..", "a\nb", "a\\b"] {
            assert!(check(name).is_err(), "{name:?}");
        }
        assert!(check("trade service").is_ok());
    }
}
