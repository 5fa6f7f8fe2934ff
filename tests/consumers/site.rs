//! A docket whose journal is on Kafka, and that publishes.

use std::{path::Path, time::Instant};

use axum::http::Method;
use docket::client::Client;
use events::publish::PARTITIONS;
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    PATIENCE,
    support::{Process, folder, kafka},
};

/// A docket of its own, under a prefix of its own.
pub struct Site {
    pub brokers: String,
    pub prefix: String,
    /// The operator's token.
    pub operator: String,
    docket: Process,
    folder: TempDir,
}

impl Site {
    /// Starts it on the shared broker, and waits until it takes orders.
    pub async fn start() -> Self {
        let (folder, data) = folder();
        let (brokers, prefix) = (kafka::bootstrap(), kafka::prefix());
        let operator = format!("{0}{0}", Uuid::new_v4().simple());
        let blobs = folder.path().join("blobs").display().to_string();
        let docket = Process::start(
            &data,
            &[
                ("DOCKET_JOURNAL", "kafka"),
                ("DOCKET_BROKERS", &brokers),
                ("DOCKET_TOPIC_PREFIX", &prefix),
                ("DOCKET_REPLICATION", "1"),
                ("DOCKET_INNER_LISTEN", "127.0.0.1:0"),
                ("DOCKET_CLUSTER_SECRET", &operator),
                ("DOCKET_MASTER_KEY", &operator),
                ("DOCKET_OPERATOR_TOKEN", &operator),
                ("DOCKET_BLOBS", &blobs),
            ],
        );
        let it = Self { brokers, prefix, operator, docket, folder };
        it.until("does not write", async || it.measured("docket_node_writes").await == 1).await;
        it
    }

    /// Where it answers: `http://127.0.0.1:…`.
    pub fn base(&self) -> &str {
        &self.docket.base
    }

    /// Speaks to it.
    pub fn client(&self) -> Client {
        self.docket.client()
    }

    /// A folder for whoever reads.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until everything is in the public topics that is recorded now.
    pub async fn published(&self) {
        let recorded = self.measured("docket_commit_number").await;
        assert!(recorded > 0);
        self.until("does not publish", async || {
            self.measured("docket_published_commit_number").await >= recorded
        })
        .await;
    }

    /// A metric that is a whole number.
    async fn measured(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("there is no {name}: {text}")).parse().unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client().send(Method::GET, path, &[], "").await.unwrap();
        (answer.status.as_u16(), String::from_utf8(answer.bytes.to_vec()).unwrap())
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            let late = begun.elapsed() > PATIENCE;
            assert!(!late, "docket {what}; its log:\n{}", self.docket.log());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Writes into each partition of the payments what nobody may count: types that are not known,
    /// fields that are not known of money that comes and goes, and, in a transaction that is given up,
    /// money for a store.
    pub async fn strange_records(&self, channel: &str, store: &str) {
        let id = format!("{}.stranger", self.prefix);
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", id);
        let writer: FutureProducer = config.create().unwrap();
        tokio::task::block_in_place(|| writer.init_transactions(PATIENCE).unwrap());
        let money = |order: Uuid, kind: &str| {
            let value = json!({
                "channel": channel, "store": store, "order": order, "from": "outside",
                "to": format!("order/{order}"), "mood": "good",
                "amount": { "minor": 1, "currency": "CNY", "mood": 1 },
            });
            (format!("docket.payment.{kind}"), value)
        };
        for counts in [true, false] {
            writer.begin_transaction().unwrap();
            for partition in 0..PARTITIONS as i32 {
                let order = Uuid::now_v7();
                let records = match counts {
                    true => vec![
                        ("docket.payment.held.v2".to_owned(), json!("what is to come")),
                        ("docket.payment.framed.v1".to_owned(), json!([])),
                        money(order, "held.v1"),
                        money(order, "refunded.v1"),
                    ],
                    false => vec![money(order, "held.v1")],
                };
                for (n, (kind, value)) in (0..).zip(records) {
                    self.write(&writer, partition, &kind, n, &value.to_string()).await;
                }
            }
            tokio::task::block_in_place(|| match counts {
                true => writer.commit_transaction(PATIENCE).unwrap(),
                false => writer.abort_transaction(PATIENCE).unwrap(),
            });
        }
    }

    async fn write(&self, to: &FutureProducer, partition: i32, kind: &str, n: u64, value: &str) {
        let position = 1_000_000 + u64::try_from(partition).unwrap();
        let (id, sequence) = (format!("{position}.{n}"), format!("{position:020}.{n:06}"));
        let headers = [
            ("ce_specversion", "1.0"),
            ("ce_mood", "good"),
            ("ce_id", &id),
            ("ce_source", "/docket/native"),
            ("ce_type", kind),
            ("ce_subject", "order/strange"),
            ("ce_time", "2026-01-01T00:00:00.000Z"),
            ("ce_sequence", &sequence),
            ("content-type", "application/json"),
        ];
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let topic = events::Topic::Payments.address(&self.prefix);
        let record = FutureRecord::to(&topic).partition(partition).key("order/strange");
        to.send(record.payload(value).headers(headers), PATIENCE).await.unwrap();
    }
}
