//! Health checks, as the engine does them: at an interval, with a deadline, a count of failures
//! and a time at the start in which failures do not count.

use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::io::AsyncReadExt;

use crate::commands;
use crate::engine::Engine;
use crate::model::{Container, HealthResult};

const KEPT: usize = 5;
const OUTPUT: u64 = 4096;

/// Checks for as long as the run lasts. Without a check it waits forever.
pub async fn watch(engine: &Engine, id: &str, generation: u64) {
    let check = engine
        .container(id)
        .ok()
        .and_then(|container| container.config.healthcheck)
        .filter(crate::model::Healthcheck::enabled);
    let Some(check) = check else {
        return std::future::pending().await;
    };
    let time = |nanoseconds: i64, otherwise: u64| match u64::try_from(nanoseconds) {
        Ok(0) | Err(_) => Duration::from_secs(otherwise),
        Ok(nanoseconds) => Duration::from_nanos(nanoseconds).max(Duration::from_millis(10)),
    };
    let interval = time(check.interval, 30);
    let deadline = time(check.timeout, 30);
    let start_period = Duration::from_nanos(u64::try_from(check.start_period).unwrap_or(0));
    let retries = if check.retries > 0 { check.retries } else { 3 };
    let begin = Instant::now();
    loop {
        tokio::time::sleep(interval).await;
        let Ok(container) = engine.container(id) else {
            return std::future::pending().await;
        };
        if container.run.generation != generation {
            return std::future::pending().await;
        }
        let result = once(engine, &container, &check.test, deadline).await;
        let mut changed = None;
        // Written down only where the verdict changes, so that an idle engine leaves the disk alone.
        engine.remember_container(id, |container| {
            let Some(health) = &mut container.run.health else {
                return;
            };
            let before = health.status.clone();
            if result.exit_code == 0 {
                health.failing_streak = 0;
                health.status = "healthy".to_owned();
            } else if before != "starting" || begin.elapsed() > start_period {
                health.failing_streak += 1;
                if health.failing_streak >= retries {
                    health.status = "unhealthy".to_owned();
                }
            }
            if health.log.len() == KEPT {
                health.log.remove(0);
            }
            health.log.push(result);
            if health.status != before {
                changed = Some(health.status.clone());
            }
        });
        if let Some(status) = changed
            && let Ok(container) = engine.container(id)
        {
            engine.observe_container(id, |_| {});
            engine
                .events
                .container(&container, &format!("health_status: {status}"), &[]);
        }
    }
}

async fn once(
    engine: &Engine,
    container: &Container,
    test: &[String],
    deadline: Duration,
) -> HealthResult {
    let start = Timestamp::now();
    let (exit_code, output) =
        match tokio::time::timeout(deadline, run(engine, container, test)).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => (-1, error),
            Err(_) => (
                -1,
                format!(
                    "Health check exceeded timeout ({} ms)",
                    deadline.as_millis()
                ),
            ),
        };
    HealthResult {
        start,
        end: Timestamp::now(),
        exit_code,
        output,
    }
}

async fn run(
    engine: &Engine,
    container: &Container,
    test: &[String],
) -> Result<(i64, String), String> {
    let words = match test.split_first() {
        Some((kind, words)) if kind == "CMD" => words.to_vec(),
        Some((kind, words)) if kind == "CMD-SHELL" => {
            let mut all = vec!["/bin/sh".to_owned(), "-c".to_owned()];
            all.extend_from_slice(words);
            all
        }
        _ => test.to_vec(),
    };
    let image = engine
        .image(&container.image_id)
        .map_err(|error| error.message)?;
    let program = commands::program(&engine.store, &image.layer, &container.config, &words)?;
    let mut command = commands::command(
        &engine.store,
        &image.layer,
        container,
        &program,
        &words,
        &container.run.ports,
    );
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut output = Vec::new();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    if let Some(out) = out {
        let _ = out.take(OUTPUT).read_to_end(&mut output).await;
    }
    if let Some(err) = err {
        let left = OUTPUT.saturating_sub(output.len() as u64);
        let _ = err.take(left).read_to_end(&mut output).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Ok((
        status.code().map_or(-1, i64::from),
        String::from_utf8_lossy(&output).into_owned(),
    ))
}
