//! `/buyer`: what a buyer may ask. Every answer has seen every write that was acknowledged when
//! the call arrived.

use std::collections::HashSet;

use events::{AccountId, Phase, Position, StoreId};
use projections::{ListingRow, OrderRow, Owner};
use serde_json::{Value, json};

use super::{
    Answer, Reply,
    call::{Call, User, order_id},
    failure::Failure,
};
use crate::{domain::Credential, projector::ViewName};

/// How far into what it finds a search may begin.
const FIRST_MAX: usize = 10_000;

/// A way to search for books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Search {
    pub(super) by: By,
    pub(super) within: Within,
}

/// What of a book is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Title, tags and author.
    Any,
    Title,
    Tag,
    Author,
}

/// Where books are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    All,
    Store,
}

/// The buyer's orders, cancelled ones left out.
pub(super) async fn query_order(call: Call<'_>) -> Reply {
    let buyer = match asked(&call)? {
        Asked::User(user) => proven(&call, &user)?,
        Asked::Order(order) => {
            let bearer = bearer(&call)?;
            own_order(&call, bearer, &order).await?.1.order.buyer
        }
    };
    order_list(&call, buyer, |state| state != CANCELLED).await
}

/// The buyer's orders in one state.
pub(super) async fn query_order_para(call: Call<'_>) -> Reply {
    if !call.names_user() && !call.fields.has("order_id") {
        return Err(call.fields.bad("user_id", "is missing").into());
    }
    if !call.fields.has("para") {
        return Err(call.fields.bad("para", "is missing").into());
    }
    by_state(call).await
}

/// The state of an order; with `para`, the buyer's orders in that state.
pub(super) async fn query_order_state(call: Call<'_>) -> Reply {
    if call.fields.has("para") {
        return by_state(call).await;
    }
    let (position, row) = named_order(&call).await?;
    reply(position, json!({ "order_state": state(row.phase) }))
}

/// An order, one entry a line.
pub(super) async fn query_order_detail(call: Call<'_>) -> Reply {
    let (position, row) = named_order(&call).await?;
    let order_id = call.order()?;
    let details: Vec<Value> = row
        .lines
        .iter()
        .map(|line| {
            json!({
                "order_id": order_id,
                "book_id": line.sku,
                "count": line.quantity,
                "price": line.price.minor,
                "state": state(row.phase),
                "store_id": row.order.store,
                "create_time": row.order.placed_at.0.div_euclid(1000),
            })
        })
        .collect();
    reply(position, json!({ "order_detail_list": details }))
}

pub(super) async fn search(call: Call<'_>, search: Search) -> Reply {
    let field = match search.by {
        By::Any => "query",
        By::Title => "title",
        By::Tag => "tag",
        By::Author => "author",
    };
    let wanted = call.fields.text(field)?.to_lowercase();
    let first = call.fields.integer_or("first", 1)?;
    let first = usize::try_from(first).ok().filter(|first| (1..=FIRST_MAX).contains(first));
    let first = first.ok_or_else(|| call.fields.bad("first", "must be from 1 to 10000"))?;
    let store: Option<StoreId> = match search.within {
        Within::All => None,
        Within::Store => Some(call.fields.name("store_id")?),
    };
    let open = call.token().is_none() && !call.settings.enforce_token;
    if !open && call.bearer().is_none() {
        return Err(Failure::unauthorised());
    }
    let position = call.fresh(ViewName::Catalogue).await?;
    let turn = call.search_turn().await?;
    let (channel, size) = (call.channel().clone(), call.settings.page_size);
    let catalogue = call.app.views.catalogue.clone();
    let looking = move || {
        let _held = turn; // Until the search ends, also when its caller has gone away.
        if let Some(store) = &store
            && catalogue.store(&channel, store)?.is_none()
        {
            return Ok(Err(Failure::new(513, format!("non exist store id {store}"))));
        }
        let matches = |row: &ListingRow| matches(row, search.by, &wanted);
        catalogue.search(&channel, store.as_ref(), matches, first, size).map(Ok)
    };
    let (total, found) = off_thread(looking).await??;
    let books: Vec<Value> = found
        .into_iter()
        .map(|(store, sku, row)| {
            let mut book = json!({
                "book_id": sku,
                "title": row.title,
                "price": row.price.minor,
                "author": row.author.unwrap_or_default(),
                "tags": row.tags,
                "stock_level": row.shelf,
            });
            if search.within == Within::All {
                book["store_id"] = json!(store);
            }
            book
        })
        .collect();
    reply(position, json!({ "pages": total.div_ceil(size), "book_list": books }))
}

