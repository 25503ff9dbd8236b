//! `rollbot check`: everything that can be found wrong before the first start, all of it at once.

use std::path::Path;
use std::process::ExitCode;

use owo_colors::OwoColorize as _;
use rollbot_engine::{Engine, EngineConfig};
use rollbot_notify::{TEMPLATES, Templates};
use serde::Serialize;

use super::Ended;
use super::args::CheckArgs;
use super::style::{harmless, print_json, say};
use crate::serve::Parts;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Grade {
    Pass,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    what: String,
    grade: Grade,
    /// What was found, and what to do about it.
    text: String,
}

fn finding(what: &str, grade: Grade, text: impl Into<String>) -> Finding {
    Finding {
        what: what.to_owned(),
        grade,
        text: text.into(),
    }
}

pub async fn check(directory: &Path, args: CheckArgs) -> Ended {
    let mut findings = Vec::new();
    let mut types = Vec::new();
    match crate::serve::load(directory) {
        Err(error) => findings.push(finding("configuration", Grade::Fail, format!("{error:#}"))),
        Ok(config) => {
            types = config
                .services
                .iter()
                .map(|service| service.kind.clone())
                .collect();
            findings.push(finding(
                "configuration",
                Grade::Pass,
                format!(
                    "{} services, {} people",
                    config.services.len(),
                    config.people.iter().count()
                ),
            ));
            findings.push(templates(config.templates.as_deref()));
            findings.extend(approvals(&config));
            match Parts::from_config(&config) {
                Ok(parts) => findings.extend(hosts(&parts, &config).await),
                Err(error) => findings.push(finding("hosts", Grade::Fail, format!("{error:#}"))),
            }
        }
    }
    findings.push(plugins(&types).await);
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    if args.json {
        print_json(&findings)?;
    } else {
        for finding in &findings {
            let mark = match finding.grade {
                Grade::Pass => "pass".green().to_string(),
                Grade::Warn => "warn".yellow().to_string(),
                Grade::Fail => "FAIL".red().bold().to_string(),
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
        Ok(_) => finding(
            "templates",
            Grade::Pass,
            format!("{} render with their variables", TEMPLATES.len()),
        ),
        Err(errors) => finding("templates", Grade::Fail, errors.to_string()),
    }
}

/// Whether they load, and whether there is one for each of these service types.
async fn plugins(types: &[String]) -> Finding {
    let engine = match Engine::new(EngineConfig::default()) {
        Ok(engine) => engine,
        Err(error) => return finding("plugins", Grade::Fail, error.to_string()),
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
                return finding(
                    "plugins",
                    Grade::Fail,
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
        return finding("plugins", Grade::Pass, names.join(", "));
    }
    let text = format!(
        "no plugin serves services of type {}: they cannot be rolled back (there are {})",
        lacking.join(", "),
        names.join(", ")
    );
    finding("plugins", Grade::Warn, text)
}

/// Whether every service could be approved whoever asks.
fn approvals(config: &rollbot_config::Config) -> Vec<Finding> {
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
            findings.push(finding(
                &format!("approval of {}", service.description.name),
                Grade::Warn,
                text,
            ));
        }
    }
    if findings.is_empty() {
        findings.push(finding(
            "approval",
            Grade::Pass,
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
            findings.push(finding(
                name,
                Grade::Fail,
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
            (Grade::Pass, "could be rolled back now".to_owned())
        } else {
            (Grade::Warn, problems.join("\n"))
        };
        findings.push(finding(name, grade, text));
    }
    findings
}
