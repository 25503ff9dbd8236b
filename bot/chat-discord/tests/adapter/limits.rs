use std::time::{Duration, Instant};

use rollbot_chat::{ChatPlatform as _, SendError};
use rollbot_fakes::discord::{Fault, FaultKind};

use crate::house::House;

#[tokio::test]
async fn what_the_headers_say_is_kept_without_a_single_refusal() {
    let house = House::open().await;
    house
        .fake
        .limit("POST/channels/:id/messages", 2, Duration::from_millis(400));
    let since = Instant::now();
    for number in 0..5 {
        let message = house.outgoing(&format!("n{number}"), "notice", "text");
        house.discord.post(&message).await.unwrap();
    }
    assert!(
        since.elapsed() >= Duration::from_millis(700),
        "{:?}",
        since.elapsed()
    );
    assert_eq!(house.fake.invalid_requests(), 0);
    house.close().await;
}

#[tokio::test]
async fn live_edits_leave_the_last_slot_to_what_cannot_wait() {
    let house = House::open().await;
    let live = house.outgoing(
        "live",
        "live",
        "**RB-1 · rollback of trade · running**\n\nfoot",
    );
    let approval = house.outgoing(
        "approval",
        "approval",
        "**RB-1 · rollback of trade**\n\nfoot",
    );
    let live_ref = house.discord.post(&live).await.unwrap();
    let approval_ref = house.discord.post(&approval).await.unwrap();
    house
        .fake
        .limit("PATCH/channels/:id/messages/:id", 3, Duration::from_secs(3));
    house.discord.edit(&live_ref, &live).await.unwrap();
    house.discord.edit(&live_ref, &live).await.unwrap();
    let waits = house.discord.edit(&live_ref, &live).await;
    assert!(
        matches!(waits, Err(SendError::Again { after: Some(_), .. })),
        "{waits:?}"
    );
    let since = Instant::now();
    house.discord.edit(&approval_ref, &approval).await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(house.fake.invalid_requests(), 0);
    house.close().await;
}

#[tokio::test]
async fn a_429_is_waited_out_or_handed_on_with_its_time() {
    let house = House::open_with(|config| config.deadlines.request = Duration::from_secs(2)).await;
    let message = house.outgoing("one", "notice", "text");
    let short = FaultKind::RateLimited {
        after: Duration::from_millis(300),
        global: false,
    };
    house.fake.fault(Fault::once("POST", "/messages", short));
    let since = Instant::now();
    house.discord.post(&message).await.unwrap();
    assert!(since.elapsed() >= Duration::from_millis(300));
    let long = FaultKind::RateLimited {
        after: Duration::from_secs(40),
        global: true,
    };
    house.fake.fault(Fault::once("POST", "/messages", long));
    let other = house.outgoing("two", "notice", "text");
    for _ in 0..20 {
        let sent = house.discord.post(&other).await;
        let Err(SendError::Again {
            after: Some(after), ..
        }) = sent
        else {
            panic!("{sent:?}");
        };
        assert!(after > Duration::from_secs(30), "{after:?}");
    }
    assert_eq!(house.fake.invalid_requests(), 2);
    house.close().await;
}

#[tokio::test]
async fn no_answer_in_time_is_tried_again_by_whoever_sent_it() {
    let house =
        House::open_with(|config| config.deadlines.request = Duration::from_millis(200)).await;
    house
        .fake
        .fault(Fault::once("POST", "/messages", FaultKind::Hang));
    let message = house.outgoing("one", "notice", "text");
    let since = Instant::now();
    let sent = house.discord.post(&message).await;
    assert!(
        matches!(sent, Err(SendError::Again { after: None, .. })),
        "{sent:?}"
    );
    assert!(since.elapsed() < Duration::from_secs(1));
    house.close().await;
}
