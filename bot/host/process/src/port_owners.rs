//! A machine without a service manager and without configured commands: ports are all there is.

use async_trait::async_trait;

use crate::{
    ChangeReport, Deadlines, Error, Processes, StartRequest, StatusReport, StopMethod, StopRequest,
    port,
};

/// Sees and stops the owners of ports. Knows no units, and starts nothing.
#[derive(Debug, Clone, Default)]
pub struct PortOwners {
    deadlines: Deadlines,
}

impl PortOwners {
    pub fn new(deadlines: Deadlines) -> Self {
        Self { deadlines }
    }
}

/// The part of every implementation that has nothing to do with units.
pub(crate) async fn free_port(
    request: &StopRequest,
    deadlines: &Deadlines,
) -> Result<String, Error> {
    let Some(port) = request.port else {
        return Err(Error::Failed(
            "A stop by the owner of the port needs a port: none is configured for this service"
                .to_owned(),
        ));
    };
    port::free(port, request.grace, deadlines).await
}

fn no_service_manager() -> Error {
    Error::UnknownUnit("No service manager answers on this machine".to_owned())
}

#[async_trait]
impl Processes for PortOwners {
    async fn status(&self, _units: &[String], port: Option<u16>) -> Result<StatusReport, Error> {
        Ok(StatusReport {
            units: Vec::new(),
            owner: port::owner_of(port, &self.deadlines).await?,
            service_manager: false,
        })
    }

    async fn stop(&self, request: &StopRequest) -> Result<ChangeReport, Error> {
        if request.method == StopMethod::ServiceManager {
            return Err(no_service_manager());
        }
        let how = free_port(request, &self.deadlines).await?;
        let status = self.status(&request.units, request.port).await?;
        Ok(ChangeReport { status, how })
    }

    async fn start(&self, _request: &StartRequest) -> Result<ChangeReport, Error> {
        Err(no_service_manager())
    }
}
