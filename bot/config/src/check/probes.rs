//! Checks of a service: requests, and what is expected of the answers.

use rollbot_core::plan::{Header, HttpCheck, HttpMethod, JsonExpectation, JsonTest, NamedCheck};
use toml::Spanned;
use url::Url;

use super::reader::{Alphabet, Reader, Within, items, rows};
use super::secrets::{Resolved, Secrets};
use crate::written::{self, Given, Period, Table, Value};

/// Checks and settings are asked for by plugins under such names.
pub(crate) const KEBAB: Alphabet = Alphabet {
    also: "-",
    upper_case: false,
    longest: 64,
    in_words: "lower case letters, digits and hyphens",
};

const HEADER: Alphabet = Alphabet {
    also: "!#$%&'*+-.^_`|~",
    upper_case: true,
    longest: 100,
    in_words: "letters, digits and hyphens",
};

const LONGEST_WAIT: Period = Period::seconds(300);
const DEFAULT_WITHIN: Period = Period::seconds(5);

pub(crate) fn checks(
    reader: &Reader,
    service: &str,
    table: &Given<Table<written::Check>>,
    secrets: &Secrets<'_>,
) -> Option<Vec<NamedCheck>> {
    let mut all = Some(Vec::new());
    for (name, check) in rows(table) {
        let known = reader.name(name, "a check", KEBAB);
        let within = Within::new(format!("check `{}` of {service}", name.get_ref()), check);
        let prefix = format!("{service}.{}", name.get_ref());
        let made = check
            .get()
            .and_then(|check| one(reader, &within, &prefix, check, secrets));
        match (known, made, &mut all) {
            (Some(name), Some(check), Some(all)) => all.push(NamedCheck { name, check }),
            _ => all = None,
        }
    }
    all
}

fn one(
    reader: &Reader,
    within: &Within,
    prefix: &str,
    written: &written::Check,
    secrets: &Secrets<'_>,
) -> Option<HttpCheck> {
    let method = written.method.get().copied().unwrap_or(HttpMethod::Get);
    let url = reader
        .need(within, "url", "what is requested", &written.url)
        .and_then(|url| self::url(reader, url));
    let status = match written.status.spanned() {
        Some(status) => reader.within(status, 100, 599),
        None => Some(200),
    };
    let limit = match written.within.spanned() {
        Some(limit) => reader.within(
            limit,
            Period(std::time::Duration::from_millis(1)),
            LONGEST_WAIT,
        ),
        None => Some(DEFAULT_WITHIN),
    };
    let body = match written.body.spanned() {
        Some(body) if method != HttpMethod::Post => {
            reader.problem(body.span(), "only a POST has a body: add method = \"post\"");
            None
        }
        Some(body) => self::body(reader, body).map(Some),
        None => Some(None),
    };
    let idempotency_key = match written.idempotency_key.spanned() {
        Some(key) if *key.get_ref() && method != HttpMethod::Post => {
            reader.problem(
                key.span(),
                "only a POST needs an idempotency key: leave this out",
            );
            None
        }
        key => Some(key.is_some_and(|key| *key.get_ref())),
    };
    let headers = headers(reader, prefix, &written.headers, secrets);
    let expect = expectations(reader, within, method, &written.expect);
    Some(HttpCheck {
        method,
        url: url?,
        headers: headers?,
        body: body?,
        status: status?,
        expect: expect?,
        within: limit?.millis(),
        idempotency_key: idempotency_key?,
    })
}

/// An absolute URL of HTTP without a user in it: that would be a secret in every message.
pub(crate) fn url(reader: &Reader, text: &Spanned<String>) -> Option<String> {
    let wrong = |why: &str| {
        reader.problem_with(text.span(), why, "write it as http://127.0.0.1:9003/health");
        None
    };
    match Url::parse(text.get_ref()) {
        Err(error) => wrong(&format!("this is not a URL: {error}")),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            wrong("this is not an http or https URL")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong("a URL holds no user and no password: use a header with a secret")
        }
        Ok(_)
            if text
                .get_ref()
                .chars()
                .any(|c| c.is_whitespace() || c.is_control()) =>
        {
            wrong("there are blanks in this URL: write them as %20")
        }
        Ok(_) => Some(text.get_ref().clone()),
    }
}

fn body(reader: &Reader, body: &Spanned<toml::Value>) -> Option<String> {
    match body.get_ref() {
        toml::Value::String(text) => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Some(text.clone()),
            Err(error) => {
                reader.problem_with(
                    body.span(),
                    format!("this is not JSON: {error}"),
                    "write a JSON text, or a table: body = { symbol = \"BTC-USD\" }",
                );
                None
            }
        },
        value => json(reader, body, value),
    }
}

