//! A machine to run plugins on: one native service, its container, a registry and HTTP checks,
//! behind the interfaces of the plugin API. It behaves: what was stopped is stopped afterwards.
//! Every effect and every word to people is recorded in `log`.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store};

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "plugin",
    additional_derives: [Clone, PartialEq],
});

pub use exports::rollbot::plugin::procedures::{Arguments, Capability, Failure};
pub use rollbot::plugin::planning::{EffectKind, Plan};
pub use rollbot::plugin::process::PortOwner;
pub use rollbot::plugin::progress::Decision;
pub use rollbot::plugin::types::{
    ArchiveFormat, CheckReport, Evidence, HttpCheck, HttpMethod, NamedCheck, Service, Setting,
};
use rollbot::plugin::{
    ask, backup, clock, docker, planning, probe, process, progress, registry, types,
};

pub struct Machine {
    /// What happened, in order: `stop stop-native`, `begin verify`, `? Orders are …`.
    pub log: Vec<String>,
    pub notes: Vec<String>,
    pub evidence: Vec<Evidence>,
    pub native: bool,
    /// Whether a service manager answers and knows the unit.
    pub manager: bool,
    pub container: bool,
    /// Who holds the port when neither of the two does.
    pub squatter: Option<PortOwner>,
    pub image_missing: bool,
    pub data_files: u64,
    pub registry: Option<String>,
    /// Answers of checks by name, one after the other; then they pass.
    pub checks: HashMap<String, VecDeque<CheckReport>>,
    /// Effects that fail or are skipped, one outcome after the other; then they work.
    pub effects: HashMap<String, VecDeque<Broken>>,
    /// Effects that report success and change nothing.
    pub idle: Vec<String>,
    pub decisions: VecDeque<Decision>,
    pub answers: VecDeque<String>,
    pub slept: u64,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Broken {
    Fails,
    Skipped,
    NotInPlan,
}

impl Machine {
    /// The native service runs and the container waits.
    pub fn new() -> Self {
        Self {
            log: Vec::new(),
            notes: Vec::new(),
            evidence: Vec::new(),
            native: true,
            manager: true,
            container: false,
            squatter: None,
            image_missing: false,
            data_files: 12,
            registry: Some("127.0.0.1:9003".into()),
            checks: HashMap::new(),
            effects: HashMap::new(),
            idle: Vec::new(),
            decisions: VecDeque::new(),
            answers: VecDeque::new(),
            slept: 0,
        }
    }

    /// As after a whole rollback.
    pub fn rolled_back() -> Self {
        Self {
            native: false,
            container: true,
            registry: Some("127.0.0.2:9003".into()),
            ..Self::new()
        }
    }

    pub fn breaks(&mut self, effect: &str, how: &[Broken]) {
        self.effects
            .insert(effect.into(), how.iter().copied().collect());
    }

    pub fn check_answers(&mut self, name: &str, reports: Vec<CheckReport>) {
        self.checks.insert(name.into(), reports.into());
    }

    pub fn wait_decisions(&mut self, decisions: &[Decision]) {
        self.decisions = decisions.iter().copied().collect();
    }

    /// Lines of the log that begin with one of these words.
    pub fn logged(&self, verbs: &[&str]) -> Vec<&str> {
        self.log
            .iter()
            .map(String::as_str)
            .filter(|line| verbs.contains(&line.split(' ').next().unwrap_or("")))
            .collect()
    }

    /// What changed the world.
    pub fn effects_done(&self) -> Vec<&str> {
        self.logged(&[
            "stop", "start", "up", "down", "archive", "point", "transact", "submit",
        ])
    }

    fn broken(&mut self, verb: &str, effect: &str) -> Option<Broken> {
        self.log.push(format!("{verb} {effect}"));
        self.effects.get_mut(effect)?.pop_front()
    }

    fn is_idle(&self, effect: &str) -> bool {
        self.idle.iter().any(|idle| idle == effect)
    }

    fn owner(&self) -> Option<PortOwner> {
        let owner = |name: &str, pid| PortOwner {
            port: 9003,
            pid,
            name: name.into(),
        };
        if self.native {
            Some(owner("trade-native", 4711))
        } else if self.container {
            Some(owner("docker-proxy", 99))
        } else {
            self.squatter.clone()
        }
    }

