//! What the site must look like after what was accepted, kept by names as clients know them; and
//! what speaks against a request. The steps of orders are those of the [life
//! cycles](super::super::law).

use std::collections::{BTreeMap, BTreeSet};

use docket::domain::lifecycle::{MoneyWord, Word};
use events::{By, Channel, Method, Phase, StockWord};
use serde_json::Value;

use super::{
    super::{
        judge::ended,
        law::{CHANNELS, Facets, Law, Row},
    },
    asked::{Ask, Caller, Face, Order as Wanted, What},
};
use crate::support::Answer;

/// How many people each channel has; they are called alike in both.
pub const PEOPLE: usize = 3;

/// What a request may come to grief over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The caller is nobody here, or not one for this.
    Caller,
    NoAccount,
    LoginTaken,
    NoStore,
    StoreTaken,
    NoSku,
    SkuTaken,
    Short,
    NoOrder,
    /// The order, or the store, is somebody else's.
    NotOwn,
    Phase,
    Funds,
    StillOpen,
}

/// Both channels that docket serves: 0 has two faces, 1 has one.
#[derive(Debug, Clone)]
pub struct Model {
    pub sides: [Side; 2],
    /// Of both sides, the oldest first.
    pub orders: Vec<Order>,
    pub now: i64,
    /// What was answered under each idempotency key, and to what request.
    keys: BTreeMap<String, (String, Told)>,
}

/// A status and a body.
type Told = (u16, Vec<u8>);

#[derive(Debug, Clone, Default)]
pub struct Side {
    /// Wallets; none of those who left.
    pub wallets: [Option<i64>; PEOPLE],
    /// Those of whom nothing can be read any more.
    pub forgotten: BTreeSet<usize>,
    pub newcomers: BTreeSet<u8>,
    pub stores: BTreeMap<u8, Store>,
}

#[derive(Debug, Clone)]
pub struct Store {
    pub owner: usize,
    pub listings: BTreeMap<u8, Listing>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    pub price: i64,
    pub shelf: i64,
    pub reserved: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub id: String,
    pub side: usize,
    pub buyer: usize,
    pub store: u8,
    /// Thing, how many, and what one costs; each thing once, in the order of the first.
    pub lines: Vec<(u8, i64, i64)>,
    pub total: i64,
    pub placed_at: i64,
    pub phase: Phase,
    pub held: i64,
    pub refunded: i64,
    pub released: i64,
    pub deadlines: BTreeMap<&'static str, i64>,
    /// The kinds of its events.
    pub history: Vec<&'static str>,
}

/// How long the deadlines last that the test's settings say, in milliseconds.
pub const PAY_WITHIN: i64 = 600_000;
pub const RECEIVE_WITHIN: i64 = 1_800_000;

/// Every order here is paid from a wallet, and no row of its life asks for more.
const WALLET: Facets = Facets { method: Method::Wallet, paid: false, available: true };

pub fn law(side: usize) -> &'static Law {
    Law::of(&Channel::new(CHANNELS[side]).unwrap(), 1)
}

impl Model {
    pub fn new(now: i64) -> Self {
        let side = Side { wallets: [Some(0); PEOPLE], ..Side::default() };
        let (sides, orders, keys) = ([side.clone(), side], Vec::new(), BTreeMap::new());
        Self { sides, orders, now, keys }
    }

    /// Whether this would make somebody unreadable who is not yet.
    pub fn can_forget(&self, ask: &Ask) -> bool {
        let Ask { what: What::Leave(n), caller: Caller::Operator, side, .. } = ask else {
            return false;
        };
        !self.sides[*side].forgotten.contains(n)
    }

