//! Reading the three files, and everything about them at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::check::policy::Electors;
use crate::check::reader::Reader;
use crate::check::secrets::Secrets;
use crate::check::services::Known;
use crate::check::{machine, people, platforms, policy, rollbot, services};
use crate::config::{Config, Process};
use crate::decode::decode;
use crate::problem::{ConfigErrors, Problem};
use crate::secret::Environment;
use crate::source::Source;
use crate::{PEOPLE, ROLLBOT, SERVICES, written};

/// A configuration is written by people: a file larger than this is another file.
const LARGEST: u64 = 4 << 20;

/// How to load a configuration.
#[derive(Clone)]
pub struct Loader {
    types: Option<Vec<String>>,
    environment: Environment,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            types: None,
            environment: Environment::Process,
        }
    }
}

impl Config {
    /// Reads `rollbot.toml`, `services.toml` and `people.toml`, with secrets from the process's
    /// environment. Which plugins there are is not checked: see [`Loader::service_types`].
    ///
    /// # Errors
    /// Everything that is wrong, in all three files.
    pub fn load(directory: &Path) -> Result<Self, ConfigErrors> {
        Loader::default().load(directory)
    }
}

impl Loader {
    /// The service types that plugins serve; a service of another one is an error.
    #[must_use]
    pub fn service_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// Variables that `{ env = "NAME" }` refers to, instead of those of this process.
    #[must_use]
    pub fn environment(
        mut self,
        variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Self {
        let all: BTreeMap<_, _> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self.environment = Environment::These(all);
        self
    }

    /// # Errors
    /// Everything that is wrong, in all three files.
    pub fn load(&self, directory: &Path) -> Result<Config, ConfigErrors> {
        let main = Part::<written::Rollbot>::read(directory, ROLLBOT);
        let services = Part::<written::Services>::read(directory, SERVICES);
        let people = Part::<written::People>::read(directory, PEOPLE);
        let config = self.check(directory, &main, &services, &people);
        let mut problems = Vec::new();
        for mut of_file in [
            main.reader.into_problems(),
            services.reader.into_problems(),
            people.reader.into_problems(),
        ] {
            of_file.sort_by_key(|problem| problem.place);
            problems.extend(of_file);
        }
        match config.filter(|_| problems.is_empty()) {
            Some(config) => Ok(config),
            None => Err(ConfigErrors::new(problems)),
        }
    }

    fn check(
        &self,
        directory: &Path,
        main: &Part<written::Rollbot>,
        services: &Part<written::Services>,
        people: &Part<written::People>,
    ) -> Option<Config> {
        let secrets = Secrets {
            environment: &self.environment,
            named: RefCell::new(BTreeMap::new()),
        };
        // Groups of people who are wrong in another way are groups all the same. But where a list
        // could not be read, a group may be missing here that is in the file.
        let groups = people
            .written
            .as_ref()
            .filter(|_| people.reader.is_clean())
            .map(people::groups);
        let everybody = people
            .written
            .as_ref()
            .and_then(|written| people::people(&people.reader, written));
        let electors = || Electors {
            groups: groups.as_ref(),
            people: everybody.as_ref(),
        };

        let machine = main.written.as_ref().map(|file| {
            let reader = &main.reader;
            let state_directory = rollbot::state_directory(reader, file);
            let state = state_directory.as_deref();
            let console = rollbot::console(reader, &file.console, &file.chat);
            let slack = platforms::slack(reader, &file.slack, &secrets);
            let discord = platforms::discord(reader, &file.discord, &secrets);
            // A section with a mistake in it is there all the same.
            let mut there = vec!["console".to_owned()];
            for (name, is_there) in [
                ("slack", file.slack.is_given() || slack.is_none()),
                ("discord", file.discord.is_given() || discord.is_none()),
            ] {
                if is_there {
                    there.push(name.to_owned());
                }
            }
            Machine {
                bot: rollbot::bot(reader, &file.bot),
                store: rollbot::store(reader, &file.store, state),
                control: rollbot::control(reader, &file.control, state),
                chat: rollbot::chat(reader, &file.chat, &there, console.as_ref()),
                slack,
                discord,
                webhooks: platforms::webhooks(reader, &file.webhooks),
                console,
                approval: reader.section("approval", &file.approval).and_then(
                    |(within, written)| {
                        policy::policy(reader, &within, &written, None, &electors())
                    },
                ),
                break_glass: reader.section("break_glass", &file.break_glass).and_then(
                    |(within, written)| policy::break_glass(reader, &within, &written, &electors()),
                ),
                status_update: rollbot::status_update(reader, &file.status_update),
                templates: rollbot::templates(reader, &file.templates),
                engine: rollbot::engine(reader, &file.engine, state),
                docker: machine::docker(reader, &file.docker),
                backup: machine::backup(reader, &file.backup),
                registry: machine::registry(reader, &file.registry),
                process: machine::process(reader, &file.process, state, &secrets),
                log: machine::log(reader, &file.log),
                hosts: machine::hosts(reader, file),
                state_directory,
            }
        });
        let of_machine = machine.as_ref();
        let known = Known {
            types: self.types.as_deref(),
            hosts: of_machine
                .and_then(|machine| machine.hosts.as_ref())
                .map(|hosts| hosts.keys().cloned().collect()),
            projects: of_machine
                .and_then(|machine| machine.docker.as_ref())
                .map(|docker| docker.projects.keys().cloned().collect()),
            units: of_machine
                .and_then(|machine| machine.process.as_ref())
                .map(|process| match process {
                    Process::Commands { units, .. } => {
                        Some(units.iter().map(|unit| unit.name.clone()).collect())
                    }
                    Process::Auto | Process::Systemd { .. } => None,
                }),
            format: of_machine
                .and_then(|machine| machine.backup.as_ref())
                .map(|backup| backup.format),
            approval: of_machine.and_then(|machine| machine.approval.as_ref()),
            electors: electors(),
        };
        let services = services
            .written
            .as_ref()
            .and_then(|written| services::services(&services.reader, written, &known, &secrets));
        let machine = machine?;
        Some(Config {
            directory: directory.to_owned(),
            state_directory: machine.state_directory?,
            bot: machine.bot?,
            store: machine.store?,
            console: machine.console?,
            control: machine.control?,
            slack: machine.slack?,
            discord: machine.discord?,
            webhooks: machine.webhooks?,
            chat: machine.chat?,
            approval: machine.approval?,
            break_glass: machine.break_glass?,
            status_update: machine.status_update?,
            templates: machine.templates?,
            engine: machine.engine?,
            docker: machine.docker?,
            backup: machine.backup?,
            registry: machine.registry?,
            process: machine.process?,
            log: machine.log?,
            hosts: machine.hosts?,
            services: services?,
            people: everybody?,
            secrets: secrets.named.into_inner(),
        })
    }
}

/// `rollbot.toml`, as far as it could be made out.
struct Machine {
    state_directory: Option<std::path::PathBuf>,
    bot: Option<crate::config::Bot>,
    store: Option<crate::config::Store>,
    console: Option<Option<crate::config::Console>>,
    control: Option<crate::config::Control>,
    slack: Option<Option<crate::config::Slack>>,
    discord: Option<Option<crate::config::Discord>>,
    webhooks: Option<std::net::SocketAddr>,
    chat: Option<crate::config::Chat>,
    approval: Option<rollbot_core::approval::Policy>,
    break_glass: Option<rollbot_core::approval::BreakGlass>,
    status_update: Option<crate::config::StatusUpdate>,
    templates: Option<Option<std::path::PathBuf>>,
    engine: Option<rollbot_engine::EngineConfig>,
    docker: Option<crate::config::Docker>,
    backup: Option<crate::config::Backup>,
    registry: Option<crate::config::Registry>,
    process: Option<Process>,
    log: Option<crate::config::Log>,
    hosts: Option<BTreeMap<String, crate::config::Host>>,
}

/// One file.
struct Part<T> {
    reader: Reader,
    /// `None` where it could not be read, or is not TOML.
    written: Option<T>,
}

impl<T: DeserializeOwned> Part<T> {
    fn read(directory: &Path, name: &str) -> Self {
        let path = directory.join(name);
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(why) => {
                let source = Source {
                    path,
                    text: String::new(),
                };
                let problem = Problem::of_file(&source, why);
                let mut reader = Reader::new(source);
                reader.note(Vec::new(), vec![problem]);
                return Self {
                    reader,
                    written: None,
                };
            }
        };
        let mut reader = Reader::new(Source { path, text });
        match decode::<T>(reader.source()) {
            Ok(decoded) => {
                reader.note(decoded.taken_out, decoded.problems);
                Self {
                    reader,
                    written: Some(decoded.value),
                }
            }
            Err(problems) => {
                reader.note(Vec::new(), problems);
                Self {
                    reader,
                    written: None,
                }
            }
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file: see the example configuration for what belongs in it".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err("is larger than 4 MiB, and so no configuration".to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        format!(
            "is not UTF-8: byte {} is wrong",
            error.utf8_error().valid_up_to() + 1
        )
    })
}
