//! The OpenAPI 3.1 document, made from the routes.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{
    super::access::Who,
    call::Call,
    lifecycles,
    problem::{self, KINDS},
    query::Param,
    route::{Answer, Reply, Route, Takes},
};
use crate::{domain::lifecycle::Word, projector::ViewName};

mod links;

/// This API, as OpenAPI 3.1 has it.
pub(super) async fn openapi(call: Call) -> Reply<Value> {
    Ok(Answer::at(call.app.engine.head().position, super::document()))
}

pub(super) fn document(routes: &[Route]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = operation(route, &mut generator);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.as_str().to_lowercase()] = operation;
    }
    generator.subschema_for::<problem::Wire<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "docket",
            "version": "1",
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": problems(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A session's token, or a named one: an operator's, an \
                                    auditor's, staff's or a gateway's.",
                },
            },
        },
    })
}

const ABOUT: &str = "Orders of every channel, through docket's own API. Money is counted in minor \
units, times in milliseconds since 1970 (UTC). What goes wrong is an `application/problem+json` \
(RFC 9457) whose `type` programs can tell apart. A call with an `Idempotency-Key` that is repeated \
gets the first answer again. `Docket-Position` says what an answer has seen; `Docket-Min-Position` \
asks for at least that.";

fn operation(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    let in_path = names(route.path).map(|name| in_path(name, route.operation));
    let mut parameters: Vec<Value> = in_path.collect();
    for Param { name, about, schema, many } in route.query {
        let schema = Value::from(schema(generator));
        let schema = if *many { json!({ "type": "array", "items": schema }) } else { schema };
        parameters.push(json!({
            "name": name, "in": "query", "description": about, "schema": schema,
        }));
    }
    if route.keyed {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header",
            "description": "Names this request, so that sending it twice has one effect. 1 to 255 \
                            printable characters of ASCII, quoted or not.",
            "schema": { "type": "string", "maxLength": 255, "pattern": KEY },
        }));
    }
    if route.method == axum::http::Method::GET {
        parameters.push(json!({
            "name": "Docket-Min-Position", "in": "header",
            "description": "What the answer must have seen at least. It waits for that, but not \
                            for long, and then it is a 503.",
            "schema": {
                "type": "integer", "format": "uint64", "minimum": 0,
            },
        }));
    }
    let mut operation = json!({
        "operationId": route.operation,
        "summary": route.about,
        "description": format!("For {}.", who(route)),
        "tags": [tag(route.path)],
        "parameters": parameters,
        "responses": responses(route, generator),
    });
    if route.who.contains(&Who::Public) {
        operation["security"] = json!([]);
    }
    match route.takes {
        Takes::None => {}
        Takes::Json(schema) => {
            let schema = Value::from(schema(generator));
            operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        Takes::Toml => {
            let text = json!({ "schema": { "type": "string" }, "example": lifecycles::EXAMPLE });
            operation["requestBody"] =
                json!({ "required": true, "content": { "text/plain": text } });
        }
    }
    operation
}

/// An idempotency key as a header has it: with a quote at both ends, at one, or at none.
const KEY: &str = r#"^([!#-~]([\t -~]*[!-~])?|"([\t -~]*[!#-~])?|"[\t -~]+")$"#;

fn responses(route: &Route, generator: &mut schemars::SchemaGenerator) -> Value {
    let mut headers = json!({
        "Docket-Position": {
            "description": "What the answer has seen.",
            "required": true, "schema": { "type": "integer", "minimum": 0 },
        },
    });
    if route.method == axum::http::Method::GET {
        headers["Docket-Consistency"] = json!({
            "description": "`eventual` where docket is several nodes, none of them is known to \
                            write at the moment, and newer writes may have been acknowledged.",
            "schema": { "type": "string", "const": "eventual" },
        });
    }
    if route.keyed {
        headers["Idempotent-Replay"] = json!({
            "description": "`true` where this is the answer that an earlier request got.",
            "schema": { "type": "string", "const": "true" },
        });
    }
    if route.success == axum::http::StatusCode::CREATED {
        headers["Location"] = json!({
            "description": "Where it is to be found, where it has a path of its own.",
            "schema": { "type": "string", "format": "uri-reference" },
        });
    }
    let mut success = json!({ "description": route.about, "headers": headers });
    let links = links::of(route.operation);
    if !links.is_empty() {
        success["links"] = links.into();
    }
    if route.success != axum::http::StatusCode::NO_CONTENT {
        let schema = Value::from((route.gives)(generator));
        success["content"] = json!({ "application/json": { "schema": schema } });
    }
    let mut responses = Map::new();
    responses.insert(route.success.as_u16().to_string(), success);
    for status in statuses(route) {
        let problem = format!("#/components/responses/Problem{status}");
        responses.insert(status.to_string(), json!({ "$ref": problem }));
    }
    Value::Object(responses)
}

