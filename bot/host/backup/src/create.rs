//! Making an archive: from the directory to a verified file with a manifest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use tracing::info;

use crate::compress::{Blocks, Codec, Compressed, block_size, compress};
use crate::control::{Control, Phase};
use crate::error::Error;
use crate::manifest::{Change, Entry, EntryPath, Kind, Manifest, Skipped};
use crate::member::Reading;
use crate::partial::{self, Partial};
use crate::source::{Extent, Found, OpenFile, Stat, Tree, walk, xattrs};
use crate::space::readable;
use crate::tar_write::TarSink;
use crate::zip_write::ZipSink;
use crate::{Archive, ArchiveFormat, ArchiverConfig, CreateRequest, check, name, space};

/// Room for the headers of an entry and its line in the manifest.
const BYTES_PER_ENTRY: u64 = 2048;

const REPORT_EVERY: u64 = 4 << 20;

/// A format that entries are written to, one after the other.
pub(crate) trait EntrySink {
    /// A file's content follows: `room` and `filled` in turns, `hole`, and `end_of_file`.
    fn begin(
        &mut self,
        entry: &Entry,
        xattrs: &[(Vec<u8>, Vec<u8>)],
        extents: Option<&[Extent]>,
    ) -> Result<(), Error>;
    /// Where the next bytes of the file go; never empty.
    fn room(&mut self) -> Result<&mut [u8], Error>;
    fn filled(&mut self, count: usize) -> Result<(), Error>;
    fn hole(&mut self, bytes: u64) -> Result<(), Error>;
    fn end_of_file(&mut self) -> Result<(), Error>;

    /// What the format can hold.
    fn has_root(&self) -> bool {
        true
    }
    fn has_hard_links(&self) -> bool {
        true
    }
    fn has_xattrs(&self) -> bool {
        true
    }
}

/// An archive that lies under its name, synced, and was not read back yet: it does not count.
#[derive(Debug)]
pub struct Unverified {
    path: PathBuf,
    manifest: Manifest,
}

impl Unverified {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the archive itself.
    pub fn bytes(&self) -> u64 {
        self.manifest.bytes
    }
}

impl ArchiverConfig {
    pub(crate) fn thread_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        self.threads.map_or_else(cores, std::num::NonZeroUsize::get)
    }
}

pub(crate) fn write(
    request: &CreateRequest,
    config: &ArchiverConfig,
    control: &Control,
) -> Result<Unverified, Error> {
    name::check(&request.archive_name)?;
    let directory = request
        .directory
        .canonicalize()
        .map_err(|error| Error::io("archive", &request.directory, &error))?;
    if !directory.is_dir() {
        return Err(Error::Failed(format!(
            "{} is not a directory",
            request.directory.display()
        )));
    }
    let destination = prepare_destination(&request.destination, &directory)?;
    partial::remove_stale(&destination, &request.archive_name);
    let tree = walk(&directory, control)?;
    if tree.files == 0 {
        return Err(Error::Empty(format!(
            "There is no file in {}; an empty backup is not a backup",
            request.directory.display()
        )));
    }
    check_space(&tree, &destination, config)?;
    let partial = Partial::create(&destination, request)?;
    let (contents, compressed) = pack(&tree, &partial, request.format, config, control)?;
    partial
        .file
        .sync_all()
        .map_err(|error| Error::io("sync", &partial.path, &error))?;
    let path = partial.publish(&destination, request)?;
    sync_directory(&destination)?;
    let mut entries = contents.entries;
    let mut digests = compressed.digests.into_iter();
    for entry in entries.iter_mut().filter(|entry| entry.kind == Kind::File) {
        entry.sha256 = digests.next();
    }
    let files = || entries.iter().filter(|entry| entry.kind == Kind::File);
    let manifest = Manifest {
        version: Manifest::current_version(),
        archive: file_name(&path),
        format: request.format,
        operation: request.operation_label.clone(),
        directory: EntryPath::from(&*directory),
        created: request.now,
        bytes: compressed.file.bytes,
        sha256: compressed.file.sha256,
        files: files().count() as u64,
        data_bytes: files().map(|entry| entry.size).sum(),
        changed: [tree.changed, contents.changed].concat(),
        skipped: [tree.skipped, contents.skipped].concat(),
        frames: compressed.frames,
        entries,
    };
    Ok(Unverified { path, manifest })
}

