//! What was written below a directory since a time.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use walkdir::WalkDir;

use crate::Written;
use crate::control::Control;
use crate::error::Error;

pub(crate) fn since(
    directory: &Path,
    since: Timestamp,
    control: &Control,
) -> Result<Written, Error> {
    let root = directory
        .canonicalize()
        .map_err(|error| Error::io("read", directory, &error))?;
    let mut written = Written {
        files: 0,
        bytes: 0,
        last_write: since,
    };
    let mut newest = None;
    for item in WalkDir::new(&root).follow_links(false) {
        control.check()?;
        let data = item.and_then(|item| item.metadata());
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                let vanished = error
                    .io_error()
                    .is_some_and(|error| error.kind() == ErrorKind::NotFound);
                if vanished && error.path() != Some(&root) {
                    continue;
                }
                let path = error.path().unwrap_or(&root).to_owned();
                let error = error
                    .into_io_error()
                    .unwrap_or_else(|| ErrorKind::Other.into());
                return Err(Error::io("read", &path, &error));
            }
        };
        if !data.is_file() && !data.is_symlink() {
            continue;
        }
        let nanoseconds = i32::try_from(data.mtime_nsec()).unwrap_or(0);
        // A time that no calendar has is as far away as can be said.
        let time = Timestamp::new(data.mtime(), nanoseconds).unwrap_or(if data.mtime() < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        });
        newest = newest.max(Some(time));
        if time >= since {
            written.files += 1;
            written.bytes += data.len();
        }
    }
    written.last_write = newest.unwrap_or(since);
    Ok(written)
}
