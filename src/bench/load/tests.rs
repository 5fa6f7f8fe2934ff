//! The generator against servers that answer as a test wants, late for example.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const FAILED: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// Asks for the same and takes 200 alone.
struct Ask;

impl Talk for Ask {
    fn ask(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    }

    fn hear(&mut self, status: u16, body: &[u8]) -> anyhow::Result<bool> {
        anyhow::ensure!(status == 200 && body == b"ok", "answered {status}");
        Ok(true)
    }
}

/// Serves on a free port: the n-th request, counted from 1 over all connections, gets the n-th
/// answer; nothing more comes where that is empty. One request is answered after the other, as by
/// one writer.
fn server(answer: impl Fn(u64) -> &'static str + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (answer, asked) = (Arc::new(answer), Arc::new(Mutex::new(0)));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
            std::thread::spawn(move || talk(stream.unwrap(), &*answer, &asked));
        }
    });
    address
}

fn talk(mut stream: TcpStream, answer: &dyn Fn(u64) -> &'static str, asked: &Mutex<u64>) {
    let (mut read, mut bytes) = (Vec::new(), [0; 1024]);
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        read.extend_from_slice(&bytes[..n]);
        if !read.ends_with(b"\r\n\r\n") {
            continue;
        }
        read.clear();
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        let answer = answer(*asked);
        drop(asked);
        if answer.is_empty() || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A server that stalls once.
fn stalls(at: u64, lasts: Duration) -> SocketAddr {
    server(move |n| {
        if n == at {
            std::thread::sleep(lasts);
        }
        OK
    })
}

const STALL: Duration = Duration::from_millis(300);

/// A second of which a fifth is not measured; 500 requests a second or as many as come.
fn plan(rate: Option<f64>) -> Plan {
    Plan { warm: Duration::from_millis(200), measured: Duration::from_millis(800), rate }
}

fn measured(address: SocketAddr, connections: usize, plan: Plan) -> (Measured, u64) {
    let told = Arc::new(AtomicU64::new(0));
    let tell = Arc::clone(&told);
    let talks = (0..connections).map(|_| Ask).collect();
    let (measured, talks) = run(address, talks, plan, move |n| {
        tell.fetch_add(n, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(talks.len(), connections);
    (measured, told.load(Ordering::Relaxed))
}

fn refused(address: SocketAddr, plan: Plan) -> String {
    let Err(error) = run(address, vec![Ask, Ask], plan, |_| {}) else { panic!("it went well") };
    format!("{error:#}")
}

/// Every request that was due is there, once, whatever the server did meanwhile.
fn all_that_was_due(measured: &Measured, requests: u64) {
    let count = measured.latencies.count();
    assert!(count.abs_diff(requests) <= 2, "{count} of {requests}");
}

#[test]
fn a_stall_is_seen_by_all_that_was_due_meanwhile() {
    // At about half of the time. A fifth or more of all is due while it lasts; two connections
    // that asked when they are answered would meet it twice.
    let (measured, _) = measured(stalls(250, STALL), 2, plan(Some(500.0)));
    all_that_was_due(&measured, 400);
    let ms = |part| measured.latencies.ms(part).unwrap();
    assert!(ms(0.99) >= 200.0, "p99 is {} ms", ms(0.99));
    assert!(ms(0.9) >= 100.0, "p90 is {} ms", ms(0.9));
}

#[test]
fn a_stall_at_the_end_is_seen_too() {
    // It lasts beyond the end: 50 requests are due meanwhile, and none is answered in time.
    let all = Plan { warm: Duration::ZERO, measured: Duration::from_secs(1), rate: Some(500.0) };
    let (measured, _) = measured(stalls(450, STALL), 2, all);
    all_that_was_due(&measured, 500);
    let p99 = measured.latencies.ms(0.99).unwrap();
    assert!(p99 >= 200.0, "p99 is {p99} ms");
    assert!(measured.counted < 450, "{} came in time", measured.counted);
}

#[test]
fn a_server_that_cannot_keep_up_is_asked_no_less() {
    // One answer in 20 ms, four times as many are due.
    let slow = server(|_| {
        std::thread::sleep(Duration::from_millis(20));
        OK
    });
    let (measured, told) = measured(slow, 2, plan(Some(200.0)));
    all_that_was_due(&measured, 160);
    assert!(told <= 55, "{told} were answered");
    assert!(measured.counted <= told);
    // What is due halfway is answered in its fourth part of a second or later, or never.
    let p50 = measured.latencies.ms(0.5).unwrap();
    assert!(p50 >= 150.0, "p50 is {p50} ms");
}

#[test]
fn without_a_rate_each_asks_when_it_is_answered() {
    let slow = server(|_| {
        std::thread::sleep(Duration::from_millis(10));
        OK
    });
    let (measured, told) = measured(slow, 2, plan(None));
    // One answer in 10 ms, 800 ms.
    assert!((2..=85).contains(&measured.counted), "{}", measured.counted);
    assert!(told > measured.counted, "{told} with those of the first 200 ms");
    let (p50, rate) = (measured.latencies.ms(0.5).unwrap(), measured.rate());
    assert!(p50 >= 10.0, "p50 is {p50} ms");
    assert!((rate - measured.counted as f64 / 0.8).abs() < 0.001, "{rate}");
}

#[test]
fn an_error_answer_ends_the_measurement() {
    let failing = || server(|n| if n == 20 { FAILED } else { OK });
    assert_eq!(refused(failing(), plan(None)), "answered 503");
    assert_eq!(refused(failing(), plan(Some(500.0))), "answered 503");
}

#[test]
fn an_error_on_one_connection_does_not_wait_for_the_others() {
    let plan = Plan { measured: Duration::from_secs(600), ..plan(None) };
    assert_eq!(refused(server(|n| if n == 20 { FAILED } else { OK }), plan), "answered 503");
}

#[test]
fn a_server_that_hangs_up_ends_the_measurement() {
    let gone = server(|n| if n == 20 { "" } else { OK });
    let error = refused(gone, plan(None));
    assert!(error.contains("hung up") || error.contains("cannot read"), "{error}");
}

#[test]
fn an_answer_is_its_status_its_head_and_its_length() {
    let answer =
        "HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
    let head = answer.len() - 5;
    assert_eq!(parsed(answer.as_bytes()).unwrap(), Some((201, head, 5)));
    for cut in 0..head {
        assert_eq!(parsed(&answer.as_bytes()[..cut]).unwrap(), None, "cut at {cut}");
    }
    assert!(parsed(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "it ends nowhere");
    assert!(parsed(b"SSH-2.0-x\r\n\r\n").is_err());
}
