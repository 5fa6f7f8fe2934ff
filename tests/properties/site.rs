//! An engine on a journal in memory, under a clock that a test sets, and the commands for it.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use docket::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Command, Credential, Place, World},
    engine::{self, Accepted, Error, Handle, KeyOwner, KeyUse, Options, Request, Running},
    journal::{
        Journal, MemoryJournal,
        memory::{Fault, Gate, MemoryStore},
    },
};
use events::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// When every test begins.
pub const BEGIN: Millis = Millis(1_700_000_000_000);
pub const MINUTE: Duration = Duration::from_secs(60);
/// Where the seeds of cases that failed are kept, to be tried first the next time.
const FAILURES: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/properties.txt");

/// So many cases, or as many as the environment asks for where that is more.
pub fn cases(quick: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    let cases = asked.unwrap_or(0).max(quick);
    let failures = Box::new(FileFailurePersistence::Direct(FAILURES));
    Config { cases, failure_persistence: Some(failures), ..Config::default() }
}

/// Runs under tokio's paused time: it goes on only while nobody has anything to do.
pub fn paused<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
}

thread_local! {
    /// The channel that a test is about at the moment.
    static CHANNEL: Cell<&'static str> = const { Cell::new("bookstore") };
}

/// Runs under [paused] time once in each channel that docket serves: what it is about is theirs
/// alike.
pub fn in_each_channel(test: impl AsyncFn()) {
    for channel in ["bookstore", "native"] {
        CHANNEL.set(channel);
        paused(test());
    }
}

/// An id that no other has in this run.
pub fn fresh() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(NEXT.fetch_add(1, Ordering::Relaxed).into())
}

/// The channel that the test is about: the bookstore's, where it does not say.
pub fn channel() -> Channel {
    Channel::new(CHANNEL.get()).unwrap()
}
pub fn cny(minor: i64) -> Money {
    Money { minor, currency: Currency::CNY }
}
pub fn store(n: u8) -> StoreId {
    StoreId::new(format!("store-{n}")).unwrap()
}
pub fn sku(n: u8) -> Sku {
    Sku::new(format!("book-{n}")).unwrap()
}
pub fn login(n: u8) -> Digest {
    Digest([n; 32])
}

/// A command of the channel that the test is about.
pub fn command(caller: Caller, action: Action) -> Command {
    command_in(&channel(), caller, action)
}

pub fn command_in(channel: &Channel, caller: Caller, action: Action) -> Command {
    Command { id: CommandId(fresh()), channel: channel.clone(), caller, action }
}

/// An account that the site takes at its word.
pub fn somebody(account: AccountId) -> Caller {
    Caller::Somebody { account: Some(account), credential: Credential::Waived }
}

pub fn register(n: u8) -> (AccountId, Command) {
    register_in(&channel(), n)
}

pub fn register_in(channel: &Channel, n: u8) -> (AccountId, Command) {
    let account = AccountId(fresh());
    let sealed = || Sealed::new(account, "c2VhbGVk".into());
    let (login_sealed, password) = (sealed(), sealed());
    let action = Action::Register { account, login: login(n), login_sealed, password };
    (account, command_in(channel, Caller::Login(login(n)), action))
}

pub fn listing(store_id: StoreId, sku: Sku, price: Money, quantity: i64) -> Action {
    let (title, tags, attributes) = (String::new(), Vec::new(), Default::default());
    let pictures = Vec::new();
    let it =
        ListingAdded { store: store_id, sku, title, price, quantity, tags, attributes, pictures };
    Action::AddListing(Box::new(it))
}

pub fn place(lines: &[(u8, i64)]) -> (OrderId, Action) {
    place_in(store(0), lines.iter().map(|(n, quantity)| (sku(*n), *quantity)).collect())
}

pub fn place_in(store: StoreId, lines: Vec<(Sku, i64)>) -> (OrderId, Action) {
    let order = OrderId(fresh());
    let number = OrderNumber::new(order.to_string()).unwrap();
    let (kind, method) = (Kind::Physical, Method::Wallet);
    (order, Action::Place(Place { order, number, store, lines, buyer: None, kind, method }))
}

/// SHA-256 of a text.
pub fn digest(text: &str) -> Digest {
    Digest(Sha256::digest(text.as_bytes()).into())
}

/// A channel's life cycle and its settings.
pub fn adopt(channel: &Channel, overrides: &[(&str, &str)]) -> [Command; 2] {
    let text = builtin_lifecycle(channel).unwrap().to_owned();
    let digest = digest(&text);
    let overrides = overrides.iter().map(|(name, value)| (String::from(*name), (*value).into()));
    let overrides = overrides.collect();
    [Action::AdoptLifecycle { digest, text }, Action::AdoptSettings { overrides }]
        .map(|action| command_in(channel, Caller::System, action))
}

/// A clock that a test sets.
#[derive(Clone)]
pub struct Hands(Arc<AtomicI64>);

impl Hands {
    pub fn set(&self, at: Millis) {
        self.0.store(at.0, Ordering::SeqCst);
    }
    pub fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
    /// Time goes by, for the clock and for the engine.
    pub async fn pass(&self, by: Duration) {
        self.0.fetch_add(by.as_millis().try_into().unwrap(), Ordering::SeqCst);
        tokio::time::advance(by).await;
        idle().await;
    }
}

