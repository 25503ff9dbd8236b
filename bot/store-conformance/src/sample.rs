//! Values to store, and all that is stored about an operation in one comparable piece.

use jiff::Timestamp;
use rollbot_core::approval::{Account, Ballot, Vote, Way};
use rollbot_core::audit::{AuditEntry, AuditRow};
use rollbot_core::id::{Digest, EventKey, OperationId, PersonId};
use rollbot_core::journal::{Class, Entry, JournalWrite, Outcome};
use rollbot_core::operation::{
    ApprovedBy, Choice, Chosen, Lock, NewOperation, Observed, Operation, Origin, PauseReason,
    Phase, Question, State, StepRecord, StepState,
};
use rollbot_core::outbox::{About, Destination, Message, OutboxRow};
use rollbot_core::plan::{
    ArchiveFormat, ComposeTarget, Contingency, CreateBackup, DataLoss, Effect, EffectKind,
    HttpCheck, HttpMethod, JsonExpectation, JsonTest, NamedCheck, Pinned, Plan, Service,
    StartProcesses, Step, StopMethod, StopProcesses, Target, WantedState,
};
use rollbot_core::store::{Batch, Store, StoreError, Write};

/// That many milliseconds after a fixed instant in 2026.
pub fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + millisecond).unwrap()
}

pub fn event(id: &str) -> EventKey {
    EventKey::new("console", id)
}

pub fn new_operation(service: &str) -> NewOperation {
    NewOperation {
        service: service.into(),
        host: "local".into(),
        procedure: "rollback".into(),
        reason: Some("orders failing \u{1F525} 'quoted' \"twice\"".into()),
        requester: "ana".into(),
        origin: Origin {
            platform: "console".into(),
            channel: "ops".into(),
        },
        dry_run: false,
        requested_at: at(0),
    }
}

/// A request under an event of its own.
pub async fn request(store: &dyn Store, service: &str, id: &str) -> OperationId {
    store
        .create_operation(new_operation(service), event(id), &|_| Vec::new())
        .await
        .unwrap()
}

/// A request that has come to that state by the shortest way.
pub async fn operation_in(store: &dyn Store, service: &str, id: &str, state: State) -> OperationId {
    let operation = request(store, service, id).await;
    let way: &[State] = match state {
        State::Requested => &[],
        State::Planned => &[State::Planned],
        State::AwaitingApproval => &[State::AwaitingApproval],
        State::Running => &[State::AwaitingApproval, State::Running],
        State::Paused => &[State::AwaitingApproval, State::Running, State::Paused],
        State::Verified => &[State::AwaitingApproval, State::Running, State::Verified],
        State::Closed => &[
            State::AwaitingApproval,
            State::Running,
            State::Verified,
            State::Closed,
        ],
        State::ClosedWithExceptions => &[
            State::AwaitingApproval,
            State::Running,
            State::ClosedWithExceptions,
        ],
        State::Undone => &[State::AwaitingApproval, State::Running, State::Undone],
        State::Vetoed => &[State::AwaitingApproval, State::Vetoed],
        State::Expired => &[State::AwaitingApproval, State::Expired],
        State::Cancelled => &[State::Cancelled],
        State::Failed => &[State::Failed],
    };
    for &state in way {
        store
            .commit(Batch::new().write(Write::State {
                operation,
                state,
                at: at(1),
            }))
            .await
            .unwrap();
    }
    operation
}

