//! `rollbot serve`: people who have to say who they are, and prove it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rollbot_tests::console::{ACT_AS, Visitor, client, client_id};
use rollbot_tests::demo::Engine;
use rollbot_tests::serve::Serve;
use rollbot_tests::world;

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

#[tokio::test(flavor = "multi_thread")]
async fn people_who_logged_in_by_link_bring_trade_back_together() -> anyhow::Result<()> {
    let serve = Serve::start(BINARY, Engine::Docker).await?;
    let ana = serve.logged_in("ana").await?;
    let me = ana.get("/api/me").await?;
    assert_eq!(me.pointer("/person/id"), Some(&"ana".into()));
    assert_eq!(me.pointer("/access"), Some(&"login".into()));

    let answer = ana
        .types("ops", "/rollback trade reason: orders failing")
        .await?
        .context("the command was not answered")?;
    ensure!(answer.text.contains("RB-1"), "{}", answer.text);
    let approval = ana
        .awaits("approval", &["Ana asks for it", "0 of 2 approvals"])
        .await?
        .id;

    let dan = serve.logged_in("dan").await?;
    let refused = dan.reacts(approval, "white_check_mark", true).await?;
    ensure!(refused.is_some_and(|answer| answer.text.contains("only members of approvers")));

    for person in ["ben", "cleo"] {
        let visitor = serve.logged_in(person).await?;
        visitor.reacts(approval, "white_check_mark", true).await?;
    }
    ana.awaits("live", &["closed", "Every target was observed"])
        .await?;
    let after = world::look(serve.directory())?;
    assert_eq!(after.deployment.as_deref(), Some("docker"));
    assert!(after.registry.ends_with("/docker"), "{}", after.registry);
    assert_eq!(after.archives.len(), 1);
    ana.awaits("announcement", &["Trading is back"]).await?;
    Ok(())
}

