//! Sets wasmtime up, loads plugins, and runs their exports.

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollbot_core::Digest;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use crate::bindings::exports::rollbot::plugin::procedures::{Description, Procedure};
use crate::bindings::{self, PluginPre};
use crate::cache::{Cache, CacheError};
use crate::config::{EngineConfig, Limits};
use crate::guest::{Guest, Stop, Ticker, Work, drive};
use crate::plugin::Plugin;
use crate::run_events::TrapKind;

/// The engine cannot start, or a plugin cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the WebAssembly engine cannot be set up here: {0}")]
    SetUp(String),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("plugin `{name}` is not a component that this bot can run: {why}")]
    Invalid { name: String, why: String },
    #[error(
        "plugin `{name}` does not fit the plugin API rollbot:plugin@0.1.0: {why}; a plugin imports \
         nothing but that API, and no WASI"
    )]
    Misfit { name: String, why: String },
    #[error("plugin `{name}` failed when it was asked to describe itself: {why}")]
    Mute { name: String, why: String },
}

/// Runs plugins. One serves all, also at the same time.
pub struct Engine {
    pub(crate) limits: Limits,
    pub(crate) ticker: Ticker,
    /// Places for instances: the pool has no more.
    pub(crate) places: Semaphore,
    wasmtime: wasmtime::Engine,
    linker: Linker<Guest>,
    cache: Option<Arc<Cache>>,
    compiled: AtomicU64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} compiled)", self.compiled())
    }
}

/// Why a guest's export did not return.
pub(crate) enum Broken {
    Trapped {
        kind: TrapKind,
        detail: String,
    },
    /// The host ended it; [`Guest::stop`] says why.
    Stopped(Stop),
}

