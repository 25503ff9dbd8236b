//! Texts that may be secret. A secret itself is never written: only where it is.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Given;

/// Where a secret is: `{ env = "TRADE_TOKEN" }` or `{ file = "/etc/rollbot/trade-token" }`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretSource {
    /// Name of an environment variable of the bot.
    pub env: Given<String>,
    /// A file that only the bot's user and group can read. A line break at its end is left out.
    pub file: Given<PathBuf>,
    /// Text in front of the secret, not secret itself: `"Bearer "`.
    pub before: Given<String>,
}

/// A text, or where a secret one is.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Value {
    Text(String),
    Secret(SecretSource),
}

impl From<&str> for Given<Value> {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned()).into()
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrSecret;

        impl<'de> Visitor<'de> for TextOrSecret {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, { env = \"NAME\" } or { file = \"/path\" }")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            // Not `untagged`: that forgets the places of what is inside.
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                SecretSource::deserialize(MapAccessDeserializer::new(map)).map(Value::Secret)
            }
        }

        deserializer.deserialize_any(TextOrSecret)
    }
}
