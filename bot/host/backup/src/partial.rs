//! Archives that are not finished yet: hidden, locked by the process that writes them, and removed
//! when they are given up.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::{info, warn};

use crate::error::Error;
use crate::{CreateRequest, name};

/// What an earlier process left unfinished. One that is still being written is locked by the process
/// that writes it, and a lock ends with its process, whatever ended that.
pub(crate) fn remove_stale(destination: &Path, archive_name: &str) {
    let Ok(listing) = fs::read_dir(destination) else {
        return;
    };
    for item in listing.flatten() {
        let file_name = item.file_name();
        if !name::is_partial_of(archive_name, &file_name.to_string_lossy()) {
            continue;
        }
        let path = item.path();
        let Ok(file) = OpenOptions::new().read(true).open(&path) else {
            continue;
        };
        if file.try_lock().is_ok() {
            match fs::remove_file(&path) {
                Ok(()) => info!(file = %path.display(), "removed what a process left that is gone"),
                Err(error) => warn!(file = %path.display(), %error, "cannot remove a stale file"),
            }
        }
    }
}

/// A file that is removed unless it was published.
pub(crate) struct Partial {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

impl Partial {
    pub(crate) fn create(destination: &Path, request: &CreateRequest) -> Result<Self, Error> {
        for attempt in 0..100u32 {
            let unique = format!("{:x}-{:x}-{attempt}", std::process::id(), unique_number());
            let file_name =
                name::partial(&request.archive_name, request.now, request.format, &unique);
            let path = destination.join(file_name);
            let opened = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            let file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::io("create", &path, &error)),
            };
            let partial = Self { path, file };
            // Between its creation and its lock another process may have taken it for stale.
            let locked = partial.file.try_lock().is_ok();
            if locked && partial.file.metadata().is_ok_and(|data| data.nlink() == 1) {
                return Ok(partial);
            }
        }
        Err(Error::Failed(format!(
            "Cannot keep an unfinished file in {}: others remove it",
            destination.display()
        )))
    }

    /// Gives the file its name, and never takes the name of another.
    pub(crate) fn publish(
        self,
        destination: &Path,
        request: &CreateRequest,
    ) -> Result<PathBuf, Error> {
        for attempt in 1..10_000 {
            let stem = name::stem(&request.archive_name, request.now, attempt);
            if name::is_taken(destination, &stem) {
                continue;
            }
            let path = destination.join(format!("{stem}{}", request.format.ending()));
            // Unlike a rename, a link fails where the name is taken.
            match fs::hard_link(&self.path, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // A file system without hard links: nothing better than a rename.
                    return match fs::rename(&self.path, &path) {
                        Ok(()) => Ok(path),
                        Err(_) => Err(Error::io("create", &path, &error)),
                    };
                }
            }
        }
        Err(Error::Failed(format!(
            "There are thousands of archives of {} for the same second in {}",
            request.archive_name,
            destination.display()
        )))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Renamed, or removed by somebody: it is gone in either case.
        let _ = fs::remove_file(&self.path);
    }
}

fn unique_number() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::thread::current().id())
}
