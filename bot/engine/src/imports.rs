//! The host functions, as the plugin API declares them. Each names its arguments, what it needs to
//! be allowed, and what it asks the host; everything else is the same for all.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Serialize;

use crate::authority::{Authority, Refusal};
use crate::bindings::exports::rollbot::plugin::procedures::Capability;
use crate::bindings::rollbot::plugin::{
    ask, backup, clock, docker, planning, probe, process, progress, registry, types,
};
use crate::convert::{millis_of, time_of};
use crate::convert_hosts::host_check;
use crate::effects::{
    BackUp, ComposeDown, ComposeUp, EffectCall, PointKey, StartNative, StopNative, Submit, Transact,
};
use crate::guest::{Guest, Stop, Work};
use crate::hosts::Host;
use crate::wire::{CallError, CheckArgument, Record};

type Answer<T, E> = wasmtime::Result<Result<T, E>>;

/// Beyond the deadline of any query.
const AT_ONCE: Duration = Duration::ZERO;

impl Guest {
    async fn query<T: Record, E: CallError>(
        &mut self,
        function: &'static str,
        arguments: &(impl Serialize + Sync),
        patience: Duration,
        permit: impl FnOnce(&Authority) -> Result<Host, Refusal> + Send,
        live: impl Fn(Host) -> BoxFuture<'static, Result<T, E>> + Send + Sync,
    ) -> Answer<T, E> {
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(function)),
            Work::Planning(planning) => {
                planning
                    .query(function, arguments, patience, permit, live)
                    .await
            }
            Work::Running(run) => run.query(function, arguments, patience, permit, live).await,
        };
        self.leave_host(answer)
    }

    /// The host whose registry holds the service's key.
    fn home(&self) -> String {
        match &self.work {
            Work::Silent => String::new(),
            Work::Planning(planning) => planning.home.clone(),
            Work::Running(run) => run.plan.service.host.clone(),
        }
    }

    async fn effect<C: EffectCall>(&mut self, name: String) -> Answer<C::Report, C::Error> {
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(C::FUNCTION)),
            Work::Planning(planning) => planning
                .count(C::FUNCTION, &(&name,))
                .map(|()| Err(C::Error::refused(&while_planning(C::FUNCTION)))),
            Work::Running(run) => run.effect::<C>(name).await,
        };
        self.leave_host(answer)
    }
}

fn while_planning(function: &str) -> Refusal {
    Refusal::NotInPlan(format!(
        "{function} was called while planning, where only queries may be"
    ))
}

impl types::Host for Guest {}
impl planning::Host for Guest {}

impl process::Host for Guest {
    async fn status(
        &mut self,
        host: String,
        units: Vec<String>,
        port: Option<u16>,
    ) -> Answer<process::StatusReport, process::Error> {
        self.query(
            "process.status",
            &(&host, &units, port),
            AT_ONCE,
            |authority| {
                authority.may(Capability::Process)?;
                authority.grants.allows_processes(&host, &units, port)?;
                authority.machine(&host)
            },
            |on| {
                let units = units.clone();
                async move { Ok(on.processes.status(&units, port).await?.into()) }.boxed()
            },
        )
        .await
    }

    async fn stop(&mut self, effect: String) -> Answer<process::ChangeReport, process::Error> {
        self.effect::<StopNative>(effect).await
    }

    async fn start(&mut self, effect: String) -> Answer<process::ChangeReport, process::Error> {
        self.effect::<StartNative>(effect).await
    }
}

fn may_see_containers(
    authority: &Authority,
    host: &str,
    project: &str,
    services: &[String],
) -> Result<Host, Refusal> {
    authority.may(Capability::Docker)?;
    authority
        .grants
        .allows_containers(host, project, services)?;
    authority.machine(host)
}

impl docker::Host for Guest {
    async fn status(
        &mut self,
        host: String,
        project: String,
        services: Vec<String>,
    ) -> Answer<Vec<docker::Container>, docker::Error> {
        self.query(
            "docker.status",
            &(&host, &project, &services),
            AT_ONCE,
            |authority| may_see_containers(authority, &host, &project, &services),
            |on| {
                let (project, services) = (project.clone(), services.clone());
                async move {
                    let containers = on.containers.status(&project, &services).await?;
                    Ok(containers.into_iter().map(Into::into).collect())
                }
                .boxed()
            },
        )
        .await
    }

    async fn ready(
        &mut self,
        host: String,
        project: String,
        services: Vec<String>,
    ) -> Answer<Vec<docker::Readiness>, docker::Error> {
        self.query(
            "docker.ready",
            &(&host, &project, &services),
            AT_ONCE,
            |authority| may_see_containers(authority, &host, &project, &services),
            |on| {
                let (project, services) = (project.clone(), services.clone());
                async move {
                    let readiness = on.containers.ready(&project, &services).await?;
                    Ok(readiness.into_iter().map(Into::into).collect())
                }
                .boxed()
            },
        )
        .await
    }

