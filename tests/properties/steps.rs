//! Random commands: who asks, with what proof, for what. They are made without knowing the world,
//! and become commands when they are given.

use std::collections::BTreeMap;

use docket::domain::{Action, Caller, Command, Credential, World, lifecycle::Word};
use events::*;
use proptest::prelude::*;

use super::site::{adopt, channel, command, fresh, listing, login, place_in, register, sku, store};

/// Something that somebody may ask for.
#[derive(Debug, Clone)]
pub struct Step {
    who: Who,
    proof: Proof,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Person(u8),
    /// Of the order that the command is about.
    Buyer,
    /// Of the order that the command is about.
    Seller,
    Timer,
    System,
    Login(u8),
}

#[derive(Debug, Clone, Copy)]
enum Proof {
    Password,
    OldPassword,
    Session,
    NoSession,
    Waived,
    Failed,
    Nothing,
}

/// What is asked for; numbers name people, stores, things and orders.
#[derive(Debug, Clone)]
enum What {
    Register,
    ChangePassword,
    Unregister,
    OpenSession { lives_ms: i64 },
    CloseSession,
    OpenStore(u8),
    AddListing { store: u8, sku: u8, price: Money, quantity: i64 },
    AddStock { store: u8, sku: u8, quantity: i64 },
    Fund(Money),
    Place { store: u8, lines: Vec<(u8, i64)> },
    Act { order: usize, word: Word, store: Option<u8> },
}

/// Three people, two stores, four things, and money: without them most commands are refused.
pub fn beginning() -> Vec<Step> {
    let step = |n, what| Step { who: Who::Person(n), proof: Proof::Password, what };
    let mut steps: Vec<Step> = (0..3).map(|n| step(n, What::Register)).collect();
    for (n, currency) in [(0, Currency::CNY), (1, Currency::COIN)] {
        steps.push(step(n, What::OpenStore(n)));
        for sku in 0..2 {
            let price = Money { minor: 7 + i64::from(sku), currency };
            steps.push(step(n, What::AddListing { store: n, sku, price, quantity: 40 }));
        }
        for payer in 0..3 {
            steps.push(step(payer, What::Fund(Money { minor: 300, currency })));
        }
        steps.push(step(n, What::OpenSession { lives_ms: 3_600_000 }));
    }
    steps
}

/// So many commands.
pub fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), count)
}

/// One of them. Boxed in parts: unions of unions are too large for a test's stack.
pub fn step() -> BoxedStrategy<Step> {
    let proof = prop_oneof![
        10 => Just(Proof::Password),
        2 => Just(Proof::OldPassword),
        4 => Just(Proof::Session),
        1 => Just(Proof::NoSession),
        4 => Just(Proof::Waived),
        2 => Just(Proof::Failed),
        1 => Just(Proof::Nothing),
    ];
    let by_person = || (0..4u8).prop_map(Who::Person);
    let odd = || prop_oneof![Just(Who::Timer), Just(Who::System), (0..4u8).prop_map(Who::Login)];
    let anybody = prop_oneof![20 => by_person(), 1 => odd()];
    let act = |word, right| {
        let who = prop_oneof![12 => Just(right), 2 => by_person(), 1 => odd()];
        (who, act(word)).boxed()
    };
    let of_order = prop_oneof![
        6 => act(Word::Pay, Who::Buyer),
        1 => act(Word::Cancel, Who::Buyer),
        7 => act(Word::Ship, Who::Seller),
        4 => act(Word::Receive, Who::Buyer),
        2 => act(Word::Receive, Who::Timer),
        1 => act(Word::Expire, Who::Timer),
        1 => act(Word::Prepare, Who::Seller),
    ];
    let whose = prop_oneof![of_order.boxed(), (anybody, other()).boxed()];
    (whose.boxed(), proof).prop_map(|((who, what), proof)| Step { who, proof, what }).boxed()
}

fn act(word: Word) -> impl Strategy<Value = What> {
    let store = prop_oneof![6 => Just(None), 1 => (0..3u8).prop_map(Some)];
    (0..64usize, store).prop_map(move |(order, store)| What::Act { order, word, store })
}

fn other() -> BoxedStrategy<What> {
    let line = (prop_oneof![9 => 0..2u8, 1 => 2..4u8], count());
    let lines = prop_oneof![1 => Just(Vec::new()), 20 => prop::collection::vec(line, 1..4)];
    let listings = (0..3u8, 0..4u8, money(), amount())
        .prop_map(|(store, sku, price, quantity)| What::AddListing { store, sku, price, quantity });
    let more = (0..2u8, 0..3u8, amount()).prop_map(|(store, sku, quantity)| What::AddStock {
        store,
        sku,
        quantity,
    });
    let placed = (0..2u8, lines).prop_map(|(store, lines)| What::Place { store, lines });
    prop_oneof![
        1 => Just(What::Register),
        1 => Just(What::ChangePassword),
        1 => Just(What::Unregister),
        2 => (-10..100_000i64).prop_map(|lives_ms| What::OpenSession { lives_ms }),
        1 => Just(What::CloseSession),
        1 => (0..3u8).prop_map(What::OpenStore),
        2 => listings.boxed(),
        3 => more.boxed(),
        4 => money().prop_map(What::Fund),
        12 => placed.boxed(),
    ]
    .boxed()
}

/// How many of something somebody wants: a few, mostly.
fn count() -> impl Strategy<Value = i64> {
    prop_oneof![30 => 1..4i64, 1 => amount()]
}

