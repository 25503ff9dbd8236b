//! Unpacking into a fresh directory that nobody else looks into yet.
//!
//! Links are made last, after every file was written, so that nothing is ever written through one;
//! an entry whose path leads through a link of the archive is refused. Modes and times of
//! directories come at the very end, when nothing changes them any more.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, fchown, lchown};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, futimens, utimensat};
use nix::sys::time::TimeSpec;
use xattr::FileExt as _;

use crate::RestoreReport;
use crate::check::Checker;
use crate::error::Error;
use crate::manifest::{Kind, Mtime};
use crate::member::{Member, Visitor};
use crate::safe_path;

/// Zeros are looked for in pieces of this size where the format knows no holes.
const HOLE: usize = 64 << 10;
const MAX_NOTES: usize = 50;

pub(crate) struct Extractor<'a> {
    root: &'a Path,
    pub(crate) checker: Checker<'a>,
    outside_links: bool,
    /// The archive cannot say where holes are.
    find_holes: bool,
    as_root: bool,
    placed: HashMap<PathBuf, Kind>,
    open: Option<OpenFile>,
    directories: Vec<(PathBuf, Member)>,
    links: Vec<(PathBuf, Member)>,
    /// Whether the archive says how the target itself is to be.
    pub(crate) has_root: bool,
    pub(crate) report: RestoreReport,
}

struct OpenFile {
    file: File,
    path: PathBuf,
    member: Member,
    written: u64,
}

impl<'a> Extractor<'a> {
    pub(crate) fn new(
        root: &'a Path,
        checker: Checker<'a>,
        outside_links: bool,
        find_holes: bool,
    ) -> Self {
        Self {
            root,
            checker,
            outside_links,
            find_holes,
            as_root: nix::unistd::geteuid().is_root(),
            placed: HashMap::new(),
            open: None,
            directories: Vec::new(),
            links: Vec::new(),
            has_root: false,
            report: RestoreReport::default(),
        }
    }