impl Engine {
    /// Sets the engine up, and opens the cache of compiled components.
    ///
    /// # Errors
    /// The machine cannot run compiled code or has too little address space, or the cache belongs
    /// to somebody else.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let EngineConfig { cache_dir, limits } = config;
        let set_up = |error: wasmtime::Error| EngineError::SetUp(format!("{error:#}"));
        let wasmtime = wasmtime::Engine::new(&wasmtime_config(&limits)).map_err(set_up)?;
        let mut linker = Linker::new(&wasmtime);
        bindings::Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)
            .map_err(set_up)?;
        let cache = match cache_dir {
            Some(directory) => Some(Arc::new(Cache::open(&directory, compatibility(&wasmtime))?)),
            None => None,
        };
        let ticker = Ticker::start(wasmtime.weak())
            .map_err(|error| EngineError::SetUp(format!("no thread for the clock: {error}")))?;
        Ok(Self {
            places: Semaphore::new(limits.instances as usize),
            limits,
            ticker,
            wasmtime,
            linker,
            cache,
            compiled: AtomicU64::new(0),
        })
    }

    /// How many components this engine has compiled, and not found in the cache.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    /// Loads a plugin, from the cache where it is there, and has it describe itself without access
    /// to anything.
    ///
    /// # Errors
    /// No component, one with other imports or exports than the plugin API's, or one that breaks
    /// when it describes itself.
    pub async fn load(&self, name: &str, bytes: &[u8]) -> Result<Arc<Plugin>, EngineError> {
        let digest = Digest::of(bytes);
        let component = self.component(name, &digest, bytes).await?;
        let misfit = |error: wasmtime::Error| EngineError::Misfit {
            name: name.into(),
            why: format!("{error:#}"),
        };
        let pre = self.linker.instantiate_pre(&component).map_err(misfit)?;
        let pre = PluginPre::new(pre).map_err(misfit)?;
        let mute = |why: String| EngineError::Mute {
            name: name.into(),
            why,
        };
        let (description, procedures) = self.describe(&pre, bytes.len()).await.map_err(mute)?;
        Ok(Arc::new(Plugin::new(
            pre,
            bytes.len(),
            digest,
            description,
            procedures,
        )))
    }

    /// A new instance says what the plugin is. It can call nothing.
    async fn describe(
        &self,
        pre: &PluginPre<Guest>,
        bytes: usize,
    ) -> Result<(Description, Vec<Procedure>), String> {
        let (described, _) = self
            .call(pre, bytes, Work::Silent, async |plugin, store| {
                let exports = plugin.rollbot_plugin_procedures();
                let description = exports.call_describe(&mut *store).await?;
                let procedures = exports.call_procedures(&mut *store).await?;
                Ok((description, procedures))
            })
            .await?;
        described.map_err(|broken| match broken {
            Broken::Trapped { kind, detail } => format!("it {}: {detail}", kind.in_words()),
            Broken::Stopped(Stop::Silent(function)) => format!("it called {function}"),
            Broken::Stopped(stop) => format!("{stop:?}"),
        })
    }

    /// Makes a new instance of a loaded plugin and has it describe itself: whether it can be
    /// started now.
    ///
    /// # Errors
    /// It broke, or says something else than when it was loaded.
    pub async fn check(&self, plugin: &Plugin) -> Result<(), EngineError> {
        let mute = |why: String| EngineError::Mute {
            name: plugin.description().name.clone(),
            why,
        };
        let (description, _) = self
            .describe(&plugin.pre, plugin.bytes)
            .await
            .map_err(mute)?;
        if description.name == plugin.description().name
            && description.version == plugin.description().version
        {
            Ok(())
        } else {
            Err(mute("it calls itself something else than before".into()))
        }
    }

    /// The compiled component, and the cache's entry for the next start.
    async fn component(
        &self,
        name: &str,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Component, EngineError> {
        let (engine, cache) = (self.wasmtime.clone(), self.cache.clone());
        let (bytes, digest) = (bytes.to_vec(), digest.clone());
        let invalid = |why: String| EngineError::Invalid {
            name: name.into(),
            why,
        };
        let (component, compiled) = tokio::task::spawn_blocking(move || {
            if let Some(component) = cache
                .as_deref()
                .and_then(|cache| cached(&engine, cache, &digest))
            {
                return Ok((component, false));
            }
            let component = Component::from_binary(&engine, &bytes)?;
            if let Some(cache) = cache.as_deref()
                && let Err(error) = keep(cache, &digest, &component)
            {
                // The next start compiles again, that is all.
                tracing::warn!(error, "a compiled component was not cached");
            }
            Ok::<_, wasmtime::Error>((component, true))
        })
        .await
        .map_err(|error| invalid(format!("compiling it failed: {error}")))?
        .map_err(|error| invalid(format!("{error:#}")))?;
        self.compiled
            .fetch_add(u64::from(compiled), Ordering::Relaxed);
        Ok(component)
    }

    /// Runs an export of a new instance within all bounds. Gives back the guest's state as well, as
    /// it may hold what is still to be written.
    pub(crate) async fn call<T>(
        &self,
        pre: &PluginPre<Guest>,
        bytes: usize,
        work: Work,
        export: impl AsyncFnOnce(&bindings::Plugin, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<(Result<T, Broken>, Guest), String> {
        let mut store = Guest::store(&self.wasmtime, &self.limits, bytes, work)
            .map_err(|error| format!("{error:#}"))?;
        let pulse = store.data().pulse();
        // Waits while as many others run; queues are fair.
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let running = async {
            let plugin = pre.instantiate_async(&mut store).await?;
            export(&plugin, &mut store).await
        };
        let output = drive(&pulse, self.limits.compute_time, &self.ticker, running).await;
        let mut guest = store.into_data();
        let result = match (output, guest.stop.take()) {
            (Ok(Ok(value)), None) => Ok(value),
            (_, Some(stop)) => Err(Broken::Stopped(stop)),
            (Ok(Err(error)), None) => {
                let (kind, detail) = guest.classify(&error);
                Err(Broken::Trapped { kind, detail })
            }
            (Err(overran), None) => Err(Broken::Trapped {
                kind: TrapKind::Time,
                detail: format!("{overran:?}: more than {:?}", self.limits.compute_time),
            }),
        };
        Ok((result, guest))
    }
}

fn cached(engine: &wasmtime::Engine, cache: &Cache, digest: &Digest) -> Option<Component> {
    let code = cache.read(digest)?;
    match load_compiled(engine, &code) {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!(%digest, %error, "a cached component does not load; it is compiled anew");
            cache.discard(digest);
            None
        }
    }
}

fn keep(cache: &Cache, digest: &Digest, component: &Component) -> Result<(), String> {
    let code = component.serialize().map_err(|error| error.to_string())?;
    cache
        .write(digest, &code)
        .map_err(|error| error.to_string())
}

#[allow(unsafe_code)]
fn load_compiled(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: wasmtime trusts what it deserialises. These bytes were written by this very program
    // for this user: `Cache::read` gives out nothing whose keyed digest does not verify, the key is
    // readable by this user alone, and the bytes cannot change any more as they are in memory.
    unsafe { Component::deserialize(engine, code) }
}

fn wasmtime_config(limits: &Limits) -> Config {
    let instances = limits.instances.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        // A component of Rust has three core instances, one of Python or JavaScript some more.
        .max_core_instances_per_component(64)
        .total_core_instances(instances.saturating_mul(64))
        .max_memories_per_component(4)
        .total_memories(instances.saturating_mul(2))
        .max_memory_size(limits.memory.max(limits.memory_large))
        .max_tables_per_component(64)
        .total_tables(instances.saturating_mul(32))
        .table_elements(64 * 1024)
        .total_stacks(instances);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_nan_canonicalization(true)
        .wasm_component_model(true)
        // Nothing whose result depends on the machine or on other threads.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_backtrace_max_frames(None)
        .concurrency_support(false)
        .max_wasm_stack(512 * 1024)
        .async_stack_size(2 * 1024 * 1024);
    config
}

/// Of everything that compiled code depends on: engine version, settings, target and its features.
fn compatibility(engine: &wasmtime::Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut sha = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.write(std::env::consts::ARCH.as_bytes());
    sha.write(std::env::consts::OS.as_bytes());
    hex::encode(sha.0.finalize())
}
