//! `rollbot plan SERVICE`: the plan as it would be made now, without a running bot.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rollbot_core::SystemClock;
use rollbot_engine::{Engine, PlanRequest};
use rollbot_notify::Templates;

use super::Ended;
use super::args::PlanArgs;
use super::style::{harmless, print_json, say};
use crate::messages::plan_words;
use crate::serve::{Parts, load};

pub async fn plan(config: &Path, args: PlanArgs) -> Ended {
    let config = load(config)?;
    let parts = Parts::from_config(&config)?;
    let Some(entry) = parts.catalogue.service(&args.service) else {
        bail!(
            "there is no service `{}`: services.toml has {}",
            args.service,
            parts.catalogue.names().join(", ")
        );
    };
    let engine = Engine::new(parts.engine.clone())?;
    let bundled = rollbot_plugins::components();
    let mut found = None;
    for component in bundled {
        let plugin = engine.load(component.name, component.bytes).await?;
        if plugin.description().service_type == entry.kind {
            found = Some(plugin);
        }
    }
    let plugin = found.with_context(|| format!("no plugin serves the type `{}`", entry.kind))?;
    let request = PlanRequest {
        procedure: "rollback".to_owned(),
        service: entry.description_now(),
        grants: entry.grants.clone(),
        policy_version: entry.approval.version(),
    };
    let clock = Arc::new(SystemClock);
    let plan = engine.plan(&plugin, &parts.hosts, clock, request).await?;
    if args.json {
        print_json(&serde_json::json!({ "digest": plan.digest(), "plan": plan }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let words = plan_words(&plan);
    let mut templates = Templates::load(config.templates.as_deref())?;
    templates.add_platform("terminal", Arc::new(|text: &str| harmless(text)));
    say(&templates.render("terminal", "plan", &serde_json::to_value(words)?)?);
    Ok(ExitCode::SUCCESS)
}
