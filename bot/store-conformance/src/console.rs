//! The web console's part.

use std::collections::BTreeSet;
use std::sync::Arc;

use rollbot_core::console::{ConsoleMessage, ConsoleSession, ConsoleStore, NewConsoleMessage};
use rollbot_core::store::StoreError;

use crate::Backend;
use crate::sample::{ana, at};

fn new(identity: &str, channel: &str) -> NewConsoleMessage {
    NewConsoleMessage {
        identity: identity.into(),
        channel: channel.into(),
        thread_of: None,
        author: None,
        only_for: None,
        body: format!("**{identity}** <b>&amp;</b> \u{1F525}"),
        kind: "live".into(),
        buttons: vec![("approve".into(), "Approve".into())],
        at: at(0),
    }
}

pub async fn a_message_is_posted_once_and_edited_by_its_identity(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let posted = console.console_post(new("live", "ops")).await.unwrap();
    let expected = ConsoleMessage {
        id: posted.id,
        channel: "ops".into(),
        thread_of: None,
        author: None,
        only_for: None,
        body: new("live", "ops").body,
        kind: "live".into(),
        buttons: vec![("approve".into(), "Approve".into())],
        reactions: Vec::new(),
        created_at: at(0),
        edited_at: None,
        change: posted.change,
    };
    assert_eq!(posted, expected);
    // Delivered again: nothing happened.
    let again = NewConsoleMessage {
        at: at(5),
        ..new("live", "ops")
    };
    assert_eq!(console.console_post(again).await.unwrap(), posted);

    let other = NewConsoleMessage {
        body: "new".into(),
        kind: "closed".into(),
        buttons: vec![],
        at: at(10),
        ..new("live", "ops")
    };
    let edited = console.console_post(other).await.unwrap();
    assert!(edited.change > posted.change);
    let expected = ConsoleMessage {
        body: "new".into(),
        kind: "closed".into(),
        buttons: vec![],
        edited_at: Some(at(10)),
        change: edited.change,
        ..posted.clone()
    };
    assert_eq!(edited, expected);
    let buttons = [("retry".to_owned(), "Try again".to_owned())];
    let again = console
        .console_edit(posted.id, "newer", &buttons, at(20))
        .await
        .unwrap();
    assert_eq!(
        (again.body.as_str(), again.kind.as_str()),
        ("newer", "closed")
    );
    assert_eq!(
        (again.buttons.as_slice(), again.edited_at),
        (&buttons[..], Some(at(20)))
    );
    assert_eq!(
        console.console_find("live").await.unwrap(),
        Some(again.clone())
    );
    assert_eq!(
        console.console_message(posted.id).await.unwrap(),
        Some(again)
    );
    assert_eq!(console.console_find("other").await.unwrap(), None);
}

pub async fn a_reaction_is_put_on_and_taken_off_once(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let id = console
        .console_post(new("approval", "ops"))
        .await
        .unwrap()
        .id;
    let ana = ana();
    let react = async |emoji: &str, person, on, millisecond| {
        console
            .console_react(id, emoji, person, on, at(millisecond))
            .await
            .unwrap()
    };
    let (message, changed) = react("white_check_mark", None, true, 1).await;
    assert!(changed && message.reactions.len() == 1);
    let (after, changed) = react("white_check_mark", None, true, 2).await;
    assert!(!changed);
    assert_eq!(after, message);
    let (_, changed) = react("white_check_mark", Some(&ana), true, 3).await;
    assert!(changed);
    let (message, changed) = react("x", Some(&ana), true, 4).await;
    assert!(changed);
    let all: Vec<_> = message
        .reactions
        .iter()
        .map(|reaction| {
            (
                reaction.emoji.as_str(),
                reaction.person.clone(),
                reaction.at,
            )
        })
        .collect();
    assert_eq!(
        all,
        vec![
            ("white_check_mark", None, at(1)),
            ("white_check_mark", Some(ana.clone()), at(3)),
            ("x", Some(ana.clone()), at(4)),
        ]
    );
    let (message, changed) = react("white_check_mark", Some(&ana), false, 5).await;
    assert!(changed && message.reactions.len() == 2);
    let (message, changed) = react("white_check_mark", Some(&ana), false, 6).await;
    assert!(!changed);
    // The bot's own offer stays.
    assert_eq!(message.reactions[0].person, None);
    assert_eq!(message.edited_at, None, "a reaction is no edit");
}

