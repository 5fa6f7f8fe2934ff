//! Whether a value fits a schema: of JSON Schema as much as docket's schemas use.

use serde_json::Value;

/// Fails where a value does not fit a schema.
pub fn fits(value: &Value, schema: &Value, root: &Value, at: &str) {
    if let Err(reason) = check(value, schema, root) {
        panic!("{at}: {reason}");
    }
}

fn check(value: &Value, schema: &Value, root: &Value) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{value} does not fit {what} of {schema}"));
    for (word, rule) in schema.as_object().into_iter().flatten() {
        let fits = match word.as_str() {
            "type" => match rule {
                Value::Array(types) => types.iter().any(|name| is_a(value, name)),
                name => is_a(value, name),
            },
            "required" => {
                rule.as_array().unwrap().iter().all(|it| value.get(it.as_str().unwrap()).is_some())
            }
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| !text.is_empty()),
            "oneOf" | "anyOf" => {
                rule.as_array().unwrap().iter().any(|it| check(value, it, root).is_ok())
            }
            "allOf" => {
                for it in rule.as_array().unwrap() {
                    check(value, it, root)?;
                }
                true
            }
            "$ref" => {
                let definition = root.pointer(rule.as_str().unwrap().trim_start_matches('#'));
                check(value, definition.unwrap(), root)?;
                true
            }
            "properties" => {
                for (name, property) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(value, property, root)?;
                    }
                }
                true
            }
            "items" => {
                for value in value.as_array().into_iter().flatten() {
                    check(value, rule, root)?;
                }
                true
            }
            // What is said to people, and what other tests see to.
            "$schema"
            | "$defs"
            | "definitions"
            | "title"
            | "description"
            | "default"
            | "format"
            | "pattern"
            | "maximum"
            | "maxLength"
            | "additionalProperties" => true,
            other => return wrong(&format!("the unknown word {other}")),
        };
        if !fits {
            return wrong(word);
        }
    }
    Ok(())
}

fn is_a(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
