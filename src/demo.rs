//! `docket demo`: one order's whole life, twice: through the bookstore API and, step by step beside
//! it, through `/v1`. Both are calls to a docket in this very process, each printed with what it
//! made fact.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use axum::http::Method;
use events::{CommitNumber, Recorded};
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    client::Client,
    config::Config,
    journal::Journal,
    node::{self, Parts},
};

mod story;
mod told;

use told::{entry, fact, shown, without_ids};

const INTRODUCTION: &str = "\
Sam sells a book and Ann buys it, twice: through the bookstore's API, and through docket's own,
/v1. Each call is shown with its answer and with what it made fact: the event's position in the
journal, its kind, the order's phase before and after, the stock and the money it moved. Ids are
cut short, passwords and tokens left out. The bookstore's calls carry their token in the header
`token`, those of /v1 in `Authorization: Bearer`.";

/// Runs the demo on a folder that nobody else uses, and writes what happens line by line.
pub async fn run(folder: &Path, mut line: impl FnMut(&str)) -> anyhow::Result<()> {
    let flags = [("data", folder.display().to_string())];
    let config = Config::resolve(&flags, None, [])?;
    let node = node::start(&config, Parts::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    let base = format!("http://{}", listener.local_addr()?);
    let operator = fs::read_to_string(node::operator_token(folder)?)?.trim().to_owned();
    let journal = Arc::clone(&node.journal);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await; // Dropped when the demo breaks off: an end as well.
        };
        node.serve(listener, &config, stopped).await
    });
    line(&format!("A docket of its own serves at {base}."));
    line(&format!("{INTRODUCTION}\n"));
    let seen = journal.head().borrow().number;
    let mut demo = Demo {
        client: Client::new(base),
        journal,
        seen,
        lives: Default::default(),
        brief: false,
        line,
    };
    let outcome = demo.life(&operator).await;
    let _ = stop.send(()); // It may have ended by itself; the join below tells.
    serving.await.context("the server")?;
    outcome
}

struct Demo<F> {
    client: Client,
    journal: Arc<dyn Journal>,
    /// The newest commit that was told.
    seen: CommitNumber,
    /// What happened to the order of each face.
    lives: [Vec<Recorded>; 2],
    /// Whether bodies are left out, because the like was shown.
    brief: bool,
    line: F,
}

/// A call of one of the faces.
struct Call {
    method: Method,
    path: String,
    header: (&'static str, String),
    body: Value,
}

/// The names of the faces.
const FACES: [&str; 2] = ["bookstore", "/v1"];

impl<F: FnMut(&str)> Demo<F> {
    /// One step of the story, through both faces; gives their answers.
    async fn step(&mut self, about: &str, shop: Call, own: Call) -> anyhow::Result<[Value; 2]> {
        (self.line)(about);
        let answers = [self.call(0, shop).await?, self.call(1, own).await?];
        (self.line)("");
        Ok(answers)
    }

    async fn call(&mut self, face: usize, call: Call) -> anyhow::Result<Value> {
        let Call { method, path, header: (name, token), body } = call;
        let sent = if body.is_null() { String::new() } else { body.to_string() };
        let mut lines = format!("  {:<9}  {method} {}", FACES[face], without_ids(&path));
        if !sent.is_empty() && !self.brief {
            lines.push_str(&format!("\n             {}", shown(&body)));
        }
        let answer = self.client.send(method, &path, &[(name, &token)], sent).await?;
        ensure!(answer.status.is_success(), "{path} was refused: {}", shown(&answer.body));
        if !self.brief {
            let status = answer.status.as_u16();
            lines.push_str(&format!("\n        {status}  {}", shown(&answer.body)));
        }
        for recorded in self.recorded().await? {
            let before = if self.brief { "  " } else { "\n             " };
            lines.push_str(&format!("{before}{}", fact(&recorded)));
            if recorded.subject.as_order().is_some() {
                self.lives[face].push(recorded);
            }
        }
        (self.line)(&lines);
        Ok(answer.body)
    }

    /// What the journal has that was not told yet.
    async fn recorded(&mut self) -> anyhow::Result<Vec<Recorded>> {
        let (journal, seen) = (Arc::clone(&self.journal), self.seen);
        let commits = tokio::task::spawn_blocking(move || journal.read(seen, 1000)).await??;
        let mut recorded = Vec::new();
        for commit in commits {
            self.seen = commit.number;
            for envelope in commit.contents()?.into_iter().flat_map(|(_, envelopes)| envelopes) {
                recorded.push(Recorded::decode(&envelope)?);
            }
        }
        Ok(recorded)
    }

    /// Both lives beside each other.
    fn end(&mut self) -> anyhow::Result<()> {
        let kinds = self.lives.each_ref().map(|life| life.iter().map(|it| it.event.kind()));
        let [shop, own] = kinds;
        ensure!(shop.eq(own), "the two orders did not live the same life");
        (self.line)("Both orders, event by event:");
        (self.line)(&format!("  {:<24}{}", FACES[0], FACES[1]));
        for (shop, own) in self.lives[0].iter().zip(&self.lives[1]) {
            (self.line)(&format!("  {:<24}{}", entry(shop), entry(own)));
        }
        let commits = self.journal.head().borrow().number;
        (self.line)(&format!(
            "\nTwo faces, one engine: the same events in the same order, in one journal of {commits} commits,\n\
             each chained to the one before. This docket and its folder are gone now; `docket` alone\n\
             serves one that stays."
        ));
        Ok(())
    }
}
