//! One call: what it brought, who makes it, and the ways to the engine, the views and the feed.

use std::{collections::HashMap, sync::Arc};

use axum::http::Uri;
use events::{AccountId, Channel, CommandId, Digest, Position, WrappedKey};
use uuid::Uuid;

use super::{
    super::{App, access::Bearer, checked::Checked, incoming::Incoming},
    cursor::List,
    problem::Problem,
    query::Query,
    route::Route,
};
use crate::{
    desk::Newest,
    domain::{Action, Caller, Command, Credential, lifecycle::Check},
    engine::{Accepted, KeyOwner, KeyUse, KnownAccount, Request},
    projector::ViewName,
};

/// The channel of a call that names none and whose token is good for all.
const NATIVE: &str = "native";

pub(super) struct Call {
    pub(super) app: Arc<App>,
    pub(super) route: Arc<Route>,
    pub(super) request: Incoming,
    pub(super) query: Query,
    pub(super) bearer: Bearer,
    /// The newest commit there was when the call came.
    pub(super) newest: Newest,
    pub(super) min_position: Option<Position>,
    /// The parts of the path that have names.
    pub(super) path: HashMap<String, String>,
    /// The path with its query, as sent.
    pub(super) target: Uri,
}

impl Call {
    /// A part of the path, read.
    pub(super) fn part<T>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Problem> {
        let text = self.path.get(name).map(String::as_str).unwrap_or_default();
        read(text).ok_or_else(|| Problem::not_found(format!("no such {name}: {text}")).at(name))
    }

    /// The channel that the call is about: as named, else the token's own, else `native`. A token
    /// is good for no other than its own.
    pub(super) fn channel(&self, in_body: Option<Channel>) -> Result<Channel, Problem> {
        let named = match (self.named_channel()?, in_body) {
            (Some(one), Some(other)) if one != other => {
                return Err(Problem::field("channel", "is given twice, and not the same"));
            }
            (one, other) => one.or(other),
        };
        let channel = match (self.own_channel(), named) {
            (Some(own), Some(named)) if *own != named => {
                return Err(Problem::other_channel(own));
            }
            (Some(own), _) => own.clone(),
            (None, Some(named)) => named,
            (None, None) => Channel::new(NATIVE).expect("it is short"),
        };
        match self.app.engine.credentials().lifecycle(&channel) {
            Some(_) => Ok(channel),
            None => Err(Problem::no_channel(&channel)),
        }
    }

    /// The channel that the query names, whether it is there or not.
    pub(super) fn named_channel(&self) -> Result<Option<Channel>, Problem> {
        self.query.read_as("channel", |text| Channel::new(text))
    }

    /// The one channel that the token is good for; none where it is good for all.
    pub(super) fn own_channel(&self) -> Option<&Channel> {
        match &self.bearer {
            Bearer::Account { channel, .. } => Some(channel),
            Bearer::Token(token) => token.channel.as_ref(),
            Bearer::Nobody | Bearer::Dead { .. } => None,
        }
    }

    /// The one store that a named token is good for.
    pub(super) fn own_store(&self) -> Option<&events::StoreId> {
        match &self.bearer {
            Bearer::Token(token) => token.store.as_ref(),
            Bearer::Account { .. } | Bearer::Nobody | Bearer::Dead { .. } => None,
        }
    }

    /// Lets only those pass who are good for every store.
    pub(super) fn every_store(&self) -> Result<(), Problem> {
        match self.own_store() {
            None => Ok(()),
            Some(own) => {
                Err(Problem::forbidden(format!("this token is good for store {own} alone")))
            }
        }
    }

    /// Lets only those pass who are good for the whole site.
    pub(super) fn whole_site(&self) -> Result<(), Problem> {
        self.every_store()?;
        match self.own_channel() {
            None => Ok(()),
            Some(own) => {
                Err(Problem::forbidden(format!("this token is good for channel {own} alone")))
            }
        }
    }

    /// The calling account.
    pub(super) fn account(&self) -> Result<KnownAccount, Problem> {
        match &self.bearer {
            Bearer::Account { id, .. } => {
                self.app.engine.credentials().account(*id).ok_or_else(Problem::unauthenticated)
            }
            Bearer::Nobody | Bearer::Dead { .. } | Bearer::Token(_) => {
                Err(Problem::unauthenticated())
            }
        }
    }

