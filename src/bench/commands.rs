//! Commands made in this process: what `place` brings over HTTP, without HTTP.

use events::{
    AccountId, Channel, CommandId, Currency, Digest, Kind, ListingAdded, Method, Millis, Money,
    OrderId, OrderNumber, Sealed, Sku, StoreId,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::shop;
use crate::{
    builtin::builtin_lifecycle,
    domain::{Action, Caller, Command, Credential, Place, lifecycle::Word},
    engine::{Decider, Request},
};

/// The channel of everything here.
pub fn channel() -> Channel {
    Channel::new("native").expect("it is short")
}

fn name<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> T {
    read(text).expect("the bench's names are short")
}

fn command(caller: Caller, action: Action) -> Request {
    let id = CommandId(Uuid::now_v7());
    Request::new(Command { id, channel: channel(), caller, action })
}

fn by(account: AccountId, action: Action) -> Request {
    // No session: who asks is known here.
    command(Caller::Somebody { account: Some(account), credential: Credential::Waived }, action)
}

/// An order of two lines.
pub fn place(buyer: AccountId) -> (OrderId, Request) {
    let order = OrderId(Uuid::now_v7());
    let number = name(&order.to_string(), |text| OrderNumber::new(text).ok());
    let line = |sku: &str, quantity| (name(sku, |text| Sku::new(text).ok()), quantity);
    let place = Place {
        order,
        number,
        store: name(shop::STORE, |text| StoreId::new(text).ok()),
        lines: vec![line(shop::SKUS[0], 1), line(shop::SKUS[1], 2)],
        buyer: None,
        kind: Kind::Physical,
        method: Method::Wallet,
    };
    (order, by(buyer, Action::Place(place)))
}

/// The end of an order that is not paid.
pub fn cancel(buyer: AccountId, order: OrderId) -> Request {
    by(buyer, Action::Step { order, store: None, word: Word::Cancel })
}

/// Opens the shop in a world of its own, with so many buyers.
///
/// # Errors
/// When the engine refuses.
pub fn open_shop(decider: &mut Decider, buyers: u32) -> anyhow::Result<Vec<AccountId>> {
    let text = builtin_lifecycle(&channel()).unwrap_or_default().to_owned();
    let digest = Digest(Sha256::digest(text.as_bytes()).into());
    let mut give = |request| decider.decide(request, NOW);
    give(command(Caller::System, Action::AdoptLifecycle { digest, text }))?;
    let mut accounts = Vec::new();
    for n in 0..=buyers {
        let account = AccountId(Uuid::now_v7());
        let login = Digest(Sha256::digest(n.to_be_bytes()).into());
        // As long as real ones: nobody opens them.
        let sealed = || Sealed::new(account, "x".repeat(96));
        let (login_sealed, password) = (sealed(), sealed());
        let action = Action::Register { account, login, login_sealed, password };
        give(command(Caller::Login(login), action))?;
        accounts.push(account);
    }
    let seller = accounts.swap_remove(0);
    let store = name(shop::STORE, |text| StoreId::new(text).ok());
    give(by(seller, Action::OpenStore { store: store.clone() }))?;
    for sku in shop::SKUS {
        let listing = ListingAdded {
            store: store.clone(),
            sku: name(sku, |text| Sku::new(text).ok()),
            title: String::new(),
            price: Money { minor: 1999, currency: Currency::CNY },
            quantity: shop::PLENTY,
            tags: Vec::new(),
            attributes: Default::default(),
            pictures: Vec::new(),
        };
        give(by(seller, Action::AddListing(Box::new(listing))))?;
    }
    Ok(accounts)
}

/// The moment at which everything here happens: deadlines of orders lie behind it.
pub const NOW: Millis = Millis(4_000_000_000_000);
