//! Slash commands, and what the one who typed them sees.

use std::time::Duration;

use rollbot_chat::ChatEvent;
use rollbot_fakes::slack::{OPS, Seen, TEAM_ID};

use crate::house::{House, eventually};

fn command(event: &ChatEvent) -> (String, String, String, String) {
    match event {
        ChatEvent::Command {
            account,
            channel,
            text,
            ..
        } => (
            account.team.clone(),
            account.user.clone(),
            channel.clone(),
            text.clone(),
        ),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_arrives_as_it_was_typed_and_its_answer_is_private() {
    let house = House::open().await;
    house
        .core
        .say("**RB-1 was asked for**\n\nThe plan follows.", true);
    let seen = house
        .fake
        .slash("U0ANA", OPS, "/rollback", "trade reason: a < b & c > d")
        .await;
    assert!(matches!(seen, Seen::Answer(_)), "{seen:?}");
    let acts = house.core.acts();
    assert_eq!(
        command(&acts[0]),
        (
            TEAM_ID.to_owned(),
            "U0ANA".to_owned(),
            OPS.to_owned(),
            "/rollback trade reason: a < b & c > d".to_owned()
        )
    );
    let whispered = house.fake.with(|slack| slack.whispered_to("U0ANA"));
    assert_eq!(whispered.len(), 1);
    assert!(whispered[0].text.contains("RB-1 was asked for"));
    assert!(house.fake.with(|slack| slack.by_bot(OPS)).is_empty());
    house.quiet().await;
}

#[tokio::test]
async fn a_public_answer_is_seen_by_all() {
    let house = House::open().await;
    house.core.say("RB-1 runs", false);
    house.fake.slash("U0ANA", OPS, "/rollbot", "status").await;
    let posted = house.fake.with(|slack| slack.by_bot(OPS));
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].shown().trim(), "RB-1 runs");
}

#[tokio::test]
async fn names_that_slack_resolved_are_what_was_typed() {
    let house = House::open().await;
    let sent = "trade reason: ask <@U0BEN|ben> in <#C0OPS|ops>";
    let seen = house
        .fake
        .slash_as_sent("U0ANA", OPS, "/rollback", sent)
        .await;
    assert_eq!(seen, Seen::Nothing);
    let (_, _, _, text) = command(&house.core.acts()[0]);
    assert_eq!(text, "/rollback trade reason: ask @ben in #ops");
}

#[tokio::test]
async fn a_command_delivered_three_times_has_one_key() {
    let house = House::open().await;
    house.fake.faults(|faults| faults.duplicates = 2);
    house.fake.slash("U0ANA", OPS, "/rollback", "trade").await;
    assert_eq!(
        *house.core.deliveries.lock().unwrap(),
        3 + house.core.connected()
    );
    assert_eq!(house.core.acts().len(), 1);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_given_over_the_response_url() {
    let house = House::open().await;
    house.core.say("RB-1 was asked for", true);
    *house.core.takes.lock().unwrap() = Duration::from_millis(1_700);
    let seen = house.fake.slash("U0ANA", OPS, "/rollback", "trade").await;
    assert_eq!(seen, Seen::Failure("operation_timeout".to_owned()));
    eventually(|| {
        !house
            .fake
            .with(|slack| slack.whispered_to("U0ANA"))
            .is_empty()
    })
    .await;
    assert_eq!(house.fake.calls("chat.postEphemeral"), 0);
}

#[tokio::test]
async fn a_thousand_commands_with_fifty_in_flight_are_all_taken_once() {
    use futures_util::StreamExt as _;
    let house = House::open().await;
    house.core.say("taken", true);
    let fake = &house.fake;
    let seen: Vec<Seen> = futures_util::stream::iter(0..1_000)
        .map(|number| async move {
            let text = format!("trade reason: number {number}");
            fake.slash("U0ANA", OPS, "/rollback", &text).await
        })
        .buffer_unordered(50)
        .collect()
        .await;
    assert!(seen.iter().all(|seen| matches!(seen, Seen::Answer(_))));
    let mut texts: Vec<String> = house
        .core
        .acts()
        .iter()
        .map(|event| command(event).3)
        .collect();
    assert_eq!(texts.len(), 1_000);
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 1_000);
}

#[tokio::test]
async fn no_more_is_worked_on_at_a_time_than_is_allowed() {
    use futures_util::StreamExt as _;
    let house = House::with(crate::house::settings(), |config| config.in_flight = 4).await;
    house.opened(2).await;
    house.core.say("taken", true);
    *house.core.takes.lock().unwrap() = Duration::from_millis(20);
    let fake = &house.fake;
    let seen: Vec<Seen> = futures_util::stream::iter(0..60)
        .map(|number| async move {
            let text = format!("trade reason: number {number}");
            fake.slash("U0ANA", OPS, "/rollback", &text).await
        })
        .buffer_unordered(20)
        .collect()
        .await;
    assert!(seen.iter().all(|seen| matches!(seen, Seen::Answer(_))));
    assert!(house.core.at_once.lock().unwrap().1 <= 4);
    assert_eq!(house.core.acts().len(), 60);
}

#[tokio::test]
async fn a_long_private_answer_arrives_whole_whichever_way_is_left() {
    for uses in [5, 0] {
        let settings = rollbot_fakes::slack::Settings {
            response_url_uses: uses,
            ..crate::house::settings()
        };
        let house = House::with(settings, |_| {}).await;
        house.opened(2).await;
        let paragraph = format!("{}\n\n", "word ".repeat(500));
        house.core.say(&paragraph.repeat(9), true);
        house.fake.slash("U0ANA", OPS, "/rollbot", "history").await;
        let words = || {
            let told = house.fake.with(|slack| slack.whispered_to("U0ANA"));
            let blocks = told
                .iter()
                .map(|one| serde_json::to_string(&one.blocks).unwrap());
            blocks
                .map(|text| text.matches("word").count())
                .sum::<usize>()
        };
        eventually(|| words() == 4_500).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(words(), 4_500, "nothing came twice");
        assert_eq!(house.fake.with(|slack| slack.by_bot(OPS)).len(), 0);
    }
}
