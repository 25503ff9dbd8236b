//! What the command line says, as people read it: help, findings, refusals, timelines.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rollbot_tests::console::PATIENCE;
use rollbot_tests::demo::{Demo, Engine};
use rollbot_tests::eventually;
use rollbot_tests::transcript::{RUN, TOOK, of_this_demo, rollbot, transcribe};

const BINARY: &str = env!("CARGO_BIN_EXE_rollbot-under-test");

/// Runs it with these words, in this directory.
fn typed(directory: &Path, words: &str) -> anyhow::Result<String> {
    let mut command = rollbot(BINARY);
    command
        .args(words.split_whitespace())
        .current_dir(directory);
    transcribe(&format!("rollbot {words}"), &mut command)
}

/// What of a text differs between machines and runs, taken out of it.
fn assert_reads(name: &str, text: &str, filters: &[(String, String)], also: &[(&str, &str)]) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, by) in filters {
        settings.add_filter(pattern, by);
    }
    for (pattern, by) in RUN.iter().chain(also) {
        settings.add_filter(pattern, *by);
    }
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn every_command_explains_itself() -> anyhow::Result<()> {
    let here = Path::new("/");
    assert_reads("help", &typed(here, "--help")?, &[], &[]);
    for command in [
        "serve",
        "demo",
        "check",
        "request",
        "vote",
        "answer",
        "cancel",
        "unlock",
        "login",
        "plan",
        "operations",
        "show",
        "plugin",
        "plugin list",
        "plugin inspect",
        "template",
        "template render",
        "audit",
        "audit verify",
        "people",
        "people check",
        "discord",
        "discord invite",
    ] {
        let text = typed(here, &format!("{command} --help"))?;
        ensure!(!text.contains("[exit status"), "{text}");
        let name = format!("help-{}", command.replace(' ', "-"));
        assert_reads(&name, &text, &[], &[]);
    }
    Ok(())
}

#[test]
fn what_is_typed_wrongly_is_pointed_at() -> anyhow::Result<()> {
    let here = Path::new("/");
    let mut all = String::new();
    for words in [
        "",
        "rolback trade",
        "vote RB-1",
        "vote RB1 approve",
        "vote RB-1 aprove",
        "vote RB-1 approve --break-glass",
        "demo --json",
        "show RB-1 --config /nowhere",
        "check --config /nowhere",
        "request trade --socket /nowhere/control.sock",
        "plugin inspect /nowhere.wasm",
        "template render aproval",
    ] {
        all.push_str(&typed(here, words)?);
        all.push('\n');
    }
    // The list of commands is in another snapshot.
    let commands = r"(?s)! Commands:\n.*?! Options:";
    assert_reads(
        "typed-wrongly",
        &all,
        &[],
        &[(commands, "! […]\n! Options:")],
    );
    Ok(())
}

/// The example that comes with the product, on a machine that has neither Docker nor systemd.
struct Example {
    directory: tempfile::TempDir,
    /// The environment variables in which it looks for secrets.
    secrets: Vec<String>,
}

