//! The two things that are done with a plugin: making a plan, and performing an approved one.

use std::sync::Arc;

use rollbot_core::Clock;
use rollbot_core::approval::Approved;
use rollbot_core::operation::{Observed, Operation, Phase};
use rollbot_core::plan::{BrokenPlan, EffectKind, Plan, Service, Target};
use rollbot_core::store::Store;
use rollbot_host::registry;

use crate::authority::{Authority, capability_of};
use crate::bindings::exports::rollbot::plugin::procedures::{Arguments, Failure};
use crate::engine::{Broken, Engine};
use crate::grants::Grants;
use crate::guest::{Guest, Stop, Work};
use crate::hosts::Hosts;
use crate::observe;
use crate::planning::Planning;
use crate::plugin::Plugin;
use crate::run_events::{RunEnd, RunObserver, TrapKind};
use crate::running::{Beginning, Run};

/// What to plan.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// `rollback`
    pub procedure: String,
    pub service: Service,
    pub grants: Grants,
    pub policy_version: String,
}

/// There is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error("plugin {plugin} has no procedure `{procedure}`; it has {has}")]
    NoProcedure {
        plugin: String,
        procedure: String,
        has: String,
    },
    /// The plugin says that the configuration lacks something.
    #[error("{0}")]
    Misconfigured(String),
    /// The plugin says that it cannot plan.
    #[error("{0}")]
    Refused(String),
    #[error("the plugin {} while planning: {detail}", .kind.in_words())]
    Trapped { kind: TrapKind, detail: String },
    #[error("planning was not done within {} s", .after.as_secs())]
    TooLong { after: std::time::Duration },
    #[error("the plugin exceeded a limit while planning: {what}")]
    TooMuch { what: String },
    /// An effect or target that the plugin may not touch: it, and what is not granted.
    #[error("the plugin planned `{name}` outside its grants: {why}")]
    OutsideGrants { name: String, why: String },
    #[error("the plugin's plan is broken: {0}")]
    Broken(#[from] BrokenPlan),
    /// What must be known before people are asked could not be found out.
    #[error("cannot find out what `{effect}` would do: {why}")]
    Unpinned { effect: String, why: String },
    #[error("the plugin cannot be started: {0}")]
    NotStarted(String),
}

/// What to perform.
#[derive(Debug)]
pub struct RunRequest<'a> {
    /// The proof that people approved exactly this plan.
    pub approved: &'a Approved,
    /// With the plan in it.
    pub operation: &'a Operation,
    pub phase: Phase,
    /// From [`Store::take_over`].
    pub fence: i64,
    /// The grants as they are configured now.
    pub grants: Grants,
}

impl Engine {
    /// Has the plugin make a plan, checks it against the grants, and pins what only the bot knows:
    /// image digests, containers, and the registry's present values. Nothing is changed anywhere.
    ///
    /// # Errors
    /// Why there is no plan that people could be asked about.
    pub async fn plan(
        &self,
        plugin: &Plugin,
        hosts: &Hosts,
        clock: Arc<dyn Clock>,
        request: PlanRequest,
    ) -> Result<Plan, PlanError> {
        let after = self.limits.plan_deadline;
        let planning = self.plan_unbounded(plugin, hosts, clock, request);
        tokio::time::timeout(after, planning)
            .await
            .unwrap_or(Err(PlanError::TooLong { after }))
    }

