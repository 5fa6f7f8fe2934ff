//! Who is forgotten is in no backup that is written afterwards, however the two meet.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::Method;
use docket::{
    client::Answer,
    domain::{Action, Caller},
    engine::Request,
    journal::{Journal as _, SqliteJournal},
    node::Parts,
};
use events::{AccountId, Channel, CommandId};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    cleaned, contains, docket, printed, program,
    support::{Process, Shop, folder},
    town::Town,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_backup_has_no_key_and_an_older_one_still_has_it() {
    let (folder, data) = folder();
    let running = Process::start(&data, &[]);
    let zaphod = Person::moves_in(&running, "Zaphod-Beeblebrox").await;
    let ford = Person::moves_in(&running, "Ford-Prefect").await;
    printed(docket(folder.path(), &["backup", "older"]));
    assert_eq!(zaphod.forget(&running).await.status, 204);
    printed(docket(folder.path(), &["backup", "later"]));
    assert!(running.terminate().status.success());

    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(zaphod.is_in(&bytes("older")), "a backup keeps what was there");
    assert!(!zaphod.is_in(&bytes("later")));
    for name in ["older", "later"] {
        assert!(ford.is_in(&bytes(name)), "what is looked for would be found");
        let other = folder.path().join(format!("from-{name}"));
        printed(docket(folder.path(), &["restore", name, "--data", other.to_str().unwrap()]));
        fs::copy(data.join("master.key"), other.join("master.key")).unwrap();
        let restored = Process::start(&other, &[]);
        let (login, erased) = match name {
            "older" => ("Zaphod-Beeblebrox", false),
            _ => ("erased", true),
        };
        let seen = zaphod.see(&restored).await;
        assert_eq!((&seen["login"], &seen["erased"]), (&json!(login), &json!(erased)), "{seen}");
        assert_eq!(ford.see(&restored).await["login"], "Ford-Prefect");
        assert!(restored.terminate().status.success());
    }
    assert!(!zaphod.is_in(&fs::read(folder.path().join("from-later/journal.sqlite")).unwrap()));
}

/// The key is in the backup already when its owner is forgotten; the backup is not in its place yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_copied_is_destroyed_in_the_backup() {
    let town = Town::new();
    let running = Process::start(&town.data, &[]);
    let ann = Person::of_the_town(&town.data);
    // It stays at every sync: that between the slices and the rest is among them.
    let mut backup = Slow::start(&town, "inject=fsync:delay_enter=1200000");
    backup.wait_until(|part| ann.is_in(&fs::read(part).unwrap_or_default())).await;
    assert_eq!(ann.forget(&running).await.status, 204);
    assert!(!backup.is_done(), "who copies slices holds up no forgetting");
    backup.ends();
    assert!(!ann.is_in(&fs::read(town.path().join("new.backup")).unwrap()));

    printed(docket(town.path(), &["restore", "new.backup", "--data", "other"]));
    fs::copy(town.data.join("master.key"), town.path().join("other/master.key")).unwrap();
    assert!(running.terminate().status.success());
    let restored = Process::start(&town.path().join("other"), &[]);
    assert_eq!(ann.see(&restored).await["login"], "erased", "the fact is in it as well");
    assert!(restored.terminate().status.success());
}

/// In the moment of which the backup is, orders go on and a forgetting waits: it is acknowledged
/// after the backup is in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgetting_waits_for_a_backup_that_is_nearly_there() {
    let town = Town::new();
    let running = Process::start(&town.data, &[]);
    let ann = Person::of_the_town(&town.data);
    let mut backup = Slow::start(&town, "inject=rename:delay_enter=1500000");
    let is_whole = |part: &Path| SqliteJournal::open_file_read_only(part.to_owned()).is_ok();
    backup.wait_until(is_whole).await;
    let newcomer = Person::moves_in(&running, "Arthur-Dent").await;
    assert!(!backup.is_done(), "nothing else waits");
    assert_eq!(ann.forget(&running).await.status, 204);
    assert!(backup.is_done(), "it was acknowledged while a backup with the key was to come");
    backup.ends();
    assert!(ann.is_in(&fs::read(town.path().join("new.backup")).unwrap()));
    printed(docket(town.path(), &["backup", "--force", "new.backup"]));
    let bytes = fs::read(town.path().join("new.backup")).unwrap();
    assert!(!ann.is_in(&bytes) && newcomer.is_in(&bytes));
    assert!(running.terminate().status.success());
}