    /// What speaks against a request; nothing where it must be accepted.
    pub fn faults(&self, ask: &Ask) -> BTreeSet<Fault> {
        let mut faults = BTreeSet::new();
        let side = &self.sides[ask.side];
        let caller = self.person(ask);
        match &ask.what {
            What::OpenStore { .. }
            | What::AddListing { .. }
            | What::AddStock { .. }
            | What::Place(_)
                if caller.is_none() =>
            {
                faults.insert(Fault::Caller);
            }
            _ => {}
        }
        match &ask.what {
            What::Register(n) => {
                faults.extend(side.newcomers.contains(n).then_some(Fault::LoginTaken));
                // A session is good for its own channel, whatever it is used for.
                let strays = ask.face == Face::Native && self.is_of(ask.caller, 1 - ask.side);
                faults.extend(strays.then_some(Fault::Caller));
            }
            What::Leave(n) => {
                let open = self.orders.iter().filter(|it| it.side == ask.side && !ended(it.phase));
                let mut people = open.flat_map(|it| [it.buyer, side.stores[&it.store].owner]);
                faults.extend(people.any(|it| it == *n).then_some(Fault::StillOpen));
                // Who has left can be forgotten all the same.
                let gone = match ask.caller {
                    Caller::Operator => side.forgotten.contains(n),
                    _ => side.wallets[*n].is_none(),
                };
                faults.extend(gone.then_some(Fault::NoAccount));
                let own = ask.caller == Caller::Operator || caller == Some(*n);
                faults.extend((!own).then_some(Fault::Caller));
            }
            What::Fund { whose, minor } => {
                let may = match ask.face {
                    Face::Bookstore => caller == Some(*whose),
                    Face::Native => ask.caller == Caller::Operator,
                };
                faults.extend((!may).then_some(Fault::Caller));
                match side.wallets[*whose] {
                    None => drop(faults.insert(Fault::NoAccount)),
                    Some(has) => faults.extend((has + minor < 0).then_some(Fault::Funds)),
                }
            }
            What::OpenStore { store } => {
                faults.extend(side.stores.contains_key(store).then_some(Fault::StoreTaken));
            }
            What::AddListing { store, sku, .. } => {
                faults.extend(self.not_own(ask.side, *store, caller));
                let store = side.stores.get(store);
                let taken = store.is_some_and(|it| it.listings.contains_key(sku));
                faults.extend(taken.then_some(Fault::SkuTaken));
            }
            What::AddStock { store, sku, .. } => {
                faults.extend(self.not_own(ask.side, *store, caller));
                let store = side.stores.get(store);
                let known = store.is_some_and(|it| it.listings.contains_key(sku));
                faults.extend((!known).then_some(Fault::NoSku));
            }
            What::Place(wanted) => faults.extend(self.unavailable(ask.side, wanted)),
            What::Step { order, word } => faults.extend(self.unfit(ask, order, *word)),
        }
        faults
    }

    /// Takes in a request that was accepted, and its answer.
    pub fn apply(&mut self, ask: &Ask, answer: &Answer) {
        let (side, now) = (&mut self.sides[ask.side], self.now);
        match &ask.what {
            What::Register(n) => drop(side.newcomers.insert(*n)),
            What::Leave(n) => {
                side.wallets[*n] = None;
                if ask.caller == Caller::Operator {
                    side.forgotten.insert(*n);
                }
            }
            What::Fund { whose, minor } => *side.wallets[*whose].as_mut().unwrap() += minor,
            What::OpenStore { store } => {
                let Caller::Person(_, owner) = ask.caller else { panic!("{ask:?}") };
                side.stores.insert(*store, Store { owner, listings: BTreeMap::new() });
            }
            What::AddListing { store, sku, price, quantity } => {
                let listing = Listing { price: *price, shelf: *quantity, reserved: 0 };
                side.stores.get_mut(store).unwrap().listings.insert(*sku, listing);
            }
            What::AddStock { store, sku, quantity } => {
                side.listing(*store, *sku).shelf += quantity;
            }
            What::Place(wanted) => {
                let Caller::Person(_, buyer) = ask.caller else { panic!("{ask:?}") };
                let field = if ask.face == Face::Bookstore { "order_id" } else { "id" };
                let lines: Vec<_> = wanted
                    .folded()
                    .into_iter()
                    .map(|(sku, count)| (sku, count, side.listing(wanted.store, sku).price))
                    .collect();
                let order = Order {
                    id: answer.body[field].as_str().unwrap().to_owned(),
                    side: ask.side,
                    buyer,
                    store: wanted.store,
                    total: lines.iter().map(|(_, count, price)| count * price).sum(),
                    lines,
                    placed_at: now,
                    phase: Phase::AwaitingPayment,
                    held: 0,
                    refunded: 0,
                    released: 0,
                    deadlines: BTreeMap::new(),
                    history: Vec::new(),
                };
                self.orders.push(order);
                let row = law(ask.side).find(Word::Place, None, WALLET, &[By::Buyer]);
                self.take(self.orders.len() - 1, row.unwrap());
            }
            What::Step { order, word } => {
                let n = self.orders.iter().position(|it| it.id == *order).unwrap();
                let row = self.row(n, *word, &self.roles(ask, &self.orders[n])).unwrap();
                self.take(n, row);
            }
        }
    }

