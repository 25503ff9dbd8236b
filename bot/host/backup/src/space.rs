//! How much room there is.

use std::path::Path;

use nix::sys::statvfs::statvfs;

use crate::error::Error;

/// Bytes that this user may still write below a directory.
pub(crate) fn free(directory: &Path) -> Result<u64, Error> {
    let space = statvfs(directory)
        .map_err(|error| Error::io("ask for the free space of", directory, &error.into()))?;
    // The types of the fields differ between platforms.
    #[allow(clippy::useless_conversion)]
    let bytes = u64::from(space.blocks_available()) * u64::from(space.fragment_size());
    Ok(bytes)
}

/// For a path that may not exist itself.
pub(crate) fn free_below(path: &Path) -> Option<u64> {
    path.ancestors()
        .find(|directory| directory.is_dir())
        .and_then(|directory| free(directory).ok())
}

/// `1.4 GiB`
pub(crate) fn readable(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}
