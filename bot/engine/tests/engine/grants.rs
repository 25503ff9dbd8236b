//! What a service's own description grants.

use rollbot_engine::Grants;

use crate::support::service::service;

fn grants() -> Grants {
    Grants::for_service(&service(&[]))
}

fn list(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn a_service_is_granted_what_it_names_and_nothing_else() {
    let grants = grants();
    assert!(
        grants
            .allows_processes("local", &list(&["cryptobot-trade"]), Some(9003))
            .is_ok()
    );
    assert!(
        grants
            .allows_processes("local", &list(&["sshd"]), None)
            .is_err()
    );
    assert!(grants.allows_processes("local", &[], Some(22)).is_err());
    assert!(grants.allows_processes("elsewhere", &[], None).is_err());
    assert!(
        grants
            .allows_containers("local", "cryptobot", &list(&["trade"]))
            .is_ok()
    );
    assert!(
        grants
            .allows_containers("local", "cryptobot", &list(&["trade", "data"]))
            .is_err()
    );
    assert!(grants.allows_containers("local", "cryptobot", &[]).is_err());
    assert!(
        grants
            .allows_containers("local", "other", &list(&["trade"]))
            .is_err()
    );
    assert!(grants.allows_key("services/trade").is_ok());
    assert!(grants.allows_key("services/tradex").is_err());
    assert!(grants.ask);
}

#[test]
fn a_directory_is_granted_with_what_is_below_it() {
    let grants = grants();
    let may = |directory| grants.allows_directory("local", directory).is_ok();
    assert!(may("/opt/cryptobot/non-docker/trade"));
    assert!(may("/opt/cryptobot/non-docker/trade/orders"));
    for not in [
        "/opt/cryptobot/non-docker/trade-2",
        "/opt/cryptobot/non-docker",
        "/opt/cryptobot/non-docker/trade/../auth",
        "/opt/cryptobot/non-docker/trade/./x",
        "",
        "/",
    ] {
        assert!(!may(not), "{not}");
    }
}

#[test]
fn an_archive_is_granted_by_its_name_and_a_time() {
    let grants = grants();
    let may = |path| grants.allows_archive_path("local", path).is_ok();
    assert!(may("/backups/trade_service_20261122195600.tar.zst"));
    assert!(!may("/backups/auth_service_20261122195600.tar.zst"));
    assert!(!may("/backups/trade_service_secret.tar.zst"));
    assert!(!may("/backups/../etc/trade_service_20261122195600.tar.zst"));
    assert!(!may("/backups/trade_service"));
}

#[test]
fn an_address_is_compared_as_a_url_and_not_as_text() {
    let grants = grants();
    let may = |url| grants.allows_url("local", url).is_ok();
    assert!(may("http://127.0.0.1:9003/health"));
    assert!(may("http://127.0.0.1:9003/health?deep=1"));
    // Where the registry will lead.
    assert!(may("http://127.0.0.1:9103/health"));
    for not in [
        "http://127.0.0.1:9003/",
        "http://127.0.0.1:9003/healthy",
        "http://127.0.0.1:9003/health/../admin",
        "http://127.0.0.1:90031/health",
        "http://127.0.0.1:9003@evil.example/health",
        "http://user:word@127.0.0.1:9003/health",
        "https://127.0.0.1:9003/health",
        "file:///health",
        "health",
    ] {
        assert!(!may(not), "{not}");
    }
    assert!(grants.allows_address("local", "127.0.0.1:9003").is_ok());
    assert!(grants.allows_address("local", "127.0.0.1:22").is_err());
}

#[test]
fn grants_of_the_configuration_are_added() {
    let mut more = Grants::default();
    more.registry.keys.insert("services/all".into());
    more.hosts
        .entry("local".into())
        .or_default()
        .process
        .ports
        .insert(9999);
    let both = grants().and(more);
    assert!(both.allows_key("services/all").is_ok() && both.allows_key("services/trade").is_ok());
    assert!(
        both.allows_processes("local", &list(&["cryptobot-trade"]), Some(9999))
            .is_ok()
    );
    let json = serde_json::to_string(&both).unwrap();
    assert_eq!(serde_json::from_str::<Grants>(&json).unwrap(), both);
}
