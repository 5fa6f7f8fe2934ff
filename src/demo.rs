//! `docket demo`: one order's whole life through the bookstore API, against a docket in this very
//! process, each call printed with what it made fact.

use std::{fmt::Write as _, path::Path, sync::Arc};

use anyhow::{Context as _, ensure};
use events::{CommitNumber, Event, MoneyMove, Recorded, StockMove, StockWord};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    client::Client,
    config::Config,
    journal::Journal,
    node::{self, Parts},
};

/// How wide JSON is shown, its indent aside.
const WIDTH: usize = 90;

/// Runs the demo on a folder that nobody else uses, and writes what happens line by line.
pub async fn run(folder: &Path, mut line: impl FnMut(&str)) -> anyhow::Result<()> {
    let flags = [("data", folder.display().to_string())];
    let config = Config::resolve(&flags, None, [])?;
    let node = node::start(&config, Parts::default()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    let base = format!("http://{}", listener.local_addr()?);
    let journal = Arc::clone(&node.journal);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await; // Dropped when the demo breaks off: an end as well.
        };
        node.serve(listener, &config, stopped).await
    });
    line(&format!(
        "A docket of its own serves the bookstore API at {base}. Each call is shown with"
    ));
    line(
        "its answer and with what it made fact: the event's position in the journal, its kind, the",
    );
    line("order's phase before and after, the stock and the money it moved.\n");
    let mut demo = Demo { client: Client::new(base), journal, seen: CommitNumber(0), line };
    demo.seen = demo.journal.head().borrow().number;
    let outcome = demo.life().await;
    let _ = stop.send(()); // It may have ended by itself; the join below tells.
    serving.await.context("the server")?;
    outcome
}

struct Demo<F> {
    client: Client,
    journal: Arc<dyn Journal>,
    seen: CommitNumber,
    line: F,
}

impl<F: FnMut(&str)> Demo<F> {
    async fn life(&mut self) -> anyhow::Result<()> {
        let who = |name: &str| json!({ "user_id": name, "password": "correct horse" });
        let login = |name: &str| json!({ "user_id": name, "password": "correct horse", "terminal": "demo" });
        self.call("Sam opens an account.", "/auth/register", "", who("sam")).await?;
        let sam = self.call("Sam logs in.", "/auth/login", "", login("sam")).await?;
        let sam = sam["token"].as_str().unwrap_or_default().to_owned();
        let store = json!({ "user_id": "sam", "store_id": "corner" });
        self.call("Sam opens a store.", "/seller/create_store", &sam, store).await?;
        let book = json!({
            "user_id": "sam", "store_id": "corner", "stock_level": 5,
            "book_info": { "id": "b1", "title": "The Ledger", "price": 2500, "tags": ["novel"] },
        });
        self.call("Sam puts five copies of a book on the shelf.", "/seller/add_book", &sam, book)
            .await?;
        self.call("Ann opens an account.", "/auth/register", "", who("ann")).await?;
        let ann = self.call("Ann logs in.", "/auth/login", "", login("ann")).await?;
        let ann = ann["token"].as_str().unwrap_or_default().to_owned();
        let funds = json!({ "user_id": "ann", "password": "correct horse", "add_value": 10_000 });
        self.call("Ann puts 100 yuan into her wallet.", "/buyer/add_funds", &ann, funds).await?;
        let order = json!({
            "user_id": "ann", "store_id": "corner", "books": [{ "id": "b1", "count": 2 }],
        });
        let placed = self.call("Ann orders two copies.", "/buyer/new_order", &ann, order).await?;
        let order = placed["order_id"].as_str().unwrap_or_default().to_owned();
        let payment = json!({ "user_id": "ann", "password": "correct horse", "order_id": order });
        self.call("Ann pays.", "/buyer/payment", &ann, payment).await?;
        let step = |name: &str| json!({ "user_id": name, "order_id": order });
        self.call("Sam ships.", "/seller/deliver_book", &sam, step("sam")).await?;
        self.call("Ann has received the books.", "/buyer/receive_book", &ann, step("ann")).await?;
        let detail = json!({ "order_id": order });
        self.call("What is the order like now?", "/buyer/query_order_detail", &ann, detail).await?;
        let commits = self.journal.head().borrow().number;
        (self.line)(&format!(
            "Every step above is in the journal, {commits} commits, each chained to the one before. This"
        ));
        (self.line)("docket and its folder are gone now; `docket` alone serves one that stays.");
        Ok(())
    }

    async fn call(
        &mut self,
        about: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> anyhow::Result<Value> {
        (self.line)(about);
        (self.line)(&format!("  POST {path}"));
        (self.line)(&format!("       {}", shown(&body)));
        let answer = self.client.post(path, &[("token", token)], &body).await?;
        (self.line)(&format!("  {}  {}", answer.status.as_u16(), shown(&answer.body)));
        ensure!(answer.status.is_success(), "{path} was refused");
        for fact in self.facts().await? {
            (self.line)(&format!("       {fact}"));
        }
        (self.line)("");
        Ok(answer.body)
    }

    /// What the journal has that was not told yet.
    async fn facts(&mut self) -> anyhow::Result<Vec<String>> {
        let (journal, seen) = (Arc::clone(&self.journal), self.seen);
        let commits = tokio::task::spawn_blocking(move || journal.read(seen, 1000)).await??;
        let mut facts = Vec::new();
        for commit in commits {
            self.seen = commit.number;
            for envelope in commit.contents()?.into_iter().flat_map(|(_, envelopes)| envelopes) {
                facts.push(told(&Recorded::decode(&envelope)?));
            }
        }
        Ok(facts)
    }
}

/// Secrets are not for the screen, and ids are long.
fn shown(body: &Value) -> String {
    let mut body = body.clone();
    for secret in ["password", "token"] {
        if let Some(value) = body.get_mut(secret) {
            *value = "…".into();
        }
    }
    let mut text = String::new();
    let mut width = 0;
    for part in body.to_string().split_inclusive(',') {
        if width > 0 && width + part.len() > WIDTH {
            text.push_str("\n        ");
            width = 0;
        }
        text.push_str(part);
        width += part.len();
    }
    text
}

fn told(recorded: &Recorded) -> String {
    let mut text = format!("#{} {}", recorded.position, recorded.event.kind());
    let effect = match &recorded.event {
        Event::OrderPlaced(it) => Some(&it.effect),
        event => event.as_step().map(|step| &step.effect),
    };
    let (money, stock): (&[MoneyMove], &[StockMove]) = match (&recorded.event, effect) {
        (Event::WalletCharged(it), _) => (std::slice::from_ref(&it.money), &[]),
        (_, Some(effect)) => (&effect.money, &effect.stock),
        _ => (&[], &[]),
    };
    if let Some(effect) = effect {
        match effect.from {
            Some(from) => write!(text, ": {from:?} → {:?}", effect.to),
            None => write!(text, ": → {:?}", effect.to),
        }
        .expect("a String takes everything");
    }
    for it in stock {
        for line in &it.lines {
            write!(text, "; {} {} × {}", word(it.word), line.quantity, line.sku)
                .expect("a String takes everything");
        }
    }
    for it in money {
        let pot = |pot: events::Pot| pot.to_string().split('/').next().unwrap_or("").to_owned();
        write!(text, "; {} from {} to {}", it.amount, pot(it.from), pot(it.to))
            .expect("a String takes everything");
    }
    text
}

/// Which way stock goes, as a life cycle writes it.
fn word(word: StockWord) -> &'static str {
    match word {
        StockWord::Reserve => "reserve",
        StockWord::Consume => "consume",
        StockWord::Return => "return",
    }
}
