//! Who is not let in, and what they are told. Nothing of theirs reaches the service, and no answer
//! is signed that somebody could use against a node that is waiting for one.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode},
};
use docket::inner::{BODY_BYTES_MAX, header};
use hyper::body::Frame;
use serde_json::json;

use crate::node::{ADDRESS, Answer, NOON, Node, SECRET, http, name, request, signer};

const COMMANDS: &str = "/inner/v1/commands";
const POSITION: &str = "/inner/v1/position";

/// Enough to remember every request of a test.
const PLENTY: usize = 1000;

fn body() -> String {
    json!({ "within_ms": 1000, "request": request("r") }).to_string()
}

/// Signed by another node of the cluster for this one, now.
fn signed(method: &Method, path: &str, body: &str) -> HeaderMap {
    signer(SECRET, NOON).sign(&name(ADDRESS), method, path, body.as_bytes()).headers
}

/// That nobody was let in, and that the answer helps nobody to be.
fn assert_kept_out(node: &Node, answer: &Answer, status: StatusCode, says: &str) {
    let reason = answer.reason();
    assert_eq!((answer.status, node.script.reached()), (status, 0), "{reason}");
    assert!(reason.contains(says), "{reason} says nothing of {says}");
    assert!(!answer.headers.contains_key(header::SIGNATURE), "{reason}");
    let digits = reason.split(|it: char| !it.is_ascii_hexdigit());
    assert!(digits.map(str::len).max() < Some(32), "{reason} tells a signature or a nonce");
}

#[tokio::test]
async fn a_signed_request_is_let_in() {
    let (node, body) = (Node::new(PLENTY), body());
    let headers = signed(&Method::POST, COMMANDS, &body);
    let answer = node.send(http(Method::POST, COMMANDS, &headers, body)).await;
    assert_eq!((answer.status, node.script.reached()), (StatusCode::OK, 1));
    assert!(answer.headers.contains_key(header::SIGNATURE));
}

#[tokio::test]
async fn each_part_that_is_signed_counts() {
    let (node, body) = (Node::new(PLENTY), body());
    let sent = |method, path, change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = signed(&Method::POST, COMMANDS, &body);
        change(&mut headers);
        http(method, path, &headers, body.clone())
    };
    let set = |name: &'static str, value: String| {
        move |headers: &mut HeaderMap| {
            let before = headers.insert(name, HeaderValue::try_from(&value).unwrap());
            assert!(before.is_some_and(|it| it != value), "{name} was not changed");
        }
    };
    let other = "0123456789abcdef".repeat(4);
    let forged = [
        sent(Method::GET, COMMANDS, &|_| ()),
        sent(Method::PUT, COMMANDS, &|_| ()),
        sent(Method::POST, POSITION, &|_| ()),
        sent(Method::POST, "/inner/v1/commands?", &|_| ()),
        sent(Method::POST, "/inner/v1/commands?a=b", &|_| ()),
        sent(Method::POST, "/inner/v1//commands", &|_| ()),
        sent(Method::POST, COMMANDS, &set(header::NODE, "node-3".into())),
        sent(Method::POST, COMMANDS, &set(header::TO, "10.0.0.2:9300".into())),
        sent(Method::POST, COMMANDS, &set(header::TIME, (NOON + 1).to_string())),
        sent(Method::POST, COMMANDS, &set(header::NONCE, other[..32].to_owned())),
        sent(Method::POST, COMMANDS, &set(header::DIGEST, other.clone())),
        sent(Method::POST, COMMANDS, &set(header::SIGNATURE, other.clone())),
        // What belongs to two fields may not be moved between them.
        sent(Method::POST, COMMANDS, &|headers| {
            set(header::NODE, "node-21".into())(headers);
            set(header::TO, ADDRESS[1..].to_owned())(headers);
        }),
    ];
    for request in forged {
        let answer = node.send(request).await;
        assert_kept_out(&node, &answer, StatusCode::UNAUTHORIZED, "the signature is wrong");
    }
}

#[tokio::test]
async fn a_header_that_is_missing_or_malformed_is_named() {
    let (node, body) = (Node::new(PLENTY), body());
    let bad = [
        (header::NODE, ["a b", ""]),
        (header::TO, ["a b", ""]),
        (header::TIME, ["noon", "99999999999999999999"]),
        (header::NONCE, ["1", "g0000000000000000000000000000000"]),
        (header::DIGEST, ["00", "no"]),
        (header::SIGNATURE, ["00", "no"]),
    ];
    for (name, values) in bad {
        for value in values.map(Some).into_iter().chain([None]) {
            let mut headers = signed(&Method::POST, COMMANDS, &body);
            headers.remove(name);
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let answer = node.send(http(Method::POST, COMMANDS, &headers, body.clone())).await;
            assert_kept_out(&node, &answer, StatusCode::BAD_REQUEST, name);
        }
    }
}

