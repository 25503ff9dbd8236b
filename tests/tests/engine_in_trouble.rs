//! A Docker Engine that hangs or answers nonsense while a rollback is under way.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rollbot_tests::console::{Message, Visitor};
use rollbot_tests::demo::Engine;
use rollbot_tests::engine_fault::{self, Front};
use rollbot_tests::serve::Serve;
use rollbot_tests::world;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

/// The engine's own socket.
fn docker() -> String {
    std::env::var("DOCKER_HOST")
        .ok()
        .and_then(|host| host.strip_prefix("unix://").map(str::to_owned))
        .unwrap_or_else(|| "/var/run/docker.sock".to_owned())
}

struct UnderWay {
    serve: Serve,
    front: Front,
    ana: Visitor,
    cleo: Visitor,
}

/// A rollback that was approved, has checked what it could, and waits for orders in flight before
/// it stops anything.
async fn under_way() -> anyhow::Result<UnderWay> {
    let mut serve = Serve::prepare(BINARY, Engine::Docker).await?;
    let socket = serve.directory().join("front.sock");
    let docker = docker();
    let front = Front::before(docker.as_ref(), &socket)?;
    serve.edit(
        "rollbot.toml",
        &format!("socket = \"{docker}\""),
        &format!("socket = \"{}\"", socket.display()),
    )?;
    // Two attempts at what may pass by itself, and more patience with orders than the demo has.
    serve.append("[engine]\nattempts = 2")?;
    serve.edit(
        "services.toml",
        "in-flight-limit = \"20s\"",
        "in-flight-limit = \"120s\"",
    )?;
    serve.begin().await?;
    serve.world().orders_in_flight(2).await?;
    let ana = serve.logged_in("ana").await?;
    serve.approved(&ana, "trade", "RB-1").await?;
    let cleo = serve.logged_in("cleo").await?;
    ana.awaits("live", &["running", "in flight"]).await?;
    Ok(UnderWay {
        serve,
        front,
        ana,
        cleo,
    })
}

/// The question under which the operation waits, which must offer to try again.
async fn question(ana: &Visitor, socket: &std::path::Path) -> anyhow::Result<Message> {
    let question = ana.awaits("question", &["is paused and asks"]).await?;
    for key in ["retry", "undo", "abort"] {
        ensure!(
            question.buttons.iter().any(|button| button.key == key),
            "no `{key}`: {}",
            question.text
        );
    }
    let named = format!("The Docker engine at {}", socket.display());
    ensure!(
        question.text.contains(&named),
        "it does not say which engine: {}",
        question.text
    );
    Ok(question)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_pauses_the_run_in_time_and_retry_ends_it_well() -> anyhow::Result<()>
{
    let UnderWay {
        serve,
        front,
        ana,
        cleo,
    } = under_way().await?;
    front.becomes(engine_fault::Engine::Hangs);
    serve.world().orders_in_flight(0).await?;
    let begin = Instant::now();
    let question = question(&ana, front.socket()).await?;
    // Two attempts of ten seconds, the pause between them, and the steps before.
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(45), "it took {took:?}");
    ensure!(
        question.text.contains("did not answer within 10 s"),
        "{}",
        question.text
    );
    ensure!(!front.spoiled().is_empty());

    // The native service is down by now and the container is not up: nobody says otherwise.
    let seen = world::look(serve.directory())?;
    assert_eq!(seen.deployment, None);
    assert_eq!(seen.archives.len(), 1, "the data was saved before");
    let live = ana.awaits("live", &["Waits for people"]).await?;
    ensure!(!live.text.contains("closed"), "{}", live.text);

    front.becomes(engine_fault::Engine::Well);
    cleo.presses(question.id, "retry").await?;
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;
    let seen = world::look(serve.directory())?;
    assert_eq!(seen.deployment.as_deref(), Some("docker"));
    assert!(seen.registry.ends_with("/docker"), "{}", seen.registry);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_answers_500_pauses_with_its_words_and_retry_ends_it_well()
-> anyhow::Result<()> {
    let UnderWay {
        serve,
        front,
        ana,
        cleo,
    } = under_way().await?;
    let words = "containerd is gone <@everyone>";
    front.becomes(engine_fault::Engine::Answers(500, words.to_owned()));
    serve.world().orders_in_flight(0).await?;
    let first = question(&ana, front.socket()).await?;
    for part in ["answered 500", words] {
        ensure!(
            first.text.contains(part),
            "no \u{201c}{part}\u{201d}: {}",
            first.text
        );
    }
    assert_eq!(world::look(serve.directory())?.deployment, None);

    // Trying again too early asks again, and loses nothing.
    cleo.presses(first.id, "retry").await?;
    let second = second_question(&ana, first.id).await?;
    front.becomes(engine_fault::Engine::Well);
    cleo.presses(second.id, "retry").await?;
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;
    assert_eq!(
        world::look(serve.directory())?.deployment.as_deref(),
        Some("docker")
    );
    let audit = serve.rollbot(&["audit", "verify"]).await?;
    ensure!(audit.status.success());
    Ok(())
}

/// The next question, in a message of its own.
async fn second_question(ana: &Visitor, first: i64) -> anyhow::Result<Message> {
    let within = rollbot_tests::console::PATIENCE;
    rollbot_tests::eventually("another question", within, || async {
        let all = ana.sees().await?;
        Ok(all.into_iter().find(|message| {
            message.kind == "question" && message.id != first && !message.buttons.is_empty()
        }))
    })
    .await
    .context("after retrying too early")
}