    /// Makes the links, and gives the directories their modes and times.
    pub(crate) fn finish(mut self) -> Result<(Checker<'a>, RestoreReport), Error> {
        for (relative, member) in std::mem::take(&mut self.links) {
            let path = self.root.join(&relative);
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&member.target), &path)
                .map_err(|error| Error::io("create the link", &path, &error))?;
            if self.as_root
                && let Some((uid, gid)) = member.owner
            {
                lchown(&path, Some(uid), Some(gid))
                    .map_err(|error| Error::io("set the owner of", &path, &error))?;
            }
            for (name, value) in &member.xattrs {
                let set = xattr::set(&path, std::ffi::OsStr::from_bytes(name), value);
                self.note_attribute(&relative, name, set);
            }
            if let Some(mtime) = member.mtime {
                let time = spec(mtime);
                utimensat(
                    AT_FDCWD,
                    &path,
                    &time,
                    &time,
                    UtimensatFlags::NoFollowSymlink,
                )
                .map_err(|error| Error::io("set the time of", &path, &error.into()))?;
            }
            self.report.symlinks += 1;
        }
        // Whatever lies deeper comes first: its creation changed the time of what is above it.
        let mut directories = std::mem::take(&mut self.directories);
        directories.sort_by_key(|(path, _)| std::cmp::Reverse(path.components().count()));
        for (relative, member) in directories {
            let path = self.root.join(&relative);
            if self.as_root
                && let Some((uid, gid)) = member.owner
            {
                chown(&path, Some(uid), Some(gid))
                    .map_err(|error| Error::io("set the owner of", &path, &error))?;
            }
            for (name, value) in &member.xattrs {
                let set = xattr::set(&path, std::ffi::OsStr::from_bytes(name), value);
                self.note_attribute(&relative, name, set);
            }
            let opened = File::open(&path).map_err(|error| Error::io("open", &path, &error))?;
            let mode = member.mode.unwrap_or(0o755);
            opened
                .set_permissions(Permissions::from_mode(mode))
                .map_err(|error| Error::io("set the mode of", &path, &error))?;
            set_time(&opened, &path, member.mtime)?;
        }
        Ok((self.checker, self.report))
    }

    /// Makes the directories that lead to an entry, and sees that they are directories.
    fn make_way(&mut self, relative: &Path, member: &Member) -> Result<(), Error> {
        let mut ancestors: Vec<&Path> = relative
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        ancestors.reverse();
        for ancestor in ancestors {
            match self.placed.get(ancestor) {
                Some(Kind::Directory) => {}
                Some(Kind::Symlink) => {
                    return Err(safe_path::refuse(
                        &member.path,
                        "leads through a symbolic link",
                    ));
                }
                Some(_) => {
                    return Err(safe_path::refuse(
                        &member.path,
                        "leads through something that is no directory",
                    ));
                }
                None => self.make_directory(ancestor)?,
            }
        }
        Ok(())
    }

    /// For its owner only until the end: what is in it may be meant for few.
    fn make_directory(&mut self, relative: &Path) -> Result<(), Error> {
        let path = self.root.join(relative);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::io("make the directory", &path, &error))?;
        self.placed.insert(relative.to_owned(), Kind::Directory);
        // One that the archive has no entry of gets what a new directory usually has.
        let plain = Member {
            path: relative.as_os_str().as_bytes().to_vec(),
            kind: Kind::Directory,
            size: 0,
            mode: Some(0o755),
            owner: None,
            mtime: None,
            target: Vec::new(),
            xattrs: Vec::new(),
            from_dos: false,
        };
        self.directories.push((relative.to_owned(), plain));
        self.report.directories += 1;
        Ok(())
    }

    fn directory(&mut self, relative: PathBuf, member: &Member) -> Result<(), Error> {
        if relative.as_os_str().is_empty() {
            self.has_root = true;
            self.directories.push((relative, member.clone()));
            return Ok(());
        }
        self.make_way(&relative, member)?;
        match self.placed.get(&relative) {
            None => self.make_directory(&relative)?,
            Some(Kind::Directory) => {}
            Some(_) => {
                return Err(safe_path::refuse(
                    &member.path,
                    "is there twice, as different things",
                ));
            }
        }
        if let Some((_, kept)) = self
            .directories
            .iter_mut()
            .rfind(|(path, _)| *path == relative)
        {
            *kept = member.clone();
        }
        Ok(())
    }

    fn file(&mut self, relative: PathBuf, member: &Member) -> Result<(), Error> {
        self.take_place(&relative, member)?;
        let path = self.root.join(&relative);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::io("create", &path, &error))?;
        self.placed.insert(relative, Kind::File);
        self.report.files += 1;
        self.report.bytes = self.report.bytes.saturating_add(member.size);
        self.open = Some(OpenFile {
            file,
            path,
            member: member.clone(),
            written: 0,
        });
        Ok(())
    }

    fn hard_link(&mut self, relative: PathBuf, member: &Member) -> Result<(), Error> {
        let first = safe_path::entry(&member.target, member.from_dos).map_err(|_| {
            safe_path::refuse(
                &member.path,
                "is a hard link to a file outside of the target",
            )
        })?;
        if self.placed.get(&first) != Some(&Kind::File) || first == relative {
            return Err(safe_path::refuse(
                &member.path,
                "is a hard link to something that is no file of the archive before it",
            ));
        }
        self.take_place(&relative, member)?;
        let path = self.root.join(&relative);
        fs::hard_link(self.root.join(&first), &path)
            .map_err(|error| Error::io("create the hard link", &path, &error))?;
        self.placed.insert(relative, Kind::File);
        self.report.hard_links += 1;
        Ok(())
    }

    fn symlink(&mut self, relative: PathBuf, member: &Member) -> Result<(), Error> {
        if relative.as_os_str().is_empty() {
            return Err(safe_path::refuse(
                &member.path,
                "would make the target itself a symbolic link",
            ));
        }
        if !self.outside_links && !safe_path::stays_inside(&relative, &member.target) {
            let why = format!(
                "is a symbolic link to {:?}, which leaves the target",
                String::from_utf8_lossy(&member.target)
            );
            return Err(safe_path::refuse(&member.path, &why));
        }
        self.take_place(&relative, member)?;
        self.links.retain(|(path, _)| *path != relative);
        self.placed.insert(relative.clone(), Kind::Symlink);
        self.links.push((relative, member.clone()));
        Ok(())
    }

    /// A tar that was appended to holds a file twice, and the later one counts.
    fn take_place(&mut self, relative: &Path, member: &Member) -> Result<(), Error> {
        if relative.as_os_str().is_empty() {
            return Err(safe_path::refuse(
                &member.path,
                "would replace the target itself",
            ));
        }
        self.make_way(relative, member)?;
        match self.placed.get(relative) {
            None => Ok(()),
            Some(Kind::File) if member.kind != Kind::Symlink => {
                let path = self.root.join(relative);
                fs::remove_file(&path).map_err(|error| Error::io("replace", &path, &error))
            }
            Some(Kind::Symlink) if member.kind == Kind::Symlink => Ok(()),
            Some(_) => Err(safe_path::refuse(
                &member.path,
                "is there twice, as different things",
            )),
        }
    }

    fn end_of_file(&mut self, open: OpenFile) -> Result<(), Error> {
        let OpenFile {
            file,
            path,
            member,
            written,
        } = open;
        // A hole at the end was only skipped over.
        file.set_len(written)
            .map_err(|error| Error::io("write", &path, &error))?;
        if self.as_root
            && let Some((uid, gid)) = member.owner
        {
            fchown(&file, Some(uid), Some(gid))
                .map_err(|error| Error::io("set the owner of", &path, &error))?;
        }
        // After the owner, whose change takes the set-user-ID bit away.
        let mode = member.mode.unwrap_or(0o644);
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(|error| Error::io("set the mode of", &path, &error))?;
        for (name, value) in &member.xattrs {
            let set = file.set_xattr(std::ffi::OsStr::from_bytes(name), value);
            self.note_attribute(
                Path::new(std::ffi::OsStr::from_bytes(&member.path)),
                name,
                set,
            );
        }
        set_time(&file, &path, member.mtime)
    }

    fn note_attribute(&mut self, path: &Path, name: &[u8], set: std::io::Result<()>) {
        if let Err(error) = set
            && self.report.notes.len() < MAX_NOTES
        {
            self.report.notes.push(format!(
                "Attribute {} of {} could not be set: {error}",
                String::from_utf8_lossy(name),
                path.display()
            ));
        }
    }
}

