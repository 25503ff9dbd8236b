//! Does what its plan does not say. Its plan has one step `work` with the effects `stop-native`
//! and `back-up-data`; the setting `lie` of the service chooses what it does:
//!
//! | `lie` | |
//! | --- | --- |
//! | `unknown-effect` | performs `stop-everything`, which is not in the plan |
//! | `wrong-kind` | performs `back-up-data` by `process.stop` |
//! | `undo-effect` | performs `undo-start-native` although nobody chose undo |
//! | `effect-in-plan` | performs `stop-native` while planning |
//! | `ask-in-plan` | asks people while planning |
//! | `outside-grants` | reads the directory `/etc`, another host, another project and another key |
//! | `outside-grants-in-plan` | the same while planning |
//! | `unknown-step` | begins a step `extra` |
//! | `end-unbegun` | ends the step `work`, which did not begin |
//! | `early-return` | returns at once: with a journal of another run, before it is used up |
//! | `another-order` | performs the effects the other way round |
//! | `post-as-query` | makes a POST by `probe.http` |
//! | `duplicate-names` | plans two effects of one name |
//! | `ungranted-effect` | plans to archive `/etc` |
//!
//! Without a lie it performs its plan. Each refusal that it is told of is put into a note, and it
//! goes on: whether it is stopped is for the bot to decide.

use rollbot_guest_shape::{describe, effect, procedures, small_plan};
use rollbot_plugin_sdk::ask::{self, Choice};
use rollbot_plugin_sdk::planning::{CreateBackup, EffectKind, Plan};
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};
use rollbot_plugin_sdk::types::{Evidence, HttpCheck, HttpMethod, Service};
use rollbot_plugin_sdk::{HostError, backup, docker, note, probe, process, progress, registry};

struct Lies;

fn lie(service: &Service) -> &str {
    service.setting("lie").unwrap_or("")
}

/// What came of a call, for tests to read.
fn tell<T>(what: &str, answer: Result<T, impl HostError>) {
    note(match answer {
        Ok(_) => format!("{what}: ok"),
        Err(error) => format!("{what}: {}", error.sentence()),
    });
}

fn read_outside_grants(service: &Service) {
    tell(
        "written-since /etc",
        backup::written_since(&service.host, "/etc", 0),
    );
    tell(
        "status of elsewhere",
        process::status("elsewhere", &service.units, service.port),
    );
    tell(
        "status of port 22",
        process::status(&service.host, &[], Some(22)),
    );
    tell(
        "containers of another project",
        docker::status(&service.host, "another-project", &["database".to_owned()]),
    );
    tell("another key", registry::get("another/key"));
    tell(
        "another address",
        probe::tcp(&service.host, "192.0.2.1:22", 1_000),
    );
}

fn ask_people() {
    let evidence = Evidence {
        summary: "Nothing is wrong.".into(),
        details: Vec::new(),
    };
    let choices = [Choice {
        key: "yes".into(),
        label: "Yes".into(),
    }];
    tell("ask", ask::question("May I?", &evidence, &choices));
}

fn perform_plan() {
    tell("begin work", progress::begin("work"));
    tell("stop-native", process::stop("stop-native"));
    tell("back-up-data", backup::create("back-up-data"));
    tell("end work", progress::end("work"));
}

impl Guest for Lies {
    fn describe() -> Description {
        describe("lies", "Does what its plan does not say")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        let service = &arguments.service;
        let mut plan = small_plan(service);
        match lie(service) {
            "effect-in-plan" => {
                if let Err(error) = process::stop("stop-native") {
                    plan.warnings.push(error.sentence());
                }
            }
            "ask-in-plan" => ask_people(),
            "outside-grants-in-plan" => {
                if let Err(error) = backup::written_since(&service.host, "/etc", 0) {
                    plan.warnings.push(error.sentence());
                }
            }
            "duplicate-names" => {
                if let Some(step) = plan.steps.first_mut() {
                    step.effects.extend(step.effects.clone());
                }
            }
            "ungranted-effect" => {
                let etc = EffectKind::CreateBackup(CreateBackup {
                    host: service.host.clone(),
                    directory: "/etc".into(),
                    archive_name: service.archive_name.clone(),
                    format: service.archive_format,
                });
                if let Some(step) = plan.steps.first_mut() {
                    step.effects.push(effect("back-up-etc", etc));
                }
            }
            _ => {}
        }
        Ok(plan)
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        let service = &arguments.service;
        if arguments.procedure != "rollback" {
            return Ok(());
        }
        match lie(service) {
            "unknown-effect" => tell("stop-everything", process::stop("stop-everything")),
            "wrong-kind" => tell("stop back-up-data", process::stop("back-up-data")),
            "undo-effect" => tell("undo-start-native", process::start("undo-start-native")),
            "outside-grants" => read_outside_grants(service),
            "unknown-step" => tell("begin extra", progress::begin("extra")),
            "end-unbegun" => tell("end work", progress::end("work")),
            "early-return" => return Ok(()),
            "another-order" => {
                tell("begin work", progress::begin("work"));
                tell("back-up-data", backup::create("back-up-data"));
                tell("stop-native", process::stop("stop-native"));
                tell("end work", progress::end("work"));
                return Ok(());
            }
            "post-as-query" => {
                let post = HttpCheck {
                    method: HttpMethod::Post,
                    url: "http://127.0.0.1:1/orders".into(),
                    headers: Vec::new(),
                    body: Some("{}".into()),
                    status: 200,
                    expect: Vec::new(),
                    within: 1_000,
                    idempotency_key: false,
                };
                tell("post", probe::http(&service.host, &post));
            }
            _ => {}
        }
        perform_plan();
        Ok(())
    }
}

rollbot_plugin_sdk::export_procedures!(Lies);
