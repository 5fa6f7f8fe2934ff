//! `docket cluster`: how the nodes are, and that all of them read newer events.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use events::{Channel, CommandId, NodeName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    cluster,
    config::Config,
    domain::{Action, Caller, Command},
    engine::{self, Request},
    inner::{Peer, PeerOptions, Peers, Signer},
    journal::kafka::{reach, told},
    node::{self, NodeStatus},
};

/// How long the brokers may take to say who is there.
const SEATS_WITHIN: Duration = Duration::from_secs(10);
/// How long the node that writes may take for an upgrade.
const UPGRADE_WITHIN: Duration = Duration::from_secs(10);

/// About several nodes that are one docket.
#[derive(Subcommand)]
pub enum ClusterTask {
    /// Ask every node how it is: who writes, how far each has come, how far its views are behind.
    Status {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Let events of a newer level be written, once every node runs a docket that reads them.
    Upgrade {
        /// The level [default: the newest that every node reads]
        #[arg(long)]
        level: Option<u32>,
    },
}

/// The nodes that have a seat, as each tells of itself.
struct Nodes {
    prefix: String,
    all: Vec<(Peer, Result<NodeStatus, String>)>,
}

/// Asks the nodes that the settings say how to find, and gives what is to be printed.
///
/// # Errors
/// When a setting is missing, no broker answers, or an upgrade is not to be.
pub async fn run(task: ClusterTask, config: &Config) -> anyhow::Result<String> {
    let nodes = Nodes::ask(config).await?;
    match task {
        ClusterTask::Status { json: true } => Ok(format!("{:#}", nodes.as_json())),
        ClusterTask::Status { json: false } => Ok(nodes.told()),
        ClusterTask::Upgrade { level } => nodes.upgrade(level).await,
    }
}

impl Nodes {
    async fn ask(config: &Config) -> anyhow::Result<Self> {
        let site = node::kafka_options(config)?;
        let name = NodeName::new(format!("docket-cluster-{}", std::process::id()));
        let clock = engine::Options::default().clock;
        let signer = Signer::new(node::cluster_secret(config)?, name.expect("it is short"), clock);
        let peers = Peers::new(signer, PeerOptions::default());
        let (client, prefix) = (site.client(), site.prefix.clone());
        let asked = prefix.clone();
        let seats = move || {
            reach(&site, SEATS_WITHIN)?;
            cluster::seats(&client, &asked, SEATS_WITHIN).map_err(|error| {
                anyhow::anyhow!("{} does not say who is there: {}", site.brokers, told(&error))
            })
        };
        let seats = tokio::task::spawn_blocking(seats).await??;
        let mut asking = Vec::new();
        for seat in seats {
            let peer = peers.at(seat.as_str())?;
            asking.push(tokio::spawn(async move {
                let told = peer.status().await.map_err(|failure| failure.to_string());
                let read = |it| serde_json::from_value(it).map_err(|error| error.to_string());
                let status = told.and_then(read);
                (peer, status)
            }));
        }
        let mut all = Vec::new();
        for asked in asking {
            all.push(asked.await?);
        }
        Ok(Self { prefix, all })
    }

    fn reached(&self) -> impl Iterator<Item = (&Peer, &NodeStatus)> {
        self.all.iter().filter_map(|(peer, status)| Some((peer, status.as_ref().ok()?)))
    }

    fn writer(&self) -> Option<(&Peer, &NodeStatus)> {
        self.reached().find(|(_, status)| status.writes)
    }

    fn as_json(&self) -> Value {
        let node = |(peer, status): &(Peer, Result<NodeStatus, String>)| match status {
            Ok(status) => json!(status),
            Err(error) => json!({ "address": peer.address(), "error": error }),
        };
        json!({
            "prefix": self.prefix,
            "writer": self.writer().map(|(_, status)| &status.node),
            "nodes": self.all.iter().map(node).collect::<Vec<_>>(),
        })
    }

    fn told(&self) -> String {
        if self.all.is_empty() {
            return format!("no node is there: nobody stands for {}.writer", self.prefix);
        }
        let newest = self.reached().map(|(_, it)| it.position.0).max().unwrap_or(0);
        let first = match self.writer() {
            Some((_, it)) => format!(
                "{} writes, in epoch {}; the newest event is {newest}, of commit {}",
                it.node, it.epoch, it.commit
            ),
            None => format!("nobody writes; the newest event is {newest}"),
        };
        let head =
            ["NODE", "ADDRESS", "ROLE", "POSITION", "BEHIND", "VIEWS BEHIND", "FENCED", "LEVEL"];
        let mut rows = vec![head.map(str::to_owned)];
        let mut troubles = Vec::new();
        for (peer, status) in &self.all {
            let address = peer.address().to_string();
            let row = match status {
                Ok(it) => {
                    let broken = it.views.iter().filter_map(|view| {
                        let error = view.error.as_ref()?;
                        Some(format!("{}: view {}: {error}", it.node, view.name))
                    });
                    troubles.extend(broken);
                    [
                        it.node.to_string(),
                        address,
                        if it.writes { "writer" } else { "standby" }.to_owned(),
                        it.position.to_string(),
                        (newest - it.position.0).to_string(),
                        it.views.iter().map(|view| view.lag_events).max().unwrap_or(0).to_string(),
                        it.fenced_commits.to_string(),
                        format!("{} of {}", it.level, it.reads_level),
                    ]
                }
                Err(error) => {
                    troubles.push(format!("{address}: {error}"));
                    let unknown = || "-".to_owned();
                    let role = "silent".to_owned();
                    [unknown(), address, role]
                        .into_iter()
                        .chain(std::iter::repeat_with(unknown))
                        .take(8)
                        .collect::<Vec<_>>()
                        .try_into()
                        .expect("there are eight")
                }
            };
            rows.push(row);
        }
        let width = |n: usize| rows.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..head.len()).map(width).collect();
        let line = |row: &[String; 8]| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let lines = [first, String::new()].into_iter().chain(rows.iter().map(line)).chain(troubles);
        lines.collect::<Vec<_>>().join("\n")
    }

    async fn upgrade(&self, level: Option<u32>) -> anyhow::Result<String> {
        for (peer, status) in &self.all {
            if let Err(error) = status {
                bail!("what {} reads is not known, so nothing is changed: {error}", peer.address());
            }
        }
        let reads = self.reached().map(|(_, it)| it.reads_level).min();
        let reads = reads.context("no node is there; start them first")?;
        let level = level.unwrap_or(reads);
        if let Some((_, it)) = self.reached().find(|(_, it)| it.reads_level < level) {
            bail!(
                "{} runs docket {}, which reads events up to level {}, not {level}: bring it to a \
                 newer version first",
                it.node,
                it.version,
                it.reads_level
            );
        }
        let (writer, status) = self.writer().context("nobody writes at the moment; try again")?;
        if level <= status.level {
            ensure!(level == status.level, "level {} is in force, and stays", status.level);
            return Ok(format!("every node reads level {reads}, and level {level} is in force"));
        }
        let request = Request::new(Command {
            id: CommandId(Uuid::now_v7()),
            channel: Channel::new("site").expect("it is short"),
            caller: Caller::System,
            action: Action::UpgradeCluster { level },
        });
        writer.submit(&request, UPGRADE_WITHIN).await??;
        Ok(format!("events of level {level} are written from now on"))
    }
}
