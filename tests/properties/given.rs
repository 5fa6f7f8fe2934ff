//! Random steps become commands, given to a world that is like this.

use docket::domain::{
    Action, Caller, Command, Credential, Order, Place, Token, World, lifecycle::Word,
};
use events::*;

use super::{
    judge::ended,
    law::{CHANNELS, Facets, Law, Row},
    play::Play,
    site::{
        BEGIN, Site, command_in, digest, fresh, listing, login, place_in, register_in, sku, store,
    },
    steps::{Proof, Step, Text, Wanted, What, Who},
};

impl Step {
    /// As a command.
    pub fn command(&self, world: &World) -> Command {
        let at = |n: usize| Channel::new(CHANNELS[n]).unwrap();
        let (channel, home) = (at(self.channel), at(self.home));
        let it = Giving { world, step: self, channel: &channel, home: &home };
        let order = it.order();
        let caller = it.caller(order);
        match self.what {
            What::Register => {
                let n = if let Who::Person(n) = self.who { n } else { 3 };
                register_in(&channel, n).1
            }
            _ => command_in(&channel, caller.clone(), it.action(&caller, order)),
        }
    }
}

/// Gives steps to a new site, one after the other; each must be accepted.
pub async fn begin(site: &Site, steps: impl IntoIterator<Item = Step>) {
    let mut play = Play::new(); // As the site was made: both come to the same world.
    for step in steps {
        let command = step.command(&play.world);
        play.give(&command).unwrap();
        site.give(command).await.unwrap();
    }
    assert_eq!(play.world, site.world());
}

struct Giving<'a> {
    world: &'a World,
    step: &'a Step,
    channel: &'a Channel,
    home: &'a Channel,
}