pub(crate) fn read_back(
    written: Unverified,
    config: &ArchiverConfig,
    control: &Control,
) -> Result<Archive, Error> {
    let Unverified { path, manifest } = written;
    let reading = Reading {
        threads: config.thread_count(),
        control,
    };
    match check::compare(&path, &manifest, reading) {
        Ok(()) => {}
        Err(Error::Mismatch(what)) => {
            let mut damaged = path.clone().into_os_string();
            damaged.push(".damaged");
            let kept = match fs::rename(&path, &damaged) {
                Ok(()) => format!("it was kept as {}", Path::new(&damaged).display()),
                Err(error) => format!("it is still there and must not be used ({error})"),
            };
            return Err(Error::Mismatch(format!(
                "The archive {} was read back and is not what was written; {kept}. {what}",
                path.display()
            )));
        }
        Err(other) => return Err(other),
    }
    write_manifest(&path, &manifest)?;
    info!(archive = %path.display(), bytes = manifest.bytes, files = manifest.files, "archive written and read back");
    archive_of(&path, &manifest)
}

/// The record of an archive that was read back and agreed with its manifest.
pub(crate) fn archive_of(path: &Path, manifest: &Manifest) -> Result<Archive, Error> {
    Ok(Archive {
        name: file_name(path),
        path: path_text(path)?,
        created: manifest.created,
        bytes: manifest.bytes,
        files: manifest.files,
        sha256: manifest.sha256.to_string(),
        verified: true,
        changed: manifest.changed.iter().map(Change::sentence).collect(),
    })
}

pub(crate) fn path_text(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::Failed(format!(
            "The path {} is not valid UTF-8; use another destination",
            path.display()
        ))
    })
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

pub(crate) fn sync_directory(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|opened| opened.sync_all())
        .map_err(|error| Error::io("sync", directory, &error))
}

fn prepare_destination(destination: &Path, directory: &Path) -> Result<PathBuf, Error> {
    // An archive holds everything that the directory's own permissions may protect.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(destination)
        .map_err(|error| Error::io("make the directory", destination, &error))?;
    let destination = destination
        .canonicalize()
        .map_err(|error| Error::io("use", destination, &error))?;
    if destination.starts_with(directory) {
        return Err(Error::Failed(format!(
            "The archive would be written to {}, inside {} which it is made of; use another destination",
            destination.display(),
            directory.display()
        )));
    }
    path_text(&destination)?;
    Ok(destination)
}

fn check_space(tree: &Tree, destination: &Path, config: &ArchiverConfig) -> Result<(), Error> {
    let data = u128::from(tree.data_bytes) * u128::from(config.space_percent) / 100;
    let entries = tree.found.len() as u128 * u128::from(BYTES_PER_ENTRY);
    let needed = u64::try_from(data + entries + u128::from(config.reserve)).unwrap_or(u64::MAX);
    let free = space::free(destination)?;
    if needed > free {
        return Err(Error::NoSpace(format!(
            "Archiving {} ({} in {} files) is only begun when {} are free in {}, and {} are; make room there or \
             use another destination",
            tree.root.display(),
            readable(tree.data_bytes),
            tree.files,
            readable(needed),
            destination.display(),
            readable(free)
        )));
    }
    Ok(())
}

fn write_manifest(archive: &Path, manifest: &Manifest) -> Result<(), Error> {
    let path = name::manifest_path(archive);
    let destination = archive.parent().unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| Error::io("write", &path, &error);
    let partial = tempfile::Builder::new()
        .prefix(&format!(".{}.", file_name(&path)))
        .suffix(name::PARTIAL_ENDING)
        .tempfile_in(destination)
        .map_err(failed)?;
    // Unlocked it would look like what a process left that is gone.
    partial
        .as_file()
        .try_lock()
        .map_err(|error| failed(error.into()))?;
    manifest.write_to(partial.as_file(), partial.path())?;
    partial
        .persist(&path)
        .map_err(|error| failed(error.error))?;
    sync_directory(destination)
}

fn pack(
    tree: &Tree,
    partial: &Partial,
    format: ArchiveFormat,
    config: &ArchiverConfig,
    control: &Control,
) -> Result<(Contents, Compressed), Error> {
    let codec = match format {
        ArchiveFormat::TarZst => Codec::Zstd {
            level: config.zstd_level,
        },
        ArchiveFormat::TarGz => Codec::Gzip {
            level: config.gzip_level,
        },
        ArchiveFormat::Zip => {
            let mut sink = ZipSink::new(&partial.file, &partial.path);
            let contents = Contents::write(tree, &mut sink, control)?;
            return Ok((contents, sink.finish()?));
        }
    };
    let threads = config.thread_count();
    let size = block_size(tree.data_bytes, threads);
    let produce = |blocks: &mut Blocks| {
        let mut sink = TarSink::new(blocks);
        let contents = Contents::write(tree, &mut sink, control)?;
        sink.finish()?;
        Ok(contents)
    };
    compress(&partial.file, &partial.path, codec, threads, size, produce)
}

/// What went into an archive.
#[derive(Default)]
struct Contents {
    entries: Vec<Entry>,
    changed: Vec<Change>,
    skipped: Vec<Skipped>,
    /// Files with several names, by device and inode, once one of the names is in the archive.
    linked: HashMap<(u64, u64), EntryPath>,
    read: u64,
    reported: u64,
}

