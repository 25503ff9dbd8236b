//! Reading a directory that is in use.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::{Whence, lseek};
use walkdir::WalkDir;
use xattr::FileExt as _;

use crate::control::Control;
use crate::error::Error;
use crate::manifest::{Change, EntryPath, Kind, Mtime, Skipped};

/// More pieces than this are joined over their smallest holes: a map of a sparse file is read in
/// one go.
const MAX_EXTENTS: usize = 4096;

/// Everything below a directory at one moment.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) found: Vec<Found>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) changed: Vec<Change>,
    pub(crate) files: u64,
    /// Of all files, holes left out.
    pub(crate) data_bytes: u64,
}

pub(crate) struct Found {
    /// Relative to the root; `.` for the root itself.
    pub(crate) relative: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) stat: Stat,
    /// Where a symbolic link points.
    pub(crate) target: Option<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) links: u64,
    pub(crate) size: u64,
    /// On the disk: less than the size where there are holes.
    pub(crate) allocated: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Mtime,
}

/// A piece of a file that is not a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl Stat {
    pub(crate) fn new(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
            links: data.nlink(),
            size: data.size(),
            allocated: data.blocks().saturating_mul(512),
            mode: data.mode() & 0o7777,
            uid: data.uid(),
            gid: data.gid(),
            mtime: Mtime {
                seconds: data.mtime(),
                nanoseconds: u32::try_from(data.mtime_nsec()).unwrap_or(0),
            },
        }
    }
}

/// Lists everything, in the order of names, without following a link.
pub(crate) fn walk(root: &Path, control: &Control) -> Result<Tree, Error> {
    let mut tree = Tree {
        root: root.to_owned(),
        found: Vec::new(),
        skipped: Vec::new(),
        changed: Vec::new(),
        files: 0,
        data_bytes: 0,
    };
    for item in WalkDir::new(root).follow_links(false).sort_by_file_name() {
        control.check()?;
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                tree.forgive_vanished(error.path().unwrap_or(root), error.io_error())?;
                continue;
            }
        };
        let path = item.path();
        let data = match path.symlink_metadata() {
            Ok(data) => data,
            Err(error) => {
                tree.forgive_vanished(path, Some(&error))?;
                continue;
            }
        };
        tree.add(path, &data)?;
    }
    Ok(tree)
}

impl Tree {
    fn add(&mut self, path: &Path, data: &Metadata) -> Result<(), Error> {
        let relative = self.relative(path);
        let kind = data.file_type();
        let mut stat = Stat::new(data);
        let mut target = None;
        let kind = if kind.is_dir() {
            stat.size = 0;
            Kind::Directory
        } else if kind.is_file() {
            self.files += 1;
            self.data_bytes += stat.size.min(stat.allocated.max(1));
            Kind::File
        } else if kind.is_symlink() {
            stat.size = 0;
            match path.read_link() {
                Ok(link) => target = Some(link.as_os_str().as_bytes().to_vec()),
                Err(error) => return self.forgive_vanished(path, Some(&error)),
            }
            Kind::Symlink
        } else {
            let what = if kind.is_socket() {
                "socket"
            } else if kind.is_fifo() {
                "named pipe"
            } else {
                "device"
            };
            self.skipped.push(Skipped {
                path: EntryPath::from(&*relative),
                what: what.to_owned(),
            });
            return Ok(());
        };
        self.found.push(Found {
            relative,
            kind,
            stat,
            target,
        });
        Ok(())
    }

    fn relative(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(relative) if !relative.as_os_str().is_empty() => relative.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    /// A service that still works removes files while they are listed; that is no failure. What
    /// cannot be read is one: the archive would not be complete.
    fn forgive_vanished(&mut self, path: &Path, error: Option<&io::Error>) -> Result<(), Error> {
        let vanished = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        if path != self.root && error.is_some_and(vanished) {
            self.changed.push(Change {
                path: EntryPath::from(&*self.relative(path)),
                what: "vanished while the directory was listed".to_owned(),
            });
            return Ok(());
        }
        let unknown = io::Error::other("the directory tree loops");
        Err(Error::io("read", path, error.unwrap_or(&unknown)))
    }
}

/// A file that is being read, and what it was like when it was opened.
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    pub(crate) stat: Stat,
}

