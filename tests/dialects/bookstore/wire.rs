//! The real program over a real connection: whatever is sent, it hears an answer.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use axum::http::Method;
use serde_json::json;

use crate::support::{Process, folder};

/// Sends bytes as they are and reads until the other side is done, or has been silent for long.
fn raw(process: &Process, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(process.base.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        answer.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&answer);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_is_far_too_large_is_heard_out() {
    let (_folder, data) = folder();
    let process = Process::start(&data, &[]);
    let client = process.client();
    let post = async |path: &str, bytes: usize| {
        client.send(Method::POST, path, &[], vec![b' '; bytes]).await.unwrap()
    };
    for path in ["/buyer/new_order", "/seller/add_book", "/auth/login"] {
        let answer = post(path, 20 << 20).await;
        assert_eq!(answer.status, 413, "{path}");
        assert!(answer.body["message"].is_string(), "{path}");
    }
    // The largest that add_book takes: only its fields are missing.
    assert_eq!(post("/seller/add_book", 8 << 20).await.status, 530);
    let body = json!({ "user_id": "ann", "password": "x" });
    let registered = client.post("/auth/register", &[], &body).await.unwrap();
    assert_eq!(registered.status, 200, "and it goes on");
}

#[test]
fn a_request_that_is_no_good_is_answered_all_the_same() {
    let (_folder, data) = folder();
    let process = Process::start(&data, &[("DOCKET_RECEIVE_WITHIN", "100ms")]);
    let head = "POST /buyer/new_order HTTP/1.1\r\nhost: x\r\n";
    let cases = [
        ("content-length: 10\r\n\r\nhalf", "408"),
        ("content-length: 7\r\n\r\n[[[[[[[", "530"),
        ("transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "530"),
        ("content-length: 2\r\ntoken: \u{ff}\r\n\r\n{}", "530"),
        ("content-length: 2\r\nidempotency-key: \u{ff}\r\n\r\n{}", "530"),
        ("\r\n", "530"),
    ];
    for (rest, code) in cases {
        let answer = raw(&process, format!("{head}{rest}").as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{rest:?}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(body.contains("\"message\":\"") && body.contains("\"order_id\":\"\""), "{answer}");
    }
}

#[test]
fn a_client_that_has_said_all_it_has_to_say_hears_the_answer() {
    let (_folder, data) = folder();
    let process = Process::start(&data, &[]);
    let mut stream = TcpStream::connect(process.base.trim_start_matches("http://")).unwrap();
    let body = r#"{"user_id":"ann","password":"x"}"#;
    let length = body.len();
    let head = format!("POST /auth/register HTTP/1.1\r\nhost: x\r\ncontent-length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}