    async fn logs(
        &mut self,
        host: String,
        project: String,
        services: Vec<String>,
        lines: u32,
    ) -> Answer<Vec<docker::LogLine>, docker::Error> {
        const MOST_LINES: u32 = 1_000;
        self.query(
            "docker.logs",
            &(&host, &project, &services, lines),
            AT_ONCE,
            |authority| may_see_containers(authority, &host, &project, &services),
            |on| {
                let (project, services) = (project.clone(), services.clone());
                async move {
                    let lines = on
                        .containers
                        .logs(&project, &services, lines.min(MOST_LINES))
                        .await?;
                    Ok(lines.into_iter().map(Into::into).collect())
                }
                .boxed()
            },
        )
        .await
    }

    async fn health(
        &mut self,
        host: String,
        project: String,
        services: Vec<String>,
        within: u64,
    ) -> Answer<Vec<docker::Container>, docker::Error> {
        let patience = Duration::from_millis(within).min(LONGEST_WAIT);
        self.query(
            "docker.health",
            &(&host, &project, &services, within),
            patience,
            |authority| may_see_containers(authority, &host, &project, &services),
            |on| {
                let (project, services) = (project.clone(), services.clone());
                async move {
                    let containers = on.containers.health(&project, &services, patience).await?;
                    Ok(containers.into_iter().map(Into::into).collect())
                }
                .boxed()
            },
        )
        .await
    }

    async fn up(&mut self, effect: String) -> Answer<docker::ChangeReport, docker::Error> {
        self.effect::<ComposeUp>(effect).await
    }

    async fn down(&mut self, effect: String) -> Answer<docker::ChangeReport, docker::Error> {
        self.effect::<ComposeDown>(effect).await
    }
}

/// A plugin that waits longer sleeps and looks again.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

impl backup::Host for Guest {
    async fn create(&mut self, effect: String) -> Answer<backup::Archive, backup::Error> {
        self.effect::<BackUp>(effect).await
    }

    async fn verify(
        &mut self,
        host: String,
        path: String,
    ) -> Answer<backup::Archive, backup::Error> {
        // Reading back takes as long as the archive is large.
        const READING: Duration = Duration::from_secs(6 * 60 * 60);
        self.query(
            "backup.verify",
            &(&host, &path),
            READING,
            |authority| {
                authority.may(Capability::Backup)?;
                authority.grants.allows_archive_path(&host, &path)?;
                authority.machine(&host)
            },
            |on| {
                let path = path.clone();
                async move { on.backups.verify(&path).await }.boxed()
            },
        )
        .await
    }

    async fn list(
        &mut self,
        host: String,
        archive_name: String,
    ) -> Answer<Vec<backup::Archive>, backup::Error> {
        self.query(
            "backup.list",
            &(&host, &archive_name),
            AT_ONCE,
            |authority| {
                authority.may(Capability::Backup)?;
                authority.grants.allows_archive_name(&host, &archive_name)?;
                authority.machine(&host)
            },
            |on| {
                let name = archive_name.clone();
                async move { on.backups.list(&name).await }.boxed()
            },
        )
        .await
    }

    async fn written_since(
        &mut self,
        host: String,
        directory: String,
        since: u64,
    ) -> Answer<backup::Written, backup::Error> {
        self.query(
            "backup.written-since",
            &(&host, &directory, since),
            AT_ONCE,
            |authority| {
                authority.may(Capability::Backup)?;
                authority.grants.allows_directory(&host, &directory)?;
                if time_of(since).is_none() {
                    return Err(Refusal::Invalid(format!("{since} ms is no time")));
                }
                authority.machine(&host)
            },
            |on| {
                let directory = directory.clone();
                async move { on.backups.written_since(&directory, since).await }.boxed()
            },
        )
        .await
    }
}

impl probe::Host for Guest {
    async fn http(
        &mut self,
        host: String,
        check: types::HttpCheck,
    ) -> Answer<types::CheckReport, probe::Error> {
        let patience = Duration::from_millis(check.within).min(LONGEST_WAIT);
        self.query(
            "probe.http",
            &(&host, CheckArgument::from(&check)),
            patience,
            |authority| {
                authority.may(Capability::Probe)?;
                authority.grants.allows_url(&host, &check.url)?;
                if check.method == types::HttpMethod::Post {
                    return Err(Refusal::Invalid(
                        "a POST may change something: plan it as `transact` or `submit`".into(),
                    ));
                }
                authority.machine(&host)
            },
            |on| {
                let check = host_check(&check.clone().into());
                async move { Ok(on.prober.http(&check, None).await?.into()) }.boxed()
            },
        )
        .await
    }

    async fn tcp(
        &mut self,
        host: String,
        address: String,
        within: u64,
    ) -> Answer<types::CheckReport, probe::Error> {
        let patience = Duration::from_millis(within).min(LONGEST_WAIT);
        self.query(
            "probe.tcp",
            &(&host, &address, within),
            patience,
            |authority| {
                authority.may(Capability::Probe)?;
                authority.grants.allows_address(&host, &address)?;
                authority.machine(&host)
            },
            |on| {
                let address = address.clone();
                async move { Ok(on.prober.tcp(&address, patience).await?.into()) }.boxed()
            },
        )
        .await
    }

