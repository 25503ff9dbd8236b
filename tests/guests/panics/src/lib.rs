//! Panics. Procedure `rollback` panics in `run` after its first effect, `panic-in-plan` in `plan`,
//! `panic-at-once` in `run` before any call.

// It is what this guest is for.
#![allow(clippy::panic)]

use rollbot_guest_shape::{describe, procedures, small_plan};
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};
use rollbot_plugin_sdk::{process, progress};

struct Panics;

impl Guest for Panics {
    fn describe() -> Description {
        describe("panics", "Panics")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[
            ("panic-in-plan", "Panics in plan"),
            ("panic-at-once", "Panics in run before any call"),
        ])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        if arguments.procedure == "panic-in-plan" {
            panic!("in plan, as asked for");
        }
        Ok(small_plan(&arguments.service))
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        match arguments.procedure.as_str() {
            "rollback" => {
                let _begun = progress::begin("work");
                let _stopped = process::stop("stop-native");
                panic!("in run after the first effect, as asked for");
            }
            "panic-at-once" => panic!("in run before any call, as asked for"),
            _ => Ok(()),
        }
    }
}

rollbot_plugin_sdk::export_procedures!(Panics);
