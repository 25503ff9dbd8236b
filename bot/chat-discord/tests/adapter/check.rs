use rollbot_chat::{Level, OnlineCheck as _};
use rollbot_chat_discord::invite_url;
use rollbot_core::approval::Account;
use rollbot_fakes::discord::permission;

use crate::house::House;

fn account(user: u64) -> Account {
    Account {
        platform: "discord".to_owned(),
        team: String::new(),
        user: user.to_string(),
    }
}

#[tokio::test]
async fn everything_in_order_is_said_so() {
    let house = House::open().await;
    let findings = house.discord.check(&[house.channel.to_string()]).await;
    assert!(
        findings.iter().all(|one| one.level == Level::Pass),
        "{findings:?}"
    );
    house.close().await;
}

#[tokio::test]
async fn missing_permissions_are_named() {
    let house = House::open().await;
    house.fake.deny(
        house.channel,
        permission::EMBED_LINKS | permission::CREATE_PUBLIC_THREADS,
    );
    let hidden = house.fake.add_channel("hidden");
    house.fake.deny(hidden, permission::VIEW_CHANNEL);
    let channels = [
        house.channel.to_string(),
        hidden.to_string(),
        "12".to_owned(),
        "ops".to_owned(),
    ];
    let findings = house.discord.check(&channels).await;
    let failed: Vec<String> = findings
        .into_iter()
        .filter(|one| one.level == Level::Fail)
        .map(|one| {
            assert!(!one.remedy.is_empty());
            one.what
                .replace(&house.channel.to_string(), "OPS")
                .replace(&hidden.to_string(), "HIDDEN")
        })
        .collect();
    assert_eq!(
        failed,
        [
            "channel OPS: permission \"Embed Links\" is missing",
            "channel OPS: permission \"Create Public Threads\" is missing",
            "channel HIDDEN: permission \"View Channel\" is missing",
            "channel 12 does not exist",
            "channel `ops` is no id of Discord's",
        ]
    );
    house.close().await;
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_application_are_told_apart() {
    let house = House::quiet(|config| config.token = "wrong".to_owned()).await;
    let findings = house.discord.check(&[]).await;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].what.contains("token"));
    let house = House::quiet(|config| config.application_id = 77).await;
    let findings = house.discord.check(&[]).await;
    assert!(
        findings
            .iter()
            .any(|one| one.what.starts_with("application_id is 77")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn accounts_are_looked_up() {
    let house = House::open().await;
    let bot = house.fake.add_bot("helper");
    let gone = house.fake.add_user("deleted_user_0a1b");
    house.fake.leave_guild(house.ben);
    let look = async |id| house.discord.look_up(&account(id)).await.unwrap();
    let ana = look(house.ana).await.unwrap();
    assert_eq!(
        (ana.name.as_str(), ana.bot, ana.gone, ana.guest),
        ("ana", false, false, false)
    );
    assert!(look(bot).await.unwrap().bot);
    assert!(look(gone).await.unwrap().gone);
    assert!(look(house.ben).await.unwrap().guest);
    assert_eq!(look(99).await, None);
    house.close().await;
}

#[test]
fn the_invitation_asks_for_the_fewest_permissions() {
    assert_eq!(
        invite_url(42),
        "https://discord.com/oauth2/authorize?client_id=42&permissions=309237763136&scope=bot+applications.commands"
    );
    let sum = permission::ALL_OF_THEM;
    assert!(invite_url(42).contains(&sum.to_string()), "{sum}");
}
