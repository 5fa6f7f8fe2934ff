//! One call: what it brought, who makes it, and the ways to the engine and the views.

use std::sync::Arc;

use events::{Channel, CommandId, Digest, OrderId, Position, WrappedKey};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::super::super::{
    App,
    checked::Checked,
    fields::{Bad, Fields},
    incoming::Incoming,
    passwords::LOGIN,
};
use super::{
    Answer, Operation, Settings,
    failure::{Failure, Named},
};
use crate::{
    desk::Newest,
    domain::{Action, Caller, Command, Credential, DECISION_BYTES_MAX},
    engine::{Accepted, KeyOwner, KeyUse, KnownAccount, Request},
    keys,
    projector::ViewName,
};

/// What a decision's header and envelope take beside the one field that may be large.
const BESIDE_BYTES: usize = 4096;

pub(super) struct Call<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) settings: &'a Settings,
    pub(super) fields: Fields,
    operation: Operation,
    request: Incoming,
    newest: Newest,
    min_position: Option<Position>,
}

/// A user as named by `user_id`.
#[derive(Debug)]
pub(super) struct User {
    /// As named.
    pub(super) name: String,
    /// Keyed digest of the name.
    pub(super) login: Digest,
    /// The account, if the name is somebody's.
    pub(super) account: Option<KnownAccount>,
}

impl<'a> Call<'a> {
    pub(super) fn read(
        app: &'a Arc<App>,
        settings: &'a Settings,
        operation: Operation,
        request: Incoming,
        newest: Newest,
    ) -> Result<Self, Failure> {
        let fields = Fields::parse(&request.body)?;
        request.idempotency_key()?;
        let min_position = request.min_position()?;
        Ok(Self { app, settings, fields, operation, request, newest, min_position })
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.settings.channel
    }

    /// The user that `user_id` names, or, as some clients write it, `buyer_id`.
    pub(super) fn user(&self) -> Result<User, Failure> {
        let by_alias = !self.fields.has("user_id") && self.names_user();
        let field = if by_alias { "buyer_id" } else { "user_id" };
        // As every id, it is 1 to 255 bytes long.
        let name: events::IdempotencyKey = self.fields.name(field)?;
        let login = self.app.keys.lookup(self.channel(), LOGIN, &name);
        let account = self.app.engine.credentials().by_login(self.channel(), login);
        Ok(User { name: name.to_string(), login, account })
    }

    /// Whether the call names a user at all.
    pub(super) fn names_user(&self) -> bool {
        let takes_alias = matches!(
            self.operation,
            Operation::CancelOrder | Operation::ReceiveBook | Operation::QueryOrder
        );
        self.fields.has("user_id") || takes_alias && self.fields.has("buyer_id")
    }

    /// The order that `order_id` names, as named.
    pub(super) fn order(&self) -> Result<String, Failure> {
        let name: events::OrderNumber = self.fields.name("order_id")?;
        Ok(name.to_string())
    }

    /// The token that came along. One that is no text is a token all the same, but nobody's.
    pub(super) fn token(&self) -> Option<&str> {
        let value = self.request.headers.get("token").filter(|value| !value.is_empty())?;
        Some(value.to_str().unwrap_or("no text"))
    }

    pub(super) fn token_digest(&self) -> Option<Digest> {
        self.token().map(keys::token_digest)
    }

    /// What the token proves of an account: it must be live and that account's. A site that does
    /// not enforce tokens takes a missing one, but no dead one.
    pub(super) fn by_token(&self, user: &User) -> Credential {
        match (self.token_digest(), &user.account) {
            (None, _) if !self.settings.enforce_token => Credential::Waived,
            (Some(token), Some(account)) if self.bearer() == Some(account.id) => {
                Credential::Verified { session: Some(token), password: None }
            }
            _ => Credential::Failed,
        }
    }

    /// The account whose live session the token is.
    pub(super) fn bearer(&self) -> Option<events::AccountId> {
        let now = self.app.engine.now();
        let (live, channel) = self.app.engine.credentials().session(self.token_digest()?, now)?;
        (channel == *self.channel()).then_some(live)
    }

