//! Whether an answer is as expected.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{JsonExpectation, JsonTest};

/// Clocks of two machines differ; more than this is a wrong time.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(60);

/// Numbers above this are milliseconds since 1970: as seconds they would lie beyond the year 5000,
/// as milliseconds they begin in 1973.
const SECONDS_END: f64 = 1e11;

const LONGEST_VALUE: usize = 120;

pub(crate) fn status(expected: u16, got: u16) -> Option<String> {
    let remark = match got {
        300..400 => " (redirects are not followed)",
        _ => "",
    };
    (expected != got).then(|| format!("expected status {expected}, got {got}{remark}"))
}

/// One sentence for each expectation that does not hold.
pub(crate) fn body(bytes: &[u8], expect: &[JsonExpectation], now: Timestamp) -> Vec<String> {
    if expect.is_empty() {
        return Vec::new();
    }
    if bytes.is_empty() {
        return vec!["the answer is empty, expected JSON".to_owned()];
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(answer) => expect
            .iter()
            .filter_map(|expectation| one(&answer, expectation, now))
            .collect(),
        Err(error) => vec![format!("the answer is not JSON: {error}")],
    }
}

fn one(answer: &Value, expectation: &JsonExpectation, now: Timestamp) -> Option<String> {
    let place = match expectation.pointer.as_str() {
        "" => "the answer",
        pointer => pointer,
    };
    let wanted = match &expectation.test {
        JsonTest::Exists => "a value".to_owned(),
        JsonTest::Equals(text) => text.clone(),
        JsonTest::AtLeast(bound) => format!("at least {bound}"),
        JsonTest::AtMost(bound) => format!("at most {bound}"),
        JsonTest::YoungerThan(limit) => format!("a time of the last {}", span(*limit)),
    };
    let Some(value) = answer.pointer(&expectation.pointer) else {
        return Some(format!("{place} is missing, expected {wanted}"));
    };
    let shown = shown(value);
    let holds = match &expectation.test {
        JsonTest::Exists => !value.is_null(),
        JsonTest::Equals(text) => {
            serde_json::from_str::<Value>(text).is_ok_and(|wanted| equal(value, &wanted))
        }
        JsonTest::AtLeast(bound) => match value.as_f64() {
            Some(number) => number >= *bound,
            None => {
                return Some(format!("{place} is {shown}, expected a number of {wanted}"));
            }
        },
        JsonTest::AtMost(bound) => match value.as_f64() {
            Some(number) => number <= *bound,
            None => {
                return Some(format!("{place} is {shown}, expected a number of {wanted}"));
            }
        },
        JsonTest::YoungerThan(limit) => {
            let Some(time) = time(value) else {
                return Some(format!("{place} is {shown}, expected {wanted}"));
            };
            let age = now.duration_since(time);
            if age < -CLOCK_DIFFERENCE {
                return Some(format!(
                    "{place} is {shown}, which lies {} in the future, expected {wanted}",
                    span(age.unsigned_abs())
                ));
            }
            // Between zero and the tolerated difference in the future nothing is old.
            if age.is_positive() && age.unsigned_abs() > *limit {
                return Some(format!(
                    "{place} is {shown}, which is {} old, expected {wanted}",
                    span(age.unsigned_abs())
                ));
            }
            true
        }
    };
    (!holds).then(|| format!("{place} is {shown}, expected {wanted}"))
}

