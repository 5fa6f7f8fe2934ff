//! What must come of a command, by the documents: what a caller is to an order, a store or an
//! account is found here anew, and what follows is read from the [life cycles](super::law).

use std::collections::BTreeMap;

use docket::domain::{
    Account, Action, Caller, ChannelState, Command, Credential, Listing, Order, Place, Token,
    World,
    lifecycle::{MoneyWord, Word},
};
use events::{
    AccountId, By, Currency, LEVEL, Millis, Money, OrderId, Phase, Pot, Role, Sku, StockWord,
    StoreId,
};

use super::{
    books::Books,
    law::{Facets, Law},
};

/// What must come of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Refused,
    /// It is accepted, and there is nothing to record.
    Nothing,
    Happens,
}

use Verdict::{Happens, Nothing, Refused};

/// What must come of a command that is decided now.
pub fn judge(books: &Books, world: &World, command: &Command, now: Millis) -> Verdict {
    let it = Asked { books, world, command, now };
    match &command.action {
        Action::Register { account, login, .. } => {
            let free = !world.logins.contains_key(&(command.channel.clone(), *login));
            let served = it.newest().is_some();
            happens(served && free && !world.accounts.contains_key(account))
        }
        Action::ChangePassword { .. } | Action::OpenSession { .. } => {
            happens(it.proven().is_some())
        }
        Action::CloseSession { token } => match it.proven() {
            Some((_, own)) if own.sessions.iter().any(|(known, _)| known == token) => Happens,
            Some(_) => Nothing,
            None => Refused,
        },
        Action::Unregister => happens(it.proven().is_some_and(|(id, _)| !it.has_open_orders(id))),
        Action::Forget { account } => {
            let here = world.accounts.get(account).is_none_or(|it| it.channel == command.channel);
            happens(it.operates() && here && !it.has_open_orders(*account))
        }
        Action::IssueToken(token) => {
            let taken = |it: &Token| it.name == token.name && lives(it, now);
            let new = !world.tokens.values().any(taken) && !world.tokens.contains_key(&token.token);
            happens(it.operates_all() && new)
        }
        Action::RevokeToken { name } => {
            happens(it.operates_all() && world.tokens.values().any(|it| it.name == *name))
        }
        Action::OpenStore { store } => happens(
            it.proven().is_some() && it.channel().is_none_or(|it| !it.stores.contains_key(store)),
        ),
        Action::AddListing(added) => {
            let new = it.own_listings(&added.store).is_some_and(|it| !it.contains_key(&added.sku));
            happens(new && added.price.minor >= 0 && added.quantity >= 0)
        }
        Action::AddStock { store, sku, quantity } => {
            let listing = it.own_listings(store).and_then(|listings| listings.get(sku));
            let room = listing.is_some_and(|it| fits([it.shelf, it.reserved, *quantity]));
            happens(*quantity >= 1 && room)
        }
        Action::Fund { amount } => match it.proven() {
            Some((_, account)) => change(account, *amount),
            None => Refused,
        },
        Action::Charge { account, amount } => match it.account(*account) {
            Some(account) if it.operates() => change(account, *amount),
            _ => Refused,
        },
        Action::Place(place) => happens(it.places(place)),
        Action::Step { order, store, word } => {
            let named = |order: &&Order| store.as_ref().is_none_or(|store| order.store == *store);
            let known = it.order(*order).filter(named);
            happens(known.is_some_and(|known| it.steps(*order, known, *word)))
        }
        Action::Move { order } => match (it.newest(), it.order(*order)) {
            (Some(law), Some(order)) if it.operates() => {
                if ended(order.phase) || order.lifecycle == law.version {
                    Nothing
                } else {
                    happens(!law.stuck.contains(&order.phase))
                }
            }
            _ => Refused,
        },
        Action::AdoptLifecycle { digest, text } => {
            let Some(law) = Law::reading(&command.channel, text) else { return Refused };
            let newest = it.channel().and_then(ChannelState::newest);
            match (it.operates(), newest, it.newest().map(|it| it.version)) {
                (false, _, _) => Refused,
                (true, Some(known), Some(version)) if version == law.version => {
                    if known.digest == *digest { Nothing } else { Refused }
                }
                (true, _, version) => happens(version.is_none_or(|it| it < law.version)),
            }
        }
        Action::AdoptSettings { overrides } => match it.newest() {
            Some(law) if it.operates() => it.adopts(law, overrides),
            _ => Refused,
        },
        Action::OpenWriter(_) => happens(command.caller == Caller::System),
        Action::UpgradeCluster { level } => {
            match it.operates_all() && (world.level..=LEVEL).contains(level) {
                true if *level == world.level => Nothing,
                lawful => happens(lawful),
            }
        }
    }
}

struct Asked<'a> {
    books: &'a Books,
    world: &'a World,
    command: &'a Command,
    now: Millis,
}