/// The value as a JSON text.
fn json(reader: &Reader, at: &Spanned<toml::Value>, value: &toml::Value) -> Option<String> {
    fn convert(value: &toml::Value) -> Option<serde_json::Value> {
        Some(match value {
            toml::Value::String(text) => text.as_str().into(),
            toml::Value::Integer(number) => (*number).into(),
            toml::Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
            toml::Value::Boolean(truth) => (*truth).into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(items) => items
                .iter()
                .map(convert)
                .collect::<Option<Vec<_>>>()?
                .into(),
            toml::Value::Table(table) => table
                .iter()
                .map(|(key, value)| Some((key.clone(), convert(value)?)))
                .collect::<Option<serde_json::Map<_, _>>>()?
                .into(),
        })
    }
    let converted = convert(value);
    if converted.is_none() {
        reader.problem(at.span(), "JSON has no such number");
    }
    Some(converted?.to_string())
}

fn headers(
    reader: &Reader,
    prefix: &str,
    table: &Given<Table<Value>>,
    secrets: &Secrets<'_>,
) -> Option<Vec<Header>> {
    let mut all = Some(Vec::new());
    for (name, value) in rows(table) {
        let header = reader.name(name, "a header", HEADER).and_then(|header| {
            let value = value.spanned()?;
            let resolved = secrets.resolve(reader, &header, value.span(), value.get_ref())?;
            let text = match resolved {
                Resolved::Text(text) => text,
                Resolved::Secret { before, secret } => {
                    let handle = format!("{prefix}.{}", header.to_ascii_lowercase());
                    let text = format!("{}{{secret:{handle}}}", literal(reader, value, &before)?);
                    secrets.named.borrow_mut().insert(handle, secret);
                    return Some(Header {
                        name: header,
                        value: text,
                    });
                }
            };
            Some(Header {
                value: literal(reader, value, &text)?,
                name: header,
            })
        });
        match (header, &mut all) {
            (Some(header), Some(all)) => all.push(header),
            _ => all = None,
        }
    }
    all
}

fn literal(reader: &Reader, at: &Spanned<Value>, text: &str) -> Option<String> {
    let problem = if text.contains("{secret:") {
        "a secret is named as { env = \"NAME\" } or { file = \"/path\" }, not in the text"
    } else if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        "a header holds only visible ASCII characters and blanks"
    } else {
        return Some(text.to_owned());
    };
    reader.problem(at.span(), problem);
    None
}

fn expectations(
    reader: &Reader,
    within: &Within,
    method: HttpMethod,
    list: &Given<Vec<Given<written::Expectation>>>,
) -> Option<Vec<JsonExpectation>> {
    let mut all = Some(Vec::new());
    if let Some(list) = list.spanned()
        && method == HttpMethod::Head
        && !list.get_ref().is_empty()
    {
        reader.problem(
            list.span(),
            "the answer to HEAD has no body to expect anything of: use get",
        );
        return None;
    }
    for expectation in items(list) {
        match (one_expectation(reader, within, expectation), &mut all) {
            (Some(tests), Some(all)) => all.extend(tests),
            _ => all = None,
        }
    }
    all
}

fn one_expectation(
    reader: &Reader,
    within: &Within,
    expectation: &Spanned<written::Expectation>,
) -> Option<Vec<JsonExpectation>> {
    let written = expectation.get_ref();
    let inner = Within {
        span: Some(expectation.span()),
        name: format!("an expectation of {}", within.name),
    };
    let what = "which value of the answer, such as /orders/0/state";
    let pointer = reader
        .need(&inner, "pointer", what, &written.pointer)
        .and_then(|pointer| {
            let text = pointer.get_ref();
            if text.is_empty() || text.starts_with('/') {
                return Some(text.clone());
            }
            reader.problem_with(
                pointer.span(),
                format!("`{text}` is not a JSON pointer"),
                "begin it with `/`: /orders/0/state; leave it empty for the whole answer",
            );
            None
        });
    let mut tests = Vec::new();
    if let Some(exists) = written.exists.spanned() {
        if !exists.get_ref() {
            reader.problem(exists.span(), "only `true` can be expected here");
            return None;
        }
        tests.push(JsonTest::Exists);
    }
    if let Some(value) = written.equals.spanned() {
        tests.push(JsonTest::Equals(json(reader, value, value.get_ref())?));
    }
    for (number, test) in [
        (&written.at_least, JsonTest::AtLeast as fn(f64) -> JsonTest),
        (&written.at_most, JsonTest::AtMost),
    ] {
        let Some(number) = number.spanned() else {
            continue;
        };
        if !number.get_ref().is_finite() {
            reader.problem(number.span(), "JSON has no such number");
            return None;
        }
        tests.push(test(*number.get_ref()));
    }
    if let Some(age) = written.younger_than.get() {
        tests.push(JsonTest::YoungerThan(age.millis()));
    }
    if tests.is_empty() && !reader.lost_something(&inner) {
        reader.problem_with(
            expectation.span(),
            "this expects nothing: add a test",
            "tests: exists, equals, at_least, at_most, younger_than",
        );
        return None;
    }
    let pointer = pointer?;
    Some(
        tests
            .into_iter()
            .map(|test| JsonExpectation {
                pointer: pointer.clone(),
                test,
            })
            .collect(),
    )
}
