//! Votes, locks, questions and steps.

use std::sync::Arc;

use rollbot_core::approval::{Ballot, Vote, Way};
use rollbot_core::id::Digest;
use rollbot_core::operation::{Lock, Phase, Question, State, StepRecord, StepState};
use rollbot_core::store::{Batch, Guard, GuardFailed, StoreError, Write};

use crate::Backend;
use crate::sample::*;

pub async fn a_vote_counts_once_and_can_be_taken_back(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let digest = Digest::of(b"plan");
    let first = vote(id, &digest, "ben", Ballot::Approve);
    let mut later = first.clone();
    later.at = at(99);
    let batch = Batch::new()
        .write(Write::Vote(first.clone()))
        .write(Write::Vote(later.clone()));
    store.commit(batch).await.unwrap();
    store
        .commit(Batch::new().write(Write::Vote(later.clone())))
        .await
        .unwrap();
    // The first stands: a second reaction with the same meaning changes nothing.
    assert_eq!(store.votes(id).await.unwrap(), vec![first.clone()]);

    // Another ballot, another account and another team are other votes.
    let veto = vote(id, &digest, "ben", Ballot::Veto);
    let cleo = vote(id, &digest, "cleo", Ballot::Approve);
    let mut team = cleo.clone();
    team.account.team = "T1".into();
    let others = [veto.clone(), cleo.clone(), team.clone()].map(Write::Vote);
    store.commit(Batch::new().writes(others)).await.unwrap();
    assert_eq!(store.votes(id).await.unwrap().len(), 4);

    // The time of a withdrawal says nothing about which vote it is.
    store
        .commit(Batch::new().write(Write::Unvote(later)))
        .await
        .unwrap();
    assert_eq!(store.votes(id).await.unwrap(), vec![veto, cleo, team]);
    store
        .commit(Batch::new().write(Write::Unvote(first.clone())))
        .await
        .unwrap();
    assert_eq!(store.votes(id).await.unwrap().len(), 3);
    store
        .commit(Batch::new().write(Write::Vote(first.clone())))
        .await
        .unwrap();
    assert!(store.votes(id).await.unwrap().contains(&first));
}

pub async fn a_vote_said_and_a_vote_shown_are_taken_back_apart(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let shown = vote(id, &Digest::of(b"plan"), "ben", Ballot::Approve);
    let said = Vote {
        way: Way::Said,
        ..shown.clone()
    };
    let both = [shown.clone(), said.clone()].map(Write::Vote);
    store.commit(Batch::new().writes(both)).await.unwrap();
    assert_eq!(
        store.votes(id).await.unwrap(),
        vec![shown.clone(), said.clone()]
    );
    store
        .commit(Batch::new().write(Write::Unvote(shown)))
        .await
        .unwrap();
    assert_eq!(store.votes(id).await.unwrap(), vec![said]);
}

pub async fn votes_on_older_digests_stay(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let plan = plan("trade");
    let old = vote(id, &plan.digest(), "ben", Ballot::Approve);
    let batch = Batch::new()
        .write(write_plan(id, plan.clone()))
        .write(Write::State {
            operation: id,
            state: State::AwaitingApproval,
            at: at(1),
        })
        .write(Write::Vote(old.clone()));
    store.commit(batch).await.unwrap();
    let mut other = plan;
    other.policy_version = "changed".into();
    let mut new = vote(id, &other.digest(), "ben", Ballot::Approve);
    new.at = at(20);
    let batch = Batch::new()
        .write(write_plan(id, other))
        .write(Write::State {
            operation: id,
            state: State::AwaitingApproval,
            at: at(15),
        })
        .write(Write::Vote(new.clone()));
    store.commit(batch).await.unwrap();
    assert_eq!(
        store.votes(id).await.unwrap(),
        vec![old.clone(), new.clone()]
    );
    store
        .commit(Batch::new().write(Write::Unvote(new)))
        .await
        .unwrap();
    assert_eq!(store.votes(id).await.unwrap(), vec![old]);
}

pub async fn a_lock_has_one_owner_until_it_is_given_back(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let other = request(&*store, "trade", "b").await;
    let held = lock(id, "trade");
    store
        .commit(Batch::new().write(Write::Lock(held.clone())))
        .await
        .unwrap();
    let refused = store
        .commit(Batch::new().write(Write::Lock(lock(other, "trade"))))
        .await;
    assert_eq!(
        refused,
        Err(StoreError::Guard(GuardFailed::Locked(held.clone())))
    );

    // The owner may say it again; since when stays.
    let again = Lock {
        reason: "still failing".into(),
        since: at(5_000),
        ..held.clone()
    };
    store
        .commit(Batch::new().write(Write::Lock(again)))
        .await
        .unwrap();
    let now = Lock {
        reason: "still failing".into(),
        ..held
    };
    assert_eq!(store.locks().await.unwrap(), vec![now]);

    // Another host, another lock.
    let elsewhere = Lock {
        host: "east".into(),
        ..lock(other, "trade")
    };
    store
        .commit(Batch::new().write(Write::Lock(elsewhere.clone())))
        .await
        .unwrap();
    assert_eq!(store.locks().await.unwrap().len(), 2);

    let unlock = |host: &str| Write::Unlock {
        service: "trade".into(),
        host: host.into(),
    };
    store
        .commit(Batch::new().write(unlock("local")))
        .await
        .unwrap();
    assert_eq!(store.locks().await.unwrap(), vec![elsewhere]);
    store
        .commit(Batch::new().write(unlock("local")))
        .await
        .unwrap();
    store
        .commit(Batch::new().write(Write::Lock(lock(other, "trade"))))
        .await
        .unwrap();
}

