use reqwest::StatusCode;
use rollbot_chat_console::{Access, ConfigError, Console, ConsoleConfig, LoginError};
use rollbot_core::PersonId;
use rollbot_core::approval::People;
use serde_json::{Value, json};

use crate::house::{House, answer, code, demo, people};

async fn me(house: &House, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut request = house.get("/api/me");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

#[tokio::test]
async fn in_the_demo_the_request_says_whom_it_acts_as() {
    let house = House::demo().await;
    let (_, body) = me(&house, &[]).await;
    assert_eq!(
        (&body["person"]["id"], &body["access"]),
        (&json!("ana"), &json!("demo"))
    );
    assert_eq!(
        me(&house, &[("rollbot-act-as", "ben")]).await.1["person"]["id"],
        "ben"
    );
    let (_, body) = answer(house.get("/api/me?as=cleo")).await;
    assert_eq!(body["person"]["name"], "Cleo Marchetti");
    let (status, body) = me(&house, &[("rollbot-act-as", "mallory")]).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::FORBIDDEN, "not-in-demo")
    );
    let (_, body) = house.get_as("ana", "/api/people").await;
    assert_eq!(body["people"].as_array().unwrap().len(), 3);
    // The cookie is for pages that do not say; what the request says goes first.
    let response = house
        .post("/api/act-as")
        .json(&json!({ "person": "ben" }))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(
        me(&house, &[("cookie", cookie)]).await.1["person"]["id"],
        "ben"
    );
    let both = [("cookie", cookie), ("rollbot-act-as", "cleo")];
    assert_eq!(me(&house, &both).await.1["person"]["id"], "cleo");
    let (status, _) = house
        .post_as("ana", "/api/act-as", json!({ "person": "mallory" }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn acting_as_somebody_else_is_refused_outside_the_demo() {
    let proxy = Access::TrustedHeader {
        header: "x-user".to_owned(),
        from: vec!["127.0.0.1".parse().unwrap()],
    };
    for access in [Access::Login, proxy] {
        let house = House::open(access, None).await;
        let known = [("x-user", "ana"), ("rollbot-act-as", "ben")];
        let (status, body) = me(&house, &known).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::FORBIDDEN, "only-in-demo")
        );
        let (status, _) = answer(house.get("/api/me?as=ben").header("x-user", "ana")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let (status, _) = answer(house.post("/api/act-as").json(&json!({ "person": "ben" }))).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        let (status, _) = answer(house.get("/api/people")).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        // The demo's cookie means nothing here.
        let (status, body) = me(&house, &[("cookie", "rollbot_act_as=ben")]).await;
        assert_eq!(
            (status, code(&body)),
            (StatusCode::UNAUTHORIZED, "not-logged-in")
        );
    }
}

fn token(link: &str) -> &str {
    link.split_once("token=").unwrap().1
}

async fn log_in(house: &House, token: &str) -> (StatusCode, Option<String>) {
    let form = format!("token={token}");
    let response = house
        .post("/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    let cookie = response
        .headers()
        .get("set-cookie")
        .map(|c| c.to_str().unwrap().to_owned());
    (response.status(), cookie)
}

#[tokio::test]
async fn a_login_link_works_once_and_makes_a_session() {
    let house = House::open(Access::Login, None).await;
    let (status, body) = me(&house, &[]).await;
    assert_eq!(
        (status, code(&body)),
        (StatusCode::UNAUTHORIZED, "not-logged-in")
    );
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    assert!(
        link.starts_with(&format!("{}/login?token=", house.origin())),
        "{link}"
    );
    // Looking at it uses nothing up: programs that preview links do that.
    for _ in 0..2 {
        let page = house
            .get(&format!("/login?token={}", token(&link)))
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers().get("set-cookie").is_none());
        assert!(page.text().await.unwrap().contains("Ana Lindqvist"));
    }
    let (status, cookie) = log_in(&house, token(&link)).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("rollbot_session="), "{cookie}");
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let session = cookie.split(';').next().unwrap();
    let (status, body) = me(&house, &[("cookie", session)]).await;
    assert_eq!(
        (status, &body["person"]["id"]),
        (StatusCode::OK, &json!("ana"))
    );
    let (status, cookie) = log_in(&house, token(&link)).await;
    assert_eq!((status, cookie), (StatusCode::GONE, None));
    // The secret of a link is not that of a session, nor the other way round.
    let link = house.console.login_link(&"ben".into()).await.unwrap();
    let forged = format!("rollbot_session={}", token(&link));
    assert_eq!(
        me(&house, &[("cookie", &forged)]).await.0,
        StatusCode::UNAUTHORIZED
    );
    let secret = session.split_once('=').unwrap().1;
    assert_eq!(log_in(&house, secret).await.0, StatusCode::GONE);
    // Neither is in the store.
    let bytes = std::fs::read(house.store.path()).unwrap();
    let wal = std::fs::read(house.store.path().with_extension("db-wal")).unwrap_or_default();
    for secret in [secret, token(&link)] {
        let needle = secret.as_bytes();
        for kept in [&bytes, &wal] {
            assert!(!kept.windows(needle.len()).any(|window| window == needle));
        }
    }
    let (status, _) = answer(house.post("/api/logout").header("cookie", session)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        me(&house, &[("cookie", session)]).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_link_used_twice_at_once_logs_in_once() {
    let house = House::open(Access::Login, None).await;
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    let (one, two) = tokio::join!(log_in(&house, token(&link)), log_in(&house, token(&link)));
    let mut states = [one.0.as_u16(), two.0.as_u16()];
    states.sort_unstable();
    assert_eq!(states, [303, 410]);
}

#[tokio::test]
async fn links_and_sessions_end_with_their_time() {
    let house = House::open(Access::Login, None).await;
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    house.clock.pass(15 * 60 + 1);
    assert_eq!(log_in(&house, token(&link)).await.0, StatusCode::GONE);
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    let cookie = log_in(&house, token(&link)).await.1.unwrap();
    let session = cookie.split(';').next().unwrap();
    house.clock.pass(12 * 3600 - 1);
    assert_eq!(me(&house, &[("cookie", session)]).await.0, StatusCode::OK);
    house.clock.pass(2);
    assert_eq!(
        me(&house, &[("cookie", session)]).await.0,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn who_is_not_in_people_toml_cannot_log_in_and_who_left_it_is_out() {
    let house = House::open(Access::Login, None).await;
    assert_eq!(
        house.console.login_link(&"eve".into()).await,
        Err(LoginError::Stranger(PersonId::from("eve")))
    );
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    let open = house.console.login_link(&"ana".into()).await.unwrap();
    let cookie = log_in(&house, token(&link)).await.1.unwrap();
    let session = cookie.split(';').next().unwrap();
    let folder = house.close().await.unwrap();
    let without_ana = People::new(people().iter().filter(|p| p.id.0 != "ana").cloned()).unwrap();
    let house = House::at(folder.path(), Access::Login, None, without_ana).await;
    assert_eq!(
        me(&house, &[("cookie", session)]).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(log_in(&house, token(&open)).await.0, StatusCode::GONE);
}

#[tokio::test]
async fn over_https_cookies_are_for_https_and_this_host_only() {
    let house = House::open(Access::Login, Some("https://ops.example.org")).await;
    let link = house.console.login_link(&"ana".into()).await.unwrap();
    assert!(
        link.starts_with("https://ops.example.org/login?token="),
        "{link}"
    );
    let response = house
        .bare(reqwest::Method::POST, "/login")
        .header("host", "ops.example.org")
        .header("origin", "https://ops.example.org")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("token={}", token(&link)))
        .send()
        .await
        .unwrap();
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-rollbot_session=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    // The same site without encryption is another origin.
    let (status, _) = answer(
        house
            .bare(reqwest::Method::POST, "/login")
            .header("host", "ops.example.org")
            .header("origin", "http://ops.example.org"),
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_name_given_by_a_proxy_is_believed_from_its_address_only() {
    let from = |network: &str| Access::TrustedHeader {
        header: "X-Auth-Email".to_owned(),
        from: vec![network.parse().unwrap()],
    };
    let house = House::open(from("127.0.0.0/8"), None).await;
    for (name, person) in [("ana", "ana"), ("ANA@example.org", "ana"), (" ben ", "ben")] {
        let (status, body) = me(&house, &[("x-auth-email", name)]).await;
        assert_eq!(
            (status, &body["person"]["id"]),
            (StatusCode::OK, &json!(person)),
            "{name}"
        );
        assert_eq!(body["access"], "proxy");
    }
    let nobody: &[&[(&str, &str)]] = &[
        &[],
        &[("x-auth-email", "")],
        &[("x-auth-email", "eve@example.org")],
        // Two people have it, so it tells nobody.
        &[("x-auth-email", "shared@example.org")],
        // One of the two may be the visitor's own.
        &[("x-auth-email", "ana"), ("x-auth-email", "ben")],
    ];
    for headers in nobody {
        assert_eq!(
            me(&house, headers).await.0,
            StatusCode::UNAUTHORIZED,
            "{headers:?}"
        );
    }
    let house = House::open(from("10.0.0.0/8"), None).await;
    assert_eq!(
        me(&house, &[("x-auth-email", "ana")]).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        house.console.login_link(&"ana".into()).await,
        Err(LoginError::NotByLink)
    );
}

#[tokio::test]
async fn a_setup_that_would_let_anybody_in_is_refused() {
    let house = House::demo().await;
    let with = |change: &dyn Fn(&mut ConsoleConfig)| {
        let mut config = house.console.config().clone();
        change(&mut config);
        Console::new(
            config,
            std::sync::Arc::clone(&house.store) as _,
            people(),
            std::sync::Arc::clone(&house.clock) as _,
        )
        .err()
    };
    assert_eq!(with(&|_| {}), None);
    let everywhere = "0.0.0.0:8700".parse().unwrap();
    assert_eq!(
        with(&|config| config.listen = everywhere),
        Some(ConfigError::DemoInPublic(everywhere))
    );
    assert_eq!(
        with(&|config| config.access = Access::Demo {
            people: vec!["eve".into()]
        }),
        Some(ConfigError::Stranger("eve".into()))
    );
    assert_eq!(
        with(&|config| {
            config.access = Access::TrustedHeader {
                header: "x-user".to_owned(),
                from: Vec::new(),
            };
        }),
        Some(ConfigError::TrustsNobody)
    );
    assert_eq!(
        with(&|config| config.channels.clear()),
        Some(ConfigError::NoChannel)
    );
    assert_eq!(
        with(&|config| config.channels[0].name = "Ops room".to_owned()),
        Some(ConfigError::ChannelName("Ops room".to_owned()))
    );
    assert_eq!(house.console.config().access, demo());
}
