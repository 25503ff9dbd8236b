//! From a check to a request, or to the sentence that says why not.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::{Error, HttpCheck, HttpMethod, JsonTest};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Headers that belong to the connection and not to the request: to set them would let a request say
/// something else than what is sent.
const NOT_SETTABLE: [&str; 6] = [
    "connection",
    "content-length",
    "idempotency-key",
    "te",
    "transfer-encoding",
    "upgrade",
];

pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<String>,
    /// `127.0.0.1:9003`, for messages: a whole URL may hold a secret.
    pub authority: String,
}

fn invalid<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Invalid(what.into()))
}

pub(crate) fn wait(within: Duration, longest: Duration) -> Result<(), Error> {
    if within.is_zero() {
        return invalid("The check gives no time at all: set its time limit to more than 0");
    }
    if within > longest {
        return invalid(format!(
            "The check wants to wait {within:?}, and at most {longest:?} is allowed"
        ));
    }
    Ok(())
}

pub(crate) fn prepare(
    check: &HttpCheck,
    idempotency_key: Option<&str>,
    secrets: &BTreeMap<String, String>,
) -> Result<Request, Error> {
    let url = match Url::parse(&check.url) {
        Ok(url) => url,
        Err(error) => return invalid(format!("{:?} is not a URL: {error}", check.url)),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return invalid(format!(
            "{:?} is neither an http nor an https URL",
            check.url
        ));
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return invalid(format!("{:?} names no host", check.url));
    };
    let authority = format!("{host}:{port}");
    if !(100..600).contains(&check.status) {
        return invalid(format!(
            "{} is not an HTTP status: expected are 100 to 599",
            check.status
        ));
    }
    if check.method == HttpMethod::Head && !check.expect.is_empty() {
        return invalid("A HEAD request has no answer to look into: use GET");
    }
    if check.method != HttpMethod::Post && check.body.is_some() {
        return invalid("Only a POST has a body");
    }
    if let Some(Err(error)) = check
        .body
        .as_deref()
        .map(serde_json::from_str::<serde::de::IgnoredAny>)
    {
        return invalid(format!("The body is not JSON: {error}"));
    }
    for expectation in &check.expect {
        let pointer = &expectation.pointer;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return invalid(format!(
                "{pointer:?} is not a JSON pointer: it begins with a slash"
            ));
        }
        match &expectation.test {
            JsonTest::Equals(text) => {
                if let Err(error) = serde_json::from_str::<Value>(text) {
                    return invalid(format!(
                        "The value {text:?} expected at {pointer:?} is not JSON ({error}): a text \
                         has quotation marks"
                    ));
                }
            }
            JsonTest::AtLeast(bound) | JsonTest::AtMost(bound) if !bound.is_finite() => {
                return invalid(format!("The bound for {pointer:?} is not a number"));
            }
            _ => {}
        }
    }
    let mut headers = HeaderMap::new();
    for header in &check.headers {
        let Ok(name) = HeaderName::from_bytes(header.name.as_bytes()) else {
            return invalid(format!("{:?} is not the name of a header", header.name));
        };
        if NOT_SETTABLE.contains(&name.as_str()) {
            return invalid(format!("The header {name} cannot be set by a check"));
        }
        let value = fill_in(&header.value, secrets)?;
        let Ok(mut value) = HeaderValue::from_str(&value) else {
            return invalid(format!(
                "The value of the header {name} holds a character that no header may hold"
            ));
        };
        // Whatever logs headers leaves it out.
        value.set_sensitive(true);
        headers.append(name, value);
    }
    if check.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(key) = idempotency_key {
        let Ok(key) = HeaderValue::from_str(key) else {
            return invalid(format!("{key:?} cannot be an idempotency key"));
        };
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    Ok(Request {
        method: match check.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Head => Method::HEAD,
            HttpMethod::Post => Method::POST,
        },
        url,
        headers,
        body: check.body.clone(),
        authority,
    })
}

