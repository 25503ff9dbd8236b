//! When Slack does not do as it should.

use std::time::{Duration, Instant};

use rollbot_chat::{ChatPlatform as _, Connection, SendError};
use rollbot_fakes::slack::{Fault, OPS, Settings};

use crate::house::{House, approval, eventually, outgoing, settings};

#[tokio::test]
async fn a_limit_holds_back_its_own_channel_only_and_for_as_long_as_slack_says() {
    let house = House::open().await;
    house
        .fake
        .with(|slack| slack.add_channel("C0WAR", "war-room"));
    house
        .fake
        .faults(|faults| faults.next("chat.postMessage", Fault::RateLimited(2)));
    let limited = house.slack.post(&outgoing("m-1", "one")).await.unwrap_err();
    assert!(
        matches!(limited, SendError::Again { after: Some(after), .. } if after == Duration::from_secs(2)),
        "{limited:?}"
    );
    let elsewhere = rollbot_chat::Outgoing {
        channel: "C0WAR".to_owned(),
        ..outgoing("m-2", "two")
    };
    house.slack.post(&elsewhere).await.unwrap();
    let asked = house.fake.calls("chat.postMessage");
    let begin = Instant::now();
    while let Err(error) = house.slack.post(&outgoing("m-1", "one")).await {
        assert!(matches!(error, SendError::Again { .. }), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    assert!(begin.elapsed() > Duration::from_millis(1_500));
    assert_eq!(
        house.fake.calls("chat.postMessage"),
        asked + 1,
        "nothing was asked in between"
    );
}

#[tokio::test]
async fn many_messages_at_once_stay_within_the_limit_of_a_channel() {
    let house = House::with(
        Settings {
            post_rate: Some((1.0, 4.0)),
            ..settings()
        },
        |_| {},
    )
    .await;
    for number in 0..6 {
        house
            .slack
            .post(&outgoing(&format!("m-{number}"), "text"))
            .await
            .unwrap();
    }
    let refused = house.fake.with(|slack| {
        let calls = slack.calls.iter();
        calls.filter(|call| call.answered == "ratelimited").count()
    });
    assert_eq!(refused, 0);
}

#[tokio::test]
async fn a_revoked_token_ends_all_calls_at_once() {
    let house = House::open().await;
    house
        .fake
        .with(|slack| slack.token_trouble = Some("token_revoked".to_owned()));
    let before = house.fake.with(|slack| slack.calls.len());
    for number in 0..50 {
        let refused = house
            .slack
            .post(&outgoing(&format!("m-{number}"), "x"))
            .await
            .unwrap_err();
        assert!(matches!(refused, SendError::Unauthorised(_)), "{refused:?}");
    }
    house.fake.drop_sockets();
    eventually(|| matches!(house.slack.connection(), Connection::GivenUp { .. })).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = house.fake.with(|slack| slack.calls.len()) - before;
    assert!(asked < 10, "{asked} requests with a token that is no good");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let house = House::open().await;
    let refused = async |channel: &str| {
        let message = rollbot_chat::Outgoing {
            channel: channel.to_owned(),
            ..outgoing("m-1", "x")
        };
        match house.slack.post(&message).await.unwrap_err() {
            SendError::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("C0NONE").await.contains("check the id"));
    house.fake.with(|slack| {
        slack.add_channel("C0OUT", "outside");
        let channel = slack.channels.get_mut("C0OUT").unwrap();
        channel.members.remove(rollbot_fakes::slack::BOT_USER);
        slack.add_channel("C0OLD", "old");
        slack.channels.get_mut("C0OLD").unwrap().archived = true;
    });
    assert!(refused("C0OUT").await.contains("/invite @rollbot"));
    assert!(refused("C0OLD").await.contains("archived"));
    house.fake.with(|slack| slack.scopes.remove("chat:write"));
    assert!(
        refused(OPS)
            .await
            .contains("the scope chat:write is missing")
    );
}

#[tokio::test]
async fn trouble_upstream_is_tried_again() {
    let house = House::with(settings(), |config| {
        config.call_deadline = Duration::from_millis(300);
    })
    .await;
    house.opened(2).await;
    for fault in [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Error("internal_error".to_owned()),
        Fault::Slow(Duration::from_millis(600)),
        Fault::LostAnswer,
    ] {
        house
            .fake
            .faults(|faults| faults.next("chat.postMessage", fault.clone()));
        let error = house.slack.post(&outgoing("m-1", "x")).await.unwrap_err();
        assert!(
            matches!(error, SendError::Again { .. }),
            "{fault:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn after_a_lost_answer_the_message_is_found_and_not_sent_again() {
    let house = House::open().await;
    house
        .fake
        .faults(|faults| faults.next("chat.postMessage", Fault::LostAnswer));
    house.slack.post(&approval("a-1")).await.unwrap_err();
    for number in 0..250 {
        house.fake.write("U0ANA", OPS, &format!("chatter {number}"));
    }
    let found = house.slack.find(OPS, "a-1").await.unwrap();
    let posted = house.fake.with(|slack| slack.by_bot(OPS));
    assert_eq!(posted.len(), 1);
    assert_eq!(found.as_deref(), Some(posted[0].ts.as_str()));
    assert_eq!(house.slack.find(OPS, "a-2").await.unwrap(), None);
    // The next edit offers the reactions that the lost answer kept from being offered.
    house
        .slack
        .edit(&posted[0].ts, &approval("a-1"))
        .await
        .unwrap();
    let offered = house
        .fake
        .with(|slack| slack.message(OPS, &posted[0].ts).unwrap().reactions.len());
    assert_eq!(offered, 2);
}

#[tokio::test]
async fn a_reply_in_a_thread_is_found_as_well() {
    let house = House::open().await;
    let parent = house.slack.post(&outgoing("m-1", "parent")).await.unwrap();
    house
        .fake
        .faults(|faults| faults.next("chat.postMessage", Fault::LostAnswer));
    let reply = rollbot_chat::Outgoing {
        thread_of: Some(parent.clone()),
        ..outgoing("m-2", "reply")
    };
    house.slack.post(&reply).await.unwrap_err();
    let found = house.slack.find(OPS, "m-2").await.unwrap().unwrap();
    let reply = house
        .fake
        .with(|slack| slack.message(OPS, &found).cloned().unwrap());
    assert_eq!(reply.thread_ts.as_deref(), Some(parent.as_str()));
}

#[tokio::test]
async fn a_socket_that_is_refused_for_good_is_given_up_after_a_few_tries() {
    let house = House::with(settings(), |_| {}).await;
    house.fake.with(|slack| slack.app_scopes.clear());
    house.fake.drop_sockets();
    eventually(|| matches!(house.slack.connection(), Connection::GivenUp { .. })).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = house.fake.with(|slack| {
        let calls = slack.calls.iter();
        calls
            .filter(|call| call.answered == "missing_scope")
            .count()
    });
    assert!(refused < 10, "{refused}");
}
