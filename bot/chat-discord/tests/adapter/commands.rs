use rollbot_chat::ChatEvent;
use rollbot_fakes::discord::Outcome;
use serde_json::{Value, json};

use crate::house::{House, named};

fn options(given: &[(&str, &str)]) -> Value {
    given
        .iter()
        .map(|(name, value)| json!({"name": name, "type": 3, "value": value}))
        .collect()
}

fn sub(name: &str, given: &Value) -> Value {
    json!([{"name": name, "type": 1, "options": given}])
}

#[tokio::test]
async fn commands_are_registered_once_and_again_only_when_they_differ() {
    let mut house = House::open().await;
    assert_eq!(house.fake.count("PUT", "/commands"), 1);
    let (commands, global) = house.fake.commands();
    assert!(global.is_empty());
    let shown: Vec<Value> = commands
        .iter()
        .map(|command| {
            let mut command = command.clone();
            for made in ["id", "application_id", "guild_id", "version"] {
                command.as_object_mut().unwrap().shift_remove(made);
            }
            command
        })
        .collect();
    insta::assert_json_snapshot!(shown);
    // As after a restart: read, compared, left alone.
    house.run();
    house
        .until("a second look", |house| {
            house.fake.count("GET", "/commands") == 2
        })
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(house.fake.count("PUT", "/commands"), 1);
    *house.ears.services.lock().unwrap() = named(&["trade", "auth"]);
    house.run();
    house
        .until("another list", |house| {
            house.fake.count("PUT", "/commands") == 2
        })
        .await;
}

#[tokio::test]
async fn more_services_than_choices_are_completed_as_somebody_types() {
    let mut house = House::quiet(|config| config.guild = None).await;
    let many: Vec<String> = (0..40).map(|number| format!("service-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    *house.ears.services.lock().unwrap() = named(&many);
    house.run();
    house
        .until("commands", |house| !house.fake.commands().1.is_empty())
        .await;
    house.until("the connection", House::is_up).await;
    assert_eq!(house.fake.commands().1[0]["contexts"], json!([0]));
    let option = house.fake.commands().1[0]["options"][0].clone();
    assert_eq!(
        (&option["autocomplete"], &option["choices"]),
        (&json!(true), &Value::Null)
    );
    let typing = json!([{"name": "service", "type": 3, "value": "service-3", "focused": true}]);
    let id = house
        .fake
        .autocomplete(house.ana, house.channel, "rollback", &typing);
    let Outcome::Answered { kind: 8, data } = house.answered(id).await else {
        panic!("no choices");
    };
    assert_eq!(data["choices"].as_array().unwrap().len(), 11);
    assert_eq!(data["choices"][0]["value"], "service-3");
    let typing = json!([{"name": "service", "type": 3, "value": "", "focused": true}]);
    let id = house
        .fake
        .autocomplete(house.ana, house.channel, "rollback", &typing);
    let Outcome::Answered { data, .. } = house.answered(id).await else {
        panic!("no choices");
    };
    assert_eq!(data["choices"].as_array().unwrap().len(), 25);
    house.close().await;
}

#[tokio::test]
async fn operations_and_locked_services_are_completed() {
    let house = House::open().await;
    for (name, option, value) in [
        ("cancel", "operation", "RB-2"),
        ("status", "operation", "RB-2"),
        ("unlock", "service", "locked"),
        ("plan", "service", "trade"),
    ] {
        let typing = sub(
            name,
            &json!([{"name": option, "type": 3, "value": "", "focused": true}]),
        );
        let id = house
            .fake
            .autocomplete(house.ana, house.channel, "rollbot", &typing);
        let Outcome::Answered { data, .. } = house.answered(id).await else {
            panic!("no choices for {name}");
        };
        assert_eq!(data["choices"][0]["value"], value, "{name}");
    }
    house.close().await;
}

#[tokio::test]
async fn options_become_the_line_that_somebody_would_type() {
    let house = House::open().await;
    let dry = json!([
        {"name": "dry_run", "type": 5, "value": true},
        {"name": "reason", "type": 3, "value": "orders failing"},
        {"name": "service", "type": 3, "value": "trade"},
    ]);
    let cases = [
        (
            "rollback",
            options(&[("service", "trade")]),
            "/rollback trade",
        ),
        (
            "rollback",
            dry,
            "/rollback trade reason: orders failing --dry-run",
        ),
        (
            "rollback",
            options(&[
                ("service", "trade"),
                ("reason", "see --dry-run in the docs"),
            ]),
            "/rollback trade reason: \"see --dry-run in the docs\"",
        ),
        ("rollbot", sub("status", &json!([])), "/rollbot status"),
        (
            "rollbot",
            json!([{"name": "locks", "type": 1}]),
            "/rollbot locks",
        ),
        (
            "rollbot",
            sub("status", &options(&[("operation", "RB-17")])),
            "/rollbot status RB-17",
        ),
        (
            "rollbot",
            sub(
                "cancel",
                &options(&[("reason", "works again"), ("operation", "RB-17")]),
            ),
            "/rollbot cancel RB-17 reason: works again",
        ),
        (
            "rollbot",
            sub("history", &options(&[("service", "data")])),
            "/rollbot history data",
        ),
        (
            "rollbot",
            sub(
                "unlock",
                &options(&[("service", "data"), ("reason", "done")]),
            ),
            "/rollbot unlock data reason: done",
        ),
        (
            "rollbot",
            sub("help", &options(&[("topic", "plan")])),
            "/rollbot help plan",
        ),
    ];
    for (index, (name, options, line)) in cases.iter().enumerate() {
        let id = house.fake.command(house.ana, house.channel, name, options);
        house.answered(id).await;
        assert_eq!(house.ears.lines()[index], *line);
        let services = ["trade".to_owned(), "data".to_owned()];
        let command = rollbot_command::parse(line, &services).unwrap();
        assert_eq!(command.to_string(), *line);
    }
    let ChatEvent::Command {
        key,
        account,
        channel,
        ..
    } = house.ears.acts()[0].clone()
    else {
        panic!("no command");
    };
    assert!(key.as_str().starts_with("discord:"));
    assert_eq!(
        (account.platform.as_str(), account.team.as_str()),
        ("discord", "")
    );
    assert_eq!(
        (account.user, channel),
        (house.ana.to_string(), house.channel.to_string())
    );
    house.close().await;
}

#[tokio::test]
async fn a_second_delivery_of_a_command_is_one_command() {
    let house = House::open().await;
    house.fake.gateway(|faults| faults.duplicates = 2);
    house.ears.say("Asked for.", true);
    let id = house.fake.command(
        house.ana,
        house.channel,
        "rollback",
        &options(&[("service", "trade")]),
    );
    house.answered(id).await;
    house.fake.command(
        house.ana,
        house.channel,
        "rollback",
        &options(&[("service", "data")]),
    );
    house
        .until("both", |house| house.ears.lines().len() >= 2)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(house.ears.lines(), ["/rollback trade", "/rollback data"]);
    assert_eq!(house.fake.answers(id).len(), 1);
    house.close().await;
}
