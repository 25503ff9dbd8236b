//! The JSON file on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use rollbot_host_registry::{Error, JsonFileRegistry, Registry};
use tempfile::TempDir;

const CONTENT: &str = r#"{
  "comment": "edited by hand",
  "services": {
    "trade": { "value": "http://127.0.0.1:9003", "revision": 3, "owner": "trading" },
    "data": { "value": "http://127.0.0.1:9004", "revision": 1 }
  },
  "version": 2
}"#;

fn registry(content: &str) -> (TempDir, PathBuf, JsonFileRegistry) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    fs::write(&path, content).unwrap();
    let registry = JsonFileRegistry::new(&path);
    (directory, path, registry)
}

#[tokio::test]
async fn a_key_is_read_and_resolved() {
    let (_directory, _, registry) = registry(CONTENT);
    let entry = registry.get("trade").await.unwrap();
    assert_eq!(entry.value, "http://127.0.0.1:9003");
    assert_eq!(entry.revision, 3);
    assert_eq!(
        registry.resolve("data").await.unwrap(),
        "http://127.0.0.1:9004"
    );
    let missing = registry.get("trad").await.unwrap_err();
    assert!(matches!(missing, Error::NotFound(_)), "{missing}");
}

#[tokio::test]
async fn a_change_counts_up_and_keeps_everything_else() {
    let (_directory, path, registry) = registry(CONTENT);
    let report = registry.point("trade", "docker", Some(3)).await.unwrap();
    assert_eq!(report.previous.as_deref(), Some("http://127.0.0.1:9003"));
    assert_eq!(report.entry.revision, 4);
    let expected = r#"{
  "comment": "edited by hand",
  "services": {
    "trade": {
      "value": "docker",
      "revision": 4,
      "owner": "trading"
    },
    "data": {
      "value": "http://127.0.0.1:9004",
      "revision": 1
    }
  },
  "version": 2
}
"#;
    assert_eq!(fs::read_to_string(path).unwrap(), expected);
}

#[tokio::test]
async fn a_value_that_is_there_already_is_success_without_a_write() {
    let (_directory, path, registry) = registry(CONTENT);
    // Even with a revision that is none any more: that is what a repetition looks like.
    let report = registry
        .point("trade", "http://127.0.0.1:9003", Some(1))
        .await
        .unwrap();
    assert_eq!(report.entry.revision, 3);
    assert_eq!(report.previous.as_deref(), Some("http://127.0.0.1:9003"));
    assert_eq!(fs::read_to_string(path).unwrap(), CONTENT);
}

#[tokio::test]
async fn a_change_by_somebody_else_is_a_conflict() {
    let (_directory, path, registry) = registry(CONTENT);
    let conflict = registry
        .point("trade", "docker", Some(2))
        .await
        .unwrap_err();
    assert!(matches!(conflict, Error::Conflict(_)), "{conflict}");
    let removed = registry.point("mcp", "docker", Some(2)).await.unwrap_err();
    assert!(matches!(removed, Error::Conflict(_)), "{removed}");
    assert_eq!(fs::read_to_string(path).unwrap(), CONTENT);
}

#[tokio::test]
async fn a_misspelt_key_does_not_come_into_being() {
    let (_directory, _, registry) = registry(CONTENT);
    let missing = registry.point("trad", "docker", None).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound(_)), "{missing}");
    let created = registry.point("mcp", "docker", Some(0)).await.unwrap();
    assert_eq!((created.entry.revision, created.previous), (1, None));
    let exists = registry.point("mcp", "native", Some(0)).await.unwrap_err();
    assert!(matches!(exists, Error::Conflict(_)), "{exists}");
}

#[tokio::test]
async fn a_broken_file_is_named_with_line_and_column_and_left_alone() {
    for (content, place) in [
        (
            "{\n  \"services\": {\n    \"trade\": {,\n",
            "line 3 column 15",
        ),
        (
            "{\"services\": {\n\"trade\": {\"value\": 3, \"revision\": 1}}}",
            "line 2 column 20",
        ),
        ("{}", "missing field `services` at line 1 column 2"),
        ("", "line 1 column 0"),
    ] {
        let (_directory, path, registry) = registry(content);
        for error in [
            registry.get("trade").await.unwrap_err(),
            registry.point("trade", "docker", None).await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(matches!(error, Error::Failed(_)), "{text}");
            assert!(text.contains(place), "{text}");
            assert!(text.contains("registry.json"), "{text}");
        }
        assert_eq!(fs::read_to_string(path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_missing_file_is_not_created_by_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.json");
    let registry = JsonFileRegistry::new(&path);
    let error = registry
        .point("trade", "docker", Some(0))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("There is no registry file"),
        "{error}"
    );
    assert!(!path.exists());

    let entries = [("trade".to_owned(), "native".to_owned())];
    registry.create_if_missing(&entries).await.unwrap();
    registry.point("trade", "docker", Some(1)).await.unwrap();
    registry.create_if_missing(&entries).await.unwrap();
    assert_eq!(registry.resolve("trade").await.unwrap(), "docker");
}

#[tokio::test]
async fn the_mode_and_a_link_to_the_file_survive_a_change() {
    let (directory, path, _) = registry(CONTENT);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = directory.path().join("link.json");
    symlink(&path, &link).unwrap();
    JsonFileRegistry::new(&link)
        .point("trade", "docker", None)
        .await
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o640
    );
    let registry = JsonFileRegistry::new(&path);
    assert_eq!(registry.resolve("trade").await.unwrap(), "docker");
}

#[tokio::test]
async fn what_a_killed_writer_left_behind_is_no_obstacle() {
    let (directory, path, registry) = registry(CONTENT);
    fs::write(directory.path().join("registry.json.partial"), "{\"ser").unwrap();
    fs::write(directory.path().join("registry.json.lock"), "").unwrap();
    registry.point("trade", "docker", None).await.unwrap();
    assert!(!directory.path().join("registry.json.partial").exists());
    assert!(fs::read_to_string(path).unwrap().contains("docker"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_lose_no_change_and_readers_see_whole_files() {
    let (_directory, path, registry) = registry(CONTENT);
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let registry = JsonFileRegistry::new(&path);
            tokio::spawn(async move {
                let value = format!("writer-{n}");
                registry.point("trade", &value, None).await.unwrap()
            })
        })
        .collect();
    let reader = registry.clone();
    let reading = tokio::spawn(async move {
        for _ in 0..200 {
            reader.get("trade").await.unwrap();
        }
    });
    for writer in writers {
        writer.await.unwrap();
    }
    reading.await.unwrap();
    assert_eq!(registry.get("trade").await.unwrap().revision, 3 + 16);
}