impl OpenFile {
    /// `None` when it has vanished, or is no file any more.
    pub(crate) fn open(root: &Path, found: &Found) -> Result<Option<Self>, Error> {
        let path = root.join(&found.relative);
        // Neither a link nor a named pipe that has taken the file's place may hold this up.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(O_NOFOLLOW | O_NONBLOCK)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(Errno::ELOOP as i32) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("open", &path, &error)),
        };
        let data = file
            .metadata()
            .map_err(|error| Error::io("read", &path, &error))?;
        if !data.is_file() {
            return Ok(None);
        }
        Ok(Some(Self {
            file,
            path,
            stat: Stat::new(&data),
        }))
    }

    /// The pieces of a file with holes; `None` for a file without.
    pub(crate) fn extents(&self) -> Option<Vec<Extent>> {
        if self.stat.allocated >= self.stat.size {
            return None;
        }
        let size = i64::try_from(self.stat.size).ok()?;
        let mut extents = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match lseek(&self.file, at, Whence::SeekData) {
                Ok(start) => start,
                // Nothing but a hole up to the end.
                Err(Errno::ENXIO) => break,
                // A file system that does not know of holes.
                Err(_) => return None,
            };
            let end = lseek(&self.file, start, Whence::SeekHole).ok()?.min(size);
            if start >= end {
                break;
            }
            extents.push(Extent {
                offset: u64::try_from(start).ok()?,
                length: u64::try_from(end - start).ok()?,
            });
            at = end;
        }
        // Blocks of a tar are 512 bytes, and pieces begin and end with them.
        for extent in &mut extents {
            let start = extent.offset & !511;
            let end = (extent.offset + extent.length)
                .next_multiple_of(512)
                .min(self.stat.size);
            *extent = Extent {
                offset: start,
                length: end - start,
            };
        }
        let extents = joined(extents);
        match extents.as_slice() {
            [whole] if whole.length == self.stat.size => None,
            _ => Some(extents),
        }
    }

    /// What makes the copy of the file doubtful, if anything: `missing` bytes were not there to
    /// read.
    pub(crate) fn change(&self, missing: u64) -> Option<String> {
        if missing > 0 {
            return Some(format!(
                "shrank while it was read; its last {missing} bytes are zeros in the archive"
            ));
        }
        let now = Stat::new(&self.file.metadata().ok()?);
        if now.size > self.stat.size {
            return Some(format!(
                "grew by {} bytes while it was read; they are not in the archive",
                now.size - self.stat.size
            ));
        }
        if now.size < self.stat.size {
            return Some(format!(
                "shrank by {} bytes after it was read",
                self.stat.size - now.size
            ));
        }
        if now.mtime != self.stat.mtime {
            return Some("was written to while it was read".to_owned());
        }
        match self.path.symlink_metadata() {
            Ok(data) if data.ino() == self.stat.inode && data.dev() == self.stat.device => None,
            Ok(_) => {
                Some("was replaced while it was read; the archive holds the old one".to_owned())
            }
            Err(_) => Some("was removed while it was read; the archive holds it".to_owned()),
        }
    }

    pub(crate) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        collect(self.file.list_xattr(), |name| self.file.get_xattr(name))
    }
}

/// Of a directory or a link.
pub(crate) fn xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    collect(xattr::list(path), |name| xattr::get(path, name))
}

/// Labels of security modules belong to the machine and not to the data; what a user or an
/// administrator has set belongs to the data. A file system without attributes has none.
fn collect(
    names: io::Result<xattr::XAttrs>,
    get: impl Fn(&std::ffi::OsStr) -> io::Result<Option<Vec<u8>>>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Ok(names) = names else {
        return Vec::new();
    };
    names
        .filter(|name| {
            let name = name.as_bytes();
            name.starts_with(b"user.")
                || name.starts_with(b"trusted.")
                || name.starts_with(b"system.posix_acl_")
                || name == b"security.capability"
        })
        .filter_map(|name| Some((name.as_bytes().to_vec(), get(&name).ok()??)))
        .collect()
}

fn joined(mut extents: Vec<Extent>) -> Vec<Extent> {
    let mut smallest_hole = 1;
    loop {
        let mut result: Vec<Extent> = Vec::with_capacity(extents.len());
        for extent in extents {
            let end = extent.offset + extent.length;
            match result.last_mut() {
                // Rounding to blocks may have made neighbours touch or overlap.
                Some(last)
                    if extent.offset.saturating_sub(last.offset + last.length) < smallest_hole =>
                {
                    last.length = last.length.max(end - last.offset);
                }
                _ => result.push(extent),
            }
        }
        if result.len() <= MAX_EXTENTS {
            return result;
        }
        extents = result;
        smallest_hole = (smallest_hole * 2).max(4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_with_too_many_pieces_gives_up_its_smallest_holes() {
        let mut extents = Vec::new();
        let mut offset = 0;
        for piece in 0..10_000u64 {
            extents.push(Extent {
                offset,
                length: 4096,
            });
            offset += 4096 + if piece % 5 == 0 { 1 << 20 } else { 4096 };
        }
        let end = extents[9_999].offset + 4096;
        let joined = joined(extents);
        assert_eq!(joined.len(), 2_000 + 1);
        assert!(
            joined
                .windows(2)
                .all(|pair| pair[0].offset + pair[0].length < pair[1].offset)
        );
        assert_eq!(joined[2_000].offset + joined[2_000].length, end);
    }
}
