//! Sockets: two that overlap, noticed when dead, opened again.

use std::time::{Duration, Instant};

use rollbot_chat::{ChatPlatform as _, Connection};
use rollbot_fakes::slack::{OPS, Seen};

use crate::house::{House, eventually, settings};

#[tokio::test]
async fn it_is_connected_once_two_sockets_are_open() {
    let house = House::open().await;
    assert_eq!(house.core.connected(), 1);
    assert_eq!(house.slack.connection(), Connection::Up);
}

#[tokio::test]
async fn nothing_is_missed_while_sockets_rotate_one_after_the_other() {
    let house = House::open().await;
    house.core.say("taken", true);
    let before = house.fake.sockets_ever();
    let rotation = async {
        for _ in 0..3 {
            let oldest = house.fake.socket_ids()[0];
            house.fake.rotate(oldest).await;
        }
    };
    let typing = async {
        let mut taken = 0;
        for number in 0..60 {
            let seen = house
                .fake
                .slash(
                    "U0ANA",
                    OPS,
                    "/rollback",
                    &format!("trade reason: {number}"),
                )
                .await;
            assert!(matches!(seen, Seen::Answer(_)), "{number}: {seen:?}");
            taken += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        taken
    };
    let ((), taken) = tokio::join!(rotation, typing);
    assert_eq!(house.core.acts().len(), taken);
    assert!(house.fake.sockets_ever() >= before + 3);
    assert_eq!(house.core.connected(), 1, "there was no gap to tell of");
    house.opened(2).await;
    house.quiet().await;
}

#[tokio::test]
async fn both_sockets_rotating_at_once_leave_no_gap() {
    let house = House::open().await;
    house.core.say("taken", true);
    let ids = house.fake.socket_ids();
    let typing = async {
        for number in 0..30 {
            let seen = house
                .fake
                .slash("U0ANA", OPS, "/rollback", &format!("{number}"))
                .await;
            assert!(matches!(seen, Seen::Answer(_)), "{number}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(house.fake.rotate(ids[0]), house.fake.rotate(ids[1]), typing);
    assert_eq!(house.core.acts().len(), 30);
    assert_eq!(house.core.connected(), 1);
}

#[tokio::test]
async fn after_all_sockets_broke_it_is_connected_anew_and_says_so() {
    let house = House::open().await;
    house.fake.faults(|faults| faults.refuse_sockets = true);
    house.fake.drop_sockets();
    eventually(|| matches!(house.slack.connection(), Connection::Down { .. })).await;
    house.fake.faults(|faults| faults.refuse_sockets = false);
    eventually(|| house.core.connected() == 2).await;
    house.opened(2).await;
    assert_eq!(house.slack.connection(), Connection::Up);
    let seen = house.fake.slash("U0ANA", OPS, "/rollbot", "status").await;
    assert_eq!(seen, Seen::Nothing);
}

#[tokio::test]
async fn an_event_of_the_time_without_sockets_arrives_afterwards() {
    let house = House::open().await;
    let ts = house
        .slack
        .post(&crate::house::approval("a-1"))
        .await
        .unwrap();
    house.fake.faults(|faults| faults.refuse_sockets = true);
    house.fake.drop_sockets();
    eventually(|| house.fake.open_sockets() == 0).await;
    house.fake.react("U0BEN", OPS, &ts, "x").unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    house.fake.faults(|faults| faults.refuse_sockets = false);
    house.quiet().await;
    assert_eq!(house.core.acts().len(), 1);
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_noticed_and_replaced() {
    let house = House::open().await;
    let before = house.fake.sockets_ever();
    house.fake.faults(|faults| faults.hang_sockets = true);
    let begin = Instant::now();
    eventually(|| house.slack.connection() != Connection::Up).await;
    // The configured 600 ms, and the pings' interval; by default 24 s.
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    house.fake.faults(|faults| faults.hang_sockets = false);
    eventually(|| house.core.connected() == 2).await;
    eventually(|| house.fake.sockets_ever() >= before + 2).await;
}

#[tokio::test]
async fn by_default_a_dead_socket_is_noticed_within_thirty_seconds() {
    let config = rollbot_chat_slack::SlackConfig::socket_mode("xoxb-x", "xapp-x");
    let tick = config.ping_every.min(Duration::from_secs(1));
    assert!(config.dead_after + tick < Duration::from_secs(30));
    assert!(
        config.ping_every * 2 < config.dead_after,
        "a lost ping is not yet a death"
    );
}

#[tokio::test]
async fn switched_off_socket_mode_is_given_up_and_said() {
    let house = House::open().await;
    house.fake.switch_off_socket_mode();
    eventually(|| matches!(house.slack.connection(), Connection::GivenUp { .. })).await;
    let opened = house.fake.calls("apps.connections.open");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(house.fake.calls("apps.connections.open"), opened);
}

#[tokio::test]
async fn what_is_not_understood_is_acknowledged_and_harms_nothing() {
    let house = House::open().await;
    for frame in [
        serde_json::json!({"type": "new_thing", "envelope_id": "e1", "payload": {}}),
        serde_json::json!({"type": "interactive", "envelope_id": "e2", "payload": {"type": "?"}}),
        serde_json::json!({"type": "events_api", "envelope_id": "e3", "payload": 7}),
        serde_json::json!("text"),
        serde_json::json!({"no": "type"}),
    ] {
        assert!(house.fake.send_raw(frame));
    }
    let seen = house.fake.slash("U0ANA", OPS, "/rollbot", "status").await;
    assert_eq!(seen, Seen::Nothing);
    assert_eq!(house.fake.open_sockets(), 2);
}

#[tokio::test]
async fn at_the_end_what_was_begun_is_acknowledged() {
    let mut house = House::with(settings(), |_| {}).await;
    house.opened(2).await;
    house.core.say("taken", true);
    *house.core.takes.lock().unwrap() = Duration::from_millis(300);
    let fake = &house.fake;
    let end = house.end.take().unwrap();
    let ending = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        end.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(fake.slash("U0ANA", OPS, "/rollback", "trade"), ending);
    assert!(matches!(seen, Seen::Answer(_)), "{seen:?}");
    tokio::time::timeout(Duration::from_secs(5), house.running)
        .await
        .unwrap()
        .unwrap();
    eventually(|| fake.open_sockets() == 0).await;
}