impl Example {
    fn copy() -> anyhow::Result<Self> {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        let directory = tempfile::tempdir()?;
        let to = directory.path().join("config");
        std::fs::create_dir(&to)?;
        let mut secrets = Vec::new();
        for name in ["rollbot.toml", "services.toml", "people.toml"] {
            let mut text = std::fs::read_to_string(from.join(name))?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let named = line.split("env = \"").skip(1);
                secrets.extend(named.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
            // What a machine may have or not have.
            for (was, is) in [
                (
                    "# socket = \"/var/run/docker.sock\"",
                    "socket = \"/nowhere/docker.sock\"",
                ),
                ("# manager = \"auto\"", "manager = \"systemd\""),
                (
                    "# bus = \"unix:path=/run/dbus/system_bus_socket\"",
                    "bus = \"unix:path=/nowhere/bus\"",
                ),
            ] {
                text = text.replace(was, is);
            }
            std::fs::write(to.join(name), text)?;
        }
        Ok(Self { directory, secrets })
    }

    fn checked(&self, with_secrets: bool) -> anyhow::Result<String> {
        let mut command = rollbot(BINARY);
        command
            .args(["check", "--config", "config"])
            .current_dir(self.directory.path());
        for name in &self.secrets {
            if with_secrets {
                command.env(name, "an-example");
            } else {
                command.env_remove(name);
            }
        }
        transcribe("rollbot check --config config", &mut command)
    }
}

#[test]
fn check_finds_the_secrets_that_the_example_lacks() -> anyhow::Result<()> {
    let example = Example::copy()?;
    ensure!(!example.secrets.is_empty());
    let text = example.checked(false)?;
    for name in &example.secrets {
        ensure!(text.contains(name.as_str()), "{name} is not named:\n{text}");
    }
    assert_reads("check-without-secrets", &text, &[], &[]);
    Ok(())
}

#[test]
fn check_warns_of_what_the_machine_lacks() -> anyhow::Result<()> {
    let text = Example::copy()?.checked(true)?;
    ensure!(!text.contains("an-example"), "a secret is shown:\n{text}");
    assert_reads("check-with-secrets", &text, &[], &[]);
    Ok(())
}

const BROKEN_BOT: &str = r#"state_directory = "state"

[bot]
product = "Cryptobot"
suport = "support@cryptobot.example"

[console]
access = "loggin"

[[console.channel]]
name = "ops"

[chat]
operations = ["console/opps"]
announcements = ["console/ops"]

[approval]
required = 0
groups = ["aprovers"]
expiry = "15 minutes"

[backup]
directory = "/opt/cryptobot/backups"
format = "tar-xz"

[registry]
path = "/opt/cryptobot/registry.json"
"#;

const BROKEN_SERVICES: &str = r#"[[service]]
name = "trade"
type = "trade"
port = 90003
compose_project = "cryptobot"
compose_services = ["trade"]
data_directory = "/opt/cryptobot/non-docker/trade"
registry = { key = "cryptobot/trade", native = "native", docker = "docker" }

[service.checks.health]
url = "127.0.0.1:9003/health"
"#;

const BROKEN_PEOPLE: &str = r#"[[person]]
id = "ana"
name = "Ana"
groups = ["approvers"]

[[person]]
id = "ana"
name = "Another Ana"
"#;

#[test]
fn check_shows_every_mistake_where_it_is() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("config");
    std::fs::create_dir(&config)?;
    for (name, text) in [
        ("rollbot.toml", BROKEN_BOT),
        ("services.toml", BROKEN_SERVICES),
        ("people.toml", BROKEN_PEOPLE),
    ] {
        std::fs::write(config.join(name), text)?;
    }
    let text = typed(directory.path(), "check --config config")?;
    assert_reads("check-broken", &text, &[], &[]);
    // Whatever needs the configuration says the same and does nothing.
    let serve = typed(directory.path(), "serve --config config")?;
    ensure!(
        serve.contains("config/rollbot.toml:5:1") && serve.contains("[exit status 2]"),
        "{serve}"
    );
    ensure!(!directory.path().join("state").exists());
    Ok(())
}

#[test]
fn plugins_and_templates_show_what_they_are() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let here = directory.path();
    assert_reads("plugin-list", &typed(here, "plugin list")?, &[], &[]);
    for name in ["trade", "data"] {
        let text = typed(here, &format!("plugin inspect {name}"))?;
        assert_reads(&format!("plugin-inspect-{name}"), &text, &[], &[]);
    }
    std::fs::write(here.join("notes.wasm"), "no component at all")?;
    let text = typed(here, "plugin inspect notes.wasm")?;
    ensure!(text.contains("[exit status 2]"), "{text}");
    assert_reads("plugin-inspect-notes", &text, &[], &[]);

    let list = typed(here, "template render")?;
    assert_reads("template-list", &list, &[], &[]);
    for line in list.lines().skip(1) {
        let name = line.split_whitespace().next().context("an empty line")?;
        let text = typed(here, &format!("template render {name}"))?;
        ensure!(!text.contains("[exit status"), "{text}");
        // Sample values, which differ nowhere.
        let mut settings = insta::Settings::clone_current();
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(format!("template-{name}"), text));
    }
    Ok(())
}

/// Somebody who types commands beside a demo.
struct Typist<'a> {
    demo: &'a Demo,
    filters: Vec<(String, String)>,
}

impl Typist<'_> {
    /// Types each line and puts everything into one transcript.
    fn types(&self, lines: &[&str]) -> anyhow::Result<String> {
        let mut all = String::new();
        for line in lines {
            let mut command = rollbot(BINARY);
            command.arg("--config").arg(self.demo.config());
            // A word in quotes is one word; there are no others with spaces.
            for (index, part) in line.split('"').enumerate() {
                if index % 2 == 1 {
                    command.arg(part);
                } else {
                    command.args(part.split_whitespace());
                }
            }
            all.push_str(&transcribe(&format!("rollbot {line}"), &mut command)?);
            all.push('\n');
        }
        Ok(all)
    }

    fn reads(&self, name: &str, lines: &[&str]) -> anyhow::Result<()> {
        assert_reads(name, &self.types(lines)?, &self.filters, &[]);
        Ok(())
    }

    fn reads_with_times(&self, name: &str, lines: &[&str]) -> anyhow::Result<()> {
        assert_reads(name, &self.types(lines)?, &self.filters, &TOOK);
        Ok(())
    }
}

