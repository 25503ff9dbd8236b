//! Archives that people made by hand, on this system and others.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rollbot_host_backup::{ArchiveFormat, Archives, Control, Error};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::lab::{Lab, assert_same, fill, snapshot, write};

fn tar(lab: &Lab, options: &[&str], name: &str) -> PathBuf {
    let path = lab.archives().join(name);
    let made = Command::new("tar")
        .args(options)
        .arg("-czf")
        .arg(&path)
        .arg("-C")
        .arg(lab.directory.path())
        .arg("data")
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    path
}

#[tokio::test]
async fn what_tar_makes_in_any_of_its_formats_is_verified_and_restored() {
    for options in [
        &["--format=gnu"][..],
        &["--format=gnu", "-S"],
        &["--format=posix", "--xattrs"],
        &["--format=posix", "--xattrs", "-S"],
    ] {
        let lab = Lab::new();
        fill(&lab.data(), false);
        let path = tar(&lab, options, "trade_service_20250101120000.tar.gz");
        let archive = lab.verify(&path).await.unwrap();
        assert!(archive.verified);
        assert_eq!(archive.created.to_string(), "2025-01-01T12:00:00Z");
        assert_eq!(archive.bytes, fs::metadata(&path).unwrap().len());
        assert_eq!(archive.sha256.len(), 64);
        let target = lab.path("restored");
        let report = lab
            .archiver
            .restore(&path, &target, &Control::new())
            .await
            .unwrap();
        assert!(!report.verified, "there was no manifest to compare with");
        assert_eq!(report.files, archive.files);
        let mut before = snapshot(&lab.data());
        let mut after = snapshot(&target.join("data"));
        for entry in before.values_mut().chain(after.values_mut()) {
            // GNU's format has no fractions of seconds and no attributes; only `-S` keeps holes.
            entry.reduce(!options.contains(&"--format=gnu"), options.contains(&"-S"));
        }
        assert_same(&after, &before);
    }
}

#[tokio::test]
async fn a_tar_that_was_cut_is_noticed() {
    let lab = Lab::new();
    fill(&lab.data(), false);
    let path = tar(&lab, &[], "trade_service_20250101120000.tgz");
    let whole = fs::read(&path).unwrap();
    for part in [1, 2, 3] {
        fs::write(&path, &whole[..whole.len() * part / 4]).unwrap();
        let result = lab.verify(&path).await;
        assert!(matches!(result, Err(Error::Mismatch(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_zip_from_windows_with_backslashes_is_restored_into_directories() {
    let lab = Lab::new();
    let path = lab.archives().join("trade_service_20250101120000.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let options = SimpleFileOptions::default()
        .system(zip::System::Dos)
        .external_attributes(0x20);
    for (name, content) in [
        ("non-docker\\trade\\orders.db", "orders"),
        ("non-docker\\trade\\a\\b.txt", "b"),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    assert_eq!(lab.verify(&path).await.unwrap().files, 2);
    let target = lab.path("restored");
    lab.archiver
        .restore(&path, &target, &Control::new())
        .await
        .unwrap();
    assert_eq!(
        fs::read_to_string(target.join("non-docker/trade/orders.db")).unwrap(),
        "orders"
    );
    assert_eq!(
        fs::read_to_string(target.join("non-docker/trade/a/b.txt")).unwrap(),
        "b"
    );
}

#[tokio::test]
async fn an_archive_without_a_manifest_is_restored_into_an_empty_directory_as_well() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let path = tar(&lab, &[], "trade_service_1.tar.gz");
    let target = lab.path("restored");
    fs::create_dir(&target).unwrap();
    lab.archiver
        .restore(&path, &target, &Control::new())
        .await
        .unwrap();
    assert_eq!(fs::read(target.join("data/file")).unwrap(), b"x");
}

#[tokio::test]
async fn of_a_file_that_was_appended_again_the_later_one_counts() {
    let lab = Lab::new();
    let path = lab.archives().join("trade_service_1.tar.gz");
    let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
        File::create(&path).unwrap(),
        flate2::Compression::fast(),
    ));
    for content in ["first", "second version"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        builder
            .append_data(&mut header, "a/file", content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
    let target = lab.path("restored");
    lab.archiver
        .restore(&path, &target, &Control::new())
        .await
        .unwrap();
    assert_eq!(
        fs::read_to_string(target.join("a/file")).unwrap(),
        "second version"
    );
}

#[tokio::test]
async fn a_renamed_archive_is_not_compared_with_the_manifest_of_another() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let renamed = Path::new(&archive.path).with_file_name("moved_1.tar.zst");
    fs::copy(&archive.path, &renamed).unwrap();
    assert!(lab.verify(&renamed).await.unwrap().verified);
}