impl Contents {
    fn write(tree: &Tree, sink: &mut impl EntrySink, control: &Control) -> Result<Self, Error> {
        let mut contents = Self::default();
        for found in &tree.found {
            control.check()?;
            if found.kind == Kind::File {
                contents.file(tree, found, sink, control)?;
            } else if found.relative != Path::new(".") || sink.has_root() {
                let attributes = xattrs(&tree.root.join(&found.relative));
                let mut entry = entry(found, found.kind, &found.stat);
                entry.target = found.target.clone().map(EntryPath);
                contents.add(entry, &attributes, None, sink)?;
            }
        }
        Ok(contents)
    }

    fn add(
        &mut self,
        entry: Entry,
        attributes: &[(Vec<u8>, Vec<u8>)],
        extents: Option<&[Extent]>,
        sink: &mut impl EntrySink,
    ) -> Result<(), Error> {
        // `=` ends the name in a record of a tar.
        let (kept, lost): (Vec<_>, Vec<_>) = attributes
            .iter()
            .cloned()
            .partition(|(name, _)| sink.has_xattrs() && !name.contains(&b'='));
        for (name, _) in lost {
            self.skipped.push(Skipped {
                path: entry.path.clone(),
                what: format!("attribute {}", String::from_utf8_lossy(&name)),
            });
        }
        sink.begin(&entry, &kept, extents)?;
        self.entries.push(entry);
        Ok(())
    }

    fn file(
        &mut self,
        tree: &Tree,
        found: &Found,
        sink: &mut impl EntrySink,
        control: &Control,
    ) -> Result<(), Error> {
        let identity = (found.stat.device, found.stat.inode);
        if found.stat.links > 1
            && sink.has_hard_links()
            && let Some(first) = self.linked.get(&identity)
        {
            let mut link = entry(found, Kind::HardLink, &found.stat);
            link.size = 0;
            link.target = Some(first.clone());
            return self.add(link, &[], None, sink);
        }
        let path = EntryPath::from(&*found.relative);
        let Some(open) = OpenFile::open(&tree.root, found)? else {
            self.changed.push(Change {
                path,
                what: "vanished before it was read; it is not in the archive".to_owned(),
            });
            return Ok(());
        };
        let extents = open.extents();
        let attributes = open.xattrs();
        let opened = entry(found, Kind::File, &open.stat);
        self.add(opened, &attributes, extents.as_deref(), sink)?;
        let missing = self.content(tree, &open, extents.as_deref(), sink, control)?;
        sink.end_of_file()?;
        if let Some(what) = open.change(missing) {
            self.changed.push(Change {
                path: path.clone(),
                what,
            });
        }
        if found.stat.links > 1 {
            self.linked
                .insert((open.stat.device, open.stat.inode), path);
        }
        Ok(())
    }

    /// Exactly as many bytes as the file had when it was opened. Returns how many were not there.
    fn content(
        &mut self,
        tree: &Tree,
        open: &OpenFile,
        extents: Option<&[Extent]>,
        sink: &mut impl EntrySink,
        control: &Control,
    ) -> Result<u64, Error> {
        let whole = [Extent {
            offset: 0,
            length: open.stat.size,
        }];
        let mut at = 0;
        let mut missing = 0;
        for extent in extents.unwrap_or(&whole) {
            if extent.offset > at {
                sink.hole(extent.offset - at)?;
            }
            at = extent.offset;
            let end = extent.offset + extent.length;
            while at < end {
                control.check()?;
                let room = sink.room()?;
                let wanted = usize::try_from(end - at)
                    .unwrap_or(usize::MAX)
                    .min(room.len());
                let room = &mut room[..wanted];
                let count = open
                    .file
                    .read_at(room, at)
                    .map_err(|error| Error::io("read", &open.path, &error))?;
                let count = if count == 0 {
                    // The file was cut; its place in the archive was not.
                    room.fill(0);
                    missing += wanted as u64;
                    wanted
                } else {
                    count
                };
                sink.filled(count)?;
                at += count as u64;
                self.read += count as u64;
                if self.read - self.reported >= REPORT_EVERY {
                    self.reported = self.read;
                    control.report(Phase::Writing, self.read, tree.data_bytes.max(self.read));
                }
            }
        }
        if at < open.stat.size {
            sink.hole(open.stat.size - at)?;
        }
        Ok(missing)
    }
}

fn entry(found: &Found, kind: Kind, stat: &Stat) -> Entry {
    Entry {
        path: EntryPath::from(&*found.relative),
        kind,
        size: stat.size,
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        mtime: stat.mtime,
        sha256: None,
        target: None,
    }
}
