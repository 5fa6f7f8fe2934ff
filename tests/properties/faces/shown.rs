//! What both faces show, held against the model and so against one another.

use std::collections::{BTreeMap, BTreeSet};

use docket::engine;
use serde_json::{Value, json};

use super::{
    super::{books::Books, judge::ended, law::CHANNELS, site::decisions, talk::Town},
    Site,
    asked::{Ask, Caller, NAMES, name, thing},
    model::{Order, cny, state},
};
use crate::support::Answer;

impl Site {
    /// Reads everything through every face that has it.
    pub async fn shows_the_model(&self) {
        for (side, channel) in CHANNELS.iter().enumerate().take(2) {
            self.shows_orders(side, channel).await;
            self.shows_people(side, channel).await;
            self.shows_stock(side, channel).await;
        }
        for order in &self.model.orders {
            self.shows_order(order).await;
        }
        self.keeps_the_books();
    }

    /// Lists and counts of a channel, page by page.
    async fn shows_orders(&self, side: usize, channel: &str) {
        let operator = &self.town.operator;
        let orders = || self.model.orders.iter().filter(|it| it.side == side);
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/orders?channel={channel}&limit=4{cursor}");
            let page = self.town.get(&path, operator).await;
            listed.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let newest_first =
            |one: &Value, other: &Value| one["placed_at"].as_i64() >= other["placed_at"].as_i64();
        assert!(listed.is_sorted_by(newest_first), "{listed:?}");
        let by_id: BTreeMap<_, _> =
            listed.iter().map(|it| (it["id"].as_str().unwrap(), it)).collect();
        assert_eq!((by_id.len(), listed.len()), (orders().count(), orders().count()));
        for order in orders() {
            let row = json!({
                "id": order.id, "number": order.id, "buyer": self.ids[side][order.buyer],
                "store": name(order.store), "placed_at": order.placed_at,
                "phase": format!("{:?}", order.phase), "total": cny(order.total),
                "lines": order.lines.len(), "items": order.lines.iter().map(|it| it.1).sum::<i64>(),
            });
            assert_eq!(by_id[order.id.as_str()], &row);
        }
        let path = format!("/v1/orders/counts?channel={channel}");
        let counts = self.town.get(&path, operator).await;
        assert_eq!(counts, counted(orders()), "{channel}");
    }

    /// What each account sees of its own, as buyer and as seller.
    async fn shows_people(&self, side: usize, channel: &str) {
        for (n, who) in NAMES.iter().enumerate() {
            let (token, id) = (&self.tokens[side][n], &self.ids[side][n]);
            let model = &self.model.sides[side];
            let Some(has) = model.wallets[n] else {
                self.is_gone(side, n, channel).await;
                continue;
            };
            let own = || self.model.orders.iter().filter(|it| it.side == side && it.buyer == n);
            let wallet = self.town.get("/v1/wallet", token).await;
            assert_eq!(wallet["balances"], json!([cny(has)]), "{who} of {channel}");
            let path = format!("/v1/accounts/{id}/wallet");
            assert_eq!(self.town.get(&path, &self.auditor).await, wallet);
            let listed = self.town.get("/v1/orders?limit=200", token).await;
            assert_eq!(ids(&listed["items"]), own().map(|it| it.id.clone()).collect());
            assert_eq!(self.town.get("/v1/orders/counts", token).await, counted(own()));
            for (store, it) in &model.stores {
                let path = format!("/v1/orders/counts?store={}", name(*store));
                if it.owner == n {
                    let sold = self.model.orders.iter();
                    let sold = sold.filter(|it| it.side == side && it.store == *store);
                    assert_eq!(self.town.get(&path, token).await, counted(sold));
                } else {
                    self.town.refused(403, &format!("GET {path}"), token, Value::Null).await;
                }
            }
            if side == 0 {
                let body = json!({ "user_id": who });
                let answer = self.town.shop.post("/buyer/query_order", token, body).await;
                let open = own().filter(|it| state(it.phase) != -1).map(|it| it.id.clone());
                assert_eq!(ids(&answer.body["order_list"]), open.collect(), "{answer:?}");
                for para in -1..4 {
                    let body = json!({ "user_id": who, "para": para });
                    let answer = self.town.shop.post("/buyer/query_order_para", token, body).await;
                    let wanted = own().filter(|it| state(it.phase) == para);
                    let wanted = wanted.map(|it| it.id.clone()).collect();
                    assert_eq!(ids(&answer.body["order_list"]), wanted, "{answer:?}");
                }
            }
        }
    }