    fn process_report(&self) -> process::StatusReport {
        let state = match (self.manager, self.native) {
            (false, _) => None,
            (true, true) => Some((process::UnitState::Active, "running")),
            (true, false) => Some((process::UnitState::Inactive, "dead")),
        };
        process::StatusReport {
            units: state
                .map(|(state, words)| process::UnitStatus {
                    unit: "cryptobot-trade".into(),
                    state,
                    sub_state: words.into(),
                    pid: None,
                })
                .into_iter()
                .collect(),
            owner: self.owner(),
            service_manager: self.manager,
        }
    }

    fn containers(&self) -> Vec<docker::Container> {
        vec![docker::Container {
            service: "trade".into(),
            name: "cryptobot_trade_1".into(),
            id: "abc".into(),
            state: if self.container { "running" } else { "exited" }.into(),
            health: if self.container {
                docker::HealthState::Healthy
            } else {
                docker::HealthState::None
            },
            exit_code: (!self.container).then_some(0),
            image_digest: "sha256:0".into(),
            image: "cryptobot/trade:1.4.2".into(),
        }]
    }

    fn next_report(&mut self, name: &str) -> CheckReport {
        self.checks
            .get_mut(name)
            .and_then(VecDeque::pop_front)
            .unwrap_or_else(passing)
    }
}

pub fn passing() -> CheckReport {
    CheckReport {
        passed: true,
        status: Some(200),
        took: 5,
        problems: Vec::new(),
        excerpt: "{}".into(),
    }
}

pub fn failing(problem: &str) -> CheckReport {
    CheckReport {
        passed: false,
        status: Some(503),
        took: 5,
        problems: vec![problem.into()],
        excerpt: "not now".into(),
    }
}

/// The last part of a URL: checks here are named by their path.
fn name_of(check: &HttpCheck) -> String {
    check.url.rsplit('/').next().unwrap_or_default().to_owned()
}

macro_rules! outcome {
    ($self:ident, $verb:literal, $effect:ident, $module:ident) => {
        match $self.broken($verb, &$effect) {
            Some(Broken::Fails) => return Err($module::Error::Failed("it broke".into())),
            Some(Broken::Skipped) => return Err($module::Error::Skipped),
            Some(Broken::NotInPlan) => return Err($module::Error::NotInPlan($effect)),
            None => {}
        }
    };
}

impl types::Host for Machine {}
impl planning::Host for Machine {}

impl process::Host for Machine {
    fn status(
        &mut self,
        _: String,
        _: Vec<String>,
        _: Option<u16>,
    ) -> Result<process::StatusReport, process::Error> {
        Ok(self.process_report())
    }
    fn stop(&mut self, effect: String) -> Result<process::ChangeReport, process::Error> {
        outcome!(self, "stop", effect, process);
        if !self.is_idle(&effect) {
            self.native = false;
        }
        Ok(process::ChangeReport {
            status: self.process_report(),
            how: "SIGTERM to 4711 (trade-native)".into(),
            by_hand: false,
        })
    }
    fn start(&mut self, effect: String) -> Result<process::ChangeReport, process::Error> {
        outcome!(self, "start", effect, process);
        assert!(!self.container, "started onto a container's port");
        if !self.is_idle(&effect) {
            self.native = true;
        }
        Ok(process::ChangeReport {
            status: self.process_report(),
            how: "the unit was started".into(),
            by_hand: false,
        })
    }
}

impl docker::Host for Machine {
    fn status(
        &mut self,
        _: String,
        _: String,
        _: Vec<String>,
    ) -> Result<Vec<docker::Container>, docker::Error> {
        Ok(self.containers())
    }
    fn ready(
        &mut self,
        _: String,
        _: String,
        services: Vec<String>,
    ) -> Result<Vec<docker::Readiness>, docker::Error> {
        Ok(services
            .into_iter()
            .map(|service| docker::Readiness {
                service,
                ready: !self.image_missing,
                container: self.containers().pop(),
                problems: if self.image_missing {
                    vec!["The image cryptobot/trade:1.4.2 is missing.".into()]
                } else {
                    Vec::new()
                },
            })
            .collect())
    }
    fn logs(
        &mut self,
        _: String,
        _: String,
        _: Vec<String>,
        lines: u32,
    ) -> Result<Vec<docker::LogLine>, docker::Error> {
        assert_eq!(lines, 100);
        Ok(["listening on 9003", "ERROR no route to data"]
            .map(|text| docker::LogLine {
                service: "trade".into(),
                text: text.into(),
            })
            .into())
    }
    fn health(
        &mut self,
        _: String,
        _: String,
        _: Vec<String>,
        _: u64,
    ) -> Result<Vec<docker::Container>, docker::Error> {
        Ok(self.containers())
    }
    fn up(&mut self, effect: String) -> Result<docker::ChangeReport, docker::Error> {
        outcome!(self, "up", effect, docker);
        assert!(!self.native, "started onto the native service's port");
        if !self.is_idle(&effect) {
            self.container = true;
        }
        Ok(docker::ChangeReport {
            containers: self.containers(),
            how: "started cryptobot_trade_1".into(),
            by_hand: false,
        })
    }
    fn down(&mut self, effect: String) -> Result<docker::ChangeReport, docker::Error> {
        outcome!(self, "down", effect, docker);
        if !self.is_idle(&effect) {
            self.container = false;
        }
        Ok(docker::ChangeReport {
            containers: self.containers(),
            how: "stopped cryptobot_trade_1".into(),
            by_hand: false,
        })
    }
}

impl backup::Host for Machine {
    fn create(&mut self, effect: String) -> Result<backup::Archive, backup::Error> {
        outcome!(self, "archive", effect, backup);
        Ok(backup::Archive {
            name: "trade_service_20261122200000.tar.zst".into(),
            path: "/backups/trade_service_20261122200000.tar.zst".into(),
            created: 1,
            bytes: 4_200,
            files: self.data_files,
            sha256: "0".into(),
            verified: true,
            changed: Vec::new(),
            by_hand: false,
        })
    }
    fn verify(&mut self, _: String, path: String) -> Result<backup::Archive, backup::Error> {
        Err(backup::Error::Failed(path))
    }
    fn list(&mut self, _: String, _: String) -> Result<Vec<backup::Archive>, backup::Error> {
        Ok(Vec::new())
    }
    fn written_since(
        &mut self,
        _: String,
        directory: String,
        _: u64,
    ) -> Result<backup::Written, backup::Error> {
        assert_eq!(directory, "/data/trade");
        Ok(backup::Written {
            files: self.data_files,
            bytes: self.data_files * 1_000,
            last_write: 7,
        })
    }
}

impl probe::Host for Machine {
    fn http(&mut self, _: String, check: HttpCheck) -> Result<CheckReport, probe::Error> {
        assert!(check.method != HttpMethod::Post, "a POST is no query");
        let name = name_of(&check);
        self.log.push(format!("check {}", check.url));
        Ok(self.next_report(&name))
    }
    fn tcp(&mut self, _: String, _: String, _: u64) -> Result<CheckReport, probe::Error> {
        Ok(passing())
    }
    fn transact(&mut self, effect: String) -> Result<CheckReport, probe::Error> {
        outcome!(self, "transact", effect, probe);
        Ok(self.next_report(&effect))
    }
    fn submit(&mut self, effect: String) -> Result<CheckReport, probe::Error> {
        outcome!(self, "submit", effect, probe);
        Ok(self.next_report(&effect))
    }
}

impl registry::Host for Machine {
    fn get(&mut self, key: String) -> Result<registry::Entry, registry::Error> {
        match &self.registry {
            Some(value) => Ok(registry::Entry {
                key,
                value: value.clone(),
                revision: 1,
            }),
            None => Err(registry::Error::NotFound(key)),
        }
    }
    fn resolve(&mut self, key: String) -> Result<String, registry::Error> {
        self.get(key).map(|entry| entry.value)
    }
    fn point(&mut self, effect: String) -> Result<registry::ChangeReport, registry::Error> {
        outcome!(self, "point", effect, registry);
        let previous = self.registry.clone();
        if !self.is_idle(&effect) {
            let native = effect == "undo-point-native";
            self.registry = Some(
                if native {
                    "127.0.0.1:9003"
                } else {
                    "127.0.0.2:9003"
                }
                .to_owned(),
            );
        }
        Ok(registry::ChangeReport {
            entry: self.get("services/trade".into())?,
            previous,
            by_hand: false,
        })
    }
}

impl ask::Host for Machine {
    fn question(
        &mut self,
        text: String,
        evidence: Evidence,
        choices: Vec<ask::Choice>,
    ) -> Result<String, ask::Error> {
        self.log.push(format!("? {text}"));
        self.evidence.push(evidence);
        let answer = self.answers.pop_front().expect("nobody answers");
        assert!(choices.iter().any(|choice| choice.key == answer));
        Ok(answer)
    }
}

impl progress::Host for Machine {
    fn begin(&mut self, step: String) -> Result<(), progress::Error> {
        self.log.push(format!("begin {step}"));
        Ok(())
    }
    fn end(&mut self, step: String) -> Result<(), progress::Error> {
        self.log.push(format!("end {step}"));
        Ok(())
    }
    fn failed(&mut self, step: String, evidence: Evidence) -> Result<Decision, progress::Error> {
        self.log.push(format!("failed {step}"));
        println!("{step}: {} {:?}", evidence.summary, evidence.details);
        self.evidence.push(evidence);
        Ok(self.decisions.pop_front().expect("nobody decides"))
    }
    fn note(&mut self, text: String) -> Result<(), progress::Error> {
        self.notes.push(text);
        Ok(())
    }
}

impl clock::Host for Machine {
    fn now(&mut self) -> u64 {
        1_000 + self.slept
    }
    fn sleep(&mut self, duration: u64) {
        self.slept += duration;
    }
}

fn check(name: &str, method: HttpMethod) -> NamedCheck {
    NamedCheck {
        name: name.into(),
        check: HttpCheck {
            method,
            url: format!("http://127.0.0.1:9003/{name}"),
            headers: Vec::new(),
            body: None,
            status: 200,
            expect: Vec::new(),
            within: 2_000,
            idempotency_key: true,
        },
    }
}

/// A service with everything that both plugins need.
pub fn service() -> Service {
    let mut checks: Vec<NamedCheck> = [
        "health",
        "api-orders",
        "peer-data",
        "in-flight",
        "fresh-rows",
    ]
    .map(|name| check(name, HttpMethod::Get))
    .into();
    checks.push(check("paper-order", HttpMethod::Post));
    Service {
        name: "trade".into(),
        host: "local".into(),
        units: vec!["cryptobot-trade".into()],
        port: Some(9003),
        compose_project: "cryptobot".into(),
        compose_services: vec!["trade".into()],
        data_directory: "/data/trade".into(),
        archive_name: "trade_service".into(),
        archive_format: ArchiveFormat::TarZst,
        registry_key: "services/trade".into(),
        registry_native: "127.0.0.1:9003".into(),
        registry_docker: "127.0.0.2:9003".into(),
        cutover: Some(1),
        checks,
        settings: Vec::new(),
    }
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        // A plugin that would loop fails the test instead.
        config.consume_fuel(true);
        Engine::new(&config).unwrap()
    })
}

