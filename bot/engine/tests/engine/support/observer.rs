//! Somebody who is told everything, and answers questions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use rollbot_core::audit::AuditEntry;
use rollbot_core::id::OperationId;
use rollbot_core::operation::{Decision, Question};
use rollbot_core::store::Write;
use rollbot_engine::{Interrupted, RunEvent, RunObserver};

/// People: their answers outlive a crash of the bot.
#[derive(Clone, Default)]
pub struct People {
    coming: Arc<Mutex<VecDeque<Decision>>>,
    given: Arc<Mutex<BTreeMap<String, Decision>>>,
}

impl People {
    pub fn who_say(decisions: impl IntoIterator<Item = Decision>) -> Self {
        let people = Self::default();
        people.coming.lock().unwrap().extend(decisions);
        people
    }

    fn answer(&self, question: &Question) -> Option<Decision> {
        let mut given = self.given.lock().unwrap();
        if let Some(decision) = given.get(&question.key()) {
            return Some(decision.clone());
        }
        let decision = self.coming.lock().unwrap().pop_front()?;
        given.insert(question.key(), decision.clone());
        Some(decision)
    }
}

/// Writes an audit entry for each event, so that it can be seen which transaction it was in.
pub struct Observer {
    operation: OperationId,
    people: People,
    events: Mutex<Vec<RunEvent>>,
    questions: Mutex<Vec<Question>>,
    pub abort: AtomicBool,
}

impl Observer {
    pub fn new(operation: OperationId, people: People) -> Arc<Self> {
        Arc::new(Self {
            operation,
            people,
            events: Mutex::default(),
            questions: Mutex::default(),
            abort: AtomicBool::new(false),
        })
    }

    pub fn events(&self) -> Vec<RunEvent> {
        self.events.lock().unwrap().clone()
    }

    pub fn questions(&self) -> Vec<Question> {
        self.questions.lock().unwrap().clone()
    }

    pub fn notes(&self) -> Vec<String> {
        self.events()
            .into_iter()
            .filter_map(|event| match event {
                RunEvent::Note { text, .. } => Some(text),
                _ => None,
            })
            .collect()
    }
}

/// One word for an event, and what it is about.
pub fn word(event: &RunEvent) -> String {
    match event {
        RunEvent::Began { .. } => "began".into(),
        RunEvent::StepBegan { step, .. } => format!("step-began {step}"),
        RunEvent::StepEnded { step, .. } => format!("step-ended {step}"),
        RunEvent::StepFailed { step, .. } => format!("step-failed {step}"),
        RunEvent::StepSkipped { step, .. } => format!("step-skipped {step}"),
        RunEvent::StepRetried { step, .. } => format!("step-retried {step}"),
        RunEvent::EffectBegan { effect, .. } => format!("effect-began {}", effect.name),
        RunEvent::EffectEnded {
            effect,
            by_hand: true,
            ..
        } => {
            format!("effect-ended-by-hand {}", effect.name)
        }
        RunEvent::EffectEnded { effect, .. } => format!("effect-ended {}", effect.name),
        RunEvent::EffectFailed {
            effect,
            contingency: Some(next),
            ..
        } => {
            format!("effect-failed {} then {next}", effect.name)
        }
        RunEvent::EffectFailed { effect, .. } => format!("effect-failed {}", effect.name),
        RunEvent::EffectUnknown { effect, .. } => format!("effect-unknown {}", effect.name),
        RunEvent::EffectSkipped { effect, .. } => format!("effect-skipped {}", effect.name),
        RunEvent::EffectRetried { effect, .. } => format!("effect-retried {}", effect.name),
        RunEvent::Refused { function, .. } => format!("refused {function}"),
        RunEvent::Note { .. } => "note".into(),
        RunEvent::Attempt {
            function, n, of, ..
        } => format!("attempt {function} {n}/{of}"),
        RunEvent::Answered { key, .. } => format!("answered {key}"),
    }
}

#[async_trait]
impl RunObserver for Observer {
    fn tell(&self, at: Timestamp, event: &RunEvent) -> Vec<Write> {
        self.events.lock().unwrap().push(event.clone());
        let entry = AuditEntry {
            at,
            actor: "rollbot".into(),
            kind: "event".into(),
            text: word(event),
            facts: serde_json::Value::Null,
        };
        vec![Write::Audit {
            operation: self.operation,
            entry,
        }]
    }

    async fn decide(&self, question: Question) -> Result<Decision, Interrupted> {
        self.questions.lock().unwrap().push(question.clone());
        self.people
            .answer(&question)
            .ok_or_else(|| Interrupted("nobody answers".into()))
    }

    fn is_abort_requested(&self) -> bool {
        self.abort.load(Ordering::SeqCst)
    }
}