    /// An account that left is nobody, and one that is forgotten has no name.
    async fn is_gone(&self, side: usize, n: usize, channel: &str) {
        let (token, id) = (&self.tokens[side][n], &self.ids[side][n]);
        self.town.refused(401, "GET /v1/wallet", token, Value::Null).await;
        let body = json!({ "user_id": NAMES[n] });
        let answer = self.town.shop.post("/buyer/query_order", token, body).await;
        assert_eq!(answer.code, 401, "{answer:?}");
        let path = format!("/v1/accounts/{id}?channel={channel}");
        let seen = self.town.get(&path, &self.auditor).await;
        let erased = self.model.sides[side].forgotten.contains(&n);
        let login = if erased { "erased" } else { NAMES[n] };
        assert_eq!((&seen["login"], &seen["erased"]), (&json!(login), &json!(erased)));
        assert_eq!(seen["open"], false);
    }

    async fn shows_stock(&self, side: usize, channel: &str) {
        let reader = (0..NAMES.len()).find(|n| self.model.sides[side].wallets[*n].is_some());
        for (store, it) in &self.model.sides[side].stores {
            let path = format!("/v1/stores/{}/listings?channel={channel}", name(*store));
            let listed = self.town.get(&path, &self.staff).await;
            let shown = listed["items"].as_array().unwrap().iter().map(|it| {
                (
                    it["sku"].clone(),
                    it["shelf"].clone(),
                    it["reserved"].clone(),
                    it["price"].clone(),
                )
            });
            let known = it.listings.iter().map(|(sku, it)| {
                (json!(thing(*sku)), json!(it.shelf), json!(it.reserved), cny(it.price))
            });
            assert_eq!(shown.collect::<Vec<_>>(), known.collect::<Vec<_>>(), "{channel} {store}");
            if let Some(reader) = reader.filter(|_| side == 0) {
                let body = json!({ "store_id": name(*store), "query": "" });
                let token = &self.tokens[side][reader];
                let answer = self.town.shop.post("/buyer/search_book_store", token, body).await;
                let shown = answer.body["book_list"].as_array().unwrap().iter();
                let shown = shown.map(|it| (it["book_id"].clone(), it["stock_level"].clone()));
                let known = it.listings.iter();
                let known = known.map(|(sku, it)| (json!(thing(*sku)), json!(it.shelf)));
                assert_eq!(shown.collect::<Vec<_>>(), known.collect::<Vec<_>>(), "{answer:?}");
            }
        }
    }

