//! What is asked for through one face or the other, as strategies make it up and as requests.

use docket::domain::lifecycle::Word;
use events::By;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{judge::ended, law::CHANNELS},
    model::{Model, PEOPLE, cny, law},
};

/// People of both channels, called alike.
pub const NAMES: [&str; PEOPLE] = ["ann", "sam", "eve"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// The bookstore API.
    Bookstore,
    /// `/v1`.
    Native,
}

/// Whose token comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// A channel's account.
    Person(usize, usize),
    Operator,
    Staff,
    Auditor,
    Nobody,
}

/// A request, all of it decided.
#[derive(Debug, Clone)]
pub struct Ask {
    pub face: Face,
    /// The channel it is about.
    pub side: usize,
    pub caller: Caller,
    pub what: What,
    /// Its idempotency key.
    pub key: Option<u8>,
}

#[derive(Debug, Clone)]
pub enum What {
    Register(u8),
    Leave(usize),
    Fund { whose: usize, minor: i64 },
    OpenStore { store: u8 },
    AddListing { store: u8, sku: u8, price: i64, quantity: i64 },
    AddStock { store: u8, sku: u8, quantity: i64 },
    Place(Order),
    Step { order: String, word: Word },
}

#[derive(Debug, Clone)]
pub struct Order {
    pub store: u8,
    pub lines: Vec<(u8, i64)>,
}

impl Order {
    /// Lines of one thing become one, at the place of the first.
    pub fn folded(&self) -> Vec<(u8, i64)> {
        let mut lines: Vec<(u8, i64)> = Vec::new();
        for (sku, count) in &self.lines {
            match lines.iter_mut().find(|(known, _)| known == sku) {
                Some((_, all)) => *all += count,
                None => lines.push((*sku, *count)),
            }
        }
        lines
    }
}

/// What is wanted; who asks and about which order is found when it is.
#[derive(Debug, Clone)]
pub struct Wish {
    pub native_face: bool,
    pub side: usize,
    pub who: Who,
    pub wanted: Wanted,
    pub key: Option<u8>,
}

#[derive(Debug, Clone, Copy)]
pub enum Who {
    /// Whoever may.
    Right,
    Person(usize),
    /// Of the same name in the other channel.
    Stranger,
    Operator,
    Staff,
    Auditor,
    Nobody,
}

#[derive(Debug, Clone)]
pub enum Wanted {
    What(What),
    /// What leads on from where an order is.
    Go {
        order: usize,
        nth: usize,
    },
    Step {
        order: usize,
        word: Word,
    },
}

pub fn wish() -> BoxedStrategy<Wish> {
    let who = prop_oneof![
        40 => Just(Who::Right),
        4 => (0..PEOPLE).prop_map(Who::Person),
        3 => Just(Who::Stranger),
        3 => Just(Who::Operator),
        1 => Just(Who::Staff),
        1 => Just(Who::Auditor),
        1 => Just(Who::Nobody),
    ];
    let key = prop::option::weighted(0.4, 0..3u8);
    (any::<bool>(), 0..2usize, who, wanted(), key)
        .prop_map(|(native_face, side, who, wanted, key)| Wish {
            native_face,
            side,
            who,
            wanted,
            key,
        })
        .boxed()
}

fn wanted() -> BoxedStrategy<Wanted> {
    let store = || prop_oneof![8 => Just(0), 3 => Just(1), 1 => Just(2)];
    let sku = || prop_oneof![6 => 0..2u8, 1 => Just(2)];
    let goods = (store(), sku(), 1..40i64, 1..9i64);
    let placed = (store(), prop::collection::vec((sku(), 1..4i64), 1..4));
    let what = prop_oneof![
        2 => (0..6u8).prop_map(What::Register),
        1 => (0..PEOPLE).prop_map(What::Leave),
        8 => (0..PEOPLE, -60..400i64).prop_map(|(whose, minor)| {
            What::Fund { whose, minor: if minor == 0 { 1 } else { minor } }
        }),
        2 => (0..3u8).prop_map(|store| What::OpenStore { store }),
        6 => goods.clone().prop_map(|(store, sku, price, quantity)| {
            What::AddListing { store, sku, price, quantity }
        }),
        6 => goods.prop_map(|(store, sku, _, quantity)| What::AddStock { store, sku, quantity }),
        20 => placed.prop_map(|(store, lines)| What::Place(Order { store, lines })),
    ];
    let words = [Word::Pay, Word::Cancel, Word::Ship, Word::Receive, Word::Expire, Word::Prepare];
    let word = prop::sample::select(words.to_vec());
    prop_oneof![
        10 => what.prop_map(Wanted::What),
        10 => (0..32usize, any::<usize>()).prop_map(|(order, nth)| Wanted::Go { order, nth }),
        3 => (0..32usize, word).prop_map(|(order, word)| Wanted::Step { order, word }),
    ]
    .boxed()
}

