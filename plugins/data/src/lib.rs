//! The data service's rollback: verified only once retrieval returns fresh rows.
//!
//! # Configuration
//!
//! | check | |
//! | --- | --- |
//! | `fresh-rows` | GET; passes when retrieval returns rows that are fresh enough |
//!
//! | setting | default | |
//! | --- | --- | --- |
//! | `fresh-rows-limit` | 60000 | milliseconds in which the first fresh row must be there |

use rollbot_plugin_sdk::names::step;
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::Failure;
use rollbot_plugin_sdk::types::Service;
use rollbot_plugin_sdk::{
    About, Observed, RequiredCheck, ServiceRollback, StepResult, check_line, explain, note,
    step_mut, text, wait_for_check,
};

const FRESH_ROWS: RequiredCheck = RequiredCheck {
    name: "fresh-rows",
    does: "passes when retrieval returns fresh rows",
    reads_only: true,
};

struct Data;

impl Data {
    /// A data service that has just started has to fetch its first rows.
    fn limit(service: &Service) -> Result<u64, Failure> {
        service.millis("fresh-rows-limit", 60_000)
    }
}

impl ServiceRollback for Data {
    fn about(&self) -> About {
        About {
            name: "data",
            version: env!("CARGO_PKG_VERSION"),
            service_type: "data",
            summary: "Rolls the data service back to Docker, and waits for fresh rows",
        }
    }

    fn requires(&self) -> &'static [RequiredCheck] {
        &[FRESH_ROWS]
    }

    fn extend_plan(
        &self,
        service: &Service,
        _seen: &Observed,
        plan: &mut Plan,
    ) -> Result<(), Failure> {
        let check = service.required_check(&FRESH_ROWS)?;
        let limit = text::duration(Self::limit(service)?);
        step_mut(plan, step::VERIFY)?.checks.push(format!(
            "{}, at the latest {limit} after the start",
            check_line(FRESH_ROWS.name, check)
        ));
        Ok(())
    }

    fn verify_function(&self, service: &Service) -> StepResult {
        let check = service.required_check(&FRESH_ROWS)?;
        let report = wait_for_check(service, FRESH_ROWS.name, check, Self::limit(service)?)?;
        note(format!(
            "Retrieval returns fresh rows: it {}.",
            explain(&report)
        ));
        Ok(())
    }
}

rollbot_plugin_sdk::export_plugin!(Data);
