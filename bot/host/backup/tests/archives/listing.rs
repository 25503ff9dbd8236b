//! Archives that there are, and what was written since.

use std::fs;

use jiff::Timestamp;
use rollbot_host_backup::{ArchiveFormat, Archives, Control, Error, manifest_path};

use crate::lab::{Lab, set_time, write};

#[tokio::test]
async fn archives_are_listed_newest_first_and_only_those_of_the_name() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let mut request = lab.request(ArchiveFormat::TarZst);
    let old = lab
        .archiver
        .create(&request, &Control::new())
        .await
        .unwrap();
    request.now = "2026-11-23T00:00:00Z".parse().unwrap();
    request.format = ArchiveFormat::Zip;
    let new = lab
        .archiver
        .create(&request, &Control::new())
        .await
        .unwrap();
    request.archive_name = "trade".to_owned();
    lab.archiver
        .create(&request, &Control::new())
        .await
        .unwrap();
    let hand_made = lab.archives().join("trade_service_20200101000000.tar.gz");
    fs::write(&hand_made, b"by hand").unwrap();
    fs::write(lab.archives().join("trade_service_notes.txt"), b"").unwrap();
    let listed = lab
        .archiver
        .list(&lab.archives(), "trade_service")
        .await
        .unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    assert_eq!(listed[..2], [new, old]);
    assert_eq!(listed[2].created.to_string(), "2020-01-01T00:00:00Z");
    assert_eq!(
        (
            listed[2].bytes,
            listed[2].verified,
            listed[2].sha256.as_str()
        ),
        (7, false, "")
    );
    assert_eq!(
        lab.archiver
            .list(&lab.path("nowhere"), "trade_service")
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn an_archive_whose_size_changed_is_not_listed_as_verified() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let whole = fs::read(&archive.path).unwrap();
    fs::write(&archive.path, &whole[1..]).unwrap();
    let listed = lab
        .archiver
        .list(&lab.archives(), "trade_service")
        .await
        .unwrap();
    assert!(!listed[0].verified);
    fs::write(&archive.path, &whole).unwrap();
    fs::write(manifest_path(archive.path.as_ref()), b"{").unwrap();
    let listed = lab
        .archiver
        .list(&lab.archives(), "trade_service")
        .await
        .unwrap();
    assert!(!listed[0].verified);
}

#[tokio::test]
async fn what_was_written_since_is_counted_by_the_files_times() {
    let lab = Lab::new();
    let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let files = [
        ("old", -10, 5),
        ("exactly", 0, 7),
        ("a/new", 100, 11),
        ("a/newest", 500, 13),
    ];
    for (name, after, bytes) in files {
        write(&lab.data().join(name), &vec![b'x'; bytes]);
        set_time(&lab.data().join(name), since.as_second() + after, 0);
    }
    let written = lab
        .archiver
        .written_since(&lab.data(), since)
        .await
        .unwrap();
    assert_eq!((written.files, written.bytes), (3, 7 + 11 + 13));
    assert_eq!(written.last_write.as_second(), since.as_second() + 500);
    let later = Timestamp::from_second(since.as_second() + 1000).unwrap();
    let nothing = lab
        .archiver
        .written_since(&lab.data(), later)
        .await
        .unwrap();
    assert_eq!((nothing.files, nothing.bytes), (0, 0));
    assert_eq!(
        nothing.last_write.as_second(),
        since.as_second() + 500,
        "the newest there is"
    );
}

#[tokio::test]
async fn in_a_directory_without_files_nothing_was_written_since() {
    let lab = Lab::new();
    let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let written = lab
        .archiver
        .written_since(&lab.data(), since)
        .await
        .unwrap();
    assert_eq!((written.files, written.last_write), (0, since));
    let error = lab
        .archiver
        .written_since(&lab.path("gone"), since)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("gone")),
        "{error:?}"
    );
}
