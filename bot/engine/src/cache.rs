//! Compiled components on disk.
//!
//! Compiled code runs outside the sandbox that it is the wall of, so a file that somebody else
//! could have written must never be loaded. The directory and its files belong to this user alone,
//! and each entry carries a keyed digest (HMAC-SHA-256) over what it claims to be and its content.
//! The key is random and lies in the same directory, as private as the entries. What does not
//! verify is deleted and compiled anew.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use rollbot_core::Digest;

const KEY_FILE: &str = "key";
const KEY_BYTES: usize = 32;
const MAGIC: &[u8] = b"rollbot-component-1\n";
const TAG_BYTES: usize = 32;
/// Entries are a few times the component; what is larger was not written by us.
const MOST_BYTES: u64 = 1 << 30;

/// The cache cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("the component cache {} cannot be used: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the component cache {} belongs to another user (uid {owner}): compiled plugins there \
         could be anybody's; choose a directory of your own",
        .path.display()
    )]
    Foreign { path: PathBuf, owner: u32 },
    #[error("the component cache {} is not a directory", .path.display())]
    NotADirectory { path: PathBuf },
    #[error("the operating system gave no random numbers for the cache's key")]
    NoRandomness,
}

/// A directory of authenticated entries for one engine set-up.
pub(crate) struct Cache {
    directory: PathBuf,
    key: hmac::Key,
    /// Digest of everything that compiled code depends on: engine version, settings, target.
    compatibility: String,
}

impl Cache {
    /// Opens the directory, or makes it, and takes it away from everybody else.
    pub fn open(directory: &Path, compatibility: String) -> Result<Self, CacheError> {
        let io = |source| CacheError::Io {
            path: directory.to_owned(),
            source,
        };
        create_private_directory(directory).map_err(io)?;
        let metadata = fs::symlink_metadata(directory).map_err(io)?;
        if !metadata.is_dir() {
            return Err(CacheError::NotADirectory {
                path: directory.to_owned(),
            });
        }
        claim(directory, &metadata)?;
        let key = read_or_make_key(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            key,
            compatibility,
        })
    }

    fn entry(&self, component: &Digest) -> PathBuf {
        let short = self.compatibility.get(..16).unwrap_or(&self.compatibility);
        self.directory
            .join(format!("{}-{short}.bin", hex_of(component)))
    }

    /// What is authenticated: what the entry claims to be, and its content.
    fn message(&self, component: &Digest, code: &[u8]) -> Vec<u8> {
        let (component, compatibility) = (component.as_str(), self.compatibility.as_str());
        [
            MAGIC,
            component.as_bytes(),
            b"\n",
            compatibility.as_bytes(),
            b"\n",
            code,
        ]
        .concat()
    }

    /// The compiled code, if there is an entry and it is one that this cache has written.
    pub fn read(&self, component: &Digest) -> Option<Vec<u8>> {
        let path = self.entry(component);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot read a compiled component");
                return None;
            }
        };
        let verified = bytes.strip_prefix(MAGIC).and_then(|rest| {
            let (tag, code) = rest.split_at_checked(TAG_BYTES)?;
            hmac::verify(&self.key, &self.message(component, code), tag).ok()?;
            Some(code.to_vec())
        });
        if verified.is_none() {
            tracing::warn!(
                path = %path.display(),
                "a compiled component is not what this user's bot wrote; it is deleted and compiled anew"
            );
            self.discard(component);
        }
        verified
    }

    /// Removes an entry that turned out to be useless.
    pub fn discard(&self, component: &Digest) {
        let path = self.entry(component);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot delete a compiled component");
        }
    }

    /// Keeps compiled code, and drops what other engine versions left of the same component.
    pub fn write(&self, component: &Digest, code: &[u8]) -> Result<(), CacheError> {
        let path = self.entry(component);
        let io = |source| CacheError::Io {
            path: path.clone(),
            source,
        };
        let tag = hmac::sign(&self.key, &self.message(component, code));
        let temporary = self.temporary();
        let written = create_private_file(&temporary)
            .and_then(|mut file| {
                file.write_all(MAGIC)?;
                file.write_all(tag.as_ref())?;
                file.write_all(code)
            })
            // Not synced: an entry that a loss of power tore apart does not verify.
            .and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(io)?;
        self.drop_older(component, &path);
        Ok(())
    }

    fn drop_older(&self, component: &Digest, kept: &Path) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        let prefix = format!("{}-", hex_of(component));
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) && entry.path() != kept {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn temporary(&self) -> PathBuf {
        temporary_in(&self.directory)
    }
}

