//! docket's own API, below `/v1`: accounts, stores, orders of every channel, life cycles, tokens.
//!
//! Every call is JSON in and JSON out; what goes wrong is an `application/problem+json`. One list
//! of [`routes`] says who may call what; the router, `docket routes` and the document at
//! `/v1/openapi.json` are made from it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Router,
    extract::{FromRequestParts as _, RawPathParams, Request, State},
    http::{Method, header},
    response::{IntoResponse as _, Response},
    routing::any,
};
use events::Channel;

mod accounts;
mod body;
mod call;
mod cursor;
pub mod docs;
mod lifecycles;
pub mod named_tokens;
mod openapi;
mod orders;
mod problem;
mod query;
mod receipt;
mod route;
mod stores;
mod views;

use call::Call;
pub use problem::Problem;
use query::{CHANNEL, CURSOR, LIMIT, PHASE, Param, Query, param, schema};
use route::{Route, delete, get, post, put};

use super::{
    App,
    access::{Bearer, Denied, Row, Who},
    fresh,
    incoming::Incoming,
    trouble::Trouble,
};
use crate::desk::Newest;

/// What a site may set about this API. Not journaled.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a session lives, in milliseconds. Default one hour.
    pub session_lives_ms: i64,
    /// What the site sets over the settings of each channel's life cycle.
    pub overrides: HashMap<Channel, BTreeMap<String, String>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { session_lives_ms: 3600 * 1000, overrides: HashMap::new() }
    }
}

const PUBLIC: &[Who] = &[Who::Public];
const ACCOUNT: &[Who] = &[Who::Account];
const SELLER: &[Who] = &[Who::Seller];
const OPERATOR: &[Who] = &[Who::Operator];
const WATCHERS: &[Who] = &[Who::Auditor, Who::Operator];
const READERS: &[Who] = &[Who::Account, Who::Seller, Who::Staff, Who::Auditor, Who::Operator];
const ACTORS: &[Who] = &[Who::Account, Who::Seller, Who::Staff, Who::Gateway, Who::Operator];
const ANYBODY: &[Who] =
    &[Who::Account, Who::Seller, Who::Staff, Who::Gateway, Who::Auditor, Who::Operator];

const STORE: Param = param("store", "Only orders placed in this store.", schema::<events::StoreId>);
const BUYER: Param = param("buyer", "Only orders of this account.", schema::<events::AccountId>);
const OPEN_ORDERS: Param = param(
    "open_orders",
    "Whether open orders, too, live by it from now on, each where it can.",
    schema::<bool>,
);

