use std::time::{Duration, Instant};

use rollbot_chat::{ChatEvent, ChatPlatform as _, Connection, SendError};
use rollbot_chat_discord::Deadlines;
use serde_json::json;

use crate::house::House;

fn trade() -> serde_json::Value {
    json!([{"name": "service", "type": 3, "value": "trade"}])
}

#[tokio::test]
async fn a_lost_connection_is_resumed_and_nothing_is_missed() {
    let house = House::open().await;
    house.fake.drop_connections();
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house
        .until("a resumption", |house| house.fake.gateway_counts().1 == 1)
        .await;
    house.answered(id).await;
    house
        .until("the news", |house| house.ears.connections() == 2)
        .await;
    assert_eq!(house.fake.gateway_counts().0, 1);
    assert_eq!(house.ears.lines(), ["/rollback trade"]);
    house.close().await;
}

#[tokio::test]
async fn a_refused_resumption_begins_a_new_session() {
    let house = House::open().await;
    house.fake.gateway(|faults| faults.refuse_resume = true);
    house.fake.drop_connections();
    house
        .until("a new session", |house| {
            house.fake.gateway_counts().0 == 2 && house.ears.connections() == 2
        })
        .await;
    assert_eq!(house.discord.connection(), Connection::Up);
    house.fake.forget_sessions();
    house
        .until("another one", |house| {
            house.fake.gateway_counts().0 == 3 && house.ears.connections() == 3
        })
        .await;
    house.close().await;
}

#[tokio::test]
async fn a_connection_is_left_when_discord_asks_and_closed_ones_come_back() {
    let house = House::open().await;
    house.fake.ask_to_reconnect();
    house
        .until("a resumption", |house| house.ears.connections() == 2)
        .await;
    for (round, code) in [(3, 4000), (4, 4009), (5, 1001)] {
        house.fake.close_connections(code);
        house
            .until("a connection", |house| house.ears.connections() == round)
            .await;
    }
    let (identifies, resumes, _) = house.fake.gateway_counts();
    // A session that timed out cannot be resumed.
    assert_eq!((identifies, resumes), (2, 3));
    house.close().await;
}

#[tokio::test]
async fn a_dead_connection_is_noticed_and_replaced() {
    let house = House::open_with(|config| {
        config.deadlines.heartbeat = Duration::from_millis(200);
        config.deadlines.acknowledgement = Duration::from_millis(200);
    })
    .await;
    house
        .until("heartbeats", |house| house.fake.heartbeats() > 2)
        .await;
    assert_eq!(house.fake.gateway_counts().2, 1);
    house.fake.gateway(|faults| faults.silent = true);
    let since = Instant::now();
    house
        .until("notice", |house| {
            house.discord.connection() != Connection::Up
        })
        .await;
    assert!(
        since.elapsed() < Duration::from_secs(1),
        "{:?}",
        since.elapsed()
    );
    house.fake.gateway(|faults| faults.silent = false);
    house.until("a connection", House::is_up).await;
    house
        .until("the news", |house| house.ears.connections() == 2)
        .await;
    house.close().await;
}

#[test]
fn the_defaults_notice_a_dead_connection_within_thirty_seconds() {
    let deadlines = Deadlines::default();
    let worst = deadlines.heartbeat + deadlines.acknowledgement;
    assert!(worst < Duration::from_secs(30), "{worst:?}");
    assert!(deadlines.interaction < Duration::from_secs(3));
}

#[tokio::test]
async fn an_outage_is_waited_out() {
    let mut house = House::quiet(|config| {
        config.deadlines.connect = Duration::from_millis(300);
    })
    .await;
    house.fake.gateway(|faults| faults.refuse = true);
    house.run();
    house
        .until("attempts", |house| house.fake.gateway_counts().2 >= 3)
        .await;
    let Connection::Down { why } = house.discord.connection() else {
        panic!("not down");
    };
    assert!(!why.is_empty());
    house.fake.gateway(|faults| {
        faults.refuse = false;
        faults.hang = true;
    });
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(matches!(
        house.discord.connection(),
        Connection::Down { .. }
    ));
    house.fake.gateway(|faults| faults.hang = false);
    house.until("the connection", House::is_up).await;
    assert_eq!(house.fake.invalid_requests(), 0);
    house.close().await;
}

