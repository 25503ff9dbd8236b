//! `rollbot template render NAME`: what a message looks like, from its sample values.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use owo_colors::OwoColorize as _;
use rollbot_notify::{TEMPLATES, Templates};

use super::Ended;
use super::args::{TemplateArgs, TemplateVerb};
use super::style::say;

pub async fn template(config: &Path, args: TemplateArgs) -> Ended {
    let TemplateVerb::Render { name } = args.what;
    // Without a configuration the built-in templates are shown.
    let overrides = match config.join("rollbot.toml").exists() {
        true => crate::serve::load(config)?.templates,
        false => None,
    };
    let mut templates = Templates::load(overrides.as_deref())?;
    templates.add_platform(
        "terminal",
        Arc::new(|text: &str| super::style::harmless(text)),
    );
    let Some(name) = name else {
        for spec in TEMPLATES {
            let origin = templates
                .origin(spec.name)
                .map_or_else(|| "built in".to_owned(), |path| path.display().to_string());
            say(&format!(
                "{:<12} {:<44} {}",
                spec.name.bold(),
                spec.about,
                origin.dimmed()
            ));
        }
        return Ok(ExitCode::SUCCESS);
    };
    let Some(sample) = Templates::sample(&name) else {
        let names: Vec<_> = TEMPLATES.iter().map(|spec| spec.name).collect();
        bail!(
            "there is no template `{name}`: they are {}",
            names.join(", ")
        );
    };
    say(&templates.render("terminal", &name, &sample)?);
    Ok(ExitCode::SUCCESS)
}
