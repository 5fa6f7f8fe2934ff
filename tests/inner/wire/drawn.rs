//! Draws everything that goes from node to node, each variant of it.

use std::{collections::BTreeMap, sync::Arc};

use docket::{
    domain::{Action, Caller, Command, Credential, Place, Rejection, lifecycle::Word},
    engine::{Accepted, Error, KeyOwner, KeyUse, Request},
};
use events::{
    AccountId, Channel, CommandId, Currency, Digest, IdempotencyKey, Kind, ListingAdded, Method,
    Millis, Money, NodeName, OrderId, OrderNumber, OrderReceipt, Phase, Position, Receipt, Role,
    Sealed, Sku, StoreId, TokenIssued, TokenName, WrappedKey, WriterOpened,
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};
use serde_json::Value;
use uuid::Uuid;

pub fn any_request() -> impl Strategy<Value = Request> {
    let key =
        (any_owner(), text(), name(), digest()).prop_map(|(owner, operation, key, request)| {
            let (operation, key) = (operation.into(), IdempotencyKey::new(key).unwrap());
            KeyUse { owner, operation, key, request }
        });
    let wrapped = (text(), any::<Vec<u8>>()).prop_map(|(id, bytes)| WrappedKey { id, bytes });
    let parts = (command(), option::of(key), option::of(text()), vec(wrapped, 0..3), any::<bool>());
    parts.prop_map(|(command, key, correlation, wrapped, again)| Request {
        command,
        key,
        correlation,
        wrapped,
        again,
    })
}

pub fn any_answer() -> impl Strategy<Value = Result<Accepted, Error>> {
    let orders = (order(), name(), money()).prop_map(|(id, number, total)| OrderReceipt {
        id,
        number: OrderNumber::new(number).unwrap(),
        total,
    });
    let receipt =
        (any::<u64>(), millis(), vec(orders, 0..3)).prop_map(|(position, recorded_at, orders)| {
            Receipt { position: Position(position), recorded_at, orders }
        });
    let accepted = (uuid(), receipt, any::<bool>()).prop_map(|(id, receipt, replay)| Accepted {
        command: CommandId(id),
        receipt,
        replay,
    });
    prop_oneof![accepted.prop_map(Ok), any_error().prop_map(Err)]
}

fn command() -> impl Strategy<Value = Command> {
    (uuid(), name(), any_caller(), any_action()).prop_map(|(id, channel, caller, action)| Command {
        id: CommandId(id),
        channel: Channel::new(channel).unwrap(),
        caller,
        action,
    })
}

pub fn any_caller() -> BoxedStrategy<Caller> {
    let verified = (option::of(digest()), option::of(any::<u64>()))
        .prop_map(|(session, password)| Credential::Verified { session, password });
    let credential = prop_oneof![Just(Credential::Failed), Just(Credential::Waived), verified];
    prop_oneof![
        Just(Caller::System),
        Just(Caller::Timer),
        digest().prop_map(Caller::Login),
        (digest(), token_name()).prop_map(|(token, name)| Caller::Token { token, name }),
        (option::of(account()), credential)
            .prop_map(|(account, credential)| Caller::Somebody { account, credential }),
    ]
    .boxed()
}

pub fn any_owner() -> BoxedStrategy<KeyOwner> {
    let (login, token) = (digest().prop_map(KeyOwner::Login), digest().prop_map(KeyOwner::Token));
    prop_oneof![Just(KeyOwner::Account), login, token].boxed()
}

fn node_name() -> impl Strategy<Value = NodeName> {
    "[!-~]{1,20}".prop_map(|text| NodeName::new(text).unwrap())
}

pub fn any_action() -> BoxedStrategy<Action> {
    let accounts = prop_oneof![
        (account(), digest(), sealed(), sealed()).prop_map(
            |(account, login, login_sealed, password)| Action::Register {
                account,
                login,
                login_sealed,
                password
            }
        ),
        sealed().prop_map(|password| Action::ChangePassword { password }),
        Just(Action::Unregister),
        account().prop_map(|account| Action::Forget { account }),
        (account(), money()).prop_map(|(account, amount)| Action::Charge { account, amount }),
        (digest(), millis(), option::of(sealed())).prop_map(|(token, expires_at, terminal)| {
            Action::OpenSession { token, expires_at, terminal }
        }),
        digest().prop_map(|token| Action::CloseSession { token }),
        money().prop_map(|amount| Action::Fund { amount }),
    ];
    let tokens = prop_oneof![
        token().prop_map(|token| Action::IssueToken(Box::new(token))),
        token_name().prop_map(|name| Action::RevokeToken { name }),
    ];
    let stores = prop_oneof![
        store().prop_map(|store| Action::OpenStore { store }),
        listing().prop_map(|listing| Action::AddListing(Box::new(listing))),
        (store(), sku(), any::<i64>()).prop_map(|(store, sku, quantity)| Action::AddStock {
            store,
            sku,
            quantity
        }),
    ];
    let orders = prop_oneof![
        place().prop_map(Action::Place),
        (order(), option::of(store()), word()).prop_map(|(order, store, word)| Action::Step {
            order,
            store,
            word
        }),
        order().prop_map(|order| Action::Move { order }),
    ];
    let channels = prop_oneof![
        (digest(), text()).prop_map(|(digest, text)| Action::AdoptLifecycle { digest, text }),
        btree_map(text(), text(), 0..4).prop_map(|overrides| Action::AdoptSettings { overrides }),
        (node_name(), node_name())
            .prop_map(|(node, address)| Action::OpenWriter(WriterOpened { node, address })),
        any::<u32>().prop_map(|level| Action::UpgradeCluster { level }),
    ];
    prop_oneof![accounts, tokens, stores, orders, channels].boxed()
}