#[tokio::test]
async fn a_revoked_token_ends_it_and_nothing_is_sent_any_more() {
    let house = House::open().await;
    house.fake.revoke_token();
    house
        .until("giving up", |house| {
            matches!(house.discord.connection(), Connection::GivenUp { .. })
        })
        .await;
    let requests = house.fake.requests().len();
    let message = house.outgoing("one", "notice", "text");
    for _ in 0..20 {
        let sent = house.discord.post(&message).await;
        assert!(matches!(sent, Err(SendError::Unauthorised(_))), "{sent:?}");
    }
    assert_eq!(house.fake.requests().len(), requests);
    assert!(house.fake.invalid_requests() < 10);
    let Connection::GivenUp { why } = house.discord.connection() else {
        panic!("not given up");
    };
    assert!(why.contains("refuses the bot's token") && !why.contains(house.fake.token()));
}

#[tokio::test]
async fn a_wrong_token_costs_few_requests() {
    let mut house = House::quiet(|config| config.token = "wrong".to_owned()).await;
    house.run();
    house
        .until("giving up", |house| {
            matches!(house.discord.connection(), Connection::GivenUp { .. })
        })
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        house.fake.invalid_requests() <= 3,
        "{}",
        house.fake.invalid_requests()
    );
    assert!(!format!("{:?}", house.discord).contains("wrong"));
}

#[tokio::test]
async fn refused_intents_end_it_in_words() {
    let mut house = House::quiet(|_| {}).await;
    house
        .fake
        .gateway(|faults| faults.close_identify = Some(4014));
    house.run();
    house
        .until("giving up", |house| {
            matches!(house.discord.connection(), Connection::GivenUp { .. })
        })
        .await;
    let Connection::GivenUp { why } = house.discord.connection() else {
        panic!("not given up");
    };
    assert!(why.contains("intents"), "{why}");
}

#[tokio::test]
async fn events_that_come_twice_or_out_of_order_keep_their_keys() {
    let house = House::open().await;
    let message = house.outgoing(
        "a",
        "approval",
        "**RB-1 · rollback of trade**\n\ntext\nPlan x",
    );
    let id: u64 = house.discord.post(&message).await.unwrap().parse().unwrap();
    house.fake.gateway(|faults| faults.duplicates = 1);
    house.fake.react(house.ana, house.channel, id, "✅");
    house.fake.unreact(house.ana, house.channel, id, "✅");
    house.fake.react(house.ana, house.channel, id, "✅");
    house
        .until("six deliveries", |house| house.ears.acts().len() == 6)
        .await;
    let mut keys: Vec<(String, bool)> = house
        .ears
        .acts()
        .into_iter()
        .map(|event| match event {
            ChatEvent::Reaction { key, on, .. } => (key.as_str().to_owned(), on),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys[0], keys[1]);
    keys.dedup();
    assert_eq!(keys.len(), 3);
    let on: Vec<bool> = keys.iter().map(|(_, on)| *on).collect();
    assert_eq!(on, [true, false, true]);
    house.close().await;
}

#[tokio::test]
async fn events_out_of_order_are_taken_in_all_the_same() {
    let house = House::open().await;
    house.fake.gateway(|faults| faults.reorder = true);
    let ids: Vec<u64> = (0..4)
        .map(|_| {
            house
                .fake
                .command(house.ana, house.channel, "rollback", &trade())
        })
        .collect();
    for id in ids {
        house.answered(id).await;
    }
    assert_eq!(house.ears.lines().len(), 4);
    house.close().await;
}

#[tokio::test]
async fn a_hundred_commands_at_once_are_all_answered() {
    let house = House::open().await;
    house.ears.say("done", true);
    let ids: Vec<u64> = (0..100)
        .map(|_| {
            house
                .fake
                .command(house.ana, house.channel, "rollback", &trade())
        })
        .collect();
    for id in ids {
        house.answered(id).await;
        assert_eq!(house.fake.answers(id)[0].content, "done");
    }
    house.close().await;
}
