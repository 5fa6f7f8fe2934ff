//! Random commands: in which channel, who asks, with what proof, for what. They are made without
//! knowing the world, and [become](super::given) commands when they are given.

use docket::domain::lifecycle::Word;
use events::*;
use proptest::prelude::*;

/// Something that somebody may ask for.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which of the channels the command is for.
    pub channel: usize,
    /// Which of them the people, orders and accounts in it are of: the same, mostly.
    pub home: usize,
    pub who: Who,
    pub proof: Proof,
    pub what: What,
}

#[derive(Debug, Clone, Copy)]
pub enum Who {
    Person(u8),
    /// Of the order that the command is about.
    Buyer,
    /// Of the order that the command is about.
    Seller,
    Timer,
    System,
    Login(u8),
    /// Who bears the token of this name, live or not.
    Token(u8),
    /// Who bears a live token of this role, where there is one.
    Bearer(Role),
    /// Whoever may do it.
    Right,
}

#[derive(Debug, Clone, Copy)]
pub enum Proof {
    Password,
    OldPassword,
    Session,
    NoSession,
    Waived,
    Failed,
    Nothing,
}

/// What is asked for; numbers name people, stores, things, tokens and orders.
#[derive(Debug, Clone)]
pub enum What {
    Register,
    ChangePassword,
    Unregister,
    OpenSession {
        lives_ms: i64,
    },
    CloseSession,
    OpenStore(u8),
    AddListing {
        store: u8,
        sku: u8,
        price: Money,
        quantity: i64,
    },
    AddStock {
        store: u8,
        sku: u8,
        quantity: i64,
    },
    Fund(Money),
    Charge {
        whose: u8,
        amount: Money,
    },
    Forget(u8),
    IssueToken {
        name: u8,
        role: Role,
        here: bool,
        store: Option<u8>,
        lives_ms: Option<i64>,
    },
    RevokeToken(u8),
    Place(Wanted),
    Act {
        order: usize,
        word: Word,
        store: Option<u8>,
        /// Of those only to which it can be done.
        fitting: bool,
    },
    /// What leads on from where the order is: the row and who of its callers.
    Go {
        order: usize,
        nth: usize,
    },
    Move {
        order: usize,
        /// Of those only that live by an older version.
        fitting: bool,
    },
    AdoptLifecycle {
        version: u32,
        text: Text,
    },
    AdoptSettings(&'static [(&'static str, &'static str)]),
    OpenWriter,
    UpgradeCluster(u32),
}

#[derive(Debug, Clone)]
pub struct Wanted {
    pub store: u8,
    pub lines: Vec<(u8, i64)>,
    /// For whom.
    pub buyer: Option<u8>,
    pub kind: Kind,
    pub method: Method,
    /// One that others may ask for, too.
    pub number: Option<u8>,
    /// By the id of an order that there is.
    pub again: bool,
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub enum Text {
    Right,
    /// The same with another digest.
    Other,
    Broken,
}

/// So many tokens share their names.
const TOKENS: u8 = 12;

/// Settings that a site may want.
const SETTINGS: [&[(&str, &str)]; 7] = [
    &[],
    &[("pay_within", "300s")],
    &[("pay_within", "1h"), ("receive_within", "2d")],
    &[("max_lines", "2")],
    &[("max_lines", "2h")],
    &[("pay_within", "soon")],
    &[("patience", "1h")],
];

/// Three people, two stores, four things, and money in the two channels that docket serves, and
/// named tokens: without them most commands are refused.
pub fn beginning() -> Vec<Step> {
    let issue = |(name, role, channel, store): (_, _, Option<usize>, _)| Step {
        channel: channel.unwrap_or_default(),
        home: channel.unwrap_or_default(),
        who: Who::System,
        proof: Proof::Nothing,
        what: What::IssueToken {
            name,
            role,
            here: channel.is_some(),
            store,
            lives_ms: (name >= 6).then_some(200_000),
        },
    };
    let tokens = [
        (0, Role::Operator, None, None),
        (1, Role::Staff, None, None),
        (2, Role::Gateway, None, None),
        (3, Role::Auditor, None, None),
        (4, Role::Operator, Some(0), None),
        (5, Role::Operator, Some(1), Some(0)),
        (6, Role::Operator, None, None),
        (7, Role::Staff, None, None),
    ];
    tokens.map(issue).into_iter().chain(opening(0)).chain(opening(1)).collect()
}

/// The same people, stores and things in one channel. The third begins with its life cycle.
pub fn opening(channel: usize) -> Vec<Step> {
    let step = |who, what| Step { channel, home: channel, who, proof: Proof::Password, what };
    let person = |n, what| step(Who::Person(n), what);
    let mut steps = Vec::new();
    if channel == 2 {
        let adopted = What::AdoptLifecycle { version: 1, text: Text::Right };
        steps.push(step(Who::Bearer(Role::Operator), adopted));
    }
    steps.extend((0..3).map(|n| person(n, What::Register)));
    for (n, currency) in [(0, Currency::CNY), (1, Currency::COIN)] {
        steps.push(person(n, What::OpenStore(n)));
        for (sku, minor) in [(0, 7), (1, 8), (2, 0)] {
            let price = Money { minor, currency };
            steps.push(person(n, What::AddListing { store: n, sku, price, quantity: 40 }));
        }
        for payer in 0..3 {
            steps.push(person(payer, What::Fund(Money { minor: 300, currency })));
        }
        steps.push(person(n, What::OpenSession { lives_ms: 3_600_000 }));
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
        16 => Just(Proof::Password),
        1 => Just(Proof::OldPassword),
        4 => Just(Proof::Session),
        1 => Just(Proof::NoSession),
        4 => Just(Proof::Waived),
        1 => Just(Proof::Failed),
        1 => Just(Proof::Nothing),
    ];
    let of = |channel| (Just(channel), prop_oneof![about_order(channel), other()]).boxed();
    let asked = prop_oneof![5 => of(0), 5 => of(1), 5 => of(2)];
    let stray = prop_oneof![24 => Just(0), 1 => 1..3usize];
    (asked.boxed(), proof, stray)
        .prop_map(|((channel, (who, what)), proof, stray)| {
            let home = (channel + stray) % 3;
            Step { channel, home, who, proof, what }
        })
        .boxed()
}

fn person() -> impl Strategy<Value = Who> {
    prop_oneof![12 => 0..3u8, 1 => Just(3)].prop_map(Who::Person)
}

fn odd() -> BoxedStrategy<Who> {
    prop_oneof![
        Just(Who::Timer),
        Just(Who::System),
        (0..4u8).prop_map(Who::Login),
        (0..TOKENS).prop_map(Who::Token),
    ]
    .boxed()
}

/// A step of an order, by who may take it, mostly.
fn about_order(channel: usize) -> BoxedStrategy<(Who, What)> {
    use Word::*;
    let (staff, operator) = (Who::Bearer(Role::Staff), Who::Bearer(Role::Operator));
    let gateway = Who::Bearer(Role::Gateway);
    let everywhere = [
        (12, Pay, Who::Buyer),
        (4, Cancel, Who::Buyer),
        (3, Cancel, Who::Seller),
        (4, Cancel, operator),
        (12, Ship, Who::Seller),
        (6, Receive, Who::Buyer),
        (3, Receive, Who::Timer),
        (2, Expire, Who::Timer),
    ];
    let in_stall = [
        (5, Pay, gateway),
        (4, Pay, staff),
        (2, Pay, operator),
        (4, Ship, staff),
        (4, Prepare, Who::Seller),
        (4, Prepare, staff),
        (5, ConfirmDelivery, gateway),
        (4, FailDelivery, gateway),
        (2, Receive, staff),
        (3, RequestRefund, Who::Buyer),
        (3, ConfirmRefund, gateway),
        (2, ConfirmRefund, operator),
        (3, Cancel, staff),
    ];
    let known = everywhere.iter().chain(if channel == 2 { &in_stall[..] } else { &[] });
    let known = known.map(|(weight, word, right)| (*weight, Just((*word, *right)).boxed()));
    let known = prop::strategy::Union::new_weighted(known.collect());
    let any_word = prop_oneof![
        1 => prop::sample::select(Word::ALL),
        1 => prop::sample::select(vec![Pay, Cancel, Ship, Receive, Expire]),
    ];
    let any = (any_word, any_role().prop_map(Who::Bearer)).boxed();
    let on = (0..64usize, 0..1000usize).prop_map(|(order, nth)| What::Go { order, nth });
    let on = (prop_oneof![15 => Just(Who::Right), 1 => person(), 1 => odd()], on);
    let asked = (prop_oneof![10 => known.boxed(), 1 => any], act()).prop_flat_map(
        |((word, right), (order, store, fitting))| {
            let who = prop_oneof![12 => Just(right), 2 => person(), 1 => odd()];
            (who, Just(What::Act { order, word, store, fitting }))
        },
    );
    prop_oneof![1 => on.boxed(), 1 => asked.boxed()].boxed()
}

fn act() -> impl Strategy<Value = (usize, Option<u8>, bool)> {
    let store = prop_oneof![6 => Just(None), 1 => (0..3u8).prop_map(Some)];
    (0..64usize, store, prop::bool::weighted(0.7))
}

fn any_role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Operator, Role::Auditor, Role::Staff, Role::Gateway])
}