    /// One order, to its buyer and its seller through every face, and to nobody else.
    async fn shows_order(&self, order: &Order) {
        let Order { id, side, buyer, .. } = order;
        let path = format!("/v1/orders/{id}");
        let shown = self.town.get(&path, &self.auditor).await;
        let deadlines: BTreeMap<_, _> = order.deadlines.iter().collect();
        for (field, value) in [
            ("channel", json!(CHANNELS[*side])),
            ("buyer", json!(self.ids[*side][*buyer])),
            ("store", json!(name(order.store))),
            ("placed_at", json!(order.placed_at)),
            ("phase", json!(format!("{:?}", order.phase))),
            ("total", cny(order.total)),
            ("held", cny(order.held)),
            ("refunded", cny(order.refunded)),
            ("released", cny(order.released)),
            ("deadlines", json!(deadlines)),
            ("lifecycle", json!(1)),
        ] {
            assert_eq!(shown[field], value, "{field} of {order:?}");
        }
        let lines = order.lines.iter().map(|(sku, count, price)| {
            let (price, amount) = (cny(*price), cny(price * count));
            json!({ "sku": thing(*sku), "quantity": count, "price": price, "amount": amount })
        });
        assert_eq!(shown["lines"], json!(lines.collect::<Vec<_>>()));
        let history = self.town.get(&format!("{path}/history"), &self.auditor).await;
        let kinds = history["items"].as_array().unwrap().iter().map(|it| it["kind"].clone());
        assert_eq!(kinds.collect::<Vec<_>>(), order.history);

        let owner = self.model.sides[*side].stores[&order.store].owner;
        for of in 0..2 {
            for (n, who) in NAMES.iter().enumerate() {
                if self.model.sides[of].wallets[n].is_none() {
                    continue;
                }
                let token = &self.tokens[of][n];
                let is_party = of == *side && (n == *buyer || n == owner);
                let answer = self.town.call(&format!("GET {path}"), token, Value::Null).await;
                let told = if is_party { shown["phase"].clone() } else { Value::Null };
                assert_eq!((answer.code == 200, &answer.body["phase"]), (is_party, &told));
                let body = json!({ "user_id": who, "order_id": id });
                let answer =
                    self.town.shop.post("/buyer/query_order_state", token, body.clone()).await;
                if of == 0 && *side == 0 && n == *buyer {
                    assert_eq!(answer.body["order_state"], state(order.phase), "{answer:?}");
                    let answer =
                        self.town.shop.post("/buyer/query_order_detail", token, body).await;
                    let details = order.lines.iter().map(|(sku, count, price)| {
                        json!({
                            "order_id": id, "book_id": thing(*sku), "count": count, "price": price,
                            "state": state(order.phase), "store_id": name(order.store),
                            "create_time": order.placed_at / 1000,
                        })
                    });
                    let details = json!(details.collect::<Vec<_>>());
                    assert_eq!(answer.body["order_detail_list"], details);
                } else {
                    // Another's order, or another channel's, is none; another's token is no proof.
                    assert_eq!(answer.code, if of == 0 { 518 } else { 401 }, "{answer:?}");
                }
            }
        }
    }

    /// The journal continues itself, and what it says in events is what it comes to.
    fn keeps_the_books(&self) {
        let journal = self.town.shop.node.journal.as_ref();
        let (world, _) = engine::replay(journal).unwrap();
        let decisions = decisions(journal);
        Books::of(decisions.iter().flat_map(|(_, events)| events)).agree(&world);
        let accounts: usize = self
            .model
            .sides
            .iter()
            .map(|side| side.newcomers.len() + side.wallets.iter().flatten().count())
            .sum();
        let is_open = |phase| !ended(phase);
        let open = self.model.orders.iter().filter(|it| is_open(it.phase)).count();
        let known = world.orders.values().filter(|it| is_open(it.phase)).count();
        assert_eq!((known, world.accounts.len()), (open, accounts));
    }
}

/// What was acknowledged through one face is there for its caller through every face, whatever
/// else goes on.
pub async fn shows_at_once(town: &Town, ask: &Ask, token: &str, answer: &Answer) {
    let id = answer.body.get("id").unwrap_or(&answer.body["order_id"]).as_str().unwrap();
    let shown = town.get(&format!("/v1/orders/{id}"), token).await;
    assert_eq!((&shown["id"], &shown["phase"]), (&json!(id), &json!("AwaitingPayment")));
    if let (0, Caller::Person(_, n)) = (ask.side, ask.caller) {
        let body = json!({ "user_id": NAMES[n], "order_id": id });
        let shown = town.shop.post("/buyer/query_order_state", token, body).await;
        assert_eq!(shown.body["order_state"], 0, "{shown:?}");
    }
}

/// Ids of orders, each once.
fn ids(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().unwrap();
    let id = |it: &Value| it.get("id").unwrap_or(it).as_str().unwrap().to_owned();
    let ids: BTreeSet<_> = list.iter().map(id).collect();
    assert_eq!(ids.len(), list.len());
    ids
}

/// As `/v1/orders/counts` says it.
fn counted<'a>(orders: impl Iterator<Item = &'a Order>) -> Value {
    let mut phases: BTreeMap<String, u64> = BTreeMap::new();
    for order in orders {
        *phases.entry(format!("{:?}", order.phase)).or_default() += 1;
    }
    json!({ "total": phases.values().sum::<u64>(), "phases": phases })
}
