use std::sync::atomic::Ordering;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::house::{House, answer, code};

#[tokio::test]
async fn a_request_for_another_host_is_refused() {
    let house = House::demo().await;
    let port = house.address.port();
    for host in [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "127.0.0.1:1",
        "",
    ] {
        for path in ["/", "/api/me", "/api/messages", "/api/events"] {
            let (status, body) = answer(house.get(path).header("host", host)).await;
            assert_eq!(
                (status, code(&body)),
                (StatusCode::MISDIRECTED_REQUEST, "host"),
                "{host} {path}"
            );
        }
        let post = house
            .post("/api/messages")
            .header("host", host)
            .json(&json!({}));
        assert_eq!(
            answer(post).await.0,
            StatusCode::MISDIRECTED_REQUEST,
            "{host}"
        );
    }
    for host in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(
            answer(house.get("/api/me").header("host", &host)).await.0,
            StatusCode::OK,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_change_from_another_origin_is_refused() {
    let house = House::demo().await;
    let port = house.address.port();
    let body = json!({ "channel": "ops", "text": "/rollback trade", "client_id": "client-1" });
    let post = || house.bare(Method::POST, "/api/messages").json(&body);
    let foreign = [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("https://127.0.0.1:{port}"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://127.0.0.1:{port}/path"),
    ];
    for origin in foreign {
        let (status, answer) = answer(post().header("origin", &origin)).await;
        assert_eq!(
            (status, code(&answer)),
            (StatusCode::FORBIDDEN, "origin"),
            "{origin}"
        );
    }
    assert_eq!(
        answer(post()).await.0,
        StatusCode::FORBIDDEN,
        "no origin at all"
    );
    assert!(house.recorder.events().is_empty());
    assert!(house.messages("ana").await.is_empty());
    for origin in [house.origin(), format!("http://localhost:{port}")] {
        assert_eq!(
            answer(post().header("origin", &origin)).await.0,
            StatusCode::OK,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn behind_a_public_name_only_that_name_counts() {
    let house = House::open(crate::house::demo(), Some("https://ops.example.org")).await;
    let post = |origin: &str| {
        house
            .bare(Method::POST, "/api/messages")
            .header("host", "ops.example.org")
            .header("origin", origin)
            .json(&json!({ "channel": "ops", "text": "hello", "client_id": "client-1" }))
    };
    assert_eq!(
        answer(post("https://ops.example.org")).await.0,
        StatusCode::OK
    );
    assert_eq!(
        answer(post("https://ops.example.org:8443")).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        answer(post("https://other.example.org")).await.0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let house = House::demo().await;
    for path in [
        "/",
        "/assets/app.js",
        "/api/me",
        "/nowhere",
        "/login?token=x",
        "/healthz",
    ] {
        let response = house.get(path).send().await.unwrap();
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let caching = if path.starts_with("/assets") {
            "no-cache"
        } else {
            "no-store"
        };
        assert_eq!(header("cache-control"), caching, "{path}");
    }
    let refused = house
        .get("/")
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert!(refused.headers().contains_key("content-security-policy"));
}

#[tokio::test]
async fn the_page_needs_nothing_that_its_policy_forbids() {
    let house = House::demo().await;
    for page in ["/", "/login?token=x"] {
        let html = house.get(page).send().await.unwrap().text().await.unwrap();
        assert!(
            !html.contains("<style") && !html.contains(" style=") && !html.contains(" onclick=")
        );
        assert!(
            !html.contains("http://") && !html.contains("https://"),
            "nothing from elsewhere"
        );
        for script in html.split("<script").skip(1) {
            assert!(
                script.contains("src=\"/assets/") && script.contains("></script>"),
                "{script}"
            );
        }
        for part in html.split("\"/assets/").skip(1) {
            let name = part.split('"').next().unwrap();
            let asset = house.get(&format!("/assets/{name}")).send().await.unwrap();
            assert_eq!(asset.status(), 200, "{name}");
            let etag = asset.headers()["etag"].clone();
            let again = house
                .get(&format!("/assets/{name}"))
                .header("if-none-match", etag);
            assert_eq!(
                again.send().await.unwrap().status(),
                StatusCode::NOT_MODIFIED
            );
        }
    }
    // Modules load each other by relative names; all of them are there.
    let mut wanted = vec!["app.js".to_owned()];
    let mut seen = Vec::new();
    while let Some(name) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        let response = house.get(&format!("/assets/{name}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{name}");
        let text = response.text().await.unwrap();
        wanted.extend(
            text.split("from \"./")
                .skip(1)
                .map(|part| part.split('"').next().unwrap().to_owned()),
        );
        seen.push(name);
    }
    assert!(seen.len() > 8, "{seen:?}");
    assert_eq!(
        house
            .get("/assets/..%2fCargo.toml")
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
}

#[tokio::test]
async fn who_acts_too_fast_is_told_when_to_come_back() {
    let house = House::demo().await;
    let say = async |person: &str, number: usize| {
        let body =
            json!({ "channel": "ops", "text": "x", "client_id": format!("{person}-id-{number}") });
        house
            .post("/api/messages")
            .header("rollbot-act-as", person)
            .json(&body)
            .send()
            .await
            .unwrap()
    };
    for number in 0..30 {
        assert_eq!(say("ana", number).await.status(), 200);
    }
    let refused = say("ana", 30).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(say("ben", 0).await.status(), 200, "others are not held up");
    house.clock.pass(1);
    assert_eq!(say("ana", 31).await.status(), 200);
}

#[tokio::test]
async fn health_is_told_to_machines_under_any_name() {
    let house = House::demo().await;
    let (status, body) = answer(house.get("/readyz").header("host", "10.0.0.7:8700")).await;
    assert_eq!(
        (status, body),
        (
            StatusCode::OK,
            json!({ "ok": true, "details": { "store": "answers" } })
        )
    );
    house.recorder.ok.store(false, Ordering::SeqCst);
    assert_eq!(
        answer(house.get("/readyz")).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(answer(house.get("/healthz")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_address_or_method_is_answered_as_such() {
    let house = House::demo().await;
    let (status, body) = answer(house.get("/api/nothing")).await;
    assert_eq!((status, code(&body)), (StatusCode::NOT_FOUND, "not-found"));
    let (status, body) = answer(house.post("/api/me")).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::METHOD_NOT_ALLOWED, "method")
    );
}
