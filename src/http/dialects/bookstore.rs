//! The bookstore API: accounts, sellers, buyers. Every call is JSON in and JSON out, `message` in
//! every reply, and the HTTP status is the code itself.
//!
//! The paths, fields, codes and the order of the checks are those of the bookstore's API document
//! and of the clients that speak it; where the two differ, both are served.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use events::Channel;
use serde_json::{Map, Value, json};
use tokio::sync::SemaphorePermit;

mod accounts;
mod buyer;
mod call;
mod failure;
mod queries;
mod seller;

use call::Call;
use failure::Failure;

use super::super::{
    App,
    access::{Row, Who},
    fresh,
    incoming::Incoming,
    trouble::Trouble,
};
use crate::desk::Newest;

/// What a site may set about this dialect. Not journaled.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The channel its orders belong to. Default `bookstore`.
    pub channel: Channel,
    /// Whether calls need a token. Without, a name stands for itself. Default true.
    pub enforce_token: bool,
    /// Books on a page of a search, 1 to 200. Default 20.
    pub page_size: usize,
    /// How long a session lives, in milliseconds. Default one hour.
    pub session_lives_ms: i64,
    /// What the body of `add_book`, with its pictures, may weigh, in bytes. Default 8 MiB.
    pub book_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channel: Channel::new("bookstore").expect("it is 9 bytes long"),
            enforce_token: true,
            page_size: 20,
            session_lives_ms: 3600 * 1000,
            book_bytes_max: 8 * 1024 * 1024,
        }
    }
}

/// What a successful call adds to `message`.
type Reply = Result<Answer, Failure>;

/// The fields of a successful answer, and whether the engine had given it before.
#[derive(Debug, Default)]
struct Answer {
    fields: Map<String, Value>,
    replay: bool,
    position: Option<events::Position>,
}

/// One path: what answers it, whether it is a query that comes as GET too, and the fields of its
/// own as every error has them: empty.
struct Route {
    path: &'static str,
    operation: Operation,
    get: bool,
    who: &'static [Who],
    empty: fn() -> Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Register,
    Unregister,
    Login,
    Logout,
    Password,
    CreateStore,
    AddBook,
    AddStockLevel,
    Deliver,
    NewOrder,
    Payment,
    AddFunds,
    CancelOrder,
    ReceiveBook,
    QueryOrder,
    QueryOrderPara,
    QueryOrderState,
    QueryOrderDetail,
    Search(queries::Search),
}

impl Operation {
    /// The name under which idempotency keys are kept; one for all paths of an operation.
    fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Unregister => "unregister",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::Password => "password",
            Self::CreateStore => "create_store",
            Self::AddBook => "add_book",
            Self::AddStockLevel => "add_stock_level",
            Self::Deliver => "deliver_book",
            Self::NewOrder => "new_order",
            Self::Payment => "payment",
            Self::AddFunds => "add_funds",
            Self::CancelOrder => "cancel_order",
            Self::ReceiveBook => "receive_book",
            Self::QueryOrder => "query_order",
            Self::QueryOrderPara => "query_order_para",
            Self::QueryOrderState => "query_order_state",
            Self::QueryOrderDetail => "query_order_detail",
            Self::Search(_) => "search",
        }
    }
}

