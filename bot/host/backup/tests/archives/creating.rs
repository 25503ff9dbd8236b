//! Directories in use, destinations in trouble, and work that is given up.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollbot_host_backup::{
    ArchiveFormat, Archiver, ArchiverConfig, Archives, Control, Error, Phase, Progress,
    manifest_path,
};

use crate::lab::{FORMATS, Lab, noise, write};

/// Calls `action` once, in the middle of reading the directory.
fn in_the_middle(action: impl Fn() + Send + Sync + 'static) -> Control {
    let done = AtomicBool::new(false);
    Control::new().with_progress(move |progress: Progress| {
        if progress.phase == Phase::Writing && !done.swap(true, Ordering::SeqCst) {
            action();
        }
    })
}

#[tokio::test]
async fn an_empty_directory_is_no_backup() {
    let lab = Lab::new();
    fs::create_dir_all(lab.data().join("a/b")).unwrap();
    std::os::unix::fs::symlink("x", lab.data().join("link")).unwrap();
    let error = lab.create(ArchiveFormat::TarZst).await.unwrap_err();
    assert!(
        matches!(&error, Error::Empty(text) if text.contains("data")),
        "{error:?}"
    );
    assert_eq!(lab.archive_files(), [] as [String; 0]);
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let lab = Lab::new();
    fs::remove_dir(lab.data()).unwrap();
    let error = lab.create(ArchiveFormat::TarZst).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("/data")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_destination_that_does_not_exist_is_made_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let mut request = lab.request(ArchiveFormat::TarZst);
    request.destination = lab.path("new/archives");
    let archive = lab
        .archiver
        .create(&request, &Control::new())
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&request.destination), 0o700);
    assert_eq!(mode(Path::new(&archive.path)), 0o600);
}

#[tokio::test]
async fn a_destination_inside_the_directory_is_refused() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let mut request = lab.request(ArchiveFormat::TarZst);
    request.destination = lab.data().join("archives");
    let error = lab
        .archiver
        .create(&request, &Control::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("use another destination")),
        "{error:?}"
    );
}

#[tokio::test]
async fn two_archives_of_one_second_both_live() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let (first, second, third) = tokio::join!(
        lab.create(ArchiveFormat::TarZst),
        lab.create(ArchiveFormat::TarZst),
        lab.create(ArchiveFormat::Zip)
    );
    let mut stems: Vec<String> = [first, second, third]
        .into_iter()
        .map(|archive| archive.unwrap().name.split('.').next().unwrap().to_owned())
        .collect();
    stems.sort();
    assert_eq!(
        stems,
        [
            "trade_service_20261122195600",
            "trade_service_20261122195600-2",
            "trade_service_20261122195600-3"
        ]
    );
    assert_eq!(lab.archive_files().len(), 6, "{:?}", lab.archive_files());
}

#[tokio::test]
async fn a_full_disk_is_noticed_before_anything_is_written() {
    let lab = Lab::with(ArchiverConfig {
        reserve: 1 << 60,
        ..ArchiverConfig::default()
    });
    write(&lab.data().join("file"), &noise(1, 100_000));
    for format in FORMATS {
        let error = lab.create(format).await.unwrap_err();
        let Error::NoSpace(text) = &error else {
            panic!("{error:?}")
        };
        assert!(text.contains("1024.0 PiB are free in"), "{text}");
        assert!(
            text.contains("GiB are") || text.contains("MiB are") || text.contains("TiB are"),
            "{text}"
        );
    }
    assert_eq!(lab.archive_files(), [] as [String; 0]);
}