async fn by_state(call: Call<'_>) -> Reply {
    let wanted = || {
        let para = call.fields.value("para").and_then(Value::as_i64);
        para.filter(|para| (CANCELLED..=RECEIVED).contains(para)).ok_or_else(Failure::bad_state)
    };
    let (buyer, wanted) = match asked(&call)? {
        Asked::User(user) => {
            let wanted = wanted()?;
            (proven(&call, &user)?, wanted)
        }
        Asked::Order(order) => {
            let bearer = bearer(&call)?;
            let wanted = wanted()?;
            (own_order(&call, bearer, &order).await?.1.order.buyer, wanted)
        }
    };
    order_list(&call, buyer, |state| state == wanted).await
}

/// Whose orders are asked for.
enum Asked {
    /// This user's.
    User(User),
    /// Those of the token's user, who placed this one.
    Order(String),
}

fn asked(call: &Call<'_>) -> Result<Asked, Failure> {
    if call.names_user() { call.user().map(Asked::User) } else { call.order().map(Asked::Order) }
}

/// The account of a user, which the token proves.
fn proven(call: &Call<'_>, user: &User) -> Result<AccountId, Failure> {
    let account = user.account.as_ref().ok_or_else(Failure::unauthorised)?;
    match call.by_token(user) {
        Credential::Failed => Err(Failure::unauthorised()),
        Credential::Waived | Credential::Verified { .. } => Ok(account.id),
    }
}

/// The token's user; `None` where the site asks for no token and there is none.
fn bearer(call: &Call<'_>) -> Result<Option<AccountId>, Failure> {
    match call.bearer() {
        Some(account) => Ok(Some(account)),
        None if call.token().is_none() && !call.settings.enforce_token => Ok(None),
        None => Err(Failure::unauthorised()),
    }
}

/// The order that `order_id` names, if it is the named user's, or else the token's.
async fn named_order(call: &Call<'_>) -> Result<(Position, OrderRow), Failure> {
    let order = call.order()?;
    let buyer = match call.names_user() {
        true => Some(proven(call, &call.user()?)?),
        false => bearer(call)?,
    };
    own_order(call, buyer, &order).await
}

/// An order, if it is this buyer's; anybody's where there is none to compare with.
async fn own_order(
    call: &Call<'_>,
    buyer: Option<AccountId>,
    order: &str,
) -> Result<(Position, OrderRow), Failure> {
    let position = call.fresh(ViewName::OrderDetail).await?;
    let (view, id) = (call.app.views.order_detail.clone(), order_id(order));
    let row = view.get(id)?.filter(|row| {
        row.channel == *call.channel() && buyer.is_none_or(|buyer| row.order.buyer == buyer)
    });
    row.map(|row| (position, row)).ok_or_else(|| Failure::unknown_order(order))
}

/// A buyer's orders in the states that are wanted, newest first.
async fn order_list(call: &Call<'_>, buyer: AccountId, wanted: impl Fn(i64) -> bool) -> Reply {
    let phases = Phase::ALL.into_iter().filter(|phase| wanted(state(*phase))).collect();
    let position = call.fresh(ViewName::OrderList).await?;
    let view = call.app.views.order_list.clone();
    let owner = Owner::Buyer(call.channel().clone(), buyer);
    let ids = off_thread(move || {
        // An order that changes its phase meanwhile may be met twice.
        let mut seen = HashSet::new();
        let rows = view.iter(owner, phases);
        let ids = rows.map(|row| row.map(|row| row.id));
        ids.filter(|id| id.as_ref().map_or(true, |id| seen.insert(*id)))
            .collect::<Result<Vec<_>, _>>()
    });
    reply(position, json!({ "order_list": ids.await? }))
}

/// The states of this API: those below, and between them unpaid, paid and shipped.
const CANCELLED: i64 = -1;
const RECEIVED: i64 = 3;

/// The state that a phase is shown as; a site's own life cycle may use any phase.
fn state(phase: Phase) -> i64 {
    match phase {
        Phase::Cancelled | Phase::Rejected | Phase::Refunded => CANCELLED,
        Phase::AwaitingPayment => 0,
        Phase::Paid | Phase::Preparing | Phase::Ready | Phase::Refunding => 1,
        Phase::Shipped | Phase::DeliveryFailed => 2,
        Phase::Received | Phase::Completed => RECEIVED,
    }
}

/// Title and author match in part, tags as a whole; none of them minds upper or lower case.
fn matches(row: &ListingRow, by: By, wanted: &str) -> bool {
    let title = || row.title.to_lowercase().contains(wanted);
    let tag = || row.tags.iter().any(|tag| tag.to_lowercase() == wanted);
    let author = || row.author.as_ref().is_some_and(|it| it.to_lowercase().contains(wanted));
    match by {
        By::Any => title() || tag() || author(),
        By::Title => title(),
        By::Tag => tag(),
        By::Author => author(),
    }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, projections::Error> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::busy("the query was given up; try again")),
    }
}

fn reply(position: Position, fields: Value) -> Reply {
    match fields {
        Value::Object(fields) => Ok(Answer { fields, replay: false, position: Some(position) }),
        _ => unreachable!("every reply is written as an object"),
    }
}
