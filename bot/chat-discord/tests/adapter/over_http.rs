use std::sync::Arc;

use rollbot_chat_discord::{ConfigError, Discord, Mode};
use rollbot_fakes::discord::Outcome;
use serde_json::json;

use crate::house::House;

async fn over_http() -> House {
    let mut house = House::quiet(|_| {}).await;
    let key = house.fake.public_key();
    let config = crate::house::config(&house.fake, |config| {
        config.mode = Mode::Http { public_key: key };
    });
    house.discord = Discord::new(config).unwrap();
    let router = house.discord.router(Arc::clone(&house.ears) as _);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    house
        .fake
        .set_endpoint(&format!("http://{address}/discord/interactions"));
    house
}

fn trade() -> serde_json::Value {
    json!([{"name": "service", "type": 3, "value": "trade"}])
}

#[tokio::test]
async fn a_signed_interaction_is_answered_in_the_response() {
    let house = over_http().await;
    house.ears.say("Asked for.", true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    let outcome = house.answered(id).await;
    assert!(
        matches!(outcome, Outcome::Answered { kind: 4, .. }),
        "{outcome:?}"
    );
    assert_eq!(house.fake.answers(id)[0].only_for, Some(house.ana));
    assert_eq!(house.ears.lines(), ["/rollback trade"]);
    house
        .ears
        .say(&"A sentence of some length.\n\n".repeat(150), true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    house
        .until("the rest", |house| house.fake.answers(id).len() == 3)
        .await;
    house.close().await;
}

#[tokio::test]
async fn a_forged_interaction_is_refused_and_does_nothing() {
    let house = over_http().await;
    house
        .fake
        .forged_command(house.ana, house.channel, "rollback", &trade());
    house
        .until("a refusal", |house| house.fake.endpoint_status() == 401)
        .await;
    assert!(house.ears.events().is_empty());
    house.fake.ping_endpoint(true);
    house.fake.ping_endpoint(false);
    house
        .until("a pong", |house| house.fake.endpoint_status() == 200)
        .await;
    house.close().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_at_start() {
    let house = House::quiet(|_| {}).await;
    let config = crate::house::config(&house.fake, |config| {
        config.mode = Mode::Http {
            public_key: "abc".to_owned(),
        };
    });
    assert_eq!(Discord::new(config).err(), Some(ConfigError::BadKey));
}
