//! What the writer knows: a fold of the journal, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use events::{
    AccountId, Channel, Currency, Digest, Event, LEVEL_FIRST, Millis, Money, OrderId, OrderNumber,
    PayableId, PayableState, Position, Recorded, Role, Sku, StoreId, TokenName,
};

mod effects;

use super::{
    finished::as_id,
    keys::Keys,
    lifecycle::{Lifecycle, Settings},
    orders::{LineStock, Order, Orders},
};

/// Everything that decisions depend on.
#[derive(Debug, PartialEq)]
pub struct World {
    /// Every account that is not given up.
    pub accounts: HashMap<AccountId, Account>,
    /// Whose login name it is, by its keyed digest.
    pub logins: HashMap<(Channel, Digest), AccountId>,
    /// Every named token that is not revoked, by the digest of its text. Those that died by
    /// themselves leave when another is issued.
    pub tokens: HashMap<Digest, Token>,
    /// What belongs to each channel.
    pub channels: HashMap<Channel, ChannelState>,
    /// Every order that has not left: those that are over do, each in its time.
    pub orders: Orders,
    /// Those that are over and have not left, by when they leave.
    pub leaving: BTreeSet<(Millis, OrderId)>,
    /// Every deadline that is set, the next first.
    pub deadlines: BTreeSet<(Millis, OrderId, String)>,
    /// The idempotency keys that accepted commands took.
    pub keys: Keys,
    /// Where all money lies that docket has ever seen; the sum over each currency is zero.
    pub pots: Pots,
    /// The level of the events that may be written: every node of the cluster reads those.
    pub level: u32,
}

impl Default for World {
    fn default() -> Self {
        Self {
            accounts: HashMap::new(),
            logins: HashMap::new(),
            tokens: HashMap::new(),
            channels: HashMap::new(),
            orders: Orders::default(),
            leaving: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            keys: Keys::default(),
            pots: Pots::default(),
            level: LEVEL_FIRST,
        }
    }
}

/// Somebody.
#[derive(Debug, PartialEq)]
pub struct Account {
    /// The channel it belongs to.
    pub channel: Channel,
    /// Keyed digest of its login name.
    pub login: Digest,
    /// Changes with each new password: the position at which it was recorded.
    pub password: u64,
    /// Live sessions: digest of the token, and when it dies by itself.
    pub sessions: Vec<(Digest, Millis)>,
    /// What its wallet holds, by currency; never negative.
    pub wallet: BTreeMap<Currency, i64>,
    /// What is held for its orders, by currency: it may come back.
    pub held: BTreeMap<Currency, i64>,
    /// How many of its orders are not final.
    pub open_orders: u64,
    /// The stores it owns.
    pub stores: Vec<StoreId>,
}

/// A named token.
#[derive(Debug, PartialEq)]
pub struct Token {
    /// What it is called.
    pub name: TokenName,
    /// What its bearer may do.
    pub role: Role,
    /// The one channel it is good for; `None` where it is good for all.
    pub channel: Option<Channel>,
    /// The one store it is good for; `None` where it is good for all.
    pub store: Option<StoreId>,
    /// When it dies by itself; `None` where it does not.
    pub expires_at: Option<Millis>,
}

/// What belongs to one channel.
#[derive(Debug, Default, PartialEq)]
pub struct ChannelState {
    /// Every life cycle ever adopted, by version; open orders live by theirs.
    pub lifecycles: BTreeMap<u32, InForce>,
    /// The settings recorded last, as recorded.
    pub settings: BTreeMap<String, String>,
    /// Their number; 0 before the first.
    pub settings_number: u32,
    /// How many accounts belong to it.
    pub accounts: u64,
    /// Every store.
    pub stores: HashMap<StoreId, Store>,
    /// Every order that is over and has left, and where its newest event stands.
    pub finished: BTreeMap<OrderId, Position>,
    /// Every order number that there ever was, those aside that are the order's own id.
    pub numbers: HashSet<OrderNumber>,
    /// Every payable of the orders that have not left.
    pub payables: HashMap<PayableId, PayableEntry>,
}

/// A life cycle that orders live by.
#[derive(Debug)]
pub struct InForce {
    /// SHA-256 of its text.
    pub digest: Digest,
    /// The life cycle.
    pub lifecycle: Lifecycle,
    /// Its settings: those recorded last, or its defaults where they say nothing.
    pub settings: Settings,
}

/// The digest stands for the text, and so for the life cycle that was read from it.
impl PartialEq for InForce {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.settings == other.settings
    }
}

/// What a payer is asked for, and for which order.
#[derive(Debug, Clone, PartialEq)]
pub struct PayableEntry {
    /// How much.
    pub amount: Money,
    /// The order it pays.
    pub order: OrderId,
    /// How far it is.
    pub state: PayableState,
}