    /// Time goes on: what is due happens.
    pub fn pass(&mut self, ms: i64) {
        self.now += ms;
        let mut due: Vec<_> = Vec::new();
        for (n, order) in self.orders.iter().enumerate() {
            let set = order.deadlines.iter().filter(|(_, at)| **at <= self.now);
            due.extend(set.map(|(name, at)| (*at, n, *name)));
        }
        for (_, n, name) in due {
            let word = if name == "pay" { Word::Expire } else { Word::Receive };
            let row = self.row(n, word, &[By::Timer]).unwrap();
            self.take(n, row);
        }
    }

    /// Remembers what a request with a key was told.
    pub fn told(&mut self, ask: &Ask, request: String, answer: &Answer) {
        let told = (request, (answer.code, answer.bytes.to_vec()));
        let before = ask.scope().and_then(|scope| self.keys.insert(scope, told));
        assert!(before.is_none(), "a key has one effect: {ask:?}");
    }

    /// What the first request with this key was told, and what it was.
    pub fn taken(&self, ask: &Ask) -> Option<&(String, Told)> {
        ask.scope().and_then(|scope| self.keys.get(&scope))
    }

    /// What leads on from where an order is, for one who has these roles.
    pub fn row(&self, n: usize, word: Word, roles: &[By]) -> Option<&'static Row> {
        let order = &self.orders[n];
        law(order.side).find(word, Some(order.phase), WALLET, roles)
    }

    /// The caller, where it is an account of the channel that the request is about.
    fn person(&self, ask: &Ask) -> Option<usize> {
        match ask.caller {
            Caller::Person(_, n) if self.is_of(ask.caller, ask.side) => Some(n),
            _ => None,
        }
    }

    /// Whether a caller is an account of a channel that is still there.
    fn is_of(&self, caller: Caller, side: usize) -> bool {
        let own = |of: usize, n: usize| of == side && self.sides[of].wallets[n].is_some();
        matches!(caller, Caller::Person(of, n) if own(of, n))
    }

    fn not_own(&self, side: usize, store: u8, caller: Option<usize>) -> Option<Fault> {
        match self.sides[side].stores.get(&store) {
            None => Some(Fault::NoStore),
            Some(it) => (caller != Some(it.owner)).then_some(Fault::NotOwn),
        }
    }

    fn unavailable(&self, side: usize, wanted: &Wanted) -> Vec<Fault> {
        let side = &self.sides[side];
        let store = side.stores.get(&wanted.store);
        let Some(store) = store.filter(|it| side.wallets[it.owner].is_some()) else {
            return vec![Fault::NoStore];
        };
        let faults =
            wanted.folded().into_iter().filter_map(|(sku, count)| match store.listings.get(&sku) {
                None => Some(Fault::NoSku),
                Some(it) => (it.shelf < count).then_some(Fault::Short),
            });
        faults.collect()
    }

    fn unfit(&self, ask: &Ask, id: &str, word: Word) -> Vec<Fault> {
        let Some(n) = self.orders.iter().position(|it| it.id == id) else {
            return vec![Fault::NoOrder];
        };
        let order = &self.orders[n];
        let is_known = match ask.face {
            Face::Bookstore => order.side == 0,
            Face::Native => true,
        };
        let mut faults = Vec::new();
        let acts = match ask.face {
            Face::Bookstore => self.is_of(ask.caller, 0),
            Face::Native => match ask.caller {
                Caller::Person(side, _) => self.is_of(ask.caller, side),
                Caller::Operator | Caller::Staff => true,
                Caller::Auditor | Caller::Nobody => false,
            },
        };
        faults.extend((!acts).then_some(Fault::Caller));
        faults.extend((!is_known).then_some(Fault::NoOrder));
        let roles = self.roles(ask, order);
        if roles.is_empty() {
            faults.push(Fault::NotOwn);
        }
        match self.row(n, word, &roles) {
            _ if !is_known => {}
            None => {
                let may =
                    |row: &&Row| row.word == word && row.by.iter().any(|it| roles.contains(it));
                let ever = law(order.side).rows.iter().any(|row| may(&row));
                faults.push(Fault::Phase);
                faults.extend((!ever).then_some(Fault::NotOwn));
            }
            Some(row) if row.money.contains(&MoneyWord::Hold) => {
                let has = self.sides[order.side].wallets[order.buyer];
                faults.extend((has < Some(order.total)).then_some(Fault::Funds));
            }
            Some(_) => {}
        }
        faults
    }

    fn roles(&self, ask: &Ask, order: &Order) -> Vec<By> {
        match ask.caller {
            Caller::Operator if ask.face == Face::Native => vec![By::Operator],
            Caller::Staff if ask.face == Face::Native => vec![By::Staff],
            // Who has left is nobody's buyer or seller any more.
            Caller::Person(side, n) if self.is_of(ask.caller, order.side) => {
                let sells = self.sides[side].stores[&order.store].owner == n;
                let roles = [(By::Buyer, order.buyer == n), (By::Seller, sells)];
                roles.into_iter().filter(|(_, is)| *is).map(|(by, _)| by).collect()
            }
            _ => Vec::new(),
        }
    }

    fn take(&mut self, n: usize, row: &Row) {
        let (order, now) = (&mut self.orders[n], self.now);
        let side = &mut self.sides[order.side];
        order.phase = row.to;
        order.history.push(row.event);
        for (name, set) in &row.deadlines {
            let within = if *name == "pay" { PAY_WITHIN } else { RECEIVE_WITHIN };
            match set {
                true => drop(order.deadlines.insert(name, now + within)),
                false => drop(order.deadlines.remove(name)),
            }
        }
        for word in &row.stock {
            for (sku, count, _) in &order.lines {
                let listing = side.listing(order.store, *sku);
                let (shelf, reserved) = match word {
                    StockWord::Reserve => (-count, *count),
                    StockWord::Consume => (0, -count),
                    StockWord::Return => (*count, -count),
                };
                listing.shelf += shelf;
                listing.reserved += reserved;
            }
        }
        for word in &row.money {
            match word {
                MoneyWord::Hold => {
                    *side.wallets[order.buyer].as_mut().unwrap() -= order.total;
                    order.held = order.total;
                }
                MoneyWord::Release => {
                    let owner = side.stores[&order.store].owner;
                    *side.wallets[owner].as_mut().unwrap() += order.held;
                    (order.released, order.held) = (order.held, 0);
                }
                MoneyWord::Refund => {
                    *side.wallets[order.buyer].as_mut().unwrap() += order.held;
                    (order.refunded, order.held) = (order.held, 0);
                }
                MoneyWord::Capture => panic!("nothing comes from outside here"),
            }
        }
    }
}

