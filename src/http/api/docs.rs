//! A page that shows the document at `/v1/openapi.json` to people: every operation with what it
//! takes and gives. One file without scripts or anything from elsewhere, so it works offline.

use std::{fmt::Write as _, sync::OnceLock};

use axum::{
    http::header,
    response::{Html, IntoResponse as _, Response},
};
use serde_json::Value;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; }
details { margin: .4rem 0; padding: .3rem .6rem; border: 1px solid #8884; border-radius: 6px; }
summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow: auto; background: #8881; padding: .6rem; }
b.m { display: inline-block; width: 4.5rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem .8rem .15rem 0; }
:root { color-scheme: light dark; }
";

/// The page.
pub async fn page() -> Response {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| render(&super::document()));
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(page.as_str())).into_response()
}

fn render(document: &Value) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let _ = write!(page, "<title>docket API</title><style>{STYLE}</style><h1>docket API</h1>");
    let _ = write!(page, "<p>{}</p>", escaped(text(&document["info"]["description"])));
    page.push_str("<p>For programs: <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.</p>");
    let mut tag = "";
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let own = text(&operation["tags"][0]);
            if own != tag {
                tag = own;
                let _ = write!(page, "<h2>{}</h2>", escaped(tag));
            }
            show_operation(&mut page, document, path, method, operation);
        }
    }
    page.push_str("<h2>schemas</h2>");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let json = serde_json::to_string_pretty(schema).unwrap_or_default();
        let name = escaped(name);
        let _ = write!(page, "<details id=\"{name}\"><summary><code>{name}</code></summary>");
        let _ = write!(page, "<pre>{}</pre></details>", escaped(&json));
    }
    page.push_str("</html>");
    page
}

fn show_operation(
    page: &mut String,
    document: &Value,
    path: &str,
    method: &str,
    operation: &Value,
) {
    let _ = write!(
        page,
        "<details><summary><b class=\"m\">{}</b> <code>{}</code> {}</summary><p>{}</p>",
        method.to_uppercase(),
        escaped(path),
        escaped(text(&operation["summary"])),
        escaped(text(&operation["description"])),
    );
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if !parameters.is_empty() {
        page.push_str("<table><tr><th>parameter<th>in<th>about");
        for it in parameters {
            let _ = write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}",
                escaped(text(&it["name"])),
                escaped(text(&it["in"])),
                escaped(text(&it["description"])),
            );
        }
        page.push_str("</table>");
    }
    let body = operation["requestBody"]["content"].as_object().into_iter().flatten();
    for (kind, content) in body {
        let _ = write!(page, "<p>Takes <code>{}</code> {}</p>", escaped(kind), link(content));
    }
    page.push_str("<table>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let elsewhere = response["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        let response = elsewhere.and_then(|it| document.pointer(it)).unwrap_or(response);
        let content = response["content"].as_object().and_then(|it| it.values().next());
        let _ = write!(
            page,
            "<tr><td>{}<td>{} {}",
            escaped(status),
            escaped(text(&response["description"])),
            content.map(link).unwrap_or_default(),
        );
    }
    page.push_str("</table></details>");
}

/// A link to the schema of a content, where it has a name.
fn link(content: &Value) -> String {
    let reference = text(&content["schema"]["$ref"]);
    match reference.rsplit_once('/') {
        Some((_, name)) => format!("<a href=\"#{0}\"><code>{0}</code></a>", escaped(name)),
        None => String::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