#[tokio::test]
async fn what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let stale = ".trade_service_20261121000000.tar.zst.1-2-0.partial";
    let living = ".trade_service_20261121000001.tar.zst.1-2-0.partial";
    let other = ".trade_20261121000000.tar.zst.1-2-0.partial";
    for name in [stale, living, other] {
        write(&lab.archives().join(name), b"half");
    }
    let lock = File::open(lab.archives().join(living)).unwrap();
    lock.try_lock().unwrap();
    lab.create(ArchiveFormat::TarZst).await.unwrap();
    let files = lab.archive_files();
    assert!(!files.contains(&stale.to_owned()), "{files:?}");
    assert!(
        files.contains(&living.to_owned()) && files.contains(&other.to_owned()),
        "{files:?}"
    );
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_read_is_noted_and_the_archive_holds() {
    for format in FORMATS {
        let lab = Lab::new();
        let growing = lab.data().join("orders.log");
        write(&growing, &noise(3, 12 << 20));
        let control = in_the_middle(move || {
            OpenOptions::new()
                .append(true)
                .open(&growing)
                .unwrap()
                .write_all(b"twelve bytes")
                .unwrap();
        });
        let archive = lab
            .archiver
            .create(&lab.request(format), &control)
            .await
            .unwrap();
        assert_eq!(
            archive.changed,
            ["orders.log: grew by 12 bytes while it was read; they are not in the archive"]
        );
        assert_eq!(lab.manifest(&archive).data_bytes, 12 << 20);
        lab.verify(&archive.path).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_shrinks_while_it_is_read_is_padded_and_noted() {
    for format in FORMATS {
        let lab = Lab::new();
        let shrinking = lab.data().join("cache");
        write(&shrinking, &noise(4, 20 << 20));
        let control = in_the_middle(move || {
            OpenOptions::new()
                .write(true)
                .open(&shrinking)
                .unwrap()
                .set_len(1000)
                .unwrap();
        });
        let archive = lab
            .archiver
            .create(&lab.request(format), &control)
            .await
            .unwrap();
        assert_eq!(archive.changed.len(), 1);
        assert!(
            archive.changed[0].starts_with("cache: shrank while it was read"),
            "{:?}",
            archive.changed
        );
        lab.verify(&archive.path).await.unwrap();
        let target = lab.path("restored");
        lab.archiver
            .restore(Path::new(&archive.path), &target, &Control::new())
            .await
            .unwrap();
        assert_eq!(fs::metadata(target.join("cache")).unwrap().len(), 20 << 20);
    }
}

#[tokio::test]
async fn files_that_are_replaced_or_vanish_are_noted() {
    let lab = Lab::new();
    let (data, other) = (lab.data(), lab.path("other"));
    write(&data.join("a-replaced"), &noise(5, 12 << 20));
    write(&data.join("b-vanishes"), b"x");
    write(&data.join("c-stays"), b"x");
    write(&other, b"another");
    let control = in_the_middle(move || {
        fs::rename(&other, data.join("a-replaced")).unwrap();
        fs::remove_file(data.join("b-vanishes")).unwrap();
    });
    let archive = lab
        .archiver
        .create(&lab.request(ArchiveFormat::TarZst), &control)
        .await
        .unwrap();
    assert_eq!(
        archive.changed,
        [
            "a-replaced: was replaced while it was read; the archive holds the old one",
            "b-vanishes: vanished before it was read; it is not in the archive"
        ]
    );
    assert_eq!(archive.files, 2);
}

#[tokio::test]
async fn a_thread_that_never_stops_appending_does_not_spoil_the_archive() {
    let lab = Lab::new();
    let path = lab.data().join("busy.log");
    write(&path, &noise(6, 8 << 20));
    let stop = Arc::new(AtomicBool::new(false));
    let of_thread = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        while !of_thread.load(Ordering::Relaxed) {
            file.write_all(b"order filled\n").unwrap();
        }
    });
    let archive = lab.create(ArchiveFormat::TarZst).await;
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    let archive = archive.unwrap();
    assert_eq!(archive.changed.len(), 1, "{:?}", archive.changed);
    lab.verify(&archive.path).await.unwrap();
}

#[tokio::test]
async fn sockets_and_pipes_are_skipped_and_noted() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let _socket = std::os::unix::net::UnixListener::bind(lab.data().join("socket")).unwrap();
    nix::unistd::mkfifo(
        &lab.data().join("pipe"),
        nix::sys::stat::Mode::from_bits_truncate(0o600),
    )
    .unwrap();
    let archive = lab.create(ArchiveFormat::TarZst).await.unwrap();
    let skipped: Vec<(String, String)> = lab
        .manifest(&archive)
        .skipped
        .into_iter()
        .map(|skipped| (skipped.path.to_string(), skipped.what))
        .collect();
    let pair = |path: &str, what: &str| (path.to_owned(), what.to_owned());
    assert_eq!(
        skipped,
        [pair("pipe", "named pipe"), pair("socket", "socket")]
    );
}

#[tokio::test]
async fn a_name_that_a_zip_cannot_hold_is_an_error_and_not_another_name() {
    let lab = Lab::new();
    write(&lab.data().join("back\\slash"), b"x");
    let error = lab.create(ArchiveFormat::Zip).await.unwrap_err();
    assert!(
        matches!(&error, Error::Failed(text) if text.contains("use tar-zst")),
        "{error:?}"
    );
    assert_eq!(lab.archive_files(), [] as [String; 0]);
    lab.create(ArchiveFormat::TarZst).await.unwrap();
}