/// Every size of number, the impossible ones too.
fn amount() -> BoxedStrategy<i64> {
    prop_oneof![
        12 => 1..200i64,
        2 => Just(0),
        2 => -200..0i64,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
        1 => (i64::MAX - 300)..i64::MAX,
        1 => Just(i64::MAX / 2),
        1 => any::<i64>(),
    ]
    .boxed()
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop_oneof![
        6 => Just(Currency::CNY),
        3 => Just(Currency::COIN),
        1 => Just(Currency::USD),
    ];
    (amount(), currency).prop_map(|(minor, currency)| Money { minor, currency })
}

impl Step {
    /// As a command, given to a world that is like this.
    pub fn command(&self, world: &World) -> Command {
        let mut orders: Vec<&OrderId> = world.orders.keys().collect();
        orders.sort();
        // The newest are asked for most: the others have ended, mostly.
        let order = match &self.what {
            What::Act { order, .. } => orders.iter().rev().nth(order % (orders.len() + 1) / 2),
            _ => None,
        };
        let order = order.copied().copied();
        let caller = self.caller(world, order);
        let account = match caller {
            Caller::Somebody { account: Some(account), .. } => world.accounts.get(&account),
            _ => None,
        };
        let action = match &self.what {
            What::Register => {
                let Who::Person(n) = self.who else { return register(3).1 };
                return register(n).1;
            }
            What::ChangePassword => {
                let password = Sealed::new(AccountId(fresh()), "bmV3".into());
                Action::ChangePassword { password }
            }
            What::Unregister => Action::Unregister,
            What::OpenSession { lives_ms } => {
                let token = token();
                let expires_at = Millis(super::site::BEGIN.0 + lives_ms);
                Action::OpenSession { token, expires_at, terminal: None }
            }
            What::CloseSession => {
                let session = account.and_then(|it| it.sessions.first());
                Action::CloseSession { token: session.map_or_else(token, |it| it.0) }
            }
            What::OpenStore(n) => Action::OpenStore { store: store(*n) },
            What::AddListing { store: n, sku: m, price, quantity } => {
                listing(store(*n), sku(*m), *price, *quantity)
            }
            What::AddStock { store: n, sku: m, quantity } => {
                Action::AddStock { store: store(*n), sku: sku(*m), quantity: *quantity }
            }
            What::Fund(amount) => Action::Fund { amount: *amount },
            What::Place { store: n, lines } => {
                let lines = lines.iter().map(|(m, quantity)| (sku(*m), *quantity));
                place_in(store(*n), lines.collect()).1
            }
            What::Act { word, store: named, .. } => Action::Step {
                order: order.unwrap_or(OrderId(fresh())),
                store: named.map(store),
                word: *word,
            },
        };
        command(caller, action)
    }

    fn caller(&self, world: &World, order: Option<OrderId>) -> Caller {
        let order = order.map(|id| &world.orders[&id]);
        let of_login = |n| world.logins.get(&(channel(), login(n))).copied();
        let account = match self.who {
            Who::Timer => return Caller::Timer,
            Who::System => return Caller::System,
            Who::Login(n) => return Caller::Login(login(n)),
            Who::Person(n) => of_login(n),
            Who::Buyer => order.map(|order| order.buyer),
            Who::Seller => order.map(|order| world.channels[&channel()].stores[&order.store].owner),
        };
        let known = account.and_then(|id| world.accounts.get(&id));
        let version = known.map_or(1, |it| it.password);
        let verified = |session, password| Credential::Verified { session, password };
        let credential = match self.proof {
            Proof::Password => verified(None, Some(version)),
            Proof::OldPassword => verified(None, Some(version.wrapping_sub(1))),
            Proof::Session => {
                let session = known.and_then(|it| it.sessions.first());
                verified(Some(session.map_or_else(token, |it| it.0)), None)
            }
            Proof::NoSession => verified(Some(token()), Some(version)),
            Proof::Waived => Credential::Waived,
            Proof::Failed => Credential::Failed,
            Proof::Nothing => verified(None, None),
        };
        Caller::Somebody { account, credential }
    }
}

/// A token's digest that no other has.
fn token() -> Digest {
    let mut bytes = [0xcc; 32];
    bytes[..16].copy_from_slice(fresh().as_bytes());
    Digest(bytes)
}

/// The domain alone: decides, evolves and keeps books.
pub struct Play {
    pub world: World,
    pub books: super::books::Books,
    pub now: Millis,
    position: Position,
    /// How many commands of each name were accepted.
    pub accepted: BTreeMap<&'static str, usize>,
}

impl Play {
    /// A channel with the bookstore's life cycle.
    pub fn new() -> Self {
        let mut play = Self {
            world: World::default(),
            books: Default::default(),
            now: super::site::BEGIN,
            position: Position(0),
            accepted: BTreeMap::new(),
        };
        for command in adopt(&[]) {
            play.give(&command).unwrap();
        }
        play
    }

    pub fn give(&mut self, command: &Command) -> Result<(), docket::domain::Rejection> {
        let decided = docket::domain::decide(&self.world, command, self.now)?;
        *self.accepted.entry(command.action.name()).or_default() += 1;
        for ((subject, event), n) in decided.events.into_iter().zip(0..) {
            self.position.0 += 1;
            let recorded = Recorded {
                position: self.position,
                id: EventId { command: command.id, n },
                subject,
                recorded_at: self.now,
                channel: command.channel.clone(),
                event,
            };
            let again = Recorded::decode(&recorded.envelope()).unwrap();
            assert_eq!(again, recorded, "what is written reads back");
            self.world.evolve(&recorded);
            self.books.enter(&recorded);
        }
        Ok(())
    }
}
