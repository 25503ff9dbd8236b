//! An approved operation in a store of its own, and runs of it.

use std::sync::Arc;

use rollbot_core::Clock as _;
use rollbot_core::approval::Approved;
use rollbot_core::audit::AuditRow;
use rollbot_core::id::{EventKey, OperationId};
use rollbot_core::journal::Entry;
use rollbot_core::operation::{ApprovedBy, NewOperation, Operation, Origin, Phase, State};
use rollbot_core::plan::{Plan, Service};
use rollbot_core::store::{Batch, Store, Write};
use rollbot_engine::{Engine, Grants, Hosts, PlanError, PlanRequest, Plugin, RunEnd, RunRequest};
use rollbot_store_sqlite::SqliteStore;
use tempfile::TempDir;

use super::ENGINE;
use super::observer::{Observer, People};
use super::service::{QuickClock, service};
use super::world::World;

/// An operation that people approved, in its own store and world.
pub struct Case {
    pub world: World,
    pub clock: QuickClock,
    pub plugin: Arc<Plugin>,
    pub store: Arc<SqliteStore>,
    pub id: OperationId,
    pub hosts: Hosts,
    directory: TempDir,
}

/// What a plan is asked for.
pub fn request(service: Service) -> PlanRequest {
    PlanRequest {
        procedure: "rollback".into(),
        grants: Grants::for_service(&service),
        service,
        policy_version: "policy-1".into(),
    }
}

pub async fn plan_with(
    engine: &Engine,
    plugin: &Plugin,
    world: &World,
    service: Service,
) -> Result<Plan, PlanError> {
    let clock = Arc::new(QuickClock::default());
    engine
        .plan(plugin, &world.hosts(), clock, request(service))
        .await
}

impl Case {
    /// The plugin's own plan for the service with these settings.
    pub async fn new(plugin: Arc<Plugin>, world: World, settings: &[(&str, &str)]) -> Self {
        Self::of_service(plugin, world, service(settings)).await
    }

    pub async fn of_service(plugin: Arc<Plugin>, world: World, service: Service) -> Self {
        let plan = plan_with(&ENGINE, &plugin, &world, service).await.unwrap();
        Self::of_plan(plugin, world, plan).await
    }

    /// A plan that may come from elsewhere, made over as this plugin's.
    pub async fn of_plan(plugin: Arc<Plugin>, world: World, mut plan: Plan) -> Self {
        plan.component = plugin.digest().clone();
        let clock = QuickClock::default();
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("rollbot.db"))
            .await
            .unwrap();
        let new = NewOperation {
            service: plan.service.name.clone(),
            host: "local".into(),
            procedure: plan.procedure.clone(),
            reason: Some("orders failing".into()),
            requester: "ana".into(),
            origin: Origin {
                platform: "console".into(),
                channel: "ops".into(),
            },
            dry_run: false,
            requested_at: clock.now(),
        };
        let event = EventKey::new("console", "1");
        let id = store
            .create_operation(new, event, &|_| Vec::new())
            .await
            .unwrap();
        let (digest, now) = (plan.digest(), clock.now());
        let by = ApprovedBy::People {
            people: vec!["ben".into(), "cleo".into()],
        };
        let asked = Batch::new()
            .write(Write::Plan {
                operation: id,
                plan: Box::new(plan),
                digest,
                expires_at: now,
            })
            .write(Write::State {
                operation: id,
                state: State::AwaitingApproval,
                at: now,
            });
        store.commit(asked).await.unwrap();
        let started = Batch::new()
            .write(Write::Started {
                operation: id,
                by,
                at: now,
            })
            .write(Write::State {
                operation: id,
                state: State::Running,
                at: now,
            });
        store.commit(started).await.unwrap();
        let hosts = world.hosts();
        Self {
            world,
            clock,
            plugin,
            store: Arc::new(store),
            id,
            hosts,
            directory,
        }
    }

    pub async fn operation(&self) -> Operation {
        self.store.operation(self.id).await.unwrap().unwrap()
    }

    /// Runs it with nobody to answer.
    pub async fn run(&self) -> (RunEnd, Arc<Observer>) {
        self.run_with(People::default()).await
    }

    pub async fn run_with(&self, people: People) -> (RunEnd, Arc<Observer>) {
        let observer = Observer::new(self.id, people);
        let end = self.run_on(self.store.clone(), Phase::Run, &observer).await;
        (end, observer)
    }

    pub async fn undo(&self) -> (RunEnd, Arc<Observer>) {
        let observer = Observer::new(self.id, People::default());
        let end = self
            .run_on(self.store.clone(), Phase::Undo, &observer)
            .await;
        (end, observer)
    }

    pub async fn run_on(
        &self,
        store: Arc<dyn Store>,
        phase: Phase,
        observer: &Arc<Observer>,
    ) -> RunEnd {
        self.run_as(&ENGINE, &self.plugin, store, phase, observer)
            .await
    }

    pub async fn run_as(
        &self,
        engine: &Engine,
        plugin: &Plugin,
        store: Arc<dyn Store>,
        phase: Phase,
        observer: &Arc<Observer>,
    ) -> RunEnd {
        let fence = self.store.take_over(self.id).await.unwrap();
        let operation = self.operation().await;
        let approved = Approved::resumed(&operation).unwrap();
        let grants = Grants::for_service(&operation.plan.as_ref().unwrap().service);
        let request = RunRequest {
            approved: &approved,
            operation: &operation,
            phase,
            fence,
            grants,
        };
        let clock = Arc::new(self.clock.clone());
        engine
            .run(plugin, &self.hosts, clock, store, request, observer.clone())
            .await
    }

    pub async fn journal(&self) -> Vec<Entry> {
        self.store.journal(self.id, Phase::Run).await.unwrap()
    }

    /// Functions of the journal, in order.
    pub async fn calls(&self) -> Vec<String> {
        self.journal()
            .await
            .into_iter()
            .map(|entry| entry.function)
            .collect()
    }

    /// Events as they were written with the journal.
    pub async fn audit(&self) -> Vec<String> {
        let rows: Vec<AuditRow> = self.store.audit(self.id).await.unwrap();
        rows.into_iter()
            .filter(|row| row.entry.kind == "event")
            .map(|row| row.entry.text)
            .collect()
    }
}
