//! Backups of a docket that runs, while customers place, pay and call off orders.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::client::{Answer, Client};
use events::{CommitNumber, OrderId, Phase};
use serde_json::{Value, json};

use super::{
    Kept, Random,
    books::Books,
    docket, printed,
    support::{Process, folder},
    told,
};

const SKUS: [(&str, i64); 2] = [("atlas", 250), ("codex", 39)];
const CUSTOMERS: usize = 4;
const BACKUPS: usize = 5;
/// How many commands are acknowledged before the first backup, and between two.
const BETWEEN: usize = 250;
/// How long a customer waits for an answer at most, whatever else goes on.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_backup_is_the_journal_of_one_moment() {
    let mut random = Random::seeded();
    let (folder, data) = folder();
    let path = folder.path();
    let running = Process::start(&data, &[]);
    let client = running.client();
    open_store(&client).await;
    let mut customers = Vec::new();
    for n in 0..CUSTOMERS {
        let random = random.fork();
        customers.push(Customer::new(&client, n, random).await);
    }
    let known: Vec<_> = customers.iter().map(Customer::account).collect();
    let (told_so_far, stop) = (Arc::<Mutex<Told>>::default(), Arc::new(AtomicBool::new(false)));
    let buying: Vec<_> = customers
        .into_iter()
        .map(|customer| tokio::spawn(customer.buy(Arc::clone(&told_so_far), Arc::clone(&stop))))
        .collect();
    let acknowledged = || told_so_far.lock().unwrap().count;

    let mut backups = Vec::new();
    let mut elsewhere = None;
    for n in 0..BACKUPS {
        let enough = acknowledged() + BETWEEN;
        while acknowledged() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (orders, before) = {
            let told = told_so_far.lock().unwrap();
            (told.orders.clone(), told.count)
        };
        let name = format!("{n}.backup");
        let said = run(path, &["backup", &name]).await;
        assert!(acknowledged() > before, "nothing was acknowledged meanwhile");
        backups.push(Backup { said, orders, name });
        if n == 1 {
            // Beside the load, and served beside it.
            run(path, &["restore", "1.backup", "--data", "elsewhere"]).await;
            let other = path.join("elsewhere");
            fs::copy(data.join("master.key"), other.join("master.key")).unwrap();
            let before = acknowledged();
            let served = Process::start(&other, &[]);
            elsewhere = Some((served, other));
            assert!(acknowledged() > before, "a start elsewhere holds nothing up");
        }
    }
    stop.store(true, Ordering::SeqCst);
    for buying in buying {
        buying.await.unwrap();
    }
    assert!(running.terminate().status.success());

    let source = Kept::of(&data);
    assert!(source.commits.len() > 500, "{} commits are no load", source.commits.len());
    for (n, Backup { said, orders, name }) in backups.iter().enumerate() {
        let place = format!("data-{n}");
        run(path, &["restore", name, "--data", &place]).await;
        let restored = Kept::of(&path.join(&place));
        let head = restored.head();
        assert_eq!(told(said, "hash"), head.hash.to_string());
        assert_eq!(told(said, "position"), head.position.to_string());
        assert_eq!(restored.commits, source.commits[..restored.commits.len()], "{name}");
        assert_eq!(restored.keys, source.keys, "{name}: everybody was there before");
        let books = Books::of(&restored.commits);
        for (order, phase) in orders {
            let found = books.orders.get(&order.parse::<OrderId>().unwrap());
            let found = found.unwrap_or_else(|| panic!("{name}: order {order} is lost")).phase;
            let is_later = found == *phase || *phase == Phase::AwaitingPayment;
            assert!(is_later, "{name}: order {order} is {found:?}, and was {phase:?} before");
        }
        println!("{name}: {} commits, {} orders", head.number, books.orders.len());
    }
    let (served, other) = elsewhere.unwrap();
    let at = Kept::of(&path.join("data-1")).head().number;
    is_as_in(&served, &source, at, &known).await;
    assert!(served.terminate().status.success());
    fs::remove_dir_all(other).unwrap();
    // The last one too, and this one goes on from there.
    let last = path.join(format!("data-{}", BACKUPS - 1));
    let at = Kept::of(&last).head().number;
    fs::copy(data.join("master.key"), last.join("master.key")).unwrap();
    let served = Process::start(&last, &[]);
    is_as_in(&served, &source, at, &known).await;
    let (_, token) = &known[0];
    let order = order(&[1, 1]);
    let placed = served.client().post("/v1/orders", &[("authorization", token)], &order).await;
    assert_eq!(placed.unwrap().status, 201);
    assert!(served.terminate().status.success());
}

