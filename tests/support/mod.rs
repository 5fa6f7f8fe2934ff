//! What the black-box tests share: a docket in this process, or one in a process of its own.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request},
};
use docket::{
    client::Client,
    config::Config,
    engine::Clock,
    journal::Journal,
    node::{self, Node, Parts},
};
use events::Millis;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Settings that make password hashes cheap enough for tests.
pub const CHEAP: &str = "password_memory_kib = 8\npassword_iterations = 1\n";

/// A clock that a test sets.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    /// Stands at this moment.
    pub fn at(ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(ms)))
    }
    /// Goes on.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
    /// What the engine reads.
    pub fn clock(&self) -> Clock {
        let hands = Arc::clone(&self.0);
        Arc::new(move || Millis(hands.load(Ordering::SeqCst)))
    }
}

/// A docket in this process, spoken to without a socket.
pub struct Shop {
    pub node: Node,
}

/// An answer: status, body, headers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    pub headers: HeaderMap,
}

impl Shop {
    /// Starts on a folder with `docket.toml`'s text after the cheap passwords'.
    pub async fn start(data: &Path, toml: &str, parts: Parts) -> Result<Self, node::Error> {
        let text = format!("{CHEAP}{toml}");
        let flags = [("data", data.display().to_string())];
        let config = Config::resolve(&flags, Some(("docket.toml", &text)), []).unwrap();
        Ok(Self { node: node::start(&config, parts).await? })
    }

    /// On a journal in memory.
    pub async fn on(journal: Arc<dyn Journal>, data: &Path, toml: &str, clock: Option<Clock>) -> Self {
        let parts = Parts { journal: Some(journal), clock, ..Parts::default() };
        Self::start(data, toml, parts).await.unwrap()
    }

    /// A request as it is.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.node.router.clone().oneshot(request).await.unwrap();
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { code, body, headers }
    }

    /// Posts JSON with a token (none where it is empty).
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.post_with(path, &[("token", token)], body.to_string()).await
    }

    /// Posts a body with headers; those without a value are left out.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(Method::POST).uri(path);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    /// Registers an account with the password `pw-<name>`, logs in, and gives the token.
    pub async fn user(&self, name: &str) -> String {
        let body = json!({ "user_id": name, "password": format!("pw-{name}") });
        assert_eq!(self.post("/auth/register", "", body).await.code, 200);
        self.login(name).await
    }

    /// Logs in and gives the token.
    pub async fn login(&self, name: &str) -> String {
        let body = json!({ "user_id": name, "password": format!("pw-{name}"), "terminal": "t" });
        let answer = self.post("/auth/login", "", body).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        answer.body["token"].as_str().unwrap().to_owned()
    }

    /// Ends in good order.
    pub async fn stop(self) {
        self.node.shut_down().await.unwrap();
    }
}

/// A docket in a process of its own, on a folder, on a free port of this machine.
pub struct Process {
    child: Child,
    pub base: String,
    pub data: PathBuf,
    pub stdout: String,
}

impl Process {
    /// Starts the real program and waits until it says where it listens.
    pub fn start(data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::from_command(Command::new(program()), data, variables)
    }

    /// The same under another program, such as strace, that is given the program's path and flags.
    pub fn from_command(mut command: Command, data: &Path, variables: &[(&str, &str)]) -> Self {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .env("DOCKET_PASSWORD_MEMORY_KIB", "8")
            .env("DOCKET_PASSWORD_ITERATIONS", "1")
            .envs(variables.iter().copied())
            .current_dir(data.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log_file(data)));
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (mut base, mut stdout) = (None, String::new());
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                break;
            }
            stdout.push_str(&line);
            if let Some((_, address)) = line.split_once("listening on") {
                base = Some(address.trim().to_owned());
            }
            if line.contains("/auth/register") {
                break; // The last line it prints.
            }
        }
        std::thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let Some(base) = base else {
            let status = child.wait().unwrap();
            panic!("docket ended ({status}) before it listened; its log:\n{}", log(data));
        };
        Self { child, base, data: data.to_owned(), stdout }
    }

    /// Speaks to it.
    pub fn client(&self) -> Client {
        Client::new(self.base.clone())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no last words.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: an end in good order.
    pub fn terminate(self) -> ExitStatus {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        self.wait()
    }

    /// Waits for its end, a minute at most.
    pub fn wait(mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "docket does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log(&self.data)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It has ended already, mostly.
        let _ = self.child.wait();
    }
}

/// The real program.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_docket")
}

/// What the dockets on this folder have logged, all runs.
pub fn log(data: &Path) -> String {
    std::fs::read_to_string(log_path(data)).unwrap_or_default()
}

fn log_file(data: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().create(true).append(true).open(log_path(data)).unwrap()
}

fn log_path(data: &Path) -> PathBuf {
    data.with_extension("log")
}

/// A folder that goes with the test, and the data folder inside it.
pub fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    (folder, data)
}
