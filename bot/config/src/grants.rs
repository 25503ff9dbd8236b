//! What a service's plugin may touch: what the service's description names, with what the operator
//! adds to it and takes from it by name.

use std::collections::BTreeSet;

use rollbot_core::plan;
use rollbot_engine::{Grants, HostGrants};
use toml::Spanned;

use crate::check::machine::{COMPOSE, UNIT};
use crate::check::probes::url;
use crate::check::reader::{Reader, Within, items, rows};
use crate::check::services::ARCHIVE;
use crate::written::{self, Given};

/// What the configuration adds and takes away, on the service's host.
pub(crate) struct Changes<'a> {
    host: String,
    written: Option<&'a written::Grants>,
    also: Grants,
    without: Grants,
}

/// Reads the lists; whether what is taken away was there is found out by [`Changes::apply`].
pub(crate) fn read<'a>(
    reader: &Reader,
    host: &str,
    given: &'a Given<written::Grants>,
    projects: Option<&BTreeSet<String>>,
) -> Option<Changes<'a>> {
    let written = given.get();
    let listed = |list: Option<&Given<written::GrantList>>| match list.and_then(Given::spanned) {
        Some(list) => List {
            reader,
            host,
            projects,
        }
        .read(list),
        None => Some(Grants::default()),
    };
    let also = listed(written.map(|grants| &grants.also));
    let without = listed(written.map(|grants| &grants.without));
    Some(Changes {
        host: host.to_owned(),
        written,
        also: also?,
        without: without?,
    })
}

impl Changes<'_> {
    /// The grants of the service that is described so.
    pub fn apply(self, reader: &Reader, service: &plan::Service) -> Option<Grants> {
        let mut grants = Grants::for_service(service).and(self.also);
        let Some(written) = self.written else {
            return Some(grants);
        };
        if let Some(list) = written.without.get() {
            take_away(reader, &mut grants, &self.host, list, &self.without)?;
        }
        if let Some(ask) = written.ask.get() {
            grants.ask = *ask;
        }
        Some(grants)
    }
}

struct List<'a> {
    reader: &'a Reader,
    host: &'a str,
    projects: Option<&'a BTreeSet<String>>,
}

impl List<'_> {
    fn read(&self, given: &Spanned<written::GrantList>) -> Option<Grants> {
        let list = given.get_ref();
        let reader = self.reader;
        let mut host = HostGrants::default();
        let mut good = true;
        let units = reader.names(&list.units, "a unit", UNIT);
        good &= units.len() == items(&list.units).count();
        host.process.units = units.into_iter().map(Spanned::into_inner).collect();
        for port in items(&list.ports) {
            match reader.within(port, 1, u16::MAX) {
                Some(port) => _ = host.process.ports.insert(port),
                None => good = false,
            }
        }
        for path in items(&list.directories) {
            match reader.path(path) {
                Some(path) => {
                    host.backup
                        .directories
                        .insert(path.to_string_lossy().into_owned());
                }
                None => good = false,
            }
        }
        let names = reader.names(&list.archive_names, "an archive", ARCHIVE);
        good &= names.len() == items(&list.archive_names).count();
        host.backup.archive_names = names.into_iter().map(Spanned::into_inner).collect();
        for text in items(&list.urls) {
            match url(reader, text) {
                Some(url) => _ = host.probe.urls.insert(url),
                None => good = false,
            }
        }
        for address in items(&list.addresses) {
            let text = address.get_ref();
            let parts = text.rsplit_once(':').filter(|(host, port)| {
                !host.is_empty()
                    && !text.chars().any(|c| c.is_whitespace() || c == '/')
                    && port.parse::<u16>().is_ok_and(|port| port > 0)
            });
            if parts.is_none() {
                let message = format!("`{text}` is not an address with a port");
                reader.problem_with(address.span(), message, "write it as 127.0.0.1:9003");
                good = false;
                continue;
            }
            host.probe.addresses.insert(text.clone());
        }
        for (project, services) in rows(&list.compose_services) {
            if let Some(known) = self.projects
                && !known.contains(project.get_ref())
            {
                let names = known.iter().map(String::as_str);
                let help = "projects of [docker.project] in rollbot.toml";
                reader.unknown(project, "compose project", names, help);
                good = false;
                continue;
            }
            let names = reader.names(services, "a compose service", COMPOSE);
            good &= names.len() == items(services).count();
            let names = names.into_iter().map(Spanned::into_inner);
            host.docker
                .entry(project.get_ref().clone())
                .or_default()
                .extend(names);
        }
        let mut grants = Grants::default();
        for key in items(&list.registry_keys) {
            if key.get_ref().is_empty() || key.get_ref().chars().any(char::is_whitespace) {
                reader.problem(key.span(), "this must not be empty, and holds no blanks");
                good = false;
                continue;
            }
            grants.registry.keys.insert(key.get_ref().clone());
        }
        if host != HostGrants::default() {
            grants.hosts.insert(self.host.to_owned(), host);
        }
        let within = Within {
            span: Some(given.span()),
            name: String::new(),
        };
        if self.is_empty(list) && !reader.lost_something(&within) {
            reader.problem(given.span(), "this list of grants is empty: leave it out");
            good = false;
        }
        good.then_some(grants)
    }

    fn is_empty(&self, list: &written::GrantList) -> bool {
        let texts = [
            &list.units,
            &list.archive_names,
            &list.urls,
            &list.addresses,
            &list.registry_keys,
        ];
        texts.iter().all(|list| items(list).next().is_none())
            && items(&list.ports).next().is_none()
            && items(&list.directories).next().is_none()
            && rows(&list.compose_services).next().is_none()
    }
}

