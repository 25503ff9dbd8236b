//! Never returns. Procedure `rollback` loops in `run` after its step began, `loop-in-plan` loops
//! in `plan`.

use rollbot_guest_shape::{describe, procedures, small_plan};
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};
use rollbot_plugin_sdk::progress;

struct Loops;

/// Without a call that the bot could notice, and without an end that the compiler could find.
fn spin() {
    let mut turns = 0_u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns = turns.wrapping_add(2);
    }
}

impl Guest for Loops {
    fn describe() -> Description {
        describe("loops", "Never returns")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[("loop-in-plan", "Never returns from plan")])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        if arguments.procedure == "loop-in-plan" {
            spin();
        }
        Ok(small_plan(&arguments.service))
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        if arguments.procedure == "rollback" {
            let _begun = progress::begin("work");
            spin();
        }
        Ok(())
    }
}

rollbot_plugin_sdk::export_procedures!(Loops);
