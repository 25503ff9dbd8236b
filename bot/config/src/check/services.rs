//! `services.toml`

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use rollbot_command::is_service_name;
use rollbot_core::approval::Policy;
use rollbot_core::plan::{self, ArchiveFormat, NamedCheck, Setting};
use toml::Spanned;

use super::across::Owned;
use super::machine::{COMPOSE, LOCAL, UNIT, port};
use super::policy::{Electors, policy};
use super::probes::{KEBAB, checks};
use super::reader::{Alphabet, Reader, Within, items, rows};
use super::secrets::Secrets;
use crate::config::{self, Cutover};
use crate::grants;
use crate::written::{self, Given, Table};

pub(crate) const ARCHIVE: Alphabet = Alphabet {
    also: "-_.",
    upper_case: true,
    longest: 100,
    in_words: "letters, digits, `-`, `_` and `.`, a letter or digit first",
};

/// Without it nobody could say whether a rollback has worked.
const HEALTH: &str = "health";

/// What services may refer to. `None` where it could not be made out: then nothing is said about
/// references to it.
pub(crate) struct Known<'a> {
    /// Service types that plugins serve.
    pub types: Option<&'a [String]>,
    pub hosts: Option<BTreeSet<String>>,
    pub projects: Option<BTreeSet<String>>,
    /// Units of `[[process.unit]]`; `Some(None)` where a service manager has them.
    pub units: Option<Option<BTreeSet<String>>>,
    pub format: Option<ArchiveFormat>,
    pub approval: Option<&'a Policy>,
    pub electors: Electors<'a>,
}

pub(crate) fn services(
    reader: &Reader,
    written: &written::Services,
    known: &Known<'_>,
    secrets: &Secrets<'_>,
) -> Option<Vec<config::Service>> {
    let file = Within {
        span: None,
        name: "services.toml".to_owned(),
    };
    let list = reader.need(
        &file,
        "service",
        "at least one [[service]]",
        &written.service,
    )?;
    if list.get_ref().is_empty() {
        reader.problem(list.span(), "there is no service in this list");
    }
    let mut names = Names::new();
    let mut owned = Owned::default();
    let all: Vec<_> = items(&written.service)
        .map(|service| Service::new(service).read(reader, known, secrets, &mut names, &mut owned))
        .collect();
    all.into_iter().collect()
}

/// Where each name stands first.
type Names = BTreeMap<String, Range<usize>>;

struct Service<'a> {
    written: &'a written::Service,
    within: Within,
    /// For messages about what two services share.
    owner: String,
}

impl<'a> Service<'a> {
    fn new(service: &'a Spanned<written::Service>) -> Self {
        let written = service.get_ref();
        let owner = match written.name.get() {
            Some(name) => format!("service `{name}`"),
            None => "a [[service]] without a name".to_owned(),
        };
        let name = match written.name.get() {
            Some(_) => owner.clone(),
            None => "[[service]]".to_owned(),
        };
        Self {
            written,
            within: Within {
                span: Some(service.span()),
                name,
            },
            owner,
        }
    }

    fn read(
        &self,
        reader: &Reader,
        known: &Known<'_>,
        secrets: &Secrets<'_>,
        names: &mut Names,
        owned: &mut Owned,
    ) -> Option<config::Service> {
        let written = self.written;
        let name = self.name(reader, names);
        let kind = self.kind(reader, known);
        let title = match written.title.spanned() {
            Some(title) => reader.line(title),
            None => name.clone(),
        };
        let host = self.host(reader, known);
        let units = self.units(reader, known, owned);
        let port = port(reader, &written.port);
        if let (Some(Some(port)), Some(span)) = (port, written.port.span()) {
            owned.claim(reader, "port", &port.to_string(), &self.owner, span);
        }
        if port == Some(None) && units.is_empty() && items(&written.units).next().is_none() {
            let message = format!(
                "{} needs `units` or `port`: what is stopped?",
                self.within.name
            );
            reader.problem_in(&self.within, message, None);
        }
        let compose_project = self.compose_project(reader, known);
        let compose_services = self.compose_services(reader, owned);
        let data_directory = reader
            .need(
                &self.within,
                "data_directory",
                "what is backed up",
                &written.data_directory,
            )
            .and_then(|path| reader.path(path));
        let archive_name = self.archive_name(reader, name.as_deref(), owned);
        let registry = self.registry(reader, owned);
        let cutover = self.cutover(reader);
        let who = written.name.get().map_or("service", String::as_str);
        let checks = self.checks(reader, who, secrets);
        let settings = settings(reader, &written.settings);
        let approval = self.approval(reader, known);
        let grants = grants::read(
            reader,
            host.as_deref().unwrap_or(LOCAL),
            &written.grants,
            known.projects.as_ref(),
        );
        let (registry_key, registry_native, registry_docker) = registry?;
        let description = plan::Service {
            name: name?,
            host: host?,
            units,
            port: port?,
            compose_project: compose_project?,
            compose_services: compose_services?,
            data_directory: data_directory?.to_string_lossy().into_owned(),
            archive_name: archive_name?,
            archive_format: written.archive_format.get().copied().or(known.format)?,
            registry_key,
            registry_native,
            registry_docker,
            cutover: None,
            checks: checks?,
            settings: settings?,
        };
        let grants = grants?.apply(reader, &description);
        Some(config::Service {
            title: title?,
            kind: kind?,
            critical: written.critical.get().copied().unwrap_or(false),
            description,
            cutover: cutover?,
            grants: grants?,
            approval: approval?,
        })
    }

