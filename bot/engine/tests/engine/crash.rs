//! A run that dies at a commit, any commit, and goes on.

use rollbot_core::journal::Outcome;
use rollbot_core::operation::{Decision, Phase};
use rollbot_engine::RunEnd;

use crate::running::{WHOLE_ROLLBACK, script};
use crate::support::observer::{Observer, People};
use crate::support::operation::Case;
use crate::support::store::{Dies, Mortal};
use crate::support::trade;
use crate::support::world::{Fault, State, World};

/// What has to be the same, whenever the bot died: times, and names with times in them, are not.
#[derive(Debug, PartialEq)]
struct Reached {
    units: Vec<(String, bool)>,
    containers: Vec<(String, (String, String))>,
    registry: Vec<(String, (String, u64))>,
    orders: Vec<String>,
    archives: usize,
    calls: Vec<(String, String, i64)>,
    told: Vec<String>,
}

async fn reached(case: &Case) -> Reached {
    let State {
        units,
        containers,
        registry,
        orders,
        archives,
        ..
    } = case.world.state();
    let calls = case.journal().await;
    assert!(
        calls
            .iter()
            .all(|entry| matches!(entry.outcome, Some(Outcome::Returned(_)))),
        "{calls:#?}"
    );
    Reached {
        units: units.into_iter().collect(),
        containers: containers.into_iter().collect(),
        registry: registry.into_iter().collect(),
        orders,
        archives: archives.len(),
        // Notes carry archive names and times.
        calls: calls
            .into_iter()
            .map(|entry| match entry.function.as_str() {
                "progress.note" => (entry.function, String::new(), entry.attempt),
                _ => (entry.function, entry.arguments, entry.attempt),
            })
            .collect(),
        // Each run says that it begins.
        told: case
            .audit()
            .await
            .into_iter()
            .filter(|word| word != "began")
            .collect(),
    }
}

/// Runs until the n-th commit, and again to the end. Whether it died at all.
async fn dying_at(case: &Case, commits: i64, dies: Dies, people: &People) -> bool {
    let mortal = Mortal::new(case.store.clone(), commits, dies);
    let observer = Observer::new(case.id, people.clone());
    let end = case.run_on(mortal.clone(), Phase::Run, &observer).await;
    if !mortal.is_dead() {
        assert_eq!(end, RunEnd::Finished);
        return false;
    }
    assert!(matches!(end, RunEnd::StoreLost(_)), "{end}");
    let (end, observer) = case.run_with(people.clone()).await;
    assert_eq!(
        end,
        RunEnd::Finished,
        "commit {commits}, {dies:?}: {:#?}",
        observer.questions()
    );
    true
}

#[tokio::test]
async fn a_rollback_that_dies_at_any_commit_ends_as_if_it_had_not() {
    let undisturbed = Case::new(trade().await, World::native(), &[]).await;
    assert_eq!(undisturbed.run().await.0, RunEnd::Finished);
    let expected = reached(&undisturbed).await;
    assert_eq!(expected.archives, 1);

    for dies in [Dies::Before, Dies::After] {
        let mut points = 0;
        loop {
            let case = Case::new(trade().await, World::native(), &[]).await;
            if !dying_at(&case, points, dies, &People::default()).await {
                break;
            }
            assert_eq!(reached(&case).await, expected, "commit {points}, {dies:?}");
            points += 1;
        }
        assert!(points > 30, "only {points} commits");
    }
}

#[tokio::test]
async fn effects_that_were_repeated_after_a_crash_were_begun_and_not_known_to_have_ended() {
    let mut most = 0;
    for commits in 0.. {
        let world = World::native();
        let case = Case::new(trade().await, world.clone(), &[]).await;
        if !dying_at(&case, commits, Dies::Before, &People::default()).await {
            break;
        }
        let changes = world.changes();
        let mut distinct = changes.clone();
        distinct.dedup();
        assert_eq!(distinct, WHOLE_ROLLBACK, "commit {commits}");
        most = most.max(changes.len());
    }
    assert_eq!(most, WHOLE_ROLLBACK.len() + 1);
}

#[tokio::test]
async fn dying_while_people_decide_asks_them_nothing_twice() {
    let disturb = |world: &World| {
        world.fail(
            "docker.up",
            [Fault::Failed("first"), Fault::Failed("second")],
        );
    };
    let decisions = || People::who_say([Decision::Retry, Decision::Skip]);
    let lines = "begin work\nback-up back-up-data\ntell up start-containers\nend work";
    let world = World::native();
    disturb(&world);
    let undisturbed = script(&world, lines).await;
    assert_eq!(undisturbed.run_with(decisions()).await.0, RunEnd::Finished);
    let expected = reached(&undisturbed).await;

    for dies in [Dies::Before, Dies::After] {
        let mut points = 0;
        loop {
            let world = World::native();
            disturb(&world);
            let case = script(&world, lines).await;
            let people = decisions();
            let mortal = Mortal::new(case.store.clone(), points, dies);
            let observer = Observer::new(case.id, people.clone());
            case.run_on(mortal.clone(), Phase::Run, &observer).await;
            if !mortal.is_dead() {
                break;
            }
            // What died between the attempt and its outcome makes the attempt again, which then
            // may go well: only what people said must not be asked for again.
            let (end, observer) = case.run_with(people).await;
            assert_eq!(
                end,
                RunEnd::Finished,
                "commit {points}, {dies:?}: {:#?}",
                observer.questions()
            );
            if world.changes().len() == 3 {
                assert_eq!(reached(&case).await, expected, "commit {points}, {dies:?}");
            }
            points += 1;
        }
        assert!(points > 8, "only {points} commits");
    }
}