fn other() -> BoxedStrategy<(Who, What)> {
    let anybody = prop_oneof![20 => person(), 1 => odd()].boxed();
    let own = prop_oneof![
        1 => Just(What::Register),
        1 => Just(What::ChangePassword),
        1 => Just(What::Unregister),
        2 => (-10..100_000i64).prop_map(|lives_ms| What::OpenSession { lives_ms }),
        1 => Just(What::CloseSession),
        1 => (0..3u8).prop_map(What::OpenStore),
        5 => goods(),
        4 => money().prop_map(What::Fund),
    ];
    let placers = prop_oneof![
        40 => (anybody.clone(), Just(None)).boxed(),
        2 => (anybody.clone(), (0..4u8).prop_map(Some)).boxed(),
        4 => (Just(Who::Bearer(Role::Staff)), (0..4u8).prop_map(Some)).boxed(),
        1 => (Just(Who::Bearer(Role::Operator)), (0..4u8).prop_map(Some)).boxed(),
        1 => (Just(Who::Bearer(Role::Staff)), Just(None)).boxed(),
    ];
    let placed = (placers.boxed(), wanted())
        .prop_map(|((who, buyer), wanted)| (who, What::Place(Wanted { buyer, ..wanted })));
    let operators = prop_oneof![
        8 => Just(Who::Bearer(Role::Operator)),
        4 => Just(Who::System),
        2 => (0..TOKENS).prop_map(Who::Token),
        3 => (4..8u8).prop_map(Who::Token), // Good for one channel, one store, a while.
        1 => any_role().prop_map(Who::Bearer),
        1 => person(),
        1 => odd(),
    ];
    prop_oneof![
        16 => (anybody, own.boxed()).boxed(),
        24 => placed.boxed(),
        14 => (operators.boxed(), operated()).boxed(),
    ]
    .boxed()
}

