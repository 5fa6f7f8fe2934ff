//! What the bookstore's documents allow, written from them and not from the code or its file.

use docket::domain::{
    Account, Action, Caller, Command, Credential, Listing, Order, Place, World, lifecycle::Word,
};
use events::{By, Millis, Phase, Sku};

use By::{Buyer, Seller, Timer};
use Phase::{AwaitingPayment, Cancelled, Completed, Paid, Shipped};

/// Every step of an order that there is: what is asked, where the order is, who may, where it goes.
pub const STEPS: [(Word, Phase, By, Phase); 7] = [
    (Word::Pay, AwaitingPayment, Buyer, Paid),
    (Word::Cancel, AwaitingPayment, Buyer, Cancelled),
    (Word::Cancel, Paid, Buyer, Cancelled),
    (Word::Expire, AwaitingPayment, Timer, Cancelled),
    (Word::Ship, Paid, Seller, Shipped),
    (Word::Receive, Shipped, Buyer, Completed),
    (Word::Receive, Shipped, Timer, Completed),
];

/// Whether a command must be accepted.
pub fn allows(world: &World, command: &Command, now: Millis) -> bool {
    let it = Asked { world, command, now };
    let caller = &command.caller;
    match &command.action {
        Action::Register { account, login, .. } => {
            !world.logins.contains_key(&(command.channel.clone(), *login))
                && !world.accounts.contains_key(account)
        }
        Action::ChangePassword { .. }
        | Action::OpenSession { .. }
        | Action::CloseSession { .. } => it.proven().is_some(),
        Action::Unregister => it.proven().is_some_and(|_| !it.has_open_orders()),
        Action::OpenStore { store } => {
            it.proven().is_some() && !it.channel().stores.contains_key(store)
        }
        Action::AddListing(added) => {
            let own = it.channel().stores.get(&added.store).filter(|store| it.is(store.owner));
            let new = own.is_some_and(|store| !store.listings.contains_key(&added.sku));
            new && added.price.minor >= 0 && added.quantity >= 0
        }
        Action::AddStock { store, sku, quantity } => {
            let own = it.channel().stores.get(store).filter(|store| it.is(store.owner));
            let listing = own.and_then(|store| store.listings.get(sku));
            *quantity >= 1 && listing.is_some_and(|it| fits([it.shelf, it.reserved, *quantity]))
        }
        Action::Fund { amount } => it.proven().is_some_and(|account| {
            let (wallet, held) = has(account, amount.currency);
            match amount.minor {
                0.. => fits([wallet, held, amount.minor]),
                _ => i128::from(wallet) + i128::from(amount.minor) >= 0,
            }
        }),
        Action::Place(place) => it.proven().is_some() && it.sells(place),
        Action::Step { order, store, word } => {
            let known = world.orders.get(order);
            let known = known.filter(|it| store.as_ref().is_none_or(|store| it.store == *store));
            known.is_some_and(|order| it.steps(order, *word))
        }
        // What operators do is not asked for at random.
        Action::AdoptLifecycle { .. }
        | Action::AdoptSettings { .. }
        | Action::Forget { .. }
        | Action::IssueToken(_)
        | Action::RevokeToken { .. }
        | Action::Charge { .. }
        | Action::Move { .. } => *caller == Caller::System,
    }
}

struct Asked<'a> {
    world: &'a World,
    command: &'a Command,
    now: Millis,
}

impl<'a> Asked<'a> {
    fn channel(&self) -> &'a docket::domain::ChannelState {
        &self.world.channels[&self.command.channel]
    }

    fn is(&self, account: events::AccountId) -> bool {
        self.proven().is_some()
            && matches!(self.command.caller, Caller::Somebody { account: Some(it), .. } if it == account)
    }

    /// The caller, where it is an account and proves it.
    fn proven(&self) -> Option<&'a Account> {
        let Caller::Somebody { account: Some(id), credential } = &self.command.caller else {
            return None;
        };
        let account = self.world.accounts.get(id)?;
        let proves = match credential {
            Credential::Failed => false,
            Credential::Waived => true,
            Credential::Verified { session, password } => {
                let live =
                    |token| account.sessions.iter().any(|it| it.0 == token && it.1 > self.now);
                (session.is_some() || password.is_some())
                    && session.is_none_or(live)
                    && password.is_none_or(|version| version == account.password)
            }
        };
        proves.then_some(account)
    }

    fn has_open_orders(&self) -> bool {
        self.world.orders.values().filter(|order| !ended(order.phase)).any(|order| {
            let owner = self.channel().stores[&order.store].owner;
            self.is(order.buyer) || self.is(owner)
        })
    }

    fn sells(&self, place: &Place) -> bool {
        let Some(store) = self.channel().stores.get(&place.store) else { return false };
        let mut skus: Vec<&Sku> = place.lines.iter().map(|(sku, _)| sku).collect();
        skus.sort();
        skus.dedup();
        let mut total = 0;
        let mut currencies = Vec::new();
        let on_sale = skus.iter().all(|sku| {
            let Some(Listing { price, shelf, .. }) = store.listings.get(*sku) else { return false };
            let asked = place.lines.iter().filter(|line| line.0 == **sku);
            let quantity: i128 = asked.map(|line| i128::from(line.1)).sum();
            total += i128::from(price.minor) * quantity;
            currencies.push(price.currency);
            quantity <= i128::from(*shelf)
        });
        currencies.dedup();
        let new = !self.world.orders.contains_key(&place.order);
        let counts = place.lines.iter().all(|(_, quantity)| *quantity >= 1);
        self.world.accounts.contains_key(&store.owner)
            && on_sale
            && counts
            && new
            && currencies.len() == 1
            && total <= i128::from(i64::MAX)
    }

    fn steps(&self, order: &Order, word: Word) -> bool {
        let owner = self.channel().stores[&order.store].owner;
        let allowed = STEPS.iter().any(|(known, from, by, _)| {
            let may = match by {
                Buyer => self.is(order.buyer),
                Seller => self.is(owner),
                _ => self.command.caller == Caller::Timer,
            };
            *known == word && *from == order.phase && may
        });
        let currency = order.total.currency;
        allowed
            && match word {
                Word::Pay => {
                    has(&self.world.accounts[&order.buyer], currency).0 >= order.total.minor
                }
                // Money that may come back to the seller from its own orders needs room, too.
                Word::Receive => {
                    let (wallet, held) = has(&self.world.accounts[&owner], currency);
                    fits([wallet, held, if owner == order.buyer { 0 } else { order.total.minor }])
                }
                _ => true,
            }
    }
}

/// What an account has in its wallet, and what may come back to it.
fn has(account: &Account, currency: events::Currency) -> (i64, i64) {
    let of = |pot: &std::collections::BTreeMap<_, i64>| pot.get(&currency).copied().unwrap_or(0);
    (of(&account.wallet), of(&account.held))
}

fn fits(all: [i64; 3]) -> bool {
    all.map(i128::from).iter().sum::<i128>() <= i128::from(i64::MAX)
}

pub fn ended(phase: Phase) -> bool {
    matches!(phase, Completed | Cancelled)
}