impl<'a> Giving<'a> {
    fn action(&self, caller: &Caller, order: Option<OrderId>) -> Action {
        let account = match caller {
            Caller::Somebody { account: Some(account), .. } => self.world.accounts.get(account),
            _ => None,
        };
        match &self.step.what {
            What::Register => unreachable!("it is no action of a caller's"),
            What::ChangePassword => {
                let password = Sealed::new(AccountId(fresh()), "bmV3".into());
                Action::ChangePassword { password }
            }
            What::Unregister => Action::Unregister,
            What::OpenSession { lives_ms } => {
                let expires_at = Millis(BEGIN.0 + lives_ms);
                Action::OpenSession { token: token(), expires_at, terminal: None }
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
            What::Charge { whose, amount } => {
                Action::Charge { account: self.somebody(*whose), amount: *amount }
            }
            What::Forget(n) => Action::Forget { account: self.somebody(*n) },
            What::IssueToken { name, role, here, store: n, lives_ms } => {
                let one = named(*name);
                let token = if self.world.tokens.contains_key(&one) { token() } else { one };
                Action::IssueToken(Box::new(TokenIssued {
                    token,
                    name: token_name(*name),
                    role: *role,
                    channel: here.then(|| self.channel.clone()),
                    store: n.map(store),
                    expires_at: lives_ms.map(|ms| Millis(BEGIN.0 + ms)),
                }))
            }
            What::RevokeToken(n) => Action::RevokeToken { name: token_name(*n) },
            What::Place(wanted) => Action::Place(self.place(wanted)),
            What::Act { word, store: named, .. } => Action::Step {
                order: order.unwrap_or(OrderId(fresh())),
                store: named.map(store),
                word: *word,
            },
            // Where there is none to go on with, one more is wanted.
            What::Go { nth, .. } => match (order, self.row(order)) {
                (Some(order), Some(row)) => Action::Step { order, store: None, word: row.word },
                _ => place_in(store(*nth as u8 % 2), vec![(sku(*nth as u8 % 3), 1)]).1,
            },
            What::Move { .. } => Action::Move { order: order.unwrap_or(OrderId(fresh())) },
            What::AdoptLifecycle { version, text } => {
                let law = Law::of(self.channel, *version);
                let text = match text {
                    Text::Right => law.text.clone(),
                    Text::Other => format!("{}\n# Another.", law.text),
                    Text::Broken => format!("version = {}\nlate = \"never\"", version + 7),
                };
                Action::AdoptLifecycle { digest: digest(&text), text }
            }
            What::AdoptSettings(overrides) => {
                let pairs = overrides.iter().map(|(name, it)| ((*name).into(), (*it).into()));
                Action::AdoptSettings { overrides: pairs.collect() }
            }
            What::OpenWriter => {
                let name = || NodeName::new("here:1").unwrap();
                Action::OpenWriter(WriterOpened { node: name(), address: name() })
            }
            What::UpgradeCluster(level) => Action::UpgradeCluster { level: *level },
        }
    }

    fn place(&self, wanted: &Wanted) -> Place {
        let lines = wanted.lines.iter().map(|(m, quantity)| (sku(*m), *quantity)).collect();
        let (_, action) = place_in(store(wanted.store), lines);
        let Action::Place(mut place) = action else { unreachable!("it is asked for") };
        place.buyer = wanted.buyer.map(|n| self.somebody(n));
        (place.kind, place.method) = (wanted.kind, wanted.method);
        if let Some(n) = wanted.number {
            place.number = OrderNumber::new(format!("no-{n}")).unwrap();
        }
        if let Some(known) = self.world.orders.keys().max().filter(|_| wanted.again) {
            place.order = *known;
        }
        place
    }

    /// The order that the step is about. The newest are asked for most: the others have ended,
    /// mostly.
    fn order(&self) -> Option<OrderId> {
        let (nth, fits): (_, &dyn Fn(&Order) -> bool) = match &self.step.what {
            What::Act { order, word, fitting: true, .. } => (*order, &|it| {
                let law = Law::of(&it.channel, it.lifecycle);
                let facets = Facets::new(it.method);
                law.find(*word, Some(it.phase), facets, self.means()).is_some()
            }),
            What::Go { order, .. } => (*order, &|it| !ended(it.phase)),
            What::Move { order, fitting: true } => {
                (*order, &|it| !ended(it.phase) && it.lifecycle != self.newest())
            }
            What::Act { order, .. } | What::Move { order, .. } => (*order, &|_| true),
            _ => return None,
        };
        let orders = self.world.orders.iter();
        let mut orders: Vec<_> =
            orders.filter(|(_, it)| it.channel == *self.home && fits(it)).collect();
        orders.sort_by_key(|(id, _)| **id);
        orders.iter().rev().nth(nth % (orders.len() + 1) / 2).map(|(id, _)| **id)
    }

    /// The version that is in force in the channel at home.
    fn newest(&self) -> u32 {
        let newest = self.world.channels.get(self.home).and_then(|it| it.newest());
        newest.map_or(0, |it| it.lifecycle.version())
    }

    /// A row that leads on from where an order is; one that ends it seldom.
    fn row(&self, order: Option<OrderId>) -> Option<&'static Row> {
        let (What::Go { nth, .. }, Some(order)) = (&self.step.what, order) else { return None };
        let order = &self.world.orders[&order];
        let rows = Law::of(&order.channel, order.lifecycle).rows.iter();
        let takes = |row: &Row, order: &Order| {
            let method = row.methods.is_empty() || row.methods.contains(&order.method);
            row.from.contains(&order.phase) && method
        };
        let mut rows: Vec<_> = rows.filter(|row| takes(row, order)).collect();
        rows.sort_by_key(|row| matches!(row.word, Word::Cancel | Word::Expire));
        let ends = rows.iter().filter(|row| matches!(row.word, Word::Cancel | Word::Expire));
        let (ends, all) = (ends.count(), rows.len());
        let wanted = if nth % 5 == 0 || ends == all { all } else { all - ends };
        rows.get(nth / 5 % wanted.max(1)).copied()
    }

