//! What a customer knows of its shop: what it was told, and nothing else.

use events::Phase;

pub const SKUS: [&str; 3] = ["atlas", "bible", "codex"];
pub const PRICES: [i64; 3] = [1, 250, 3999];

/// A store, who sells there and who buys.
pub struct Shop {
    pub channel: &'static str,
    /// The token of who runs the site.
    pub operator: String,
    pub seller: Person,
    pub store: Option<String>,
    pub buyers: Vec<Person>,
    /// What lies on the shelf, by SKU; `None` before it is listed.
    pub shelf: [Option<i64>; 3],
    pub orders: Vec<Order>,
}

pub struct Person {
    pub name: String,
    pub token: Option<String>,
    /// The account's id, where it was told.
    pub account: Option<String>,
    pub wallet: i64,
}

pub struct Order {
    pub id: String,
    pub buyer: usize,
    pub lines: Vec<(usize, i64)>,
    pub phase: Phase,
    /// Whether it was ever paid.
    pub paid: bool,
}

/// The seller, or a buyer by number.
pub type Who = Option<usize>;

/// What a request changes when it is accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The seller first, then buyers.
    Register(String),
    Login(Who),
    OpenStore(String),
    AddListing(usize, i64),
    AddStock(usize, i64),
    Fund(usize, i64),
    Place(usize, Vec<(usize, i64)>),
    /// An order by number, and the phase it reaches.
    Step(usize, Phase),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Stock,
    Funds,
}

/// What an answer tells.
#[derive(Debug, Default)]
pub struct Learnt {
    pub token: Option<String>,
    pub account: Option<String>,
    pub order: Option<String>,
    /// The command that was given.
    pub command: Option<String>,
}

impl Shop {
    pub fn new(number: usize, channel: &'static str, operator: String) -> Self {
        Self {
            channel,
            operator,
            seller: Person::new(format!("seller-{number}")),
            store: None,
            buyers: Vec::new(),
            shelf: [None; 3],
            orders: Vec::new(),
        }
    }

    pub fn person(&self, who: Who) -> &Person {
        who.map_or(&self.seller, |buyer| &self.buyers[buyer])
    }

    /// Everybody who has logged in.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.buyers.iter().chain([&self.seller]).filter(|person| person.token.is_some())
    }

    /// Who asks for it.
    pub fn actor(&self, change: &Change) -> Who {
        match change {
            Change::Fund(buyer, _) | Change::Place(buyer, _) => Some(*buyer),
            Change::Step(_, Phase::Shipped) => None,
            // Outside the bookstore only the seller calls off what is paid.
            Change::Step(order, Phase::Cancelled)
                if self.channel != "bookstore" && self.orders[*order].phase == Phase::Paid =>
            {
                None
            }
            Change::Step(order, _) => Some(self.orders[*order].buyer),
            _ => None,
        }
    }

    /// Whether it will be refused.
    pub fn refusal(&self, change: &Change) -> Option<Refusal> {
        match change {
            Change::Place(_, lines) => {
                let short = |(sku, count): &(usize, i64)| self.shelf[*sku].unwrap() < *count;
                lines.iter().any(short).then_some(Refusal::Stock)
            }
            Change::Step(order, Phase::Paid) => {
                let order = &self.orders[*order];
                let short = self.buyers[order.buyer].wallet < order.total();
                short.then_some(Refusal::Funds)
            }
            _ => None,
        }
    }

    /// Takes in that it was accepted. Nothing else changes what is known.
    pub fn take_in(&mut self, change: &Change, learnt: Learnt) {
        match change {
            Change::Register(name) => {
                let registered = match *name == self.seller.name {
                    true => &mut self.seller,
                    false => {
                        self.buyers.push(Person::new(name.clone()));
                        self.buyers.last_mut().unwrap()
                    }
                };
                registered.account = learnt.account;
            }
            Change::Login(who) => {
                let person = who.map_or(&mut self.seller, |buyer| &mut self.buyers[buyer]);
                person.token = Some(learnt.token.unwrap());
                person.account = learnt.account.or(person.account.take());
            }
            Change::OpenStore(store) => self.store = Some(store.clone()),
            Change::AddListing(sku, count) => self.shelf[*sku] = Some(*count),
            Change::AddStock(sku, count) => self.put(*sku, *count),
            Change::Fund(buyer, amount) => self.buyers[*buyer].wallet += amount,
            Change::Place(buyer, lines) => {
                for (sku, count) in lines {
                    self.put(*sku, -count);
                }
                let (id, phase) = (learnt.order.unwrap(), Phase::AwaitingPayment);
                let (buyer, lines) = (*buyer, lines.clone());
                self.orders.push(Order { id, buyer, lines, phase, paid: false });
            }
            Change::Step(order, to) => self.step(*order, *to),
        }
    }

    fn step(&mut self, order: usize, to: Phase) {
        let order = &mut self.orders[order];
        let (from, total) = (std::mem::replace(&mut order.phase, to), order.total());
        let (buyer, lines) = (order.buyer, order.lines.clone());
        match (from, to) {
            (Phase::AwaitingPayment, Phase::Paid) => {
                order.paid = true;
                self.buyers[buyer].wallet -= total;
            }
            (Phase::Paid, Phase::Cancelled) => self.buyers[buyer].wallet += total,
            (Phase::Shipped, Phase::Completed) => self.seller.wallet += total,
            _ => {}
        }
        if to == Phase::Cancelled {
            for (sku, count) in lines {
                self.put(sku, count);
            }
        }
    }

    fn put(&mut self, sku: usize, count: i64) {
        *self.shelf[sku].as_mut().unwrap() += count;
    }

    /// How many of a thing are put aside for orders.
    pub fn reserved(&self, sku: usize) -> i64 {
        let waiting = |order: &&Order| matches!(order.phase, Phase::AwaitingPayment | Phase::Paid);
        let lines = self.orders.iter().filter(waiting).flat_map(|order| &order.lines);
        lines.filter(|(of, _)| *of == sku).map(|(_, count)| count).sum()
    }
}

impl Person {
    fn new(name: String) -> Self {
        Self { name, token: None, account: None, wallet: 0 }
    }

    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    pub fn secret(&self) -> String {
        secret(&self.name)
    }
}

impl Order {
    pub fn total(&self) -> i64 {
        self.lines.iter().map(|(sku, count)| PRICES[*sku] * count).sum()
    }
}

pub fn secret(name: &str) -> String {
    format!("secret of {name}")
}
