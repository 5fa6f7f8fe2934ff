//! The pure core: what is so ([`World`]), what somebody wants ([`Command`]), what follows from it
//! ([`decide`]) and what that changes ([`World::evolve`]).
//!
//! **Invariant:** no async, no clock, no randomness, no I/O: ids and times arrive in the command.
//! The same journal always gives the same world, and the same world, command and time the same
//! decision. Channels are told apart by their life cycles alone.

use events::{AccountId, Digest, Event, Millis, OrderReceipt, Role, StoreId, Subject};

use lifecycle::Bound;

mod account;
mod channel;
mod cluster;
mod command;
mod finished;
mod keys;
pub mod lifecycle;
mod order;
mod orders;
mod rejection;
mod store;
mod token;
mod wallet;
mod world;

pub use command::{Action, Caller, Command, Credential, Place};
pub use finished::Finished;
pub use keys::{Keys, Scope, Taken};
pub use order::DECISION_BYTES_MAX;
pub use orders::{LineStock, Order, Orders};
pub use rejection::Rejection;
pub use world::{Account, ChannelState, InForce, Listing, PayableEntry, Pots, Store, Token, World};

/// What a command leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// What becomes fact, all or nothing; none where the command changes nothing.
    pub events: Vec<(Subject, Event)>,
    /// What the answer may say of orders.
    pub orders: Vec<OrderReceipt>,
    /// The version of the life cycle that was asked, if one was.
    pub lifecycle: Option<u32>,
}

/// What follows from a command, or why nothing does. `now` is when it will have been recorded.
pub fn decide(world: &World, command: &Command, now: Millis) -> Result<Decided, Rejection> {
    let it = &Deciding { world, command, now };
    match &command.action {
        Action::Register { account, login, login_sealed, password } => {
            account::register(it, *account, *login, login_sealed, password)
        }
        Action::ChangePassword { password } => account::change_password(it, password),
        Action::Unregister => account::unregister(it),
        Action::Forget { account } => account::forget(it, *account),
        Action::IssueToken(token) => token::issue(it, token),
        Action::RevokeToken { name } => token::revoke(it, name),
        Action::Charge { account, amount } => wallet::charge(it, *account, *amount),
        Action::Move { order } => order::move_on(it, *order),
        Action::OpenSession { token, expires_at, terminal } => {
            account::open_session(it, *token, *expires_at, terminal.as_ref())
        }
        Action::CloseSession { token } => account::close_session(it, *token),
        Action::OpenStore { store } => store::open_store(it, store),
        Action::AddListing(listing) => store::add_listing(it, listing),
        Action::AddStock { store, sku, quantity } => store::add_stock(it, store, sku, *quantity),
        Action::Fund { amount } => wallet::fund(it, *amount),
        Action::Place(place) => order::place(it, place),
        Action::Step { order, store, word } => order::step(it, *order, store.as_ref(), *word),
        Action::AdoptLifecycle { digest, text } => channel::adopt_lifecycle(it, *digest, text),
        Action::AdoptSettings { overrides } => channel::adopt_settings(it, overrides),
        Action::OpenWriter(opened) => cluster::open_writer(it, opened),
        Action::UpgradeCluster { level } => cluster::upgrade(it, *level),
    }
}

/// Whether the proof that came with a command still holds: the account is there, its session is
/// live, its password is the one that was checked.
pub fn authentic(world: &World, command: &Command, now: Millis) -> Result<(), Rejection> {
    Deciding { world, command, now }.authentic()
}

/// What a decision is made from.
#[derive(Clone, Copy)]
struct Deciding<'a> {
    world: &'a World,
    command: &'a Command,
    now: Millis,
}