/// What is taken away must have been there: a slip would leave granted what was to be refused.
fn take_away(
    reader: &Reader,
    grants: &mut Grants,
    host: &str,
    list: &written::GrantList,
    without: &Grants,
) -> Option<()> {
    let mut missing = Missing { reader, good: true };
    let empty = HostGrants::default();
    let away = without.hosts.get(host).unwrap_or(&empty);
    let here = grants.hosts.entry(host.to_owned()).or_default();
    missing.check(&list.units, &here.process.units);
    missing.check(&list.archive_names, &here.backup.archive_names);
    missing.check(&list.urls, &here.probe.urls);
    missing.check(&list.addresses, &here.probe.addresses);
    missing.check(&list.registry_keys, &grants.registry.keys);
    for port in items(&list.ports).filter(|port| !here.process.ports.contains(port.get_ref())) {
        missing.note(port.span(), &port.get_ref().to_string());
    }
    for path in items(&list.directories) {
        let text = path.get_ref().to_string_lossy();
        if !here.backup.directories.contains(text.as_ref()) {
            missing.note(path.span(), &text);
        }
    }
    for (project, services) in rows(&list.compose_services) {
        let granted = here
            .docker
            .get(project.get_ref())
            .cloned()
            .unwrap_or_default();
        missing.check(services, &granted);
    }
    if !missing.good {
        return None;
    }
    here.process
        .units
        .retain(|unit| !away.process.units.contains(unit));
    here.process
        .ports
        .retain(|port| !away.process.ports.contains(port));
    here.backup
        .directories
        .retain(|path| !away.backup.directories.contains(path));
    here.backup
        .archive_names
        .retain(|name| !away.backup.archive_names.contains(name));
    here.probe.urls.retain(|url| !away.probe.urls.contains(url));
    here.probe
        .addresses
        .retain(|address| !away.probe.addresses.contains(address));
    for (project, services) in &away.docker {
        if let Some(granted) = here.docker.get_mut(project) {
            granted.retain(|service| !services.contains(service));
        }
    }
    here.docker.retain(|_, services| !services.is_empty());
    grants
        .registry
        .keys
        .retain(|key| !without.registry.keys.contains(key));
    Some(())
}

struct Missing<'a> {
    reader: &'a Reader,
    good: bool,
}

impl Missing<'_> {
    fn check(&mut self, list: &Given<Vec<Given<String>>>, granted: &BTreeSet<String>) {
        for item in items(list).filter(|item| !granted.contains(item.get_ref())) {
            self.note(item.span(), item.get_ref());
        }
    }

    fn note(&mut self, part: std::ops::Range<usize>, what: &str) {
        self.good = false;
        self.reader.problem_with(
            part,
            format!("`{what}` is not granted, so that it cannot be taken away"),
            "granted is what the service's own description names, and what `also` adds",
        );
    }
}
