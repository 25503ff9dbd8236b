//! Replacing a file as a whole, so that a reader or a loss of power sees the old one or the new one.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A registry file is small. A larger one is a mistake, and is not read into memory.
const LARGEST: u64 = 16 * 1024 * 1024;

const POLL: Duration = Duration::from_millis(10);

/// Held by whoever changes the file. Released when it is dropped, also by the end of the process.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// The lock is on a file beside the one it guards, since that one is replaced. It is never
    /// removed: somebody may be waiting for it.
    pub fn acquire(guarded: &Path, limit: Duration) -> io::Result<Self> {
        let path = beside(guarded, ".lock");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= limit => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("another process has held {} for {limit:?}", path.display()),
                    ));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
            }
        }
    }
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other(format!(
            "it is larger than {LARGEST} bytes"
        ))),
        false => Ok(bytes),
    }
}

/// Replaces the file. The caller holds its lock. Mode and owner stay as they are.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let before = fs::metadata(path)?;
    write_whole(path, bytes, |file| {
        let mode = before.permissions().mode() & 0o7777;
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (before.uid(), before.gid())
            && let Err(error) = fchown(file, Some(before.uid()), Some(before.gid()))
        {
            // A file that everybody may read loses no reader by a new owner.
            const OTHERS_READ: u32 = 0o004;
            if mode & OTHERS_READ == 0 {
                return Err(io::Error::new(
                    error.kind(),
                    format!(
                        "it belongs to user {} and group {}, which a new file cannot be given: \
                         {error}",
                        before.uid(),
                        before.gid()
                    ),
                ));
            }
        }
        // After the change of owner, which clears bits.
        file.set_permissions(fs::Permissions::from_mode(mode))
    })
}

/// Writes a file that is not there yet. The caller holds its lock.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    const MODE: u32 = 0o644;
    write_whole(path, bytes, |file| {
        file.set_permissions(fs::Permissions::from_mode(MODE))
    })
}

fn write_whole(
    path: &Path,
    bytes: &[u8],
    prepare: impl Fn(&File) -> io::Result<()>,
) -> io::Result<()> {
    let partial = beside(path, ".partial");
    // Left behind by a process that was killed: the lock says that nobody is writing it.
    match fs::remove_file(&partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            prepare(&file)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&partial);
        return Err(error);
    }
    // The rename itself has to reach the disk as well.
    File::open(directory(path))?.sync_all()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}
