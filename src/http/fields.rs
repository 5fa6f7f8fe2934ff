//! The fields of a JSON body, each asked for by name and type, so that an error can say which one
//! is wrong and how.

use serde_json::{Map, Value};

/// A JSON object that a request brought.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    map: Map<String, Value>,
    /// Where this object lies within the body: `book_info.`, for example.
    within: String,
}

/// A body that is no object, or a field that is missing, mistyped or impossible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// The body is not JSON.
    #[error("the body is not JSON: {0}")]
    Json(String),
    /// The body is JSON, but no object.
    #[error("the body must be a JSON object")]
    NoObject,
    /// A field.
    #[error("{field} {reason}")]
    Field {
        /// Its name, with those of the objects around it.
        field: String,
        /// What is wanted of it.
        reason: String,
    },
}

impl Fields {
    /// Reads a body. An empty one is an object without fields.
    pub fn parse(body: &[u8]) -> Result<Self, Bad> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Self { map, within: String::new() }),
            Ok(_) => Err(Bad::NoObject),
            Err(error) => Err(Bad::Json(error.to_string())),
        }
    }

    /// Whether a field is there; `null` counts as absent.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<&str, Bad> {
        self.required(name)?.as_str().ok_or_else(|| self.bad(name, "must be a text"))
    }

    /// A text that may be absent.
    pub fn optional_text(&self, name: &str) -> Result<Option<&str>, Bad> {
        if self.has(name) { self.text(name).map(Some) } else { Ok(None) }
    }

    /// A name of 1 to 255 bytes.
    pub fn name<T>(&self, name: &str) -> Result<T, Bad>
    where
        T: TryFrom<String, Error = events::InvalidName>,
    {
        let text = self.text(name)?.to_owned();
        T::try_from(text).map_err(|error| self.bad(name, error.to_string()))
    }

    /// A name of 1 to 255 bytes that may be absent.
    pub fn optional_name<T>(&self, name: &str) -> Result<Option<T>, Bad>
    where
        T: TryFrom<String, Error = events::InvalidName>,
    {
        if self.has(name) { self.name(name).map(Some) } else { Ok(None) }
    }

    /// A whole number that fits 64 bits.
    pub fn integer(&self, name: &str) -> Result<i64, Bad> {
        integer(self.required(name)?).map_err(|reason| self.bad(name, reason))
    }

    /// A whole number that fits 64 bits, or a default where it is absent.
    pub fn integer_or(&self, name: &str, default: i64) -> Result<i64, Bad> {
        if self.has(name) { self.integer(name) } else { Ok(default) }
    }

    /// A whole number, or one written as a text.
    pub fn integer_or_text(&self, name: &str) -> Result<i64, Bad> {
        match self.required(name)? {
            Value::String(text) => Some(text)
                .filter(|text| !text.starts_with('+'))
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| self.bad(name, "must be a whole number, as a number or as a text")),
            number => integer(number).map_err(|reason| self.bad(name, reason)),
        }
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Self, Bad> {
        match self.required(name)? {
            Value::Object(map) => {
                Ok(Self { map: map.clone(), within: format!("{}{name}.", self.within) })
            }
            _ => Err(self.bad(name, "must be an object")),
        }
    }

    /// A list of objects.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, Bad> {
        let Value::Array(items) = self.required(name)? else {
            return Err(self.bad(name, "must be a list"));
        };
        let objects = items.iter().enumerate().map(|(n, item)| match item {
            Value::Object(map) => {
                Ok(Self { map: map.clone(), within: format!("{}{name}[{n}].", self.within) })
            }
            _ => Err(self.bad(&format!("{name}[{n}]"), "must be an object")),
        });
        objects.collect()
    }

    /// A list of texts; none where it is absent.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, Bad> {
        let Some(value) = self.value(name) else { return Ok(Vec::new()) };
        let Value::Array(items) = value else { return Err(self.bad(name, "must be a list")) };
        let texts = items.iter().enumerate().map(|(n, item)| {
            item.as_str().ok_or_else(|| self.bad(&format!("{name}[{n}]"), "must be a text"))
        });
        texts.collect()
    }

    /// The error of a field.
    pub fn bad(&self, name: &str, reason: impl Into<String>) -> Bad {
        Bad::Field { field: format!("{}{name}", self.within), reason: reason.into() }
    }

    /// The raw value of a field; `null` counts as absent.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn required(&self, name: &str) -> Result<&Value, Bad> {
        self.value(name).ok_or_else(|| self.bad(name, "is missing"))
    }
}

fn integer(value: &Value) -> Result<i64, &'static str> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .ok_or("must be a whole number between -9223372036854775808 and 9223372036854775807"),
        _ => Err("must be a whole number"),
    }
}
