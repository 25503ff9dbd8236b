//! From text to the structs of [`written`](crate::written), with every error of the file.
//!
//! serde stops at the first error. What it complains about is therefore noted, taken out of the
//! parsed document, and the rest is decoded again, until nothing is left to complain about. Every
//! key of the structs is optional, so that taking one out is no error of its own.

use std::ops::Range;

use rollbot_command::nearest;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use crate::problem::Problem;
use crate::source::Source;

/// What a file says, as far as it could be decoded.
#[derive(Debug)]
pub(crate) struct Decoded<T> {
    pub value: T,
    /// Keys that are there but could not be decoded. They are not missing.
    pub taken_out: Vec<TakenOut>,
    pub problems: Vec<Problem>,
}

/// A key that was taken out, with the place of its table; the file's own table has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TakenOut {
    pub table: Option<Range<usize>>,
    pub key: String,
}

/// # Errors
/// The text is not TOML: all places where it is not.
pub(crate) fn decode<T: DeserializeOwned>(source: &Source) -> Result<Decoded<T>, Vec<Problem>> {
    let (mut document, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        return Err(errors
            .iter()
            .map(|error| {
                // The parser uses the span of the whole text for what is missing at its end.
                let span = error.span().unwrap_or(source.text.len()..source.text.len());
                Problem::at(source, span, error.message())
            })
            .collect());
    }
    let mut problems = Vec::new();
    let mut taken_out = Vec::new();
    loop {
        let error = match T::deserialize(Deserializer::from(document.clone())) {
            Ok(value) => {
                return Ok(Decoded {
                    value,
                    taken_out,
                    problems,
                });
            }
            Err(error) => error,
        };
        let Some(span) = error.span() else {
            return Err(vec![Problem::of_file(source, error.message())]);
        };
        problems.push(explain(source, span.clone(), error.message()));
        match take_out(document.get_mut(), None, &span) {
            Some(out) => taken_out.push(out),
            // Not a place that can be taken out: what was found until here has to do.
            None => return Err(problems),
        }
    }
}

/// Takes the innermost key out that has this place itself or whose value has it.
fn take_out(
    table: &mut DeTable<'_>,
    place: Option<Range<usize>>,
    span: &Range<usize>,
) -> Option<TakenOut> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        if key.span() == *span {
            found = Some(key.clone());
            break;
        }
        match take_out_of(value, span) {
            Inside::TakenOut(out) => return Some(out),
            Inside::Itself => {
                found = Some(key.clone());
                break;
            }
            Inside::Not => {}
        }
    }
    let key = found?;
    table.remove(&key);
    Some(TakenOut {
        table: place,
        key: key.into_inner().into_owned(),
    })
}

enum Inside {
    TakenOut(TakenOut),
    /// The value itself is to be taken out.
    Itself,
    Not,
}

fn take_out_of(value: &mut Spanned<DeValue<'_>>, span: &Range<usize>) -> Inside {
    let place = value.span();
    match value.get_mut() {
        DeValue::Table(inner) => {
            if let Some(out) = take_out(inner, Some(place.clone()), span) {
                return Inside::TakenOut(out);
            }
        }
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                match take_out_of(item, span) {
                    Inside::Not => {}
                    // An element alone would leave a list that looks too short.
                    inside => return inside,
                }
            }
        }
        _ => {}
    }
    match place == *span {
        true => Inside::Itself,
        false => Inside::Not,
    }
}

/// serde's messages name types of Rust and list what it knows; people get keys and values, and the
/// nearest one. What is not recognised is passed on as it is.
fn explain(source: &Source, span: Range<usize>, message: &str) -> Problem {
    let at = |message: String| Problem::at(source, span.clone(), message);
    let quoted: Vec<_> = message.split('`').skip(1).step_by(2).collect();
    if let (Some(rest), Some((word, known))) =
        (message.strip_prefix("unknown "), quoted.split_first())
    {
        let near = nearest(&word.replace('-', "_"), known.iter().copied())
            .or_else(|| nearest(word, known.iter().copied()))
            .map(|near| format!(": did you mean `{near}`?"))
            .unwrap_or_default();
        let known = known.join(", ");
        if rest.starts_with("field") {
            return at(format!("there is no key `{word}` here{near}"))
                .help(format!("keys: {known}"));
        }
        if rest.starts_with("variant") {
            return at(format!("`{word}` is not allowed here{near}"))
                .help(format!("allowed: {known}"));
        }
    }
    let mistaken = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    match mistaken {
        Some((found, expected)) => at(format!(
            "expected {}, found {}",
            wanted(expected),
            what(found)
        )),
        None => at(message.to_owned()),
    }
}

fn wanted(expected: &str) -> String {
    match expected {
        "a string" | "path string" => "a text in quotes".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list in brackets".to_owned(),
        "a map" => "a table".to_owned(),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" => "a whole number, 0 or more".to_owned(),
        "f64" => "a number".to_owned(),
        other if other.starts_with("struct ") => "a table".to_owned(),
        other if other.starts_with("enum ") => "a text in quotes".to_owned(),
        other => other.to_owned(),
    }
}

/// The kind of what was found. Of texts only the kind: they may be secret.
fn what(found: &str) -> String {
    match found.split_once(' ') {
        Some(("string", _)) => "a text".to_owned(),
        Some(("boolean", value)) => value.replace('`', ""),
        Some(("integer", value)) => format!("the number {}", value.replace('`', "")),
        Some(("floating", value)) => {
            format!(
                "the number {}",
                value.trim_start_matches("point ").replace('`', "")
            )
        }
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        _ => found.to_owned(),
    }
}
