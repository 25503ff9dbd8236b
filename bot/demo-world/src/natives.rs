//! The native services, started as the bot itself would start them.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rollbot_host_process::{
    CommandUnit, CommandUnits, Deadlines, Processes, StartRequest, StopMethod, StopRequest,
    UnitState, UnitStatus,
};

use crate::binary::BINARY;
use crate::error::WorldError;
use crate::layout::Layout;
use crate::observe::{self, Deployment};
use crate::services::DemoService;

const HEALTHY: Duration = Duration::from_secs(30);
/// Long enough for a service that ends in good order, which takes less than a second.
const GRACE: Duration = Duration::from_secs(3);

fn failed(service: &DemoService, reason: impl ToString) -> WorldError {
    WorldError::Native {
        unit: service.unit.clone(),
        reason: reason.to_string(),
        log: service.log_file.clone(),
    }
}

fn units(
    layout: &Layout,
    services: &[DemoService],
    unit: impl Fn(&DemoService) -> CommandUnit,
) -> Result<CommandUnits, WorldError> {
    let deadlines = Deadlines {
        start: HEALTHY,
        ..Deadlines::default()
    };
    CommandUnits::new(layout.run(), services.iter().map(unit).collect(), deadlines).map_err(
        |error| WorldError::Native {
            unit: "the native services".to_owned(),
            reason: error.to_string(),
            log: layout.logs(),
        },
    )
}

/// Writes the program once, and gives it a name for each service: people see it in `ps` and where
/// the owner of a port is shown.
pub fn install(layout: &Layout, services: &[DemoService]) -> Result<(), WorldError> {
    let directory = layout.programs();
    std::fs::create_dir_all(&directory).map_err(WorldError::file(&directory))?;
    let program = directory.join("rollbot-demo-service");
    let failed = |error: std::io::Error| WorldError::file(&program)(error);
    if !program.exists() {
        let partial = tempfile::NamedTempFile::new_in(&directory).map_err(failed)?;
        std::fs::write(partial.path(), BINARY).map_err(failed)?;
        std::fs::set_permissions(partial.path(), std::fs::Permissions::from_mode(0o755))
            .map_err(failed)?;
        // Closed for writing before it gets its name: a file that is written cannot be run.
        partial
            .into_temp_path()
            .persist(&program)
            .map_err(|error| failed(error.error))?;
    }
    for service in services {
        let path = layout.program(&service.unit);
        if !path.exists()
            && std::fs::hard_link(&program, &path).is_err()
            && let Err(error) = std::fs::copy(&program, &path)
        {
            return Err(WorldError::file(&path)(error));
        }
    }
    Ok(())
}

/// Starts these services, all at once, and waits until each answers as what it should be. A
/// service that runs is left alone.
pub async fn start(
    layout: &Layout,
    all: &[DemoService],
    wanted: &[&DemoService],
) -> Result<(), WorldError> {
    let units = &units(layout, all, DemoService::unit)?;
    let starts = wanted.iter().map(|service| async move {
        let request = StartRequest {
            units: vec![service.unit.clone()],
            port: Some(service.port),
        };
        for attempt in 0.. {
            match units.start(&request).await {
                Ok(_) => break,
                // Another thread forked while the program was still open for writing.
                Err(error) if attempt < 20 && error.to_string().contains("Text file busy") => {
                    tokio::time::sleep(Duration::from_millis(25)).await;
                }
                Err(error) => return Err(failed(service, error)),
            }
        }
        let begin = Instant::now();
        loop {
            let seen = observe::observe(service).await;
            if seen.deployment == Deployment::Native {
                return Ok(());
            }
            // The port may have had another owner when it was looked at, who has gone since.
            let names = [service.unit.clone()];
            let runs = units
                .status(&names, None)
                .await
                .is_ok_and(|report| report.units.iter().any(is_up));
            if !runs || begin.elapsed() > HEALTHY {
                return Err(failed(
                    service,
                    format!("at its port is not this service: {}", seen.detail),
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    join_all(starts).await.into_iter().collect()
}

fn is_up(unit: &UnitStatus) -> bool {
    matches!(unit.state, UnitState::Active | UnitState::Activating)
}

/// Which of the services run natively.
pub async fn running(layout: &Layout, all: &[DemoService]) -> Result<Vec<String>, WorldError> {
    let units = &units(layout, all, DemoService::unit)?;
    let looks = all.iter().map(|service| async move {
        let names = [service.unit.clone()];
        let report = units
            .status(&names, None)
            .await
            .map_err(|error| failed(service, error))?;
        let active = report.units.iter().any(is_up);
        // The unit's port may be held by a plain process of the stand-in, or by a stranger.
        let native = active && observe::observe(service).await.deployment == Deployment::Native;
        Ok(native.then(|| service.name.clone()))
    });
    join_all(looks)
        .await
        .into_iter()
        .filter_map(Result::transpose)
        .collect()
}

/// Ends the services that run natively, all at once.
pub async fn stop(layout: &Layout, all: &[DemoService]) -> Result<(), WorldError> {
    // Without their ports: only the processes that were noted at their start are ended, and never
    // a stranger's or a container's that has the port now.
    let units = &units(layout, all, |service| CommandUnit {
        port: None,
        ..service.unit()
    })?;
    let stops = all.iter().map(|service| async move {
        let request = StopRequest {
            method: StopMethod::ServiceManager,
            units: vec![service.unit.clone()],
            port: None,
            grace: GRACE,
        };
        units
            .stop(&request)
            .await
            .map(|_| ())
            .map_err(|error| failed(service, error))
    });
    join_all(stops).await.into_iter().collect()
}
