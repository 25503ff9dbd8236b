//! Texts that may be secret.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use super::reader::{Reader, Within};
use crate::secret::{Environment, Secret, from_file};
use crate::source::sounds_secret;
use crate::written::{SecretSource, Value};

/// Looks secrets up, and keeps those that plans refer to by a name.
pub(crate) struct Secrets<'a> {
    pub environment: &'a Environment,
    pub named: RefCell<BTreeMap<String, Secret>>,
}

/// A text, or a secret with the text in front of it.
pub(crate) enum Resolved {
    Text(String),
    Secret { before: String, secret: Secret },
}

impl Secrets<'_> {
    /// The value of the key `name`.
    pub fn resolve(
        &self,
        reader: &Reader,
        name: &str,
        part: Range<usize>,
        value: &Value,
    ) -> Option<Resolved> {
        match value {
            Value::Text(_) if sounds_secret(name) => {
                reader.problem_with(
                    part,
                    format!("`{name}` is a secret, and secrets are never written here"),
                    "write { env = \"NAME\" } or { file = \"/path\" }, with before = \"Bearer \" \
                     for what stands in front of it",
                );
                None
            }
            Value::Text(text) => Some(Resolved::Text(text.clone())),
            Value::Secret(source) => self.look_up(reader, part, source),
        }
    }

    /// A value that is nothing but a secret.
    pub fn secret(
        &self,
        reader: &Reader,
        part: Range<usize>,
        source: &SecretSource,
    ) -> Option<Secret> {
        match self.look_up(reader, part, source)? {
            Resolved::Secret { before, secret } if before.is_empty() => Some(secret),
            Resolved::Secret { before, secret } => {
                Some(Secret::new(format!("{before}{}", secret.reveal())))
            }
            Resolved::Text(_) => None,
        }
    }

    fn look_up(
        &self,
        reader: &Reader,
        part: Range<usize>,
        source: &SecretSource,
    ) -> Option<Resolved> {
        let within = Within {
            span: Some(part.clone()),
            name: "a secret".to_owned(),
        };
        let before = source.before.get().cloned().unwrap_or_default();
        let found = match (source.env.spanned(), source.file.spanned()) {
            (Some(name), None) => self
                .environment
                .secret(name.get_ref())
                .map_err(|why| (name.span(), why)),
            (None, Some(path)) => from_file(&reader.path(path)?).map_err(|why| (path.span(), why)),
            (None, None) if reader.lost_something(&within) => {
                return None;
            }
            _ => {
                reader.problem(
                    part,
                    "a secret comes from one place: give either `env` or `file`",
                );
                return None;
            }
        };
        match found {
            Ok(secret) => Some(Resolved::Secret { before, secret }),
            Err((part, why)) => {
                reader.problem(part, why.to_string());
                None
            }
        }
    }
}
