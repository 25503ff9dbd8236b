use std::time::Duration;

use rollbot_fakes::discord::{Fault, FaultKind, Outcome};
use serde_json::json;

use crate::house::House;

fn trade() -> serde_json::Value {
    json!([{"name": "service", "type": 3, "value": "trade"}])
}

#[tokio::test]
async fn a_private_answer_is_seen_by_the_one_who_asked() {
    let house = House::open().await;
    house
        .ears
        .say("**RB-17 was asked for**\n\nThe plan follows.", true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    let answers = house.fake.answers(id);
    assert_eq!(answers[0].only_for, Some(house.ana));
    assert_eq!(
        answers[0].content,
        "**RB-17 was asked for**\n\nThe plan follows."
    );
    house.ears.say("for all", false);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    assert_eq!(house.fake.answers(id)[0].only_for, None);
    house.close().await;
}

#[tokio::test]
async fn the_answer_comes_after_the_record_and_within_three_seconds() {
    let house = House::open().await;
    *house.ears.thinks.lock().unwrap() = Duration::from_secs(2);
    house.ears.say("late, but in time", true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    let outcome = house.answered(id).await;
    assert!(
        matches!(outcome, Outcome::Answered { kind: 4, .. }),
        "{outcome:?}"
    );
    let took = house.fake.answered_after(id).unwrap();
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(3),
        "{took:?}"
    );
    house.close().await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_not_given_twice() {
    let house = House::open().await;
    house.ears.say("once", true);
    house
        .fake
        .fault(Fault::once("POST", "/callback", FaultKind::LostAnswer));
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    house
        .until("a second attempt", |house| {
            house.fake.count("POST", "/callback") == 2
        })
        .await;
    assert_eq!(house.fake.answers(id).len(), 1);
    assert!(house.fake.direct_messages(house.ana).is_empty());
    house.close().await;
}

#[tokio::test]
async fn a_server_error_is_tried_again_in_time() {
    let house = House::open().await;
    house.ears.say("after all", true);
    house
        .fake
        .fault(Fault::once("POST", "/callback", FaultKind::ServerError).times(2));
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    assert_eq!(house.fake.answers(id)[0].content, "after all");
    house.close().await;
}

#[tokio::test]
async fn an_answer_that_is_too_late_comes_another_way() {
    let house = House::open().await;
    *house.ears.thinks.lock().unwrap() = Duration::from_millis(300);
    house.ears.say("for ana", true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.fake.age_interaction(id, Duration::from_secs(5));
    house
        .until("a direct message", |house| {
            !house.fake.direct_messages(house.ana).is_empty()
        })
        .await;
    assert_eq!(house.fake.direct_messages(house.ana)[0].content, "for ana");
    house.ears.say("for all", false);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.fake.age_interaction(id, Duration::from_secs(5));
    house
        .until("a message", |house| {
            !house.fake.messages(house.channel).is_empty()
        })
        .await;
    assert_eq!(house.fake.messages(house.channel)[0].content, "for all");
    house.close().await;
}

#[tokio::test]
async fn nothing_to_say_is_a_short_private_word() {
    let house = House::open().await;
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    let answers = house.fake.answers(id);
    assert_eq!(
        (answers[0].content.as_str(), answers[0].only_for),
        ("Noted.", Some(house.ana))
    );
    house.close().await;
}

#[tokio::test]
async fn a_long_answer_is_split_and_a_very_long_one_becomes_a_file() {
    let house = House::open().await;
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
    let answers = house.fake.answers(id);
    assert!(
        answers
            .iter()
            .all(|answer| answer.only_for == Some(house.ana))
    );
    let long = format!(
        "```\n{}\n```",
        "a line of a long listing\n".repeat(600).trim_end()
    );
    house.ears.say(&long, true);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    house
        .until("the file", |house| house.fake.answers(id).len() == 2)
        .await;
    let answers = house.fake.answers(id);
    assert!(
        answers[0]
            .content
            .ends_with("the whole text is in the attached file.")
    );
    assert_eq!(answers[0].readings[0].code.len(), 1);
    assert_eq!(answers[1].files[0].0, "answer.md");
    assert_eq!(answers[1].files[0].1.matches("a line of").count(), 600);
    house.close().await;
}

#[tokio::test]
async fn more_than_fits_is_turned_away_in_words() {
    let house = House::open_with(|config| {
        config.most_in_flight = 2;
        config.deadlines.queue = Duration::from_millis(200);
    })
    .await;
    house.ears.say("done", true);
    *house.ears.thinks.lock().unwrap() = Duration::from_secs(1);
    let ids: Vec<u64> = (0..5)
        .map(|_| {
            house
                .fake
                .command(house.ana, house.channel, "rollback", &trade())
        })
        .collect();
    let mut said = Vec::new();
    for id in ids {
        house.answered(id).await;
        said.push(house.fake.answers(id)[0].content.clone());
    }
    assert_eq!(
        said.iter().filter(|text| *text == "done").count(),
        2,
        "{said:?}"
    );
    assert_eq!(
        said.iter()
            .filter(|text| text.starts_with("Not recorded"))
            .count(),
        3
    );
    assert_eq!(house.ears.acts().len(), 2);
    house.close().await;
}

#[tokio::test]
async fn text_of_others_in_an_answer_does_nothing() {
    let house = House::open().await;
    let nasty = "@everyone <@1234> https://evil.example **b** `c` <#5> </x:6> ||s||";
    let body = format!("{}\n\n```\n{nasty}\n```", rollbot_chat::escape(nasty));
    house.ears.say(&body, false);
    let id = house
        .fake
        .command(house.ana, house.channel, "rollback", &trade());
    house.answered(id).await;
    let seen = house.fake.answers(id).remove(0);
    assert_eq!(seen.pings, Vec::<String>::new());
    let read = &seen.readings[0];
    assert_eq!(
        (read.mentions.len(), read.links.len(), read.formats.len()),
        (0, 0, 0)
    );
    assert!(read.plain.starts_with(nasty), "{}", read.plain);
    assert_eq!(read.code.len(), 1);
    house.close().await;
}
