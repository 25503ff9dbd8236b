//! A service rollback as a trait: five common steps by default, and places for what is special.

use crate::configuration::RequiredCheck;
use crate::observe::Observed;
use crate::planning::Plan;
use crate::procedures::{Capability, Failure};
use crate::steps;
use crate::trouble::StepResult;
use crate::types::Service;

/// What a plugin says about itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// `trade`
    pub name: &'static str,
    /// Usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// The `type` in `config/services.toml` that it serves.
    pub service_type: &'static str,
    /// One line for people.
    pub summary: &'static str,
}

/// Takes one service from its native deployment back to Docker.
///
/// Everything that can be checked without the port is checked in [`prepare`](Self::prepare), while
/// the native service still runs. Then come the five steps. Each may be run again, since people
/// may say so: it must look at what is before it acts.
pub trait ServiceRollback {
    fn about(&self) -> About;

    /// Interfaces that the operator has to grant targets for.
    fn wants(&self) -> Vec<Capability> {
        vec![
            Capability::Process,
            Capability::Docker,
            Capability::Backup,
            Capability::Probe,
            Capability::Registry,
        ]
    }

    /// Checks that must be configured beside `health`.
    fn requires(&self) -> &'static [RequiredCheck] {
        &[]
    }

    /// Adds what is special to the plan: effects, lines of checks, warnings. Queries only.
    ///
    /// # Errors
    /// What keeps the plugin from planning.
    fn extend_plan(
        &self,
        _service: &Service,
        _seen: &Observed,
        _plan: &mut Plan,
    ) -> Result<(), Failure> {
        Ok(())
    }

    /// What must hold before the native service may be stopped.
    ///
    /// # Errors
    /// A reason not to stop it.
    fn before_stop(&self, _service: &Service) -> StepResult {
        Ok(())
    }

    /// Verifies what is special about the service, once it is healthy and its checks passed.
    ///
    /// # Errors
    /// What does not work.
    fn verify_function(&self, _service: &Service) -> StepResult {
        Ok(())
    }

    /// Step `prepare`: what can be checked without the port.
    ///
    /// # Errors
    /// What stands in the way.
    fn prepare(&self, service: &Service) -> StepResult {
        steps::prepare(service)
    }

    /// Step `stop`: the native service, by its service manager, else by the owner of its port.
    ///
    /// # Errors
    /// It still runs, or still holds the port.
    fn stop(&self, service: &Service) -> StepResult {
        self.before_stop(service)?;
        steps::stop(service)
    }

    /// Step `back-up`: the native data, into an archive that was read back.
    ///
    /// # Errors
    /// There is no good archive.
    fn back_up(&self, _service: &Service) -> StepResult {
        steps::back_up()
    }

    /// Step `start`: the containers.
    ///
    /// # Errors
    /// They do not start.
    fn start(&self, service: &Service) -> StepResult {
        steps::start(service)
    }

    /// Step `verify`: containers, logs, endpoints, connections to others, and the service's own
    /// function.
    ///
    /// # Errors
    /// What does not work.
    fn verify(&self, service: &Service) -> StepResult {
        steps::verify(service)?;
        self.verify_function(service)
    }

    /// Step `switch`: service discovery.
    ///
    /// # Errors
    /// Traffic would not reach the containers.
    fn switch(&self, service: &Service) -> StepResult {
        steps::switch(service)
    }
}

/// What [`export_plugin!`](crate::export_plugin) calls.
pub mod entry {
    use super::ServiceRollback;
    use crate::names::step;
    use crate::observe::Observed;
    use crate::planning::Plan;
    use crate::procedures::{Arguments, Description, Failure, Procedure};
    use crate::step::step_loop;
    use crate::{configuration, plan, undo};

    const ROLLBACK: &str = "rollback";
    const UNDO: &str = "undo";

    /// `describe`
    pub fn describe(plugin: &dyn ServiceRollback) -> Description {
        let about = plugin.about();
        Description {
            name: about.name.into(),
            version: about.version.into(),
            service_type: about.service_type.into(),
            summary: about.summary.into(),
            wants: plugin.wants(),
        }
    }

    /// `procedures`
    pub fn procedures(plugin: &dyn ServiceRollback) -> Vec<Procedure> {
        let name = plugin.about().name;
        vec![
            Procedure {
                name: ROLLBACK.into(),
                title: format!("Roll {name} back to Docker"),
                summary: "Stops the native service, backs its data up, starts the containers, \
                          verifies them and points service discovery at them."
                    .into(),
            },
            Procedure {
                name: UNDO.into(),
                title: format!("Return {name} to its native deployment"),
                summary: "Stops the containers, starts the native service, verifies it and points \
                          service discovery back. Approved together with the rollback."
                    .into(),
            },
        ]
    }

    /// `plan`
    ///
    /// # Errors
    /// A configuration that lacks something, or a host that does not answer.
    pub fn plan(plugin: &dyn ServiceRollback, arguments: &Arguments) -> Result<Plan, Failure> {
        let service = &arguments.service;
        match arguments.procedure.as_str() {
            ROLLBACK => {
                configuration::validate(service, plugin.requires())?;
                let seen = Observed::of(service)?;
                let mut plan = plan::compose(service, &seen)?;
                plugin.extend_plan(service, &seen, &mut plan)?;
                Ok(plan)
            }
            UNDO => Err(Failure::Other(
                "Undo has no plan of its own: it is approved with the rollback.".into(),
            )),
            other => Err(unknown(plugin, other)),
        }
    }

    /// `run`
    ///
    /// # Errors
    /// What ended the run before its last step.
    pub fn run(plugin: &dyn ServiceRollback, arguments: &Arguments) -> Result<(), Failure> {
        let service = &arguments.service;
        match arguments.procedure.as_str() {
            ROLLBACK => {
                configuration::validate(service, plugin.requires())?;
                step_loop(step::PREPARE, &|| plugin.prepare(service))?;
                step_loop(step::STOP, &|| plugin.stop(service))?;
                step_loop(step::BACK_UP, &|| plugin.back_up(service))?;
                step_loop(step::START, &|| plugin.start(service))?;
                step_loop(step::VERIFY, &|| plugin.verify(service))?;
                step_loop(step::SWITCH, &|| plugin.switch(service))?;
                Ok(())
            }
            UNDO => undo::undo(service),
            other => Err(unknown(plugin, other)),
        }
    }

    fn unknown(plugin: &dyn ServiceRollback, procedure: &str) -> Failure {
        Failure::Other(format!(
            "Plugin {} has no procedure {procedure}; it has {ROLLBACK} and {UNDO}.",
            plugin.about().name
        ))
    }
}