pub fn any_error() -> BoxedStrategy<Error> {
    prop_oneof![
        any_rejection().prop_map(Error::Rejected),
        Just(Error::KeyReused),
        Just(Error::Full),
        Just(Error::Overdue),
        uuid().prop_map(|id| Error::Unknown(CommandId(id))),
        text().prop_map(|it| Error::Unread(Arc::from(it))),
        text().prop_map(|it| Error::Stopped(Arc::from(it))),
        Just(Error::NoWriter),
        Just(Error::ShuttingDown),
    ]
    .boxed()
}

pub fn any_rejection() -> BoxedStrategy<Rejection> {
    let plain = select(vec![
        Rejection::AccountUnknown,
        Rejection::LoginTaken,
        Rejection::Unauthenticated,
        Rejection::Forbidden,
        Rejection::NotOwn,
        Rejection::Funds,
        Rejection::Overflow,
        Rejection::NoLifecycle,
    ]);
    let named = prop_oneof![
        account().prop_map(|buyer| Rejection::BuyerUnknown { buyer }),
        token_name().prop_map(|name| Rejection::TokenTaken { name }),
        token_name().prop_map(|name| Rejection::TokenUnknown { name }),
        store().prop_map(|store| Rejection::StoreUnknown { store }),
        store().prop_map(|store| Rejection::StoreTaken { store }),
        sku().prop_map(|sku| Rejection::SkuUnknown { sku }),
        sku().prop_map(|sku| Rejection::SkuTaken { sku }),
        sku().prop_map(|sku| Rejection::Short { sku }),
        order().prop_map(|order| Rejection::OrderUnknown { order }),
    ];
    let told = prop_oneof![
        (option::of(phase()), word()).prop_map(|(phase, word)| Rejection::Phase { phase, word }),
        (any::<i64>(), text())
            .prop_map(|(most, what)| Rejection::TooMany { most, what: what.into() }),
        (text(), text())
            .prop_map(|(field, reason)| Rejection::Invalid { field: field.into(), reason }),
        any::<usize>().prop_map(|bytes| Rejection::TooLarge { bytes }),
        text().prop_map(Rejection::NotYet),
        text().prop_map(|it| Rejection::StillOpen(it.into())),
        text().prop_map(Rejection::Stuck),
        (any::<u32>(), any::<u32>())
            .prop_map(|(version, current)| Rejection::LifecycleOld { version, current }),
        text().prop_map(Rejection::LifecycleBad),
        text().prop_map(Rejection::SettingBad),
    ];
    prop_oneof![plain, named, told].boxed()
}

fn place() -> impl Strategy<Value = Place> {
    let kind = select(vec![Kind::Physical, Kind::Virtual, Kind::PickUp]);
    let method = select(vec![
        Method::Wallet,
        Method::Online,
        Method::Bank,
        Method::OnDelivery,
        Method::AtStore,
    ]);
    let lines = vec((sku(), any::<i64>()), 0..4);
    (order(), name(), store(), lines, option::of(account()), kind, method).prop_map(
        |(order, number, store, lines, buyer, kind, method)| {
            let number = OrderNumber::new(number).unwrap();
            Place { order, number, store, lines, buyer, kind, method }
        },
    )
}

fn listing() -> impl Strategy<Value = ListingAdded> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from), // Null where it is no number.
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    });
    let attributes = btree_map(text(), value, 0..4);
    let rest = (vec(text(), 0..3), attributes, vec(digest(), 0..3));
    (store(), sku(), text(), money(), any::<i64>(), rest).prop_map(
        |(store, sku, title, price, quantity, (tags, attributes, pictures))| {
            let attributes: BTreeMap<_, _> = attributes;
            ListingAdded { store, sku, title, price, quantity, tags, attributes, pictures }
        },
    )
}

fn token() -> impl Strategy<Value = TokenIssued> {
    let role = select(vec![Role::Operator, Role::Auditor, Role::Staff, Role::Gateway]);
    let channel = option::of(name().prop_map(|it| Channel::new(it).unwrap()));
    (digest(), token_name(), role, channel, option::of(store()), option::of(millis())).prop_map(
        |(token, name, role, channel, store, expires_at)| TokenIssued {
            token,
            name,
            role,
            channel,
            store,
            expires_at,
        },
    )
}

fn phase() -> impl Strategy<Value = Phase> {
    select(Phase::ALL.to_vec())
}

fn word() -> impl Strategy<Value = Word> {
    select(Word::ALL)
}

fn sealed() -> impl Strategy<Value = Sealed> {
    (account(), text()).prop_map(|(account, text)| Sealed::new(account, text))
}

fn money() -> impl Strategy<Value = Money> {
    let currency = select(vec![Currency::CNY, Currency::USD, Currency::COIN]);
    (any::<i64>(), currency).prop_map(|(minor, currency)| Money { minor, currency })
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn millis() -> impl Strategy<Value = Millis> {
    any::<i64>().prop_map(Millis)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn account() -> impl Strategy<Value = AccountId> {
    uuid().prop_map(AccountId)
}

fn order() -> impl Strategy<Value = OrderId> {
    uuid().prop_map(OrderId)
}

fn store() -> impl Strategy<Value = StoreId> {
    name().prop_map(|it| StoreId::new(it).unwrap())
}

fn sku() -> impl Strategy<Value = Sku> {
    name().prop_map(|it| Sku::new(it).unwrap())
}

fn token_name() -> impl Strategy<Value = TokenName> {
    name().prop_map(|it| TokenName::new(it).unwrap())
}

/// What may be a name: anything but nothing, whatever is in it.
fn name() -> impl Strategy<Value = String> {
    vec(any::<char>(), 1..20).prop_map(String::from_iter)
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}