/// What a request was answered, as far as refusals are concerned.
async fn status_of(request: reqwest::RequestBuilder) -> anyhow::Result<(u16, String)> {
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_of_ones_own_nothing_is_shown_and_no_vote_counts() -> anyhow::Result<()> {
    let serve = Serve::start(BINARY, Engine::StandIn).await?;
    let base = serve.base();

    // A link logs in once, and looking at it does not use it up.
    let token = serve.login_token("ben").await?;
    let http = client(Duration::from_secs(15))?;
    let link = format!("{base}/login?token={token}");
    for _ in 0..2 {
        let (status, page) = status_of(http.get(&link)).await?;
        ensure!(status == 200 && page.contains("Log in as Ben"), "{page}");
    }
    let (status, cookie) = serve.redeem(&token).await?;
    ensure!((300..400).contains(&status), "{status}");
    let cookie = cookie.context("no session")?;
    assert_eq!(serve.redeem(&token).await?, (410, None));
    assert_eq!(serve.redeem("guessed").await?, (410, None));
    let ben = Visitor::claiming(&base, "cookie", &cookie)?;

    let requested = serve
        .rollbot_as("ana", &["request", "trade", "--reason", "orders failing"])
        .await?;
    ensure!(requested.status.success());
    let approval = ben
        .awaits("approval", &["Ana asks for it", "0 of 2 approvals"])
        .await?
        .id;

    let path = format!("{base}/api/messages/{approval}/reactions");
    let vote = || {
        let body = serde_json::json!({
            "emoji": "white_check_mark", "on": true, "client_id": client_id(),
        });
        http.post(&path).json(&body)
    };
    let session = |request: reqwest::RequestBuilder| request.header("cookie", &cookie);
    let ours = |request: reqwest::RequestBuilder| request.header("origin", &base);
    for (what, request, wanted) in [
        ("nobody", ours(vote()), 401),
        (
            "a made-up session",
            ours(vote()).header("cookie", "rollbot_session=AAAA"),
            401,
        ),
        (
            "Ben, who acts as Cleo",
            session(ours(vote())).header(ACT_AS, "cleo"),
            403,
        ),
        (
            "Ben, who acts as himself",
            session(ours(vote())).header(ACT_AS, "ben"),
            403,
        ),
        (
            "a page of another site",
            session(vote()).header("origin", "https://elsewhere.example"),
            403,
        ),
        ("a page that hides where it is from", session(vote()), 403),
        (
            "a name that was pointed at this machine",
            session(ours(vote())).header("host", "elsewhere.example"),
            421,
        ),
    ] {
        let (status, text) = status_of(request).await?;
        ensure!(status == wanted, "{what}: {status} {text}");
    }
    let (status, text) = status_of(http.get(format!("{base}/api/messages"))).await?;
    ensure!(status == 401 && !text.contains("RB-1"), "{status} {text}");
    let (status, _) = status_of(http.get(format!("{base}/api/people"))).await?;
    assert_eq!(status, 403, "who there is is nobody's business");

    // None of it was counted; the same request with what it takes is.
    let shown = serve.rollbot(&["show", "RB-1"]).await?;
    let shown = String::from_utf8(shown.stdout)?;
    ensure!(!shown.contains("approves"), "{shown}");
    let (status, text) = status_of(session(ours(vote()))).await?;
    ensure!(status == 200, "{status} {text}");
    ben.awaits("approval", &["1 of 2 approvals", "Ben"]).await?;

    // Nobody but this machine can even connect.
    let listening = listening_addresses(serve.world().port())?;
    assert_eq!(listening, ["127.0.0.1"]);

    // Logging out ends the session for whoever else holds the cookie.
    let (status, _) = status_of(session(ours(http.post(format!("{base}/api/logout"))))).await?;
    assert_eq!(status, 204);
    let (status, _) = status_of(session(http.get(format!("{base}/api/me")))).await?;
    assert_eq!(status, 401);
    Ok(())
}

/// The local addresses of the sockets that listen on a port, as the kernel has them.
fn listening_addresses(port: u16) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines() {
            let mut words = line.split_whitespace().skip(1);
            let (Some(local), Some(_), Some(state)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some((address, of)) = local.split_once(':') else {
                continue;
            };
            if state != "0A" || u16::from_str_radix(of, 16).ok() != Some(port) {
                continue;
            }
            let address = match u32::from_str_radix(address, 16) {
                Ok(bits) => std::net::Ipv4Addr::from(bits.to_ne_bytes()).to_string(),
                Err(_) => address.to_owned(),
            };
            found.push(address);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_names_people_and_nobody_else_does() -> anyhow::Result<()> {
    let mut serve = Serve::prepare(BINARY, Engine::StandIn).await?;
    serve.edit(
        "rollbot.toml",
        "[console]\n",
        "[console]\naccess = \"trusted-header\"\nheader = \"X-Forwarded-User\"\nfrom = [\"127.0.0.1\"]\n",
    )?;
    serve.begin().await?;
    let base = serve.base();
    let cleo = Visitor::claiming(&base, "x-forwarded-user", "cleo")?;
    let me = cleo.get("/api/me").await?;
    assert_eq!(me.pointer("/person/id"), Some(&"cleo".into()));
    let http = client(Duration::from_secs(5))?;
    let me = || http.get(format!("{base}/api/me"));
    let twice = me()
        .header("x-forwarded-user", "cleo")
        .header("x-forwarded-user", "ben");
    assert_eq!(status_of(twice).await?.0, 401);
    let stranger = me().header("x-forwarded-user", "mallory");
    assert_eq!(status_of(stranger).await?.0, 401);
    assert_eq!(status_of(me()).await?.0, 401);
    let link = serve.rollbot_as("ben", &["login"]).await?;
    assert_eq!(link.status.code(), Some(1));

    // From elsewhere the header is anybody's word.
    serve.end().await?;
    serve.edit(
        "rollbot.toml",
        "from = [\"127.0.0.1\"]",
        "from = [\"192.0.2.7\"]",
    )?;
    serve.begin().await?;
    let named = me().header("x-forwarded-user", "cleo");
    assert_eq!(status_of(named).await?.0, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bot_on_the_same_state_is_refused_and_the_first_goes_on() -> anyhow::Result<()> {
    let serve = Serve::start(BINARY, Engine::StandIn).await?;
    let second = serve.rollbot(&["serve"]).await?;
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(2), "{said}");
    let line = format!(
        "error: another rollbot works in {}: end it first, or give this one a state_directory of its own",
        serve.state().display()
    );
    ensure!(said.lines().any(|said| said == line), "{said}");
    let requested = serve.rollbot_as("ana", &["request", "data"]).await?;
    ensure!(requested.status.success(), "the first one is gone");
    Ok(())
}

/// What tells whether a file was written: number, size, and both times.
fn files(directory: &Path) -> anyhow::Result<BTreeMap<String, (u64, u64, i64, i64)>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let entry = entry?;
        let about = entry.metadata()?;
        let changed = about.ctime() * 1_000_000_000 + about.ctime_nsec();
        let written = about.mtime() * 1_000_000_000 + about.mtime_nsec();
        let name = entry.file_name().to_string_lossy().into_owned();
        all.insert(name, (about.ino(), about.len(), written, changed));
    }
    Ok(all)
}

/// How many components each start of the bot says that it compiled.
fn compiled(log: &str) -> Vec<u32> {
    log.lines()
        .filter(|line| line.contains("plugins are loaded"))
        .filter_map(|line| {
            let rest = line.split_once("compiled=")?.1;
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_compiles_nothing() -> anyhow::Result<()> {
    let mut serve = Serve::start(BINARY, Engine::StandIn).await?;
    let cache = serve.state().join("plugins");
    let first = files(&cache)?;
    serve.end().await?;
    serve.begin().await?;
    assert_eq!(files(&cache)?, first, "{}", serve.said());
    let starts = compiled(&serve.said());
    ensure!(
        matches!(starts.as_slice(), [some, 0] if *some > 0),
        "{starts:?} of {}",
        serve.said()
    );
    // It is the cache that saved it: without one, everything is compiled again.
    serve.end().await?;
    std::fs::remove_dir_all(&cache)?;
    serve.begin().await?;
    let starts = compiled(&serve.said());
    ensure!(
        matches!(starts.as_slice(), [some, 0, again] if some == again),
        "{starts:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_socket_is_for_the_group_that_is_named_and_else_for_nobody()
-> anyhow::Result<()> {
    let mut serve = Serve::start(BINARY, Engine::StandIn).await?;
    let asked = serve.rollbot_as("ana", &["request", "data"]).await?;
    ensure!(asked.status.success());
    serve.end().await?;
    serve.edit("rollbot.toml", "group = \"root\"\n", "")?;
    serve.begin().await?;
    let asked = serve.rollbot_as("ana", &["request", "trade"]).await?;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(2), "{said}");
    ensure!(said.contains("Permission denied"), "{said}");
    let own = serve.rollbot(&["request", "trade"]).await?;
    ensure!(own.status.success(), "the bot's own user is let in");

    serve.end().await?;
    serve.edit(
        "rollbot.toml",
        "[control]\n",
        "[control]\ngroup = \"no-such-group\"\n",
    )?;
    let refused = serve.rollbot(&["serve"]).await?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    ensure!(
        said.contains("this machine has no group `no-such-group`"),
        "{said}"
    );
    Ok(())
}
