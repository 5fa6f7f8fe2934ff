//! What goes wrong, in the bookstore's codes and texts.

use events::Phase;

use super::super::super::{
    fields::Bad,
    fresh::Stale,
    incoming::{self, BadHeader},
    lockout::RetryAfter,
    passwords,
    trouble::{self, Trouble},
};
use crate::{
    domain::{Rejection, lifecycle::Word},
    engine,
    projector::Behind,
};

/// An answer that is not 200.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    /// The HTTP status, which is the API's code.
    pub(super) code: u16,
    /// What the caller is told.
    pub(super) message: String,
    /// Whole seconds after which trying again may help.
    pub(super) retry_after: Option<u64>,
    /// The methods that a path takes.
    pub(super) allow: Option<&'static str>,
}

/// What the caller named, for texts that repeat it.
#[derive(Debug, Default)]
pub(super) struct Named<'a> {
    pub(super) user: &'a str,
    pub(super) order: &'a str,
    /// An order of somebody else's counts as unknown.
    pub(super) hides_orders: bool,
    /// A user that does not exist is told as one who proved nothing.
    pub(super) hides_users: bool,
}

impl Failure {
    pub(super) fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, allow: None }
    }

    pub(super) fn with_allow(self, allow: &'static str) -> Self {
        Self { allow: Some(allow), ..self }
    }

    pub(super) fn unauthorised() -> Self {
        Self::new(401, "authorization fail.")
    }

    pub(super) fn unknown_user(user: &str) -> Self {
        Self::new(511, format!("non exist user id {user}"))
    }

    pub(super) fn taken_user(user: &str) -> Self {
        Self::new(512, format!("exist user id {user}"))
    }

    pub(super) fn unknown_order(order: &str) -> Self {
        Self::new(518, format!("invalid order id {order}"))
    }

    pub(super) fn bad_state() -> Self {
        Self::new(524, "invalid order state.")
    }

    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self { retry_after: Some(1), ..Self::new(503, message) }
    }

    pub(super) fn storage() -> Self {
        Self::new(528, "storage trouble: nothing can be recorded now; the log and /readyz say why")
    }

    /// A command that did not lead to an answer, for whatever reason.
    pub(super) fn of(error: engine::Error, named: &Named<'_>) -> Self {
        use engine::Error;
        match error {
            Error::Rejected(rejection) => Self::refused(rejection, named),
            Error::KeyReused => Self::new(422, error.to_string()),
            Error::Stopped(_) | Error::Unread(_) => Self::storage(),
            Error::Full
            | Error::Overdue
            | Error::NoWriter
            | Error::Unknown(_)
            | Error::ShuttingDown => Self::busy(error.to_string()),
        }
    }

    fn refused(rejection: Rejection, named: &Named<'_>) -> Self {
        match rejection {
            Rejection::AccountUnknown if named.hides_users => Self::unauthorised(),
            Rejection::AccountUnknown | Rejection::BuyerUnknown { .. } => {
                Self::unknown_user(named.user)
            }
            Rejection::LoginTaken => Self::taken_user(named.user),
            Rejection::Unauthenticated | Rejection::Forbidden => Self::unauthorised(),
            Rejection::StoreUnknown { store } => {
                Self::new(513, format!("non exist store id {store}"))
            }
            Rejection::StoreTaken { store } => Self::new(514, format!("exist store id {store}")),
            Rejection::SkuUnknown { sku } => Self::new(515, format!("non exist book id {sku}")),
            Rejection::SkuTaken { sku } => Self::new(516, format!("exist book id {sku}")),
            Rejection::Short { sku } => Self::new(517, format!("stock level low, book id {sku}")),
            Rejection::OrderUnknown { .. } => Self::unknown_order(named.order),
            Rejection::NotOwn if named.hides_orders => Self::unknown_order(named.order),
            Rejection::NotOwn => Self::unauthorised(),
            Rejection::Phase { phase, word } => Self::out_of_phase(phase, word, named),
            Rejection::Funds if named.order.is_empty() => Self::new(519, "not sufficient funds"),
            Rejection::Funds => {
                Self::new(519, format!("not sufficient funds, order id {}", named.order))
            }
            Rejection::Invalid { field, reason } if field == "lines" => {
                Self::new(530, format!("books {reason}"))
            }
            Rejection::NotYet(_) => Self::busy(rejection.to_string()),
            Rejection::Overflow
            | Rejection::TooMany { .. }
            | Rejection::Invalid { .. }
            | Rejection::TooLarge { .. }
            | Rejection::StillOpen(_)
            | Rejection::TokenTaken { .. }
            | Rejection::TokenUnknown { .. }
            | Rejection::Stuck(_)
            | Rejection::NoLifecycle
            | Rejection::LifecycleOld { .. }
            | Rejection::LifecycleBad(_)
            | Rejection::SettingBad(_) => Self::new(530, rejection.to_string()),
        }
    }

    fn out_of_phase(phase: Option<Phase>, word: Word, named: &Named<'_>) -> Self {
        match (word, phase) {
            (Word::Cancel | Word::Ship | Word::Receive, Some(Phase::Cancelled)) => {
                Self::unknown_order(named.order)
            }
            (Word::Ship, Some(Phase::AwaitingPayment)) => Self::new(521, "no payment to deliver"),
            (Word::Cancel | Word::Ship, _) => Self::new(520, "already delivered or take delivery"),
            (Word::Receive, _) => Self::new(522, "can not receive book"),
            _ => Self::unknown_order(named.order),
        }
    }
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Self {
        Self::new(530, bad.to_string())
    }
}

/// Of every call that this trouble keeps from being answered.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Storage => Self::storage(),
            Trouble::Ending => Self::busy(trouble::ENDING),
        }
    }
}

impl From<BadHeader> for Failure {
    fn from(bad: BadHeader) -> Self {
        Self::new(530, bad.to_string())
    }
}

impl From<incoming::Error> for Failure {
    fn from(error: incoming::Error) -> Self {
        let code = match error {
            incoming::Error::TooLarge(_) => 413,
            incoming::Error::Slow(_) => 408,
            incoming::Error::Broken => 530,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RetryAfter> for Failure {
    fn from(retry: RetryAfter) -> Self {
        Self { retry_after: Some(retry.seconds()), ..Self::new(429, retry.to_string()) }
    }
}

impl From<passwords::Busy> for Failure {
    fn from(busy: passwords::Busy) -> Self {
        Self::busy(busy.to_string())
    }
}

impl From<passwords::Error> for Failure {
    fn from(error: passwords::Error) -> Self {
        match error {
            passwords::Error::Busy(busy) => busy.into(),
            passwords::Error::Unreadable(_) | passwords::Error::Malformed(_) => {
                tracing::error!(%error, "a password hash cannot be read");
                Self::storage()
            }
        }
    }
}

impl From<Stale> for Failure {
    fn from(stale: Stale) -> Self {
        Self::busy(stale.to_string())
    }
}

impl From<Behind> for Failure {
    fn from(behind: Behind) -> Self {
        Self::busy(behind.to_string())
    }
}

impl From<projections::Error> for Failure {
    fn from(error: projections::Error) -> Self {
        tracing::error!(%error, "a view cannot be read");
        Self::busy("a view cannot be read; the log says why")
    }
}