/// A place where things are sold.
#[derive(Debug, PartialEq)]
pub struct Store {
    /// Who sells; the account may be gone.
    pub owner: AccountId,
    /// What it sells.
    pub listings: HashMap<Sku, Listing>,
    /// How many of its orders are not final.
    pub open_orders: u64,
}

/// One thing that is sold.
#[derive(Debug, PartialEq)]
pub struct Listing {
    /// What one costs.
    pub price: Money,
    /// How many lie on the shelf; never negative.
    pub shelf: i64,
    /// How many are put aside for orders; never negative.
    pub reserved: i64,
}

impl ChannelState {
    /// The life cycle in force for new orders: the one of the highest version.
    pub fn newest(&self) -> Option<&InForce> {
        self.lifecycles.last_key_value().map(|(_, in_force)| in_force)
    }
}

/// All money, by pot and currency.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pots {
    /// Outside of docket; below zero by what came in.
    pub outside: BTreeMap<Currency, i128>,
    /// In wallets.
    pub wallets: BTreeMap<Currency, i128>,
    /// Held for orders.
    pub held: BTreeMap<Currency, i128>,
}

impl World {
    /// Applies a fact. Total: history is never refused, and what is written is copied.
    pub fn evolve(&mut self, recorded: &Recorded) {
        let channel = &recorded.channel;
        match &recorded.event {
            Event::AccountRegistered(it) => {
                self.logins.insert((channel.clone(), it.login), it.account);
                let account = Account {
                    channel: channel.clone(),
                    login: it.login,
                    password: recorded.position.0,
                    sessions: Vec::new(),
                    wallet: BTreeMap::new(),
                    held: BTreeMap::new(),
                    open_orders: 0,
                    stores: Vec::new(),
                };
                self.accounts.insert(it.account, account);
                self.channel_mut(channel).accounts += 1;
            }
            Event::PasswordChanged(it) => {
                if let Some(account) = self.accounts.get_mut(&it.account) {
                    account.password = recorded.position.0;
                    account.close(&it.closed);
                }
            }
            Event::AccountUnregistered(it) => {
                self.move_money(None, &it.money);
                self.logins.remove(&(channel.clone(), it.login));
                self.remove_account(it.account);
            }
            Event::AccountForgotten(it) => {
                self.move_money(None, &it.money);
                if let Some(login) = it.login {
                    self.logins.remove(&(channel.clone(), login));
                }
                self.remove_account(it.account);
            }
            Event::TokenIssued(it) => {
                self.tokens.retain(|_, known| known.lives(recorded.recorded_at));
                let token = Token {
                    name: it.name.clone(),
                    role: it.role,
                    channel: it.channel.clone(),
                    store: it.store.clone(),
                    expires_at: it.expires_at,
                };
                self.tokens.insert(it.token, token);
            }
            Event::TokenRevoked(it) => {
                self.tokens.remove(&it.token);
            }
            Event::SessionOpened(it) => {
                if let Some(account) = self.accounts.get_mut(&it.account) {
                    account.close(&it.closed);
                    account.sessions.push((it.token, it.expires_at));
                }
            }
            Event::SessionClosed(it) => {
                if let Some(account) = self.accounts.get_mut(&it.account) {
                    account.close(&[it.token]);
                }
            }
            Event::StoreOpened(it) => {
                if let Some(account) = self.accounts.get_mut(&it.owner) {
                    account.stores.push(it.store.clone());
                }
                let store = Store { owner: it.owner, listings: HashMap::new(), open_orders: 0 };
                self.channel_mut(channel).stores.insert(it.store.clone(), store);
            }
            Event::ListingAdded(it) => {
                let listing = Listing { price: it.price, shelf: it.quantity, reserved: 0 };
                if let Some(store) = self.channel_mut(channel).stores.get_mut(&it.store) {
                    store.listings.insert(it.sku.clone(), listing);
                }
            }
            Event::StockAdded(it) => {
                if let Some(listing) = self.listing_mut(channel, &it.store, &it.sku) {
                    listing.shelf += it.quantity;
                }
            }
            Event::WalletCharged(it) => self.move_money(None, &[it.money]),
            Event::WalletWithdrawn(it) => self.move_money(None, &[it.money]),
            Event::OrderPlaced(it) => self.place(recorded, it),
            Event::OrderPaid(it)
            | Event::OrderCancelled(it)
            | Event::OrderExpired(it)
            | Event::OrderPrepared(it)
            | Event::OrderShipped(it)
            | Event::OrderDelivered(it)
            | Event::OrderDeliveryFailed(it)
            | Event::OrderReceived(it)
            | Event::OrderRefundRequested(it)
            | Event::OrderRefunded(it)
            | Event::OrderRejected(it) => {
                if let Some(id) = recorded.subject.as_order() {
                    self.apply_effect(recorded, id, &it.effect);
                }
            }
            Event::OrderMoved(it) => {
                let id = recorded.subject.as_order();
                if let Some(order) = id.and_then(|id| self.orders.get_mut(&id)) {
                    order.lifecycle = it.lifecycle;
                    order.changed_at = recorded.position;
                }
            }
            Event::LifecycleAdopted(it) => {
                // It was checked before it was recorded, and history is never refused.
                if let Some(lifecycle) = Lifecycle::recorded(channel, &it.text) {
                    let state = self.channel_mut(channel);
                    let settings =
                        Settings::recorded(lifecycle.default_settings(), &state.settings);
                    let in_force = InForce { digest: it.digest, lifecycle, settings };
                    state.lifecycles.insert(it.version, in_force);
                }
            }
            Event::SettingsAdopted(it) => {
                let state = self.channel_mut(channel);
                state.settings_number = it.number;
                state.settings = it.values.clone();
                for in_force in state.lifecycles.values_mut() {
                    let defaults = in_force.lifecycle.default_settings();
                    in_force.settings = Settings::recorded(defaults, &it.values);
                }
            }
            Event::WriterOpened(_) => {} // The commit's epoch says all that a decision needs.
            Event::ClusterUpgraded(it) => self.level = it.level,
        }
    }

