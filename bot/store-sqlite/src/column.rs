//! Between columns and domain types.

use jiff::Timestamp;
use rollbot_core::id::{Digest, OperationId};
use rollbot_core::store::StoreError;
use serde::Serialize;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};

/// The column says what this version does not understand.
fn corrupt(what: &str, why: impl ToString) -> StoreError {
    StoreError::Corrupt {
        what: what.to_owned(),
        why: why.to_string(),
    }
}

pub(crate) fn time(what: &str, millisecond: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millisecond).map_err(|error| corrupt(what, error))
}

pub(crate) fn time_or_none(
    what: &str,
    millisecond: Option<i64>,
) -> Result<Option<Timestamp>, StoreError> {
    millisecond
        .map(|millisecond| time(what, millisecond))
        .transpose()
}

pub(crate) fn operation(number: i64) -> Result<OperationId, StoreError> {
    OperationId::new(number).ok_or_else(|| corrupt("an operation's number", number))
}

pub(crate) fn digest(what: &str, text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|error| corrupt(what, error))
}

/// A word of a closed list, as serde names it.
pub(crate) fn word<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    let words: StrDeserializer<'_, WordError> = text.into_deserializer();
    T::deserialize(words).map_err(|error| corrupt(what, error))
}

pub(crate) fn json<T: Serialize + ?Sized>(what: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}

pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}
