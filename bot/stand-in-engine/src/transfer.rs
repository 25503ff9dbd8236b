//! Bodies of requests, within limits.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::ApiError;

const JSON_LIMIT: usize = 1024 * 1024;
const UPLOAD_LIMIT: u64 = 512 * 1024 * 1024;
/// How long a client may pause within a body.
const PATIENCE: Duration = Duration::from_secs(60);

/// The body as JSON; none is the default.
pub async fn json<T: DeserializeOwned + Default>(body: Incoming) -> Result<T, ApiError> {
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, JSON_LIMIT).collect())
        .await
        .map_err(|_| ApiError::bad_request("the body did not arrive in time"))?
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::bad_request(format!("the body is longer than {JSON_LIMIT} bytes"))
            } else {
                ApiError::bad_request(format!("the body could not be read: {error}"))
            }
        })?
        .to_bytes();
    if whole.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(&whole)
        .map_err(|error| ApiError::bad_request(format!("invalid JSON: {error}")))
}

/// A body in a file without a name, read from its beginning.
pub struct Upload {
    pub file: File,
    pub sha256: String,
}

pub async fn upload(mut body: Incoming, dir: &Path) -> Result<Upload, ApiError> {
    let mut file = tempfile::tempfile_in(dir)?;
    let (mut hash, mut bytes) = (Sha256::new(), 0u64);
    while let Some(frame) = tokio::time::timeout(PATIENCE, body.frame())
        .await
        .map_err(|_| ApiError::bad_request("the archive did not arrive in time"))?
    {
        let frame = frame
            .map_err(|error| ApiError::bad_request(format!("the archive broke off: {error}")))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        bytes += data.len() as u64;
        if bytes > UPLOAD_LIMIT {
            return Err(ApiError::bad_request(format!(
                "the archive is longer than {UPLOAD_LIMIT} bytes"
            )));
        }
        hash.update(data);
        file.write_all(data)?;
    }
    file.rewind()?;
    Ok(Upload {
        file,
        sha256: hex::encode(hash.finalize()),
    })
}
