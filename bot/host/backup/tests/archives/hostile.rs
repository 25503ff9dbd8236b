//! Archives that want to be unpacked somewhere else.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rollbot_host_backup::{ArchiveFormat, Archiver, ArchiverConfig, Archives, Control, Error};
use tar::{Builder, EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::lab::{FORMATS, Lab, names, write};

type Item<'a> = (EntryType, &'a [u8], &'a [u8]);

/// Whatever the names are.
fn tar_of(lab: &Lab, items: &[Item<'_>], format: ArchiveFormat) -> PathBuf {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, target) in items {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content: &[u8] = if *kind == EntryType::Regular {
            b"gotcha"
        } else {
            b""
        };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let path = lab.archives().join(format!("evil_1{}", format.ending()));
    let packed = match format {
        ArchiveFormat::TarZst => zstd::encode_all(bytes.as_slice(), 1).unwrap(),
        _ => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap()
        }
    };
    fs::write(&path, packed).unwrap();
    path
}

async fn assert_refused(lab: &Lab, archive: &Path, what: &str) {
    let before = names(lab.directory.path());
    for existing in [false, true] {
        let target = lab.path("restored");
        if existing {
            fs::create_dir(&target).unwrap();
        }
        let error = lab
            .archiver
            .restore(archive, &target, &Control::new())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Failed(text) if text.contains("is refused")),
            "{what}: {error:?}"
        );
        if existing {
            assert_eq!(names(&target), [] as [String; 0], "{what}");
            fs::remove_dir(&target).unwrap();
        }
        assert_eq!(
            names(lab.directory.path()),
            before,
            "{what}: nothing is left"
        );
    }
}

