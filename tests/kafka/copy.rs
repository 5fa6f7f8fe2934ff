//! `docket journal copy`, with the real program: from SQLite to Kafka and back, cut anywhere, onto
//! something else. What arrives is the same journal, with all that goes with it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use docket::{
    cluster::{Election, election},
    engine,
    journal::{Journal, JournalError, KafkaJournal, SqliteJournal, kafka::Options, sqlite},
    node::Parts,
};
use events::{Commit, CommitNumber, Head, NodeName, WrappedKey};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::PATIENCE,
    journal::commit,
    support::{Random, Shop, folder, kafka, program},
};

/// `docket journal copy` with these words, in a folder, with nothing of this shell's settings.
fn copying(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            command.env_remove(name);
        }
    }
    command.args(["journal", "copy", "--replication", "1"]).args(words);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn copy(folder: &Path, words: &[&str]) -> String {
    let output = copying(folder, words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &Path, words: &[&str]) -> String {
    let Output { status, stdout, stderr } = copying(folder, words).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!status.success() && stdout.is_empty(), "{status}: {said}");
    said
}

/// All that a copy is to keep of a data folder.
#[derive(PartialEq)]
struct Kept {
    commits: Vec<Commit>,
    keys: Vec<WrappedKey>,
    /// By their paths.
    blobs: BTreeMap<PathBuf, Vec<u8>>,
}

impl Kept {
    /// What a data folder at rest has, each commit checked against the one before.
    fn of(data: &Path) -> Self {
        let journal = SqliteJournal::open_read_only(data).unwrap();
        let commits = journal.read(CommitNumber(0), usize::MAX).unwrap();
        let mut head = Head::default();
        for commit in &commits {
            commit.continues(&head).unwrap();
            head = commit.head();
        }
        let keys = journal.wrapped_keys("", usize::MAX).unwrap();
        let mut blobs = BTreeMap::new();
        let shelves = fs::read_dir(data.join("blobs")).unwrap();
        for shelf in shelves.map(|it| it.unwrap().path()) {
            for blob in fs::read_dir(shelf).unwrap().map(|it| it.unwrap().path()) {
                let bytes = fs::read(&blob).unwrap();
                blobs.insert(blob.strip_prefix(data).unwrap().to_owned(), bytes);
            }
        }
        Self { commits, keys, blobs }
    }

    fn head(&self) -> Head {
        self.commits.last().unwrap().head()
    }

    /// Not the whole of both where they differ.
    fn is(&self, other: &Self) {
        assert_eq!(self.head(), other.head());
        assert!(self.commits == other.commits, "the commits differ");
        assert!(self.keys == other.keys, "the keys differ");
        assert!(self.blobs == other.blobs, "the blobs differ");
    }
}

/// The folder of the test, a docket's data folder in it, and what it holds.
fn made(make: impl FnOnce(&Path) + Send) -> (TempDir, Kept) {
    let (folder, data) = folder();
    thread::scope(|scope| scope.spawn(|| make(&data)).join().unwrap());
    let kept = Kept::of(&data);
    (folder, kept)
}

/// A journal of this many commits, of several writers with gaps between their epochs, with keys, one
/// of which is destroyed.
fn long(data: &Path, commits: u64) {
    let journal = SqliteJournal::open(data, sqlite::Options::default()).unwrap();
    let (mut head, mut answers) = (Head::default(), Vec::new());
    for n in 1..=commits {
        let next = commit(&head, 3 + 5 * (n * 3 / commits), 1 + n % 3);
        head = next.head();
        let key = WrappedKey { id: format!("account/{n}"), bytes: n.to_le_bytes().repeat(8) };
        let keys = if n % 4 == 0 { vec![key] } else { Vec::new() };
        answers.push(journal.append(Arc::new(next), keys));
    }
    for answer in answers {
        answer.blocking_recv().unwrap().unwrap();
    }
    journal.destroy_key("account/8").unwrap();
    fs::create_dir(data.join("blobs")).unwrap();
}

