//! `rollbot check`: everything that can be found wrong before the first start, all of it at once.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use owo_colors::OwoColorize as _;
use rollbot_chat::Level;
use rollbot_engine::{Engine, EngineConfig};
use rollbot_notify::{TEMPLATES, Templates};
use serde::Serialize;

use super::Ended;
use super::args::CheckArgs;
use super::style::{harmless, print_json, say};
use crate::platforms::Platforms;
use crate::serve::Parts;

/// How long a platform may take for all that it is asked.
const ONLINE_DEADLINE: Duration = Duration::from_secs(60);

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    what: String,
    grade: Level,
    /// What was found, and what to do about it.
    text: String,
}

impl Finding {
    pub(super) fn new(what: &str, grade: Level, text: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            grade,
            text: text.into(),
        }
    }
}

pub async fn check(directory: &Path, args: CheckArgs) -> Ended {
    let mut findings = Vec::new();
    let mut types = Vec::new();
    match crate::serve::load(directory) {
        Err(error) => findings.push(Finding::new(
            "configuration",
            Level::Fail,
            format!("{error:#}"),
        )),
        Ok(config) => {
            types = config
                .services
                .iter()
                .map(|service| service.kind.clone())
                .collect();
            findings.push(Finding::new(
                "configuration",
                Level::Pass,
                format!(
                    "{} services, {} people",
                    config.services.len(),
                    config.people.iter().count()
                ),
            ));
            findings.push(templates(config.templates.as_deref()));
            findings.extend(approvals(&config));
            if args.online {
                findings.extend(online(&config).await);
            }
            match Parts::from_config(&config) {
                Ok(parts) => findings.extend(hosts(&parts, &config).await),
                Err(error) => {
                    findings.push(Finding::new("hosts", Level::Fail, format!("{error:#}")))
                }
            }
        }
    }
    findings.push(plugins(&types).await);
    finish(&findings, args.json)
}