pub async fn a_lock_is_passed_within_one_batch(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = operation_in(&*store, "trade", "a", State::Closed).await;
    let undo = request(&*store, "trade", "b").await;
    store
        .commit(Batch::new().write(Write::Lock(lock(id, "trade"))))
        .await
        .unwrap();
    let pass = Batch::new()
        .write(Write::Unlock {
            service: "trade".into(),
            host: "local".into(),
        })
        .write(Write::Lock(lock(undo, "trade")));
    store.commit(pass).await.unwrap();
    assert_eq!(store.locks().await.unwrap(), vec![lock(undo, "trade")]);
}

pub async fn a_question_is_asked_chosen_and_answered_once(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = operation_in(&*store, "trade", "a", State::Paused).await;
    let asked = question(id, 3, 1);
    let open = |attempt| Guard::QuestionOpen {
        operation: id,
        phase: Phase::Run,
        seq: 3,
        attempt,
    };
    let put = |question: &Question| Write::Question(Box::new(question.clone()));
    store.commit(Batch::new().write(put(&asked))).await.unwrap();

    let one = Question {
        chosen: vec![chosen("ben", "skip")],
        ..asked.clone()
    };
    store
        .commit(Batch::new().guard(open(1)).write(put(&one)))
        .await
        .unwrap();
    assert_eq!(store.questions(id).await.unwrap(), vec![one.clone()]);

    let answered = Question {
        chosen: vec![chosen("ben", "skip"), chosen("cleo", "skip")],
        answer: Some("skip".into()),
        answered_at: Some(at(460)),
        ..asked.clone()
    };
    store
        .commit(Batch::new().guard(open(1)).write(put(&answered)))
        .await
        .unwrap();
    let late = store
        .commit(Batch::new().guard(open(1)).write(put(&one)))
        .await;
    assert_eq!(late, Err(StoreError::Guard(GuardFailed::Answered)));

    // It fails again and is asked anew; the first stays on record.
    let second = Question {
        asked_at: at(500),
        ..question(id, 3, 2)
    };
    let earlier_call = Question {
        asked_at: at(510),
        ..question(id, 1, 1)
    };
    let batch = Batch::new().write(put(&second)).write(put(&earlier_call));
    store.commit(batch).await.unwrap();
    assert_eq!(
        store.questions(id).await.unwrap(),
        vec![answered, second, earlier_call]
    );
    store.commit(Batch::new().guard(open(2))).await.unwrap();
    let unasked = store.commit(Batch::new().guard(open(3))).await;
    assert!(
        matches!(unasked, Err(StoreError::NotFound { .. })),
        "{unasked:?}"
    );
}

pub async fn steps_are_replaced_by_name(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let id = request(&*store, "trade", "a").await;
    let put = |step: StepRecord| Batch::new().write(Write::Step(step));
    store
        .commit(put(step(id, "stop", StepState::Running)))
        .await
        .unwrap();
    store
        .commit(put(step(id, "backup", StepState::Running)))
        .await
        .unwrap();
    store
        .commit(put(step(id, "stop", StepState::Done)))
        .await
        .unwrap();
    let undo = StepRecord {
        phase: Phase::Undo,
        ..step(id, "stop", StepState::Failed)
    };
    store.commit(put(undo.clone())).await.unwrap();
    assert_eq!(
        store.steps(id).await.unwrap(),
        vec![
            step(id, "stop", StepState::Done),
            step(id, "backup", StepState::Running),
            undo
        ]
    );
}

pub async fn past_steps_are_of_finished_runs_of_that_service(backend: Arc<dyn Backend>) {
    let store = backend.open().await.store;
    let mut runs = Vec::new();
    for (service, state) in [
        ("trade", State::Closed),
        ("trade", State::Failed),
        ("data", State::Closed),
        ("trade", State::Running),
        ("trade", State::ClosedWithExceptions),
    ] {
        let id = operation_in(&*store, service, &runs.len().to_string(), state).await;
        let steps = ["stop", "start"].map(|name| Write::Step(step(id, name, StepState::Done)));
        store.commit(Batch::new().writes(steps)).await.unwrap();
        runs.push(id);
    }
    // Vetoed: nothing was ever run, and it does not use the limit up.
    operation_in(&*store, "trade", "vetoed", State::Vetoed).await;
    let of = async |limit| {
        let steps = store.past_steps("trade", limit).await.unwrap();
        steps
            .into_iter()
            .map(|step| (step.operation, step.name))
            .collect::<Vec<_>>()
    };
    let pair = |id| [(id, "stop".to_owned()), (id, "start".to_owned())];
    assert_eq!(
        of(10).await,
        [pair(runs[4]), pair(runs[1]), pair(runs[0])].concat()
    );
    assert_eq!(of(2).await, [pair(runs[4]), pair(runs[1])].concat());
    assert_eq!(of(0).await, vec![]);
}
