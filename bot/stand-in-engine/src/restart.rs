//! Watching over processes: seeing them end, starting them again where the policy says so, and
//! finding those that outlived the last stand-in.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Child;

use crate::engine::Engine;
use crate::model::{Container, RestartPolicy, Status};
use crate::process::{self, Identity};
use crate::{health, lifecycle, logs};

/// What an exit code is that nobody saw.
const UNKNOWN: i64 = 255;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A process to watch.
pub enum Running {
    /// Started by this stand-in, which learns how it ends.
    Own(Box<Child>),
    /// Found again.
    Found(Identity),
}

/// Watches a process until it has ended, and does what is to be done then.
pub fn monitor(engine: &Arc<Engine>, id: &str, generation: u64, running: Running) {
    let (engine, id) = (Arc::clone(engine), id.to_owned());
    tokio::spawn(async move { watch(engine, id, generation, running).await });
}

async fn watch(engine: Arc<Engine>, id: String, generation: u64, running: Running) {
    let ended = async {
        match running {
            Running::Own(mut child) => match child.wait().await {
                Ok(status) => {
                    let code = status
                        .code()
                        .or_else(|| status.signal().map(|signal| 128 + signal));
                    (code.map_or(UNKNOWN, i64::from), String::new())
                }
                Err(error) => (UNKNOWN, format!("its end could not be waited for: {error}")),
            },
            Running::Found(identity) => {
                identity.ended().await;
                (
                    UNKNOWN,
                    "stand-in engine: the exit code is not known, since the process was started before the stand-in".to_owned(),
                )
            }
        }
    };
    let (code, error) = tokio::select! {
        end = ended => end,
        // Neither of them ends by itself.
        () = health::watch(&engine, &id, generation) => return,
        () = logs::keep_times(&engine, &id) => return,
    };
    logs::note_time(&engine.store.container(&id));
    finish(&engine, &id, code, error).await;
}

/// Records the end; starts again where the policy says so.
async fn finish(engine: &Arc<Engine>, id: &str, code: i64, error: String) {
    let mut after = None;
    engine.observe_container(id, |container| {
        let again = again(container, code);
        let run = &mut container.run;
        run.status = if again {
            Status::Restarting
        } else {
            Status::Exited
        };
        run.exit_code = code;
        run.error = error;
        run.process = None;
        run.ports.clear();
        run.finished_at = Some(Timestamp::now());
        after = Some((container.clone(), again));
    });
    let Some((container, again)) = after else {
        return;
    };
    engine
        .events
        .container(&container, "die", &[("exitCode", code.to_string())]);
    if !again {
        return;
    }
    tokio::time::sleep(pause(container.run.restarts)).await;
    let Ok(_turn) = engine.turn(id).await else {
        return;
    };
    let waiting = engine
        .container(id)
        .is_ok_and(|container| container.run.status == Status::Restarting);
    if waiting && let Err(error) = lifecycle::launch(engine, id, true).await {
        tracing::warn!(container = %container.name, error = %error.message, "not started again");
    }
}

fn again(container: &Container, code: i64) -> bool {
    !container.run.stopped_by_hand
        && match container.host.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure(most) => {
                code != 0 && (most == 0 || container.run.restarts < most)
            }
        }
}

fn pause(restarts: i64) -> Duration {
    let doublings = u32::try_from(restarts.clamp(0, 16)).unwrap_or(16);
    (FIRST_PAUSE * 2u32.saturating_pow(doublings)).min(LONGEST_PAUSE)
}

/// Goes through what an earlier stand-in left: watches what runs, and records or starts again
/// what does not.
pub async fn adopt(engine: &Arc<Engine>) {
    let containers: Vec<Container> = engine.read(|state| {
        state
            .containers
            .values()
            .filter(|container| {
                container.run.launching
                    || matches!(container.run.status, Status::Running | Status::Restarting)
            })
            .cloned()
            .collect()
    });
    for container in containers {
        let id = container.id.as_str();
        let found = container
            .run
            .process
            .clone()
            .filter(|_| !container.run.launching)
            .filter(Identity::alive)
            .or_else(|| {
                // The last stand-in died between starting a process and writing it down.
                container
                    .run
                    .launching
                    .then(|| process::find_marked(id))
                    .flatten()
            });
        match found {
            Some(identity) => {
                tracing::info!(container = %container.name, pid = identity.pid, "found again");
                let mut generation = 0;
                engine.observe_container(id, |container| {
                    let run = &mut container.run;
                    run.launching = false;
                    run.generation += 1;
                    generation = run.generation;
                    run.status = Status::Running;
                    run.process = Some(identity.clone());
                    run.started_at.get_or_insert_with(Timestamp::now);
                });
                monitor(engine, id, generation, Running::Found(identity));
            }
            None if container.run.launching && container.run.status == Status::Created => {
                engine.observe_container(id, |container| container.run.launching = false);
            }
            None => {
                engine.observe_container(id, |container| container.run.launching = false);
                let (engine, id) = (Arc::clone(engine), container.id.clone());
                tokio::spawn(async move {
                    let error =
                        "stand-in engine: it ended while no stand-in was running".to_owned();
                    finish(&engine, &id, UNKNOWN, error).await;
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_restarts_grow_up_to_a_minute() {
        assert_eq!(pause(0), Duration::from_millis(100));
        assert_eq!(pause(3), Duration::from_millis(800));
        assert_eq!(pause(1_000), Duration::from_secs(60));
    }
}