/// Every route, its handler and who may call it.
fn routes() -> Vec<Route> {
    let orders: &[Param] = &[CHANNEL, STORE, BUYER, PHASE];
    let order_pages: &[Param] = &[CHANNEL, STORE, BUYER, PHASE, LIMIT, CURSOR];
    let pages: &[Param] = &[LIMIT, CURSOR];
    let listing_pages: &[Param] = &[CHANNEL, LIMIT, CURSOR];
    let channel: &[Param] = &[CHANNEL];
    vec![
        post("/v1/accounts", "create_account", "Make an account.", PUBLIC)
            .reads_json(accounts::create_account)
            .creates()
            .keyed(),
        get("/v1/accounts/me", "me", "The calling account.", ACCOUNT).answers(accounts::me),
        delete("/v1/accounts/me", "leave", "Give the account up.", ACCOUNT)
            .reads_json(accounts::leave)
            .query(channel)
            .says_nothing()
            .keyed()
            .ends_session(),
        put("/v1/accounts/me/password", "change_password", "Take another password.", ACCOUNT)
            .reads_json(accounts::change_password)
            .says_nothing()
            .keyed()
            .ends_session(),
        get("/v1/accounts/{id}", "account", "One account.", WATCHERS)
            .answers(accounts::account)
            .query(channel),
        delete("/v1/accounts/{id}", "forget", "Make a person unreadable, for ever.", OPERATOR)
            .answers(accounts::forget)
            .query(channel)
            .says_nothing()
            .keyed(),
        get("/v1/accounts/{id}/wallet", "account_wallet", "An account's wallet.", WATCHERS)
            .answers(accounts::account_wallet),
        post("/v1/accounts/{id}/wallet", "charge_wallet", "Charge a wallet.", OPERATOR)
            .reads_json(accounts::charge_wallet)
            .keyed(),
        post("/v1/sessions", "open_session", "Log in.", PUBLIC)
            .reads_json(accounts::open_session)
            .creates(),
        delete("/v1/sessions/current", "close_session", "Log out.", ACCOUNT)
            .answers(accounts::close_session)
            .query(channel)
            .says_nothing()
            .keyed()
            .ends_session(),
        get("/v1/wallet", "wallet", "The calling account's wallet.", ACCOUNT)
            .answers(accounts::wallet),
        post("/v1/stores", "open_store", "Open a store.", ACCOUNT)
            .reads_json(stores::open_store)
            .creates()
            .keyed(),
        get("/v1/stores/{store}", "store", "One store.", READERS)
            .answers(stores::store)
            .query(channel),
        post("/v1/stores/{store}/listings", "add_listing", "Sell one thing more.", SELLER)
            .reads_json(stores::add_listing)
            .creates()
            .keyed(),
        get("/v1/stores/{store}/listings", "listings", "What a store sells, by SKU.", READERS)
            .answers(stores::listings)
            .query(listing_pages),
        get("/v1/stores/{store}/listings/{sku}", "listing", "One thing that is sold.", READERS)
            .answers(stores::listing)
            .query(channel),
        post("/v1/stores/{store}/listings/{sku}/stock", "add_stock", "Fill the shelf.", SELLER)
            .reads_json(stores::add_stock)
            .keyed(),
        post("/v1/orders", "place_order", "Place an order.", ACTORS)
            .reads_json(orders::place_order)
            .creates()
            .keyed(),
        get("/v1/orders", "orders", "Orders, newest first.", READERS)
            .answers(orders::orders)
            .query(order_pages),
        get("/v1/orders/counts", "counts", "How many orders there are.", READERS)
            .answers(orders::counts)
            .query(orders),
        get("/v1/orders/{id}", "order", "One order.", READERS).answers(orders::order),
        get("/v1/orders/{id}/history", "history", "What happened to an order.", READERS)
            .answers(orders::history)
            .query(pages),
        post("/v1/orders/{id}/{command}", "step", "Give a command on an order.", ACTORS)
            .reads_json(orders::step)
            .keyed(),
        get("/v1/commands/{id}", "command", "What became of a command.", ANYBODY)
            .answers(receipt::command),
        get("/v1/lifecycles", "lifecycles", "Every channel's life cycle.", ANYBODY)
            .answers(lifecycles::lifecycles),
        get("/v1/lifecycles/{channel}", "lifecycle", "A channel's life cycle.", ANYBODY)
            .answers(lifecycles::lifecycle),
        put("/v1/lifecycles/{channel}", "adopt_lifecycle", "Adopt a life cycle.", OPERATOR)
            .reads_toml(lifecycles::adopt_lifecycle)
            .query(&[OPEN_ORDERS])
            .keyed(),
        post("/v1/tokens", "issue_token", "Issue a named token.", OPERATOR)
            .reads_json(named_tokens::issue_token)
            .creates(),
        get("/v1/tokens", "tokens", "Every named token, without its secret.", OPERATOR)
            .answers(named_tokens::tokens),
        delete("/v1/tokens/{name}", "revoke_token", "Revoke a named token.", OPERATOR)
            .answers(named_tokens::revoke_token)
            .keyed(),
        get("/v1/views", "views", "How the views are doing.", WATCHERS).answers(views::views),
        post("/v1/views/{name}/rebuild", "rebuild_view", "Build a view's rows anew.", OPERATOR)
            .answers(views::rebuild_view)
            .accepts(),
        get("/v1/openapi.json", "openapi", "This API, as OpenAPI has it.", PUBLIC)
            .answers(openapi::openapi),
    ]
}

/// The rows of this API in the table of routes.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    routes().into_iter().map(|route| route.row())
}

/// The document at `/v1/openapi.json`.
pub fn document() -> serde_json::Value {
    openapi::document(&routes())
}