    fn name(&self, reader: &Reader, names: &mut Names) -> Option<String> {
        let name = reader.need(
            &self.within,
            "name",
            "the word people type",
            &self.written.name,
        )?;
        if !is_service_name(name.get_ref()) {
            reader.problem_with(
                name.span(),
                format!("`{}` is no name for a service", name.get_ref()),
                "allowed: 1 to 40 lower case letters, digits and single hyphens, a letter first",
            );
            return None;
        }
        if let Some(first) = names.get(name.get_ref()) {
            reader.problem_with(
                name.span(),
                format!("there already is a service `{}`", name.get_ref()),
                format!("on {}", reader.line_of(first)),
            );
            return None;
        }
        names.insert(name.get_ref().clone(), name.span());
        Some(name.get_ref().clone())
    }

    fn kind(&self, reader: &Reader, known: &Known<'_>) -> Option<String> {
        let what = "the service type, which decides on the plugin";
        let kind = reader.need(&self.within, "type", what, &self.written.kind)?;
        if let Some(types) = known.types
            && !types.contains(kind.get_ref())
        {
            let names = types.iter().map(String::as_str);
            reader.unknown(kind, "plugin for service type", names, "service types");
            return None;
        }
        reader.name(kind, "a service type", KEBAB)
    }

    fn host(&self, reader: &Reader, known: &Known<'_>) -> Option<String> {
        let Some(host) = self.written.host.spanned() else {
            return Some(LOCAL.to_owned());
        };
        if let Some(hosts) = &known.hosts
            && !hosts.contains(host.get_ref())
        {
            reader.unknown(host, "host", hosts.iter().map(String::as_str), "hosts");
            return None;
        }
        Some(host.get_ref().clone())
    }

    fn units(&self, reader: &Reader, known: &Known<'_>, owned: &mut Owned) -> Vec<String> {
        let units = reader.names(&self.written.units, "a unit", UNIT);
        for unit in &units {
            owned.claim(reader, "unit", unit.get_ref(), &self.owner, unit.span());
            if let Some(Some(commands)) = &known.units
                && !commands.contains(unit.get_ref())
            {
                let names = commands.iter().map(String::as_str);
                reader.unknown(
                    unit,
                    "unit",
                    names,
                    "units of [[process.unit]] in rollbot.toml",
                );
            }
        }
        units.into_iter().map(Spanned::into_inner).collect()
    }

    fn compose_project(&self, reader: &Reader, known: &Known<'_>) -> Option<String> {
        let what = "which compose project has its containers";
        let given = &self.written.compose_project;
        let project = reader.need(&self.within, "compose_project", what, given)?;
        if let Some(projects) = &known.projects
            && !projects.contains(project.get_ref())
        {
            let names = projects.iter().map(String::as_str);
            let help = "projects of [docker.project] in rollbot.toml";
            reader.unknown(project, "compose project", names, help);
            return None;
        }
        Some(project.get_ref().clone())
    }

    fn compose_services(&self, reader: &Reader, owned: &mut Owned) -> Option<Vec<String>> {
        let what = "what is started instead of the units";
        let given = &self.written.compose_services;
        let list = reader.need(&self.within, "compose_services", what, given)?;
        let services = reader.names(given, "a compose service", COMPOSE);
        if list.get_ref().is_empty() {
            reader.problem(
                list.span(),
                "this list is empty: what is started instead of the units?",
            );
        }
        if services.len() != list.get_ref().len() || services.is_empty() {
            return None;
        }
        let project = self
            .written
            .compose_project
            .get()
            .map_or("", String::as_str);
        for service in &services {
            let thing = format!("{project}/{}", service.get_ref());
            owned.claim(
                reader,
                "compose service",
                &thing,
                &self.owner,
                service.span(),
            );
        }
        Some(services.into_iter().map(Spanned::into_inner).collect())
    }

    fn archive_name(
        &self,
        reader: &Reader,
        name: Option<&str>,
        owned: &mut Owned,
    ) -> Option<String> {
        let (archive, span) = match self.written.archive_name.spanned() {
            Some(given) => (reader.name(given, "an archive", ARCHIVE)?, given.span()),
            None => {
                let span = self
                    .written
                    .name
                    .span()
                    .or_else(|| self.within.span.clone())?;
                (format!("{}_service", name?.replace('-', "_")), span)
            }
        };
        owned.claim(reader, "archive name", &archive, &self.owner, span);
        Some(archive)
    }

