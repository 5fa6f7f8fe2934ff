//! `mix`: whole lives of orders through the bookstore API, one session a connection.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{Setting, load::Talk, place::echoed, process::Process, report::Figure, shop::call};
use crate::client::Client;

/// Measures calls, of which an order takes three or four.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting) -> anyhow::Result<()> {
    let data = setting.folder.join("data");
    let docket = Process::docket(&data)?;
    let echo = Process::echo()?;
    let client = Client::new(format!("http://{}", docket.address));
    let most = setting.connections.iter().copied().max().unwrap_or(1);
    let mut names = Vec::new();
    for n in 0..most {
        setting.say(&format!("{n} of {most} accounts opened"));
        names.push(Till::open(&client, n).await?);
    }
    for connections in setting.connections.iter().copied() {
        let tills = names.iter().take(connections).map(|(name, token)| Till::of(name, token));
        let all = echoed(setting, &echo, connections, setting.plan()).await?;
        let (measured, tills) =
            setting.load("mix", docket.address, tills.collect(), setting.plan()).await?;
        let over: u64 = tills.iter().map(|till| till.over).sum();
        Figure::new(format!("mix/{connections}"), "calls/s", measured.rate(), all.rate())
            .timed(&measured, all.ms(0.99))
            .noted(format!("{over} orders cancelled or received, warming up included"))
            .print(setting.json)?;
    }
    docket.stop()
}

/// Somebody who sells in a store of their own and buys there too.
struct Till {
    name: String,
    token: String,
    order: String,
    step: Step,
    over: u64,
}

#[derive(Clone, Copy)]
enum Step {
    Order,
    Pay,
    Cancel,
    Ship,
    Receive,
}

impl Till {
    async fn open(client: &Client, n: usize) -> anyhow::Result<(String, String)> {
        let name = format!("till-{n}");
        let who = json!({ "user_id": name, "password": "correct horse", "terminal": "till" });
        let post = async |path: &str, token: &str, body: &Value| {
            let answer = client.post(path, &[("token", token)], body).await?;
            ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
            Ok(answer.body)
        };
        post("/auth/register", "", &who).await?;
        let session = post("/auth/login", "", &who).await?;
        let token = session["token"].as_str().context("a token")?.to_owned();
        let store = json!({ "user_id": name, "store_id": name });
        post("/seller/create_store", &token, &store).await?;
        let book = json!({ "user_id": name, "store_id": name, "stock_level": 1_000_000_000,
            "book_info": { "id": "b", "title": "B", "price": 3 } });
        post("/seller/add_book", &token, &book).await?;
        let funds = json!({ "user_id": name, "password": "correct horse",
            "add_value": 1_000_000_000 });
        post("/buyer/add_funds", &token, &funds).await?;
        Ok((name, token))
    }

    fn of(name: &str, token: &str) -> Self {
        let (name, token) = (name.to_owned(), token.to_owned());
        Self { name, token, order: String::new(), step: Step::Order, over: 0 }
    }
}

impl Talk for Till {
    fn ask(&mut self, out: &mut Vec<u8>) {
        let Self { name, token, order, .. } = self;
        let (path, body) = match self.step {
            Step::Order => (
                "/buyer/new_order",
                format!(
                    r#"{{"user_id":"{name}","store_id":"{name}","books":[{{"id":"b","count":2}}]}}"#
                ),
            ),
            Step::Pay => (
                "/buyer/payment",
                format!(
                    r#"{{"user_id":"{name}","password":"correct horse","order_id":"{order}"}}"#
                ),
            ),
            step => (
                match step {
                    Step::Cancel => "/buyer/cancel_order",
                    Step::Ship => "/seller/delivery_book",
                    _ => "/buyer/receive_book",
                },
                format!(r#"{{"user_id":"{name}","order_id":"{order}"}}"#),
            ),
        };
        call(out, "POST", path, &format!("token: {token}\r\n"), &body);
    }

    fn hear(&mut self, status: u16, body: &[u8]) -> anyhow::Result<bool> {
        ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(body));
        self.step = match self.step {
            Step::Order => {
                let answer: Value = serde_json::from_slice(body)?;
                self.order = answer["order_id"].as_str().context("an order")?.to_owned();
                Step::Pay
            }
            Step::Pay if self.over % 3 == 2 => Step::Cancel,
            Step::Pay => Step::Ship,
            Step::Ship => Step::Receive,
            Step::Cancel | Step::Receive => {
                self.over += 1;
                Step::Order
            }
        };
        Ok(true)
    }
}