struct Backup {
    said: String,
    name: String,
    /// The orders that were acknowledged before it began, and how far they were.
    orders: BTreeMap<String, Phase>,
}

/// What the customers were told.
#[derive(Default)]
struct Told {
    orders: BTreeMap<String, Phase>,
    count: usize,
}

/// What a docket answers, over both faces, is what the commits up to this one say.
async fn is_as_in(docket: &Process, source: &Kept, at: CommitNumber, known: &[(String, String)]) {
    let books = Books::of(&source.commits[..at.0 as usize]);
    let client = docket.client();
    let token = fs::read_to_string(docket.data.join("operator.token")).unwrap();
    let operator = format!("Bearer {}", token.trim());
    for (account, wallet) in &books.wallets {
        let path = format!("/v1/accounts/{account}/wallet");
        let told = get(&client, &path, &operator).await;
        assert_eq!(balance(&told), *wallet, "{told}");
    }
    let mut stock = BTreeMap::new();
    let listings = get(&client, "/v1/stores/corner/listings", &known[0].1).await;
    for it in listings["items"].as_array().unwrap() {
        let count = |name: &str| it[name].as_i64().unwrap();
        let sku = it["sku"].as_str().unwrap().to_owned();
        stock.insert(sku, (count("shelf"), count("reserved")));
    }
    assert_eq!(stock, books.stock);
    let token = known[0].1.strip_prefix("Bearer ").unwrap();
    for (sku, (shelf, _)) in &books.stock {
        let body = json!({ "store_id": "corner", "title": sku });
        let found = bookstore(&client, "search_book_store_title", token, &body).await;
        assert_eq!(found["book_list"][0]["stock_level"], *shelf, "{found}");
    }

    let mut seen = 0;
    for (n, (account, bearer)) in known.iter().enumerate() {
        let theirs = books.orders.iter().filter(|(_, order)| order.buyer == *account);
        let expected: BTreeMap<_, _> =
            theirs.map(|(id, order)| (id.to_string(), (order.phase, order.total))).collect();
        let (mut native, mut path) = (BTreeMap::new(), "/v1/orders?limit=60".to_owned());
        loop {
            let page = get(&client, &path, bearer).await;
            for it in page["items"].as_array().unwrap() {
                let id = it["id"].as_str().unwrap().to_owned();
                let order = get(&client, &format!("/v1/orders/{id}"), bearer).await;
                let total = order["total"]["minor"].as_i64().unwrap();
                native.insert(id, (serde_json::from_value(order["phase"].clone()).unwrap(), total));
            }
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/orders?limit=60&cursor={next}");
        }
        assert_eq!(native, expected, "of customer {n}");
        let token = bearer.strip_prefix("Bearer ").unwrap();
        for (state, phase) in
            [(-1, Phase::Cancelled), (0, Phase::AwaitingPayment), (1, Phase::Paid)]
        {
            let body = json!({ "user_id": format!("customer-{n}"), "para": state });
            let told = bookstore(&client, "query_order_para", token, &body).await;
            let mut told: Vec<_> = told["order_list"].as_array().unwrap().clone();
            told.sort_by_key(ToString::to_string);
            let in_it = expected.iter().filter(|(_, (it, _))| *it == phase);
            assert_eq!(told, in_it.map(|(id, _)| json!(id)).collect::<Vec<_>>(), "{phase:?}");
        }
        seen += expected.len();
    }
    assert!(seen == books.orders.len() && seen > 50, "{seen} orders are not much");
}

/// Somebody with an account of the bookstore's who speaks to both faces.
struct Customer {
    client: Client,
    name: String,
    account: String,
    bearer: String,
    random: Random,
}

impl Customer {
    async fn new(client: &Client, n: usize, random: Random) -> Self {
        let name = format!("customer-{n}");
        let (account, bearer) = register(client, &name).await;
        let body = json!({ "user_id": name, "password": "secret", "add_value": 100_000_000 });
        let token = bearer.strip_prefix("Bearer ").unwrap();
        bookstore(client, "add_funds", token, &body).await;
        Self { client: client.clone(), name, account, bearer, random }
    }

    /// The account, and what proves it.
    fn account(&self) -> (String, String) {
        (self.account.clone(), self.bearer.clone())
    }