/// What operators do.
fn operated() -> BoxedStrategy<What> {
    let store = prop::option::weighted(0.2, 0..2u8);
    let lives = prop::option::weighted(0.3, -1_000_000..2_000_000i64);
    let issued = (0..TOKENS, any_role(), any::<bool>(), store, lives).prop_map(
        |(name, role, here, store, lives_ms)| What::IssueToken {
            name,
            role,
            here,
            store,
            lives_ms,
        },
    );
    let text = prop_oneof![6 => Just(Text::Right), 1 => Just(Text::Other), 1 => Just(Text::Broken)];
    let adopted =
        (1..3u32, text).prop_map(|(version, text)| What::AdoptLifecycle { version, text });
    let charged = (0..4u8, money()).prop_map(|(whose, amount)| What::Charge { whose, amount });
    prop_oneof![
        5 => charged.boxed(),
        2 => (0..5u8).prop_map(What::Forget),
        4 => issued.boxed(),
        2 => (0..TOKENS).prop_map(What::RevokeToken),
        12 => (0..64usize, prop::bool::weighted(0.7))
            .prop_map(|(order, fitting)| What::Move { order, fitting }),
        12 => adopted.boxed(),
        2 => prop::sample::select(SETTINGS.to_vec()).prop_map(What::AdoptSettings),
        1 => Just(What::OpenWriter),
        1 => (0..3u32).prop_map(What::UpgradeCluster),
    ]
    .boxed()
}

fn goods() -> BoxedStrategy<What> {
    let listings = (0..3u8, 0..4u8, money(), amount())
        .prop_map(|(store, sku, price, quantity)| What::AddListing { store, sku, price, quantity });
    let more = (0..2u8, 0..3u8, amount()).prop_map(|(store, sku, quantity)| What::AddStock {
        store,
        sku,
        quantity,
    });
    prop_oneof![2 => listings.boxed(), 3 => more.boxed()].boxed()
}

fn wanted() -> BoxedStrategy<Wanted> {
    let line = (prop_oneof![9 => 0..3u8, 1 => Just(3)], count());
    let lines = prop_oneof![1 => Just(Vec::new()), 20 => prop::collection::vec(line, 1..4)];
    let kind = prop::sample::select(vec![Kind::Physical, Kind::Virtual, Kind::PickUp]);
    let method = prop_oneof![
        8 => Just(Method::Wallet),
        2 => Just(Method::Online),
        2 => Just(Method::Bank),
        2 => Just(Method::OnDelivery),
        1 => Just(Method::AtStore),
    ];
    let number = prop::option::weighted(0.1, 0..4u8);
    (0..2u8, lines, kind, method, number, prop::bool::weighted(0.02))
        .prop_map(|(store, lines, kind, method, number, again)| Wanted {
            store,
            lines,
            buyer: None,
            kind,
            method,
            number,
            again,
        })
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