impl<'a> Deciding<'a> {
    fn channel(&self) -> Option<&'a ChannelState> {
        self.world.channels.get(&self.command.channel)
    }

    fn store(&self, store: &StoreId) -> Option<&'a Store> {
        self.channel()?.stores.get(store)
    }

    /// Refuses one more where there are as many as this channel's settings allow.
    fn one_more(&self, bound: Bound, there: u64) -> Result<(), Rejection> {
        let rules = self.channel().and_then(ChannelState::newest);
        let most = rules.map_or(bound.default_most(), |rules| rules.settings.most(bound));
        at_most(most, bound.what(), there)
    }

    /// The account the caller names, proven or not; `None` for docket's own commands.
    fn account(&self) -> Result<Option<(AccountId, &'a Account)>, Rejection> {
        match &self.command.caller {
            Caller::System | Caller::Timer | Caller::Token { .. } => Ok(None),
            Caller::Login(_) | Caller::Somebody { account: None, .. } => {
                Err(Rejection::AccountUnknown)
            }
            Caller::Somebody { account: Some(id), .. } => {
                let account = self.world.accounts.get(id).ok_or(Rejection::AccountUnknown)?;
                if account.channel == self.command.channel {
                    Ok(Some((*id, account)))
                } else {
                    Err(Rejection::AccountUnknown)
                }
            }
        }
    }

    fn authentic(&self) -> Result<(), Rejection> {
        let Caller::Somebody { credential, .. } = &self.command.caller else {
            return match &self.command.caller {
                Caller::Login(_) => Err(Rejection::Unauthenticated),
                Caller::Token { token, .. } => self.token(*token).map(drop),
                Caller::System | Caller::Timer | Caller::Somebody { .. } => Ok(()),
            };
        };
        let Some((_, account)) = self.account()? else { return Ok(()) };
        let holds = match credential {
            Credential::Failed => false,
            Credential::Waived => true,
            Credential::Verified { session: None, password: None } => false,
            Credential::Verified { session, password } => {
                let live = |token| {
                    let mut sessions = account.sessions.iter();
                    sessions.any(|(known, expires_at)| *known == token && *expires_at > self.now)
                };
                session.is_none_or(live) && password.is_none_or(|it| it == account.password)
            }
        };
        if holds { Ok(()) } else { Err(Rejection::Unauthenticated) }
    }

    /// A named token that is live and good for the command's channel.
    fn token(&self, token: Digest) -> Result<&'a Token, Rejection> {
        let token = self.world.tokens.get(&token).ok_or(Rejection::Unauthenticated)?;
        let lives = token.lives(self.now);
        let here = token.channel.as_ref().is_none_or(|it| *it == self.command.channel);
        if lives && here { Ok(token) } else { Err(Rejection::Unauthenticated) }
    }

    /// Lets docket itself and operators pass, those of one store aside.
    fn operator(&self) -> Result<(), Rejection> {
        match &self.command.caller {
            Caller::System => Ok(()),
            Caller::Token { token, .. } => match self.token(*token)? {
                Token { role: Role::Operator, store: None, .. } => Ok(()),
                _ => Err(Rejection::Forbidden),
            },
            Caller::Timer | Caller::Login(_) => Err(Rejection::Forbidden),
            Caller::Somebody { .. } => {
                self.proven()?;
                Err(Rejection::Forbidden)
            }
        }
    }

    /// Lets docket itself and operators of the whole site pass.
    fn site_operator(&self) -> Result<(), Rejection> {
        self.operator()?;
        match &self.command.caller {
            Caller::Token { token, .. } if self.token(*token)?.channel.is_some() => {
                Err(Rejection::Forbidden)
            }
            _ => Ok(()),
        }
    }

    /// The account the caller is, proven.
    fn proven(&self) -> Result<(AccountId, &'a Account), Rejection> {
        let account = self.account()?;
        self.authentic()?;
        account.ok_or(Rejection::AccountUnknown)
    }
}

/// Refuses one more where there are as many as there may be.
fn at_most(most: i64, what: &'static str, there: u64) -> Result<(), Rejection> {
    let there = i64::try_from(there).unwrap_or(i64::MAX);
    if there < most { Ok(()) } else { Err(Rejection::TooMany { most, what: what.into() }) }
}

impl Decided {
    fn nothing() -> Self {
        Self { events: Vec::new(), orders: Vec::new(), lifecycle: None }
    }

    fn one(subject: Subject, event: Event) -> Self {
        Self { events: vec![(subject, event)], ..Self::nothing() }
    }
}