#[tokio::test]
async fn another_secret_is_a_wrong_one() {
    let (node, body) = (Node::new(PLENTY), body());
    for secret in [format!("{SECRET}."), SECRET[1..].to_owned(), "0".repeat(64)] {
        let headers = signer(&secret, NOON)
            .sign(&name(ADDRESS), &Method::POST, COMMANDS, body.as_bytes())
            .headers;
        let answer = node.send(http(Method::POST, COMMANDS, &headers, body.clone())).await;
        assert_kept_out(&node, &answer, StatusCode::UNAUTHORIZED, "the signature is wrong");
        assert!(!answer.reason().contains(&secret));
    }
}

#[tokio::test]
async fn a_request_for_another_node_is_not_taken() {
    let (node, body) = (Node::new(PLENTY), body());
    let to = name("10.0.0.2:9300");
    let headers = signer(SECRET, NOON).sign(&to, &Method::POST, COMMANDS, body.as_bytes()).headers;
    let answer = node.send(http(Method::POST, COMMANDS, &headers, body)).await;
    assert_kept_out(&node, &answer, StatusCode::MISDIRECTED_REQUEST, "10.0.0.2:9300");
}

#[tokio::test]
async fn a_time_may_be_half_a_minute_off_and_no_more() {
    let headers = |ms| signer(SECRET, ms).sign(&name(ADDRESS), &Method::GET, POSITION, b"").headers;
    let node = Node::new(PLENTY);
    node.clock.set(NOON + 3_600_000);
    let now = NOON + 3_600_000;
    for ms in [now - 30_001, now + 30_001, now - 86_400_000, now + 86_400_000, i64::MIN, i64::MAX] {
        let answer = node.send(http(Method::GET, POSITION, &headers(ms), "")).await;
        assert_kept_out(&node, &answer, StatusCode::UNAUTHORIZED, "ms off this node's clock");
    }
    for ms in [now - 30_000, now, now + 30_000] {
        let answer = node.send(http(Method::GET, POSITION, &headers(ms), "")).await;
        assert_eq!(answer.status, StatusCode::OK);
    }
    assert_eq!(node.script.reached(), 3);
}

/// It may have been let in by the node that was here before, whose memory is gone.
#[tokio::test]
async fn what_was_signed_before_the_start_is_not_let_in() {
    let node = Node::new(PLENTY);
    node.clock.set(NOON + 5_000);
    let early = signer(SECRET, NOON - 1).sign(&name(ADDRESS), &Method::GET, POSITION, b"").headers;
    let answer = node.send(http(Method::GET, POSITION, &early, "")).await;
    assert_kept_out(&node, &answer, StatusCode::UNAUTHORIZED, "before this node was started");
}

#[tokio::test]
async fn a_request_is_let_in_once() {
    let (node, body) = (Node::new(PLENTY), body());
    let headers = signed(&Method::POST, COMMANDS, &body);
    let send = || node.send(http(Method::POST, COMMANDS, &headers, body.clone()));
    assert_eq!(send().await.status, StatusCode::OK);
    // While its time counts, and when it does no more.
    for (ms, status, says) in [
        (0, StatusCode::CONFLICT, "was let in before"),
        (29_999, StatusCode::CONFLICT, "was let in before"),
        (30_000, StatusCode::CONFLICT, "was let in before"),
        (30_001, StatusCode::UNAUTHORIZED, "ms off this node's clock"),
        (90_000, StatusCode::UNAUTHORIZED, "ms off this node's clock"),
    ] {
        node.clock.set(NOON + ms);
        let answer = send().await;
        assert_eq!((answer.status, node.script.reached()), (status, 1), "after {ms} ms");
        assert!(answer.reason().contains(says) && !answer.headers.contains_key(header::SIGNATURE));
    }
}

/// A head that was let in is used up, whatever comes after it.
#[tokio::test]
async fn a_body_that_was_not_signed_is_refused_and_uses_up_its_head() {
    let (node, body) = (Node::new(PLENTY), body());
    let headers = signed(&Method::POST, COMMANDS, &body);
    for other in [body.replace("corner", "Corner"), String::new(), format!("{body} ")] {
        let headers = signed(&Method::POST, COMMANDS, &body);
        let answer = node.send(http(Method::POST, COMMANDS, &headers, other)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.reason(), "the body is not the one that was signed");
    }
    let other = node.send(http(Method::POST, COMMANDS, &headers, "{}")).await;
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    let answer = node.send(http(Method::POST, COMMANDS, &headers, body)).await;
    assert_kept_out(&node, &answer, StatusCode::CONFLICT, "was let in before");
}

