//! `/buyer`: orders and money.

use events::{Kind, Method, OrderId, OrderNumber, Sku};
use serde_json::json;
use uuid::Uuid;

use super::{
    super::super::fields::Bad,
    Answer, Reply,
    call::{Call, order_id},
    failure::Named,
    seller::fen,
};
use crate::{
    domain::{Action, Place, lifecycle::Word},
    engine::KeyOwner,
};

pub(super) async fn new_order(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let store = call.fields.name("store_id")?;
    let books = call.fields.objects("books")?;
    if books.is_empty() {
        return Err(call.fields.bad("books", "must not be empty").into());
    }
    let lines = books.iter().map(|book| {
        let sku: Sku = book.name("id")?;
        match book.integer_or_text("count")? {
            count @ 1.. => Ok((sku, count)),
            _ => Err(book.bad("count", "must be at least 1")),
        }
    });
    let id = OrderId(Uuid::now_v7());
    let place = Place {
        order: id,
        number: OrderNumber::new(id.to_string()).expect("a UUID is as long as a name may be"),
        store,
        lines: lines.collect::<Result<_, Bad>>()?,
        buyer: None,
        kind: Kind::Physical,
        method: Method::Wallet,
    };
    let named = Named { user: &user.name, ..Named::default() };
    let action = Action::Place(place);
    let accepted = call.command_of(&user, call.by_token(&user), action, &named).await?;
    let order = accepted.receipt.orders.first().map(|order| order.id.to_string());
    let mut answer = Answer::from(accepted);
    answer.fields.insert("order_id".into(), json!(order));
    Ok(answer)
}

/// Takes the token and the password; an order that is not the caller's tells nothing of either.
pub(super) async fn payment(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let password = call.fields.text("password")?;
    let order = call.order()?;
    let checked = call.by_password(&user, password, call.by_token(&user)).await?;
    let named = Named { user: &user.name, order: &order, hides_users: true, ..Named::default() };
    let action = Action::Step { order: order_id(&order), store: None, word: Word::Pay };
    let caller = user.caller(checked.credential);
    let reply = call.command(caller, action, KeyOwner::Account, Vec::new(), &named).await;
    checked.settle(&reply);
    Ok(reply?.into())
}

pub(super) async fn add_funds(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let password = call.fields.text("password")?;
    let amount = fen(call.fields.integer("add_value")?);
    let checked = call.by_password(&user, password, call.by_token(&user)).await?;
    let named = Named { user: &user.name, ..Named::default() };
    let reply = call.command_of(&user, checked.credential, Action::Fund { amount }, &named).await;
    checked.settle(&reply);
    Ok(reply?.into())
}

pub(super) async fn cancel_order(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let order = call.order()?;
    let named = Named { user: &user.name, order: &order, hides_orders: true, ..Named::default() };
    let action = Action::Step { order: order_id(&order), store: None, word: Word::Cancel };
    Ok(call.command_of(&user, call.by_token(&user), action, &named).await?.into())
}

pub(super) async fn receive_book(call: Call<'_>) -> Reply {
    let user = call.user()?;
    let order = call.order()?;
    let named = Named { user: &user.name, order: &order, ..Named::default() };
    let action = Action::Step { order: order_id(&order), store: None, word: Word::Receive };
    Ok(call.command_of(&user, call.by_token(&user), action, &named).await?.into())
}