/// A plan whose numbers are hard to write down exactly.
pub fn plan(service: &str) -> Plan {
    let check = HttpCheck {
        method: HttpMethod::Post,
        url: "http://127.0.0.1:9003/orders".into(),
        headers: Vec::new(),
        body: Some("{\"paper\":true}".into()),
        status: 200,
        expect: vec![
            JsonExpectation {
                pointer: "/ratio".into(),
                test: JsonTest::AtLeast(f64::from_bits(0x3fd5_5555_5555_5555)),
            },
            JsonExpectation {
                pointer: "/sum".into(),
                test: JsonTest::AtMost(0.1 + 0.2),
            },
            JsonExpectation {
                pointer: "/tiny".into(),
                test: JsonTest::AtMost(f64::MIN_POSITIVE),
            },
        ],
        within: 2_000,
        idempotency_key: true,
    };
    let native = StartProcesses {
        host: "local".into(),
        units: vec![format!("{service}.service")],
        port: Some(9003),
    };
    let containers = ComposeTarget {
        host: "local".into(),
        project: "platform".into(),
        services: vec![service.into()],
    };
    let effect = |name: &str, kind| Effect {
        name: name.into(),
        title: format!("Effect {name}"),
        kind,
        pinned: Pinned::default(),
    };
    Plan {
        component: Digest::of(b"component"),
        plugin: "trade 0.1.0".into(),
        procedure: "rollback".into(),
        service: Service {
            name: service.into(),
            host: "local".into(),
            units: native.units.clone(),
            port: Some(9003),
            compose_project: "platform".into(),
            compose_services: vec![service.into()],
            data_directory: "/srv/trade".into(),
            archive_name: "trade-{time}".into(),
            archive_format: ArchiveFormat::TarZst,
            registry_key: "trade".into(),
            registry_native: "native".into(),
            registry_docker: "docker".into(),
            cutover: Some(at(-1_000)),
            checks: vec![NamedCheck {
                name: "orders".into(),
                check,
            }],
            settings: Vec::new(),
        },
        steps: vec![Step {
            name: "stop".into(),
            title: "Stop the native service".into(),
            checks: vec!["No order is in flight".into()],
            effects: vec![
                effect(
                    "stop-native",
                    EffectKind::StopProcesses(StopProcesses {
                        host: "local".into(),
                        method: StopMethod::ServiceManager,
                        units: native.units.clone(),
                        port: Some(9003),
                        grace: 10_000,
                    }),
                ),
                effect(
                    "backup-data",
                    EffectKind::CreateBackup(CreateBackup {
                        host: "local".into(),
                        directory: "/srv/trade".into(),
                        archive_name: "trade-{time}".into(),
                        format: ArchiveFormat::TarZst,
                    }),
                ),
            ],
            contingencies: vec![Contingency {
                effect: effect("start-native", EffectKind::StartProcesses(native.clone())),
                when: "people undo".into(),
                after: Some("stop-native".into()),
                undo: true,
            }],
        }],
        targets: vec![Target {
            name: "containers".into(),
            wanted: WantedState::ContainersRunning(containers),
        }],
        undo_targets: vec![Target {
            name: "native".into(),
            wanted: WantedState::NativeRunning(native),
        }],
        data_loss: DataLoss::Window {
            since: at(-1_000),
            last_write: at(-10),
            files: 3,
            bytes: 4_096,
        },
        warnings: vec!["the last backup is old".into()],
        grants: serde_json::json!({ "process": ["trade.service"], "share": 0.7 }),
        policy_version: "abcdef012345".into(),
        made_at: at(5),
    }
}

pub fn write_plan(operation: OperationId, plan: Plan) -> Write {
    let digest = plan.digest();
    Write::Plan {
        operation,
        plan: Box::new(plan),
        digest,
        expires_at: at(900_000),
    }
}

pub fn vote(operation: OperationId, digest: &Digest, user: &str, ballot: Ballot) -> Vote {
    Vote {
        operation,
        digest: digest.clone(),
        account: Account {
            platform: "console".into(),
            team: String::new(),
            user: user.into(),
        },
        ballot,
        way: Way::Reaction,
        at: at(10),
    }
}

pub fn entry(seq: i64, class: Class) -> Entry {
    Entry {
        seq,
        function: "process.stop".into(),
        arguments: "{\"effect\":\"stop-native\"}".into(),
        class,
        attempt: 1,
        intent_at: at(100 + seq),
        outcome: None,
        outcome_at: None,
    }
}

pub fn intent(operation: OperationId, phase: Phase, seq: i64) -> Write {
    let change = JournalWrite::Intent {
        phase,
        entry: entry(seq, Class::Idempotent),
    };
    Write::Journal { operation, change }
}

pub fn outcome(operation: OperationId, phase: Phase, seq: i64, outcome: Outcome) -> Write {
    let change = JournalWrite::Outcome {
        phase,
        seq,
        outcome,
        at: at(200 + seq),
    };
    Write::Journal { operation, change }
}

pub fn again(operation: OperationId, phase: Phase, seq: i64) -> Write {
    Write::Journal {
        operation,
        change: JournalWrite::Again {
            phase,
            seq,
            at: at(300 + seq),
        },
    }
}

pub fn returned() -> Outcome {
    Outcome::Returned("{\"ok\":null}".into())
}

pub fn failed() -> Outcome {
    Outcome::Failed("{\"timeout\":\"10 s\"}".into())
}

pub fn step(operation: OperationId, name: &str, state: StepState) -> StepRecord {
    StepRecord {
        operation,
        phase: Phase::Run,
        name: name.into(),
        title: format!("Step {name}"),
        state,
        started_at: at(100),
        ended_at: (state != StepState::Running).then(|| at(150)),
    }
}

pub fn lock(operation: OperationId, service: &str) -> Lock {
    Lock {
        service: service.into(),
        host: "local".into(),
        operation,
        holder: "ana".into(),
        reason: "orders failing".into(),
        since: at(50),
    }
}