/// Lets everything be done that can be, ticks included.
pub async fn idle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// An engine at work.
pub struct Site {
    pub journal: Arc<MemoryJournal>,
    pub engine: Handle,
    pub clock: Hands,
    running: Running,
}

impl Site {
    /// On what survived of another.
    pub fn on(store: Arc<MemoryStore>, at: Millis, set: impl FnOnce(&mut Options)) -> Self {
        let clock = Hands(Arc::new(AtomicI64::new(at.0)));
        let mut options = Options::default();
        let hands = clock.clone();
        options.clock = Arc::new(move || hands.now());
        set(&mut options);
        let journal = Arc::new(MemoryJournal::from_store(store));
        let (engine, running) = engine::start(journal.clone(), options).unwrap();
        Self { journal, engine, clock, running }
    }

    /// New, with both channels that docket serves.
    pub async fn new(set: impl FnOnce(&mut Options)) -> Self {
        let site = Self::on(Arc::default(), BEGIN, set);
        for channel in ["bookstore", "native"] {
            for command in adopt(&Channel::new(channel).unwrap(), &[]) {
                site.give(command).await.unwrap();
            }
        }
        site
    }

    pub async fn give(&self, command: Command) -> Result<Accepted, Error> {
        self.engine.submit(Request::new(command)).await
    }

    /// Gives it in a task of its own; the engine has taken it when this returns, if it can.
    pub async fn send(&self, request: Request) -> Answer {
        let engine = self.engine.clone();
        let answer = tokio::spawn(async move { engine.submit(request).await });
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        answer
    }

    /// Holds the next append, and all that come after.
    pub fn hold(&self) -> Gate {
        let gate = Gate::new();
        self.inject(Fault::Hold(gate.clone()));
        gate
    }

    /// Lets something happen to the next commit.
    pub fn inject(&self, fault: Fault) {
        let next = CommitNumber(self.head().number.0 + 1);
        self.journal.inject(next, fault);
    }

    pub fn head(&self) -> Head {
        *self.journal.head().borrow()
    }

    /// What a start on the journal as it is now would know.
    pub fn world(&self) -> World {
        engine::replay(self.journal.as_ref()).unwrap().0
    }

    /// All that ever was.
    pub fn everything(&self) -> World {
        let mut everything = Everything::default();
        everything.catch_up(self);
        everything.world
    }

    /// Ends in good order.
    pub async fn stop(self) -> Result<World, Arc<str>> {
        self.running.shut_down().await
    }

    /// A seller (person 0) with a store of books at 100 fen, and a buyer (person 1) with money.
    pub async fn shop(&self, stock: &[i64], money: i64) -> (AccountId, AccountId) {
        let (seller, first) = register(0);
        let (buyer, second) = register(1);
        self.give(first).await.unwrap();
        self.give(second).await.unwrap();
        let opened = Action::OpenStore { store: store(0) };
        self.give(command(somebody(seller), opened)).await.unwrap();
        for (n, quantity) in (0..).zip(stock) {
            let added = listing(store(0), sku(n), cny(100), *quantity);
            self.give(command(somebody(seller), added)).await.unwrap();
        }
        let funded = Action::Fund { amount: cny(money) };
        self.give(command(somebody(buyer), funded)).await.unwrap();
        (seller, buyer)
    }
}

/// All that ever was, in memory: no order leaves it.
#[derive(Default)]
pub struct Everything {
    pub world: World,
    upto: CommitNumber,
}

impl Everything {
    /// Takes in what a site has recorded since; gives that.
    pub fn catch_up(&mut self, site: &Site) -> Vec<Recorded> {
        let news = decisions_after(site.journal.as_ref(), self.upto);
        let news: Vec<_> = news.into_iter().flat_map(|(_, events)| events).collect();
        for recorded in &news {
            self.world.evolve(recorded);
        }
        self.upto = site.head().number;
        news
    }
}

pub type Answer = tokio::task::JoinHandle<Result<Accepted, Error>>;

/// A command under an idempotency key of its caller's.
pub fn keyed(command: Command, key: &str, body: u8) -> Request {
    let owner = match command.caller {
        Caller::Login(login) => KeyOwner::Login(login),
        _ => KeyOwner::Account,
    };
    let key = KeyUse {
        owner,
        operation: command.action.name().into(),
        key: IdempotencyKey::new(key).unwrap(),
        request: Digest([body; 32]),
    };
    Request { key: Some(key), ..Request::new(command) }
}

/// Every decision in a journal, with its events.
pub fn decisions(journal: &dyn Journal) -> Vec<(DecisionHeader, Vec<Recorded>)> {
    decisions_after(journal, CommitNumber(0))
}

/// Those of the commits after one.
fn decisions_after(
    journal: &dyn Journal,
    commit: CommitNumber,
) -> Vec<(DecisionHeader, Vec<Recorded>)> {
    let commits = journal.read(commit, usize::MAX).unwrap();
    let contents = commits.iter().flat_map(|commit| commit.contents().unwrap());
    let decoded = contents.map(|(header, envelopes)| {
        let events = envelopes.iter().map(|it| Recorded::decode(it).unwrap());
        (header, events.collect())
    });
    decoded.collect()
}