    /// Places orders until told to stop; pays most of them and calls others off.
    async fn buy(mut self, told: Arc<Mutex<Told>>, stop: Arc<AtomicBool>) {
        let token = self.bearer.strip_prefix("Bearer ").unwrap().to_owned();
        while !stop.load(Ordering::SeqCst) {
            let counts = [1 + self.random.below(3), 1 + self.random.below(3)];
            let asked = Instant::now();
            let id = if self.random.below(2) == 0 {
                let placed = self.post("/v1/orders", &order(&counts)).await;
                assert_eq!(placed.status, 201, "{placed:?}");
                placed.body["id"].clone()
            } else {
                let lines = SKUS.iter().zip(counts);
                let books: Vec<_> =
                    lines.map(|((sku, _), count)| json!({ "id": sku, "count": count })).collect();
                let body = json!({ "user_id": self.name, "store_id": "corner", "books": books });
                bookstore(&self.client, "new_order", &token, &body).await["order_id"].clone()
            };
            let id = id.as_str().unwrap();
            assert!(asked.elapsed() < ANSWERED_WITHIN, "an order took {:?}", asked.elapsed());
            let tell = |phase| {
                let mut told = told.lock().unwrap();
                told.orders.insert(id.to_owned(), phase);
                told.count += 1;
            };
            tell(Phase::AwaitingPayment);
            let (command, phase) = match self.random.below(5) {
                0 => continue,
                1 => ("cancel", Phase::Cancelled),
                _ => ("pay", Phase::Paid),
            };
            let done = self.post(&format!("/v1/orders/{id}/{command}"), &json!({})).await;
            assert_eq!(done.status, 200, "{done:?}");
            tell(phase);
            let seen = get(&self.client, &format!("/v1/orders/{id}"), &self.bearer).await;
            assert_eq!(seen["phase"], json!(phase), "queries go on");
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(path, &[("authorization", &self.bearer)], body).await.unwrap()
    }
}

/// A store with plenty of everything.
async fn open_store(client: &Client) {
    let (_, bearer) = register(client, "seller").await;
    let headers = [("authorization", bearer.as_str())];
    let opened = client.post("/v1/stores", &headers, &json!({ "store": "corner" })).await;
    assert_eq!(opened.unwrap().status, 201);
    for (sku, price) in SKUS {
        let price = json!({ "minor": price, "currency": "CNY" });
        let body = json!({ "sku": sku, "title": sku, "price": price, "quantity": 1_000_000 });
        let added = client.post("/v1/stores/corner/listings", &headers, &body).await.unwrap();
        assert_eq!(added.status, 201, "{added:?}");
    }
}

/// Makes an account of the bookstore's and a session: the account, and what proves it.
async fn register(client: &Client, name: &str) -> (String, String) {
    let body = json!({ "channel": "bookstore", "login": name, "password": "secret" });
    assert_eq!(client.post("/v1/accounts", &[], &body).await.unwrap().status, 201);
    let session = client.post("/v1/sessions", &[], &body).await.unwrap().body;
    let text = |name: &str| session[name].as_str().unwrap();
    (text("account").to_owned(), format!("Bearer {}", text("token")))
}

fn order(counts: &[u64; 2]) -> Value {
    let lines = SKUS.iter().zip(counts);
    let lines: Vec<_> =
        lines.map(|((sku, _), count)| json!({ "sku": sku, "quantity": count })).collect();
    json!({ "store": "corner", "lines": lines })
}

async fn bookstore(client: &Client, what: &str, token: &str, body: &Value) -> Value {
    let answer = client.post(&format!("/buyer/{what}"), &[("token", token)], body).await.unwrap();
    assert_eq!(answer.status, 200, "{what} {body}: {answer:?}");
    answer.body
}

async fn get(client: &Client, path: &str, bearer: &str) -> Value {
    let headers = [("authorization", bearer)];
    let answer = client.send(Method::GET, path, &headers, "").await.unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

fn balance(wallet: &Value) -> i64 {
    wallet["balances"].as_array().unwrap().first().map_or(0, |it| it["minor"].as_i64().unwrap())
}

/// Runs `docket` to its end, off the threads that speak for the customers.
async fn run(folder: &Path, words: &[&str]) -> String {
    let folder: PathBuf = folder.to_owned();
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    let running = tokio::task::spawn_blocking(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        printed(docket(&folder, &words))
    });
    running.await.unwrap()
}
