use std::{os::unix::process::ExitStatusExt, time::Duration};

use rollbot_host_process::{Error, PortOwners, Processes, StartRequest, StopMethod, StopRequest};

use crate::service::{Behaviour, ByHand, DEADLINES, free_port};

fn by_port(port: u16, grace: Duration) -> StopRequest {
    StopRequest {
        method: StopMethod::PortOwner,
        units: Vec::new(),
        port: Some(port),
        grace,
    }
}

const PATIENT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_owner_of_a_port_is_stopped_with_sigterm() {
    let port = free_port();
    let mut service = ByHand::start(Behaviour::Listens, port);
    let owners = PortOwners::new(DEADLINES);
    let before = owners.status(&[], Some(port)).await.unwrap();
    assert_eq!(before.owner.as_ref().unwrap().pid, service.0.id());

    let report = owners.stop(&by_port(port, PATIENT)).await.unwrap();

    assert_eq!(report.status.owner, None);
    assert!(!report.status.service_manager);
    assert!(
        report
            .how
            .starts_with(&format!("SIGTERM to {} (", service.0.id())),
        "{}",
        report.how
    );
    assert_eq!(service.0.wait().unwrap().signal(), Some(15));
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed_after_the_grace() {
    let port = free_port();
    let mut service = ByHand::start(Behaviour::IgnoresSigterm, port);
    let report = PortOwners::new(DEADLINES)
        .stop(&by_port(port, Duration::from_millis(300)))
        .await
        .unwrap();
    assert!(report.how.contains("SIGKILL"), "{}", report.how);
    assert_eq!(service.0.wait().unwrap().signal(), Some(9));
}

#[tokio::test]
async fn stopping_twice_succeeds() {
    let port = free_port();
    let _service = ByHand::start(Behaviour::Listens, port);
    let owners = PortOwners::new(DEADLINES);
    owners.stop(&by_port(port, PATIENT)).await.unwrap();
    let report = owners.stop(&by_port(port, PATIENT)).await.unwrap();
    assert_eq!(report.how, format!("Nothing listened on port {port}"));
}

#[tokio::test]
async fn of_processes_that_share_a_socket_the_eldest_is_named_and_all_are_stopped() {
    let port = free_port();
    let mut service = ByHand::start(Behaviour::HasWorker, port);
    let owners = PortOwners::new(DEADLINES);
    let owner = owners.status(&[], Some(port)).await.unwrap().owner.unwrap();
    assert_eq!(owner.pid, service.0.id());
    let report = owners.stop(&by_port(port, PATIENT)).await.unwrap();
    assert_eq!(report.status.owner, None);
    assert!(report.how.contains("(sleep)"), "{}", report.how);
    service.0.wait().unwrap();
}

#[tokio::test]
async fn without_a_service_manager_units_are_unknown() {
    let owners = PortOwners::new(DEADLINES);
    let units = vec!["cryptobot-trade".to_owned()];
    let stopped = owners
        .stop(&StopRequest {
            method: StopMethod::ServiceManager,
            units: units.clone(),
            port: None,
            grace: PATIENT,
        })
        .await;
    assert!(matches!(stopped, Err(Error::UnknownUnit(_))));
    let started = owners.start(&StartRequest { units, port: None }).await;
    assert!(matches!(started, Err(Error::UnknownUnit(_))));
}

#[tokio::test]
async fn a_stop_by_port_without_a_port_says_what_is_missing() {
    let mut request = by_port(1, PATIENT);
    request.port = None;
    let error = PortOwners::new(DEADLINES).stop(&request).await.unwrap_err();
    assert!(error.to_string().contains("needs a port"), "{error}");
}