/// The routes of this API.
pub fn router() -> Router<Arc<App>> {
    let mut router = Router::new();
    for (path, routes) in by_path() {
        let handler = move |State(app): State<Arc<App>>, request: Request| {
            let routes = Arc::clone(&routes);
            async move { answer(app, &routes, request).await }
        };
        router = router.route(path, any(handler));
    }
    for path in BELOW {
        router = router.route(path, any(no_such_path));
    }
    router
}

/// The same routes where no call can be answered: each says why in its own shape.
pub fn trouble_router(trouble: Trouble) -> Router {
    let mut router = Router::new();
    for (path, _) in by_path() {
        let answer =
            move |method: Method| async move { Problem::of(trouble, &method).into_response() };
        router = router.route(path, any(answer));
    }
    for path in BELOW {
        router = router.route(path, any(no_such_path));
    }
    router
}

/// Everything here is this API's, paths that do not exist too.
const BELOW: [&str; 3] = ["/v1", "/v1/", "/v1/{*path}"];

async fn no_such_path() -> Response {
    Problem::not_found("no such path").into_response()
}

fn by_path() -> BTreeMap<&'static str, Arc<[Arc<Route>]>> {
    let mut paths: BTreeMap<_, Vec<Arc<Route>>> = BTreeMap::new();
    for route in routes() {
        paths.entry(route.path).or_default().push(Arc::new(route));
    }
    paths.into_iter().map(|(path, routes)| (path, routes.into())).collect()
}

async fn answer(app: Arc<App>, routes: &[Arc<Route>], request: Request) -> Response {
    let query = request.method().is_safe();
    let mut known = None;
    let answered = try_answer(app, routes, request, &mut known).await;
    let mut response = answered.unwrap_or_else(Problem::into_response);
    if let Some(newest) = known.filter(|_| query) {
        fresh::mark(&mut response, newest);
    }
    response
}

/// Answers, and tells what is known of the newest commit as soon as that is.
async fn try_answer(
    app: Arc<App>,
    routes: &[Arc<Route>],
    request: Request,
    known: &mut Option<Newest>,
) -> Result<Response, Problem> {
    let is_query = request.method().is_safe();
    let asked = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let route = routes.iter().find(|route| route.method == asked).cloned();
    let route = route.ok_or_else(|| {
        let methods: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
        Problem::no_method(methods.join(", "))
    })?;
    let (mut parts, body) = request.into_parts();
    let path = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Problem::not_found("the path is not UTF-8"))?
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let (query, target) = (parts.uri.query().map(str::to_owned), parts.uri.clone());
    let request = Request::from_parts(parts, body);
    let settings = &app.settings;
    let request = Incoming::read(request, settings.body_bytes_max, settings).await?;
    let min_position = request.min_position()?;
    let newest = app.newest(is_query, min_position).await?;
    *known = Some(newest);
    let bearer = bearer(&app, &request);
    match bearer.admitted(route.who) {
        Ok(()) => {}
        // The first of two like requests has ended the session; the second proves itself by its
        // idempotency key and the same token.
        Err(Denied::Unproven) if repeats(&bearer, &route, &request) => {}
        Err(Denied::Unproven) => return Err(Problem::unauthenticated()),
        Err(Denied::Role) => {
            let who: Vec<_> = route.who.iter().map(|who| who.as_str()).collect();
            let detail = format!("this is for {} alone", who.join(", "));
            return Err(Problem::forbidden(detail));
        }
    }
    let query = Query::read(query.as_deref(), route.query)?;
    request.idempotency_key()?;
    let route = Arc::clone(&route);
    let call = Call { app, route, request, query, bearer, newest, min_position, path, target };
    Arc::clone(&call.route).answer(call).await
}

/// Who a request comes from. On a public route nobody looks.
fn bearer(app: &App, request: &Incoming) -> Bearer {
    let Some(value) = request.headers.get(header::AUTHORIZATION) else { return Bearer::Nobody };
    let text = value.to_str().unwrap_or_default();
    let token = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Bearer::of(app, Some(token.map_or("", |(_, token)| token.trim())))
}

fn repeats(bearer: &Bearer, route: &Route, request: &Incoming) -> bool {
    let dead = matches!(bearer, Bearer::Dead { account: Some(_), .. });
    dead && route.ends_session && matches!(request.idempotency_key(), Ok(Some(_)))
}
