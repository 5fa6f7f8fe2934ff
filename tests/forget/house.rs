//! A docket with people in it, one of whom is to be forgotten; and what must be true of that one
//! afterwards, whatever was cut.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::http::Method;
use docket::{
    client::Answer,
    engine,
    journal::{Journal, SqliteJournal},
    keys::{self, KeyRing, MasterKey, StoreError, WrappedKeys},
    projector::{self, ViewName, Views},
};
use events::{AccountId, CommitNumber, Event, Recorded, Sealed, WrappedKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Process, folder, log};

/// A data folder at rest, with some people in it.
pub struct House {
    pub folder: TempDir,
    pub data: PathBuf,
}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    pub name: String,
    pub id: String,
    /// The account's data key as the journal keeps it.
    wrapped: Vec<u8>,
}

/// How far a forgetting has come, as the files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing has happened.
    Before,
    /// The fact is recorded; the key is there.
    Recorded,
    /// The key is destroyed; its bytes are still in a file.
    Destroyed,
    /// Nothing is left.
    Gone,
}

impl House {
    /// With three people, each with money and a session.
    pub async fn with_people() -> (Self, Vec<Person>) {
        let (folder, data) = folder();
        let house = Self { folder, data };
        let docket = Process::start(&house.data, &[]);
        let mut people = Vec::new();
        for name in ["Zaphod-Beeblebrox", "Tricia-McMillan", "Ford-Prefect"] {
            people.push(moves_in(&docket, name).await);
        }
        assert!(docket.terminate().status.success());
        (house, people)
    }

    /// Another of the same.
    pub fn copy(&self) -> Self {
        let (folder, data) = folder();
        copy(&self.data, &data);
        Self { folder, data }
    }

    pub fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// What the files say; they stay as they are.
    pub fn stage(&self, person: &Person) -> Stage {
        let aside = TempDir::new().unwrap();
        for file in ["journal.sqlite", "journal.sqlite-wal"] {
            let _ = fs::copy(self.data.join(file), aside.path().join(file)); // Where there is one.
        }
        let journal = SqliteJournal::open_read_only(aside.path()).unwrap();
        let there = journal.wrapped_key(&format!("account/{}", person.id)).unwrap().is_some();
        let left = self.left_of(person);
        assert!(!there || !left.is_empty(), "a key is there and in no file: what is looked for?");
        match (is_recorded(&journal, person), there, left.is_empty()) {
            (false, true, _) => Stage::Before,
            (true, true, _) => Stage::Recorded,
            (true, false, false) => Stage::Destroyed,
            (true, false, true) => Stage::Gone,
            (false, false, _) => panic!("the key is destroyed, and nobody is forgotten"),
        }
    }

    /// Starts docket as it is: what was begun is finished by that alone, and what was not is as
    /// before and can be done again.
    pub async fn is_finished_by_a_start(&self, person: &Person, others: &[Person]) {
        let begun = self.stage(person) > Stage::Before;
        let docket = Process::start(&self.data, &[]);
        if !begun {
            self.is_as_before(&docket, person).await;
            let answer = forget(&docket, person).await.unwrap();
            assert_eq!(answer.status, 204, "{answer:?}");
        }
        self.is_forgotten(docket, person, others).await;
    }

    async fn is_as_before(&self, docket: &Process, person: &Person) {
        let seen = see(docket, person).await;
        assert_eq!(seen["login"], person.name.as_str());
        assert_eq!((&seen["erased"], &seen["open"]), (&json!(false), &json!(true)));
        assert_eq!(log_in(docket, person).await.status, 201);
        let wallet = ask(docket, Method::GET, &format!("/v1/accounts/{}/wallet", person.id)).await;
        assert_eq!(wallet.unwrap().body["balances"][0]["minor"], MONEY);
    }

    /// All that must be true afterwards, while docket runs and when it has ended.
    pub async fn is_forgotten(&self, docket: Process, person: &Person, others: &[Person]) {
        self.is_erased(&docket, person).await;
        assert_eq!(self.left_of(person), [""; 0], "while docket runs");
        for other in others {
            assert_eq!(see(&docket, other).await["login"], other.name.as_str());
        }
        let ended = docket.terminate();
        assert!(ended.status.success(), "{ended:?}");
        assert_eq!(self.stage(person), Stage::Gone);

        let journal = Arc::new(SqliteJournal::open_read_only(&self.data).unwrap());
        let (world, head) = engine::replay(&*journal).unwrap(); // It verifies the chain.
        assert_eq!(head, *journal.head().borrow());
        assert!(!world.accounts.contains_key(&person.account()));
        let master = MasterKey::from_file_or_new(self.data.join("master.key")).unwrap().0;
        let ring = KeyRing::load(master, Arc::new(AtRest(journal.clone()))).unwrap();
        let opened = ring.open(&login_of(&journal, person), "login");
        assert!(matches!(opened, Err(keys::Error::Erased(_))), "{opened:?}");
        for other in others {
            assert_eq!(ring.open(&login_of(&journal, other), "login").unwrap(), other.name);
            assert!(!self.left_of(other).is_empty(), "what is looked for would be found");
        }
    }

    /// The files that hold a part of somebody's wrapped key, or the name.
    pub fn left_of(&self, person: &Person) -> Vec<String> {
        let mut needles: Vec<&[u8]> = person.wrapped.chunks(person.wrapped.len() / 4).collect();
        needles.push(person.name.as_bytes());
        let mut files = vec![("the log".to_owned(), log(&self.data).into_bytes())];
        read_files(&self.data, &mut files);
        for wanted in ["journal.sqlite", "views/"] {
            assert!(files.iter().any(|(path, _)| path.contains(wanted)), "there is no {wanted}");
        }
        let holds = |bytes: &[u8]| needles.iter().any(|needle| contains(bytes, needle));
        files.into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
    }