impl Side {
    fn listing(&mut self, store: u8, sku: u8) -> &mut Listing {
        self.stores.get_mut(&store).unwrap().listings.get_mut(&sku).unwrap()
    }
}

impl Fault {
    /// Whether it is about who asks, or what that may see, and not about what is asked for.
    pub fn is_of_caller(self) -> bool {
        matches!(self, Self::Caller | Self::NoAccount | Self::NotOwn | Self::NoOrder)
    }

    /// The statuses that say so.
    pub fn codes(self, face: Face) -> &'static [u16] {
        match face {
            Face::Bookstore => match self {
                Self::Caller | Self::NoAccount => &[401, 511],
                Self::LoginTaken => &[512],
                Self::NoStore => &[513],
                Self::StoreTaken => &[514],
                Self::NoSku => &[515],
                Self::SkuTaken => &[516],
                Self::Short => &[517],
                Self::NoOrder => &[518],
                Self::NotOwn => &[401, 518],
                Self::Phase => &[518, 520, 521, 522],
                Self::Funds => &[519],
                Self::StillOpen => &[530],
            },
            Face::Native => match self {
                Self::Caller => &[401, 403],
                Self::NoAccount | Self::NoStore | Self::NoSku | Self::NoOrder => &[404],
                Self::NotOwn => &[403, 404],
                Self::LoginTaken
                | Self::StoreTaken
                | Self::SkuTaken
                | Self::Short
                | Self::Phase
                | Self::Funds
                | Self::StillOpen => &[409],
            },
        }
    }
}

/// A phase as the bookstore's states have it.
pub fn state(phase: Phase) -> i64 {
    match phase {
        Phase::Cancelled => -1,
        Phase::AwaitingPayment => 0,
        Phase::Paid => 1,
        Phase::Shipped => 2,
        Phase::Completed => 3,
        other => panic!("no order here is {other:?}"),
    }
}

/// Money as the native face writes it.
pub fn cny(minor: i64) -> Value {
    serde_json::json!({ "minor": minor, "currency": "CNY" })
}
