use crate::check::{evidence_of, explain, run_check};
use crate::names::{check, effect};
use crate::step::note;
use crate::trouble::{StepResult, Trouble, perform, query};
use crate::types::{HttpCheck, Service};
use crate::{probe, registry};

/// Points service discovery at the containers, and follows it as a client would.
///
/// # Errors
/// Clients would not reach the containers.
pub fn switch(service: &Service) -> StepResult {
    if lead_to(service, effect::POINT_REGISTRY, &service.registry_docker)? {
        check_through_registry(service)?;
    }
    for (name, configured) in service.checks_named(check::REACH) {
        let report = run_check(service, name, configured)?;
        note(format!("Check {name}: {}.", explain(&report)));
    }
    Ok(())
}

/// Performs a `point-registry` effect and reads back that both the entry and what clients resolve
/// are `value`. False when people decided to go on without it.
///
/// # Errors
/// The registry does not lead there.
pub fn lead_to(service: &Service, effect: &str, value: &str) -> Result<bool, Trouble> {
    let Some(report) = perform("The registry", registry::point(effect))? else {
        return Ok(false);
    };
    let key = &service.registry_key;
    let entry = query("The registry", registry::get(key))?;
    let resolved = query("The registry", registry::resolve(key))?;
    if entry.value != value || resolved != value {
        return Err(Trouble::with_details(
            format!("The registry does not lead to {value}"),
            vec![
                format!("{key} holds {}.", entry.value),
                format!("Clients resolve it to {resolved}."),
            ],
        ));
    }
    note(match report.previous {
        _ if report.by_hand => format!("{key} was pointed at {value} by hand."),
        Some(previous) => format!("{key} leads to {value}; before, to {previous}."),
        None => format!("{key} leads to {value}."),
    });
    Ok(true)
}

/// Makes the `health` check at the address which clients are given. An address that only means
/// something inside the containers' network is checked at the configured URL instead.
fn check_through_registry(service: &Service) -> StepResult {
    let Some(health) = service.check(check::HEALTH) else {
        return Ok(());
    };
    let resolved = query("The registry", registry::resolve(&service.registry_key))?;
    if let Some(url) = at_address(&health.url, &resolved) {
        let through = HttpCheck {
            url,
            ..health.clone()
        };
        match probe::http(&service.host, &through) {
            Ok(report) if report.passed => {
                note(format!(
                    "Through the registry, at {resolved}: it {}.",
                    explain(&report)
                ));
                return Ok(());
            }
            Ok(report) => {
                let summary = format!(
                    "Through the registry, at {resolved}, check {} did not pass: it {}",
                    check::HEALTH,
                    explain(&report)
                );
                return Err(Trouble::Problem(evidence_of(summary, &report)));
            }
            Err(probe::Error::AccessDenied(_)) => {
                note(format!("{resolved} is not granted for checks."));
            }
            Err(error) => return query("The check through the registry", Err::<(), _>(error)),
        }
    }
    let report = run_check(service, check::HEALTH, health)?;
    note(format!(
        "Check {} at {}: it {}.",
        check::HEALTH,
        health.url,
        explain(&report)
    ));
    Ok(())
}

/// The URL with another address: `127.0.0.1:9003`, or a URL whose scheme and address are taken.
/// `None` when the address is a name, which may mean nothing where checks are made from.
fn at_address(url: &str, address: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let (scheme, authority) = match address.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            (scheme, rest.split(['/', '?']).next().unwrap_or(rest))
        }
        Some(_) => return None,
        None => (scheme, address),
    };
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    let is_address = host == "localhost"
        || host.starts_with('[')
        || (!host.is_empty() && host.split('.').all(|part| part.parse::<u8>().is_ok()));
    is_address.then(|| format!("{scheme}://{authority}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_moved_to_the_address_clients_are_given() {
        let moved = |address| at_address("http://127.0.0.1:9003/health?deep=1", address);
        assert_eq!(
            moved("127.0.0.2:9103").as_deref(),
            Some("http://127.0.0.2:9103/health?deep=1")
        );
        assert_eq!(
            moved("https://localhost:9443/").as_deref(),
            Some("https://localhost:9443/health?deep=1")
        );
        assert_eq!(
            moved("[::1]:9003").as_deref(),
            Some("http://[::1]:9003/health?deep=1")
        );
    }

    #[test]
    fn names_of_the_containers_network_are_not_followed() {
        assert_eq!(
            at_address("http://127.0.0.1:9003/health", "trade:9003"),
            None
        );
        assert_eq!(
            at_address("http://127.0.0.1:9003/health", "docker://trade"),
            None
        );
        assert_eq!(at_address("http://127.0.0.1:9003/health", ""), None);
    }
}
