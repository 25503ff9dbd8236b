//! The lines of a script, in their order.

use rollbot_plugin_sdk::procedures::Failure;
use rollbot_plugin_sdk::progress::{self, Decision};
use rollbot_plugin_sdk::types::{Evidence, Service};
use rollbot_plugin_sdk::{HostError, note};

use crate::call::{Outcome, call, number};

/// Lines that mean something.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Runs the script in that setting; none is an empty one.
pub fn run(service: &Service, setting: &str) -> Result<(), Failure> {
    let script: Vec<&str> = lines(service.setting(setting).unwrap_or("")).collect();
    let mut at = 0;
    while let Some(line) = script.get(at) {
        at += 1;
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "return" => return Ok(()),
            "give-up" => return Err(Failure::Other(rest.into())),
            "panic" => panic!("as the script says"),
            "loop" => spin(),
            "fail" => at = failed(&script, at, rest)?,
            "tell" => note(match call_or_repeat(service, rest) {
                Ok(answer) => format!("{rest} => {answer}"),
                Err(error) => format!("{rest} => error: {error}"),
            }),
            _ => {
                call_or_repeat(service, line)
                    .map_err(|error| Failure::Host(format!("line {at}, `{line}`: {error}")))?;
            }
        }
    }
    Ok(())
}

fn call_or_repeat(service: &Service, line: &str) -> Outcome {
    let Some((times, line)) = line
        .strip_prefix("repeat ")
        .and_then(|rest| rest.split_once(' '))
    else {
        return call(service, line);
    };
    let mut last = String::new();
    for _ in 0..number(times)? {
        last = call(service, line)?;
    }
    Ok(last)
}

/// The line to go on with, after people decided.
fn failed(script: &[&str], at: usize, rest: &str) -> Result<usize, Failure> {
    let (step, text) = rest.split_once(' ').unwrap_or((rest, "the script says so"));
    let evidence = Evidence {
        summary: text.into(),
        details: Vec::new(),
    };
    let position = |wanted: String, mut range: std::ops::Range<usize>| {
        range.find(|&index| script.get(index) == Some(&wanted.as_str()))
    };
    match progress::failed(step, &evidence) {
        Ok(Decision::Retry) => Ok(position(format!("begin {step}"), 0..at).unwrap_or(at)),
        Ok(Decision::Skip) => {
            Ok(position(format!("end {step}"), at..script.len()).map_or(at, |end| end + 1))
        }
        Err(error) => Err(Failure::Host(error.sentence())),
    }
}

/// Without an end that the compiler could find.
fn spin() {
    let mut turns = 0_u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns = turns.wrapping_add(2);
    }
}