pub async fn every_change_counts(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let first = console.console_post(new("one", "ops")).await.unwrap();
    let second = console.console_post(new("two", "ops")).await.unwrap();
    let mut last = second.change;
    assert!(first.change > 0 && second.change > first.change);
    let edited = console
        .console_edit(first.id, "new", &[], at(1))
        .await
        .unwrap();
    assert!(edited.change > last);
    last = edited.change;
    for on in [true, false] {
        let (message, _) = console
            .console_react(second.id, "x", Some(&ana()), on, at(2))
            .await
            .unwrap();
        assert!(message.change > last);
        last = message.change;
        // What changed nothing is no news.
        let (message, _) = console
            .console_react(second.id, "x", Some(&ana()), on, at(3))
            .await
            .unwrap();
        assert_eq!(message.change, last);
    }
    let since = async |change, limit| {
        let messages = console.console_changes(change, limit).await.unwrap();
        messages
            .into_iter()
            .map(|message| message.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(since(0, 10).await, vec![first.id, second.id]);
    assert_eq!(since(0, 1).await, vec![first.id]);
    assert_eq!(since(edited.change, 10).await, vec![second.id]);
    assert_eq!(since(last, 10).await, Vec::<i64>::new());
}

pub async fn private_messages_keep_their_reader(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let root = console.console_post(new("root", "ops")).await.unwrap();
    let private = NewConsoleMessage {
        thread_of: Some(root.id),
        author: Some("ben".into()),
        only_for: Some(ana()),
        ..new("private", "ops")
    };
    let posted = console.console_post(private.clone()).await.unwrap();
    // Whoever edits it cannot make it public by the way.
    let public = NewConsoleMessage {
        only_for: None,
        author: None,
        thread_of: None,
        body: "x".into(),
        ..private
    };
    let edited = console.console_post(public).await.unwrap();
    for message in [
        &posted,
        &edited,
        &console.console_recent(10).await.unwrap()[1],
    ] {
        assert_eq!(message.only_for, Some(ana()));
        assert_eq!(message.author, Some("ben".into()));
        assert_eq!(message.thread_of, Some(root.id));
    }
}

pub async fn recent_messages_are_of_every_channel_and_never_without_their_thread(
    backend: Arc<dyn Backend>,
) {
    let console = backend.open().await.console;
    let quiet = console
        .console_post(new("quiet", "users"))
        .await
        .unwrap()
        .id;
    let root = console.console_post(new("root", "ops")).await.unwrap().id;
    for n in 0..30 {
        console
            .console_post(new(&format!("noise {n}"), "ops"))
            .await
            .unwrap();
    }
    let mut answers = Vec::new();
    for n in 0..3 {
        let answer = NewConsoleMessage {
            thread_of: Some(root),
            ..new(&format!("answer {n}"), "ops")
        };
        answers.push(console.console_post(answer).await.unwrap().id);
    }
    let recent = async |limit| {
        let messages = console.console_recent(limit).await.unwrap();
        messages
            .into_iter()
            .map(|message| message.id)
            .collect::<Vec<_>>()
    };
    // The other channel's one message is not pushed out, and the thread comes with its root.
    assert_eq!(
        recent(5).await,
        [vec![quiet, root], answers.clone()].concat()
    );
    for limit in 0..40 {
        let ids = recent(limit).await;
        assert_eq!(ids.len(), usize::try_from(limit.min(35)).unwrap());
        assert!(ids.is_sorted(), "oldest first");
        if ids.iter().any(|id| answers.contains(id)) {
            assert!(ids.contains(&root), "answers without their root at {limit}");
        }
        if limit >= 2 {
            assert!(ids.contains(&quiet), "a channel is missing at {limit}");
        }
    }
    let all: BTreeSet<_> = recent(100).await.into_iter().collect();
    assert_eq!(all.len(), 35);
}

pub async fn sessions_end(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let session = ConsoleSession {
        token_digest: "0123".into(),
        person: ana(),
        expires_at: at(1_000),
    };
    opened.console.console_open_session(&session).await.unwrap();
    drop(opened);
    let console = backend.open().await.console;
    let find = async |digest, millisecond| {
        console
            .console_session(digest, at(millisecond))
            .await
            .unwrap()
    };
    assert_eq!(find("0123", 999).await, Some(session.clone()));
    assert_eq!(find("0123", 1_000).await, None);
    assert_eq!(find("4567", 0).await, None);
    let longer = ConsoleSession {
        expires_at: at(2_000),
        ..session
    };
    console.console_open_session(&longer).await.unwrap();
    assert_eq!(find("0123", 1_500).await, Some(longer));
    console.console_close_session("0123").await.unwrap();
    console.console_close_session("0123").await.unwrap();
    assert_eq!(find("0123", 0).await, None);
}

pub async fn a_message_that_does_not_exist_is_named(backend: Arc<dyn Backend>) {
    let console = backend.open().await.console;
    let missing = |result: Result<(), StoreError>| match result {
        Err(StoreError::NotFound { which, .. }) => assert_eq!(which, "77"),
        other => panic!("{other:?}"),
    };
    missing(console.console_edit(77, "x", &[], at(0)).await.map(|_| ()));
    missing(
        console
            .console_react(77, "x", None, true, at(0))
            .await
            .map(|_| ()),
    );
    missing(
        console
            .console_react(77, "x", None, false, at(0))
            .await
            .map(|_| ()),
    );
    let answer = NewConsoleMessage {
        thread_of: Some(77),
        ..new("answer", "ops")
    };
    missing(console.console_post(answer).await.map(|_| ()));
    assert_eq!(console.console_message(77).await.unwrap(), None);
    assert!(console.console_recent(10).await.unwrap().is_empty());
}

pub async fn the_console_is_there_after_the_store_is_opened_again(backend: Arc<dyn Backend>) {
    let opened = backend.open().await;
    let one = opened
        .console
        .console_post(new("one", "ops"))
        .await
        .unwrap()
        .id;
    opened
        .console
        .console_post(new("two", "users"))
        .await
        .unwrap();
    opened
        .console
        .console_react(one, "x", Some(&ana()), true, at(3))
        .await
        .unwrap();
    let before = opened.console.console_recent(10).await.unwrap();
    let last = before.iter().map(|message| message.change).max().unwrap();
    drop(opened);
    let console: Arc<dyn ConsoleStore> = backend.open().await.console;
    assert_eq!(console.console_recent(10).await.unwrap(), before);
    assert!(
        console
            .console_post(new("three", "ops"))
            .await
            .unwrap()
            .change
            > last
    );
}