fn routes() -> Vec<Route> {
    use queries::{By, Search, Within};
    let none = || json!({});
    let state = || json!({ "order_state": null, "order_list": [] });
    let order_list = || json!({ "order_list": [] });
    let details = || json!({ "order_detail_list": [] });
    let books = || json!({ "pages": 0, "book_list": [] });
    let own = &[Who::Account][..];
    let command = |path, operation| Route { path, operation, get: false, who: own, empty: none };
    let open = |path, operation| Route { who: &[Who::Public], ..command(path, operation) };
    let sells = |path, operation| Route { who: &[Who::Seller], ..command(path, operation) };
    let query = |path, operation, empty| Route { path, operation, get: true, who: own, empty };
    let search = |path, by, within| Route {
        path,
        operation: Operation::Search(Search { by, within }),
        get: true,
        who: own,
        empty: books,
    };
    vec![
        open("/auth/register", Operation::Register),
        command("/auth/unregister", Operation::Unregister),
        Route { empty: || json!({ "token": "" }), ..open("/auth/login", Operation::Login) },
        command("/auth/logout", Operation::Logout),
        command("/auth/password", Operation::Password),
        command("/seller/create_store", Operation::CreateStore),
        sells("/seller/add_book", Operation::AddBook),
        sells("/seller/add_stock_level", Operation::AddStockLevel),
        sells("/seller/delivery_book", Operation::Deliver),
        sells("/seller/deliver_book", Operation::Deliver),
        Route {
            empty: || json!({ "order_id": "" }),
            ..command("/buyer/new_order", Operation::NewOrder)
        },
        command("/buyer/payment", Operation::Payment),
        command("/buyer/add_funds", Operation::AddFunds),
        command("/buyer/cancel_order", Operation::CancelOrder),
        command("/buyer/receive_book", Operation::ReceiveBook),
        query("/buyer/query_order", Operation::QueryOrder, order_list),
        query("/buyer/search_order", Operation::QueryOrder, order_list),
        query("/buyer/query_order_para", Operation::QueryOrderPara, order_list),
        query("/buyer/query_order_state", Operation::QueryOrderState, state),
        query("/buyer/query_order_detail", Operation::QueryOrderDetail, details),
        query("/buyer/query_detail_order", Operation::QueryOrderDetail, details),
        search("/buyer/search_book_all", By::Any, Within::All),
        search("/buyer/search_book_all_title", By::Title, Within::All),
        search("/buyer/search_book_all_tag", By::Tag, Within::All),
        search("/buyer/search_book_all_author", By::Author, Within::All),
        search("/buyer/search_book_store", By::Any, Within::Store),
        search("/buyer/search_book_store_title", By::Title, Within::Store),
        search("/buyer/search_book_store_tag", By::Tag, Within::Store),
        search("/buyer/search_book_store_author", By::Author, Within::Store),
    ]
}

/// Every path of the dialect, and whether it takes GET beside POST.
pub fn paths() -> impl Iterator<Item = (&'static str, bool)> {
    routes().into_iter().map(|route| (route.path, route.get))
}

/// The rows of the dialect in the table of routes. Every one is checked call by call: this
/// dialect's tokens and passwords come in its own headers and fields.
pub fn rows() -> impl Iterator<Item = Row> {
    routes().into_iter().flat_map(|route| {
        let row = move |method| Row { face: "bookstore", method, path: route.path, who: route.who };
        let methods = if route.get { &["GET", "POST"][..] } else { &["POST"] };
        methods.iter().map(move |method| row(method))
    })
}

/// The routes of the dialect.
pub fn router() -> Router<Arc<App>> {
    let mut router = Router::new();
    for route in routes() {
        let path = route.path;
        let route = Arc::new(route);
        let handler = move |State(app): State<Arc<App>>, request: Request| {
            let route = Arc::clone(&route);
            async move {
                let mut known = None;
                let reply = answer(&app, &route, request, &mut known).await;
                let mut response = respond(route.empty, reply);
                if let Some(newest) = known.filter(|_| route.get) {
                    fresh::mark(&mut response, newest);
                }
                response
            }
        };
        router = router.route(path, any(handler));
    }
    for prefix in PREFIXES {
        router = router.route(prefix, any(no_such_path));
    }
    router
}

/// The same routes where no call can be answered: each says why in its own shape.
pub fn trouble_router(trouble: Trouble) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let answer = move || async move { respond(route.empty, Err(trouble.into())) };
        router = router.route(route.path, any(answer));
    }
    for prefix in PREFIXES {
        router = router.route(prefix, any(no_such_path));
    }
    router
}

