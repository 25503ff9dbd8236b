//! Directories to archive, and the means to compare them.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use rollbot_host_backup::{
    Archive, ArchiveFormat, Archiver, ArchiverConfig, Archives, Control, CreateRequest, Error,
    Manifest, manifest_path,
};
use sha2::{Digest, Sha256};

pub const FORMATS: [ArchiveFormat; 3] = [
    ArchiveFormat::TarZst,
    ArchiveFormat::TarGz,
    ArchiveFormat::Zip,
];
pub const NOW: &str = "2026-11-22T19:56:00.5Z";

/// A directory of a test's own, with `data` to archive and `archives` to put them in.
pub struct Lab {
    pub directory: tempfile::TempDir,
    pub archiver: Archiver,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(ArchiverConfig {
            reserve: 0,
            ..ArchiverConfig::default()
        })
    }

    pub fn with(config: ArchiverConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        fs::create_dir(directory.path().join("archives")).unwrap();
        Self {
            directory,
            archiver: Archiver::new(config),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn archives(&self) -> PathBuf {
        self.path("archives")
    }

    pub fn request(&self, format: ArchiveFormat) -> CreateRequest {
        CreateRequest {
            directory: self.data(),
            archive_name: "trade_service".to_owned(),
            format,
            destination: self.archives(),
            now: NOW.parse().unwrap(),
            operation_label: "RB-17".to_owned(),
        }
    }

    pub async fn create(&self, format: ArchiveFormat) -> Result<Archive, Error> {
        self.archiver
            .create(&self.request(format), &Control::new())
            .await
    }

    pub async fn verify(&self, path: impl AsRef<Path>) -> Result<Archive, Error> {
        self.archiver.verify(path.as_ref(), &Control::new()).await
    }

    pub fn manifest(&self, archive: &Archive) -> Manifest {
        Manifest::read(&manifest_path(Path::new(&archive.path)))
            .unwrap()
            .unwrap()
    }

    pub fn archive_files(&self) -> Vec<String> {
        names(&self.archives())
    }
}

/// Of everything in a directory, hidden or not.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|item| item.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut noise);
    noise
}

pub fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = TimeSpec::new(seconds, nanoseconds);
    utimensat(
        AT_FDCWD,
        path,
        &time,
        &time,
        UtimensatFlags::NoFollowSymlink,
    )
    .unwrap();
}

/// A bit of everything that a file system holds.
pub fn fill(root: &Path, for_zip: bool) {
    write(&root.join("plain.txt"), b"orders: 3\n");
    write(&root.join("empty"), b"");
    fs::create_dir(root.join("empty-dir")).unwrap();
    write(&root.join("ünïcödé/日本語 файл.txt"), "ja".as_bytes());
    write(&root.join(format!("long-{}", "n".repeat(200))), b"long");
    let deep = (0..4).fold(root.join("deep"), |path, level| {
        path.join(format!("{level}{}", "d".repeat(99)))
    });
    write(&deep.join("bottom"), b"deep");
    write(
        &root.join("log"),
        "2026-11-22 order filled\n".repeat(150_000).as_bytes(),
    );
    write(&root.join("noise"), &noise(7, 3 << 20));
    write(&root.join("run.sh"), b"#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), Permissions::from_mode(0o4751)).unwrap();
    write(&root.join("secret"), b"key");
    fs::set_permissions(root.join("secret"), Permissions::from_mode(0o400)).unwrap();
    symlink("plain.txt", root.join("link")).unwrap();
    symlink("../plain.txt", root.join("empty-dir/up")).unwrap();
    symlink("not-there", root.join("dangling")).unwrap();
    symlink("x/".repeat(90), root.join("long-link")).unwrap();
    write(&root.join("a/first"), b"one content, three names");
    fs::hard_link(root.join("a/first"), root.join("a/second")).unwrap();
    fs::create_dir(root.join("b")).unwrap();
    fs::hard_link(root.join("a/first"), root.join("b/third")).unwrap();
    sparse(
        &root.join("sparse"),
        12 << 20,
        &[(0, 10), (5 << 20, 70_000), (9 << 20, 4096)],
    );
    sparse(&root.join("only-a-hole"), 4 << 20, &[]);
    let many: Vec<(u64, usize)> = (0..60).map(|piece| (piece * (128 << 10), 5_000)).collect();
    sparse(&root.join("many-holes"), 8 << 20, &many);
    if !for_zip {
        write(&root.join("line\nbreak"), b"odd");
        write(&root.join("back\\slash"), b"odd");
        write(
            &root.join(std::ffi::OsStr::from_bytes(b"not-utf8-\xff")),
            b"odd",
        );
        // Not every file system has attributes; where it has, they are compared.
        let _ = xattr::set(root.join("plain.txt"), "user.note", b"line\nbreak and \x00");
        let _ = xattr::set(root.join("empty-dir"), "user.note", b"of a directory");
    }
    if is_root() {
        lchown(root.join("plain.txt"), Some(1234), Some(4321)).unwrap();
        lchown(root.join("link"), Some(77), Some(78)).unwrap();
        lchown(root.join("empty-dir"), Some(1234), Some(70_000)).unwrap();
    }
    set_time(&root.join("plain.txt"), 1_000_000_000, 123_456_700);
    set_time(&root.join("empty"), 0, 0);
    set_time(&root.join("noise"), -86_400, 500_000_000);
    set_time(&root.join("log"), 4_200_000_000, 1_000);
    set_time(&root.join("link"), 1_234_567_890, 0);
    set_time(&root.join("empty-dir"), 1_500_000_000, 100);
    fs::set_permissions(root.join("b"), Permissions::from_mode(0o550)).unwrap();
    set_time(&root.join("b"), 1_400_000_000, 0);
    fs::set_permissions(root, Permissions::from_mode(0o750)).unwrap();
    set_time(root, 1_300_000_000, 0);
}

pub fn sparse(path: &Path, size: u64, pieces: &[(u64, usize)]) {
    let mut file = File::create(path).unwrap();
    for (offset, length) in pieces {
        file.seek(SeekFrom::Start(*offset)).unwrap();
        file.write_all(&noise(*offset, *length)).unwrap();
    }
    file.set_len(size).unwrap();
}

/// A small tree that is different for every seed.
pub fn random_tree(root: &Path, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut directories = vec![root.to_owned()];
    let mut files: Vec<PathBuf> = Vec::new();
    for item in 0..random.random_range(1..40) {
        let parent = directories[random.random_range(0..directories.len())].clone();
        let name = format!(
            "{item}-{}",
            "näme ".repeat(random.random_range(0..20)).trim_end()
        );
        let path = parent.join(name);
        match random.random_range(0..10) {
            0 | 1 => {
                fs::create_dir(&path).unwrap();
                directories.push(path);
                continue;
            }
            2 if !files.is_empty() => {
                fs::hard_link(&files[random.random_range(0..files.len())], &path).unwrap();
                continue;
            }
            3 => {
                symlink(format!("somewhere-{item}"), &path).unwrap();
                continue;
            }
            4 => sparse(&path, random.random_range(0..3 << 20), &[]),
            _ => {
                let bytes = match random.random_range(0..4) {
                    0 => random.random_range(0..4),
                    1 => 512 * random.random_range(0..5),
                    2 => random.random_range(0..100_000),
                    _ => random.random_range(0..3 << 20),
                };
                write(&path, &noise(random.next_u64(), bytes));
            }
        }
        fs::set_permissions(
            &path,
            Permissions::from_mode(0o400 | random.random_range(0..0o1000)),
        )
        .unwrap();
        set_time(
            &path,
            random.random_range(-1_000_000_000..4_000_000_000),
            random.random_range(0..1_000_000_000),
        );
        files.push(path);
    }
    write(&root.join("there-is-always-a-file"), b"x");
}

/// Everything about an entry that a restore should bring back.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, i64),
    size: u64,
    sha256: String,
    target: Option<PathBuf>,
    xattrs: Vec<(String, Vec<u8>)>,
    /// The first path of the same file, where it has several.
    same_as: Option<PathBuf>,
    pub is_sparse: bool,
}

pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Snapshot> {
    let mut all = BTreeMap::new();
    let mut first: BTreeMap<u64, PathBuf> = BTreeMap::new();
    for item in walkdir::WalkDir::new(root).sort_by_file_name() {
        let item = item.unwrap();
        let data = item.path().symlink_metadata().unwrap();
        let relative = item.path().strip_prefix(root).unwrap().to_owned();
        let kind = if data.is_dir() {
            "directory"
        } else if data.is_symlink() {
            "symlink"
        } else {
            "file"
        };
        let is_file = data.is_file();
        let same_as = (is_file && data.nlink() > 1).then(|| {
            first
                .entry(data.ino())
                .or_insert_with(|| relative.clone())
                .clone()
        });
        let mut xattrs: Vec<(String, Vec<u8>)> = xattr::list(item.path())
            .map(|names| {
                names
                    .filter(|name| name.as_bytes().starts_with(b"user."))
                    .map(|name| {
                        let value = xattr::get(item.path(), &name).unwrap().unwrap();
                        (name.to_string_lossy().into_owned(), value)
                    })
                    .collect()
            })
            .unwrap_or_default();
        xattrs.sort();
        all.insert(
            relative,
            Snapshot {
                kind,
                mode: if data.is_symlink() {
                    0
                } else {
                    data.mode() & 0o7777
                },
                owner: (data.uid(), data.gid()),
                mtime: (data.mtime(), data.mtime_nsec()),
                size: if is_file { data.len() } else { 0 },
                sha256: if is_file {
                    hex::encode(Sha256::digest(fs::read(item.path()).unwrap()))
                } else {
                    String::new()
                },
                target: data
                    .is_symlink()
                    .then(|| fs::read_link(item.path()).unwrap()),
                xattrs,
                same_as,
                is_sparse: is_file && data.blocks() * 512 + (64 << 10) < data.len(),
            },
        );
    }
    all
}

/// What a zip cannot hold is taken out of the comparison.
pub fn as_zip_holds(mut all: BTreeMap<PathBuf, Snapshot>) -> BTreeMap<PathBuf, Snapshot> {
    all.remove(Path::new(""));
    for snapshot in all.values_mut() {
        snapshot.mtime.1 -= snapshot.mtime.1 % 100;
        snapshot.same_as = None;
        snapshot.xattrs.clear();
        // Holes are found again where they are large enough.
        snapshot.is_sparse = false;
    }
    all
}

pub fn assert_same(restored: &BTreeMap<PathBuf, Snapshot>, original: &BTreeMap<PathBuf, Snapshot>) {
    for (path, snapshot) in original {
        assert_eq!(restored.get(path), Some(snapshot), "{}", path.display());
    }
    assert_eq!(restored.len(), original.len());
}

impl Snapshot {
    /// Forgets what some programs do not keep.
    pub fn reduce(&mut self, keeps_details: bool, keeps_holes: bool) {
        if !keeps_details {
            self.mtime.1 = 0;
            self.xattrs.clear();
        }
        if !keeps_holes {
            self.is_sparse = false;
        }
    }
}