#[tokio::test]
async fn tars_with_paths_or_links_that_leave_the_target_are_refused() {
    let outside = b"../outside".as_slice();
    let cases: &[(&str, &[Item<'_>])] = &[
        (
            "absolute path",
            &[(EntryType::Regular, b"/tmp/rollbot-evil", b"")],
        ),
        ("parent", &[(EntryType::Regular, outside, b"")]),
        (
            "parent in the middle",
            &[(EntryType::Regular, b"a/../../outside", b"")],
        ),
        (
            "parent directory",
            &[(EntryType::Directory, b"../outside-dir/", b"")],
        ),
        ("backslashes", &[(EntryType::Regular, b"..\\outside", b"")]),
        (
            "absolute symlink",
            &[(EntryType::Symlink, b"link", b"/etc")],
        ),
        (
            "symlink that leaves",
            &[(EntryType::Symlink, b"a/link", b"../../x")],
        ),
        (
            "symlink by way of another",
            &[
                (EntryType::Symlink, b"a/b/top", b"../.."),
                (EntryType::Symlink, b"link", b"a/b/top/../x"),
            ],
        ),
        (
            "file through a symlink",
            &[
                (EntryType::Symlink, b"dir", b"other"),
                (EntryType::Regular, b"dir/file", b""),
            ],
        ),
        (
            "directory in place of a symlink",
            &[
                (EntryType::Symlink, b"dir", b"other"),
                (EntryType::Directory, b"dir/", b""),
            ],
        ),
        (
            "symlink in place of a directory",
            &[
                (EntryType::Regular, b"dir/file", b""),
                (EntryType::Symlink, b"dir", b"other"),
            ],
        ),
        (
            "symlink in place of the target",
            &[(EntryType::Symlink, b"./", b"other")],
        ),
        (
            "file in place of the target",
            &[(EntryType::Regular, b".", b"")],
        ),
        (
            "hard link that leaves",
            &[(EntryType::Link, b"link", b"../archives/evil_1.tar.zst")],
        ),
        (
            "absolute hard link",
            &[(EntryType::Link, b"link", b"/etc/passwd")],
        ),
        (
            "hard link to a symlink",
            &[
                (EntryType::Symlink, b"a", b"b"),
                (EntryType::Link, b"link", b"a"),
            ],
        ),
        (
            "hard link to nothing",
            &[(EntryType::Link, b"link", b"missing")],
        ),
        ("character device", &[(EntryType::Char, b"null", b"")]),
        ("block device", &[(EntryType::Block, b"disk", b"")]),
        ("named pipe", &[(EntryType::Fifo, b"pipe", b"")]),
        (
            "file below a file",
            &[
                (EntryType::Regular, b"a", b""),
                (EntryType::Regular, b"a/b", b""),
            ],
        ),
    ];
    for format in [ArchiveFormat::TarZst, ArchiveFormat::TarGz] {
        for (what, items) in cases {
            let lab = Lab::new();
            // Something harmless before it, which must not stay behind either.
            let mut all: Vec<Item<'_>> = vec![(EntryType::Regular, b"first", b"")];
            all.extend_from_slice(items);
            let archive = tar_of(&lab, &all, format);
            assert_refused(&lab, &archive, what).await;
        }
    }
}

#[tokio::test]
async fn zips_with_names_or_links_that_leave_the_target_are_refused() {
    for (name, dos) in [
        ("/tmp/rollbot-evil", false),
        ("../outside", false),
        ("a/../../outside", false),
        ("..\\outside", false),
        ("..\\outside", true),
        ("a\\..\\..\\outside", true),
        ("\\outside", true),
        ("C:\\outside", false),
        ("C:outside", true),
    ] {
        let lab = Lab::new();
        let path = lab.archives().join("evil_1.zip");
        let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
        zip.start_file("first", SimpleFileOptions::default())
            .unwrap();
        let mut options = SimpleFileOptions::default();
        if dos {
            options = options.system(zip::System::Dos).external_attributes(0x20);
        }
        zip.start_file(name, options).unwrap();
        zip.write_all(b"gotcha").unwrap();
        zip.finish().unwrap();
        assert_refused(&lab, &path, name).await;
    }
    let lab = Lab::new();
    let path = lab.archives().join("evil_1.zip");
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    zip.add_symlink("link", "../outside", SimpleFileOptions::default())
        .unwrap();
    zip.finish().unwrap();
    assert_refused(&lab, &path, "symlink").await;
}

#[tokio::test]
async fn a_link_that_leaves_the_directory_is_archived_and_restored_only_on_demand() {
    for format in FORMATS {
        let lab = Lab::new();
        write(&lab.data().join("file"), b"x");
        std::os::unix::fs::symlink("/opt/releases/3", lab.data().join("current")).unwrap();
        let archive = lab.create(format).await.unwrap();
        assert_refused(&lab, Path::new(&archive.path), "own archive").await;
        let willing = Archiver::new(ArchiverConfig {
            restore_outside_links: true,
            ..ArchiverConfig::default()
        });
        let target = lab.path("restored");
        willing
            .restore(Path::new(&archive.path), &target, &Control::new())
            .await
            .unwrap();
        assert_eq!(
            fs::read_link(target.join("current")).unwrap(),
            Path::new("/opt/releases/3")
        );
    }
}

#[tokio::test]
async fn links_that_point_outside_are_never_written_through_even_on_demand() {
    let lab = Lab::with(ArchiverConfig {
        restore_outside_links: true,
        reserve: 0,
        ..ArchiverConfig::default()
    });
    let outside = lab.path("outside");
    fs::create_dir(&outside).unwrap();
    let target = outside.to_str().unwrap().as_bytes();
    let items: &[Item<'_>] = &[
        (EntryType::Symlink, b"dir", target),
        (EntryType::Regular, b"dir/file", b""),
    ];
    let archive = tar_of(&lab, items, ArchiveFormat::TarZst);
    assert_refused(&lab, &archive, "through a link").await;
    assert_eq!(names(&outside), [] as [String; 0]);
}

#[tokio::test]
async fn a_target_that_is_not_empty_is_left_alone() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let path = Path::new(&archive.path);
    let restore = async |target: &Path| {
        lab.archiver
            .restore(path, target, &Control::new())
            .await
            .unwrap_err()
    };
    let error = restore(&lab.data()).await;
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("is not empty")),
        "{error:?}"
    );
    assert_eq!(fs::read(lab.data().join("file")).unwrap(), b"x");
    write(&lab.path("a-file"), b"x");
    let error = restore(&lab.path("a-file")).await;
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("is no directory")),
        "{error:?}"
    );
    let error = restore(&lab.path("not/there")).await;
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("does not exist")),
        "{error:?}"
    );
    // A link in the target's place leads somewhere that was not named.
    std::os::unix::fs::symlink("elsewhere", lab.path("link")).unwrap();
    let error = restore(&lab.path("link")).await;
    assert!(matches!(&error, Error::Failed(_)), "{error:?}");
}

#[tokio::test]
async fn a_restore_without_enough_room_is_not_begun() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let careful = Archiver::new(ArchiverConfig {
        reserve: 1 << 60,
        ..ArchiverConfig::default()
    });
    let target = lab.path("restored");
    let error = careful
        .restore(Path::new(&archive.path), &target, &Control::new())
        .await
        .unwrap_err();
    assert!(matches!(&error, Error::NoSpace(_)), "{error:?}");
    assert!(!target.exists());
}
