//! HTTP checks: what they are, what they saw, and waiting for one to pass.

use crate::trouble::{Trouble, query};
use crate::types::{CheckReport, Evidence, HttpCheck, HttpMethod, Service};
use crate::{clock, probe, text};

/// Time between two tries of a check that has not passed yet, in milliseconds.
const PAUSE: u64 = 500;

/// `GET http://127.0.0.1:9003/health answers 200 within 2 s`.
pub fn describe_check(check: &HttpCheck) -> String {
    let method = match check.method {
        HttpMethod::Get => "GET",
        HttpMethod::Head => "HEAD",
        HttpMethod::Post => "POST",
    };
    let expected = match check.expect.len() {
        0 => String::new(),
        _ => ", with the expected content".to_owned(),
    };
    format!(
        "{method} {} answers {} within {}{expected}",
        check.url,
        check.status,
        text::duration(check.within)
    )
}

/// One sentence on what a check saw, after its name: "answered 503 after 12 ms: …".
pub fn explain(report: &CheckReport) -> String {
    let seen = match report.status {
        Some(status) => format!("answered {status} after {}", text::duration(report.took)),
        None => "gave no answer".to_owned(),
    };
    match report.problems.first() {
        Some(problem) if !report.passed => format!("{seen}: {problem}"),
        _ => seen,
    }
}

/// A report that did not pass, for people who have to decide.
pub fn evidence_of(summary: String, report: &CheckReport) -> Evidence {
    let mut details = report.problems.clone();
    if !report.excerpt.is_empty() {
        details.push(format!(
            "The answer began: {}",
            text::clip(&report.excerpt, 500)
        ));
    }
    Evidence { summary, details }
}

/// Makes a check once; one that does not pass is a problem.
///
/// # Errors
/// [`Trouble::Problem`] with what was seen.
pub fn run_check(service: &Service, name: &str, check: &HttpCheck) -> Result<CheckReport, Trouble> {
    let report = query(&format!("Check {name}"), probe::http(&service.host, check))?;
    judged(name, report)
}

/// Makes a check until it passes or `limit` milliseconds are over.
///
/// # Errors
/// [`Trouble::Problem`] with what the last try saw.
pub fn wait_for_check(
    service: &Service,
    name: &str,
    check: &HttpCheck,
    limit: u64,
) -> Result<CheckReport, Trouble> {
    let mut waited = 0;
    loop {
        let report = query(&format!("Check {name}"), probe::http(&service.host, check))?;
        waited += report.took;
        if report.passed || waited >= limit {
            return judged(name, report);
        }
        clock::sleep(PAUSE);
        waited += PAUSE;
    }
}

fn judged(name: &str, report: CheckReport) -> Result<CheckReport, Trouble> {
    if report.passed {
        Ok(report)
    } else {
        let summary = format!("Check {name} did not pass: it {}", explain(&report));
        Err(Trouble::Problem(evidence_of(summary, &report)))
    }
}
