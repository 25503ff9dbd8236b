//! How soon somebody who types a command knows that it is on record: from the event to the answer,
//! with the request committed to the disk in between. The whole bot runs, with a plugin and a store
//! of its own; what the command sets off is waited for outside the measured time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "house/mod.rs"]
mod house;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use rollbot::bot::Bot;
use rollbot::cli::Setup;
use rollbot::dispatch::Desk;
use rollbot::operation::Conductor;
use rollbot::serve;
use rollbot_chat::{ChatEvent, Dispatch as _, console_account};
use rollbot_core::store::{OperationFilter, Store};
use rollbot_core::{EventKey, PersonId};

const PLATFORM: &str = "console";

struct House {
    desk: Arc<Desk>,
    store: Arc<dyn Store>,
    _conductor: Conductor,
}

async fn open(directory: &Path) -> House {
    house::configuration(directory, 0);
    let config = serve::load(directory).unwrap();
    let materials = serve::materials(&config, &Setup::default(), None)
        .await
        .unwrap();
    let bot = Bot::open(materials).await.unwrap();
    let house = House {
        desk: bot.desk.clone(),
        store: bot.store.clone(),
        _conductor: bot.conductor.clone(),
    };
    tokio::spawn(bot.run(std::future::pending()));
    house
}

impl House {
    async fn say(&self, text: &str) -> (Duration, String) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let event = ChatEvent::Command {
            key: EventKey::new(PLATFORM, &number.to_string()),
            account: console_account(&PersonId("ana".to_owned())),
            channel: "ops".to_owned(),
            text: text.to_owned(),
        };
        let begun = Instant::now();
        let answer = self.desk.dispatch(event).await;
        (begun.elapsed(), answer.unwrap().body)
    }

    /// Until nothing is under way any more.
    async fn settled(&self) {
        loop {
            let filter = OperationFilter {
                service: None,
                states: Vec::new(),
                limit: 1,
            };
            let newest = self.store.operations(filter).await.unwrap();
            if newest.iter().all(|operation| operation.state.is_final()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn acknowledge(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let house = runtime.block_on(open(directory.path()));
    let mut group = criterion.benchmark_group("acknowledgement");
    let all = RefCell::new(Vec::new());
    for (name, text, recorded) in [
        (
            "a request, on record",
            "/rollback trade reason: orders failing --dry-run",
            true,
        ),
        ("a question, read from the store", "/rollbot history", false),
        ("a mistake, marked", "/rollback trde", false),
    ] {
        all.borrow_mut().clear();
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let mut total = Duration::ZERO;
                    for _ in 0..times {
                        let (took, answer) = house.say(text).await;
                        assert!(!recorded || answer.contains("RB"), "{answer}");
                        total += took;
                        all.borrow_mut().push(took);
                        if recorded {
                            house.settled().await;
                        }
                    }
                    total
                })
            });
        });
        let mut all = all.borrow_mut();
        all.sort_unstable();
        let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied();
        println!(
            "{name}: of {} p50 {:?}, p99 {:?}, longest {:?}",
            all.len(),
            at(0.5).unwrap_or_default(),
            at(0.99).unwrap_or_default(),
            all.last().copied().unwrap_or_default()
        );
    }
    group.finish();
}

criterion_group!(benches, acknowledge);
criterion_main!(benches);
