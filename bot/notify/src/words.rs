//! What each template may say: its variables, as types. A template that uses another name is
//! refused at start.

use serde::{Deserialize, Serialize};

/// The variables of a template.
pub trait Words: Serialize {
    /// Values in which every optional part is present, and values in which none is. Every template
    /// is rendered with both at start.
    fn samples() -> Vec<Self>
    where
        Self: Sized;
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepWords {
    pub number: usize,
    pub title: String,
    /// What it does, touches and checks.
    pub lines: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContingencyWords {
    pub title: String,
    pub when: String,
}

/// `approval.hbs`, `plan.hbs`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApprovalWords {
    pub operation: String,
    pub service: String,
    pub procedure: String,
    pub requester: String,
    pub reason: Option<String>,
    pub steps: Vec<StepWords>,
    pub contingencies: Vec<ContingencyWords>,
    /// Container, image and digest of each compose service.
    pub returns_to: Vec<String>,
    pub data_loss: String,
    pub warnings: Vec<String>,
    /// `1 of 2 approvals: Ben`
    pub tally: String,
    pub who_may: String,
    pub ends_at: String,
    pub digest: String,
    pub plugin: String,
    /// Set when the vote is over: `approved by …`, `vetoed by …`, `expired`.
    pub decided: Option<String>,
}

impl Words for ApprovalWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            operation: text("RB-17"),
            service: text("trade"),
            procedure: text("rollback"),
            requester: text("Ana"),
            reason: Some(text("orders failing")),
            steps: vec![StepWords {
                number: 1,
                title: text("Stop the native service"),
                lines: vec![text("Stop cryptobot-trade: units cryptobot-trade")],
            }],
            contingencies: vec![ContingencyWords {
                title: text("Stop the owner of port 9003"),
                when: text("if the service manager fails"),
            }],
            returns_to: vec![text("trade: cryptobot/trade:1.4.2")],
            data_loss: text("3 files, 1.2 MB, written since 02:10"),
            warnings: vec![text("2 orders are in flight now")],
            tally: text("1 of 2 approvals: Ben"),
            who_may: text("Members of approvers may vote."),
            ends_at: text("03:22"),
            digest: text("3f0c1d2e4a5b"),
            plugin: text("trade 0.1.0"),
            decided: Some(text("approved by Ben, Cleo")),
        };
        let bare = Self {
            reason: None,
            decided: None,
            ..Self::default()
        };
        vec![full, bare]
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// ⏳ ✅ ❌ ⏭️ or ▫️
    pub mark: String,
    pub title: String,
    pub took: Option<String>,
    /// What goes on in it now.
    pub now: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObservedWords {
    pub mark: String,
    pub name: String,
    pub observed: String,
    pub wanted: String,
    pub holds: bool,
}

/// `live.hbs`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveWords {
    pub operation: String,
    pub service: String,
    pub procedure: String,
    pub state: String,
    pub steps: Vec<StepLine>,
    pub waiting: Option<String>,
    pub ending: Option<String>,
    pub exceptions: Vec<String>,
    pub observed: Vec<ObservedWords>,
    pub lock: Option<String>,
    pub approved_by: String,
    pub started_at: String,
    pub estimate: Option<String>,
}

impl Words for LiveWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            operation: text("RB-17"),
            service: text("trade"),
            procedure: text("rollback"),
            state: text("running"),
            steps: vec![StepLine {
                mark: text("✅"),
                title: text("Stop the native service"),
                took: Some(text("0.4 s")),
                now: Some(text("waiting for port 9003")),
            }],
            waiting: Some(text("the back-up failed")),
            ending: Some(text("All targets were observed in their planned state.")),
            exceptions: vec![text("Step verify was skipped")],
            observed: vec![ObservedWords {
                mark: text("✅"),
                name: text("containers of trade"),
                observed: text("running"),
                wanted: text("running"),
                holds: true,
            }],
            lock: Some(text("trade stays locked")),
            approved_by: text("Ben, Cleo"),
            started_at: text("03:08:12"),
            estimate: Some(text("about a minute left")),
        };
        vec![full, Self::default()]
    }
}

/// `detail.hbs`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DetailWords {
    pub time: String,
    pub mark: String,
    pub text: String,
    pub lines: Vec<String>,
}

impl Words for DetailWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            time: text("03:08:12"),
            mark: text("✅"),
            text: text("Stopped cryptobot-trade"),
            lines: vec![text("SIGTERM to 4711, ended after 0.2 s")],
        };
        vec![full, Self::default()]
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChoiceWords {
    pub key: String,
    pub label: String,
    pub needs_full_count: bool,
    /// How many have chosen it so far, where more than one must.
    pub chosen: Option<usize>,
}

/// `question.hbs`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QuestionWords {
    pub operation: String,
    pub service: String,
    pub text: String,
    pub details: Vec<String>,
    pub choices: Vec<ChoiceWords>,
    pub first_choice: String,
    pub required: u32,
    /// What state the service is in meanwhile.
    pub state: String,
    pub who_may: String,
    pub answer: Option<String>,
    pub answered_by: Option<String>,
}

impl Words for QuestionWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            operation: text("RB-17"),
            service: text("trade"),
            text: text("Starting the container failed."),
            details: vec![text("port is already allocated")],
            choices: vec![ChoiceWords {
                key: text("skip"),
                label: text("Skip"),
                needs_full_count: true,
                chosen: Some(1),
            }],
            first_choice: text("retry"),
            required: 2,
            state: text("The native service is stopped."),
            who_may: text("Members of approvers may answer."),
            answer: Some(text("Retry")),
            answered_by: Some(text("Ben")),
        };
        let open = Self {
            answer: None,
            answered_by: None,
            ..full.clone()
        };
        vec![full, open, Self::default()]
    }
}

/// `maintenance.hbs`, `update.hbs`, `restored.hbs`, `ended.hbs`: T1 to T3 of the runbook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnnouncementWords {
    pub product: String,
    pub service: String,
    /// As a range, from past runs; absent where there were none.
    pub duration: Option<String>,
    /// Time between updates.
    pub timeframe: String,
    /// What is being done now, in users' words.
    pub doing: Option<String>,
    pub overdue: bool,
    /// Sentences whose claim was observed, or confirmed by a named person. Nothing else claims.
    pub facts: Vec<String>,
    pub contact: String,
    pub ending: String,
}

impl Words for AnnouncementWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            product: text("Cryptobot"),
            service: text("Trading"),
            duration: Some(text("2 to 5 minutes")),
            timeframe: text("15 min"),
            doing: Some(text("saving its data")),
            overdue: true,
            facts: vec![text("Trading is paused.")],
            contact: text("support@example.org"),
            ending: text("It runs as before the maintenance."),
        };
        vec![full, Self::default()]
    }
}

/// `notice.hbs`, `answer.hbs`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NoticeWords {
    pub mark: String,
    pub title: String,
    pub text: String,
    pub lines: Vec<String>,
}

impl Words for NoticeWords {
    fn samples() -> Vec<Self> {
        let full = Self {
            mark: text("ℹ️"),
            title: text("RB-17 was asked for"),
            text: text("The plan follows."),
            lines: vec![text("one")],
        };
        vec![full, Self::default()]
    }
}