impl Visitor for Extractor<'_> {
    fn begin(&mut self, member: &Member) -> Result<(), Error> {
        let relative = safe_path::entry(&member.path, member.from_dos)?;
        match member.kind {
            Kind::Directory => self.directory(relative, member)?,
            Kind::File => self.file(relative, member)?,
            Kind::HardLink => self.hard_link(relative, member)?,
            Kind::Symlink => self.symlink(relative, member)?,
            Kind::Special => {
                return Err(safe_path::refuse(
                    &member.path,
                    "is a device, a named pipe or a socket",
                ));
            }
        }
        self.checker.begin(member)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.checker.data(bytes)?;
        let find_holes = self.find_holes;
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let failed = |error: std::io::Error| Error::io("write", &open.path, &error);
        if !find_holes {
            open.file.write_all(bytes).map_err(failed)?;
            open.written += bytes.len() as u64;
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let aligned = HOLE - (open.written % HOLE as u64) as usize;
            let (part, others) = rest.split_at(aligned.min(rest.len()));
            if part.iter().all(|byte| *byte == 0) {
                open.file
                    .seek(SeekFrom::Current(part.len() as i64))
                    .map_err(failed)?;
            } else {
                open.file.write_all(part).map_err(failed)?;
            }
            open.written += part.len() as u64;
            rest = others;
        }
        Ok(())
    }

    fn hole(&mut self, bytes: u64) -> Result<(), Error> {
        self.checker.hole(bytes)?;
        if let Some(open) = &mut self.open {
            open.written += bytes;
            open.file
                .seek(SeekFrom::Start(open.written))
                .map_err(|error| Error::io("write", &open.path, &error))?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if let Some(open) = self.open.take() {
            self.end_of_file(open)?;
        }
        self.checker.end()
    }
}

fn set_time(file: &File, path: &Path, mtime: Option<Mtime>) -> Result<(), Error> {
    let Some(mtime) = mtime else {
        return Ok(());
    };
    let time = spec(mtime);
    futimens(file.as_fd(), &time, &time)
        .map_err(|error| Error::io("set the time of", path, &error.into()))
}

fn spec(mtime: Mtime) -> TimeSpec {
    TimeSpec::new(mtime.seconds, i64::from(mtime.nanoseconds))
}