/// Says what was found; fails if anything did.
pub(super) fn finish(findings: &[Finding], json: bool) -> Ended {
    let failed = findings.iter().any(|finding| finding.grade == Level::Fail);
    if json {
        print_json(&findings)?;
    } else {
        for finding in findings {
            let mark = match finding.grade {
                Level::Pass => "pass".green().to_string(),
                Level::Warn => "warn".yellow().to_string(),
                Level::Fail => "FAIL".red().bold().to_string(),
            };
            let mut lines = finding.text.lines();
            say(&format!(
                "{mark}  {}: {}",
                finding.what.bold(),
                harmless(lines.next().unwrap_or_default())
            ));
            for line in lines {
                say(&format!("      {}", harmless(line)));
            }
        }
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn templates(overrides: Option<&Path>) -> Finding {
    match Templates::load(overrides) {
        Ok(_) => Finding::new(
            "templates",
            Level::Pass,
            format!("{} render with their variables", TEMPLATES.len()),
        ),
        Err(errors) => Finding::new("templates", Level::Fail, errors.to_string()),
    }
}

/// Whether they load, and whether there is one for each of these service types.
async fn plugins(types: &[String]) -> Finding {
    let engine = match Engine::new(EngineConfig::default()) {
        Ok(engine) => engine,
        Err(error) => return Finding::new("plugins", Level::Fail, error.to_string()),
    };
    let (mut names, mut served) = (Vec::new(), Vec::new());
    for component in rollbot_plugins::components() {
        match engine.load(component.name, component.bytes).await {
            Ok(plugin) => {
                let about = plugin.description();
                names.push(format!("{} {}", component.name, about.version));
                served.push(about.service_type.clone());
            }
            Err(error) => {
                return Finding::new(
                    "plugins",
                    Level::Fail,
                    format!("{}: {error}", component.name),
                );
            }
        }
    }
    let mut lacking: Vec<_> = types
        .iter()
        .filter(|kind| !served.contains(kind))
        .cloned()
        .collect();
    lacking.sort();
    lacking.dedup();
    if lacking.is_empty() {
        return Finding::new("plugins", Level::Pass, names.join(", "));
    }
    let text = format!(
        "no plugin serves services of type {}: they cannot be rolled back (there are {})",
        lacking.join(", "),
        names.join(", ")
    );
    Finding::new("plugins", Level::Warn, text)
}

/// What the platforms say, asked at the same time.
async fn online(config: &rollbot_config::Config) -> Vec<Finding> {
    let checks = match Platforms::from_config(config) {
        Ok(platforms) => platforms.checks(),
        Err(error) => return vec![Finding::new("platforms", Level::Fail, format!("{error:#}"))],
    };
    let asked = checks.into_iter().map(|(name, platform)| async move {
        let mut channels: Vec<String> = config
            .chat
            .operations
            .iter()
            .chain(&config.chat.announcements)
            .filter(|to| to.platform == name)
            .map(|to| to.channel.clone())
            .collect();
        channels.sort();
        channels.dedup();
        match tokio::time::timeout(ONLINE_DEADLINE, platform.check(&channels)).await {
            Ok(found) => found
                .into_iter()
                .map(|found| {
                    let text = match found.remedy.as_str() {
                        "" => found.what,
                        remedy => format!("{}\n{remedy}", found.what),
                    };
                    Finding::new(name, found.level, text)
                })
                .collect(),
            Err(_) => {
                let text = format!("did not answer within {} s", ONLINE_DEADLINE.as_secs());
                vec![Finding::new(name, Level::Fail, text)]
            }
        }
    });
    let all: Vec<Vec<Finding>> = futures_util::future::join_all(asked).await;
    if all.is_empty() {
        let text = "neither [slack] nor [discord] is configured: there is nothing to ask online";
        return vec![Finding::new("platforms", Level::Pass, text)];
    }
    all.into_iter().flatten().collect()
}

/// Whether every service could be approved whoever asks.
pub(super) fn approvals(config: &rollbot_config::Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &config.services {
        let policy = &service.approval;
        let stuck: Vec<_> = config
            .people
            .iter()
            .filter(|person| {
                policy.electorate(&config.people, &person.id) < policy.required as usize
            })
            .map(|person| person.name.clone())
            .collect();
        if !stuck.is_empty() {
            let text = format!(
                "{} approvals are needed, and too few people are left to vote when one of these asks: {}",
                policy.required,
                stuck.join(", ")
            );
            findings.push(Finding::new(
                &format!("approval of {}", service.description.name),
                Level::Warn,
                text,
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::new(
            "approval",
            Level::Pass,
            "every service can be approved, whoever asks",
        ));
    }
    findings
}

/// Looks at what each service's rollback would need. Reads only.
async fn hosts(parts: &Parts, config: &rollbot_config::Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for service in &config.services {
        let name = &service.description.name;
        let Some(host) = parts.hosts.get(&service.description.host) else {
            findings.push(Finding::new(
                name,
                Level::Fail,
                format!("no host `{}`", service.description.host),
            ));
            continue;
        };
        let about = &service.description;
        let mut problems = Vec::new();
        match host
            .containers
            .ready(&about.compose_project, &about.compose_services)
            .await
        {
            Ok(all) => problems.extend(all.into_iter().flat_map(|ready| ready.problems)),
            Err(error) => problems.push(error.to_string()),
        }
        match host.processes.status(&about.units, about.port).await {
            Ok(status) if !status.service_manager => {
                problems.push(
                    "no service manager answers: the owner of the port would be stopped".to_owned(),
                );
            }
            Ok(_) => {}
            Err(error) => problems.push(error.to_string()),
        }
        if let Err(error) = host.registry.get(&about.registry_key).await {
            problems.push(error.to_string());
        }
        if !Path::new(&about.data_directory).is_dir() {
            problems.push(format!(
                "{} is no directory: there would be nothing to back up",
                about.data_directory
            ));
        }
        let (grade, text) = if problems.is_empty() {
            (Level::Pass, "could be rolled back now".to_owned())
        } else {
            (Level::Warn, problems.join("\n"))
        };
        findings.push(Finding::new(name, grade, text));
    }
    findings
}
