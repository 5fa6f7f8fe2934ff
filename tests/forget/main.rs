//! Forgetting a person, cut at every step: what happens before each system call that changes the
//! journal's files, or makes them last. The next start, and nothing else, finishes what was
//! recorded; what was not is as it was.
//!
//! The real program is killed, or its disk fails, at one call after the other, for the operator's
//! command on a folder at rest, for a docket that runs, and for a start that finishes what was cut
//! before. Of a row of like calls, such as the pages of one commit, the first, a middle one and the
//! last are tried.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod house;
mod strace;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::TcpStream,
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    time::{Duration, Instant},
};

use house::{House, Person, Stage, forget, moves_in, operator, see};
use strace::{Blow, Call, Cut, all_calls, calls, cut, cuts, watched};
use support::Process;

/// `serve` and its flags come by themselves.
const SERVE: [&str; 0] = [];
const NEWCOMER: &str = "Arthur-Dent";
const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// `docket forget` on a folder at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_on_a_folder_at_rest_can_be_cut_anywhere() {
    let (house, people) = House::with_people().await;
    let (person, others) = people.split_first().unwrap();
    let mut stages = Stages::default();
    for at in cuts_at_rest(&house, person) {
        let house = cut_at_rest(&house, person, &at);
        stages.count(&at, house.stage(person));
        house.is_finished_by_a_start(person, others).await;
        house.views_are_the_fold().await;
    }
    stages.are_all();
}

/// `DELETE /v1/accounts/{id}` of a docket that runs. The account is of the same run: its key is in
/// the WAL, and later in the file as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docket_that_runs_can_be_cut_anywhere() {
    let (house, others) = House::with_people().await;
    let mut stages = Stages::default();
    for at in cuts_running(&house).await {
        let (house, person) = cut_running(&house, &at).await;
        stages.count(&at, house.stage(&person));
        house.is_finished_by_a_start(&person, &others).await;
        house.views_are_the_fold().await;
    }
    stages.are_all();
}

/// A start that finds the fact recorded and the key still there. It copies the WAL into the file,
/// then destroys the key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_finishes_can_be_cut_anywhere() {
    let (house, people) = House::with_people().await;
    let (person, others) = people.split_first().unwrap();
    let house = cut_to(&house, person, Stage::Recorded);
    let mut stages = Stages::default();
    for copied in [false, true] {
        if copied {
            // By a client, so that the start's own calls are those of the destruction.
            let client = rusqlite::Connection::open(house.data.join("journal.sqlite")).unwrap();
            client.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        }
        let whole = house.copy();
        let command = watched(&whole.data, &whole.trace(), &SERVE);
        let docket = Process::from_command(command, &whole.data, &[]);
        let ready = calls(&whole.trace()).len();
        assert!(docket.terminate().status.success());
        let all = all_calls(&whole.trace());
        let emptied = all.iter().position(|it| it.is("ftruncate", "journal.sqlite-wal")).unwrap();
        let among = if copied { emptied + 1..all.len() } else { 0..emptied + 1 };
        for at in cuts(&all, among) {
            let house = house.copy();
            let command = cut(&house.data, &house.trace(), &at, Blow::Kill, &SERVE);
            let ended = match at.at < ready {
                true => Process::spawn(command, &house.data, &LISTEN, &[]).ended(),
                false => Process::from_command(command, &house.data, &[]).terminate(),
            };
            assert_eq!(ended.status.signal(), Some(9), "{at:?}: {ended:?}");
            stages.count(&at, house.stage(person));
            house.is_finished_by_a_start(person, others).await;
        }
    }
    stages.are([Stage::Recorded, Stage::Destroyed, Stage::Gone]);
}

/// Nobody is killed, and the disk refuses. What docket knows to be recorded it opens no more, says
/// that something is wrong, and ends; the next start finishes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_can_fail_at_any_step() {
    let (house, others) = House::with_people().await;
    let (mut stages, mut refused) = (Stages::default(), 0);
    for at in cuts_running(&house).await {
        let house = house.copy();
        let command = cut(&house.data, &house.trace(), &at, Blow::Fail, &SERVE);
        let docket = Process::from_command(command, &house.data, &[]);
        let person = moves_in(&docket, NEWCOMER).await;
        let answer = forget(&docket, &person).await.unwrap();
        if answer.status == 204 {
            assert!(at.call.is("unlink", "journal.sqlite-wal"), "{at:?}: {answer:?}");
            docket.terminate();
        } else {
            assert_eq!(answer.status, 503, "{at:?}: {answer:?}");
            let seen = see(&docket, &person).await;
            assert_eq!(seen["erased"], !seen["open"].as_bool().unwrap(), "{at:?}: {seen}");
            // Nothing more is taken after a failure, and docket ends.
            let again = forget(&docket, &person).await.unwrap();
            assert_eq!(again.status, 503, "{at:?}: {again:?}");
            let ended = docket.terminate();
            assert_eq!(ended.status.code(), Some(1), "{at:?}: {ended:?}");
            refused += 1;
        }
        stages.count(&at, house.stage(&person));
        house.is_finished_by_a_start(&person, &others).await;
    }
    stages.are_all();
    assert!(refused > 5, "{refused} are not every step");
}

