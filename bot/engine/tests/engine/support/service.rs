//! A service to roll back, and a clock to do it by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::Clock;
use rollbot_core::plan::{
    ArchiveFormat, HttpCheck, HttpMethod, JsonExpectation, JsonTest, NamedCheck, Service, Setting,
};

use super::world::{KEY, PORT, UNIT};

/// A clock that never waits: a sleep sets it forward.
#[derive(Clone)]
pub struct QuickClock(Arc<AtomicI64>);

impl Default for QuickClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_795_377_360_000)))
    }
}

#[async_trait]
impl Clock for QuickClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    async fn sleep_until(&self, until: Timestamp) {
        self.0.fetch_max(until.as_millisecond(), Ordering::SeqCst);
    }
}

fn check(method: HttpMethod, path: &str, idempotency_key: bool) -> HttpCheck {
    HttpCheck {
        method,
        url: format!("http://127.0.0.1:{PORT}{path}"),
        headers: Vec::new(),
        body: (method == HttpMethod::Post).then(|| "{\"quantity\":1}".to_owned()),
        status: 200,
        expect: vec![JsonExpectation {
            pointer: "/state".into(),
            test: JsonTest::Equals("\"ok\"".into()),
        }],
        within: 2_000,
        idempotency_key,
    }
}

/// The trade service of the runbook, with these settings.
pub fn service(settings: &[(&str, &str)]) -> Service {
    let named = |name: &str, check| NamedCheck {
        name: name.into(),
        check,
    };
    Service {
        name: "trade".into(),
        host: "local".into(),
        units: vec![UNIT.into()],
        port: Some(PORT),
        compose_project: "cryptobot".into(),
        compose_services: vec!["trade".into()],
        data_directory: "/opt/cryptobot/non-docker/trade".into(),
        archive_name: "trade_service".into(),
        archive_format: ArchiveFormat::TarZst,
        registry_key: KEY.into(),
        registry_native: "127.0.0.1:9003".into(),
        registry_docker: "127.0.0.1:9103".into(),
        cutover: Timestamp::from_second(1_795_000_000).ok(),
        checks: vec![
            named("health", check(HttpMethod::Get, "/health", false)),
            named("in-flight", check(HttpMethod::Get, "/orders/open", false)),
            named(
                "paper-order",
                check(HttpMethod::Post, "/paper/orders", true),
            ),
            named("order", check(HttpMethod::Post, "/orders", false)),
        ],
        settings: settings
            .iter()
            .map(|(name, value)| Setting {
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect(),
    }
}