#[tokio::test]
async fn a_full_memory_lets_nobody_in_and_forgets_nobody() {
    let node = Node::new(3);
    let ask = |headers: HeaderMap| {
        let node = &node;
        async move { node.send(http(Method::GET, POSITION, &headers, "")).await }
    };
    let at = |ms| signer(SECRET, ms).sign(&name(ADDRESS), &Method::GET, POSITION, b"").headers;
    let known = [at(NOON), at(NOON), at(NOON + 5_000)];
    for headers in &known {
        assert_eq!(ask(headers.clone()).await.status, StatusCode::OK);
    }
    let answer = ask(at(NOON)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.reason().contains("too many requests"), "{}", answer.reason());
    assert!(!answer.headers.contains_key(header::SIGNATURE), "it may yet be let in");
    for headers in &known {
        assert_eq!(ask(headers.clone()).await.status, StatusCode::CONFLICT);
    }
    // Its first two are over, and make room for two.
    node.clock.set(NOON + 31_000);
    let statuses = [ask(at(NOON + 31_000)).await, ask(at(NOON + 31_000)).await];
    assert!(statuses.iter().all(|it| it.status == StatusCode::OK));
    assert_eq!(ask(at(NOON + 31_000)).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask(known[2].clone()).await.status, StatusCode::CONFLICT);
    assert_eq!(node.script.reached(), 5);
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_no_way_in() {
    let node = Node::new(PLENTY);
    for path in ["/", "/inner/v1/command", "/healthz", "*"] {
        let request = Request::builder().method(Method::GET).uri(path).body(Body::empty());
        let answer = node.send(request.unwrap()).await;
        assert_kept_out(&node, &answer, StatusCode::BAD_REQUEST, "is missing");
    }
    for (method, path, status) in [
        (Method::GET, "/healthz", StatusCode::NOT_FOUND),
        (Method::GET, COMMANDS, StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, POSITION, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let headers = signed(&method, path, "");
        let answer = node.send(http(method, path, &headers, "")).await;
        assert_eq!((answer.status, node.script.reached()), (status, 0));
    }
}

/// A body that goes on and on, or, where nothing is in it, never comes.
struct Endless {
    chunk: Option<Bytes>,
    touched: Arc<AtomicBool>,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.touched.store(true, Ordering::SeqCst);
        match &self.chunk {
            Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk.clone())))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_bounded_in_size_and_time() {
    let node = Node::new(PLENTY);
    let headers = || signed(&Method::POST, COMMANDS, &body());
    let endless = |chunk: Option<&'static [u8]>| {
        let chunk = chunk.map(Bytes::from_static);
        Body::new(Endless { chunk, touched: Arc::default() })
    };
    let large = "x".repeat(BODY_BYTES_MAX + 1);
    let right = signed(&Method::POST, COMMANDS, &large);
    for (headers, body, status, says) in [
        (
            headers(),
            endless(Some(&[0; 4096])),
            StatusCode::PAYLOAD_TOO_LARGE,
            "larger than 1048576",
        ),
        (right, Body::from(large), StatusCode::PAYLOAD_TOO_LARGE, "larger than 1048576"),
        (headers(), endless(None), StatusCode::REQUEST_TIMEOUT, "too long to arrive"),
    ] {
        let answer = node.send(http(Method::POST, COMMANDS, &headers, body)).await;
        assert_eq!((answer.status, node.script.reached()), (status, 0));
        assert!(answer.reason().contains(says), "{}", answer.reason());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_strangers_body_is_read() {
    let node = Node::new(PLENTY);
    let touched = Arc::new(AtomicBool::new(false));
    let body = || Body::new(Endless { chunk: None, touched: Arc::clone(&touched) });
    let mut forged = signed(&Method::POST, COMMANDS, "");
    forged.insert(header::TIME, HeaderValue::from(NOON + 1));
    let stranger = node.send(http(Method::POST, COMMANDS, &forged, body())).await;
    assert_kept_out(&node, &stranger, StatusCode::UNAUTHORIZED, "the signature is wrong");
    assert!(!touched.load(Ordering::SeqCst));
    let known = signed(&Method::POST, COMMANDS, "");
    node.send(http(Method::POST, COMMANDS, &known, body())).await;
    assert!(touched.load(Ordering::SeqCst), "a node's body is read");
}
