//! The trade service's rollback: never stops while orders are in flight without people knowing,
//! and counts as verified only once an order was executed on the paper endpoint.
//!
//! # Configuration
//!
//! | check | |
//! | --- | --- |
//! | `in-flight` | GET; passes when no order is in flight |
//! | `paper-order` | places an order on the paper endpoint; passes when it was executed |
//!
//! | setting | default | |
//! | --- | --- | --- |
//! | `in-flight-poll` | 2000 | milliseconds between two looks at the orders in flight |
//! | `in-flight-limit` | 60000 | milliseconds to wait for them before people are asked |

mod in_flight;
mod paper_order;

use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Capability, Failure};
use rollbot_plugin_sdk::types::Service;
use rollbot_plugin_sdk::{About, Observed, RequiredCheck, ServiceRollback, StepResult};

struct Trade;

impl ServiceRollback for Trade {
    fn about(&self) -> About {
        About {
            name: "trade",
            version: env!("CARGO_PKG_VERSION"),
            service_type: "trade",
            summary: "Rolls the trade service back to Docker, never into orders in flight",
        }
    }

    fn wants(&self) -> Vec<Capability> {
        vec![
            Capability::Process,
            Capability::Docker,
            Capability::Backup,
            Capability::Probe,
            Capability::Registry,
            Capability::Ask,
        ]
    }

    fn requires(&self) -> &'static [RequiredCheck] {
        &[in_flight::CHECK, paper_order::CHECK]
    }

    fn extend_plan(
        &self,
        service: &Service,
        seen: &Observed,
        plan: &mut Plan,
    ) -> Result<(), Failure> {
        in_flight::extend_plan(service, seen, plan)?;
        paper_order::extend_plan(service, plan)
    }

    fn before_stop(&self, service: &Service) -> StepResult {
        in_flight::wait_for_none(service)
    }

    fn verify_function(&self, service: &Service) -> StepResult {
        paper_order::place(service)
    }
}

rollbot_plugin_sdk::export_plugin!(Trade);