/// A shop with pictures, an order, and somebody who is forgotten; and what the buyer sees of her
/// order.
async fn shop(data: &Path) -> Value {
    let shop = Shop::start(data, "", Parts::default()).await.unwrap();
    let sam = shop.user("sam").await;
    shop.ok("/seller/create_store", &sam, json!({ "user_id": "sam", "store_id": "corner" })).await;
    let pictures = ["the front of the ledger", "its back"].map(|it| STANDARD.encode(it));
    let info = json!({ "id": "b1", "title": "The Ledger", "price": 25, "pictures": pictures });
    let book = json!({
        "user_id": "sam", "store_id": "corner", "stock_level": 100, "book_info": info,
    });
    shop.ok("/seller/add_book", &sam, book).await;
    let eve = shop.user("eve").await;
    let funds = json!({ "user_id": "eve", "password": "pw-eve", "add_value": 10_000 });
    shop.ok("/buyer/add_funds", &eve, funds).await;
    let books = json!([{ "id": "b1", "count": 2 }]);
    let order = json!({ "user_id": "eve", "store_id": "corner", "books": books });
    let order = shop.ok("/buyer/new_order", &eve, order).await["order_id"].clone();
    let body = json!({ "login": "zaphod", "password": "a long password" });
    let answer = shop.post_with("/v1/accounts", &[], body.to_string()).await;
    let account = answer.body["account"].as_str().unwrap().to_owned();
    let token = fs::read_to_string(data.join("operator.token")).unwrap();
    let request = axum::http::Request::builder()
        .method(Method::DELETE)
        .uri(format!("/v1/accounts/{account}?channel=native"))
        .header("authorization", format!("Bearer {}", token.trim()));
    let answer = shop.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.code, 204, "{answer:?}");
    shop.stop().await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_moves_to_kafka_and_back() {
    let (folder, data) = folder();
    let order = shop(&data).await;
    let kept = Kept::of(&data);
    let key_rows = |data: &Path| {
        let conn = rusqlite::Connection::open(data.join(sqlite::FILE)).unwrap();
        conn.query_row("SELECT count(*) FROM keys", (), |it| it.get::<_, i64>(0)).unwrap() as usize
    };
    assert_eq!((kept.keys.len(), kept.blobs.len()), (5, 2), "three of the ring, sam's and eve's");
    assert_eq!(key_rows(&data), 6, "of one that is destroyed, the row is there");

    let place = format!("kafka://{}/{}", kafka::bootstrap(), kafka::prefix());
    let there = ["--from", "sqlite:data", "--to", &place, "--data", "node"];
    let said = copy(folder.path(), &there);
    let says = [
        format!("sqlite:data is copied to {place}"),
        format!("  commit    {0}, {0} of them copied now", kept.head().number),
        format!("  hash      {}, that of sqlite:data too", kept.head().hash),
        "  keys      5".to_owned(),
        "  blobs     2".to_owned(),
        "the master key, data/master.key: to every node, as DOCKET_MASTER_KEY".to_owned(),
        "start no docket on sqlite:data any more".to_owned(),
    ];
    for says in says {
        assert!(said.contains(&says), "{says}: {said}");
    }
    let again = copy(folder.path(), &there);
    assert!(again.starts_with(&format!("{place} is complete already")), "{again}");
    assert!(again.contains(", 0 of them copied now"), "{again}");
    kept.is(&Kept::of(&folder.path().join("node")));

    // Another node finds the same in Kafka; and from there it goes back, with the pictures.
    let bare = ["--from", &place, "--to", "sqlite:bare", "--data", "bare-node"];
    let said = refused(folder.path(), &bare);
    let says =
        "; pictures are looked for in bare-node/blobs, and --allow-lost-blobs goes on without";
    assert!(said.contains(says) && said.contains("is lost: there is no such file"), "{said}");
    fs::rename(folder.path().join("node/blobs"), folder.path().join("shared")).unwrap();
    let back = ["--from", &place, "--to", "sqlite:new", "--data", "other", "--blobs", "shared"];
    let said = copy(folder.path(), &back);
    assert!(said.starts_with(&format!("{place} is copied to sqlite:new\n")), "{said}");
    let again = copy(folder.path(), &back);
    assert!(again.starts_with("sqlite:new is complete already"), "{again}");
    let new = folder.path().join("new");
    kept.is(&Kept::of(&new));
    assert_eq!(key_rows(&new), 5, "a key that is destroyed is not there");
    let worlds = [&data, &new].map(|data| {
        let (world, head) = engine::replay(&SqliteJournal::open_read_only(data).unwrap()).unwrap();
        assert_eq!(head, kept.head());
        world
    });
    assert!(worlds[0] == worlds[1], "the worlds differ");

    // What was sealed opens under the same master key, and the shop goes on.
    fs::copy(data.join("master.key"), new.join("master.key")).unwrap();
    let shop = Shop::start(&new, "", Parts::default()).await.unwrap();
    let eve = shop.login("eve").await;
    let body = json!({ "user_id": "eve", "password": "pw-eve", "order_id": order });
    assert_eq!(shop.post("/buyer/payment", &eve, body).await.code, 200);
    shop.stop().await;
    let grown = Kept::of(&new);
    assert!(grown.commits.len() > kept.commits.len());

    // Kafka takes what came since then; and whoever has less is not copied over it.
    let on = ["--from", "sqlite:new", "--to", &place, "--data", "other"];
    let said = copy(folder.path(), &on);
    let new_commits = grown.commits.len() - kept.commits.len();
    assert!(said.contains(&format!(", {new_commits} of them copied now")), "{said}");
    let said =
        refused(folder.path(), &["--from", "sqlite:data", "--to", &place, "--data", "other"]);
    let first = kept.commits.len() + 1;
    let says = format!("has gone on by itself: its commit {first} comes after the source's newest");
    assert!(said.contains(&says), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_holds_something_else_is_refused() {
    let (folder, kept) = made(|data| long(data, 40));
    let path = folder.path();
    let place = format!("kafka://{}/{}", kafka::bootstrap(), kafka::prefix());
    copy(path, &["--from", "sqlite:data", "--to", &place, "--data", "node"]);

    // The same up to its 25th commit.
    let part = SqliteJournal::open(&path.join("part"), sqlite::Options::default()).unwrap();
    for commit in &kept.commits[..25] {
        part.append(Arc::new(commit.clone()), Vec::new()).await.unwrap().unwrap();
    }
    let other = commit(&kept.commits[24].head(), 9, 1);
    part.append(Arc::new(other.clone()), Vec::new()).await.unwrap().unwrap();
    drop(part);
    let says = format!(
        "the destination holds another journal: its commit 26 has the hash {}, and the source's {}",
        kept.commits[25].hash, other.hash
    );
    let said = refused(path, &["--from", "sqlite:part", "--to", &place, "--data", "node"]);
    assert!(said.contains(&says), "{said}");
    let says = format!(
        "the destination holds another journal: its commit 26 has the hash {}, and the source's {}",
        other.hash, kept.commits[25].hash
    );
    for from in [["--from", "sqlite:data"].as_slice(), &["--from", &place, "--data", "node"]] {
        let said = refused(path, &[from, &["--to", "sqlite:part"]].concat());
        assert!(said.contains(&says), "{said}");
    }
    kept.is(&Kept::of(&path.join("node")));
}

#[test]
fn a_copy_that_is_cut_goes_on_where_it_was() {
    const COMMITS: u64 = 4000;
    let mut random = Random::seeded();
    let (folder, kept) = made(|data| long(data, COMMITS));
    let path = folder.path();
    let (brokers, prefix) = (kafka::bootstrap(), kafka::prefix());
    let place = format!("kafka://{brokers}/{prefix}");
    let client: BaseConsumer = options(&brokers, &prefix).client().create().unwrap();
    let records = || {
        let marks = client.fetch_watermarks(&format!("{prefix}.journal"), 0, PATIENCE);
        marks.map_or(0, |(_, end)| end.unsigned_abs())
    };
    let stored = |folder: &str| stored(&path.join(folder));
    let there = ["--from", "sqlite:data", "--to", &place, "--data", "node"];
    let back = ["--from", &place, "--to", "sqlite:back", "--data", "node"];
    let away = ["--from", "sqlite:back", "--to", "sqlite:away"];
    // One that dies is missed for six seconds on Kafka.
    let ways: [Way<'_>; 3] = [
        ("node", &there, 2, &records),
        ("back", &back, 1, &|| stored("back")),
        ("away", &away, 6, &|| stored("away")),
    ];
    for (to, words, cuts, far) in ways {
        let mut killed = 0;
        for _ in 0..cuts {
            let at = far() + random.below((COMMITS - far()) / 2 + 1);
            let mut child = Running(copying(path, words).stdout(Stdio::null()).spawn().unwrap());
            let begun = Instant::now();
            while far() < at && child.0.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < PATIENCE, "it does not come to {at}");
                thread::sleep(Duration::from_millis(1));
            }
            killed += usize::from(child.0.try_wait().unwrap().is_none());
            child.0.kill().unwrap();
            child.0.wait().unwrap();
            println!("{to}: killed at {} on the way to {at}", far());
            if (1..COMMITS).contains(&far()) {
                let part = match to {
                    "node" => write_to(&options(&brokers, &prefix)).unwrap_err(),
                    _ => SqliteJournal::open_read_only(&path.join(to)).unwrap_err(),
                };
                assert!(part.to_string().contains("is a part of a copy; run docket"), "{part}");
            }
        }
        assert!(killed > 0, "none was cut");
        copy(path, words);
        kept.is(&Kept::of(&path.join(to)));
        let again = copy(path, words);
        assert!(again.contains("is complete already"), "{again}");
    }
    write_to(&options(&brokers, &prefix)).unwrap();
    assert_eq!(records(), COMMITS, "no commit was sent twice, or one more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_told_to_stop_says_how_it_goes_on() {
    let (folder, data) = folder();
    shop(&data).await;
    let (kept, new) = (Kept::of(&data), folder.path().join("new"));
    let (picture, bytes) = kept.blobs.first_key_value().unwrap();
    // Reading this picture waits until the test writes it.
    let picture = data.join(picture);
    fs::remove_file(&picture).unwrap();
    assert!(Command::new("mkfifo").arg(&picture).status().unwrap().success());
    let words = ["--from", "sqlite:data", "--to", "sqlite:new"];
    let told = "docket: told to stop; told again, it ends at once";
    let goes_on = "docket: broken off; what is copied stays, and the same command goes on there";
    for twice in [true, false] {
        let mut copying = copying(folder.path(), &words);
        let child = copying.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut child = Running(child);
        let mut is_read = read_by(&picture, &mut child.0);
        let pid = child.0.id().to_string();
        let interrupt =
            || assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        interrupt();
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        let mut said = stderr.lines().map(Result::unwrap);
        assert_eq!(said.next().unwrap(), told);
        if twice {
            interrupt();
            assert_eq!(said.next(), None);
        } else {
            is_read.write_all(bytes).unwrap();
            drop(is_read);
            assert_eq!(said.collect::<Vec<_>>(), [goes_on]);
        }
        assert_eq!(child.0.wait().unwrap().code(), Some(130));
    }
    fs::remove_file(&picture).unwrap();
    fs::write(&picture, bytes).unwrap();
    copy(folder.path(), &words);
    kept.is(&Kept::of(&new));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_in_the_way_is_named_with_the_flag() {
    let (folder, _) = made(|data| long(data, 4));
    let path = folder.path();
    let (brokers, prefix) = (kafka::bootstrap(), kafka::prefix());
    let place = format!("kafka://{brokers}/{prefix}");
    let cases: [(&[&str], &str); 9] = [
        (
            &["--from", "sqlite:none", "--to", "sqlite:x"],
            "--from sqlite:none: there is no journal in it",
        ),
        (
            &["--from", "sqlite:data", "--to", "sqlite:./data"],
            "--from and --to name the same folder",
        ),
        (&["--from", "sqlite:data", "--to", &place], "name it with --data"),
        (&["--from", &place, "--to", "sqlite:x", "--data", "y"], "there is no topic"),
        (&["--from", &place, "--to", &place, "--data", "y"], "are both on Kafka"),
        (
            &["--from", "sqlite:data", "--to", "kafka://h/p"],
            "invalid value 'kafka://h/p' for '--to <PLACE>': \"h\" is no broker's HOST:PORT",
        ),
        (
            &["--from", "sqlite:data", "--to", &place, "--data", "y", "--kafka-setting", "acks"],
            "invalid value 'acks' for '--kafka-setting <NAME=VALUE>': it is no NAME=VALUE",
        ),
        (
            &["--from", "sqlite:data", "--to", &place, "--data", "y", "--kafka-setting", "a=b"],
            "--kafka-setting: the setting a of the Kafka client is refused: No such configuration",
        ),
        (&["--from", "sqlite:data", "--to", "sqlite:."], "it is not empty, data is in it"),
    ];
    for (words, says) in cases {
        let said = refused(path, words);
        assert!(said.contains(says), "{words:?}: {said}");
    }
    assert!(
        !path.join("y").exists() && !path.join("x").exists(),
        "nothing is made by what is refused"
    );

    let locked = SqliteJournal::open(&path.join("data"), sqlite::Options::default()).unwrap();
    let said = refused(path, &["--from", "sqlite:data", "--to", "sqlite:x"]);
    assert!(said.contains("--from sqlite:data: a docket runs on that folder"), "{said}");
    drop(locked);

    // Where a docket has its turn to write, nobody copies.
    copy(path, &["--from", "sqlite:data", "--to", &place, "--data", "y"]);
    let client = options(&brokers, &prefix).client();
    let node = NodeName::new("127.0.0.1:8081").unwrap();
    let seat = Election::stand(&client, &prefix, &node, election::SESSION).unwrap();
    let mut turn = seat.turn();
    tokio::time::timeout(PATIENCE, turn.wait_for(|mine| *mine)).await.unwrap().unwrap();
    let words = ["--from", "sqlite:data", "--to", &place, "--data", "y"];
    let said = tokio::task::block_in_place(|| refused(path, &words));
    assert!(said.contains("dockets run there, at 127.0.0.1:8081; stop them first"), "{said}");
    assert!(*turn.borrow(), "who has the turn keeps it");
}

/// A pipe, once this program reads it.
fn read_by(pipe: &Path, child: &mut Child) -> fs::File {
    let begun = Instant::now();
    loop {
        match fs::File::options().write(true).custom_flags(O_NONBLOCK).open(pipe) {
            Ok(file) => return file,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "nobody reads it: {error}"),
        }
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Opening fails where it would wait otherwise; of Linux's `fcntl.h`.
const O_NONBLOCK: i32 = 0o4000;

/// How many commits a folder's journal has, whole or not.
fn stored(data: &Path) -> u64 {
    let read_only = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = rusqlite::Connection::open_with_flags(data.join(sqlite::FILE), read_only);
    let query = "SELECT coalesce(max(number), 0) FROM commits";
    let number = conn.and_then(|it| it.query_row(query, (), |row| row.get::<_, i64>(0)));
    number.unwrap_or(0).unsigned_abs() // There is none yet.
}

/// Begins to write as a docket does.
fn write_to(options: &Options) -> Result<(), JournalError> {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let journal = runtime.block_on(KafkaJournal::open(folder.path(), options))?;
    journal.catch_up(PATIENCE)?;
    journal.begin()
}

fn options(brokers: &str, prefix: &str) -> Options {
    let (brokers, prefix) = (brokers.to_owned(), prefix.to_owned());
    Options { brokers, prefix, replication: 1, settings: Vec::new() }
}

/// A folder, the words of the copy that ends in it, how often it is cut, and how far it is.
type Way<'a> = (&'a str, &'a [&'a str], usize, &'a dyn Fn() -> u64);

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // It has ended already, mostly.
        let _ = self.0.wait();
    }
}