    /// A channel's state, made where there is none.
    pub fn channel_mut(&mut self, channel: &Channel) -> &mut ChannelState {
        if !self.channels.contains_key(channel) {
            self.channels.insert(channel.clone(), ChannelState::default());
        }
        self.channels.get_mut(channel).expect("it was just made")
    }

    fn remove_account(&mut self, id: AccountId) {
        let Some(account) = self.accounts.remove(&id) else { return };
        self.channel_mut(&account.channel).accounts -= 1;
    }

    fn listing_mut(
        &mut self,
        channel: &Channel,
        store: &StoreId,
        sku: &Sku,
    ) -> Option<&mut Listing> {
        self.channels.get_mut(channel)?.stores.get_mut(store)?.listings.get_mut(sku)
    }

    fn place(&mut self, recorded: &Recorded, it: &events::OrderPlaced) {
        let Some(id) = recorded.subject.as_order() else { return };
        let channel = &recorded.channel;
        let mut order = Order {
            channel: channel.clone(),
            number: it.order.number.clone(),
            buyer: it.order.buyer,
            store: it.order.store.clone(),
            placed_at: it.order.placed_at,
            lifecycle: it.lifecycle,
            phase: it.effect.to,
            kind: it.kind,
            method: it.method,
            lines: it.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
            total: it.total,
            held: 0,
            paid_from: None,
            stock: LineStock::None,
            open_payables: it.payable.iter().map(|payable| payable.id.clone()).collect(),
            closed_payables: Vec::new(),
            deadlines: Vec::new(),
            changed_at: recorded.position,
            leaves_at: None,
        };
        self.share_names(&mut order);
        if let Some(account) = self.accounts.get_mut(&order.buyer) {
            account.open_orders += 1;
        }
        let state = self.channel_mut(channel);
        if let Some(store) = state.stores.get_mut(&order.store) {
            store.open_orders += 1;
        }
        if as_id(&order.number) != Some(id) {
            state.numbers.insert(order.number.clone());
        }
        if let Some(it) = &it.payable {
            let entry = PayableEntry { amount: it.amount, order: id, state: PayableState::Open };
            state.payables.insert(it.id.clone(), entry);
        }
        self.orders.insert(id, order);
        self.apply_effect(recorded, id, &it.effect);
    }

    /// Lets an order have its names in common with what they name: one text in memory for all.
    pub(super) fn share_names(&self, order: &mut Order) {
        let Some((channel, state)) = self.channels.get_key_value(&order.channel) else { return };
        order.channel = channel.clone();
        let Some((store, it)) = state.stores.get_key_value(&order.store) else { return };
        order.store = store.clone();
        for (sku, _) in &mut order.lines {
            if let Some((known, _)) = it.listings.get_key_value(sku) {
                *sku = known.clone();
            }
        }
    }
}

impl Token {
    /// Whether it has not died by itself.
    pub fn lives(&self, now: Millis) -> bool {
        self.expires_at.is_none_or(|expires_at| expires_at > now)
    }
}

impl Account {
    fn close(&mut self, tokens: &[Digest]) {
        self.sessions.retain(|(token, _)| !tokens.contains(token));
    }
}
