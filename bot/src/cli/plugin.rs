//! `rollbot plugin list` and `rollbot plugin inspect FILE`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use owo_colors::OwoColorize as _;
use rollbot_core::journal::HOST_FUNCTIONS;
use rollbot_engine::{Engine, EngineConfig, Plugin};

use super::Ended;
use super::args::{PluginArgs, PluginVerb};
use super::style::{harmless, print_json, say};

pub async fn plugin(args: PluginArgs) -> Ended {
    let engine = Engine::new(EngineConfig::default())?;
    match args.what {
        PluginVerb::List { json } => {
            let mut listed = Vec::new();
            for component in rollbot_plugins::components() {
                let plugin = engine.load(component.name, component.bytes).await?;
                listed.push((plugin, component.bytes.len()));
            }
            if json {
                let all: Vec<_> = listed
                    .iter()
                    .map(|(plugin, size)| facts(plugin, *size))
                    .collect();
                print_json(&all)?;
            } else {
                for (plugin, _) in &listed {
                    let about = plugin.description();
                    say(&format!(
                        "{:<8} {:<8} {}  {}",
                        about.name.bold(),
                        about.version,
                        plugin.digest().short(),
                        harmless(&about.summary)
                    ));
                }
            }
        }
        PluginVerb::Inspect { file, json } => {
            let (name, bytes) = read(&file)?;
            let plugin = engine.load(&name, &bytes).await?;
            if json {
                print_json(&facts(&plugin, bytes.len()))?;
            } else {
                print(&plugin, bytes.len());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A file, or one of the plugins that come with the bot.
fn read(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let name = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !file.exists()
        && let Some(bundled) = rollbot_plugins::components()
            .iter()
            .find(|component| Path::new(component.name) == file)
    {
        return Ok((bundled.name.to_owned(), bundled.bytes.to_vec()));
    }
    let bytes = std::fs::read(file).with_context(|| {
        format!(
            "{} cannot be read, and no plugin that comes with rollbot has that name",
            file.display()
        )
    })?;
    // The engine would say the same by way of a dump of the first bytes.
    anyhow::ensure!(
        bytes.starts_with(b"\0asm"),
        "{} is no WebAssembly file, and a plugin is a WebAssembly component",
        file.display()
    );
    Ok((name, bytes))
}

fn facts(plugin: &Arc<Plugin>, size: usize) -> serde_json::Value {
    serde_json::json!({
        "description": plugin.description(),
        "procedures": plugin.procedures(),
        "digest": plugin.digest(),
        "bytes": size,
        "host-functions": HOST_FUNCTIONS,
    })
}

fn print(plugin: &Arc<Plugin>, size: usize) {
    let about = plugin.description();
    say(&format!("{} {}", about.name.bold(), about.version));
    say(&harmless(&about.summary));
    say(&format!("serves services of type `{}`", about.service_type));
    say(&format!(
        "{} · {}",
        plugin.digest(),
        rollbot_notify::bytes(size as u64)
    ));
    say(&format!("wants: {}", about.wants.join(", ")));
    say("");
    say(&"Procedures".bold().to_string());
    for procedure in plugin.procedures() {
        say(&format!(
            "  {:<10} {}",
            procedure.name,
            harmless(&procedure.summary)
        ));
    }
    say("");
    say(&"Host functions".bold().to_string());
    say("  name                    class          takes");
    for function in HOST_FUNCTIONS {
        let wanted = function
            .name
            .split('.')
            .next()
            .is_some_and(|interface| about.wants.iter().any(|want| want == interface));
        let line = format!(
            "  {:<23} {:<14} {}",
            function.name,
            function.class.as_str(),
            if function.by_effect {
                "the name of a planned effect"
            } else {
                "values"
            }
        );
        // Progress and clock are there for everybody; the others only where the plugin wants them.
        let always = function.name.starts_with("progress.") || function.name.starts_with("clock.");
        if wanted || always {
            say(&line)
        } else {
            say(&line.dimmed().to_string())
        }
    }
}
