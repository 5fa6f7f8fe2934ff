//! One node calls another: what it gets back, and what it is told where it gets nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Request, StatusCode},
    response::{IntoResponse as _, Response},
};
use docket::{
    domain::Action,
    engine::{self, Error},
    inner::{
        BODY_BYTES_MAX, Committed, Failure, InvalidAddress, PeerOptions, Peers, Signer, header,
    },
};
use events::{Currency, ListingAdded, Money, Sku, StoreId};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::node::{
    Does, Listening, SECRET, accepted, head, name, not_writer, peers, request, secret, serve, until,
};

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_command_and_its_answer_cross() {
    let node = Listening::start(Does::Accepts).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    let request = request("r");
    let answer = peer.submit(&request, WITHIN).await.unwrap();
    assert_eq!(answer, Ok(accepted(request.command.id)));
    let (head, node) = (head(), name("node-1"));
    let committed =
        Committed { position: head.position, number: head.number, epoch: head.epoch, node };
    assert_eq!(peer.position().await.unwrap(), committed);
    assert_eq!(peer.status().await.unwrap(), json!({ "role": "writer" }));
}

#[tokio::test]
async fn the_engines_refusal_is_an_answer() {
    let node = Listening::start(Does::Refuses).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    assert_eq!(peer.submit(&request("r"), WITHIN).await.unwrap(), Err(Error::Full));
}

#[tokio::test]
async fn one_that_does_not_write_says_who_does() {
    let node = Listening::start(Does::SaysItDoesNotWrite).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    let told = Failure::NotWriter { node: peer.address().clone(), error: not_writer() };
    assert_eq!(peer.submit(&request("r"), WITHIN).await.unwrap_err(), told);
    assert_eq!(peer.position().await.unwrap_err(), told);
    assert!(!told.is_outcome_unknown());
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let (_, address) = listener().await;
    let peer = peers(SECRET).at(&address).unwrap();
    let failure = peer.submit(&request("r"), WITHIN).await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable { .. }), "{failure}");
    assert!(!failure.is_outcome_unknown());
}

#[tokio::test]
async fn a_silent_node_may_have_decided() {
    let node = Listening::start(Does::NeverAnswers).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    let failure = peer.submit(&request("r"), Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(node.script.reached(), 1);
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    assert!(failure.is_outcome_unknown());
}

#[tokio::test]
async fn a_node_that_hangs_up_may_have_decided() {
    let (listener, address) = listener().await;
    let peer = peers(SECRET).at(&address).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 100]).await.unwrap();
    });
    let failure = peer.submit(&request("r"), WITHIN).await.unwrap_err();
    assert!(matches!(failure, Failure::Unanswered { .. }), "{failure}");
    assert!(failure.is_outcome_unknown());
}

#[tokio::test]
async fn nodes_with_different_secrets_do_not_talk() {
    let node = Listening::start(Does::Accepts).await;
    let peer = peers("another secret, which is as long as the first");
    let peer = peer.at(&node.address.to_string()).unwrap();
    let failure = peer.submit(&request("r"), WITHIN).await.unwrap_err();
    assert_eq!(node.script.reached(), 0);
    // Nothing that came proves it: anybody could have said so.
    assert!(failure.is_outcome_unknown());
    let said = failure.to_string();
    assert!(said.contains("not signed") && said.contains("different secrets"), "{said}");
}

#[tokio::test]
async fn what_is_too_large_is_not_sent() {
    let node = Listening::start(Does::Accepts).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    let failure = peer.submit(&request(&"x".repeat(BODY_BYTES_MAX)), WITHIN).await.unwrap_err();
    assert!(matches!(failure, Failure::TooLarge { bytes } if bytes > BODY_BYTES_MAX), "{failure}");
    assert!(!failure.is_outcome_unknown());
    assert_eq!(node.script.reached(), 0);
    let almost = request(&"x".repeat(BODY_BYTES_MAX - 1000));
    assert_eq!(peer.submit(&almost, WITHIN).await.unwrap(), Ok(accepted(almost.command.id)));
}

