//! Calls without end, and says too much. The setting `chat` of the service chooses how:
//!
//! | `chat` | |
//! | --- | --- |
//! | `calls` | asks for the time, without end |
//! | `notes` | writes notes of 1 MiB, without end |
//! | `one-note` | writes one note of 1 MiB, and performs its plan |
//! | `evidence` | lets its step fail with 10,000 details of 1 KiB |
//! | `effect-name` | performs an effect whose name has 1 MiB |
//! | `plan` | plans 10,000 steps |
//! | `title` | plans a title of 1 MiB |
//! | `sleeps` | sleeps for a thousand years |

use rollbot_guest_shape::{describe, procedures, small_plan, step};
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};
use rollbot_plugin_sdk::types::Evidence;
use rollbot_plugin_sdk::{backup, clock, note, process, progress};

struct Chatty;

const MEBIBYTE: usize = 1 << 20;

impl Guest for Chatty {
    fn describe() -> Description {
        describe("chatty", "Calls without end, and says too much")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        let mut plan = small_plan(&arguments.service);
        match arguments.service.setting("chat") {
            Some("plan") => plan
                .steps
                .extend((0..10_000).map(|n| step(&format!("step-{n}"), Vec::new()))),
            Some("title") => {
                if let Some(step) = plan.steps.first_mut() {
                    step.title = "x".repeat(MEBIBYTE);
                }
            }
            _ => {}
        }
        Ok(plan)
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        if arguments.procedure != "rollback" {
            return Ok(());
        }
        let _begun = progress::begin("work");
        match arguments.service.setting("chat") {
            Some("calls") => loop {
                clock::now();
            },
            Some("notes") => {
                let text = "x".repeat(MEBIBYTE);
                loop {
                    note(&text);
                }
            }
            Some("one-note") => note("x".repeat(MEBIBYTE)),
            Some("evidence") => {
                let evidence = Evidence {
                    summary: "Far too much.".into(),
                    details: vec!["x".repeat(1_024); 10_000],
                };
                let _decision = progress::failed("work", &evidence);
            }
            Some("effect-name") => {
                let _refused = process::stop(&"x".repeat(MEBIBYTE));
            }
            Some("sleeps") => clock::sleep(1_000 * 365 * 24 * 60 * 60 * 1_000),
            _ => {}
        }
        let _stopped = process::stop("stop-native");
        let _archived = backup::create("back-up-data");
        let _ended = progress::end("work");
        Ok(())
    }
}

rollbot_plugin_sdk::export_procedures!(Chatty);
