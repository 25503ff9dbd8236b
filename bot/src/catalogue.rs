//! What the flow needs of the configuration: services, people, channels. Set up once, at start.

use std::collections::BTreeMap;
use std::time::Duration;

use rollbot_config::{Config, Service};
use rollbot_core::approval::{BreakGlass, People};
use rollbot_core::outbox::Destination;

/// Everything that is configured and does not change while the bot runs.
#[derive(Debug, Clone)]
pub struct Catalogue {
    services: BTreeMap<String, Service>,
    pub people: People,
    pub break_glass: BreakGlass,
    /// What users call the whole: "Cryptobot".
    pub product: String,
    /// Whom users write to.
    pub contact: String,
    /// Where operators are asked and told.
    pub operators: Vec<Destination>,
    /// Where users are told.
    pub users: Vec<Destination>,
    /// Users are told at the latest this often, once it lasts longer than `updates_after`.
    pub updates_every: Duration,
    pub updates_after: Duration,
}

impl Catalogue {
    pub fn new(config: &Config) -> Self {
        Self {
            services: config
                .services
                .iter()
                .map(|service| (service.description.name.clone(), service.clone()))
                .collect(),
            people: config.people.clone(),
            break_glass: config.break_glass.clone(),
            product: config.bot.product.clone(),
            contact: config.bot.support.clone(),
            operators: config.chat.operations.clone(),
            users: config.chat.announcements.clone(),
            updates_every: config.status_update.every,
            updates_after: config.status_update.after,
        }
    }

    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name)
    }

    pub fn names(&self) -> Vec<String> {
        self.services.keys().cloned().collect()
    }
}
