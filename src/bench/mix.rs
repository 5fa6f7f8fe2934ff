//! `mix`: whole lives of orders through the bookstore API, one session a connection.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::{
    Setting, load::Talk, options::Load, place::echoed, process::Process, report::Figure, shop::call,
};
use crate::client::Client;

/// Measures calls, of which an order takes three or four.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, load: &Load) -> anyhow::Result<()> {
    let data = setting.folder.join("data");
    let docket = Process::docket(&setting.folder, &data).await?;
    let echo = Process::echo(&setting.folder).await?;
    let client = Client::new(format!("http://{}", docket.address));
    let most = load.most();
    setting.say(&format!("{most} sellers open accounts and stores"));
    let mut names = Vec::new();
    for n in 0..most {
        setting.tick(&format!("{n} of {most} accounts opened"));
        names.push(Till::open(&client, n).await?);
    }
    let plan = load.plan(10);
    for connections in load.connections.iter().copied() {
        let tills = names.iter().take(connections).map(|(name, token)| Till::of(name, token));
        let all = echoed(setting, &echo, connections, plan).await?;
        let (measured, tills) = setting.load("mix", docket.address, tills.collect(), plan).await?;
        let over: u64 = tills.iter().map(|till| till.over).sum();
        let name = format!("mix/{connections}");
        let figure = Figure::new(name, "calls/s", measured.rate(), all.rate())
            .timed(&measured.latencies, all.latencies.ms(0.99))
            .noted(format!("{over} orders cancelled or received, warming up included"));
        setting.print(&figure)?;
    }
    docket.stop().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_cancelled_and_the_rest_received() {
        let mut till = Till::of("till-0", "token-0");
        let mut calls = Vec::new();
        for _ in 0..22 {
            let mut out = Vec::new();
            till.ask(&mut out);
            let request = String::from_utf8(out).unwrap();
            assert!(request.contains("\r\ntoken: token-0\r\n"), "{request}");
            let path = request.split(' ').nth(1).unwrap().to_owned();
            assert_eq!(request.contains("\"order-7\""), path != "/buyer/new_order", "{request}");
            calls.push(path.rsplit('/').next().unwrap().to_owned());
            assert!(till.hear(200, br#"{"message":"ok","order_id":"order-7"}"#).unwrap());
        }
        let received = ["new_order", "payment", "delivery_book", "receive_book"];
        let cancelled = ["new_order", "payment", "cancel_order"];
        let three = [&received[..], &received, &cancelled].concat();
        assert_eq!(calls, [&three[..], &three].concat());
        assert_eq!(till.over, 6);
    }

    #[test]
    fn a_refusal_is_an_error() {
        let mut till = Till::of("till-0", "token-0");
        till.ask(&mut Vec::new());
        let refused = till.hear(517, br#"{"message":"stock level low"}"#).unwrap_err();
        assert!(
            refused.to_string().contains("517: {\"message\":\"stock level low\"}"),
            "{refused}"
        );
        assert_eq!(till.over, 0);
    }
}
