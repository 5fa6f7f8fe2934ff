//! What Sam and Ann do, as calls of both faces.

use anyhow::Context as _;
use axum::http::Method;
use serde_json::{Value, json};

use super::{Call, Demo};

/// Everybody's; nothing is kept.
const PASSWORD: &str = "correct horse";

impl<F: FnMut(&str)> Demo<F> {
    /// From the first account to the last question.
    pub(super) async fn life(&mut self, operator: &str) -> anyhow::Result<()> {
        let post = |path: &str, token: &str, body| v1(Method::POST, path, token, body);
        let [_, sam, own_sam] = self.somebody("Sam", "sam").await?;
        self.step(
            "Sam opens a store.",
            shop("/seller/create_store", &sam, json!({ "user_id": "sam", "store_id": "corner" })),
            post("/v1/stores", &own_sam, json!({ "store": "corner" })),
        )
        .await?;
        let book = json!({
            "user_id": "sam", "store_id": "corner", "stock_level": 5,
            "book_info": { "id": "b1", "title": "The Ledger", "price": 2500, "tags": ["novel"] },
        });
        let listing = json!({
            "sku": "b1", "title": "The Ledger", "quantity": 5, "tags": ["novel"],
            "price": { "minor": 2500, "currency": "CNY" },
        });
        self.step(
            "Sam puts five copies of a book on the shelf.",
            shop("/seller/add_book", &sam, book),
            post("/v1/stores/corner/listings", &own_sam, listing),
        )
        .await?;
        self.brief = true;
        let [ann_id, ann, own_ann] = self.somebody("Ann", "ann").await?;
        self.brief = false;
        let funds = json!({ "user_id": "ann", "password": PASSWORD, "add_value": 10_000 });
        let charge = json!({ "amount": { "minor": 10_000, "currency": "CNY" } });
        self.step(
            "Ann's wallet gets 100 yuan: the bookstore takes her word for it, /v1 an operator's.",
            shop("/buyer/add_funds", &ann, funds),
            post(&format!("/v1/accounts/{ann_id}/wallet"), operator, charge),
        )
        .await?;

        let books = json!([{ "id": "b1", "count": 2 }]);
        let order = json!({ "user_id": "ann", "store_id": "corner", "books": books });
        let own_order = json!({ "store": "corner", "lines": [{ "sku": "b1", "quantity": 2 }] });
        let [placed, own_placed] = self
            .step(
                "Ann orders two copies.",
                shop("/buyer/new_order", &ann, order),
                post("/v1/orders", &own_ann, own_order),
            )
            .await?;
        let (order, own_order) = (text(&placed, "order_id")?, text(&own_placed, "id")?);
        let own_path = format!("/v1/orders/{own_order}");
        let own_step =
            |command: &str, token| post(&format!("{own_path}/{command}"), token, Value::Null);
        let payment = json!({ "user_id": "ann", "password": PASSWORD, "order_id": order });
        self.step("Ann pays.", shop("/buyer/payment", &ann, payment), own_step("pay", &own_ann))
            .await?;
        let step = |name: &str| json!({ "user_id": name, "order_id": order });
        self.step(
            "Sam ships.",
            shop("/seller/deliver_book", &sam, step("sam")),
            own_step("ship", &own_sam),
        )
        .await?;
        self.step(
            "Ann has received the books.",
            shop("/buyer/receive_book", &ann, step("ann")),
            own_step("receive", &own_ann),
        )
        .await?;
        self.step(
            "What is the order like now?",
            shop("/buyer/query_order_detail", &ann, json!({ "order_id": order })),
            v1(Method::GET, own_path.as_str(), &own_ann, Value::Null),
        )
        .await?;
        self.end()
    }

    /// Opens an account and a session through each face; gives the id that `/v1` has made, and both
    /// tokens.
    async fn somebody(&mut self, name: &str, login: &str) -> anyhow::Result<[String; 3]> {
        let who = json!({ "user_id": login, "password": PASSWORD });
        let own = json!({ "login": login, "password": PASSWORD });
        let post = |path: &str| v1(Method::POST, path, "", own.clone());
        let about = format!("{name} opens an account.");
        let [_, made] =
            self.step(&about, shop("/auth/register", "", who), post("/v1/accounts")).await?;
        let who = json!({ "user_id": login, "password": PASSWORD, "terminal": "demo" });
        let about = format!("{name} logs in.");
        let sessions =
            self.step(&about, shop("/auth/login", "", who), post("/v1/sessions")).await?;
        let [token, own_token] = [text(&sessions[0], "token")?, text(&sessions[1], "token")?];
        Ok([text(&made, "account")?, token, own_token])
    }
}

/// A call of the bookstore's API.
fn shop(path: &str, token: &str, body: Value) -> Call {
    Call { method: Method::POST, path: path.to_owned(), header: ("token", token.to_owned()), body }
}

/// A call of docket's own API; no body where it is null.
fn v1(method: Method, path: impl Into<String>, token: &str, body: Value) -> Call {
    Call { method, path: path.into(), header: ("authorization", format!("Bearer {token}")), body }
}

/// A text that an answer must have.
fn text(answer: &Value, name: &str) -> anyhow::Result<String> {
    let text = answer[name].as_str().with_context(|| format!("an answer has no {name}"))?;
    Ok(text.to_owned())
}