fn temporary_in(directory: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    directory.join(format!(".{}-{number}.partial", std::process::id()))
}

fn hex_of(digest: &Digest) -> &str {
    digest.as_str().trim_start_matches("sha256:")
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).open(path)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Two processes may start at once: the key is made aside and linked into place, so that one of
/// them wins and neither reads half a key.
fn read_or_make_key(directory: &Path) -> Result<hmac::Key, CacheError> {
    let path = directory.join(KEY_FILE);
    let io = |source| CacheError::Io {
        path: path.clone(),
        source,
    };
    for _ in 0..3 {
        if let Some(key) = read_key(&path).map_err(io)? {
            return Ok(key);
        }
        let mut bytes = [0_u8; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| CacheError::NoRandomness)?;
        let temporary = temporary_in(directory);
        let placed = create_private_file(&temporary)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::hard_link(&temporary, &path));
        let _ = fs::remove_file(&temporary);
        match placed {
            Ok(()) => return Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
    }
    Err(io(io::Error::other(
        "another process keeps replacing the key",
    )))
}

/// The key, if there is one that nobody else could read. Another is removed: with it, everything
/// that was authenticated by it becomes worthless, as it should.
fn read_key(path: &Path) -> io::Result<Option<hmac::Key>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = if metadata.is_file() && is_private(&metadata) {
        read_bounded(path)?
    } else {
        Vec::new()
    };
    if bytes.len() == KEY_BYTES {
        return Ok(Some(hmac::Key::new(hmac::HMAC_SHA256, &bytes)));
    }
    tracing::warn!(path = %path.display(), "the component cache's key is not private; it is replaced");
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

#[cfg(unix)]
mod private {
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };
    use std::path::Path;

    use super::CacheError;

    pub fn create_private_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    pub fn create_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    pub fn is_private(metadata: &Metadata) -> bool {
        metadata.mode() & 0o077 == 0
    }

    /// Makes the directory private. What others could put there before does not verify, unless
    /// they could read the key as well, which is checked by itself.
    pub fn claim(path: &Path, metadata: &Metadata) -> Result<(), CacheError> {
        let io = |source| CacheError::Io {
            path: path.to_owned(),
            source,
        };
        // The owner of a file that was just made is who this process is.
        let probe = super::temporary_in(path);
        let me = if is_private(metadata) {
            create_private_file(&probe).and_then(|file| file.metadata())
        } else {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .and_then(|()| create_private_file(&probe))
                .and_then(|file| file.metadata())
        };
        let _ = fs::remove_file(&probe);
        match me {
            Ok(me) if me.uid() == metadata.uid() => Ok(()),
            Ok(_) => Err(CacheError::Foreign {
                path: path.to_owned(),
                owner: metadata.uid(),
            }),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(CacheError::Foreign {
                    path: path.to_owned(),
                    owner: metadata.uid(),
                })
            }
            Err(error) => Err(io(error)),
        }
    }
}

#[cfg(not(unix))]
mod private {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    use super::CacheError;

    // A user's own profile directory, where caches live, is private by its inherited rights.
    pub fn create_private_directory(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    pub fn create_private_file(path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub fn is_private(_: &Metadata) -> bool {
        true
    }

    pub fn claim(_: &Path, _: &Metadata) -> Result<(), CacheError> {
        Ok(())
    }
}

use private::{claim, create_private_directory, create_private_file, is_private};
