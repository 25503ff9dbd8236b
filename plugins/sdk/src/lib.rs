//! What plugins share: the bindings of `wit/rollbot.wit`, and the five common steps of a service
//! rollback, so that a plugin holds only what is special about its service.
//!
//! A plugin of a service type implements [`ServiceRollback`] and exports itself:
//!
//! ```ignore
//! struct Trade;
//! impl ServiceRollback for Trade { /* about, and what is special */ }
//! rollbot_plugin_sdk::export_plugin!(Trade);
//! ```
//!
//! A plugin of another shape implements [`procedures::Guest`] itself and exports that with
//! [`export_procedures!`].
//!
//! # What it reads from the configuration of a service
//!
//! Checks, each an HTTP request with expectations:
//!
//! | name | when | |
//! | --- | --- | --- |
//! | `health` | after the start of either deployment, and through the registry | required |
//! | `api-…` | while verifying | GET or HEAD |
//! | `peer-…` | while verifying: connections to the other services | GET or HEAD |
//! | `reach-…` | after the switch: that other services reach this one | GET or HEAD |
//!
//! Settings, in milliseconds:
//!
//! | name | default | |
//! | --- | --- | --- |
//! | `stop-grace` | 20000 | how long a native process may take to end before it is killed |
//! | `port-free-limit` | 30000 | how long to wait for the port to be free after the stop |
//! | `health-limit` | 60000 | how long a deployment may take to become healthy |

// The bindings name this crate by its own name, here and in the guests that use it.
extern crate self as rollbot_plugin_sdk;

/// The bindings as they are generated, native builds included (there, imports panic: only pure
/// functions can be called outside the bot).
#[allow(unsafe_code, missing_docs, clippy::all, clippy::pedantic)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        export_macro_name: "export_for_wasm",
        default_bindings_module: "rollbot_plugin_sdk::bindings",
        runtime_path: "rollbot_plugin_sdk::bindings::__runtime",
        additional_derives: [Clone, PartialEq],
        generate_all,
    });
    #[doc(hidden)]
    pub use wit_bindgen::rt as __runtime;
}

pub use bindings::exports::rollbot::plugin::procedures;
pub use bindings::rollbot::plugin::{
    ask, backup, clock, docker, planning, probe, process, progress, registry, types,
};

mod check;
mod configuration;
pub mod names;
mod observe;
mod plan;
mod service;
mod step;
pub mod steps;
pub mod text;
mod trouble;
mod undo;

pub use check::{describe_check, evidence_of, explain, run_check, wait_for_check};
pub use configuration::{Limits, RequiredCheck};
pub use observe::Observed;
pub use plan::{check_line, step_mut};
pub use service::{About, ServiceRollback, entry};
pub use step::{Ended, note, step_loop};
pub use trouble::{HostError, StepResult, Trouble, perform, query};

/// Exports a type that implements [`ServiceRollback`] as the plugin of this crate. Takes an
/// expression that makes one: for a unit struct, its name.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:expr) => {
        struct ExportedProcedures;
        impl $crate::procedures::Guest for ExportedProcedures {
            fn describe() -> $crate::procedures::Description {
                $crate::entry::describe(&$plugin)
            }
            fn procedures() -> ::std::vec::Vec<$crate::procedures::Procedure> {
                $crate::entry::procedures(&$plugin)
            }
            fn plan(
                arguments: $crate::procedures::Arguments,
            ) -> ::std::result::Result<$crate::planning::Plan, $crate::procedures::Failure> {
                $crate::entry::plan(&$plugin, &arguments)
            }
            fn run(
                arguments: $crate::procedures::Arguments,
            ) -> ::std::result::Result<(), $crate::procedures::Failure> {
                $crate::entry::run(&$plugin, &arguments)
            }
        }
        $crate::export_procedures!(ExportedProcedures);
    };
}

/// Exports a type that implements [`procedures::Guest`] as the plugin of this crate.
///
/// Native builds of a plugin, for its unit tests and for lints, export nothing: the names of the
/// component model's exports are no names that a native linker takes.
#[macro_export]
macro_rules! export_procedures {
    ($guest:ident) => {
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::export_for_wasm!($guest with_types_in $crate::bindings);
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn is_a_guest<T: $crate::procedures::Guest>() {}
            is_a_guest::<$guest>();
        };
    };
}
