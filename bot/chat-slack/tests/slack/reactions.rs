//! Votes by reaction: as they come, and as they stand.

use rollbot_chat::{ChatEvent, ChatPlatform as _};
use rollbot_fakes::slack::{BOT_USER, OPS};

use crate::house::{House, approval, eventually};

fn reaction(event: &ChatEvent) -> (String, String, bool) {
    match event {
        ChatEvent::Reaction {
            account, emoji, on, ..
        } => (account.user.clone(), emoji.clone(), *on),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reactions_put_on_and_taken_off_arrive_without_their_skin_tone() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    house
        .fake
        .react("U0BEN", OPS, &ts, "+1::skin-tone-3")
        .unwrap();
    house.quiet().await;
    house
        .fake
        .unreact("U0BEN", OPS, &ts, "+1::skin-tone-3")
        .unwrap();
    house.quiet().await;
    let seen: Vec<_> = house.core.acts().iter().map(reaction).collect();
    assert_eq!(
        seen,
        [
            ("U0BEN".to_owned(), "+1".to_owned(), true),
            ("U0BEN".to_owned(), "+1".to_owned(), false)
        ]
    );
}

#[tokio::test]
async fn reactions_on_what_others_wrote_and_our_own_are_not_events() {
    let house = House::open().await;
    let theirs = house.fake.write("U0ANA", OPS, "lunch?");
    house.fake.react("U0BEN", OPS, &theirs, "x").unwrap();
    let ours = house.slack.post(&approval("a-1")).await.unwrap();
    house.fake.react(BOT_USER, OPS, &ours, "eyes").unwrap();
    house.quiet().await;
    assert_eq!(house.core.acts(), []);
}

#[tokio::test]
async fn an_event_delivered_again_or_out_of_order_keeps_its_key() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    house.fake.faults(|faults| {
        faults.duplicates = 2;
        faults.reorder = true;
    });
    house.fake.react("U0BEN", OPS, &ts, "x").unwrap();
    house.fake.unreact("U0BEN", OPS, &ts, "x").unwrap();
    house.quiet().await;
    let seen: Vec<bool> = house
        .core
        .acts()
        .iter()
        .map(|event| reaction(event).2)
        .collect();
    assert_eq!(seen, [false, true], "the later one came first, each once");
    assert!(*house.core.deliveries.lock().unwrap() >= 6);
}

#[tokio::test]
async fn the_whole_list_is_read_and_our_own_left_out() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    for number in 0..60 {
        let user = format!("U9{number:03}");
        house.fake.with(|slack| slack.add_user(&user, &user, &user));
        house
            .fake
            .change_reaction(&user, OPS, &ts, "white_check_mark", true)
            .unwrap();
    }
    let standing = house.slack.reactions(OPS, &ts).await.unwrap();
    assert_eq!(standing.len(), 60);
    assert!(standing.iter().all(|one| one.account.user != BOT_USER));
    assert!(standing.iter().all(|one| one.emoji == "white_check_mark"));
}

#[tokio::test]
async fn what_is_offered_is_offered_once_and_taken_back_when_the_vote_is_over() {
    let house = House::open().await;
    let mut message = approval("a-1");
    let ts = house.slack.post(&message).await.unwrap();
    house.slack.edit(&ts, &message).await.unwrap();
    assert_eq!(house.fake.calls("reactions.add"), 2);
    message.reactions.clear();
    house.slack.edit(&ts, &message).await.unwrap();
    let left = house
        .fake
        .with(|slack| slack.message(OPS, &ts).unwrap().reactions.clone());
    assert_eq!(left, []);
    house.slack.edit(&ts, &message).await.unwrap();
    assert_eq!(house.fake.calls("reactions.remove"), 2);
}

#[tokio::test]
async fn an_event_that_was_not_recorded_comes_again() {
    let house = House::open().await;
    let ts = house.slack.post(&approval("a-1")).await.unwrap();
    *house.core.takes.lock().unwrap() = std::time::Duration::from_millis(900);
    house.fake.react("U0BEN", OPS, &ts, "x").unwrap();
    eventually(|| !house.core.acts().is_empty()).await;
    *house.core.takes.lock().unwrap() = std::time::Duration::ZERO;
    house.quiet().await;
    assert_eq!(house.core.acts().len(), 1);
    assert!(*house.core.deliveries.lock().unwrap() > 2);
}

#[tokio::test]
async fn in_an_organisation_people_count_under_their_own_team() {
    let house = House::with(crate::house::settings(), |_| {}).await;
    house.fake.with(|slack| {
        slack.enterprise = Some("E0ORG".to_owned());
        slack.users.get_mut("U0BEN").unwrap().team = "T0OTHER".to_owned();
    });
    // Whoever asked before was told of an ordinary workspace.
    let slack = rollbot_chat_slack::Slack::new(crate::house::config(&house.fake)).unwrap();
    drop(house.slack);
    let ts = slack.post(&approval("a-1")).await.unwrap();
    house
        .fake
        .change_reaction("U0BEN", OPS, &ts, "x", true)
        .unwrap();
    house
        .fake
        .change_reaction("U0ANA", OPS, &ts, "x", true)
        .unwrap();
    let standing = slack.reactions(OPS, &ts).await.unwrap();
    let teams: Vec<&str> = standing
        .iter()
        .map(|one| one.account.team.as_str())
        .collect();
    assert_eq!(teams, ["T0OTHER", rollbot_fakes::slack::TEAM_ID]);
    slack.reactions(OPS, &ts).await.unwrap();
    assert_eq!(house.fake.calls("users.info"), 2, "remembered");
}
