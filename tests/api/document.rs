//! The document at `/v1/openapi.json`, its copy, and the page for people.

use std::{fs, path::Path};

use docket::http::{access, api};
use serde_json::Value;

use super::talk::Town;

#[test]
fn the_copy_is_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/openapi/v1.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&api::document()).unwrap());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let copy = fs::read_to_string(&path).unwrap_or_default();
    assert!(copy == text, "schemas/openapi/v1.json is old: run this test with UPDATE_EXPECT=1");
}

#[test]
fn the_document_has_every_route_and_every_schema_it_names() {
    let document = api::document();
    let rows = access::table().into_iter().filter(|row| row.face == "v1");
    let mut operations: Vec<String> = Vec::new();
    for row in rows {
        let operation = &document["paths"][row.path][row.method.to_lowercase()];
        operations
            .push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{row}")).into());
        assert!(operation["responses"].as_object().unwrap().len() > 1, "{row}");
    }
    let all = operations.len();
    operations.sort();
    operations.dedup();
    assert_eq!(operations.len(), all, "two operations of one name");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let path = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(path).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn a_link_leads_to_an_operation_and_names_its_parameters() {
    let document = api::document();
    let paths = document["paths"].as_object().unwrap();
    let operations = || paths.values().flat_map(|it| it.as_object().unwrap().values());
    let mut links = 0;
    for from in operations() {
        let answers = from["responses"].as_object().unwrap().values();
        for link in answers.filter_map(|it| it["links"].as_object()).flat_map(|it| it.values()) {
            let to = operations().find(|it| it["operationId"] == link["operationId"]);
            let to = to.unwrap_or_else(|| panic!("{link} leads nowhere"));
            let known: Vec<_> = to["parameters"].as_array().unwrap().iter().collect();
            for name in link["parameters"].as_object().unwrap().keys() {
                assert!(known.iter().any(|it| it["name"] == **name), "{link}: {known:?}");
            }
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                references.push(reference.clone());
            }
            map.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test]
async fn both_are_served_and_the_page_needs_nothing_from_elsewhere() {
    let town = Town::new().await;
    assert_eq!(town.get("/v1/openapi.json", "").await, api::document());
    let answer = town.call("GET /docs", "", Value::Null).await;
    assert_eq!(
        (answer.code, answer.headers["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    let page = String::from_utf8(answer.bytes.to_vec()).unwrap();
    for row in access::table().into_iter().filter(|row| row.face == "v1") {
        assert!(page.contains(&format!("<code>{}</code>", row.path)), "{row}");
    }
    assert!(page.contains("The wallet does not hold so much"), "what may go wrong is told, too");
    for elsewhere in ["http://", "https://", "<script", "src=", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}
