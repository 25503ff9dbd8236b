//! Checks against real servers on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode},
    response::Redirect,
    routing::{get, post},
};
use rollbot_host_probe::{
    CheckReport, Error, Header, HttpCheck, HttpMethod, JsonExpectation, JsonTest, Prober, Redactor,
    Settings,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A server that sends these bytes to whoever asks, and then keeps the connection or closes it.
async fn raw(answer: &'static [u8], keep: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(answer).await;
            if keep {
                kept.push(stream);
            }
        }
    });
    address
}

fn prober() -> Prober {
    Prober::new(Settings::default(), BTreeMap::new(), Redactor::default()).unwrap()
}

fn get_of(address: SocketAddr, path: &str) -> HttpCheck {
    HttpCheck {
        method: HttpMethod::Get,
        url: format!("http://{address}{path}"),
        headers: Vec::new(),
        body: None,
        status: 200,
        expect: Vec::new(),
        within: Duration::from_secs(30),
        idempotency_key: false,
    }
}

fn expecting(mut check: HttpCheck, pointer: &str, test: JsonTest) -> HttpCheck {
    check.expect.push(JsonExpectation {
        pointer: pointer.to_owned(),
        test,
    });
    check
}

async fn checked(check: &HttpCheck) -> CheckReport {
    prober().http(check, None).await.unwrap()
}