    /// What the caller would be to an order, if all goes well.
    fn means(&self) -> &'static [By] {
        match self.step.who {
            Who::Buyer => &[By::Buyer],
            Who::Seller => &[By::Seller],
            Who::Timer => &[By::Timer],
            Who::System | Who::Bearer(Role::Operator) => &[By::Operator],
            Who::Bearer(Role::Staff) => &[By::Staff],
            Who::Bearer(Role::Gateway) => &[By::Gateway],
            _ => &[By::Buyer, By::Seller], // Or whoever it turns out to be.
        }
    }

    fn account(&self, n: u8) -> Option<AccountId> {
        self.world.logins.get(&(self.home.clone(), login(n))).copied()
    }

    /// Who is called that, or nobody.
    fn somebody(&self, n: u8) -> AccountId {
        self.account(n).unwrap_or(AccountId(fresh()))
    }

    fn caller(&self, order: Option<OrderId>) -> Caller {
        self.caller_as(self.step.who, order)
    }

    /// Whoever the row allows.
    fn right(&self, order: Option<OrderId>) -> Caller {
        let nth = if let What::Go { nth, .. } = self.step.what { nth } else { 0 };
        let Some(row) = self.row(order) else {
            return self.caller_as(Who::Person(nth as u8 % 3), order);
        };
        let who = match row.by[nth / 25 % row.by.len()] {
            By::Buyer => Who::Buyer,
            By::Seller => Who::Seller,
            By::Staff => Who::Bearer(Role::Staff),
            By::Operator => Who::Bearer(Role::Operator),
            By::Gateway => Who::Bearer(Role::Gateway),
            By::Timer => Who::Timer,
        };
        self.caller_as(who, order)
    }

    fn caller_as(&self, who: Who, order: Option<OrderId>) -> Caller {
        let id = order;
        let order = order.map(|id| &self.world.orders[&id]);
        let account = match who {
            Who::Timer => return Caller::Timer,
            Who::System => return Caller::System,
            Who::Login(n) => return Caller::Login(login(n)),
            Who::Token(n) => return self.bearer(n),
            Who::Bearer(role) => return self.bearer_of(role, order),
            Who::Right => return self.right(id),
            Who::Person(n) => self.account(n),
            Who::Buyer => order.map(|order| order.buyer),
            Who::Seller => {
                order.map(|order| self.world.channels[&order.channel].stores[&order.store].owner)
            }
        };
        Caller::Somebody { account, credential: self.credential(account) }
    }

    fn credential(&self, account: Option<AccountId>) -> Credential {
        let known = account.and_then(|id| self.world.accounts.get(&id));
        let version = known.map_or(1, |it| it.password);
        let verified = |session, password| Credential::Verified { session, password };
        match self.step.proof {
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
        }
    }

    /// Who bears a token of this name: one that there is, or one that was revoked or never issued.
    fn bearer(&self, n: u8) -> Caller {
        let all = self.world.tokens.iter().filter(|(_, it)| it.name == token_name(n));
        let token = all.map(|(token, _)| *token).min().unwrap_or_else(|| named(n));
        Caller::Token { token, name: token_name(n) }
    }

    /// Who bears a token of this role, one that is good for the order, if possible.
    fn bearer_of(&self, role: Role, order: Option<&Order>) -> Caller {
        let good = |token: &Token| {
            let here = token.channel.as_ref().is_none_or(|it| it == self.channel);
            let there = token.store.as_ref().is_none_or(|it| order.is_some_and(|o| o.store == *it));
            (!(here && there), token.expires_at.is_some())
        };
        let all = self.world.tokens.iter().filter(|(_, it)| it.role == role);
        let best = all.min_by_key(|(digest, token)| (good(token), **digest));
        match best {
            Some((token, it)) => Caller::Token { token: *token, name: it.name.clone() },
            None => self.bearer(0),
        }
    }
}

fn token_name(n: u8) -> TokenName {
    TokenName::new(format!("token-{n}")).unwrap()
}

/// The first token of a name.
fn named(n: u8) -> Digest {
    let mut bytes = [0xdd; 32];
    bytes[0] = n;
    Digest(bytes)
}

/// A token's digest that no other has.
fn token() -> Digest {
    let mut bytes = [0xcc; 32];
    bytes[..16].copy_from_slice(fresh().as_bytes());
    Digest(bytes)
}
