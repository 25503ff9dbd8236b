//! What people decide when something fails.

use rollbot_core::journal::Outcome;
use rollbot_core::operation::{Decision, PauseReason, Phase};
use rollbot_engine::{RunEnd, RunEvent};

use crate::running::script;
use crate::support::observer::{Observer, People, word};
use crate::support::store::{Dies, Mortal};
use crate::support::world::{Fault, World};

fn words(observer: &Observer) -> Vec<String> {
    observer
        .events()
        .iter()
        .map(word)
        .filter(|word| word != "note" && word != "began")
        .collect()
}

#[tokio::test]
async fn a_failed_effect_is_put_before_people_with_the_evidence() {
    let world = World::native();
    world.fail("docker.up", [Fault::Failed("port is already allocated")]);
    let case = script(&world, "back-up back-up-data\nup start-containers").await;
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    let question = &observer.questions()[0];
    assert_eq!(question.key(), "RB-1/run/1.1");
    assert_eq!(
        question.reason,
        PauseReason::StepFailed {
            step: "work".into()
        }
    );
    assert_eq!(question.details[0], "port is already allocated");
    assert!(
        question.details[1].starts_with("trade: line 0"),
        "{question:#?}"
    );
    let choices: Vec<_> = question
        .choices
        .iter()
        .map(|c| (c.key.as_str(), c.needs_full_count))
        .collect();
    assert_eq!(
        choices,
        [
            ("retry", false),
            ("skip", true),
            ("done", true),
            ("undo", false),
            ("abort", false)
        ]
    );
    let journal = case.journal().await;
    assert!(
        matches!(journal[1].outcome, Some(Outcome::Failed(_))),
        "{journal:#?}"
    );
}

#[tokio::test]
async fn people_who_say_retry_get_another_attempt_and_are_asked_anew_if_it_fails() {
    let world = World::native();
    world.fail(
        "docker.up",
        [Fault::Failed("first"), Fault::Failed("second")],
    );
    let case = script(&world, "back-up back-up-data\nup start-containers").await;
    let people = People::who_say([Decision::Retry, Decision::Retry]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished);
    let keys: Vec<_> = observer.questions().iter().map(|q| q.key()).collect();
    assert_eq!(keys, ["RB-1/run/1.1", "RB-1/run/1.2"]);
    assert_eq!(case.journal().await[1].attempt, 3);
    assert_eq!(
        words(&observer)[2..],
        [
            "effect-began start-containers",
            "effect-failed start-containers",
            "effect-retried start-containers",
            "effect-failed start-containers",
            "effect-retried start-containers",
            "effect-ended start-containers",
        ]
    );
}

#[tokio::test]
async fn what_people_skip_the_plugin_receives_as_skipped() {
    let world = World::native();
    world.fail("backup.create", [Fault::Failed("disk is broken")]);
    let case = script(&world, "tell back-up back-up-data\nup start-containers").await;
    let (end, observer) = case.run_with(People::who_say([Decision::Skip])).await;
    assert_eq!(end, RunEnd::Finished);
    assert!(
        observer.notes()[0].contains("skipped"),
        "{:?}",
        observer.notes()
    );
    assert!(words(&observer).contains(&"effect-skipped back-up-data".to_owned()));
    // People who skip the backup say that the data may be replaced without one.
    assert!(world.changes().contains(&"docker.up trade".to_owned()));
}

