//! Plugins, and what they may touch: makes plans and finds the plugin an operation was planned with.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollbot_core::approval::Policy;
use rollbot_core::operation::Operation;
use rollbot_core::plan::Plan;
use rollbot_core::store::{Store, StoreError};
use rollbot_core::{Clock, Digest};
use rollbot_engine::{Engine, EngineError, Hosts, PlanError, PlanRequest, Plugin};

use rollbot_config::Service;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanFailed {
    #[error("no plugin serves the type `{0}`: `rollbot plugin list` shows those there are")]
    NoPlugin(String),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plugin {0} of this operation is not in the store any more")]
    Gone(Digest),
}

/// The engine with its plugins and hosts.
pub struct Workshop {
    pub engine: Engine,
    pub hosts: Hosts,
    pub clock: Arc<dyn Clock>,
    by_type: BTreeMap<String, Arc<Plugin>>,
    by_digest: tokio::sync::Mutex<BTreeMap<Digest, Arc<Plugin>>>,
    store: Arc<dyn Store>,
}

impl Workshop {
    /// Loads the plugins and keeps their components in the store, so that an operation can end
    /// with the plugin it began with.
    ///
    /// # Errors
    /// A component that cannot be loaded, or the store.
    pub async fn open(
        engine: Engine,
        hosts: Hosts,
        clock: Arc<dyn Clock>,
        store: Arc<dyn Store>,
        components: &[(&str, &[u8])],
    ) -> Result<Self, PlanFailed> {
        let mut by_type = BTreeMap::new();
        let mut by_digest = BTreeMap::new();
        for &(name, bytes) in components {
            let plugin = engine.load(name, bytes).await?;
            store.keep_component(plugin.digest(), bytes).await?;
            by_type.insert(plugin.description().service_type.clone(), plugin.clone());
            by_digest.insert(plugin.digest().clone(), plugin);
        }
        tracing::debug!(
            plugins = components.len(),
            compiled = engine.compiled(),
            "plugins are loaded"
        );
        let by_digest = tokio::sync::Mutex::new(by_digest);
        Ok(Self {
            engine,
            hosts,
            clock,
            by_type,
            by_digest,
            store,
        })
    }

    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.by_type.values()
    }

    /// Asks the plugin of the service's type for a plan. Queries only.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn plan(
        &self,
        entry: &Service,
        policy: &Policy,
        procedure: &str,
    ) -> Result<Plan, PlanFailed> {
        let plugin = self
            .by_type
            .get(&entry.kind)
            .ok_or_else(|| PlanFailed::NoPlugin(entry.kind.clone()))?;
        let request = PlanRequest {
            procedure: procedure.to_owned(),
            service: entry.description_now(),
            grants: entry.grants.clone(),
            policy_version: policy.version(),
        };
        Ok(self
            .engine
            .plan(plugin, &self.hosts, self.clock.clone(), request)
            .await?)
    }

    /// The plugin whose component the operation's plan was made by, whatever is installed now.
    ///
    /// # Errors
    /// The component is gone, or cannot be loaded.
    pub async fn plugin_of(&self, operation: &Operation) -> Result<Arc<Plugin>, PlanFailed> {
        let Some(plan) = &operation.plan else {
            return Err(PlanFailed::NoPlugin(operation.service.clone()));
        };
        let mut by_digest = self.by_digest.lock().await;
        if let Some(plugin) = by_digest.get(&plan.component) {
            return Ok(plugin.clone());
        }
        let bytes = self
            .store
            .component(&plan.component)
            .await?
            .ok_or_else(|| PlanFailed::Gone(plan.component.clone()))?;
        let plugin = self.engine.load(&operation.service, &bytes).await?;
        by_digest.insert(plan.component.clone(), plugin.clone());
        Ok(plugin)
    }
}
