//! The demo service, as bytes.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

/// The executable of the demo service, for the platform of this crate.
pub const BINARY: &[u8] = include_bytes!(env!("ROLLBOT_DEMO_SERVICE_BINARY"));

/// Whether it needs no shared library, and so can be the only file of an image.
pub const STATIC_BINARY: bool = matches!(env!("ROLLBOT_DEMO_SERVICE_STATIC").as_bytes(), b"true");

/// Tag of the image, and what the services call their version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// SHA-256 of [`BINARY`], in hexadecimal.
pub fn digest() -> &'static str {
    static DIGEST: OnceLock<String> = OnceLock::new();
    DIGEST.get_or_init(|| hex::encode(Sha256::digest(BINARY)))
}