impl Wish {
    /// As it is asked of a site that is like this; nothing where there is nothing to ask about.
    pub fn ask(&self, model: &Model) -> Option<Ask> {
        let (what, side, right) = match &self.wanted {
            Wanted::What(what) => (what.clone(), self.side, self.right(model, what)),
            Wanted::Step { order, word } => {
                let n = model.orders.len().checked_sub(1 + order % model.orders.len().max(1))?;
                let (order, word) = (&model.orders[n], *word);
                let side = order.side;
                let right = Caller::Person(side, order.buyer);
                (What::Step { order: order.id.clone(), word }, side, right)
            }
            Wanted::Go { order, nth } => {
                let open = (0..model.orders.len()).filter(|n| !ended(model.orders[*n].phase));
                let open: Vec<_> = open.collect();
                let n = *open.get(order % open.len().max(1))?;
                let order = &model.orders[n];
                let rows = law(order.side).rows.iter();
                let rows = rows.filter(|row| row.from.contains(&order.phase));
                let (ends, leads): (Vec<_>, Vec<_>) =
                    rows.partition(|row| matches!(row.word, Word::Cancel | Word::Expire));
                let cancels = ends.iter().find(|row| row.word == Word::Cancel && nth % 4 == 0);
                let row = cancels.or(leads.first())?;
                let owner = model.sides[order.side].stores[&order.store].owner;
                let right = match row.by[nth / 4 % row.by.len()] {
                    By::Seller => Caller::Person(order.side, owner),
                    By::Operator => Caller::Operator,
                    _ => Caller::Person(order.side, order.buyer),
                };
                let what = What::Step { order: order.id.clone(), word: row.word };
                (what, order.side, right)
            }
        };
        let mut face = if self.native_face { Face::Native } else { Face::Bookstore };
        let has_path = match &what {
            What::Step { word, .. } => {
                [Word::Pay, Word::Cancel, Word::Ship, Word::Receive].contains(word)
            }
            _ => side == 0,
        };
        // The bookstore's face is seldom asked for what is another channel's.
        let strays = matches!(self.who, Who::Person(_)) && self.key.is_none();
        if !has_path || side == 1 && !strays || right == Caller::Operator {
            face = Face::Native;
        }
        let caller = match self.who {
            Who::Right => match (&what, face) {
                (What::Fund { .. }, Face::Native) => Caller::Operator,
                _ => right,
            },
            Who::Person(n) => Caller::Person(side, n),
            Who::Stranger => match right {
                Caller::Person(side, n) => Caller::Person(1 - side, n),
                _ => Caller::Person(1 - side, 0),
            },
            Who::Operator => Caller::Operator,
            Who::Staff => Caller::Staff,
            Who::Auditor => Caller::Auditor,
            Who::Nobody => Caller::Nobody,
        };
        // Proven by a password alone, or by nothing: whoever asks may.
        let caller = match (&what, face) {
            (What::Leave(n), Face::Bookstore) => Caller::Person(0, *n),
            (What::Leave(n), Face::Native) if caller != Caller::Operator => {
                Caller::Person(side, *n)
            }
            _ => caller,
        };
        let key = self.key.filter(|_| !matches!(what, What::Leave(_)));
        Some(Ask { face, side, caller, what, key })
    }

    fn right(&self, model: &Model, what: &What) -> Caller {
        let n = match what {
            What::Register(n) | What::OpenStore { store: n } => usize::from(*n) % PEOPLE,
            What::Leave(n) | What::Fund { whose: n, .. } => *n,
            What::AddListing { store, .. } | What::AddStock { store, .. } => {
                model.sides[self.side].stores.get(store).map_or(0, |it| it.owner)
            }
            What::Place(order) => order.lines.len() % PEOPLE,
            What::Step { .. } => unreachable!("it is found with its order"),
        };
        Caller::Person(self.side, n)
    }
}

/// A request as it is sent.
pub struct Sent {
    /// `POST /v1/orders`, for example.
    pub call: String,
    pub body: Value,
}

impl Ask {
    /// The request. `account` gives the id of an account.
    pub fn request(&self, account: impl Fn(usize, usize) -> String) -> Sent {
        match self.face {
            Face::Bookstore => self.to_bookstore(),
            Face::Native => self.to_native(account),
        }
    }

    /// Whose key it is and for what: one channel, one owner, one operation of one face.
    pub fn scope(&self) -> Option<String> {
        let key = self.key?;
        let (operation, owner) = match &self.what {
            What::Register(n) => ("register".to_owned(), format!("login {n}")),
            What::Step { word, .. } if self.face == Face::Bookstore => {
                (format!("{word}"), format!("{:?}", self.caller))
            }
            what => {
                let name = format!("{what:?}");
                let name = name.split([' ', '(', '{']).next().unwrap().to_owned();
                (name, format!("{:?}", self.caller))
            }
        };
        Some(format!("{:?} {} {owner} {operation} {key}", self.face, self.side))
    }