    /// What a running docket shows of somebody forgotten.
    pub async fn is_erased(&self, docket: &Process, person: &Person) {
        let seen = see(docket, person).await;
        assert_eq!((&seen["login"], &seen["erased"]), (&json!("erased"), &json!(true)), "{seen}");
        assert_eq!(seen["open"], false);
        assert_eq!(log_in(docket, person).await.status, 401);
    }

    /// The views' rows are those of a fresh fold.
    pub async fn views_are_the_fold(&self) {
        let journal: Arc<dyn Journal> =
            Arc::new(SqliteJournal::open_read_only(&self.data).unwrap());
        let position = journal.head().borrow().position;
        let options = projector::Options::default();
        let (left, projectors) =
            Views::start(Arc::clone(&journal), &self.data.join("views"), &options).unwrap();
        let anew = TempDir::new().unwrap();
        let folded = Views::fold(journal, position, anew.path(), &options).unwrap();
        for view in ViewName::ALL {
            assert!(left.dump(view).unwrap() == folded.dump(view).unwrap(), "{view} is no fold");
        }
        projectors.stop().await;
    }
}

impl Person {
    fn account(&self) -> AccountId {
        self.id.parse().unwrap()
    }
}

/// What each has in the wallet.
const MONEY: i64 = 4200;

/// Makes an account with money and a session.
pub async fn moves_in(docket: &Process, name: &str) -> Person {
    let client = docket.client();
    let body = json!({ "login": name, "password": secret(name) });
    let made = client.post("/v1/accounts", &[], &body).await.unwrap();
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["account"].as_str().unwrap().to_owned();
    let (bearer, path) = (operator(&docket.data), format!("/v1/accounts/{id}/wallet"));
    let charge = json!({ "amount": { "minor": MONEY, "currency": "CNY" } });
    let charged = client.post(&path, &[("authorization", &bearer)], &charge).await.unwrap();
    assert_eq!(charged.status, 200, "{charged:?}");
    let journal = SqliteJournal::open_read_only(&docket.data).unwrap();
    let wrapped = journal.wrapped_key(&format!("account/{id}")).unwrap().unwrap().bytes;
    let person = Person { name: name.to_owned(), id, wrapped };
    assert_eq!(log_in(docket, &person).await.status, 201);
    assert_eq!(see(docket, &person).await["login"], name); // The key ring knows the key.
    person
}

/// Asks a running docket to forget somebody.
pub async fn forget(docket: &Process, person: &Person) -> anyhow::Result<Answer> {
    ask(docket, Method::DELETE, &format!("/v1/accounts/{}", person.id)).await
}

async fn log_in(docket: &Process, person: &Person) -> Answer {
    let terminal = format!("the phone of {}", person.name);
    let body =
        json!({ "login": person.name, "password": secret(&person.name), "terminal": terminal });
    docket.client().post("/v1/sessions", &[], &body).await.unwrap()
}

pub async fn see(docket: &Process, person: &Person) -> Value {
    let seen = ask(docket, Method::GET, &format!("/v1/accounts/{}", person.id)).await.unwrap();
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.body
}

async fn ask(docket: &Process, method: Method, path: &str) -> anyhow::Result<Answer> {
    let bearer = operator(&docket.data);
    docket.client().send(method, path, &[("authorization", &bearer)], "").await
}

/// What proves who runs the site.
pub fn operator(data: &Path) -> String {
    format!("Bearer {}", fs::read_to_string(data.join("operator.token")).unwrap().trim())
}

fn secret(name: &str) -> String {
    format!("{name}-password")
}

/// Whether it is recorded that somebody is forgotten.
fn is_recorded(journal: &SqliteJournal, person: &Person) -> bool {
    let account = person.account();
    let forgotten = |it: &Event| matches!(it, Event::AccountForgotten(it) if it.account == account);
    events(journal).iter().any(forgotten)
}

fn login_of(journal: &SqliteJournal, person: &Person) -> Sealed {
    let login = |it| match it {
        Event::AccountRegistered(it) if it.account == person.account() => Some(it.login_sealed),
        _ => None,
    };
    events(journal).into_iter().find_map(login).unwrap()
}

fn events(journal: &SqliteJournal) -> Vec<Event> {
    let commits = journal.read(CommitNumber(0), 10_000).unwrap();
    let contents = commits.iter().flat_map(|commit| commit.contents().unwrap());
    let envelopes = contents.flat_map(|(_, envelopes)| envelopes);
    envelopes.map(|envelope| Recorded::decode(&envelope).unwrap().event).collect()
}

/// Whether a part of the bytes is this. Pages of zeros, most of what views are, are passed over.
fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let pages = bytes.chunks(PAGE).filter(|page| *page != &[0; PAGE][..page.len()]);
    let bytes = pages.collect::<Vec<_>>().concat();
    bytes.windows(needle.len()).any(|window| window == needle)
}

const PAGE: usize = 4096;

fn read_files(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_files(&path, files);
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// The keys of a journal that nobody writes.
struct AtRest(Arc<SqliteJournal>);

impl WrappedKeys for AtRest {
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.0.wrapped_key(id)?)
    }
    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
        Err(format!("{} is not made here", key.id).into())
    }
    fn destroy(&self, id: &str) -> Result<(), StoreError> {
        Err(format!("{id} is not destroyed here").into())
    }
}