#[tokio::test]
async fn what_is_cancelled_leaves_nothing_behind() {
    for format in FORMATS {
        let lab = Lab::new();
        write(&lab.data().join("large"), &noise(8, 24 << 20));
        let slot: Arc<Mutex<Option<Control>>> = Arc::default();
        let of_listener = Arc::clone(&slot);
        let control = in_the_middle(move || of_listener.lock().unwrap().as_ref().unwrap().cancel());
        *slot.lock().unwrap() = Some(control.clone());
        let error = lab
            .archiver
            .create(&lab.request(format), &control)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, Error::Failed(text) if text.contains("Cancelled")),
            "{error:?}"
        );
        assert_eq!(lab.archive_files(), [] as [String; 0]);
        slot.lock().unwrap().take();
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_takes_its_work_with_it() {
    let lab = Lab::new();
    write(&lab.data().join("large"), &noise(9, 24 << 20));
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let gate = Arc::new(std::sync::Barrier::new(2));
    let of_listener = Arc::clone(&gate);
    let control = in_the_middle(move || {
        sender.send(()).unwrap();
        of_listener.wait();
    });
    let (archiver, request): (Archiver, _) =
        (lab.archiver.clone(), lab.request(ArchiveFormat::TarZst));
    let task = tokio::spawn(async move { archiver.create(&request, &control).await });
    tokio::task::spawn_blocking(move || receiver.recv().unwrap())
        .await
        .unwrap();
    assert_eq!(lab.archive_files().len(), 1, "it is under way");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gate.wait();
    while !lab.archive_files().is_empty() {
        assert!(
            !lab.archive_files()
                .iter()
                .any(|name| !name.ends_with(".partial"))
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn progress_is_told_for_both_halves() {
    let lab = Lab::new();
    write(&lab.data().join("large"), &noise(10, 24 << 20));
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let of_listener = Arc::clone(&seen);
    let control =
        Control::new().with_progress(move |progress| of_listener.lock().unwrap().push(progress));
    lab.archiver
        .create(&lab.request(ArchiveFormat::TarZst), &control)
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter().all(|progress| progress.done <= progress.total),
        "{seen:?}"
    );
    for phase in [Phase::Writing, Phase::Reading] {
        let of_phase: Vec<u64> = seen
            .iter()
            .filter(|p| p.phase == phase)
            .map(|p| p.done)
            .collect();
        assert!(of_phase.len() > 1, "{seen:?}");
        assert!(of_phase.is_sorted(), "{seen:?}");
    }
}

#[tokio::test]
async fn an_archive_that_was_not_read_back_has_no_manifest() {
    let lab = Lab::new();
    write(&lab.data().join("file"), b"x");
    let control = Control::new();
    let written = lab
        .archiver
        .write(&lab.request(ArchiveFormat::TarZst), &control)
        .await
        .unwrap();
    assert!(!manifest_path(written.path()).exists());
    let listed = lab
        .archiver
        .list(&lab.archives(), "trade_service")
        .await
        .unwrap();
    assert!(!listed[0].verified);
    let archive = lab.archiver.read_back(written, &control).await.unwrap();
    assert!(archive.verified);
    assert!(manifest_path(Path::new(&archive.path)).exists());
    assert_eq!(lab.archive_files().len(), 2, "{:?}", lab.archive_files());
}

#[tokio::test]
async fn an_archive_that_the_disk_spoiled_does_not_count() {
    for format in FORMATS {
        let lab = Lab::new();
        write(&lab.data().join("file"), &noise(11, 100_000));
        let control = Control::new();
        let written = lab
            .archiver
            .write(&lab.request(format), &control)
            .await
            .unwrap();
        let path = written.path().to_owned();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = lab.archiver.read_back(written, &control).await.unwrap_err();
        assert!(
            matches!(&error, Error::Mismatch(text) if text.contains("it was kept as")),
            "{error:?}"
        );
        assert_eq!(
            lab.archiver
                .list(&lab.archives(), "trade_service")
                .await
                .unwrap(),
            []
        );
        let files = lab.archive_files();
        assert!(
            files.len() == 1 && files[0].ends_with(".damaged"),
            "{files:?}"
        );
    }
}
