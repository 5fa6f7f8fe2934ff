//! Bodies: JSON of one shape, nothing beside it; and TOML. What several of them have in them.

use std::fmt;

use axum::http::header;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};

use super::{
    super::incoming::Incoming,
    problem::{BAD_REQUEST, NO_JSON, Problem},
};

/// Reads a JSON body. An empty one is an object without fields.
pub(super) fn json<B: DeserializeOwned>(request: &Incoming) -> Result<B, Problem> {
    of_type(request, &["application/json"])?;
    let bytes = if request.body.trim_ascii().is_empty() { b"{}" } else { &request.body[..] };
    if let Ok(body) = serde_json::from_slice(bytes) {
        return Ok(body);
    }
    // Once more, for the path of what is wrong.
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let body = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        problem(&path, error.inner())
    })?;
    reader.end().map_err(|error| problem(".", &error))?;
    Ok(body)
}

/// Reads a TOML body, as text.
pub(super) fn toml(request: &Incoming) -> Result<String, Problem> {
    of_type(request, &["text/plain", "application/toml"])?;
    let text = std::str::from_utf8(&request.body);
    text.map(str::to_owned).map_err(|_| Problem::new(BAD_REQUEST, "the body is not UTF-8"))
}

/// A body that says what it is must be one of these.
fn of_type(request: &Incoming, types: &[&str]) -> Result<(), Problem> {
    let Some(said) = request.headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    let bare = said.split(';').next().unwrap_or_default().trim();
    if request.body.is_empty() || types.iter().any(|it| bare.eq_ignore_ascii_case(it)) {
        return Ok(());
    }
    Err(Problem::new(NO_JSON, format!("the body must be {}", types.join(" or "))))
}

/// Names the field. Of one that is missing the reader knows only the object it belongs to; its name
/// is in the text.
fn problem(path: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        return Problem::new(BAD_REQUEST, format!("the body is not JSON: {error}"));
    }
    let missing = text.strip_prefix("missing field `").and_then(|it| it.split_once('`'));
    if let Some((name, _)) = missing {
        let within = if path == "." { String::new() } else { format!("{path}.") };
        return Problem::field(format!("{within}{name}"), "is missing");
    }
    if text.starts_with("unknown field `") {
        return Problem::field(path, "is no field of this");
    }
    match path {
        "." => Problem::new(BAD_REQUEST, format!("the body must be a JSON object: {text}")),
        path => Problem::field(path, format!("cannot be read: {text}")),
    }
}

/// A whole number that fits 64 bits, at least `LEAST`. JSON knows one kind of number, so `7.0` is
/// one, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<const LEAST: i64 = { i64::MIN }>(pub(super) i64);

impl<'de, const LEAST: i64> Deserialize<'de> for Whole<LEAST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(WholeNumber)?;
        if number < LEAST {
            return Err(D::Error::custom(format_args!("must be at least {LEAST}")));
        }
        Ok(Self(number))
    }
}

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that fits 64 bits")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        let unexpected = serde::de::Unexpected::Unsigned(number);
        i64::try_from(number).map_err(|_| E::invalid_value(unexpected, &self))
    }

    /// From 2^53 on nobody knows which whole number was meant.
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        const UNKNOWN: f64 = 9_007_199_254_740_992.0;
        const TOO_MUCH: f64 = 9_223_372_036_854_775_808.0;
        if number.fract() != 0.0 || number.abs() >= TOO_MUCH {
            return Err(E::invalid_value(serde::de::Unexpected::Float(number), &self));
        }
        if number.abs() >= UNKNOWN {
            return Err(E::custom("from 2^53 on only digits tell which whole number is meant"));
        }
        Ok(number as i64)
    }
}

impl<const LEAST: i64> JsonSchema for Whole<LEAST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("WholeFrom{LEAST}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer", "format": "int64", "minimum": LEAST, "maximum": i64::MAX,
        })
    }
}
