//! A data folder at rest with something of everything in it, long enough to be copied in slices.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use docket::{
    domain::{Action, Caller, Command},
    engine::Request,
    node::Parts,
};
use events::{AccountId, Channel, CommandId, Currency, Money};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    docket, names, printed,
    support::{Shop, folder},
};

/// Goes with the test.
pub struct Town {
    pub folder: TempDir,
    pub data: PathBuf,
}

pub const PICTURES: [&[u8]; 2] = [b"the front of the ledger", b"its back, in one piece with it"];

/// How often Eve's wallet is charged, an event each.
const CHARGES: u64 = 2000;

impl Town {
    /// A copy of the one town, and `town.backup` beside its data folder.
    pub fn new() -> Self {
        static TOWN: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
        let files = TOWN.get_or_init(|| {
            let (folder, data) = folder();
            // Some who ask for it are in a runtime of their own.
            thread::scope(|scope| scope.spawn(|| build(&data)).join().unwrap());
            printed(docket(folder.path(), &["backup", "town.backup"]));
            fs::remove_dir_all(data.join("views")).unwrap();
            let mut files = Vec::new();
            read(folder.path(), Path::new(""), &mut files);
            files
        });
        let (folder, data) = folder();
        for (path, bytes) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        Self { folder, data }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn backup(&self) -> PathBuf {
        self.path().join("town.backup")
    }
}

fn build(data: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shop = Shop::start(data, "queue_max = 8192", Parts::default()).await.unwrap();
        let sam = shop.user("sam").await;
        shop.ok("/seller/create_store", &sam, json!({ "user_id": "sam", "store_id": "corner" }))
            .await;
        let pictures = PICTURES.map(|bytes| STANDARD.encode(bytes));
        for (id, pictures) in [("b1", &pictures[..]), ("b2", &pictures[..1])] {
            let info =
                json!({ "id": id, "title": "The Ledger", "price": 25, "pictures": pictures });
            let book = json!({
                "user_id": "sam", "store_id": "corner", "stock_level": 100, "book_info": info,
            });
            shop.ok("/seller/add_book", &sam, book).await;
        }
        let body = json!({ "channel": "bookstore", "login": "eve", "password": "pw-eve" });
        let answer = shop.post_with("/v1/accounts", &[], body.to_string()).await;
        let account = answer.body["account"].as_str().unwrap().parse().unwrap();
        let eve = shop.login("eve").await;
        shop.user("ann").await; // Who owes nothing and has nothing, and may be forgotten.
        let body = json!({ "user_id": "eve", "password": "pw-eve", "add_value": 10_000 });
        shop.ok("/buyer/add_funds", &eve, body).await;
        for n in 0..10 {
            let books = json!([{ "id": "b1", "count": 2 }, { "id": "b2", "count": 1 }]);
            let order = json!({ "user_id": "eve", "store_id": "corner", "books": books });
            let order = shop.ok("/buyer/new_order", &eve, order).await["order_id"].clone();
            if n % 2 == 0 {
                let body = json!({ "user_id": "eve", "password": "pw-eve", "order_id": order });
                shop.ok("/buyer/payment", &eve, body).await;
            }
        }
        charge(&shop, account).await;
        shop.stop().await;
    });
}

/// Puts money into a wallet, an event each time.
async fn charge(shop: &Shop, account: AccountId) {
    let mut charging = Vec::new();
    for _ in 0..CHARGES {
        let amount = Money { minor: 1, currency: Currency::CNY };
        let command = Command {
            id: CommandId(Uuid::now_v7()),
            channel: Channel::new("bookstore").unwrap(),
            caller: Caller::System,
            action: Action::Charge { account, amount },
        };
        let engine = shop.node.engine.clone();
        charging.push(tokio::spawn(async move { engine.submit(Request::new(command)).await }));
    }
    for charging in charging {
        charging.await.unwrap().unwrap();
    }
}

fn read(root: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for name in names(&root.join(below)) {
        let path = below.join(name);
        match root.join(&path) {
            folder if folder.is_dir() => read(root, &path, files),
            file => files.push((path, fs::read(file).unwrap())),
        }
    }
}
