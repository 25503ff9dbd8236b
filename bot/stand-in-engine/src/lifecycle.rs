//! Start, stop, kill, remove, wait.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::error::ApiError;
use crate::model::{Container, Health, Healthcheck, Status};
use crate::{commands, process, restart};

/// How long a killed process may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Whether something was to be done at all: the engine answers 204 or 304.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    Now,
    Already,
}

/// `POST /containers/ID/start`
pub async fn start(engine: &Arc<Engine>, reference: &str) -> Result<Done, ApiError> {
    let id = engine.container(reference)?.id;
    let _turn = engine.turn(&id).await?;
    if engine.container(&id)?.run.status == Status::Running {
        return Ok(Done::Already);
    }
    launch(engine, &id, false).await?;
    Ok(Done::Now)
}

/// Starts the process. The caller has the turn, and has seen that none runs.
pub async fn launch(engine: &Arc<Engine>, id: &str, again: bool) -> Result<(), ApiError> {
    let container = engine.container(id)?;
    let image = engine.image(&container.image_id)?;
    let failed = |code: i64, status: StatusCode, message: String| {
        engine.observe_container(id, |container| {
            let run = &mut container.run;
            run.launching = false;
            run.exit_code = code;
            run.error.clone_from(&message);
            run.process = None;
            if run.status != Status::Created {
                run.status = Status::Exited;
            }
        });
        ApiError::new(status, message)
    };
    // Codes and statuses are the engine's: 128 for what it could not set up, 127 for a program
    // that is not there.
    let ports = commands::ports(&container)
        .map_err(|message| failed(128, StatusCode::INTERNAL_SERVER_ERROR, message))?;
    engine.write(|state| {
        if let Some(container) = state.containers.get_mut(id) {
            container.run.launching = true;
            container.run.ports.clone_from(&ports);
        }
    })?;
    let child = commands::spawn(&engine.store, &image.layer, &container, &ports)
        .await
        .map_err(|message| failed(127, StatusCode::BAD_REQUEST, message))?;
    let identity = child
        .id()
        .and_then(|pid| process::Identity::of(i32::try_from(pid).ok()?));
    let mut generation = 0;
    engine.observe_container(id, |container| {
        let run = &mut container.run;
        run.generation += 1;
        generation = run.generation;
        run.launching = false;
        run.status = Status::Running;
        // Without one it has ended already, which the monitor is about to see.
        run.process = identity;
        run.started_at = Some(Timestamp::now());
        run.exit_code = 0;
        run.error.clear();
        run.stopped_by_hand = false;
        run.restarts = if again { run.restarts + 1 } else { 0 };
        run.health = starting(container.config.healthcheck.as_ref());
    });
    engine
        .events
        .container(&engine.container(id)?, "start", &[]);
    restart::monitor(
        engine,
        id,
        generation,
        restart::Running::Own(Box::new(child)),
    );
    Ok(())
}

fn starting(check: Option<&Healthcheck>) -> Option<Health> {
    check.filter(|check| check.enabled()).map(|_| Health {
        status: "starting".to_owned(),
        failing_streak: 0,
        log: Vec::new(),
    })
}

/// `POST /containers/ID/stop`: the stop signal, a wait, SIGKILL.
pub async fn stop(engine: &Engine, reference: &str, grace: Option<i64>) -> Result<Done, ApiError> {
    let id = engine.container(reference)?.id;
    let _turn = engine.turn(&id).await?;
    let container = engine.container(&id)?;
    match container.run.status {
        Status::Created | Status::Exited => return Ok(Done::Already),
        Status::Restarting => {
            engine.write(|state| {
                if let Some(container) = state.containers.get_mut(&id) {
                    container.run.status = Status::Exited;
                    container.run.stopped_by_hand = true;
                }
            })?;
            return Ok(Done::Now);
        }
        Status::Running => {}
    }
    let signal = container
        .config
        .stop_signal
        .as_deref()
        .and_then(process::signal)
        .unwrap_or(Signal::SIGTERM);
    let grace = grace.or(container.config.stop_timeout).unwrap_or(10);
    end(engine, &container, signal, grace).await?;
    if let Ok(container) = engine.container(&id) {
        engine.events.container(&container, "stop", &[]);
    }
    Ok(Done::Now)
}

