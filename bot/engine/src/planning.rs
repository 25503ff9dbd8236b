//! Calls while planning: queries are answered, within bounds, and nothing is journaled.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rollbot_core::Clock;
use serde::Serialize;

use crate::authority::{Authority, Refusal};
use crate::config::Limits;
use crate::guest::Stop;
use crate::hosts::Host;
use crate::time::wake_up;
use crate::wire::{CallError, Record, Wire, in_time};

pub(crate) struct Planning {
    pub authority: Authority,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// The host that the service lives on.
    pub home: String,
    calls: usize,
    output: usize,
}

impl Planning {
    pub fn new(authority: Authority, clock: Arc<dyn Clock>, limits: Limits, home: String) -> Self {
        Self {
            authority,
            clock,
            limits,
            home,
            calls: 0,
            output: 0,
        }
    }

    pub fn count(
        &mut self,
        function: &'static str,
        arguments: &impl Serialize,
    ) -> Result<(), Stop> {
        self.calls += 1;
        if self.calls > self.limits.plan_calls {
            return Err(Stop::TooMuch(format!(
                "more than {} calls while planning",
                self.limits.plan_calls
            )));
        }
        let bytes = serde_json::to_string(arguments).map_or(usize::MAX, |json| json.len());
        self.output = self.output.saturating_add(bytes);
        if bytes > self.limits.arguments || self.output > self.limits.output {
            return Err(Stop::TooMuch(format!(
                "{bytes} bytes of arguments for {function}"
            )));
        }
        Ok(())
    }

    pub async fn query<T: Record, E: CallError>(
        &mut self,
        function: &'static str,
        arguments: &(impl Serialize + Sync),
        patience: Duration,
        permit: impl FnOnce(&Authority) -> Result<Host, Refusal> + Send,
        live: impl Fn(Host) -> BoxFuture<'static, Result<T, E>> + Send + Sync,
    ) -> Result<Result<T, E>, Stop> {
        self.count(function, arguments)?;
        let host = match permit(&self.authority) {
            Ok(host) => host,
            Err(refusal) => return Ok(Err(E::refused(&refusal))),
        };
        let deadline = self.limits.query_deadline + patience;
        let answer = in_time(function, deadline, live(host)).await;
        let (wire, _) = self
            .authority
            .hosts
            .redactor()
            .encode(Wire::from(answer))
            .map_err(|error| Stop::TooMuch(format!("an answer of {function}: {error}")))?;
        Ok(wire.into())
    }

    /// Bounded by the deadline of the whole plan as well.
    pub async fn sleep(&mut self, millis: u64) -> Result<(), Stop> {
        self.count("clock.sleep", &(millis,))?;
        let until = wake_up(self.clock.now(), millis, self.limits.plan_deadline)?;
        self.clock.sleep_until(until).await;
        Ok(())
    }
}