/// While another program reads the journal its WAL cannot be emptied. That is made up for as soon
/// as the reader ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_the_journal_holds_it_up_and_no_longer() {
    let (house, others) = House::with_people().await;
    let running = house.copy();
    let docket = Process::start(&running.data, &[]);
    let newcomer = moves_in(&docket, NEWCOMER).await;
    let reader = Reader::of(&running);
    // Says after a while that it is not done yet, and opens nothing all the same.
    let held_up = async {
        let answer = forget(&docket, &newcomer).await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        running.is_erased(&docket, &newcomer).await;
        assert!(!running.left_of(&newcomer).is_empty(), "the reader holds nothing up");
    };
    // Meanwhile, a start on another folder: it does not wait for long.
    let started = async {
        let is_emptying = |at: &Cut| at.call.is("ftruncate", "journal.sqlite-wal");
        let emptying = cuts_running(&house).await.into_iter().find(is_emptying).unwrap();
        let (house, person) = cut_running(&house, &emptying).await;
        let reader = Reader::of(&house);
        let docket = Process::start(&house.data, &[]);
        house.is_erased(&docket, &person).await;
        assert!(!house.left_of(&person).is_empty(), "the reader holds nothing up");
        reader.end();
        nothing_is_left(&house, &person).await;
        house.is_forgotten(docket, &person, &others).await;
    };
    tokio::join!(held_up, started);

    reader.end();
    nothing_is_left(&running, &newcomer).await;
    let again = forget(&docket, &newcomer).await.unwrap();
    assert_eq!(again.status, 204, "{again:?}");
    running.is_forgotten(docket, &newcomer, &others).await;
}

/// What was asked for is done to the end, whether or not anybody waits for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_stops_nothing() {
    let (house, people) = House::with_people().await;
    let (person, others) = people.split_first().unwrap();
    let docket = Process::start(&house.data, &[]);
    let mut client = TcpStream::connect(docket.base.strip_prefix("http://").unwrap()).unwrap();
    let (path, bearer) = (format!("/v1/accounts/{}", person.id), operator(&house.data));
    let head = format!("DELETE {path} HTTP/1.1\r\nhost: h\r\nauthorization: {bearer}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    drop(client);
    nothing_is_left(&house, person).await;
    house.is_forgotten(docket, person, others).await;
}

async fn nothing_is_left(house: &House, person: &Person) {
    let started = Instant::now();
    while !house.left_of(person).is_empty() {
        assert!(started.elapsed() < Duration::from_secs(10), "it is never made up for");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Another program that reads a journal and does not end.
struct Reader(rusqlite::Connection);

impl Reader {
    fn of(house: &House) -> Self {
        let client = rusqlite::Connection::open(house.data.join("journal.sqlite")).unwrap();
        client.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
        Self(client)
    }

    fn end(self) {
        self.0.execute_batch("COMMIT").unwrap();
    }
}

impl Call {
    fn is(&self, name: &str, file: &str) -> bool {
        self.name == name && self.file == file
    }
}

/// How often a cut left what.
#[derive(Default)]
struct Stages(BTreeMap<Stage, usize>);

impl Stages {
    fn count(&mut self, at: &Cut, stage: Stage) {
        println!("{at:?}: {stage:?}");
        *self.0.entry(stage).or_default() += 1;
    }

    fn are_all(&self) {
        self.are([Stage::Before, Stage::Recorded, Stage::Destroyed, Stage::Gone]);
    }

    /// Each of these was reached; nothing is shown otherwise.
    fn are<const N: usize>(&self, wanted: [Stage; N]) {
        println!("{:?}", self.0);
        assert_eq!(self.0.keys().copied().collect::<Vec<_>>(), wanted);
    }
}

/// Where a docket is cut in which somebody moves in and is forgotten, from then on.
async fn cuts_running(house: &House) -> Vec<Cut> {
    let house = house.copy();
    let command = watched(&house.data, &house.trace(), &SERVE);
    let docket = Process::from_command(command, &house.data, &[]);
    let person = moves_in(&docket, NEWCOMER).await;
    let from = calls(&house.trace()).len();
    let answer = forget(&docket, &person).await.unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(docket.terminate().status.success());
    let all = all_calls(&house.trace());
    cuts(&all, from..all.len())
}

async fn cut_running(house: &House, at: &Cut) -> (House, Person) {
    let house = house.copy();
    let command = cut(&house.data, &house.trace(), at, Blow::Kill, &SERVE);
    let docket = Process::from_command(command, &house.data, &[]);
    let person = moves_in(&docket, NEWCOMER).await;
    if forget(&docket, &person).await.is_ok() {
        docket.signal(); // The cut is at its end.
    }
    let ended = docket.ended();
    assert_eq!(ended.status.signal(), Some(9), "{at:?}: {ended:?}");
    (house, person)
}

/// Where `docket forget` is cut on a folder at rest, from the first change of the journal on.
fn cuts_at_rest(house: &House, person: &Person) -> Vec<Cut> {
    let house = house.copy();
    let command = watched(&house.data, &house.trace(), &["forget", &person.id]);
    let output = at_rest(&house, command);
    assert!(output.status.success(), "{output:?}");
    let all = all_calls(&house.trace());
    let from = all.iter().position(|it| it.is("pwrite64", "journal.sqlite-wal")).unwrap();
    cuts(&all, from..all.len())
}

fn cut_at_rest(house: &House, person: &Person, at: &Cut) -> House {
    let house = house.copy();
    let command = cut(&house.data, &house.trace(), at, Blow::Kill, &["forget", &person.id]);
    let output = at_rest(&house, command);
    assert_eq!(output.status.signal(), Some(9), "{at:?}: {output:?}");
    house
}

/// A copy in which forgetting was cut when it had come so far.
fn cut_to(house: &House, person: &Person, stage: Stage) -> House {
    let cut = |at: &Cut| cut_at_rest(house, person, at);
    let mut cuts = cuts_at_rest(house, person).into_iter();
    cuts.find_map(|at| Some(cut(&at)).filter(|house| house.stage(person) == stage)).unwrap()
}

fn at_rest(house: &House, mut command: Command) -> Output {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            command.env_remove(name);
        }
    }
    command.arg("--data").arg(&house.data).current_dir(house.folder.path()).output().unwrap()
}