#[tokio::test]
async fn an_answer_as_expected_passes_with_its_evidence() {
    let orders = || async { Json(json!({ "orders": [{ "state": "filled" }] })) };
    let address = serve(Router::new().route("/", get(orders))).await;
    let check = expecting(
        get_of(address, "/"),
        "/orders/0/state",
        JsonTest::Equals(r#""filled""#.into()),
    );
    let report = checked(&check).await;
    assert!(report.passed, "{report:?}");
    assert_eq!(report.status, Some(200));
    assert_eq!(report.excerpt, r#"{"orders":[{"state":"filled"}]}"#);
    assert!(report.problems.is_empty());
}

#[tokio::test]
async fn a_wrong_status_is_the_problem_and_the_body_the_evidence() {
    let broken = || async { (StatusCode::SERVICE_UNAVAILABLE, "database is down") };
    let address = serve(Router::new().route("/", get(broken))).await;
    let check = expecting(get_of(address, "/"), "/a", JsonTest::Exists);
    let report = checked(&check).await;
    assert!(!report.passed);
    assert_eq!(report.status, Some(503));
    assert_eq!(report.problems, ["expected status 200, got 503"]);
    assert_eq!(report.excerpt, "database is down");
}

#[tokio::test]
async fn a_redirect_is_a_status_and_not_followed() {
    let followed = Arc::new(AtomicUsize::new(0));
    let seen = followed.clone();
    let target = move || async move {
        seen.fetch_add(1, Ordering::SeqCst);
        "here"
    };
    let router = Router::new()
        .route("/", get(|| async { Redirect::temporary("/target") }))
        .route("/target", get(target));
    let mut check = get_of(serve(router).await, "/");
    check.status = 307;
    let report = checked(&check).await;
    assert!(report.passed, "{report:?}");
    assert_eq!(followed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn nobody_at_the_port_is_a_report_and_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = checked(&get_of(address, "/")).await;
    assert!(!report.passed);
    assert_eq!(report.status, None);
    assert_eq!(
        report.problems,
        [format!("connection refused at {address}")]
    );
    let report = prober()
        .tcp(&address.to_string(), Duration::from_secs(30))
        .await
        .unwrap();
    assert_eq!(
        report.problems,
        [format!("connection refused at {address}")]
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let mut check = get_of(raw(b"", true).await, "/");
    check.within = Duration::from_millis(300);
    let report = checked(&check).await;
    assert_eq!(report.status, None);
    assert_eq!(report.problems, ["no answer within 300 ms"]);
    assert!(report.took >= check.within);
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_of_its_answer_is_given_up() {
    let mut check = get_of(
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", true).await,
        "/",
    );
    check.within = Duration::from_millis(300);
    let report = checked(&check).await;
    assert_eq!(report.status, Some(200));
    assert_eq!(
        report.problems,
        ["the answer was not complete within 300 ms"]
    );
    assert_eq!(report.excerpt, "half");
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_a_problem() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"SSH-2.0\r\n",
    ] {
        let report = checked(&get_of(raw(answer, false).await, "/")).await;
        assert!(!report.passed, "{report:?}");
        assert_eq!(report.problems.len(), 1, "{report:?}");
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_its_excerpt_is_short() {
    let endless = || async { "é".repeat(200_000) };
    let address = serve(Router::new().route("/", get(endless))).await;
    let report = checked(&get_of(address, "/")).await;
    assert!(report.passed, "{report:?}");
    assert_eq!(report.excerpt.len(), 2_000);

    let check = expecting(get_of(address, "/"), "/a", JsonTest::Exists);
    let report = checked(&check).await;
    assert_eq!(
        report.problems,
        ["the answer is longer than 65536 bytes, too long to be judged"]
    );
}

#[tokio::test]
async fn secrets_are_sent_and_reported_nowhere() {
    let echo = |headers: HeaderMap| async move {
        let sent = headers["authorization"].to_str().unwrap().to_owned();
        Json(json!({ "sent": sent, "database": "s3cret-of-db", "at": sent }))
    };
    let address = serve(Router::new().route("/", get(echo))).await;
    let mut check = expecting(get_of(address, "/"), "/at", JsonTest::Equals("1".into()));
    check.headers.push(Header {
        name: "Authorization".into(),
        value: "Bearer {secret:trade-token}".into(),
    });
    let prober = Prober::new(
        Settings::default(),
        BTreeMap::from([("trade-token".to_owned(), "hunter2".to_owned())]),
        Redactor::new(["s3cret-of-db".to_owned()]),
    )
    .unwrap();
    let report = prober.http(&check, None).await.unwrap();
    assert_eq!(
        report.problems,
        [r#"/at is "Bearer [redacted]", expected 1"#]
    );
    let all = format!("{report:?} {prober:?}");
    assert!(all.contains("Bearer [redacted]"), "{all}");
    assert!(!all.contains("hunter2") && !all.contains("s3cret"), "{all}");
}

#[tokio::test]
async fn a_post_carries_its_json_and_its_key() {
    let submit = |headers: HeaderMap, Json(body): Json<Value>| async move {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        (
            StatusCode::CREATED,
            Json(json!({ "key": key, "got": body })),
        )
    };
    let address = serve(Router::new().route("/", post(submit))).await;
    let mut check = get_of(address, "/");
    check.method = HttpMethod::Post;
    check.status = 201;
    check.body = Some(r#"{"paper":true}"#.into());
    let check = expecting(check, "/got/paper", JsonTest::Equals("true".into()));
    let check = expecting(check, "/key", JsonTest::Equals(r#""RB-17/order""#.into()));
    let report = prober().http(&check, Some("RB-17/order")).await.unwrap();
    assert!(report.passed, "{report:?}");
}

#[tokio::test]
async fn a_head_request_is_judged_by_its_status() {
    let address = serve(Router::new().route("/", get(|| async { "body" }))).await;
    let mut check = get_of(address, "/");
    check.method = HttpMethod::Head;
    let report = checked(&check).await;
    assert!(report.passed, "{report:?}");
    assert_eq!(report.excerpt, "");
}

#[tokio::test]
async fn https_at_a_port_that_speaks_no_tls_is_a_problem() {
    let address = serve(Router::new().route("/", get(|| async { "plain" }))).await;
    let mut check = get_of(address, "/");
    check.url = format!("https://{address}/");
    match prober().http(&check, None).await {
        Ok(report) => {
            assert!(!report.passed);
            assert!(report.problems[0].contains("TLS"), "{report:?}");
        }
        // A machine without any certificates says so.
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}

#[tokio::test]
async fn control_characters_of_an_answer_are_made_visible() {
    let nasty = || async { "\x1b]0;owned\x07\u{202e}ok" };
    let address = serve(Router::new().route("/", get(nasty))).await;
    let report = checked(&get_of(address, "/")).await;
    assert_eq!(report.excerpt, "\\u{1b}]0;owned\\u{7}\\u{202e}ok");
}

#[tokio::test]
async fn a_tcp_check_connects_and_a_wrong_address_is_invalid() {
    let address = raw(b"", false).await;
    let within = Duration::from_secs(30);
    let report = prober().tcp(&address.to_string(), within).await.unwrap();
    assert!(report.passed, "{report:?}");
    for wrong in [
        "127.0.0.1",
        "http://127.0.0.1:80",
        ":80",
        "::1:80",
        "a:99999",
    ] {
        let error = prober().tcp(wrong, within).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{wrong}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_problem() {
    let mut check = get_of(([127, 0, 0, 1], 1).into(), "/");
    check.url = "http://no-such-host.invalid:9003/".into();
    let report = checked(&check).await;
    assert!(!report.passed);
    assert!(
        report.problems[0].contains("no-such-host.invalid:9003"),
        "{report:?}"
    );
}