    /// As the engine knows the caller.
    pub(super) fn caller(&self) -> Caller {
        match &self.bearer {
            Bearer::Account { id, session, .. } => {
                let credential = Credential::Verified { session: Some(*session), password: None };
                Caller::Somebody { account: Some(*id), credential }
            }
            Bearer::Token(token) => Caller::Token { token: token.token, name: token.name.clone() },
            Bearer::Dead { account, .. } => {
                Caller::Somebody { account: *account, credential: Credential::Failed }
            }
            Bearer::Nobody => Caller::Somebody { account: None, credential: Credential::Failed },
        }
    }

    /// The digest of the token that came along, live or not.
    pub(super) fn token_digest(&self) -> Option<Digest> {
        match &self.bearer {
            Bearer::Nobody => None,
            Bearer::Dead { token, .. } => Some(*token),
            Bearer::Account { session, .. } => Some(*session),
            Bearer::Token(token) => Some(token.token),
        }
    }

    /// Gives a command of the caller's to the engine.
    pub(super) async fn submit(
        &self,
        channel: &Channel,
        action: Action,
    ) -> Result<Accepted, Problem> {
        let command = self.command(channel, self.caller(), action);
        self.submit_as(command, KeyOwner::Account, Vec::new()).await
    }

    /// A new command.
    pub(super) fn command(&self, channel: &Channel, caller: Caller, action: Action) -> Command {
        Command { id: CommandId(Uuid::now_v7()), channel: channel.clone(), caller, action }
    }

    /// Gives a command to the engine, under the idempotency key that came with the call.
    pub(super) async fn submit_as(
        &self,
        command: Command,
        owner: KeyOwner,
        wrapped: Vec<WrappedKey>,
    ) -> Result<Accepted, Problem> {
        let key = self.request.idempotency_key()?.filter(|_| self.route.keyed);
        let key = key.map(|key| KeyUse {
            owner,
            operation: self.route.operation.into(),
            key,
            request: self.app.keys.request(
                self.request.method.as_str(),
                &self.target.to_string(),
                &self.request.body,
            ),
        });
        let by_token = matches!(command.caller, Caller::Token { .. });
        let correlation = self.request.correlation();
        let request = Request { command, key, correlation, wrapped, again: false };
        let accepted = self.app.engine.submit(request).await.map_err(Problem::from);
        // An account that calls and is nobody's has gone meanwhile.
        accepted.map_err(|problem| match problem.is_no_account() && !by_token {
            true => Problem::unauthenticated(),
            false => problem,
        })
    }

    pub(super) fn has_key(&self) -> bool {
        self.route.keyed && matches!(self.request.idempotency_key(), Ok(Some(_)))
    }

    /// What a password proves of an account, beside the session that is proven already.
    pub(super) async fn by_password(
        &self,
        account: &KnownAccount,
        password: &str,
        session: Option<Digest>,
    ) -> Result<Checked, Problem> {
        self.app.check_password(account, password, self.request.address, session).await
    }

    /// Seals a text of a recorded account, off the async threads.
    pub(super) async fn sealed(
        &self,
        account: AccountId,
        purpose: &'static str,
        text: String,
    ) -> Result<events::Sealed, Problem> {
        let ring = self.app.keys.clone();
        off_thread(move || ring.seal(account, purpose, &text)).await
    }

    /// Waits until a view has seen every write acknowledged so far, and gives the position that
    /// the answer will have seen.
    pub(super) async fn fresh(&self, view: ViewName) -> Result<Position, Problem> {
        let newest = self.newest.position().max(self.app.engine.head().position);
        let position = self.min_position.map_or(newest, |least| least.max(newest));
        self.app.views.reached(view, position, self.app.settings.read_within).await?;
        Ok(position)
    }

    /// A list as this caller sees it through this filter.
    pub(super) fn list(&self, filter: impl std::fmt::Debug) -> List<'_> {
        let caller = self.bearer.actor().unwrap_or_default();
        let name = format!("{} {caller:?} {filter:?}", self.route.operation);
        List { keys: &self.app.keys, name }
    }

    /// Where the page before ended, as the cursor that came along says.
    pub(super) fn after(&self, list: &List<'_>) -> Result<Option<Vec<u8>>, Problem> {
        self.query.text("cursor").map(|cursor| list.read(cursor)).transpose()
    }
}

/// A password that is not the account's.
pub(super) fn wrong_password() -> Problem {
    Problem::new(super::problem::UNAUTHENTICATED, "the login name or the password is wrong")
        .by(Check::Credential)
}

/// Runs what blocks on storage: journal, blobs, keys, and what reads much of a view. A row or a
/// page of a view is read in place instead: it lies in memory or in the store's cache, and waking
/// another thread costs more than reading it; at worst one read of the disk holds a thread up.
pub(super) async fn off_thread<T: Send + 'static, E>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem>
where
    E: Into<Problem> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Problem::busy("the query was given up; try again")),
    }
}