impl<'a> Asked<'a> {
    fn channel(&self) -> Option<&'a ChannelState> {
        self.world.channels.get(&self.command.channel)
    }

    fn newest(&self) -> Option<&'static Law> {
        let version = self.channel()?.lifecycles.keys().next_back()?;
        Some(Law::of(&self.command.channel, *version))
    }

    /// An account of this channel: that of another one is nobody here.
    fn account(&self, id: AccountId) -> Option<&'a Account> {
        self.world.accounts.get(&id).filter(|it| it.channel == self.command.channel)
    }

    fn order(&self, id: OrderId) -> Option<&'a Order> {
        self.world.orders.get(&id).filter(|it| it.channel == self.command.channel)
    }

    /// The caller, where it is an account and proves it.
    fn proven(&self) -> Option<(AccountId, &'a Account)> {
        let Caller::Somebody { account: Some(id), credential } = &self.command.caller else {
            return None;
        };
        let account = self.account(*id)?;
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
        proves.then_some((*id, account))
    }

    /// The named token that the caller bears, if it is live and good for this channel.
    fn token(&self) -> Option<&'a Token> {
        let Caller::Token { token, .. } = &self.command.caller else { return None };
        let token = self.world.tokens.get(token).filter(|it| lives(it, self.now))?;
        let here = token.channel.as_ref().is_none_or(|it| *it == self.command.channel);
        here.then_some(token)
    }

    /// Whether the caller runs this channel: docket itself, or an operator who is good for all of
    /// it.
    fn operates(&self) -> bool {
        let whole = |it: &Token| it.role == Role::Operator && it.store.is_none();
        self.command.caller == Caller::System || self.token().is_some_and(whole)
    }

    /// Whether the caller runs the site: who is good for one channel gives and takes no token,
    /// which may be good for more.
    fn operates_all(&self) -> bool {
        self.operates() && self.token().is_none_or(|it| it.channel.is_none())
    }

    /// All that the caller is to an order in a store and of a buyer.
    fn roles(&self, store: &StoreId, buyer: Option<AccountId>) -> Vec<By> {
        match &self.command.caller {
            Caller::System => vec![By::Operator],
            Caller::Timer => vec![By::Timer],
            Caller::Login(_) => Vec::new(),
            Caller::Token { .. } => {
                let token =
                    self.token().filter(|it| it.store.as_ref().is_none_or(|it| it == store));
                let role = token.and_then(|it| match it.role {
                    Role::Operator => Some(By::Operator),
                    Role::Staff => Some(By::Staff),
                    Role::Gateway => Some(By::Gateway),
                    Role::Auditor => None,
                });
                role.into_iter().collect()
            }
            Caller::Somebody { .. } => {
                let Some((id, _)) = self.proven() else { return Vec::new() };
                let sells = self.owner(store) == Some(id);
                let roles = [(By::Buyer, buyer == Some(id)), (By::Seller, sells)];
                roles.into_iter().filter(|(_, is)| *is).map(|(by, _)| by).collect()
            }
        }
    }

    fn owner(&self, store: &StoreId) -> Option<AccountId> {
        Some(self.channel()?.stores.get(store)?.owner)
    }

    fn own_listings(&self, store: &StoreId) -> Option<&'a std::collections::HashMap<Sku, Listing>> {
        let (id, _) = self.proven()?;
        let store = self.channel()?.stores.get(store)?;
        (store.owner == id).then_some(&store.listings)
    }

    fn has_open_orders(&self, id: AccountId) -> bool {
        self.world.orders.values().filter(|order| !ended(order.phase)).any(|order| {
            let stores = &self.world.channels[&order.channel].stores;
            order.buyer == id || stores[&order.store].owner == id
        })
    }

    fn places(&self, place: &Place) -> bool {
        let own = match self.command.caller {
            Caller::Somebody { account, .. } => account,
            _ => None,
        };
        let buyer = place.buyer.or(own);
        let Some(law) = self.newest() else { return false };
        let roles = self.roles(&place.store, buyer);
        let available = self.sells(place, true);
        let facets = Facets { available, ..Facets::new(place.method) };
        let row = law.find(Word::Place, None, facets, &roles);
        buyer.is_some_and(|it| self.account(it).is_some())
            && row.is_some_and(|row| self.sells(place, row.stock.contains(&StockWord::Reserve)))
            && !self.books.knows(place.order)
            && !self.books.has_number(&self.command.channel, &place.number)
    }

    /// Whether somebody sells all that; what is put aside at once must be there.
    fn sells(&self, place: &Place, reserves: bool) -> bool {
        let store = self.channel().and_then(|it| it.stores.get(&place.store));
        let Some(store) = store else { return false };
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
            quantity <= i128::from(if reserves { *shelf } else { i64::MAX })
        });
        currencies.dedup();
        let counts = place.lines.iter().all(|(_, quantity)| *quantity >= 1);
        self.account(store.owner).is_some()
            && on_sale
            && counts
            && skus.len() <= self.setting("max_lines").parse().unwrap()
            && currencies.len() == 1
            && total <= i128::from(i64::MAX)
    }

    fn steps(&self, id: OrderId, order: &Order, word: Word) -> bool {
        let law = Law::of(&order.channel, order.lifecycle);
        let roles = self.roles(&order.store, Some(order.buyer));
        let facets = self.books.facets(id);
        let row = law.find(word, Some(order.phase), facets, &roles);
        row.is_some_and(|row| {
            let takes = row.stock.contains(&StockWord::Reserve);
            (facets.available || !takes) && self.moves(order, &row.money)
        })
    }

    /// Whether money can be moved like that: there is enough of it, and what somebody has and what
    /// may come back to it can be counted together.
    fn moves(&self, order: &Order, words: &[MoneyWord]) -> bool {
        let owner = self.owner(&order.store).unwrap();
        let mut has: BTreeMap<AccountId, [i128; 2]> = BTreeMap::new();
        for id in [order.buyer, owner] {
            let known = self.account(id);
            has.insert(id, known.map_or([0, 0], |it| pots(it, order.total.currency)));
        }
        let (total, mut held) = (i128::from(order.total.minor), i128::from(order.held));
        let mut source = order.paid_from;
        words.iter().all(|word| {
            let before = held;
            match word {
                MoneyWord::Hold => {
                    has.get_mut(&order.buyer).unwrap()[0] -= total;
                    (held, source) = (total, Some(Pot::Wallet(order.buyer)));
                }
                MoneyWord::Capture => (held, source) = (total, Some(Pot::Outside)),
                MoneyWord::Release => {
                    has.get_mut(&owner).unwrap()[0] += held;
                    held = 0;
                }
                MoneyWord::Refund => {
                    if let Some(Pot::Wallet(id)) = source {
                        has.get_mut(&id).unwrap()[0] += held;
                    }
                    held = 0;
                }
            }
            has.get_mut(&order.buyer).unwrap()[1] += held - before;
            has.values().all(|[wallet, back]| *wallet >= 0 && fits([*wallet, *back, 0]))
        })
    }

    fn setting(&self, name: &str) -> &'a str {
        let recorded = self.channel().and_then(|it| it.settings.get(name));
        recorded.map_or_else(|| self.newest().unwrap().settings[name], String::as_str)
    }

    fn adopts(&self, law: &Law, overrides: &BTreeMap<String, String>) -> Verdict {
        let mut values: BTreeMap<String, String> =
            law.settings.iter().map(|(name, it)| ((*name).into(), (*it).into())).collect();
        for (name, text) in overrides {
            match values.get_mut(name) {
                Some(value) if is_time(value) == is_time(text) => value.clone_from(text),
                _ => return Refused,
            }
        }
        let state = self.channel().unwrap();
        if state.settings == values { Nothing } else { Happens }
    }
}