    /// Who a request says that it comes from: the caller, or somebody where that is no account.
    fn named(&self) -> &'static str {
        match self.caller {
            Caller::Person(_, n) => NAMES[n],
            _ => NAMES[0],
        }
    }

    fn to_bookstore(&self) -> Sent {
        let user = self.named();
        let password = password(user);
        let (path, body) = match &self.what {
            What::Register(n) => {
                let user = newcomer(*n);
                ("/auth/register", json!({ "user_id": user, "password": password_of(*n) }))
            }
            What::Leave(_) => {
                ("/auth/unregister", json!({ "user_id": user, "password": password }))
            }
            What::Fund { whose, minor } => {
                let (user, password) = (NAMES[*whose], self::password(NAMES[*whose]));
                let body = json!({ "user_id": user, "password": password, "add_value": minor });
                ("/buyer/add_funds", body)
            }
            What::OpenStore { store } => {
                ("/seller/create_store", json!({ "user_id": user, "store_id": name(*store) }))
            }
            What::AddListing { store, sku, price, quantity } => {
                let body = json!({
                    "user_id": user, "store_id": name(*store), "book_id": thing(*sku),
                    "price": price, "stock_level": quantity,
                });
                ("/seller/add_book", body)
            }
            What::AddStock { store, sku, quantity } => {
                let body = json!({
                    "user_id": user, "store_id": name(*store), "book_id": thing(*sku),
                    "add_stock_level": quantity,
                });
                ("/seller/add_stock_level", body)
            }
            What::Place(order) => {
                let books = order.lines.iter();
                let books = books.map(|(sku, count)| json!({ "id": thing(*sku), "count": count }));
                let books: Vec<_> = books.collect();
                let store = name(order.store);
                ("/buyer/new_order", json!({ "user_id": user, "store_id": store, "books": books }))
            }
            What::Step { order, word } => {
                let own = json!({ "user_id": user, "order_id": order });
                match word {
                    Word::Pay => {
                        let body =
                            json!({ "user_id": user, "password": password, "order_id": order });
                        ("/buyer/payment", body)
                    }
                    Word::Cancel => ("/buyer/cancel_order", own),
                    Word::Ship => ("/seller/deliver_book", own),
                    Word::Receive => ("/buyer/receive_book", own),
                    other => panic!("this face has no {other}"),
                }
            }
        };
        Sent { call: format!("POST {path}"), body }
    }

    fn to_native(&self, account: impl Fn(usize, usize) -> String) -> Sent {
        let channel = CHANNELS[self.side];
        let (call, body) = match &self.what {
            What::Register(n) => {
                let body = json!({
                    "channel": channel, "login": newcomer(*n), "password": password_of(*n),
                });
                ("POST /v1/accounts".to_owned(), body)
            }
            What::Leave(n) if self.caller == Caller::Operator => {
                let id = account(self.side, *n);
                (format!("DELETE /v1/accounts/{id}?channel={channel}"), Value::Null)
            }
            What::Leave(n) => {
                ("DELETE /v1/accounts/me".to_owned(), json!({ "password": password(NAMES[*n]) }))
            }
            What::Fund { whose, minor } => {
                let id = account(self.side, *whose);
                (format!("POST /v1/accounts/{id}/wallet"), json!({ "amount": cny(*minor) }))
            }
            What::OpenStore { store } => {
                ("POST /v1/stores".to_owned(), json!({ "channel": channel, "store": name(*store) }))
            }
            What::AddListing { store, sku, price, quantity } => {
                let body = json!({
                    "channel": channel, "sku": thing(*sku), "price": cny(*price),
                    "quantity": quantity,
                });
                (format!("POST /v1/stores/{}/listings", name(*store)), body)
            }
            What::AddStock { store, sku, quantity } => {
                let path = format!("/v1/stores/{}/listings/{}/stock", name(*store), thing(*sku));
                (format!("POST {path}"), json!({ "channel": channel, "quantity": quantity }))
            }
            What::Place(order) => {
                let lines = order.lines.iter();
                let lines =
                    lines.map(|(sku, count)| json!({ "sku": thing(*sku), "quantity": count }));
                let lines: Vec<_> = lines.collect();
                let body =
                    json!({ "channel": channel, "store": name(order.store), "lines": lines });
                ("POST /v1/orders".to_owned(), body)
            }
            What::Step { order, word } => (format!("POST /v1/orders/{order}/{word}"), json!({})),
        };
        Sent { call, body }
    }
}

/// A store's name; the same in both channels.
pub fn name(store: u8) -> String {
    format!("store-{store}")
}

/// A thing's name; the same in both channels.
pub fn thing(sku: u8) -> String {
    format!("thing-{sku}")
}

/// A password; another in each channel would prove less.
pub fn password(name: &str) -> String {
    format!("pw-{name}")
}

fn newcomer(n: u8) -> String {
    format!("newcomer-{n}")
}

fn password_of(n: u8) -> String {
    password(&newcomer(n))
}