/// Everything below these is this dialect's, paths that do not exist too.
const PREFIXES: [&str; 3] = ["/auth/{*path}", "/seller/{*path}", "/buyer/{*path}"];

async fn no_such_path() -> Response {
    respond(|| json!({}), Err(Failure::new(404, "no such path")))
}

/// Answers, and tells what is known of the newest commit as soon as that is.
async fn answer(
    app: &Arc<App>,
    route: &Route,
    request: Request,
    known: &mut Option<Newest>,
) -> Reply {
    let allowed =
        request.method() == Method::POST || (route.get && request.method() == Method::GET);
    if !allowed {
        let allow = if route.get { "GET, POST" } else { "POST" };
        return Err(Failure::new(405, format!("this path takes {allow}")).with_allow(allow));
    }
    let settings = &app.settings.bookstore;
    let bytes_max = match route.operation {
        Operation::AddBook => settings.book_bytes_max,
        _ => app.settings.body_bytes_max,
    };
    let _place = match route.operation {
        Operation::AddBook => Some(place_for_large(app).await?),
        _ => None,
    };
    let request = Incoming::read(request, bytes_max, &app.settings).await?;
    let newest = app.newest(route.get, request.min_position()?).await?;
    *known = Some(newest);
    let call = Call::read(app, settings, route.operation, request, newest)?;
    match route.operation {
        Operation::Register => accounts::register(call).await,
        Operation::Unregister => accounts::unregister(call).await,
        Operation::Login => accounts::login(call).await,
        Operation::Logout => accounts::logout(call).await,
        Operation::Password => accounts::password(call).await,
        Operation::CreateStore => seller::create_store(call).await,
        Operation::AddBook => seller::add_book(call).await,
        Operation::AddStockLevel => seller::add_stock_level(call).await,
        Operation::Deliver => seller::deliver(call).await,
        Operation::NewOrder => buyer::new_order(call).await,
        Operation::Payment => buyer::payment(call).await,
        Operation::AddFunds => buyer::add_funds(call).await,
        Operation::CancelOrder => buyer::cancel_order(call).await,
        Operation::ReceiveBook => buyer::receive_book(call).await,
        Operation::QueryOrder => queries::query_order(call).await,
        Operation::QueryOrderPara => queries::query_order_para(call).await,
        Operation::QueryOrderState => queries::query_order_state(call).await,
        Operation::QueryOrderDetail => queries::query_order_detail(call).await,
        Operation::Search(search) => queries::search(call, search).await,
    }
}

/// Pictures are large, so only a few calls that may bring some are read at once.
async fn place_for_large(app: &App) -> Result<SemaphorePermit<'_>, Failure> {
    match tokio::time::timeout(app.settings.receive_within, app.large_bodies.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(Failure::busy("too many large requests; try again soon")),
    }
}

fn respond(empty: fn() -> Value, reply: Reply) -> Response {
    let mut body = Map::new();
    let mut headers = Vec::new();
    let status = match reply {
        Ok(answer) => {
            body.insert("message".into(), "ok".into());
            body.extend(answer.fields);
            if answer.replay {
                headers.push(("idempotent-replay", HeaderValue::from_static("true")));
            }
            if let Some(position) = answer.position {
                headers.push(("docket-position", HeaderValue::from(position.0)));
            }
            200
        }
        Err(failure) => {
            body.insert("message".into(), failure.message.into());
            if let Some(seconds) = failure.retry_after {
                headers.push(("retry-after", HeaderValue::from(seconds)));
            }
            if let Some(allow) = failure.allow {
                headers.push(("allow", HeaderValue::from_static(allow)));
            }
            if let Value::Object(empty) = empty() {
                body.extend(empty);
            }
            failure.code
        }
    };
    let status = StatusCode::from_u16(status).expect("codes are between 100 and 999");
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut response = (status, Value::Object(body).to_string()).into_response();
    response.headers_mut().insert(json.0, json.1);
    for (name, value) in headers {
        response.headers_mut().insert(name, value);
    }
    response
}
