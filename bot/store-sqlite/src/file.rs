//! The file and its directory: for the owner only, and there after a loss of power.

use std::fs;
use std::io;
use std::path::Path;

use crate::fault::Fault;

/// Makes the file and its directories where they are missing. Blocking.
pub(crate) fn make(path: &Path) -> Result<(), Fault> {
    if path.is_dir() {
        return Err(Fault::IsDirectory);
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let made_directory = !directory.exists();
    if made_directory {
        make_directory(directory).map_err(|error| Fault::Io {
            doing: "making the directory of",
            error,
        })?;
    }
    match make_file(path) {
        Ok(()) => {
            sync(directory).map_err(|error| Fault::Io {
                doing: "syncing the directory of",
                error,
            })?;
            if made_directory && let Some(above) = directory.parent() {
                let above = if above.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    above
                };
                sync(above).map_err(|error| Fault::Io {
                    doing: "syncing the directory of",
                    error,
                })?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Fault::Io {
            doing: "creating",
            error,
        }),
    }
}

#[cfg(unix)]
fn make_directory(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

#[cfg(not(unix))]
fn make_directory(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

/// SQLite gives the log and the shared memory beside it the same mode.
fn make_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.sync_all()
}

#[cfg(unix)]
fn sync(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_directory: &Path) -> io::Result<()> {
    Ok(())
}
