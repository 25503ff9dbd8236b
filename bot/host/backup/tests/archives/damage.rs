//! Archives that were cut or changed.

use std::fs;
use std::path::{Path, PathBuf};

use rollbot_host_backup::{ArchiveFormat, ArchiverConfig, Archives, Control, Error, manifest_path};

use crate::lab::{FORMATS, Lab, names, noise, write};

/// An archive of some parts, with its manifest.
async fn archive(format: ArchiveFormat) -> (Lab, PathBuf) {
    let lab = Lab::with(ArchiverConfig {
        threads: std::num::NonZeroUsize::new(2),
        reserve: 0,
        ..ArchiverConfig::default()
    });
    write(&lab.data().join("a/noise"), &noise(1, 3 << 20));
    write(
        &lab.data().join("b/log"),
        "order filled\n".repeat(20_000).as_bytes(),
    );
    write(&lab.data().join("c"), &noise(2, 1_000));
    let path = PathBuf::from(lab.create(format).await.unwrap().path);
    (lab, path)
}

async fn assert_damaged(lab: &Lab, path: &Path, what: &str) {
    match lab.verify(path).await {
        Err(Error::Mismatch(text)) => assert!(text.contains("trade_service_"), "{text}"),
        other => panic!("{what}: {other:?}"),
    }
    let target = lab.path("restored");
    let restored = lab.archiver.restore(path, &target, &Control::new()).await;
    assert!(
        matches!(restored, Err(Error::Mismatch(_))),
        "{what}: {restored:?}"
    );
    assert!(
        !target.exists(),
        "{what}: a damaged archive is not restored by half"
    );
    assert_eq!(names(lab.directory.path()), ["archives", "data"], "{what}");
}

#[tokio::test]
async fn an_archive_that_was_cut_anywhere_is_noticed_with_and_without_its_manifest() {
    for format in FORMATS {
        let (lab, path) = archive(format).await;
        let whole = fs::read(&path).unwrap();
        let manifest = manifest_path(&path);
        let frames = rollbot_host_backup::Manifest::read(&manifest)
            .unwrap()
            .unwrap()
            .frames;
        assert!(
            format == ArchiveFormat::Zip || frames.len() >= 3,
            "{frames:?}"
        );
        let mut cuts = vec![
            0,
            1,
            100,
            whole.len() / 4,
            whole.len() / 2,
            whole.len() - 100,
            whole.len() - 1,
        ];
        // Between two parts a decompressor sees nothing wrong.
        let mut end = 0;
        for frame in &frames[..frames.len().saturating_sub(1)] {
            end += frame.compressed as usize;
            cuts.push(end);
        }
        for cut in &cuts {
            fs::write(&path, &whole[..*cut]).unwrap();
            assert_damaged(&lab, &path, &format!("{format:?} cut at {cut}")).await;
        }
        fs::remove_file(&manifest).unwrap();
        for cut in &cuts {
            fs::write(&path, &whole[..*cut]).unwrap();
            assert_damaged(
                &lab,
                &path,
                &format!("{format:?} cut at {cut}, no manifest"),
            )
            .await;
        }
        fs::write(&path, &whole).unwrap();
        assert!(lab.verify(&path).await.unwrap().verified);
    }
}

#[tokio::test]
async fn every_changed_bit_is_noticed() {
    for format in FORMATS {
        let (lab, path) = archive(format).await;
        let whole = fs::read(&path).unwrap();
        for step in 0..24 {
            let at = whole.len() * step / 24 + step;
            let mut changed = whole.clone();
            changed[at] ^= 1 << (step % 8);
            fs::write(&path, &changed).unwrap();
            assert_damaged(&lab, &path, &format!("{format:?} bit at {at}")).await;
        }
        // In the middle of the largest file every format has a checksum of its own.
        fs::remove_file(manifest_path(&path)).unwrap();
        for at in [whole.len() / 3, whole.len() / 2] {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            fs::write(&path, &changed).unwrap();
            assert_damaged(&lab, &path, &format!("{format:?} bit at {at}, no manifest")).await;
        }
    }
}