/// The fact is recorded and the key is still there, as after a crash in between.
#[tokio::test]
async fn a_forgetting_that_was_cut_is_finished_in_the_backup() {
    let town = Town::new();
    let ann = Person::of_the_town(&town.data);
    let shop = Shop::start(&town.data, "", Parts::default()).await.unwrap();
    let command = docket::domain::Command {
        id: CommandId(Uuid::now_v7()),
        channel: Channel::new("bookstore").unwrap(),
        caller: Caller::System,
        action: Action::Forget { account: ann.id.parse().unwrap() },
    };
    shop.node.engine.submit(Request::new(command)).await.unwrap();
    shop.stop().await;
    assert!(ann.is_in(&fs::read(town.data.join("journal.sqlite")).unwrap()));
    printed(docket(town.path(), &["backup", "new.backup"]));
    assert!(!ann.is_in(&fs::read(town.path().join("new.backup")).unwrap()));
    printed(docket(town.path(), &["restore", "new.backup", "--data", "other"]));
}

/// Somebody with an account, and the data key as the journal has it.
struct Person {
    id: String,
    channel: &'static str,
    wrapped: Vec<u8>,
}

impl Person {
    async fn moves_in(docket: &Process, login: &str) -> Self {
        let body = json!({ "login": login, "password": "a long password" });
        let made = docket.client().post("/v1/accounts", &[], &body).await.unwrap();
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["account"].as_str().unwrap().to_owned();
        Self { wrapped: wrapped(&docket.data, &id), channel: "native", id }
    }

    /// Ann, who was the last to move in.
    fn of_the_town(data: &Path) -> Self {
        let journal = SqliteJournal::open_read_only(data).unwrap();
        let keys = journal.at_one_moment(|moment| moment.keys(0, 100)).unwrap();
        let mut accounts = keys.iter().filter_map(|it| it.key.id.strip_prefix("account/"));
        let id = accounts.next_back().unwrap().to_owned();
        Self { wrapped: wrapped(data, &id), channel: "bookstore", id }
    }

    async fn forget(&self, docket: &Process) -> Answer {
        self.ask(docket, Method::DELETE).await
    }

    async fn see(&self, docket: &Process) -> Value {
        let seen = self.ask(docket, Method::GET).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        seen.body
    }

    async fn ask(&self, docket: &Process, method: Method) -> Answer {
        let token = fs::read_to_string(docket.data.join("operator.token")).unwrap();
        let bearer = format!("Bearer {}", token.trim());
        let path = format!("/v1/accounts/{}?channel={}", self.id, self.channel);
        docket.client().send(method, &path, &[("authorization", &bearer)], "").await.unwrap()
    }

    /// Whether any part of the wrapped key is in these bytes.
    fn is_in(&self, bytes: &[u8]) -> bool {
        self.wrapped.chunks_exact(self.wrapped.len() / 4).any(|part| contains(bytes, part))
    }
}

fn wrapped(data: &Path, id: &str) -> Vec<u8> {
    let _: AccountId = id.parse().unwrap();
    let journal = SqliteJournal::open_read_only(data).unwrap();
    journal.wrapped_key(&format!("account/{id}")).unwrap().unwrap().bytes
}

/// `docket backup new.backup` of the town, under strace, which holds it up at one call.
struct Slow {
    child: Child,
    file: PathBuf,
    part: PathBuf,
}

impl Slow {
    fn start(town: &Town, held_up: &str) -> Self {
        let there = Command::new("strace").arg("-V").output();
        assert!(there.is_ok(), "this test needs strace: apt-get install strace");
        let (file, part) = ("new.backup", "new.backup.docket-part");
        let mut command = Command::new("strace");
        command.args(["-D", "-f", "-q", "-e", "signal=none", "-o", "trace"]);
        command.args(["-e", "trace=fsync,rename", "-e", held_up, "-P", part, "-P"]);
        command.arg(town.path().join(part)).arg("--").arg(program());
        let mut command = cleaned(command, town.path(), &["backup", file]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, file: town.path().join(file), part: town.path().join(part) }
    }

    async fn wait_until(&mut self, reached: impl Fn(&Path) -> bool) {
        let begun = Instant::now();
        while !reached(&self.part) {
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not come so far");
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!self.is_done());
    }

    fn is_done(&self) -> bool {
        self.file.exists()
    }

    fn ends(&mut self) {
        assert!(self.child.wait().unwrap().success());
        assert!(self.is_done() && !self.part.exists());
    }
}
