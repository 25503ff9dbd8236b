//! Which paths and links of an archive stay within the directory that it is restored into.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::Error;

/// The path of an entry relative to the target; empty for the target itself.
///
/// # Errors
/// [`Error::Failed`] for a path that leaves the target, or would on the system it was made on.
pub(crate) fn entry(path: &[u8], from_dos: bool) -> Result<PathBuf, Error> {
    let refuse = |why: &str| refuse(path, why);
    if path.contains(&0) {
        return Err(refuse("has a zero byte in its path"));
    }
    // Programs for Windows take both slashes for separators, and so might whatever made the archive.
    let both = |byte: &u8| *byte == b'/' || *byte == b'\\';
    if path.split(both).any(|part| part == b"..") {
        return Err(refuse("leaves the target with `..`"));
    }
    if path.first().is_some_and(both) {
        return Err(refuse("has an absolute path"));
    }
    if matches!(path, [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic())
        || (from_dos && matches!(path, [drive, b':', ..] if drive.is_ascii_alphabetic()))
    {
        return Err(refuse("has an absolute path"));
    }
    let separates = |byte: &u8| *byte == b'/' || (from_dos && *byte == b'\\');
    Ok(path
        .split(separates)
        .filter(|part| !part.is_empty() && *part != b".")
        .map(OsStr::from_bytes)
        .collect())
}

/// Whether a symbolic link at `path` stays within the target, whatever other links there are.
///
/// `..` is followed only at the beginning, where it climbs from the link's own directory, which is a
/// real one. After a name it might climb from wherever that name leads to.
pub(crate) fn stays_inside(path: &std::path::Path, target: &[u8]) -> bool {
    if target.first() == Some(&b'/') || target.is_empty() {
        return false;
    }
    let mut depth = path.components().count().saturating_sub(1);
    let mut climbing = true;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if climbing && depth > 0 => depth -= 1,
            b".." => return false,
            _ => climbing = false,
        }
    }
    true
}

pub(crate) fn refuse(path: &[u8], why: &str) -> Error {
    Error::Failed(format!(
        "The archive is refused: its entry {:?} {why}. Nothing was restored",
        String::from_utf8_lossy(path)
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::path::Path;

    #[test]
    fn plain_paths_are_normalised() {
        for (path, expected) in [
            ("./a//b/./c", "a/b/c"),
            ("a/", "a"),
            ("./", ""),
            ("a\\b", "a\\b"),
            ("..a", "..a"),
        ] {
            assert_eq!(entry(path.as_bytes(), false).unwrap(), Path::new(expected));
        }
        assert_eq!(entry(b"a\\b\\c", true).unwrap(), Path::new("a/b/c"));
    }

    #[test]
    fn paths_that_leave_are_refused() {
        for path in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "..\\x",
            "a\\..\\..\\x",
            "\\x",
            "C:\\x",
            "c:/x",
            "a\0b",
        ] {
            assert!(entry(path.as_bytes(), false).is_err(), "{path:?}");
            assert!(entry(path.as_bytes(), true).is_err(), "{path:?}");
        }
        assert!(entry(b"C:x", true).is_err());
    }

    #[test]
    fn links_stay_inside_or_are_told_apart() {
        let inside = |path: &str, target: &str| stays_inside(Path::new(path), target.as_bytes());
        assert!(inside("a", "b"));
        assert!(inside("a/b", "../c"));
        assert!(inside("a/b/c", "../../d/e"));
        assert!(inside("a/b", ".."));
        assert!(!inside("a", "../b"));
        assert!(!inside("a/b", "../../c"));
        assert!(!inside("a", "/etc"));
        // `b` may be a link to somewhere near the top.
        assert!(!inside("x/y/z", "b/../../c"));
    }
}
