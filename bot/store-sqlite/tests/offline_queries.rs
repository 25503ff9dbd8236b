//! The committed `.sqlx` fits the migrations. `prepare.sh --check` compares types as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use rollbot_core::Digest;
use rollbot_store_sqlite::SqliteStore;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Either, Executor as _, SqlSafeStr as _,
    Statement as _,
};

#[tokio::test]
async fn every_query_that_was_checked_still_fits_the_schema() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rollbot.db");
    SqliteStore::open(&path).await.unwrap().close().await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    let mut count = 0;
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx")).unwrap() {
        let file = file.unwrap().path();
        let data: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let query = data["query"].as_str().unwrap();
        let hash = Digest::of(query.as_bytes());
        let hash = hash.as_str().strip_prefix("sha256:").unwrap();
        assert_eq!(data["hash"].as_str().unwrap(), hash, "{}", file.display());
        assert!(file.ends_with(format!("query-{hash}.json")));
        let statement = connection
            .prepare(AssertSqlSafe(query).into_sql_str())
            .await
            .unwrap_or_else(|error| panic!("{error}: run prepare.sh after changing {query}"));
        let checked: Vec<_> = data["describe"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let now: Vec<_> = statement
            .columns()
            .iter()
            .map(|column| column.name())
            .collect();
        assert_eq!(checked, now, "run prepare.sh: {query}");
        let parameters = match statement.parameters() {
            Some(Either::Right(count)) => count,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            data["describe"]["parameters"]["Right"], parameters,
            "run prepare.sh: {query}"
        );
        count += 1;
    }
    assert!(count > 50, "{count}");
}