/// Waits until an operation is in this state and everybody was told.
async fn told_of(demo: &Demo, operation: &str, state: &str) -> anyhow::Result<()> {
    let what = format!("{operation} to be {state} and told of");
    eventually(&what, PATIENCE, || async {
        let shown = demo.rollbot(&["show", operation, "--json"]).await?;
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout)?;
        let told = shown["messages"]
            .as_array()
            .into_iter()
            .flatten()
            .all(|message| message["delivered"] == true);
        let there = shown.pointer("/operation/state") == Some(&state.into());
        Ok((there && told).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_is_followed_from_a_shell() -> anyhow::Result<()> {
    let mut demo = Demo::start(BINARY, Engine::StandIn).await?;
    let filters = of_this_demo(demo.directory())?;
    let typist = Typist {
        demo: &demo,
        filters: filters.clone(),
    };
    typist.reads(
        "before-anything",
        &[
            "operations",
            "show RB-1",
            "plan nosuch",
            "plan data",
            "audit verify",
        ],
    )?;
    typist.reads(
        "asking",
        &["request trdae", "request trade --reason \"orders failing\""],
    )?;
    let ana = demo.visitor("ana")?;
    let approval = ana
        .awaits("approval", &["RB-1", "0 of 2 approvals"])
        .await?;
    typist.reads(
        "mistakes-while-it-waits",
        &[
            "request trade",
            "vote RB-1 approve",
            "vote RB-99 approve",
            "vote RB-1 approve --break-glass --reason \"nobody answers\"",
            "vote RB-1 veto --break-glass --reason \"nobody answers\"",
            "answer RB-1 retry",
            "cancel RB-99",
            "unlock trade",
            "unlock data",
            "unlock nosuch",
            "login",
            "operations --open",
        ],
    )?;
    for person in ["ben", "cleo"] {
        ana.acting_as(person)
            .reacts(approval.id, "white_check_mark", true)
            .await?;
        // One after the other in the record as well.
        ana.awaits(
            "approval",
            &[if person == "ben" { "1 of 2" } else { "2 of 2" }],
        )
        .await?;
    }
    told_of(&demo, "RB-1", "closed").await?;
    typist.reads_with_times("timeline", &["show RB-1"])?;
    typist.reads(
        "mistakes-after-it",
        &[
            "operations",
            "vote RB-1 veto",
            "cancel RB-1 --reason \"too late\"",
            "answer RB-1 undo",
            "request trade --reason again",
            "unlock trade --reason \"all is well\"",
            "unlock trade",
            "audit verify",
        ],
    )?;

    // One that fails: nothing can be archived into a directory that is none.
    let backups = demo.directory().join("backups");
    std::fs::remove_dir_all(&backups)?;
    std::fs::write(&backups, "in the way")?;
    ana.types("ops", "/rollback data reason: stale rows")
        .await?;
    let approval = ana
        .awaits("approval", &["RB-2", "0 of 2 approvals"])
        .await?;
    for person in ["ben", "cleo"] {
        ana.acting_as(person)
            .reacts(approval.id, "white_check_mark", true)
            .await?;
        ana.awaits(
            "approval",
            &["RB-2", if person == "ben" { "1 of 2" } else { "2 of 2" }],
        )
        .await?;
    }
    ana.awaits("question", &["RB-2", "is paused and asks"])
        .await?;
    told_of(&demo, "RB-2", "paused").await?;
    typist.reads_with_times(
        "paused",
        &[
            "operations --open",
            "answer RB-2 nix",
            "cancel RB-2",
            "vote RB-2 approve",
            "show RB-2",
            "answer RB-2 undo",
        ],
    )?;
    told_of(&demo, "RB-2", "undone").await?;
    typist.reads_with_times("undone", &["show RB-2", "operations"])?;

    // Looking needs no bot; asking does.
    demo.kill().await?;
    let typist = Typist {
        demo: &demo,
        filters,
    };
    typist.reads("without-a-bot", &["operations", "request trade"])
}

#[test]
fn json_is_for_programs_on_every_command_that_looks() -> anyhow::Result<()> {
    let nowhere = PathBuf::from("/");
    for words in ["plugin list --json", "plugin inspect trade --json"] {
        let mut command = rollbot(BINARY);
        let output = command
            .args(words.split_whitespace())
            .current_dir(&nowhere)
            .output()?;
        ensure!(output.status.success() && output.stderr.is_empty());
        let _: serde_json::Value = serde_json::from_slice(&output.stdout).context(words)?;
    }
    Ok(())
}
