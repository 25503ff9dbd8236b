//! The one implementation of [`Archives`], on blocking threads.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::control::Control;
use crate::create::{self, Unverified};
use crate::error::Error;
use crate::{
    Archive, ArchiverConfig, Archives, CreateRequest, RestoreReport, Written, check, listing,
    restore, written,
};

/// Archives on this machine's file systems.
#[derive(Debug, Clone, Default)]
pub struct Archiver {
    config: Arc<ArchiverConfig>,
}

impl Archiver {
    pub fn new(config: ArchiverConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    /// The first half of [`Archives::create`]: writes the archive under its name and does not read
    /// it back. It does not count before [`Archiver::read_back`].
    ///
    /// # Errors
    /// As [`Archives::create`].
    pub async fn write(
        &self,
        request: &CreateRequest,
        control: &Control,
    ) -> Result<Unverified, Error> {
        let (config, request) = (Arc::clone(&self.config), request.clone());
        blocking(control, move |control| {
            create::write(&request, &config, control)
        })
        .await
    }

    /// The second half of [`Archives::create`]: reads the archive back in full, compares it, and
    /// writes its manifest.
    ///
    /// # Errors
    /// As [`Archives::create`].
    pub async fn read_back(
        &self,
        written: Unverified,
        control: &Control,
    ) -> Result<Archive, Error> {
        let config = Arc::clone(&self.config);
        blocking(control, move |control| {
            create::read_back(written, &config, control)
        })
        .await
    }
}

#[async_trait]
impl Archives for Archiver {
    async fn create(&self, request: &CreateRequest, control: &Control) -> Result<Archive, Error> {
        let (config, request) = (Arc::clone(&self.config), request.clone());
        blocking(control, move |control| {
            let written = create::write(&request, &config, control)?;
            create::read_back(written, &config, control)
        })
        .await
    }

    async fn verify(&self, path: &Path, control: &Control) -> Result<Archive, Error> {
        let (config, path) = (Arc::clone(&self.config), path.to_owned());
        blocking(control, move |control| {
            check::verify(&path, &config, control)
        })
        .await
    }

    async fn list(&self, destination: &Path, archive_name: &str) -> Result<Vec<Archive>, Error> {
        let (destination, archive_name) = (destination.to_owned(), archive_name.to_owned());
        blocking(&Control::new(), move |_| {
            listing::list(&destination, &archive_name)
        })
        .await
    }

    async fn written_since(&self, directory: &Path, since: Timestamp) -> Result<Written, Error> {
        let directory = directory.to_owned();
        blocking(&Control::new(), move |control| {
            written::since(&directory, since, control)
        })
        .await
    }

    async fn restore(
        &self,
        path: &Path,
        target: &Path,
        control: &Control,
    ) -> Result<RestoreReport, Error> {
        let config = Arc::clone(&self.config);
        let (path, target) = (path.to_owned(), target.to_owned());
        blocking(control, move |control| {
            restore::restore(&path, &target, &config, control)
        })
        .await
    }
}

/// A future that is dropped takes its work with it.
async fn blocking<T: Send + 'static>(
    control: &Control,
    work: impl FnOnce(&Control) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let own = control.child();
    let guard = own.token().drop_guard();
    let result = tokio::task::spawn_blocking(move || work(&own)).await;
    guard.disarm();
    result.map_err(|error| {
        Error::Failed(format!(
            "The work on the archive ended unexpectedly: {error}"
        ))
    })?
}