    async fn transact(&mut self, effect: String) -> Answer<types::CheckReport, probe::Error> {
        self.effect::<Transact>(effect).await
    }

    async fn submit(&mut self, effect: String) -> Answer<types::CheckReport, probe::Error> {
        self.effect::<Submit>(effect).await
    }
}

fn may_see_key(authority: &Authority, key: &str, host: &str) -> Result<Host, Refusal> {
    authority.may(Capability::Registry)?;
    authority.grants.allows_key(key)?;
    authority.machine(host)
}

impl registry::Host for Guest {
    async fn get(&mut self, key: String) -> Answer<registry::Entry, registry::Error> {
        let home = self.home();
        self.query(
            "registry.get",
            &(&key,),
            AT_ONCE,
            |authority| may_see_key(authority, &key, &home),
            |on| {
                let key = key.clone();
                async move { Ok(on.registry.get(&key).await?.into()) }.boxed()
            },
        )
        .await
    }

    async fn resolve(&mut self, key: String) -> Answer<String, registry::Error> {
        let home = self.home();
        self.query(
            "registry.resolve",
            &(&key,),
            AT_ONCE,
            |authority| may_see_key(authority, &key, &home),
            |on| {
                let key = key.clone();
                async move { Ok(on.registry.resolve(&key).await?) }.boxed()
            },
        )
        .await
    }

    async fn point(&mut self, effect: String) -> Answer<registry::ChangeReport, registry::Error> {
        self.effect::<PointKey>(effect).await
    }
}

impl ask::Host for Guest {
    async fn question(
        &mut self,
        text: String,
        evidence: types::Evidence,
        choices: Vec<ask::Choice>,
    ) -> Answer<String, ask::Error> {
        const FUNCTION: &str = "ask.question";
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(FUNCTION)),
            Work::Planning(planning) => planning.count(FUNCTION, &(&text,)).map(|()| {
                Err(ask::Error::AccessDenied(
                    "people are not asked while planning".into(),
                ))
            }),
            Work::Running(run) => run.question_of_plugin(&text, &evidence, &choices).await,
        };
        self.leave_host(answer)
    }
}

impl progress::Host for Guest {
    async fn begin(&mut self, step: String) -> Answer<(), progress::Error> {
        const FUNCTION: &str = "progress.begin";
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(FUNCTION)),
            Work::Planning(planning) => planning
                .count(FUNCTION, &(&step,))
                .map(|()| Err(progress::Error::refused(&while_planning(FUNCTION)))),
            Work::Running(run) => run.begin_step(&step).await,
        };
        self.leave_host(answer)
    }

    async fn end(&mut self, step: String) -> Answer<(), progress::Error> {
        const FUNCTION: &str = "progress.end";
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(FUNCTION)),
            Work::Planning(planning) => planning
                .count(FUNCTION, &(&step,))
                .map(|()| Err(progress::Error::refused(&while_planning(FUNCTION)))),
            Work::Running(run) => run.end_step(&step).await,
        };
        self.leave_host(answer)
    }

    async fn failed(
        &mut self,
        step: String,
        evidence: types::Evidence,
    ) -> Answer<progress::Decision, progress::Error> {
        const FUNCTION: &str = "progress.failed";
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(FUNCTION)),
            Work::Planning(planning) => planning
                .count(FUNCTION, &(&step,))
                .map(|()| Err(progress::Error::refused(&while_planning(FUNCTION)))),
            Work::Running(run) => run.fail_step(&step, &evidence).await,
        };
        self.leave_host(answer)
    }

    async fn note(&mut self, text: String) -> Answer<(), progress::Error> {
        const FUNCTION: &str = "progress.note";
        self.enter_host();
        let answer = match &mut self.work {
            Work::Silent => Err(Stop::Silent(FUNCTION)),
            Work::Planning(planning) => planning
                .count(FUNCTION, &(&text,))
                .map(|()| Err(progress::Error::refused(&while_planning(FUNCTION)))),
            Work::Running(run) => run.note(&text).await,
        };
        self.leave_host(answer)
    }
}

impl clock::Host for Guest {
    async fn now(&mut self) -> wasmtime::Result<u64> {
        self.enter_host();
        let now = match &mut self.work {
            Work::Silent => Err(Stop::Silent("clock.now")),
            Work::Planning(planning) => planning
                .count("clock.now", &crate::running::NO_ARGUMENTS)
                .map(|()| millis_of(planning.clock.now())),
            Work::Running(run) => run.now(),
        };
        self.leave_host(now)
    }

    async fn sleep(&mut self, duration: u64) -> wasmtime::Result<()> {
        self.enter_host();
        let slept = match &mut self.work {
            Work::Silent => Err(Stop::Silent("clock.sleep")),
            Work::Planning(planning) => planning.sleep(duration).await,
            Work::Running(run) => run.sleep(duration).await,
        };
        self.leave_host(slept)
    }
}