pub fn question(operation: OperationId, seq: i64, attempt: i64) -> Question {
    Question {
        operation,
        phase: Phase::Run,
        seq,
        attempt,
        reason: PauseReason::StepFailed {
            step: "stop".into(),
        },
        text: "The process did not stop. What now?".into(),
        details: vec!["last line of its log".into()],
        choices: vec![
            Choice {
                key: "retry".into(),
                label: "Try again".into(),
                needs_full_count: false,
            },
            Choice {
                key: "skip".into(),
                label: "Skip".into(),
                needs_full_count: true,
            },
        ],
        asked_at: at(400),
        chosen: Vec::new(),
        answer: None,
        answered_at: None,
    }
}

pub fn chosen(person: &str, key: &str) -> Chosen {
    Chosen {
        person: person.into(),
        key: key.into(),
        at: at(450),
    }
}

pub fn audit_entry(kind: &str) -> AuditEntry {
    AuditEntry {
        at: at(1),
        actor: "ana".into(),
        kind: kind.into(),
        text: format!("Ana did {kind}"),
        facts: serde_json::json!({ "z": 1, "a": ["x", null], "share": 0.1 }),
    }
}

pub fn audit(operation: OperationId, kind: &str) -> Write {
    Write::Audit {
        operation,
        entry: audit_entry(kind),
    }
}

pub fn message(operation: OperationId, identity: &str, about: About) -> Message {
    Message {
        identity: identity.into(),
        operation,
        about,
        destination: Destination {
            platform: "console".into(),
            channel: "ops".into(),
        },
        thread_of: None,
        template: "live".into(),
        variables: serde_json::json!({ "step": 1, "share": 0.1 }),
        reactions: vec!["white_check_mark".into()],
        buttons: vec![("approve".into(), "Approve".into())],
        not_before: at(0),
    }
}

pub fn notify(message: Message) -> Write {
    Write::Notify(Box::new(message))
}

/// One of every kind of write, for an operation that was just requested.
pub fn one_of_each(operation: OperationId, service: &str) -> Vec<Write> {
    let plan = plan(service);
    let digest = plan.digest();
    vec![
        write_plan(operation, plan),
        Write::State {
            operation,
            state: State::AwaitingApproval,
            at: at(20),
        },
        Write::Vote(vote(operation, &digest, "ben", Ballot::Approve)),
        Write::Vote(vote(operation, &digest, "cleo", Ballot::Veto)),
        Write::Unvote(vote(operation, &digest, "cleo", Ballot::Veto)),
        Write::Started {
            operation,
            by: ApprovedBy::People {
                people: vec!["ben".into(), "cleo".into()],
            },
            at: at(30),
        },
        Write::State {
            operation,
            state: State::Running,
            at: at(31),
        },
        Write::Lock(lock(operation, service)),
        intent(operation, Phase::Run, 0),
        outcome(operation, Phase::Run, 0, failed()),
        again(operation, Phase::Run, 0),
        Write::Step(step(operation, "stop", StepState::Running)),
        Write::Question(Box::new(question(operation, 0, 1))),
        Write::Phase {
            operation,
            phase: Phase::Undo,
        },
        intent(operation, Phase::Undo, 0),
        Write::Exception {
            operation,
            text: "step `x` was skipped, \"so\" 'it' goes".into(),
        },
        Write::Observed {
            operation,
            observed: vec![Observed {
                name: "containers".into(),
                wanted: "running".into(),
                observed: "running".into(),
                holds: true,
            }],
        },
        Write::Ending {
            operation,
            ending: "Undone by Ben.".into(),
        },
        audit(operation, "requested"),
        audit(operation, "state"),
        notify(message(
            operation,
            &format!("{operation}/live@console/ops"),
            About::Live,
        )),
    ]
}

/// All that a store says about an operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Everything {
    pub operation: Option<Operation>,
    pub votes: Vec<Vote>,
    pub journal: Vec<Entry>,
    pub undo: Vec<Entry>,
    pub steps: Vec<StepRecord>,
    pub locks: Vec<Lock>,
    pub questions: Vec<Question>,
    pub audit: Vec<AuditRow>,
    pub outbox: Vec<OutboxRow>,
}

/// Reads all that the store says about an operation; the locks are everybody's.
pub async fn everything(store: &dyn Store, operation: OperationId) -> Everything {
    try_everything(store, operation).await.unwrap()
}

async fn try_everything(
    store: &dyn Store,
    operation: OperationId,
) -> Result<Everything, StoreError> {
    Ok(Everything {
        operation: store.operation(operation).await?,
        votes: store.votes(operation).await?,
        journal: store.journal(operation, Phase::Run).await?,
        undo: store.journal(operation, Phase::Undo).await?,
        steps: store.steps(operation).await?,
        locks: store.locks().await?,
        questions: store.questions(operation).await?,
        audit: store.audit(operation).await?,
        outbox: store.outbox_of(operation).await?,
    })
}

/// A number that no store has given away.
pub fn nobody() -> OperationId {
    OperationId::new(4_711).unwrap()
}

pub fn ana() -> PersonId {
    "ana".into()
}
