//! Break-glass: one person starts a rollback alone, for a reason, and everybody hears of it.

use anyhow::ensure;
use rollbot_tests::demo::Engine;
use rollbot_tests::serve::Serve;
use rollbot_tests::world;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

const ON: &str = "[break_glass]\nenabled = true\ngroups = [\"incident-leads\"]";

/// Ben leads incidents.
fn let_ben_break_it(serve: &Serve) -> anyhow::Result<()> {
    serve.append(ON)?;
    serve.edit(
        "people.toml",
        "id = \"ben\"\nname = \"Ben\"\ngroups = [\"operators\", \"approvers\"]",
        "id = \"ben\"\nname = \"Ben\"\ngroups = [\"operators\", \"approvers\", \"incident-leads\"]",
    )
}

/// What a command said where it did nothing.
async fn refusal(serve: &Serve, person: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = serve.rollbot_as(person, arguments).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success(),
        "it was done: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(said)
}

const GLASS: [&str; 4] = ["vote", "RB-1", "approve", "--break-glass"];

#[tokio::test(flavor = "multi_thread")]
async fn one_person_starts_alone_for_a_reason_and_everybody_else_is_alerted() -> anyhow::Result<()>
{
    let mut serve = Serve::prepare(BINARY, Engine::Docker).await?;
    let_ben_break_it(&serve)?;
    serve.begin().await?;
    let before = world::look(serve.directory())?;
    let requested = serve
        .rollbot_as("ana", &["request", "trade", "--reason", "orders failing"])
        .await?;
    ensure!(requested.status.success());
    let ana = serve.logged_in("ana").await?;
    ana.awaits("approval", &["0 of 2 approvals"]).await?;

    // Not without a reason, and not by anybody else: neither an approver nor who asked.
    let said = refusal(&serve, "ben", &GLASS).await?;
    ensure!(said.contains("--reason"), "{said}");
    let with = |reason| [GLASS.as_slice(), &["--reason", reason]].concat();
    let said = refusal(&serve, "ben", &with("   ")).await?;
    ensure!(said.contains("needs a reason"), "{said}");
    for person in ["cleo", "ana", "dan", "eli"] {
        let said = refusal(&serve, person, &with("nobody answers")).await?;
        ensure!(
            said.contains("only members of incident-leads may break the glass"),
            "{person}: {said}"
        );
    }
    let veto = ["vote", "RB-1", "veto", "--break-glass", "--reason", "stop"];
    let said = refusal(&serve, "ben", &veto).await?;
    ensure!(said.contains("approve"), "a veto breaks no glass: {said}");
    assert_eq!(world::look(serve.directory())?, before);

    let broken = serve
        .rollbot_as("ben", &with("nobody answers, orders fail"))
        .await?;
    let said = String::from_utf8_lossy(&broken.stdout);
    ensure!(
        broken.status.success() && said.contains("without a vote"),
        "{said}"
    );

    let alert = ana
        .awaits("notice", &["RB-1 was started without a vote"])
        .await?;
    for part in [
        "Ben broke the glass to roll back trade",
        "nobody answers, orders fail",
        "Not asked: Cleo, Eli",
    ] {
        ensure!(
            alert.text.contains(part),
            "no \u{201c}{part}\u{201d}: {}",
            alert.text
        );
    }
    ensure!(!alert.private && alert.channel == "ops");
    let live = ana
        .awaits("live", &["closed", "Every target was observed"])
        .await?;
    ensure!(live.text.contains("Ben"), "{}", live.text);
    assert_eq!(
        world::look(serve.directory())?.deployment.as_deref(),
        Some("docker")
    );
    ana.awaits("approval", &["started by Ben alone", "0 of 2 approvals"])
        .await?;

    // On record, in the chain.
    let shown = serve.rollbot(&["show", "RB-1", "--json"]).await?;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
    assert_eq!(
        shown.pointer("/operation/approved-by/person"),
        Some(&"ben".into()),
        "{}",
        shown["operation"]
    );
    let started: Vec<_> = shown["audit"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|row| row.pointer("/entry/kind") == Some(&"started".into()))
        .collect();
    ensure!(
        matches!(started.as_slice(), [row] if row.pointer("/entry/actor") == Some(&"ben".into())
            && row.to_string().contains("nobody answers, orders fail")),
        "{started:?}"
    );
    let refused = shown["audit"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|row| row.pointer("/entry/kind") == Some(&"break-glass-refused".into()))
        .filter_map(|row| row.pointer("/entry/actor")?.as_str());
    // Ben without a reason, and the four who may not.
    assert_eq!(
        refused.collect::<Vec<_>>(),
        ["ben", "cleo", "ana", "dan", "eli"]
    );
    let audit = serve.rollbot(&["audit", "verify"]).await?;
    ensure!(audit.status.success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_is_off_unless_it_is_switched_on() -> anyhow::Result<()> {
    let serve = Serve::start(BINARY, Engine::StandIn).await?;
    let before = world::look(serve.directory())?;
    let requested = serve.rollbot_as("ana", &["request", "trade"]).await?;
    ensure!(requested.status.success());
    let ana = serve.logged_in("ana").await?;
    ana.awaits("approval", &["0 of 2 approvals"]).await?;
    for person in ["ben", "eli"] {
        let arguments = [GLASS.as_slice(), &["--reason", "nobody answers"]].concat();
        let said = refusal(&serve, person, &arguments).await?;
        ensure!(said.contains("break-glass is off"), "{person}: {said}");
    }
    ana.awaits("approval", &["0 of 2 approvals", "The vote ends at"])
        .await?;
    assert_eq!(world::look(serve.directory())?, before);
    Ok(())
}