#[tokio::test]
async fn one_too_many_waits_for_a_place() {
    let node = Listening::start(Does::NeverAnswers).await;
    let options = PeerOptions { at_once_max: 1, ..PeerOptions::default() };
    let clock = engine::Options::default().clock;
    let peers = Peers::new(Signer::new(secret(SECRET), name("node-2"), clock), options);
    let peer = Arc::new(peers.at(&node.address.to_string()).unwrap());
    let first = Arc::clone(&peer);
    let first = tokio::spawn(async move { first.submit(&request("r"), WITHIN).await });
    until(|| node.script.reached() == 1).await;
    let failure = peer.submit(&request("r"), Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(failure, Failure::Busy(_)) && !failure.is_outcome_unknown(), "{failure}");
    first.abort();
}

/// A pity, as the writer's own face takes it: what is around it there is three levels less, and
/// JSON is read to 127 levels.
#[tokio::test]
async fn what_nests_too_deep_to_be_read_is_refused_for_certain() {
    let node = Listening::start(Does::Accepts).await;
    let peer = peers(SECRET).at(&node.address.to_string()).unwrap();
    let nested = |depth| (0..depth).fold(Value::Null, |inner, _| json!([inner]));
    let mut refused = Vec::new();
    for depth in [100, 125] {
        let mut request = request("r");
        request.command.action = Action::AddListing(Box::new(ListingAdded {
            store: StoreId::new("corner").unwrap(),
            sku: Sku::new("b1").unwrap(),
            title: String::new(),
            price: Money { minor: 1, currency: Currency::CNY },
            quantity: 1,
            tags: Vec::new(),
            attributes: BTreeMap::from([("deep".to_owned(), nested(depth))]),
            pictures: Vec::new(),
        }));
        refused.extend(peer.submit(&request, WITHIN).await.err());
    }
    let [Failure::Refused { status, .. }] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(*status, StatusCode::BAD_REQUEST);
    assert!(!refused[0].is_outcome_unknown());
}

#[tokio::test]
async fn positions_asked_for_at_once_are_asked_for_once() {
    let node = Listening::start(Does::Accepts).await;
    let peer = Arc::new(peers(SECRET).at(&node.address.to_string()).unwrap());
    let asking = (0..50).map(|_| {
        let peer = Arc::clone(&peer);
        tokio::spawn(async move { peer.position().await })
    });
    for answer in asking.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap().unwrap().position, head().position);
    }
    // The first is sent at once; all others came while it was in flight.
    assert_eq!(node.script.reached(), 2);
}

