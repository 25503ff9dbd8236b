//! Secrets: where they come from, and how they are kept out of sight.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A text that is never printed: not by `Debug`, not by `Display`, and it is not `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, to be handed to what needs it and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where environment variables are looked up.
#[derive(Clone)]
pub(crate) enum Environment {
    /// The process's own.
    Process,
    These(BTreeMap<String, String>),
}

/// Why there is no secret. None of them holds anything of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSecret {
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    #[error("the environment variable `{0}` is not a text")]
    NotText(String),
    #[error("{0} is empty")]
    Empty(String),
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        path: String,
        source: std::io::Error,
    },
    #[error("{0} is not a file with a text of at most 64 KiB")]
    NotAText(String),
    #[error("everybody on this machine may read or change {0}: run chmod o= {0}")]
    WorldReadable(String),
    #[error("{0} holds more than one line")]
    ManyLines(String),
}

const LARGEST: u64 = 64 << 10;

impl Environment {
    pub fn secret(&self, name: &str) -> Result<Secret, NoSecret> {
        let value = match self {
            Self::These(all) => all
                .get(name)
                .cloned()
                .ok_or_else(|| NoSecret::NotSet(name.to_owned()))?,
            Self::Process => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => NoSecret::NotSet(name.to_owned()),
                std::env::VarError::NotUnicode(_) => NoSecret::NotText(name.to_owned()),
            })?,
        };
        one_line(&value, || format!("the environment variable `{name}`"))
    }
}

pub(crate) fn from_file(path: &Path) -> Result<Secret, NoSecret> {
    let shown = || path.display().to_string();
    let unreadable = |source| NoSecret::Unreadable {
        path: shown(),
        source,
    };
    // A pipe would be waited for.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(NoSecret::NotAText(shown()));
    }
    let file = File::open(path).map_err(unreadable)?;
    // Of the opened file: the path may lead elsewhere by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if open_to_everybody(&metadata) {
        return Err(NoSecret::WorldReadable(shown()));
    }
    let mut text = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LARGEST {
        return Err(NoSecret::NotAText(shown()));
    }
    let text = String::from_utf8(text).map_err(|_| NoSecret::NotAText(shown()))?;
    one_line(&text, shown)
}

/// A header or a variable is one line, and editors end files with a line break.
fn one_line(text: &str, whose: impl Fn() -> String) -> Result<Secret, NoSecret> {
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(NoSecret::Empty(whose()));
    }
    if text.contains(['\r', '\n', '\0']) {
        return Err(NoSecret::ManyLines(whose()));
    }
    Ok(Secret::new(text))
}

#[cfg(unix)]
fn open_to_everybody(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o007 != 0
}

// Windows has lists of who may do what, and no such bits.
#[cfg(not(unix))]
fn open_to_everybody(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "… Secret(…) Some(Secret(…))"
        );
        assert_eq!(secret.reveal(), "hunter2");
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_file_is_private_and_holds_one_line() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let with = |text: &[u8], mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            from_file(&path)
        };
        assert_eq!(with(b"hunter2\n", 0o640).unwrap().reveal(), "hunter2");
        assert!(matches!(
            with(b"hunter2", 0o644),
            Err(NoSecret::WorldReadable(_))
        ));
        assert!(matches!(
            with(b"hunter2", 0o602),
            Err(NoSecret::WorldReadable(_))
        ));
        assert!(matches!(with(b" \n", 0o600), Err(NoSecret::Empty(_))));
        assert!(matches!(with(b"a\nb", 0o600), Err(NoSecret::ManyLines(_))));
        assert!(matches!(with(b"\xff", 0o600), Err(NoSecret::NotAText(_))));
        assert!(matches!(
            with(&[b'x'; 70_000], 0o600),
            Err(NoSecret::NotAText(_))
        ));
        assert!(matches!(
            from_file(directory.path()),
            Err(NoSecret::NotAText(_))
        ));
        let none = directory.path().join("none");
        assert!(matches!(from_file(&none), Err(NoSecret::Unreadable { .. })));
    }
}
