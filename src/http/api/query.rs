//! Parameters after the question mark. One that a route does not know is refused: a filter that is
//! misspelt must not show more than was asked for.

use std::fmt::Display;

use events::{Channel, Phase};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{problem::Problem, route::SchemaOf};

/// A parameter that a route knows.
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) schema: SchemaOf,
    /// Whether it may be given several times.
    pub(super) many: bool,
}

pub(super) const fn param(name: &'static str, about: &'static str, schema: SchemaOf) -> Param {
    Param { name, about, schema, many: false }
}

pub(super) const CHANNEL: Param = param(
    "channel",
    "Which channel. Where it is not said, the token's own, or native.",
    schema::<Channel>,
);
pub(super) const LIMIT: Param =
    param("limit", "How many items a page has, 1 to 200; 50 where it is not said.", limit_schema);
pub(super) const CURSOR: Param =
    param("cursor", "Where the page before ended: its `next`.", cursor_schema);
pub(super) const PHASE: Param = Param {
    name: "phase",
    about: "Only orders in this phase; may be given several times.",
    schema: schema::<Phase>,
    many: true,
};

/// What was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn read(text: Option<&str>, known: &[Param]) -> Result<Self, Problem> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            let Some(param) = known.iter().find(|param| param.name == name) else {
                return Err(Problem::field(name, "is no parameter of this path"));
            };
            if !param.many && given.iter().any(|(before, _)| *before == name) {
                return Err(Problem::field(name, "is given twice"));
            }
            given.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(given))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is read from text.
    pub(super) fn read_as<T, E: Display>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let value = self.text(name).map(read).transpose();
        value.map_err(|error| Problem::field(name, error))
    }

    /// How many items a page has.
    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.read_as("limit", |text| match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
            _ => Err("must be a whole number from 1 to 200"),
        });
        Ok(limit?.unwrap_or(LIMIT_DEFAULT))
    }

    /// Whether a flag is set.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        let flag = self.read_as(name, |text| text.parse().map_err(|_| "must be true or false"));
        Ok(flag?.unwrap_or(false))
    }

    /// The phases that are wanted: all where none is named.
    pub(super) fn phases(&self) -> Result<Vec<Phase>, Problem> {
        let named = self.all("phase").map(|text| {
            let phase = Phase::ALL.into_iter().find(|phase| format!("{phase:?}") == text);
            phase.ok_or_else(|| {
                let all: Vec<_> = Phase::ALL.iter().map(|phase| format!("{phase:?}")).collect();
                Problem::field("phase", format!("must be one of {}", all.join(", ")))
            })
        });
        let mut phases: Vec<_> = named.collect::<Result<_, _>>()?;
        if phases.is_empty() {
            return Ok(Phase::ALL.to_vec());
        }
        phases.sort_unstable();
        phases.dedup();
        Ok(phases)
    }
}

const LIMIT_MAX: usize = 200;
const LIMIT_DEFAULT: usize = 50;

pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Base64 of a place in the list and of the proof that it is one.
fn cursor_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{22,}$" })
}

fn limit_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT,
    })
}
