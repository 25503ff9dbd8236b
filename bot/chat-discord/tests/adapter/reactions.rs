use rollbot_chat::{ChatEvent, ChatPlatform as _, MessageAt, SendError};
use rollbot_core::approval::Account;

use crate::house::House;

async fn approval(house: &House) -> u64 {
    let mut message = house.outgoing(
        "RB-1/approval",
        "approval",
        "**RB-1 · rollback of trade**\n\nAna asks\nPlan x",
    );
    message.reactions = vec!["white_check_mark".to_owned(), "x".to_owned()];
    house.discord.post(&message).await.unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_vote_and_its_withdrawal_arrive_in_order() {
    let house = House::open().await;
    let id = approval(&house).await;
    let offered = house.fake.message(house.channel, id).unwrap().reactions;
    let emoji: Vec<&str> = offered.iter().map(|(emoji, _)| emoji.as_str()).collect();
    assert_eq!(emoji, ["✅", "❌"]);
    house.fake.react(house.ana, house.channel, id, "✅");
    house.fake.unreact(house.ana, house.channel, id, "✅");
    house.fake.burst(house.ben, house.channel, id, "❌");
    house
        .until("three", |house| house.ears.acts().len() == 3)
        .await;
    let seen: Vec<(String, String, bool)> = house
        .ears
        .acts()
        .into_iter()
        .map(|event| match event {
            ChatEvent::Reaction {
                account,
                emoji,
                on,
                message,
                ..
            } => {
                let at = MessageAt {
                    platform: "discord".to_owned(),
                    channel: house.channel.to_string(),
                    message_ref: id.to_string(),
                };
                assert_eq!(message, at);
                (account.user, emoji, on)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let (ana, ben) = (house.ana.to_string(), house.ben.to_string());
    assert_eq!(
        seen,
        [
            (ana.clone(), "white_check_mark".to_owned(), true),
            (ana, "white_check_mark".to_owned(), false),
            (ben, "x".to_owned(), true),
        ]
    );
    house.close().await;
}

#[tokio::test]
async fn messages_of_others_and_our_own_reactions_are_not_events() {
    let house = House::open().await;
    let theirs = house.fake.say(house.ana, house.channel, "look");
    house.fake.react(house.ben, house.channel, theirs, "✅");
    let id = approval(&house).await;
    house.fake.react(house.ben, house.channel, id, "👀");
    house
        .until("the last one", |house| !house.ears.acts().is_empty())
        .await;
    assert_eq!(house.ears.acts().len(), 1);
    house.close().await;
}

#[tokio::test]
async fn all_who_reacted_are_read_over_pages_and_bursts_and_without_the_bot() {
    let house = House::open().await;
    let id = approval(&house).await;
    let people: Vec<u64> = (0..150)
        .map(|n| house.fake.add_user(&format!("p{n}")))
        .collect();
    for person in &people {
        house.fake.react(*person, house.channel, id, "✅");
    }
    house.fake.burst(house.ben, house.channel, id, "✅");
    house.fake.react(house.ana, house.channel, id, "❌");
    house.fake.react(
        house.ana,
        house.channel,
        id,
        "white_check_mark:123456789012345678",
    );
    let standing = house
        .discord
        .reactions(&house.channel.to_string(), &id.to_string())
        .await
        .unwrap();
    let count = |emoji: &str| standing.iter().filter(|one| one.emoji == emoji).count();
    assert_eq!((count("white_check_mark"), count("x")), (151, 1));
    // The server's own emoji of that name is no vote.
    assert_eq!(count("custom:123456789012345678"), 1);
    let me = house.fake.application().to_string();
    assert!(standing.iter().all(|one| one.account.user != me));
    house.close().await;
}

#[tokio::test]
async fn who_may_not_vote_is_told_directly() {
    let house = House::open().await;
    let id = approval(&house).await;
    house.ears.say("Your vote does not count.", true);
    house.fake.react(house.ana, house.channel, id, "✅");
    house
        .until("a message", |house| {
            !house.fake.direct_messages(house.ana).is_empty()
        })
        .await;
    assert_eq!(
        house.fake.direct_messages(house.ana)[0].content,
        "Your vote does not count."
    );
    assert_eq!(house.fake.messages(house.channel).len(), 1);
    house.close().await;
}

#[tokio::test]
async fn whoever_takes_no_direct_messages_cannot_be_told() {
    let house = House::open().await;
    house.fake.close_direct_messages(house.ben);
    let account = Account {
        platform: "discord".to_owned(),
        team: String::new(),
        user: house.ben.to_string(),
    };
    let told = house.discord.whisper("", &account, "psst").await;
    let Err(SendError::Refused(why)) = told else {
        panic!("{told:?}");
    };
    assert!(why.contains("take no direct messages"), "{why}");
    house.close().await;
}
