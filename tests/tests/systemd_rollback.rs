//! A rollback of a native service that a real systemd runs: undone after a failure, then for good.

use std::time::Duration;

use anyhow::ensure;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rollbot_tests::demo::Engine;
use rollbot_tests::serve::Serve;
use rollbot_tests::systemd::Machine;
use rollbot_tests::{eventually, world};

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");
const UNIT: &str = "cryptobot-trade";

/// Waits until this deployment, or nobody, answers on the service's port.
async fn served_by(serve: &Serve, whom: Option<&str>) -> anyhow::Result<()> {
    let what = format!("{whom:?} to answer");
    eventually(&what, Duration::from_secs(20), || async {
        let seen = world::look_without_archives(serve.directory())?;
        Ok((seen.deployment.as_deref() == whom).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_of_systemd_gives_way_to_its_container_and_comes_back_when_undone()
-> anyhow::Result<()> {
    let mut serve = Serve::prepare(BINARY, Engine::Docker).await?;

    // The native service becomes a unit of a systemd that shares network and files with this machine.
    let (pid, argv) = world::native_trade(serve.directory())?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    served_by(&serve, None).await?;
    let files = format!("{0}:{0}", serve.directory().display());
    let machine = Machine::start(&["--network", "host", "-v", &files])?;
    machine.install(UNIT, &argv)?;
    machine.runs(&["systemctl", "start", UNIT])?;
    served_by(&serve, Some("native")).await?;
    assert_eq!(machine.property(UNIT, "ActiveState")?, "active");
    let first_start = machine.property(UNIT, "InvocationID")?;

    serve.replace(
        "rollbot.toml",
        "[process]",
        "[control]",
        &format!(
            "[process]\nmanager = \"systemd\"\nbus = \"{}\"\n",
            machine.address()
        ),
    )?;
    serve.begin().await?;
    let ana = serve.logged_in("ana").await?;

    // Nothing can be archived into a directory that is none: it fails after the stop.
    let backups = serve.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    std::fs::write(&backups, "in the way")?;
    serve.approved(&ana, "trade", "RB-1").await?;
    let question = ana
        .awaits("question", &["RB-1", "is paused and asks", "backups"])
        .await?;
    assert_eq!(machine.property(UNIT, "ActiveState")?, "inactive");
    assert_eq!(machine.property(UNIT, "Result")?, "success");
    served_by(&serve, None).await?;

    let cleo = serve.logged_in("cleo").await?;
    cleo.presses(question.id, "undo").await?;
    ana.awaits("live", &["RB-1", "undone"]).await?;
    assert_eq!(machine.property(UNIT, "ActiveState")?, "active");
    let second_start = machine.property(UNIT, "InvocationID")?;
    ensure!(
        first_start != second_start,
        "it was never stopped: {first_start}"
    );
    let seen = world::look_without_archives(serve.directory())?;
    assert_eq!(seen.deployment.as_deref(), Some("native"));
    assert!(seen.registry.ends_with("/native"), "{}", seen.registry);

    // Without the obstacle it goes all the way.
    std::fs::remove_file(&backups)?;
    std::fs::create_dir(&backups)?;
    // The lock outlives what was undone: somebody has to say that it may be tried again.
    let unlocked = serve.rollbot(&["unlock", "trade"]).await?;
    ensure!(unlocked.status.success());
    serve.approved(&ana, "trade", "RB-2").await?;
    ana.awaits("live", &["RB-2", "closed", "Every target was observed"])
        .await?;
    assert_eq!(machine.property(UNIT, "ActiveState")?, "inactive");
    let seen = world::look(serve.directory())?;
    assert_eq!(seen.deployment.as_deref(), Some("docker"));
    assert!(seen.registry.ends_with("/docker"), "{}", seen.registry);
    assert_eq!(seen.archives.len(), 1);

    let shown = serve.rollbot(&["show", "RB-2"]).await?;
    let shown = String::from_utf8(shown.stdout)?;
    ensure!(
        shown.contains("systemd stopped cryptobot-trade.service (main process "),
        "{shown}"
    );
    Ok(())
}