    /// What a password proves, on top of what is proven already.
    pub(super) async fn by_password(
        &self,
        user: &User,
        password: &str,
        so_far: Credential,
    ) -> Result<Checked, Failure> {
        let session = match so_far {
            Credential::Verified { session, .. } => session,
            Credential::Waived | Credential::Failed => None,
        };
        match &user.account {
            Some(account) if so_far != Credential::Failed => {
                self.app.check_password(account, password, self.request.address, session).await
            }
            _ => Ok(Checked::unproven()),
        }
    }

    /// Gives a command to the engine, under the idempotency key that came with the call.
    pub(super) async fn command(
        &self,
        caller: Caller,
        action: Action,
        owner: KeyOwner,
        wrapped: Vec<WrappedKey>,
        named: &Named<'_>,
    ) -> Result<Accepted, Failure> {
        let key = self.request.idempotency_key()?.map(|key| KeyUse {
            owner,
            operation: self.operation.name().into(),
            key,
            request: self.request_digest(),
        });
        let command = Command {
            id: CommandId(Uuid::now_v7()),
            channel: self.channel().clone(),
            caller,
            action,
        };
        let correlation = self.request.correlation();
        let request = Request { command, key, correlation, wrapped, again: false };
        self.app.engine.submit(request).await.map_err(|error| Failure::of(error, named))
    }

    /// The same, by an account and without new keys.
    pub(super) async fn command_of(
        &self,
        user: &User,
        credential: Credential,
        action: Action,
        named: &Named<'_>,
    ) -> Result<Accepted, Failure> {
        self.command(user.caller(credential), action, KeyOwner::Account, Vec::new(), named).await
    }

    /// A command whose answer is a secret: it takes no key.
    pub(super) async fn secret_command(
        &self,
        caller: Caller,
        action: Action,
        named: &Named<'_>,
    ) -> Result<Accepted, Failure> {
        let id = CommandId(Uuid::now_v7());
        let command = Command { id, channel: self.channel().clone(), caller, action };
        let request = Request { correlation: self.request.correlation(), ..Request::new(command) };
        self.app.engine.submit(request).await.map_err(|error| Failure::of(error, named))
    }

    /// Waits until a view has seen every write acknowledged so far, and gives the position that
    /// the answer will have seen.
    pub(super) async fn fresh(&self, view: ViewName) -> Result<Position, Failure> {
        let newest = self.newest.position().max(self.app.engine.head().position);
        let position = self.min_position.map_or(newest, |least| least.max(newest));
        self.app.views.reached(view, position, self.app.settings.read_within).await?;
        Ok(position)
    }

    /// A turn to search: each reads the whole catalogue, so only a few may at once.
    pub(super) async fn search_turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let turn = Arc::clone(&self.app.searches).acquire_owned();
        match tokio::time::timeout(self.app.settings.read_within, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Failure::busy("too many searches; try again soon")),
        }
    }

    /// Refuses a field that weighs so many bytes where it is recorded, if no journal takes that.
    pub(super) fn fits(&self, field: &str, bytes: usize) -> Result<(), Bad> {
        if bytes.saturating_add(BESIDE_BYTES) <= DECISION_BYTES_MAX {
            return Ok(());
        }
        let most = DECISION_BYTES_MAX - BESIDE_BYTES;
        let reason = format!("is too large to record: {bytes} bytes, where {most} fit");
        Err(self.fields.bad(field, reason))
    }

    pub(super) fn has_key(&self) -> bool {
        matches!(self.request.idempotency_key(), Ok(Some(_)))
    }

    fn request_digest(&self) -> Digest {
        let Incoming { method, path, body, .. } = &self.request;
        self.app.keys.request(method.as_str(), path, body)
    }
}

impl User {
    pub(super) fn caller(&self, credential: Credential) -> Caller {
        Caller::Somebody { account: self.account.as_ref().map(|it| it.id), credential }
    }
}

impl From<Accepted> for Answer {
    fn from(accepted: Accepted) -> Self {
        Self {
            fields: serde_json::Map::new(),
            replay: accepted.replay,
            position: Some(accepted.receipt.position),
        }
    }
}

/// The order a text names. Ids are written in one way only; any other text names no order, and
/// no order has the id of zeroes.
pub(super) fn order_id(text: &str) -> OrderId {
    let id: Option<OrderId> = text.parse().ok();
    id.filter(|id| id.to_string() == text).unwrap_or(OrderId(Uuid::nil()))
}
