//! What goes wrong, as RFC 9457 has it: one JSON object with a type that programs can tell apart
//! and a text for people, and beside them the field, the rule and the phase where there is one.

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use events::Phase;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::{
    fresh::Stale,
    incoming::{self, BadHeader},
    lockout::RetryAfter,
    passwords,
    trouble::{self, Trouble},
};
use crate::{
    domain::{
        Rejection,
        lifecycle::{Check, Word},
    },
    engine, feed, keys,
    projector::{Behind, NoRebuild},
};

/// A kind of problem: the same for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// Ends its URI.
    pub(super) slug: &'static str,
    /// What it is, in general.
    pub(super) title: &'static str,
    /// The status it comes with.
    pub(super) status: u16,
}

impl Kind {
    /// Names it, for ever: `/problems/short-stock`.
    pub(super) fn uri(self) -> String {
        format!("/problems/{}", self.slug)
    }
}

macro_rules! kinds {
    ($($name:ident = $status:literal $slug:literal $title:literal;)*) => {
        $(pub(super) const $name: Kind = Kind { slug: $slug, title: $title, status: $status };)*
        /// Every kind there is.
        pub(super) const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    BAD_REQUEST = 400 "bad-request" "Something in the request cannot be";
    BAD_LIFECYCLE = 400 "bad-lifecycle" "The life cycle is not sound";
    UNAUTHENTICATED = 401 "unauthenticated" "The credential is missing, wrong or no longer valid";
    FORBIDDEN = 403 "forbidden" "The caller may not do this";
    NOT_FOUND = 404 "not-found" "There is nothing of this name";
    NO_METHOD = 405 "method-not-allowed" "The path does not take this method";
    SLOW = 408 "slow-request" "The request did not arrive in time";
    OUT_OF_PHASE = 409 "out-of-phase" "The order's phase does not allow this";
    SHORT_STOCK = 409 "short-stock" "The shelf does not hold so many";
    TOO_MUCH = 409 "too-much" "The sum is more than can be counted";
    FULL = 409 "full" "There are as many as there may be";
    SHORT_FUNDS = 409 "short-funds" "The wallet does not hold so much";
    TAKEN = 409 "taken" "The name is taken";
    STILL_OPEN = 409 "still-open" "Something of the account's is still under way";
    STUCK = 409 "stuck" "The order cannot go on under the newer life cycle";
    UNDER_WAY = 409 "under-way" "That is under way already";
    OLD_LIFECYCLE = 409 "old-lifecycle" "The life cycle is not newer than the one in force";
    TOO_LARGE = 413 "too-large" "The request is too large";
    NO_JSON = 415 "unsupported-media-type" "The body is of another type than this path takes";
    KEY_REUSED = 422 "key-reused" "The idempotency key was used for another request";
    TOO_MANY = 429 "too-many-attempts" "Too many wrong passwords";
    INTERNAL = 500 "internal" "docket has a mistake";
    BUSY = 503 "busy" "docket cannot do this now; try again";
    UNKNOWN_OUTCOME = 503 "unknown-outcome" "The outcome of the command is not known yet";
    STORAGE = 503 "storage" "Nothing can be recorded now";
}

/// An answer that is no success.
#[derive(Debug, Clone)]
pub struct Problem(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    kind: Kind,
    detail: String,
    field: Option<String>,
    rule: Option<Check>,
    phase: Option<Phase>,
    command: Option<events::CommandId>,
    retry_after: Option<u64>,
    allow: Option<String>,
}

/// A problem as it is written.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Wire<'a> {
    /// Names the kind of problem, for ever: `/problems/short-stock`.
    r#type: String,
    /// What the kind is, in general.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// The field, parameter or header that cannot be, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    /// The check of the life cycle that failed: account, credential, store, lines, known, own,
    /// phase or funds.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    /// The phase that the order is in, where that is what refused the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    /// The command whose outcome may be asked for at `/v1/commands/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<events::CommandId>,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            kind,
            detail: detail.into(),
            field: None,
            rule: None,
            phase: None,
            command: None,
            retry_after: None,
            allow: None,
        }))
    }

    /// A field, a parameter or a header that cannot be.
    pub(super) fn field(field: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let field = field.into();
        let detail = format!("{field} {reason}");
        Self::new(BAD_REQUEST, detail).at(field)
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(UNAUTHENTICATED, "a live token is wanted: Authorization: Bearer <token>")
            .by(Check::Credential)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(FORBIDDEN, detail)
    }

    /// A token that is good for another channel than the one named.
    pub(super) fn other_channel(own: &events::Channel) -> Self {
        Self::forbidden(format!("this token is good for channel {own} alone")).at("channel")
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, detail)
    }

    pub(super) fn no_order(order: impl std::fmt::Display) -> Self {
        Self::not_found(format!("no such order: {order}")).by(Check::Known)
    }

    pub(super) fn no_account() -> Self {
        Self::not_found("no such account").by(Check::Account)
    }

    pub(super) fn no_channel(channel: &events::Channel) -> Self {
        Self::not_found(format!("no such channel: {channel}")).at("channel")
    }

    pub(super) fn busy(detail: impl Into<String>) -> Self {
        Self::new(BUSY, detail).after(1)
    }

    pub(super) fn storage() -> Self {
        let detail = "nothing can be recorded or read now; the log and /readyz say why";
        Self::new(STORAGE, detail).after(5)
    }

    /// Of every call that this trouble keeps from being answered.
    pub(super) fn of(trouble: Trouble, method: &Method) -> Self {
        match trouble {
            Trouble::Storage => Self::storage(),
            Trouble::Ending if method.is_safe() => Self::busy(trouble::ENDING_QUERY),
            Trouble::Ending => Self::new(UNKNOWN_OUTCOME, trouble::ENDING).after(1),
        }
    }

    pub(super) fn no_method(allow: String) -> Self {
        let detail = format!("this path takes {allow}");
        let mut problem = Self::new(NO_METHOD, detail);
        problem.0.allow = Some(allow);
        problem
    }

    /// The same, naming the seconds after which trying again may help.
    fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same, naming a field.
    pub(super) fn at(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// The same, naming the check that failed.
    pub(super) fn by(mut self, rule: Check) -> Self {
        self.0.rule = Some(rule);
        self
    }

    /// Whether it says that the account meant is nobody's.
    pub(super) fn is_no_account(&self) -> bool {
        self.0.kind == NOT_FOUND && self.0.rule == Some(Check::Account)
    }

    fn refused(rejection: Rejection) -> Self {
        let text = rejection.to_string();
        let no = |kind| Self::new(kind, text.clone());
        match rejection {
            Rejection::AccountUnknown => Self::no_account(),
            Rejection::BuyerUnknown { .. } => no(NOT_FOUND).at("buyer").by(Check::Account),
            Rejection::LoginTaken => no(TAKEN).at("login").by(Check::Account),
            Rejection::Unauthenticated => no(UNAUTHENTICATED).by(Check::Credential),
            Rejection::Forbidden => no(FORBIDDEN),
            Rejection::TokenTaken { .. } => no(TAKEN).at("name"),
            Rejection::TokenUnknown { .. } => no(NOT_FOUND).at("name"),
            Rejection::StoreUnknown { .. } => no(NOT_FOUND).at("store").by(Check::Store),
            Rejection::StoreTaken { .. } => no(TAKEN).at("store"),
            Rejection::SkuUnknown { .. } => no(NOT_FOUND).at("sku").by(Check::Lines),
            Rejection::SkuTaken { .. } => no(TAKEN).at("sku"),
            Rejection::Short { .. } => no(SHORT_STOCK).at("quantity").by(Check::Lines),
            Rejection::OrderUnknown { order } => Self::no_order(order),
            Rejection::NotOwn => no(FORBIDDEN).by(Check::Own),
            Rejection::Phase { phase, word } => Self::out_of_phase(phase, word),
            Rejection::Funds => no(SHORT_FUNDS).by(Check::Funds),
            Rejection::Overflow => no(TOO_MUCH),
            Rejection::TooMany { .. } => no(FULL),
            Rejection::Invalid { field, .. } => no(BAD_REQUEST).at(field),
            Rejection::TooLarge { .. } => no(TOO_LARGE),
            Rejection::NotYet(_) => Self::busy(text),
            Rejection::StillOpen(_) => no(STILL_OPEN),
            Rejection::Stuck(_) => no(STUCK).by(Check::Phase),
            Rejection::NoLifecycle => no(NOT_FOUND).at("channel"),
            Rejection::LifecycleOld { .. } => no(OLD_LIFECYCLE).at("version"),
            Rejection::LifecycleBad(_) | Rejection::SettingBad(_) => no(BAD_LIFECYCLE),
        }
    }

    fn out_of_phase(phase: Option<Phase>, word: Word) -> Self {
        let text = Rejection::Phase { phase, word }.to_string();
        let mut problem = Self::new(OUT_OF_PHASE, text).by(Check::Phase);
        problem.0.phase = phase;
        problem
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        match error {
            Error::Rejected(rejection) => Self::refused(rejection),
            Error::KeyReused => Self::new(KEY_REUSED, error.to_string()).at("Idempotency-Key"),
            Error::Stopped(_) | Error::Unread(_) => Self::storage(),
            Error::Unknown(command) => {
                let mut problem = Self::new(UNKNOWN_OUTCOME, error.to_string()).after(1);
                problem.0.command = Some(command);
                problem
            }
            Error::Full | Error::Overdue | Error::NoWriter | Error::ShuttingDown => {
                Self::busy(error.to_string())
            }
        }
    }
}