#[tokio::test]
async fn connections_are_kept() {
    let node = Listening::start(Does::Accepts).await;
    let (listener, made) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), AtomicUsize::new(0));
    let (made, between) = (Arc::new(made), listener.local_addr().unwrap().to_string());
    let counted = Arc::clone(&made);
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = {
        drop(node);
        Listening::on(behind, &between, Does::Accepts)
    };
    let address = node.address;
    tokio::spawn(async move {
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut far = TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let peer = peers(SECRET).at(&between).unwrap();
    for _ in 0..20 {
        peer.submit(&request("r"), WITHIN).await.unwrap().unwrap();
    }
    assert_eq!((node.script.reached(), made.load(Ordering::SeqCst)), (20, 1));
}

#[test]
fn an_address_is_a_host_and_a_port() {
    let peers = peers(SECRET);
    for good in ["127.0.0.1:9300", "[::1]:9300", "node-1.example:80"] {
        assert_eq!(peers.at(good).unwrap().address().as_str(), good);
    }
    for bad in ["", "node-1", "node-1:", "node-1:port", "me@node-1:80", "node-1:80/x", "a b:80"] {
        assert_eq!(peers.at(bad).map(|_| ()), Err(InvalidAddress(bad.to_owned())));
    }
}

/// A free port, and its address.
async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Somebody between two nodes, who passes requests on and does something to the answers.
struct Between {
    node: String,
    client: legacy::Client<legacy::connect::HttpConnector, Full<Bytes>>,
    does: Forgery,
    /// The first answer that came by.
    first: Mutex<Option<Passing>>,
}

type Passing = (StatusCode, HeaderMap, Bytes);
type Forgery = fn(Passing, &Passing) -> Passing;

async fn pass(State(between): State<Arc<Between>>, request: Request<Body>) -> Response {
    let (mut head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    head.uri = format!("http://{}{}", between.node, head.uri).parse().unwrap();
    let request = Request::from_parts(head, Full::new(body));
    let (head, body) = between.client.request(request).await.unwrap().into_parts();
    let passing = (head.status, head.headers, body.collect().await.unwrap().to_bytes());
    let first = between.first.lock().unwrap().get_or_insert_with(|| passing.clone()).clone();
    let (status, mut headers, body) = (between.does)(passing, &first);
    headers.remove("content-length");
    (status, headers, body).into_response()
}

/// What two commands come back with through somebody who does this to the answers.
async fn through(does: Forgery) -> (usize, [Result<bool, Failure>; 2]) {
    let [listener, behind] = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let address = listener.local_addr().unwrap().to_string();
    let node = Listening::on(behind, &address, Does::Accepts);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let between = Between { node: node.address.to_string(), client, does, first: Mutex::default() };
    let router = Router::new().fallback(pass).with_state(Arc::new(between));
    let _between = serve(listener, router);
    let peer = peers(SECRET).at(&address).unwrap();
    let ask = async || {
        let request = request("r");
        let answer = peer.submit(&request, WITHIN).await?;
        Ok(answer == Ok(accepted(request.command.id)))
    };
    let answers = [ask().await, ask().await];
    (node.script.reached(), answers)
}

#[tokio::test]
async fn an_answer_that_is_passed_on_as_it_is_counts() {
    assert_eq!(through(|passing, _| passing).await, (2, [Ok(true), Ok(true)]));
}

#[tokio::test]
async fn an_answer_that_was_forged_does_not_count() {
    let forgeries: [(&str, Forgery); 7] = [
        ("another status", |(_, headers, body), _| (StatusCode::CREATED, headers, body)),
        ("a refusal", |(_, headers, _), _| {
            let body = json!({ "reason": "node-3 writes", "writer": "10.0.0.3:9300" });
            (StatusCode::SERVICE_UNAVAILABLE, headers, body.to_string().into())
        }),
        ("another body", |(status, headers, body), _| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            (status, headers, text.replace("\"position\":9", "\"position\":8").into())
        }),
        ("no body", |(status, headers, _), _| (status, headers, Bytes::new())),
        ("no signature", |(status, mut headers, body), _| {
            headers.remove(header::SIGNATURE).unwrap();
            (status, headers, body)
        }),
        ("another signature", |(status, mut headers, body), _| {
            let signature = HeaderValue::try_from("0".repeat(64)).unwrap();
            headers.insert(header::SIGNATURE, signature).unwrap();
            (status, headers, body)
        }),
        ("too large a body", |(status, headers, _), _| {
            (status, headers, vec![b' '; BODY_BYTES_MAX + 1].into())
        }),
    ];
    for (name, forgery) in forgeries {
        let (reached, answers) = through(forgery).await;
        assert_eq!(reached, 2, "{name}: the node did decide");
        for answer in answers {
            let failure = answer.expect_err(name);
            assert!(failure.is_outcome_unknown(), "{name}: {failure}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_another_request_does_not_count() {
    let (reached, [first, second]) = through(|_, first| first.clone()).await;
    assert_eq!((reached, first), (2, Ok(true)));
    assert!(second.unwrap_err().is_outcome_unknown());
}
