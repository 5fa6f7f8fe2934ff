//! Several dockets, each in a process of its own, that are one.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use docket::client::{Answer, Client};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::support::{Process, kafka, program};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The operator's token on every node.
pub const OPERATOR: &str = "the-token-of-the-operator-of-the-cluster-in-tests";

/// What all nodes are told.
pub struct Site {
    folder: TempDir,
    variables: Vec<(String, String)>,
    pub prefix: String,
}

/// The nodes, by number; `None` where one does not run.
pub struct Nodes {
    pub site: Site,
    pub nodes: Vec<Option<Process>>,
}

impl Site {
    /// A site of its own on these brokers, where each record lies on `replication` of them.
    pub fn on(brokers: &str, replication: usize) -> Self {
        let (folder, prefix) = (TempDir::new().unwrap(), kafka::prefix());
        let blobs = folder.path().join("blobs");
        let (blobs, replication) = (blobs.to_str().unwrap(), replication.to_string());
        let variables = [
            ("JOURNAL", "kafka"),
            ("BROKERS", brokers),
            ("TOPIC_PREFIX", &prefix),
            ("REPLICATION", &replication),
            ("MASTER_KEY", &"5a".repeat(32)),
            ("CLUSTER_SECRET", "a secret of the cluster that nobody else has"),
            ("OPERATOR_TOKEN", OPERATOR),
            ("BLOBS", blobs),
            ("INNER_LISTEN", "127.0.0.1:0"),
            ("WRITER_SESSION", "2s"),
            ("LOG", "info"),
        ];
        let variables = variables.map(|(name, value)| (format!("DOCKET_{name}"), value.to_owned()));
        Self { folder, variables: variables.into(), prefix }
    }

    /// The same, told something else.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.tell(name, value);
        self
    }

    pub fn tell(&mut self, name: &str, value: &str) {
        let name = format!("DOCKET_{name}");
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
    }

    pub fn without(mut self, name: &str) -> Self {
        let name = format!("DOCKET_{name}");
        self.variables.retain(|(known, _)| *known != name);
        self
    }

    /// The folder of a node.
    pub fn data(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    pub fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Starts a node, and waits until it listens.
    pub fn start(&self, node: usize) -> Process {
        self.start_as(node, &format!("node-{node}"))
    }

    /// Starts a node under this name, and waits until it listens.
    pub fn start_as(&self, node: usize, name: &str) -> Process {
        let mut variables = self.variables();
        variables.push(("DOCKET_NODE", name));
        Process::start(&self.data(node), &variables)
    }

    /// Starts a node, and waits for nothing.
    pub fn spawn(&self, node: usize) -> Process {
        let flags = ["--listen", "127.0.0.1:0"];
        Process::spawn(Command::new(program()), &self.data(node), &flags, &self.variables())
    }
}

impl Nodes {
    /// Starts so many, one after the other, and waits until one of them writes.
    pub async fn start(site: Site, count: usize) -> Self {
        fs::create_dir_all(site.folder.path().join("blobs")).unwrap();
        let nodes = (0..count).map(|node| Some(site.start(node))).collect();
        let it = Self { site, nodes };
        it.writer().await;
        it
    }

    pub fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect()
    }

    pub fn node(&self, node: usize) -> &Process {
        self.nodes[node].as_ref().expect("the node runs")
    }

    pub fn client(&self, node: usize) -> Client {
        self.node(node).client()
    }

    /// SIGKILL: no last words.
    pub fn kill(&mut self, node: usize) {
        self.nodes[node].take().expect("the node runs").kill();
    }

    /// Starts one again.
    pub fn start_again(&mut self, node: usize) {
        assert!(self.nodes[node].is_none());
        self.nodes[node] = Some(self.site.start(node));
    }

    /// What a node says of itself on `/readyz`.
    pub async fn ready(&self, node: usize) -> Answer {
        get(&self.client(node), "", "/readyz").await
    }

    /// Waits until one of the nodes that run writes, and says which.
    pub async fn writer(&self) -> usize {
        let began = Instant::now();
        loop {
            for node in self.running() {
                let told = self.ready(node).await.body;
                if told["node"]["writes"] == true {
                    return node;
                }
            }
            assert!(began.elapsed() < PATIENCE, "nobody writes; the logs:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the node that writes has published everything that is recorded.
    pub async fn everything_is_published(&self) {
        let began = Instant::now();
        loop {
            let node = self.writer().await;
            let told = self.ready(node).await.body;
            if told["node"]["writes"] == true && told["node"]["published"] == told["node"]["commit"]
            {
                return;
            }
            // A transaction that brokers have lost sight of takes a while to be given up.
            assert!(began.elapsed() < 3 * PATIENCE, "{told}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let logs = self.running().into_iter().map(|node| {
            let log = self.node(node).log();
            let lines: Vec<_> = log.lines().collect();
            format!("node {node}:\n{}\n", lines[lines.len().saturating_sub(30)..].join("\n"))
        });
        logs.collect()
    }
}

/// Asks as the bearer of a token; as nobody where that is empty.
pub async fn get(client: &Client, token: &str, path: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let headers = if token.is_empty() { &headers[..0] } else { &headers[..] };
    client.send(axum::http::Method::GET, path, headers, "").await.unwrap()
}

/// Posts as the bearer of a token, under a new idempotency key.
pub async fn post(client: &Client, token: &str, path: &str, body: &Value) -> Answer {
    let (bearer, key) = (format!("Bearer {token}"), Uuid::new_v4().to_string());
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", &key),
        ("authorization", &bearer),
    ];
    let headers = if token.is_empty() { &headers[..2] } else { &headers[..] };
    client.post(path, headers, body).await.unwrap()
}