impl From<BadHeader> for Problem {
    fn from(bad: BadHeader) -> Self {
        Self::new(BAD_REQUEST, bad.to_string()).at(bad.name)
    }
}

impl From<incoming::Error> for Problem {
    fn from(error: incoming::Error) -> Self {
        let kind = match error {
            incoming::Error::TooLarge(_) => TOO_LARGE,
            incoming::Error::Slow(_) => SLOW,
            incoming::Error::Broken => BAD_REQUEST,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<RetryAfter> for Problem {
    fn from(retry: RetryAfter) -> Self {
        Self::new(TOO_MANY, retry.to_string()).after(retry.seconds())
    }
}

impl From<passwords::Busy> for Problem {
    fn from(busy: passwords::Busy) -> Self {
        Self::busy(busy.to_string())
    }
}

impl From<passwords::Error> for Problem {
    fn from(error: passwords::Error) -> Self {
        match error {
            passwords::Error::Busy(busy) => busy.into(),
            passwords::Error::Unreadable(keys::Error::Erased(_)) => Self::unauthenticated(),
            passwords::Error::Unreadable(_) | passwords::Error::Malformed(_) => {
                tracing::error!(%error, "a password hash cannot be read");
                Self::storage()
            }
        }
    }
}

impl From<keys::Error> for Problem {
    fn from(error: keys::Error) -> Self {
        if let keys::Error::Erased(_) = error {
            return Self::no_account(); // Forgotten meanwhile.
        }
        tracing::error!(%error, "the key ring refuses");
        Self::storage()
    }
}

impl From<feed::Error> for Problem {
    fn from(error: feed::Error) -> Self {
        tracing::error!(%error, "the journal cannot be read");
        Self::storage()
    }
}

impl From<Stale> for Problem {
    fn from(stale: Stale) -> Self {
        Self::busy(stale.to_string())
    }
}

impl From<Behind> for Problem {
    fn from(behind: Behind) -> Self {
        Self::busy(behind.to_string())
    }
}

impl From<NoRebuild> for Problem {
    fn from(error: NoRebuild) -> Self {
        match error {
            NoRebuild::UnderWay(_) => Self::new(UNDER_WAY, error.to_string()).at("name"),
            NoRebuild::Closed(_) => Self::busy(error.to_string()),
        }
    }
}

impl From<projections::Error> for Problem {
    fn from(error: projections::Error) -> Self {
        tracing::error!(%error, "a view cannot be read");
        Self::busy("a view cannot be read; the log says why")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Told { kind, detail, field, rule, phase, command, retry_after, allow } = *self.0;
        let wire = Wire {
            r#type: kind.uri(),
            title: kind.title,
            status: kind.status,
            detail: &detail,
            field: field.as_deref(),
            rule: rule.map(Check::as_str),
            phase,
            command,
        };
        let status = StatusCode::from_u16(kind.status).expect("each kind's is one");
        let body = serde_json::to_string(&wire).expect("texts and numbers are JSON");
        let json = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, json, body).into_response();
        let headers = response.headers_mut();
        if kind == UNAUTHENTICATED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}