    async fn plan_unbounded(
        &self,
        plugin: &Plugin,
        hosts: &Hosts,
        clock: Arc<dyn Clock>,
        request: PlanRequest,
    ) -> Result<Plan, PlanError> {
        let PlanRequest {
            procedure,
            service,
            grants,
            policy_version,
        } = request;
        let names: Vec<_> = plugin
            .procedures()
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        if !names.contains(&procedure.as_str()) {
            return Err(PlanError::NoProcedure {
                plugin: plugin.label(),
                procedure,
                has: names.join(", "),
            });
        }
        let authority = Authority {
            hosts: hosts.clone(),
            grants: grants.clone(),
            wants: plugin.wants.clone(),
        };
        let home = service.host.clone();
        let work = Planning::new(authority, clock.clone(), self.limits.clone(), home);
        let arguments = Arguments {
            procedure: procedure.clone(),
            service: (&service).into(),
        };
        let (planned, _) = self
            .call(
                &plugin.pre,
                plugin.bytes,
                Work::Planning(Box::new(work)),
                async |guest, store| {
                    guest
                        .rollbot_plugin_procedures()
                        .call_plan(store, &arguments)
                        .await
                },
            )
            .await
            .map_err(PlanError::NotStarted)?;
        let planned = match planned {
            Ok(Ok(planned)) => planned,
            Ok(Err(Failure::Misconfigured(why))) => return Err(PlanError::Misconfigured(why)),
            Ok(Err(Failure::Host(why) | Failure::Other(why))) => {
                return Err(PlanError::Refused(why));
            }
            Err(Broken::Trapped { kind, detail }) => {
                return Err(PlanError::Trapped { kind, detail });
            }
            Err(Broken::Stopped(Stop::TooMuch(what))) => return Err(PlanError::TooMuch { what }),
            Err(Broken::Stopped(other)) => {
                return Err(PlanError::TooMuch {
                    what: format!("{other:?}"),
                });
            }
        };
        let mut plan = Plan {
            component: plugin.digest().clone(),
            plugin: plugin.label(),
            procedure,
            service,
            steps: planned.steps.into_iter().map(Into::into).collect(),
            targets: planned.targets.into_iter().map(Into::into).collect(),
            undo_targets: planned.undo_targets.into_iter().map(Into::into).collect(),
            data_loss: planned.data_loss.into(),
            warnings: planned.warnings,
            grants: serde_json::to_value(&grants).unwrap_or_default(),
            policy_version,
            made_at: clock.now(),
        };
        plan.check()?;
        self.check_size(&plan)?;
        check_authority(plugin, &grants, &plan)?;
        self.pin(&mut plan, hosts).await?;
        Ok(plan)
    }

    fn check_size(&self, plan: &Plan) -> Result<(), PlanError> {
        let most = self.limits.plan_bytes;
        match serde_json::to_string(plan) {
            Ok(json) if json.len() <= most => Ok(()),
            Ok(json) => Err(PlanError::TooMuch {
                what: format!("a plan of {} bytes, {most} are allowed", json.len()),
            }),
            Err(error) => Err(PlanError::TooMuch {
                what: format!("the plan cannot be written: {error}"),
            }),
        }
    }

    /// Adds what people must see and the run must hold to.
    async fn pin(&self, plan: &mut Plan, hosts: &Hosts) -> Result<(), PlanError> {
        let home = plan.service.host.clone();
        let deadline = self.limits.query_deadline;
        for effect in plan.effects_mut() {
            let unpinned = |why: String| PlanError::Unpinned {
                effect: effect.name.clone(),
                why,
            };
            let host_named = |name: &str| {
                hosts
                    .get(name)
                    .ok_or_else(|| unpinned(format!("host `{name}` is not configured")))
            };
            match &effect.kind {
                EffectKind::ComposeUp(target) => {
                    let host = host_named(&target.host)?;
                    let ready = host.containers.ready(&target.project, &target.services);
                    let ready = tokio::time::timeout(deadline, ready)
                        .await
                        .map_err(|_| unpinned("the container engine does not answer".into()))?
                        .map_err(|error| unpinned(error.to_string()))?;
                    for container in ready.into_iter().filter_map(|ready| ready.container) {
                        let service = container.service;
                        let pinned = &mut effect.pinned;
                        pinned
                            .images
                            .insert(service.clone(), container.image_digest);
                        pinned.image_names.insert(service.clone(), container.image);
                        pinned.containers.insert(service, container.name);
                    }
                }
                EffectKind::PointRegistry(point) => {
                    let host = host_named(&home)?;
                    let entry = tokio::time::timeout(deadline, host.registry.get(&point.key))
                        .await
                        .map_err(|_| unpinned("the registry does not answer".into()))?;
                    effect.pinned.registry_before = match entry {
                        Ok(entry) => Some(hosts.redactor().redact(&entry.value)),
                        Err(registry::Error::NotFound(_)) => None,
                        Err(error) => return Err(unpinned(error.to_string())),
                    };
                }
                EffectKind::StopProcesses(_)
                | EffectKind::StartProcesses(_)
                | EffectKind::ComposeDown(_)
                | EffectKind::CreateBackup(_)
                | EffectKind::Transact(_)
                | EffectKind::Submit(_) => {}
            }
        }
        Ok(())
    }