/// JSON knows no difference between 3 and 3.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, x)| y.get(key).is_some_and(|y| equal(x, y)))
        }
        _ => a == b,
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => {
            let number = number.as_f64().filter(|n| *n >= 0.0)?;
            let seconds = match number > SECONDS_END {
                true => number / 1000.0,
                false => number,
            };
            let duration = SignedDuration::try_from_secs_f64(seconds).ok()?;
            Timestamp::from_duration(duration).ok()
        }
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// `1.5 s`, `4 min`, `2 h 5 min`, `3 days`: as much as a person wants to know.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..10 if duration.subsec_millis() != 0 => {
            format!("{:.1} s", duration.as_secs_f64())
        }
        1..120 => format!("{seconds} s"),
        120..600 if !seconds.is_multiple_of(60) => {
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        120..3600 => format!("{} min", seconds / 60),
        3600..172_800 if seconds % 3600 >= 60 => {
            format!("{} h {} min", seconds / 3600, seconds % 3600 / 60)
        }
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn problems(answer: &str, pointer: &str, test: JsonTest) -> Vec<String> {
        let expect = [JsonExpectation {
            pointer: pointer.into(),
            test,
        }];
        body(answer.as_bytes(), &expect, NOW.parse().unwrap())
    }

    fn fine(answer: &str, pointer: &str, test: JsonTest) {
        assert_eq!(problems(answer, pointer, test), Vec::<String>::new());
    }

    #[track_caller]
    fn wrong(answer: &str, pointer: &str, test: JsonTest, sentence: &str) {
        assert_eq!(problems(answer, pointer, test), [sentence]);
    }

    #[test]
    fn a_status_is_told_apart() {
        assert_eq!(status(200, 200), None);
        assert_eq!(status(200, 503).unwrap(), "expected status 200, got 503");
        assert!(status(200, 302).unwrap().ends_with("not followed)"));
    }

    #[test]
    fn a_value_exists_or_not() {
        fine(r#"{"a":{"b":[1]}}"#, "/a/b/0", JsonTest::Exists);
        fine(r#"{"a/b":0}"#, "/a~1b", JsonTest::Exists);
        wrong(
            "{}",
            "/a",
            JsonTest::Exists,
            "/a is missing, expected a value",
        );
        wrong(
            r#"{"a":null}"#,
            "/a",
            JsonTest::Exists,
            "/a is null, expected a value",
        );
    }

    #[test]
    fn a_value_equals_or_not() {
        let equals = |text: &str| JsonTest::Equals(text.into());
        fine(r#"{"state":"filled"}"#, "/state", equals(r#""filled""#));
        fine("3.0", "", equals("3"));
        fine(r#"{"a":1,"b":[2]}"#, "", equals(r#"{"b":[2.0],"a":1}"#));
        wrong(
            r#"{"orders":[{"state":"rejected"}]}"#,
            "/orders/0/state",
            equals(r#""filled""#),
            r#"/orders/0/state is "rejected", expected "filled""#,
        );
        wrong("[]", "/0", equals("1"), "/0 is missing, expected 1");
    }

    #[test]
    fn a_number_is_bounded() {
        fine("3", "", JsonTest::AtLeast(3.0));
        fine("3", "", JsonTest::AtMost(3.0));
        wrong(
            r#"{"rows":2}"#,
            "/rows",
            JsonTest::AtLeast(3.0),
            "/rows is 2, expected at least 3",
        );
        wrong(
            r#"{"lag":0.5}"#,
            "/lag",
            JsonTest::AtMost(0.25),
            "/lag is 0.5, expected at most 0.25",
        );
        wrong(
            r#"{"lag":"low"}"#,
            "/lag",
            JsonTest::AtMost(1.0),
            r#"/lag is "low", expected a number of at most 1"#,
        );
    }

    #[test]
    fn a_time_is_young_in_each_of_its_forms() {
        let minute = || JsonTest::YoungerThan(Duration::from_secs(60));
        fine(r#""2026-11-20T11:59:30Z""#, "", minute());
        fine(r#""2026-11-20T12:59:30+01:00""#, "", minute());
        let now: Timestamp = NOW.parse().unwrap();
        fine(&now.as_second().to_string(), "", minute());
        fine(&now.as_millisecond().to_string(), "", minute());
        fine(&format!("{}.25", now.as_second() - 59), "", minute());
        wrong(
            r#"{"at":"2026-11-20T11:56:40Z"}"#,
            "/at",
            minute(),
            r#"/at is "2026-11-20T11:56:40Z", which is 3 min 20 s old, expected a time of the last 60 s"#,
        );
        wrong(
            r#"{"at":"yesterday"}"#,
            "/at",
            minute(),
            r#"/at is "yesterday", expected a time of the last 60 s"#,
        );
        wrong(
            "-5",
            "",
            minute(),
            "the answer is -5, expected a time of the last 60 s",
        );
        wrong(
            "1e300",
            "",
            minute(),
            "the answer is 1e+300, expected a time of the last 60 s",
        );
    }

    #[test]
    fn the_future_is_tolerated_as_far_as_clocks_differ() {
        let second = || JsonTest::YoungerThan(Duration::from_secs(1));
        fine(r#""2026-11-20T12:01:00Z""#, "", second());
        wrong(
            r#""2026-11-20T14:05:00Z""#,
            "",
            second(),
            r#"the answer is "2026-11-20T14:05:00Z", which lies 2 h 5 min in the future, expected a time of the last 1 s"#,
        );
    }

    #[test]
    fn an_answer_that_is_no_json_is_one_problem() {
        let found = problems("<html>", "/a", JsonTest::Exists);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("the answer is not JSON"), "{found:?}");
        wrong(
            "",
            "/a",
            JsonTest::Exists,
            "the answer is empty, expected JSON",
        );
    }

    #[test]
    fn a_long_value_is_cut() {
        let long = format!("{:?}", "x".repeat(5000));
        let found = problems(&long, "", JsonTest::AtMost(1.0));
        assert!(found[0].len() < 200, "{found:?}");
    }
}
