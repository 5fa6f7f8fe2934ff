//! Bodies that are no JSON, or JSON that nobody asked for.

use std::sync::LazyLock;

use docket::http::dialects::bookstore;
use proptest::{collection::vec, prelude::*, test_runner::Config};
use serde_json::{Value, json};

use super::{super::talk::Talk, message};

#[tokio::test]
async fn a_body_that_is_no_json_is_530_everywhere() {
    let deep = "[".repeat(100_000);
    let deep_objects = "{\"a\":".repeat(100_000);
    let deep_inside = format!("{{\"user_id\":\"eve\",\"books\":{deep}");
    let bodies: [&[u8]; 18] = [
        b"{",
        b"}",
        b"{\"user_id\"",
        b"{\"user_id\":\"eve\"",
        b"{\"user_id\":\"eve\",}",
        b"{'user_id':'eve'}",
        b"{user_id:\"eve\"}",
        b"{\"user_id\":\"eve\"} {}",
        b"{\"user_id\":NaN}",
        b"{\"user_id\":01}",
        b"{\"user_id\":\"\\ud800\"}",
        b"{\"user_id\":\"a\nb\"}",
        b"\xef\xbb\xbf{\"user_id\":\"eve\"}",
        b"{\"user_id\":\"\xff\xfe\"}",
        b"user_id=eve&password=x",
        deep.as_bytes(),
        deep_objects.as_bytes(),
        deep_inside.as_bytes(),
    ];
    let talk = Talk::start("").await;
    for (path, _) in bookstore::paths() {
        for body in bodies {
            let answer = talk.shop.post_with(path, &[], body.to_vec()).await;
            assert_eq!(
                answer.code,
                530,
                "{path} {}",
                String::from_utf8_lossy(&body[..body.len().min(80)])
            );
            assert!(message(&answer).starts_with("the body is not JSON: "), "{path} {answer:?}");
        }
        for body in ["null", "true", "5", "\"text\"", "[]", "[{}]"] {
            let answer = talk.shop.post_with(path, &[], body).await;
            let said = (answer.code, message(&answer));
            assert_eq!(said, (530, "the body must be a JSON object"), "{path} {body}");
        }
        for body in ["", " \r\n\t", "{}"] {
            let answer = talk.shop.post_with(path, &[], body).await;
            assert_eq!(answer.code, 530, "{path} {body:?}");
            assert!(message(&answer).ends_with(" is missing"), "{path} {body:?} {answer:?}");
        }
    }
}

#[tokio::test]
async fn of_a_field_that_is_there_twice_the_last_counts() {
    let mut talk = Talk::start("").await;
    talk.play("given user ann").await;
    let body = r#"{"user_id":5,"user_id":"ann","store_id":"s","store_id":"t"}"#;
    let headers = [("token", talk.token("ann"))];
    let create = async || talk.shop.post_with("/seller/create_store", &headers, body).await;
    assert_eq!(create().await.code, 200);
    assert_eq!(message(&create().await), "exist store id t");
}

/// The names of all fields, so that random bodies get past the first check.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut names: Vec<String> = super::calls()
        .iter()
        .flat_map(|(_, _, fields)| fields)
        .map(|(field, _, _)| field.rsplit('.').next().unwrap().to_owned())
        .collect();
    names.push("unknown".to_owned());
    names
});

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..5_i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
        prop_oneof!["ann", "sam", "s", "a", "pw-ann", "pw-sam"].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::from), any_object(inner).boxed(),]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    vec((proptest::sample::select(NAMES.as_slice()), value), 0..6)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// A body whose fields are those of a call, some of them changed.
fn nearly_right() -> impl Strategy<Value = Value> {
    let body = (0..super::calls().len()).prop_map(|n| super::calls().swap_remove(n).1);
    (body, any_object(any_json())).prop_map(|(mut body, other)| {
        for (name, value) in other.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    })
}

#[test]
fn whatever_is_sent_is_answered_by_a_code_of_the_api() {
    const CODES: [u16; 19] = [
        200, 401, 422, 429, 503, 511, 512, 513, 514, 515, 516, 517, 518, 519, 520, 521, 522, 524,
        530,
    ];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let talk = runtime.block_on(async {
        let mut talk = Talk::start("").await;
        talk.play(
            "given user ann\ngiven user sam\ngiven store sam s\ngiven book sam s a 1 99999
             given funds ann 99999\ngiven order ann s a 1",
        )
        .await;
        talk
    });
    let body = prop_oneof![any_object(any_json()), nearly_right()];
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    proptest!(config, |(body in body, by_ann in any::<bool>())| {
        let token = if by_ann { talk.token("ann") } else { "" };
        for (path, _) in bookstore::paths() {
            let answer = runtime.block_on(talk.shop.post(path, token, body.clone()));
            prop_assert!(CODES.contains(&answer.code), "{path} {body}: {answer:?}");
            prop_assert!(answer.body["message"].is_string(), "{path} {body}: {answer:?}");
        }
    });
    // And it still works.
    let answer = runtime.block_on(talk.shop.post(
        "/auth/register",
        "",
        json!({ "user_id": "new", "password": "" }),
    ));
    assert_eq!(answer.code, 200);
}