    fn registry(&self, reader: &Reader, owned: &mut Owned) -> Option<(String, String, String)> {
        let what = "how service discovery is switched: { key, native, docker }";
        let given = &self.written.registry;
        let registry = reader
            .need(&self.within, "registry", what, given)?
            .get_ref();
        let within = Within::new(format!("registry of {}", self.within.name), given);
        let word = |key: &str, what: &str, given| {
            let word: &Spanned<String> = reader.need(&within, key, what, given)?;
            let text = word.get_ref();
            if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
                reader.problem(word.span(), "this must not be empty, and holds no blanks");
                return None;
            }
            Some((text.clone(), word.span()))
        };
        let key = word("key", "its key in the service registry", &registry.key);
        let native = word(
            "native",
            "the value for the native deployment",
            &registry.native,
        );
        let docker = word("docker", "the value for the containers", &registry.docker);
        if let Some((key, span)) = &key {
            owned.claim(reader, "registry key", key, &self.owner, span.clone());
        }
        Some((key?.0, native?.0, docker?.0))
    }

    fn cutover(&self, reader: &Reader) -> Option<Cutover> {
        let Some(given) = self.written.cutover.spanned() else {
            return Some(Cutover::NotGiven);
        };
        let text = match given.get_ref() {
            toml::Value::Datetime(time) => time.to_string(),
            toml::Value::String(text) => text.clone(),
            toml::Value::Table(table) => {
                let path = table.get("file").and_then(toml::Value::as_str);
                return match path.filter(|_| table.len() == 1) {
                    Some(path) => reader
                        .path(&Spanned::new(given.span(), path.into()))
                        .map(Cutover::File),
                    None => self.no_cutover(reader, given),
                };
            }
            _ => return self.no_cutover(reader, given),
        };
        match text.parse::<Timestamp>() {
            Ok(at) => Some(Cutover::At(at)),
            Err(_) => self.no_cutover(reader, given),
        }
    }

    fn no_cutover(&self, reader: &Reader, given: &Spanned<toml::Value>) -> Option<Cutover> {
        reader.problem_with(
            given.span(),
            "this is neither a time with its offset nor a file",
            "write 2026-11-22T14:10:00Z, or { file = \"/path\" } for a file that holds such a time",
        );
        None
    }

    fn checks(&self, reader: &Reader, who: &str, secrets: &Secrets<'_>) -> Option<Vec<NamedCheck>> {
        let given = &self.written.checks;
        let table = Within::new(String::new(), given);
        let named = rows(given).any(|(name, _)| name.get_ref() == HEALTH);
        let lost =
            reader.was_taken_out(&self.within, "checks") || reader.was_taken_out(&table, HEALTH);
        if !named && !lost {
            let message = format!("{} needs a check `{HEALTH}`", self.within.name);
            let help = "add [service.checks.health] with the url that says whether it works";
            reader.problem_in(&self.within, message, Some(help.to_owned()));
        }
        checks(reader, who, given, secrets)
    }

    fn approval(&self, reader: &Reader, known: &Known<'_>) -> Option<Policy> {
        let Some(written) = self.written.approval.get() else {
            return known.approval.cloned();
        };
        let name = format!("approval of {}", self.within.name);
        let within = Within::new(name, &self.written.approval);
        if let Some(inherited) = known.approval {
            return policy(reader, &within, written, Some(inherited), &known.electors);
        }
        // What is inherited is wrong, and told where it stands. What is written here is checked all
        // the same, but not whether both together can be reached.
        let inherited = Policy {
            required: 1,
            groups: BTreeSet::new(),
            requester_counts: false,
            expiry_seconds: 60,
        };
        let electors = Electors {
            groups: known.electors.groups,
            people: None,
        };
        policy(reader, &within, written, Some(&inherited), &electors);
        None
    }
}

/// Durations become milliseconds, as plugins expect them; `{ text = "10m" }` stays a text.
fn settings(reader: &Reader, table: &Given<Table<toml::Value>>) -> Option<Vec<Setting>> {
    let mut all = Some(Vec::new());
    for (name, value) in rows(table) {
        let known = reader.name(name, "a setting", KEBAB);
        let value = value.spanned().and_then(|value| setting(reader, value));
        match (known, value, &mut all) {
            (Some(name), Some(value), Some(all)) => all.push(Setting { name, value }),
            _ => all = None,
        }
    }
    all
}

fn setting(reader: &Reader, value: &Spanned<toml::Value>) -> Option<String> {
    match value.get_ref() {
        toml::Value::String(text) => Some(match text.parse::<written::Period>() {
            Ok(period) => period.millis().to_string(),
            Err(_) => text.clone(),
        }),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Table(table)
            if table.len() == 1 && table.get("text").is_some_and(toml::Value::is_str) =>
        {
            table
                .get("text")
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        }
        other => {
            reader.problem_with(
                value.span(),
                format!("a setting cannot be {}", article(other.type_str())),
                "write a duration, a number, true, false or a text; { text = \"10m\" } for a text \
                 that looks like a duration",
            );
            None
        }
    }
}

fn article(kind: &str) -> String {
    match kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {kind}"),
        false => format!("a {kind}"),
    }
}
