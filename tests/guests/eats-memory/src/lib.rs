//! Allocates until it may not. Procedure `rollback` does it in `run` after its step began,
//! `eat-in-plan` in `plan`.

use rollbot_guest_shape::{describe, procedures, small_plan};
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};
use rollbot_plugin_sdk::progress;

struct EatsMemory;

/// Bytes a bite.
const BITE: usize = 1 << 20;

fn eat() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        // Written to, so that it is memory and not only addresses.
        eaten.push(vec![1; BITE]);
        std::hint::black_box(&eaten);
    }
}

impl Guest for EatsMemory {
    fn describe() -> Description {
        describe("eats-memory", "Allocates until it may not")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[("eat-in-plan", "Allocates without end in plan")])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        if arguments.procedure == "eat-in-plan" {
            eat();
        }
        Ok(small_plan(&arguments.service))
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        if arguments.procedure == "rollback" {
            let _begun = progress::begin("work");
            eat();
        }
        Ok(())
    }
}

rollbot_plugin_sdk::export_procedures!(EatsMemory);