/// Puts secrets in place of `{secret:NAME}`. A secret's own text is not looked at again.
fn fill_in(template: &str, secrets: &BTreeMap<String, String>) -> Result<String, Error> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{secret:") {
        let Some((name, after)) = after.split_once('}') else {
            return invalid("A {secret:NAME} in a header lacks its closing brace");
        };
        let Some(secret) = secrets.get(name) else {
            return invalid(format!("No secret is called {name:?}"));
        };
        filled.push_str(before);
        filled.push_str(secret);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::{Header, JsonExpectation};

    fn check() -> HttpCheck {
        HttpCheck {
            method: HttpMethod::Get,
            url: "http://127.0.0.1:9003/health".into(),
            headers: Vec::new(),
            body: None,
            status: 200,
            expect: Vec::new(),
            within: Duration::from_secs(2),
            idempotency_key: false,
        }
    }

    fn secrets() -> BTreeMap<String, String> {
        BTreeMap::from([("trade".to_owned(), "hunter2 {secret:trade}".to_owned())])
    }

    fn refused(change: impl Fn(&mut HttpCheck)) -> String {
        let mut check = check();
        change(&mut check);
        match prepare(&check, None, &secrets()) {
            Err(Error::Invalid(why)) => why,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("it was accepted"),
        }
    }

    fn header(name: &str, value: &str) -> Vec<Header> {
        vec![Header {
            name: name.into(),
            value: value.into(),
        }]
    }

    #[test]
    fn what_cannot_be_sent_or_judged_is_invalid() {
        assert!(refused(|c| c.url = "127.0.0.1:9003".into()).contains("is not a URL"));
        assert!(refused(|c| c.url = "file:///etc/passwd".into()).contains("neither"));
        assert!(refused(|c| c.status = 20).contains("not an HTTP status"));
        assert!(refused(|c| c.body = Some("{}".into())).contains("Only a POST"));
        assert!(refused(|c| c.headers = header("a b", "x")).contains("name of a header"));
        assert!(refused(|c| c.headers = header("a", "x\r\ny: z")).contains("no header may hold"));
        assert!(refused(|c| c.headers = header("Content-Length", "3")).contains("cannot be set"));
        assert!(refused(|c| c.headers = header("a", "{secret:x}")).contains("No secret"));
        assert!(refused(|c| c.headers = header("a", "{secret:x")).contains("closing brace"));
        let expect = |pointer: &str, test: JsonTest| {
            vec![JsonExpectation {
                pointer: pointer.into(),
                test,
            }]
        };
        assert!(refused(|c| c.expect = expect("a", JsonTest::Exists)).contains("JSON pointer"));
        let unquoted = JsonTest::Equals("filled".into());
        assert!(refused(|c| c.expect = expect("/a", unquoted.clone())).contains("quotation"));
        let endless = JsonTest::AtMost(f64::INFINITY);
        assert!(refused(|c| c.expect = expect("/a", endless.clone())).contains("not a number"));
        let head = |c: &mut HttpCheck| {
            c.method = HttpMethod::Head;
            c.expect = expect("/a", JsonTest::Exists);
        };
        assert!(refused(head).contains("HEAD"));
        let post = |c: &mut HttpCheck| {
            c.method = HttpMethod::Post;
            c.body = Some("{".into());
        };
        assert!(refused(post).contains("not JSON"));
    }

    #[test]
    fn a_secret_takes_its_place_once() {
        let mut check = check();
        check.headers = header("Authorization", "Bearer {secret:trade}!");
        let request = prepare(&check, Some("RB-17/paper-order"), &secrets()).unwrap();
        let value = &request.headers["authorization"];
        assert_eq!(value, "Bearer hunter2 {secret:trade}!");
        assert!(value.is_sensitive());
        assert_eq!(request.headers["idempotency-key"], "RB-17/paper-order");
    }

    #[test]
    fn a_time_limit_of_nothing_or_of_an_hour_is_invalid() {
        let longest = Duration::from_secs(300);
        assert!(wait(Duration::ZERO, longest).is_err());
        assert!(wait(Duration::from_secs(3600), longest).is_err());
        assert!(wait(longest, longest).is_ok());
    }
}