/// The answer of each status that is no success, by name.
fn problems() -> Map<String, Value> {
    KINDS.iter().map(|kind| (format!("Problem{}", kind.status), problem(kind.status))).collect()
}

fn problem(status: u16) -> Value {
    let kinds: Vec<_> = KINDS.iter().filter(|kind| kind.status == status).collect();
    let titles: Vec<_> = kinds.iter().map(|kind| kind.title).collect();
    let types: Vec<_> = kinds.iter().map(|kind| kind.uri()).collect();
    let mut problem = json!({
        "description": format!("{}.", titles.join(", or: ")),
        "content": { "application/problem+json": { "schema": {
            "$ref": "#/components/schemas/Problem",
            "properties": { "type": { "enum": types }, "status": { "const": status } },
        } } },
    });
    match status {
        401 => {
            problem["headers"] = json!({ "WWW-Authenticate": {
                "description": "How to authenticate.",
                "required": true, "schema": { "type": "string", "const": "Bearer" },
            } });
        }
        429 | 503 => {
            problem["headers"] = json!({ "Retry-After": {
                "description": "The seconds after which trying again may help.",
                "required": true, "schema": { "type": "integer", "minimum": 1 },
            } });
        }
        _ => {}
    }
    problem
}

/// The statuses of the problems that a route may answer.
fn statuses(route: &Route) -> Vec<u16> {
    let (open, reads) = (route.who.contains(&Who::Public), matches!(route.takes, Takes::None));
    let writes = route.method != axum::http::Method::GET;
    let mut statuses = vec![400, 404, 408, 413, 500, 503];
    statuses.extend((!open || route.operation == "open_session").then_some(401));
    statuses.push(403);
    statuses.extend(writes.then_some(409));
    statuses.extend((!reads).then_some(415));
    statuses.extend(route.keyed.then_some(422));
    let asks = ["open_session", "change_password", "leave"];
    statuses.extend(asks.contains(&route.operation).then_some(429));
    statuses.sort_unstable();
    statuses
}

fn in_path(name: &str, operation: &str) -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    let (about, schema, example) = match (name, operation) {
        ("id", _) => ("Its id.", json!({ "type": "string", "format": "uuid" }), None),
        ("command", _) => {
            let words: Vec<_> = Word::ALL.iter().map(|word| word.as_str()).collect();
            ("What to do.", json!({ "type": "string", "enum": words }), Some("cancel"))
        }
        ("name", "rebuild_view") => {
            let views = ViewName::ALL.map(ViewName::as_str);
            ("Its name.", json!({ "type": "string", "enum": views }), None)
        }
        ("store", _) => ("The store's name.", text, Some("corner")),
        ("sku", _) => ("Its name in the store.", text, Some("tea")),
        ("channel", "adopt_lifecycle") => ("The channel.", text, Some("kiosk")),
        ("channel", _) => ("The channel.", text, Some("native")),
        _ => ("Its name.", text, Some("watcher")),
    };
    let mut parameter = json!({
        "name": name, "in": "path", "required": true, "description": about, "schema": schema,
    });
    if let Some(example) = example {
        parameter["example"] = example.into();
    }
    parameter
}

/// The named parts of a path.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn tag(path: &str) -> &str {
    path.split('/').nth(2).unwrap_or("v1")
}

/// Who may call a route, as a sentence has it.
pub(super) fn who(route: &Route) -> String {
    let who: Vec<_> = route.who.iter().map(|who| who.as_str()).collect();
    who.join(", ")
}