/// How long a text says, in milliseconds, where it says so.
pub fn time_ms(text: &str) -> Option<i64> {
    let units = [("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let mut found = units.iter().filter_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)));
    found.find_map(|(count, ms)| Some(count.parse::<i64>().ok()? * ms))
}

fn is_time(text: &str) -> Option<bool> {
    match text.parse::<u64>() {
        Ok(_) => Some(false),
        Err(_) => time_ms(text).map(|_| true),
    }
}

fn lives(token: &Token, now: Millis) -> bool {
    token.expires_at.is_none_or(|at| at > now)
}

/// Money into a wallet, or out of it.
fn change(account: &Account, amount: Money) -> Verdict {
    let [wallet, back] = pots(account, amount.currency);
    match i128::from(amount.minor) {
        0 => Nothing,
        minor if minor > 0 => happens(fits([wallet, back, minor])),
        minor => happens(wallet + minor >= 0),
    }
}

/// What an account has in its wallet, and what may come back to it.
fn pots(account: &Account, currency: Currency) -> [i128; 2] {
    let of = |pot: &BTreeMap<_, i64>| pot.get(&currency).copied().unwrap_or(0).into();
    [of(&account.wallet), of(&account.held)]
}

fn fits<N: Into<i128>>(all: [N; 3]) -> bool {
    all.into_iter().map(Into::into).sum::<i128>() <= i128::from(i64::MAX)
}

fn happens(it: bool) -> Verdict {
    if it { Happens } else { Refused }
}

/// Whether an order rests there for ever.
pub fn ended(phase: Phase) -> bool {
    use Phase::{Cancelled, Completed, Refunded, Rejected};
    matches!(phase, Completed | Cancelled | Refunded | Rejected)
}
