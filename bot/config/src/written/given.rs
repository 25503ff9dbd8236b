//! Values with their places.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Spanned;

/// A value that may be given, and where in the file it stands.
///
/// Made from the value itself: `name: "rollbot".into()`.
#[derive(Debug, Clone)]
pub struct Given<T>(Option<Spanned<T>>);

/// Named values: `[docker.project.cryptobot]`.
pub type Table<T> = BTreeMap<Spanned<String>, Given<T>>;

impl<T> Given<T> {
    pub fn get(&self) -> Option<&T> {
        self.0.as_ref().map(Spanned::get_ref)
    }

    pub fn is_given(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn spanned(&self) -> Option<&Spanned<T>> {
        self.0.as_ref()
    }

    /// Bytes of the file.
    pub(crate) fn span(&self) -> Option<Range<usize>> {
        self.0.as_ref().map(Spanned::span)
    }
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> From<T> for Given<T> {
    fn from(value: T) -> Self {
        Self(Some(Spanned::new(0..0, value)))
    }
}

impl From<&str> for Given<String> {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<&Path> for Given<PathBuf> {
    fn from(value: &Path) -> Self {
        value.to_owned().into()
    }
}

impl From<std::time::Duration> for Given<super::Period> {
    fn from(value: std::time::Duration) -> Self {
        super::Period(value).into()
    }
}

/// A list, from values that are not wrapped yet.
pub fn list<T, I: Into<Given<T>>>(items: impl IntoIterator<Item = I>) -> Given<Vec<Given<T>>> {
    items.into_iter().map(Into::into).collect::<Vec<_>>().into()
}

/// Named values, from values that are not wrapped yet.
pub fn table<T, I: Into<Given<T>>>(
    items: impl IntoIterator<Item = (impl Into<String>, I)>,
) -> Given<Table<T>> {
    items
        .into_iter()
        .map(|(name, item)| (Spanned::new(0..0, name.into()), item.into()))
        .collect::<Table<T>>()
        .into()
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// TOML leaves out what is `None`.
impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.get() {
            Some(value) => serializer.serialize_some(value),
            None => serializer.serialize_none(),
        }
    }
}