/// Signals the process, waits, kills it. A negative grace has no end.
async fn end(
    engine: &Engine,
    container: &Container,
    signal: Signal,
    grace: i64,
) -> Result<(), ApiError> {
    let id = &container.id;
    engine.write(|state| {
        if let Some(container) = state.containers.get_mut(id) {
            container.run.stopped_by_hand = true;
        }
    })?;
    let ended = |container: Option<&Container>| {
        container.is_none_or(|container| container.run.status != Status::Running)
    };
    if let Some(process) = &container.run.process {
        engine.events.container(
            container,
            "kill",
            &[("signal", (signal as i32).to_string())],
        );
        process.signal(signal, signal == Signal::SIGKILL);
    }
    let patience = u64::try_from(grace).ok().map(Duration::from_secs);
    if engine.until(id, patience, ended).await {
        return Ok(());
    }
    if let Some(process) = &container.run.process {
        engine
            .events
            .container(container, "kill", &[("signal", "9".to_owned())]);
        process.signal(Signal::SIGKILL, true);
    }
    if engine.until(id, Some(AFTER_KILL), ended).await {
        Ok(())
    } else {
        Err(ApiError::internal(format!(
            "tried to kill container {id}, but did not receive an exit event"
        )))
    }
}

/// `POST /containers/ID/kill`
pub fn kill(engine: &Engine, reference: &str, signal: Option<&str>) -> Result<(), ApiError> {
    let container = engine.container(reference)?;
    let text = signal.unwrap_or("SIGKILL");
    let signal = process::signal(text)
        .ok_or_else(|| ApiError::bad_request(format!("Invalid signal: {text}")))?;
    let Some(process) = container
        .run
        .process
        .as_ref()
        .filter(|_| container.run.status == Status::Running)
    else {
        return Err(ApiError::conflict(format!(
            "Cannot kill container: {reference}: Container {} is not running",
            container.id
        )));
    };
    if signal == Signal::SIGKILL {
        engine.write(|state| {
            if let Some(container) = state.containers.get_mut(&container.id) {
                container.run.stopped_by_hand = true;
            }
        })?;
    }
    engine.events.container(
        &container,
        "kill",
        &[("signal", (signal as i32).to_string())],
    );
    process.signal(signal, signal == Signal::SIGKILL);
    Ok(())
}

/// `POST /containers/ID/restart`
pub async fn restart_now(
    engine: &Arc<Engine>,
    reference: &str,
    grace: Option<i64>,
) -> Result<(), ApiError> {
    stop(engine, reference, grace).await?;
    start(engine, reference).await?;
    let container = engine.container(reference)?;
    engine.events.container(&container, "restart", &[]);
    Ok(())
}

/// `DELETE /containers/ID`
pub async fn remove(engine: &Engine, reference: &str, force: bool) -> Result<(), ApiError> {
    let id = engine.container(reference)?.id;
    let turn = engine.turn(&id).await?;
    let container = engine.container(&id)?;
    match container.run.status {
        Status::Running if !force => {
            return Err(ApiError::conflict(format!(
                "You cannot remove a running container {id}. Stop the container before attempting removal or force remove"
            )));
        }
        Status::Running => end(engine, &container, Signal::SIGKILL, 0).await?,
        _ => {}
    }
    engine.write(|state| state.containers.remove(&id))?;
    let dir = engine.store.container(&id);
    if let Err(error) = std::fs::remove_dir_all(&dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, path = %dir.display(), "left over");
    }
    engine.events.container(&container, "destroy", &[]);
    drop(turn);
    engine.forget(&id);
    Ok(())
}

/// `POST /containers/ID/wait`: the exit code, as long as that takes.
pub async fn wait(engine: &Engine, id: &str, condition: &str) -> Result<Value, ApiError> {
    let before = engine.container(id)?;
    let answer = |container: &Container| {
        let mut answer = json!({ "StatusCode": container.run.exit_code });
        if !container.run.error.is_empty() {
            answer["Error"] = json!({ "Message": container.run.error });
        }
        answer
    };
    let over = |container: &Container| {
        let stopped = matches!(container.run.status, Status::Created | Status::Exited);
        match condition {
            // The end of the present run, or of the next one when there is none.
            "next-exit" => stopped && container.run.finished_at > before.run.finished_at,
            _ => stopped,
        }
    };
    engine
        .until(id, None, |container| match container {
            None => true,
            Some(_) if condition == "removed" => false,
            Some(container) => over(container),
        })
        .await;
    Ok(engine
        .container(id)
        .map_or_else(|_| answer(&before), |container| answer(&container)))
}

/// Whether a condition is one of the engine's.
pub fn known_condition(text: &str) -> bool {
    matches!(text, "not-running" | "next-exit" | "removed")
}
