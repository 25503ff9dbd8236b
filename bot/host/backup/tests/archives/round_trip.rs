//! What goes in comes out.

use std::fs;
use std::path::Path;
use std::process::Command;

use rollbot_host_backup::{ArchiveFormat, Archives, Control, Kind};

use crate::lab::{FORMATS, Lab, as_zip_holds, assert_same, fill, random_tree, snapshot};

#[tokio::test]
async fn everything_that_a_directory_holds_comes_back() {
    for format in FORMATS {
        let lab = Lab::new();
        let is_zip = format == ArchiveFormat::Zip;
        fill(&lab.data(), is_zip);
        let before = snapshot(&lab.data());
        let archive = lab.create(format).await.unwrap();
        assert!(archive.verified);
        assert_eq!(archive.changed, [] as [String; 0]);
        assert_eq!(
            archive.name,
            format!("trade_service_20261122195600{}", format.ending())
        );
        assert_eq!(archive.bytes, fs::metadata(&archive.path).unwrap().len());
        assert_eq!(lab.verify(&archive.path).await.unwrap(), archive);
        let target = lab.path("restored");
        let report = lab
            .archiver
            .restore(Path::new(&archive.path), &target, &Control::new())
            .await
            .unwrap();
        assert!(report.verified);
        assert_eq!(report.notes, [] as [String; 0]);
        let after = snapshot(&target);
        if is_zip {
            assert_same(&as_zip_holds(after), &as_zip_holds(before));
        } else {
            assert_same(&after, &before);
            assert!(after.values().filter(|entry| entry.is_sparse).count() >= 3);
            assert_eq!(report.hard_links, 2);
        }
    }
}

#[tokio::test]
async fn holes_take_no_room_after_a_restore_from_any_format() {
    use std::os::unix::fs::MetadataExt;
    for format in FORMATS {
        let lab = Lab::new();
        crate::lab::sparse(
            &lab.data().join("database"),
            64 << 20,
            &[(1 << 20, 5_000), (40 << 20, 5_000)],
        );
        let archive = lab.create(format).await.unwrap();
        let target = lab.path("restored");
        lab.archiver
            .restore(Path::new(&archive.path), &target, &Control::new())
            .await
            .unwrap();
        let data = fs::metadata(target.join("database")).unwrap();
        assert_eq!(data.len(), 64 << 20);
        assert!(
            data.blocks() * 512 < 1 << 20,
            "{format:?}: {} blocks",
            data.blocks()
        );
    }
}

#[tokio::test]
async fn random_trees_come_back() {
    for seed in 0..18 {
        let format = FORMATS[seed as usize % 3];
        let lab = Lab::new();
        random_tree(&lab.data(), seed);
        let before = snapshot(&lab.data());
        let archive = lab.create(format).await.unwrap();
        let target = lab.path("restored");
        lab.archiver
            .restore(Path::new(&archive.path), &target, &Control::new())
            .await
            .unwrap();
        let after = snapshot(&target);
        if format == ArchiveFormat::Zip {
            assert_same(&as_zip_holds(after), &as_zip_holds(before));
        } else {
            assert_same(&after, &before);
        }
    }
}

#[tokio::test]
async fn the_manifest_names_every_entry_with_its_checksum() {
    let lab = Lab::new();
    fill(&lab.data(), false);
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let manifest = lab.manifest(&archive);
    assert_eq!(manifest.operation, "RB-17");
    assert_eq!(manifest.sha256.to_string(), archive.sha256);
    assert_eq!(manifest.entries.len(), snapshot(&lab.data()).len());
    let entry = |path: &str| {
        manifest
            .entries
            .iter()
            .find(|entry| entry.path.to_string() == path)
            .unwrap_or_else(|| panic!("{path} is in the manifest"))
    };
    let digest = <sha2::Sha256 as sha2::Digest>::digest(b"orders: 3\n");
    assert_eq!(
        entry("plain.txt").sha256.unwrap().to_string(),
        hex::encode(digest)
    );
    assert_eq!(entry("b/third").kind, Kind::HardLink);
    assert_eq!(
        entry("b/third").target.as_ref().unwrap().to_string(),
        "a/first"
    );
    assert_eq!(
        entry("link").target.as_ref().unwrap().to_string(),
        "plain.txt"
    );
    assert_eq!(entry("run.sh").mode, 0o4751);
    let frames: u64 = manifest.frames.iter().map(|frame| frame.compressed).sum();
    assert_eq!(frames, archive.bytes);
}

#[tokio::test]
async fn the_systems_own_tar_unpacks_what_is_written_here() {
    let lab = Lab::new();
    fill(&lab.data(), false);
    let before = snapshot(&lab.data());
    let archive = lab.create(ArchiveFormat::TarGz).await.unwrap();
    let target = lab.path("by-tar");
    fs::create_dir(&target).unwrap();
    let unpacked = Command::new("tar")
        .args(["--xattrs", "-xpzf", &archive.path, "-C"])
        .arg(&target)
        .output()
        .unwrap();
    assert!(
        unpacked.status.success(),
        "{}",
        String::from_utf8_lossy(&unpacked.stderr)
    );
    // It finds the times of two of the files strange, which they are.
    let said = String::from_utf8_lossy(&unpacked.stderr).into_owned();
    assert!(
        said.lines().all(|line| line.contains("time stamp")),
        "{said}"
    );
    assert_same(&snapshot(&target), &before);
}

#[tokio::test]
async fn a_file_larger_than_a_block_and_many_small_ones_are_read_on_all_threads() {
    let lab = Lab::with(rollbot_host_backup::ArchiverConfig {
        threads: std::num::NonZeroUsize::new(5),
        reserve: 0,
        ..Default::default()
    });
    crate::lab::write(&lab.data().join("large"), &crate::lab::noise(1, 40 << 20));
    for number in 0..3_000 {
        crate::lab::write(
            &lab.data().join(format!("small/{number}")),
            format!("{number}").as_bytes(),
        );
    }
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    assert_eq!(archive.files, 3_001);
    assert!(lab.manifest(&archive).frames.len() > 10);
    let target = lab.path("restored");
    lab.archiver
        .restore(Path::new(&archive.path), &target, &Control::new())
        .await
        .unwrap();
    assert_same(&snapshot(&target), &snapshot(&lab.data()));
}