    /// Performs the approved plan, or goes on where an earlier run of it ended. Whatever the end,
    /// everything that is known is in the journal.
    pub async fn run(
        &self,
        plugin: &Plugin,
        hosts: &Hosts,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        request: RunRequest<'_>,
        observer: Arc<dyn RunObserver>,
    ) -> RunEnd {
        let RunRequest {
            approved,
            operation,
            phase,
            fence,
            grants,
        } = request;
        let plan = match approved_plan(approved, operation, plugin) {
            Ok(plan) => Arc::new(plan.clone()),
            Err(why) => return RunEnd::NotApproved { why },
        };
        let arguments = Arguments {
            procedure: phase.procedure(&plan.procedure).to_owned(),
            service: (&plan.service).into(),
        };
        let authority = Authority {
            hosts: hosts.clone(),
            grants,
            wants: plugin.wants.clone(),
        };
        let limits = self.limits.clone();
        let beginning = Beginning {
            operation,
            phase,
            plan,
            fence,
            authority,
            clock,
            store,
            observer,
            limits,
        };
        let run = match Run::begin(beginning).await {
            Ok(run) => run,
            Err(end) => return end,
        };
        let called = self
            .call(
                &plugin.pre,
                plugin.bytes,
                Work::Running(Box::new(run)),
                async |guest, store| {
                    guest
                        .rollbot_plugin_procedures()
                        .call_run(store, &arguments)
                        .await
                },
            )
            .await;
        let (result, guest) = match called {
            Ok(called) => called,
            Err(detail) => {
                return RunEnd::Trapped {
                    kind: TrapKind::Other,
                    detail,
                };
            }
        };
        end_of(result, guest).await
    }

    /// Looks at each target with the bot's own eyes, and says whether it is as wanted.
    pub async fn observe(&self, hosts: &Hosts, targets: &[Target], plan: &Plan) -> Vec<Observed> {
        observe::all(hosts, targets, plan, self.limits.query_deadline).await
    }
}

/// Effects and targets within grants, and of capabilities that the plugin asked for.
fn check_authority(plugin: &Plugin, grants: &Grants, plan: &Plan) -> Result<(), PlanError> {
    for effect in plan.effects() {
        let capability = capability_of(&effect.kind);
        if !plugin.wants.contains(&capability) {
            return Err(PlanError::OutsideGrants {
                name: effect.name.clone(),
                why: format!(
                    "its description does not ask for `{}`",
                    crate::authority::word(capability)
                ),
            });
        }
    }
    grants
        .allows_plan(plan)
        .map_err(|(name, denied)| PlanError::OutsideGrants {
            name,
            why: denied.to_string(),
        })
}

/// The plan of the operation, if it is this plugin's and exactly the approved one.
fn approved_plan<'a>(
    approved: &Approved,
    operation: &'a Operation,
    plugin: &Plugin,
) -> Result<&'a Plan, String> {
    let Some(plan) = &operation.plan else {
        return Err(format!("{} has no plan", operation.id));
    };
    if approved.operation() != operation.id {
        return Err(format!(
            "the approval is for {}, not {}",
            approved.operation(),
            operation.id
        ));
    }
    let digest = plan.digest();
    if *approved.digest() != digest {
        return Err(format!(
            "plan {} was approved, and this is {}",
            approved.digest().short(),
            digest.short()
        ));
    }
    if plan.component != *plugin.digest() {
        return Err(format!(
            "the plan was made by component {}, and this is {}",
            plan.component.short(),
            plugin.digest().short()
        ));
    }
    Ok(plan)
}

/// How the run ended, with the last outcomes written.
async fn end_of(result: Result<Result<(), Failure>, Broken>, mut guest: Guest) -> RunEnd {
    let Work::Running(run) = &mut guest.work else {
        return RunEnd::NotApproved {
            why: "the guest did not run".into(),
        };
    };
    let end = match result {
        Ok(returned) => run.leftover().unwrap_or(match returned {
            Ok(()) => RunEnd::Finished,
            Err(Failure::Misconfigured(what) | Failure::Host(what) | Failure::Other(what)) => {
                RunEnd::PluginFailed { what }
            }
        }),
        Err(Broken::Trapped { kind, detail }) => RunEnd::Trapped { kind, detail },
        Err(Broken::Stopped(Stop::Run(end))) => end,
        Err(Broken::Stopped(Stop::TooMuch(what))) => RunEnd::TooMuch { what },
        Err(Broken::Stopped(Stop::Silent(function))) => RunEnd::TooMuch {
            what: format!("{function} was not to be called"),
        },
    };
    if matches!(end, RunEnd::Fenced | RunEnd::StoreLost(_)) {
        return end;
    }
    match run.flush().await {
        Ok(()) => end,
        Err(Stop::Run(lost)) => lost,
        Err(other) => RunEnd::TooMuch {
            what: format!("{other:?}"),
        },
    }
}