fn component(name: &str) -> &'static Component {
    static TRADE: OnceLock<Component> = OnceLock::new();
    static DATA: OnceLock<Component> = OnceLock::new();
    let place = match name {
        "trade" => &TRADE,
        "data" => &DATA,
        other => panic!("no plugin {other}"),
    };
    place.get_or_init(|| {
        let bundled = rollbot_plugins::components()
            .iter()
            .find(|bundled| bundled.name == name)
            .unwrap();
        Component::new(engine(), bundled.bytes).unwrap()
    })
}

fn instance(name: &str, machine: Machine) -> (Store<Machine>, Plugin) {
    let mut linker = Linker::new(engine());
    Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |machine| machine).unwrap();
    let mut store = Store::new(engine(), machine);
    store.set_fuel(100_000_000).unwrap();
    let plugin = Plugin::instantiate(&mut store, component(name), &linker).unwrap();
    (store, plugin)
}

fn arguments(procedure: &str, service: &Service) -> Arguments {
    Arguments {
        procedure: procedure.into(),
        service: service.clone(),
    }
}

/// Runs a procedure and returns the machine as it is afterwards.
pub fn run(
    plugin: &str,
    procedure: &str,
    service: &Service,
    machine: Machine,
) -> (Result<(), Failure>, Machine) {
    let (mut store, plugin) = instance(plugin, machine);
    let result = plugin
        .rollbot_plugin_procedures()
        .call_run(&mut store, &arguments(procedure, service))
        .unwrap();
    (result, store.into_data())
}

/// Plans a rollback.
pub fn plan(plugin: &str, service: &Service, machine: Machine) -> Result<Plan, Failure> {
    let (mut store, plugin) = instance(plugin, machine);
    let plan = plugin
        .rollbot_plugin_procedures()
        .call_plan(&mut store, &arguments("rollback", service))
        .unwrap();
    assert!(store.data().effects_done().is_empty(), "an effect in plan");
    plan
}

/// Name, service type and wanted capabilities.
pub fn describe(plugin: &str) -> (String, String, Vec<Capability>) {
    let (mut store, plugin) = instance(plugin, Machine::new());
    let description = plugin
        .rollbot_plugin_procedures()
        .call_describe(&mut store)
        .unwrap();
    (
        description.name,
        description.service_type,
        description.wants,
    )
}
