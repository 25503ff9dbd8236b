//! The state behind one instance of a plugin, and what bounds it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use wasmtime::{CallHook, EngineWeak, ResourceLimiter, Store, StoreContextMut, Trap};

use crate::config::Limits;
use crate::planning::Planning;
use crate::run_events::{RunEnd, TrapKind};
use crate::running::Run;

/// What the host functions of an instance do.
pub(crate) enum Work {
    /// `describe` and `procedures`: no host function answers.
    Silent,
    Planning(Box<Planning>),
    Running(Box<Run>),
}

/// Why the host ends a guest from within a call.
#[derive(Debug)]
pub(crate) enum Stop {
    Run(RunEnd),
    /// A host function was called where none may be.
    Silent(&'static str),
    TooMuch(String),
}

impl From<RunEnd> for Stop {
    fn from(end: RunEnd) -> Self {
        Self::Run(end)
    }
}

/// Data of a wasmtime store.
pub(crate) struct Guest {
    pub work: Work,
    pub stop: Option<Stop>,
    pulse: Arc<Pulse>,
    memory: Memory,
    fuel: Fuel,
}

struct Memory {
    most: usize,
    used: usize,
    exceeded: bool,
}

struct Fuel {
    slice: u64,
    /// What is left beyond the granted slice.
    reserve: u64,
    /// Set by host functions: a new slice is due. Not every transition to the host is a call.
    due: bool,
}

impl Guest {
    /// A store for one instance of a component of this size.
    pub fn store(
        engine: &wasmtime::Engine,
        limits: &Limits,
        component_bytes: usize,
        work: Work,
    ) -> wasmtime::Result<Store<Self>> {
        let guest = Self {
            work,
            stop: None,
            pulse: Arc::new(Pulse::new()),
            memory: Memory {
                most: limits.memory_for(component_bytes),
                used: 0,
                exceeded: false,
            },
            fuel: Fuel {
                slice: limits.fuel_slice,
                reserve: limits.fuel_total.saturating_sub(limits.fuel_slice),
                due: false,
            },
        };
        let mut store = Store::new(engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_fuel(limits.fuel_slice.min(limits.fuel_total))?;
        store.call_hook(refuel);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        // Bytes that one call, or the plan it returns, may bring over the border.
        store.set_hostcall_fuel(
            limits
                .arguments
                .saturating_mul(32)
                .max(limits.plan_bytes * 8),
        );
        Ok(store)
    }

    pub fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }

    /// A host function begins: from here on the guest does not compute.
    pub fn enter_host(&self) {
        self.pulse.host();
    }

    /// A host function ends. A stop ends the guest with it.
    pub fn leave_host<T>(&mut self, answer: Result<T, Stop>) -> wasmtime::Result<T> {
        self.pulse.guest();
        self.fuel.due = true;
        answer.map_err(|stop| {
            self.stop = Some(stop);
            wasmtime::Error::msg("ended by the host")
        })
    }

    /// What kind of trap ended the guest.
    pub fn classify(&self, error: &wasmtime::Error) -> (TrapKind, String) {
        let trap = error.downcast_ref::<Trap>().copied();
        let kind = match trap {
            _ if self.memory.exceeded => TrapKind::Memory,
            Some(Trap::OutOfFuel) => TrapKind::Fuel,
            Some(Trap::StackOverflow) => TrapKind::Stack,
            Some(Trap::UnreachableCodeReached) => TrapKind::Panic,
            _ => TrapKind::Other,
        };
        (kind, error.root_cause().to_string())
    }
}

fn refuel(mut store: StoreContextMut<'_, Guest>, hook: CallHook) -> wasmtime::Result<()> {
    if !matches!(hook, CallHook::ReturningFromHost) || !store.data().fuel.due {
        return Ok(());
    }
    let left = store.get_fuel()?;
    let fuel = &mut store.data_mut().fuel;
    fuel.due = false;
    let grant = fuel.slice.saturating_sub(left).min(fuel.reserve);
    fuel.reserve -= grant;
    store.set_fuel(left.saturating_add(grant))
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.most {
            self.exceeded = true;
            // A refusal would look like a panic of the guest's allocator: end it here, for what it is.
            return Err(wasmtime::Error::msg(format!(
                "asked for {used} bytes of memory, {} are allowed",
                self.most
            )));
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pool's own limit on table elements holds.
        Ok(true)
    }
}

/// Knows since when a guest has been computing without a host call.
pub(crate) struct Pulse {
    start: Instant,
    /// Milliseconds from `start` plus one; 0 while a host function works.
    since: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            since: AtomicU64::new(1),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn host(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn guest(&self) {
        self.since
            .store(self.elapsed().saturating_add(1), Ordering::Relaxed);
    }

    fn is_in_host(&self) -> bool {
        self.since.load(Ordering::Relaxed) == 0
    }

    fn computing_for(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_millis(self.elapsed().saturating_add(1).saturating_sub(since)),
        }
    }
}

/// The guest computed longer than it may; its future was dropped.
#[derive(Debug)]
pub(crate) struct Overran;

/// How often a computing guest is looked at, and one whose host function works.
const LOOK: Duration = Duration::from_millis(20);
const GLANCE: Duration = Duration::from_millis(500);

/// Runs a guest's future to its end, or drops it when it has computed for too long.
pub(crate) async fn drive<F: Future>(
    pulse: &Pulse,
    most: Duration,
    ticker: &Ticker,
    future: F,
) -> Result<F::Output, Overran> {
    let _ticking = ticker.tick();
    tokio::pin!(future);
    let look = tokio::time::sleep(LOOK);
    tokio::pin!(look);
    loop {
        tokio::select! {
            biased;
            output = &mut future => return Ok(output),
            () = &mut look => {
                if pulse.computing_for() > most {
                    return Err(Overran);
                }
                // A guest may wait for people for days.
                let next = if pulse.is_in_host() { GLANCE } else { LOOK };
                look.as_mut().reset(tokio::time::Instant::now() + next);
            }
        }
    }
}

/// A thread that makes computing guests yield: one that does not would hold up every task of its
/// executor. It sleeps while there are no guests.
pub(crate) struct Ticker {
    guests: Arc<AtomicUsize>,
    thread: Thread,
}

const TICK: Duration = Duration::from_millis(10);

impl Ticker {
    pub fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let guests = Arc::new(AtomicUsize::new(0));
        let counted = guests.clone();
        let handle = thread::Builder::new()
            .name("epochs".into())
            .spawn(move || {
                loop {
                    if counted.load(Ordering::Acquire) == 0 {
                        thread::park_timeout(Duration::from_secs(60));
                    } else {
                        thread::sleep(TICK);
                    }
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        Ok(Self {
            guests,
            thread: handle.thread().clone(),
        })
    }

    fn tick(&self) -> Ticking<'_> {
        if self.guests.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

struct Ticking<'a>(&'a Ticker);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::AcqRel);
    }
}
