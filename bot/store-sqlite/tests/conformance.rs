//! The suite that every store passes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use async_trait::async_trait;
use rollbot_store_conformance::{Backend, Opened, conformance_tests};
use rollbot_store_sqlite::SqliteStore;
use tempfile::TempDir;

struct Directory(TempDir);

impl Directory {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Backend for Directory {
    async fn open(&self) -> Opened {
        Opened::of(
            SqliteStore::open(self.0.path().join("rollbot.db"))
                .await
                .unwrap(),
        )
    }
}

conformance_tests!(Directory::empty());
