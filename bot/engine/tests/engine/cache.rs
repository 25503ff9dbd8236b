//! Compiled components on disk.

use std::fs;
use std::path::{Path, PathBuf};

use rollbot_engine::{Engine, EngineConfig};

use crate::support::limits;

fn engine(directory: &Path) -> Engine {
    let cache_dir = Some(directory.to_owned());
    Engine::new(EngineConfig {
        cache_dir,
        limits: limits(),
    })
    .unwrap()
}

async fn compilations(directory: &Path) -> u64 {
    let engine = engine(directory);
    let plugin = engine
        .load("panics", rollbot_test_guests::PANICS)
        .await
        .unwrap();
    assert_eq!(plugin.description().name, "panics");
    engine.compiled()
}

fn entry(directory: &Path) -> PathBuf {
    let mut entries: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "bin"))
        .collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

#[tokio::test]
async fn a_second_start_compiles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(compilations(directory.path()).await, 1);
    assert_eq!(compilations(directory.path()).await, 0);
    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(
        names.len(),
        2,
        "an entry and the key, and no partial file: {names:?}"
    );
}

#[tokio::test]
async fn an_entry_that_was_tampered_with_is_discarded_and_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(compilations(directory.path()).await, 1);
    let path = entry(directory.path());
    let good = fs::read(&path).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = good.len() - 1;
    for bad in [
        changed(0),
        changed(30),
        changed(last / 2),
        changed(last),
        good[..last].to_vec(),
        [good.as_slice(), b"x"].concat(),
        Vec::new(),
    ] {
        fs::write(&path, &bad).unwrap();
        assert_eq!(compilations(directory.path()).await, 1);
        assert_eq!(compilations(directory.path()).await, 0);
    }
}

#[tokio::test]
async fn an_entry_of_another_component_or_another_cache_is_not_loaded() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    compilations(ours.path()).await;
    compilations(theirs.path()).await;
    fs::copy(entry(theirs.path()), entry(ours.path())).unwrap();
    assert_eq!(compilations(ours.path()).await, 1, "it has another key");

    let other = engine(theirs.path());
    other
        .load("loops", rollbot_test_guests::LOOPS)
        .await
        .unwrap();
    let panics = entry(ours.path());
    let loops: Vec<_> = fs::read_dir(theirs.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some() && path.file_name() != panics.file_name())
        .collect();
    fs::copy(&loops[0], theirs.path().join(panics.file_name().unwrap())).unwrap();
    assert_eq!(
        compilations(theirs.path()).await,
        1,
        "it is another component"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_cache_is_private_and_a_key_that_others_could_read_is_replaced() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("cache");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(compilations(&directory).await, 1);
    let key = directory.join("key");
    assert_eq!(
        (mode(&directory), mode(&key), mode(&entry(&directory))),
        (0o700, 0o600, 0o600)
    );

    let before = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(compilations(&directory).await, 1);
    assert_ne!(fs::read(&key).unwrap(), before);
    assert_eq!(mode(&key), 0o600);
}

#[cfg(unix)]
#[tokio::test]
async fn a_cache_that_belongs_to_another_user_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("cache");
    fs::create_dir(&directory).unwrap();
    // Only root can give a directory away, and only then there is something to see here.
    if std::os::unix::fs::chown(&directory, Some(65_534), None).is_err() {
        return;
    }
    let cache_dir = Some(directory);
    let error = Engine::new(EngineConfig {
        cache_dir,
        limits: limits(),
    })
    .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("belongs to another user (uid 65534)"),
        "{error}"
    );
}
