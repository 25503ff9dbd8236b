//! Makes the calls it is told to make, one a line, from settings of the service. For tests of the
//! engine, and for benchmarks. Blank lines and lines that begin with `#` are left out.
//!
//! Settings: `script` for `rollback`, `undo-script` for `undo`, and `plan`. Without `plan`, every
//! effect in `script` and `undo-script` is planned in one step `work`.
//!
//! # Script
//!
//! | line | call |
//! | --- | --- |
//! | `begin STEP`, `end STEP` | `progress` |
//! | `fail STEP TEXT` | `progress.failed`; retry goes back to the last `begin STEP`, skip to after its `end STEP` |
//! | `stop E`, `start E` | `process` |
//! | `up E`, `down E` | `docker` |
//! | `back-up E` | `backup.create` |
//! | `point E` | `registry` |
//! | `transact E`, `submit E` | `probe` |
//! | `status` | `process.status` of the service |
//! | `containers`, `ready`, `logs N`, `health MS` | `docker`, of the service |
//! | `archives`, `written-since MS`, `read-back PATH` | `backup`, of the service |
//! | `get KEY`, `resolve KEY` | `registry` |
//! | `http CHECK`, `tcp ADDRESS` | `probe` |
//! | `ask TEXT\|KEY=LABEL\|…` | `ask.question` |
//! | `now`, `sleep MS`, `note TEXT` | `clock`, `progress.note` |
//! | `repeat N LINE` | the line, N times |
//! | `tell LINE` | the line; its outcome becomes a note, and an error is no end |
//! | `return`, `give-up TEXT`, `panic`, `loop` | |
//!
//! An error ends the run with [`Failure::Host`], unless the line begins with `tell`.
//!
//! # Plan
//!
//! | line | |
//! | --- | --- |
//! | `step NAME [TITLE]` | begins a step; what follows belongs to it |
//! | `check TEXT` | |
//! | `effect NAME KIND` | kinds are those of [`rollbot_guest_shape::kind`] |
//! | `after EFFECT NAME KIND`, `undo NAME KIND` | contingencies |
//! | `target WORD`, `undo-target WORD` | words are those of [`rollbot_guest_shape::target`] |
//! | `warning TEXT`, `none-since MS` | |
//! | `call LINE` | a line of a script, while planning |
//! | `give-up TEXT` | planning fails |

// `panic` is a line of the language.
#![allow(clippy::panic)]

mod call;
mod planned;
mod script;

use rollbot_guest_shape::{describe, procedures};
use rollbot_plugin_sdk::planning::Plan;
use rollbot_plugin_sdk::procedures::{Arguments, Description, Failure, Guest, Procedure};

struct Scripted;

impl Guest for Scripted {
    fn describe() -> Description {
        describe("scripted", "Makes the calls it is told to make")
    }

    fn procedures() -> Vec<Procedure> {
        procedures(&[])
    }

    fn plan(arguments: Arguments) -> Result<Plan, Failure> {
        planned::plan(&arguments.service)
    }

    fn run(arguments: Arguments) -> Result<(), Failure> {
        let setting = match arguments.procedure.as_str() {
            "undo" => "undo-script",
            _ => "script",
        };
        script::run(&arguments.service, setting)
    }
}

rollbot_plugin_sdk::export_procedures!(Scripted);