#[tokio::test]
async fn done_by_hand_is_observed_and_handed_over_as_such() {
    let world = World::native();
    world.fail("process.stop", [Fault::Failed("access denied")]);
    world.fail("docker.up", [Fault::Failed("no")]);
    world.fail("registry.point", vec![Fault::Failed("a"); 5]);
    world.fail("probe.post", [Fault::Failed("no"), Fault::Failed("no")]);
    let plan = crate::running::PLAN.replace("after stop-native stop-by-port stop-by-port\n", "");
    let script = "tell stop stop-native\ntell back-up back-up-data\ntell up start-containers\n\
                  tell transact paper-order\ntell submit order\ntell point point-registry";
    let case = crate::support::operation::Case::new(
        crate::support::scripted().await,
        world.clone(),
        &[("plan", &plan), ("script", script)],
    )
    .await;
    // By hand, and behind the bot's back:
    world.change(|state| {
        state.units.insert("cryptobot-trade".into(), false);
        state.containers.get_mut("trade").unwrap().0 = "running".into();
        state
            .registry
            .insert("services/trade".into(), ("127.0.0.1:9103".into(), 2));
    });
    let people = People::who_say(vec![Decision::MarkAsDone; 6]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    let by_hand: Vec<_> = words(&observer)
        .into_iter()
        .filter_map(|word| {
            word.strip_prefix("effect-ended-by-hand ")
                .map(ToOwned::to_owned)
        })
        .collect();
    assert_eq!(
        by_hand,
        [
            "stop-native",
            "start-containers",
            "paper-order",
            "order",
            "point-registry"
        ]
    );
    assert!(
        observer.notes()[0].contains("by hand"),
        "{:?}",
        observer.notes()
    );
}

#[tokio::test]
async fn what_is_not_observed_is_not_marked_as_done_and_people_are_asked_again() {
    let world = World::native();
    world.fail("docker.up", [Fault::Failed("no")]);
    world.fail("backup.create", [Fault::Failed("no")]);
    let case = script(&world, "back-up back-up-data\nup start-containers").await;
    let people = People::who_say([
        Decision::MarkAsDone,
        Decision::Retry,
        Decision::MarkAsDone,
        Decision::Retry,
    ]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished);
    let questions = observer.questions();
    let keys: Vec<_> = questions.iter().map(|q| q.key()).collect();
    assert_eq!(
        keys,
        [
            "RB-1/run/0.1",
            "RB-1/run/0.2",
            "RB-1/run/1.1",
            "RB-1/run/1.2"
        ]
    );
    assert!(
        questions[1].details[0].contains("there is no archive `trade_service` that was made since"),
        "{questions:#?}"
    );
    assert!(
        questions[3].details[0].contains("what is seen is: cryptobot_trade_1 is exited"),
        "{questions:#?}"
    );
}

#[tokio::test]
async fn a_backup_by_hand_is_the_newest_archive_read_back_now() {
    let world = World::native();
    world.fail("backup.create", [Fault::Failed("no")]);
    let case = script(&world, "tell back-up back-up-data").await;
    let now = rollbot_core::Clock::now(&case.clock).as_millisecond();
    world.change(|state| {
        state.archives.push((
            "trade_service_20200101000000.tar.zst".into(),
            1_577_836_800_000,
        ));
        state
            .archives
            .push(("trade_service_20261122203600.tar.zst".into(), now));
    });
    let (end, observer) = case.run_with(People::who_say([Decision::MarkAsDone])).await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
    assert!(
        observer.notes()[0].contains("trade_service_20261122203600"),
        "{:?}",
        observer.notes()
    );
}

#[tokio::test]
async fn undo_and_abort_end_the_run_and_leave_the_failure_in_the_journal() {
    for (decision, expected) in [
        (Decision::Undo, RunEnd::Undo),
        (Decision::Abort, RunEnd::Aborted),
    ] {
        let world = World::native();
        world.fail("docker.up", [Fault::Failed("no")]);
        let case = script(&world, "back-up back-up-data\nup start-containers\nnote on").await;
        let people = People::who_say([decision]);
        assert_eq!(case.run_with(people.clone()).await.0, expected);
        // The bot dies before it acts on that: the answer is known, and nothing is done again.
        assert_eq!(case.run_with(people).await.0, expected);
        assert_eq!(
            world.changes(),
            ["backup.create trade_service", "docker.up trade"]
        );
    }
}

#[tokio::test]
async fn a_failure_with_a_contingency_is_handed_to_the_plugin_at_once() {
    let world = World::native();
    world.fail("process.stop", [Fault::Failed("unit is masked")]);
    let case = script(&world, "tell stop stop-native\nstop stop-by-port").await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    assert!(observer.questions().is_empty());
    assert!(observer.notes()[0].contains("unit is masked"));
    assert_eq!(world.changes(), ["process.stop units", "process.stop port"]);
    assert_eq!(
        words(&observer),
        [
            "effect-began stop-native",
            "effect-failed stop-native then stop-by-port",
            "effect-began stop-by-port",
            "effect-ended stop-by-port",
        ]
    );
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_five_times_before_anybody_is_asked() {
    let world = World::native();
    world.fail("docker.up", vec![Fault::Passing("engine restarts"); 4]);
    let case = script(&world, "back-up back-up-data\nup start-containers").await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    assert!(observer.questions().is_empty());
    let attempts: Vec<_> = words(&observer)
        .into_iter()
        .filter(|word| word.starts_with("attempt"))
        .collect();
    assert_eq!(
        attempts,
        [
            "attempt docker.up 1/5",
            "attempt docker.up 2/5",
            "attempt docker.up 3/5",
            "attempt docker.up 4/5"
        ]
    );

    let world = World::native();
    world.fail("docker.up", vec![Fault::Passing("engine restarts"); 5]);
    let case = script(&world, "back-up back-up-data\nup start-containers").await;
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    assert_eq!(observer.questions().len(), 1);
}

#[tokio::test]
async fn an_at_most_once_effect_is_never_repeated_by_itself() {
    let world = World::native();
    world.fail("probe.post", [Fault::Passing("reset")]);
    let case = script(&world, "submit order").await;
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    assert_eq!(world.changes().len(), 1);
    assert_eq!(observer.questions().len(), 1);
}

/// Performs `submit order`, and dies when its outcome is to be written.
async fn of_unknown_outcome(world: &World) -> crate::support::operation::Case {
    let case = script(world, "tell submit order").await;
    // Commits: that it began, the intent, the outcome.
    let mortal = Mortal::new(case.store.clone(), 2, Dies::Before);
    let observer = Observer::new(case.id, People::default());
    let end = case.run_on(mortal, Phase::Run, &observer).await;
    assert!(matches!(end, RunEnd::StoreLost(_)), "{end}");
    assert_eq!(world.state().orders.len(), 1);
    case
}

#[tokio::test]
async fn an_at_most_once_effect_of_unknown_outcome_waits_for_people() {
    let world = World::native();
    let case = of_unknown_outcome(&world).await;
    for _restart in 0..2 {
        let (end, observer) = case.run().await;
        assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
        let question = &observer.questions()[0];
        assert_eq!(
            question.reason,
            PauseReason::UnknownOutcome {
                effect: "order".into()
            }
        );
        let choices: Vec<_> = question
            .choices
            .iter()
            .map(|c| (c.key.as_str(), c.needs_full_count))
            .collect();
        assert_eq!(
            choices,
            [
                ("done", true),
                ("retry", false),
                ("skip", true),
                ("undo", false),
                ("abort", false)
            ]
        );
        assert_eq!(world.state().orders.len(), 1);
    }
}

#[tokio::test]
async fn people_tell_the_bot_what_became_of_an_unknown_outcome() {
    for (decision, orders, expected) in [
        (Decision::MarkAsDone, 1, "passed"),
        (Decision::Retry, 2, "passed"),
        (Decision::Skip, 1, "skipped"),
    ] {
        let world = World::native();
        let case = of_unknown_outcome(&world).await;
        let (end, observer) = case.run_with(People::who_say([decision])).await;
        assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
        assert_eq!(world.state().orders.len(), orders);
        assert!(
            observer.notes()[0].contains(expected),
            "{:?}",
            observer.notes()
        );
        // Nothing of it is done or asked again.
        let (end, observer) = case.run().await;
        assert_eq!((end, observer.questions().len()), (RunEnd::Finished, 0));
    }
}

#[tokio::test]
async fn a_crash_after_people_said_retry_leaves_the_outcome_unknown_again() {
    let world = World::native();
    let case = of_unknown_outcome(&world).await;
    let people = People::who_say([Decision::Retry]);
    // Commits: that it began, that its outcome is not known, the retry; then it is performed.
    let mortal = Mortal::new(case.store.clone(), 3, Dies::Before);
    let observer = Observer::new(case.id, people.clone());
    let end = case.run_on(mortal, Phase::Run, &observer).await;
    assert!(matches!(end, RunEnd::StoreLost(_)), "{end}");
    assert_eq!(world.state().orders.len(), 2);
    let (end, observer) = case.run_with(people).await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    assert_eq!(observer.questions()[0].key(), "RB-1/run/0.2");
    assert_eq!(world.state().orders.len(), 2);
}

#[tokio::test]
async fn a_question_of_the_plugin_is_answered_once_for_all() {
    let case = script(
        &World::native(),
        "tell ask Stop anyway?|wait=Wait|stop=Stop",
    )
    .await;
    let people = People::who_say([Decision::Answer { key: "stop".into() }]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished);
    let question = &observer.questions()[0];
    assert_eq!(question.reason, PauseReason::Question);
    let keys: Vec<_> = question
        .choices
        .iter()
        .map(|choice| choice.key.as_str())
        .collect();
    assert_eq!(keys, ["wait", "stop", "undo", "abort"]);
    assert!(
        observer.notes()[0].ends_with("=> stop"),
        "{:?}",
        observer.notes()
    );
    let (_, observer) = case.run().await;
    assert!(observer.questions().is_empty());
}

#[tokio::test]
async fn questions_that_nobody_could_answer_are_invalid() {
    let case = script(
        &World::native(),
        "tell ask No choice?\ntell ask Twice?|a=A|a=B\ntell ask Reserved?|abort=Go on\ntell ask |a=A\n\
         tell ask Odd?|A B=odd",
    )
    .await;
    let (end, observer) = case.run().await;
    assert_eq!(end, RunEnd::Finished);
    for note in observer.notes() {
        assert!(note.contains("the question cannot be asked"), "{note}");
    }
    assert_eq!(observer.notes().len(), 5);
}

#[tokio::test]
async fn a_failed_step_is_run_again_or_left_out_as_people_say() {
    let lines = "begin work\nstatus\nfail work the check did not pass\nend work\nnote on";
    let case = script(&World::native(), lines).await;
    let people = People::who_say([Decision::Retry, Decision::Skip]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished);
    assert_eq!(
        words(&observer),
        [
            "step-began work",
            "step-failed work",
            "step-retried work",
            "step-began work",
            "step-failed work",
            "step-skipped work",
        ]
    );
    let RunEvent::StepFailed { summary, .. } = &observer.events()[2] else {
        panic!()
    };
    assert_eq!(summary, "the check did not pass");
    let question = &observer.questions()[0];
    assert!(
        question.text.contains("the check did not pass"),
        "{question:#?}"
    );
    let keys: Vec<_> = question
        .choices
        .iter()
        .map(|c| (c.key.as_str(), c.needs_full_count))
        .collect();
    assert_eq!(
        keys,
        [
            ("retry", false),
            ("skip", true),
            ("undo", false),
            ("abort", false)
        ]
    );
}

#[tokio::test]
async fn orders_in_flight_are_waited_for_and_then_asked_about() {
    let world = World::native();
    world.change(|state| state.in_flight = true);
    let settings = [("in-flight-limit", "1000"), ("in-flight-poll", "200")];
    let plugin = crate::support::trade().await;
    let case = crate::support::operation::Case::new(plugin, world.clone(), &settings).await;
    let (end, observer) = case.run().await;
    assert!(matches!(end, RunEnd::Interrupted { .. }), "{end}");
    assert_eq!(observer.questions()[0].reason, PauseReason::Question);
    assert_eq!(world.changes(), Vec::<String>::new());
    let people = People::who_say([Decision::Answer {
        key: "stop-anyway".into(),
    }]);
    let (end, observer) = case.run_with(people).await;
    assert_eq!(end, RunEnd::Finished, "{:#?}", observer.questions());
}