#[tokio::test]
async fn something_after_the_end_is_noticed() {
    for format in FORMATS {
        let (lab, path) = archive(format).await;
        let mut longer = fs::read(&path).unwrap();
        longer.extend_from_slice(b"more");
        fs::write(&path, longer).unwrap();
        assert_damaged(&lab, &path, &format!("{format:?}")).await;
    }
}

#[tokio::test]
async fn an_archive_of_another_content_is_noticed_by_the_manifest() {
    for format in FORMATS {
        let (lab, path) = archive(format).await;
        write(&lab.data().join("c"), &noise(3, 1_000));
        let other = PathBuf::from(lab.create(format).await.unwrap().path);
        fs::remove_file(manifest_path(&other)).unwrap();
        assert!(lab.verify(&other).await.unwrap().verified, "it is whole");
        fs::rename(&other, &path).unwrap();
        let error = lab.verify(&path).await.unwrap_err();
        assert!(
            matches!(&error, Error::Mismatch(text) if text.contains("is not what its manifest says")
            || text.contains("damaged")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_manifest_that_was_changed_or_damaged_is_noticed() {
    let (lab, path) = archive(ArchiveFormat::TarZst).await;
    let manifest = manifest_path(&path);
    let text = fs::read_to_string(&manifest).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from));
        text.replacen(from, to, 1)
    };
    for (what, bad) in [
        ("cut", text[..text.len() / 2].to_owned()),
        ("empty", String::new()),
        ("a file's name", changed("a/noise", "a/voice")),
        ("a size", changed("\"size\":1000", "\"size\":1001")),
        ("a mode", changed("\"mode\":420", "\"mode\":511")),
        (
            "a digest that is too long",
            changed("\"sha256\":\"", "\"sha256\":\"0"),
        ),
    ] {
        fs::write(&manifest, bad).unwrap();
        let result = lab.verify(&path).await;
        assert!(
            matches!(result, Err(Error::Mismatch(_))),
            "{what}: {result:?}"
        );
    }
    let entries = text.find("\"entries\"").unwrap();
    let digest = entries + text[entries..].find("\"sha256\":\"").unwrap() + 10;
    let mut bytes = text.clone().into_bytes();
    bytes[digest] = if bytes[digest] == b'0' { b'1' } else { b'0' };
    fs::write(&manifest, bytes).unwrap();
    let error = lab.verify(&path).await.unwrap_err();
    assert!(
        matches!(&error, Error::Mismatch(text) if text.contains("a/noise has another content")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_manifest_whose_parts_were_changed_neither_deceives_nor_eats_memory() {
    let (lab, path) = archive(ArchiveFormat::TarZst).await;
    let manifest = manifest_path(&path);
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let length = fs::metadata(&path).unwrap().len();
    for frames in [
        serde_json::json!([[length, 1u64 << 60]]),
        serde_json::json!([[length, 1000]]),
        serde_json::json!([[length - 1, 1 << 20], [1, 1 << 20]]),
        serde_json::json!([[1, 1]]),
        // Not in parts at all: slower, and as good.
        serde_json::json!([]),
    ] {
        let mut changed = good.clone();
        changed["frames"] = frames.clone();
        fs::write(&manifest, serde_json::to_vec(&changed).unwrap()).unwrap();
        let result = lab.verify(&path).await;
        if frames == serde_json::json!([]) {
            assert!(result.unwrap().verified);
        } else {
            assert!(
                matches!(result, Err(Error::Mismatch(_))),
                "{frames}: {result:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_archive_is_told_apart() {
    let lab = Lab::new();
    for format in FORMATS {
        let path = lab
            .archives()
            .join(format!("trade_service_1{}", format.ending()));
        for content in [&b""[..], b"hello", &[0; 5_000]] {
            fs::write(&path, content).unwrap();
            assert_damaged(&lab, &path, &format!("{format:?}")).await;
        }
    }
    let error = lab
        .verify(lab.archives().join("trade.rar"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("does not end in")),
        "{error:?}"
    );
    let error = lab
        .verify(lab.archives().join("gone.zip"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("gone.zip")),
        "{error:?}"
    );
}
