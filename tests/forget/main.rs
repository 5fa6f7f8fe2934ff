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
    os::unix::process::ExitStatusExt as _,
    process::{Command, Output},
    time::{Duration, Instant},
};

use house::{House, Person, Stage, forget, moves_in};
use strace::{Blow, Call, Cut, all_calls, calls, cut, cuts, watched};
use support::{Ended, Process, program};

const SERVE: [&str; 0] = [];

/// `docket forget` on a folder at rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_on_a_folder_at_rest_can_be_cut_anywhere() {
    let (house, people) = House::with_people().await;
    let (person, others) = people.split_first().unwrap();
    let whole = house.copy();
    let words = ["forget", &person.id, "--data"];
    let output = at_rest(&whole, watched(&whole.data, &whole.trace(), &words));
    assert!(output.status.success(), "{output:?}");
    let all = all_calls(&whole.trace());
    let from = all.iter().position(|it| it.is("pwrite64", "journal.sqlite-wal")).unwrap();
    let mut stages = Stages::default();
    for at in cuts(&all, from) {
        let house = house.copy();
        let command = cut(&house.data, &house.trace(), &at, Blow::Kill, &words);
        let output = at_rest(&house, command);
        assert_eq!(output.status.signal(), Some(9), "{at:?}: {output:?}");
        stages.count(&at, house.stage(person));
        house.is_finished_by_a_start(person, others).await;
        house.views_are_the_fold().await;
    }
    stages.are_all();
}

/// `DELETE /v1/accounts/{id}` of a docket that runs. The key is in the WAL as well as, soon, in the
/// file: the account is of the same run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_docket_that_runs_can_be_cut_anywhere() {
    let (house, others) = House::with_people().await;
    let (all, from) = run(&house).await;
    let mut stages = Stages::default();
    for at in cuts(&all, from) {
        let house = house.copy();
        let command = cut(&house.data, &house.trace(), &at, Blow::Kill, &SERVE);
        let docket = Process::from_command(command, &house.data, &[]);
        let person = moves_in(&docket, "Arthur-Dent").await;
        let answer = forget(&docket, &person).await;
        if answer.is_ok_and(|answer| answer.status == 204) {
            docket.signal(); // The cut is at its end.
        }
        let ended = docket.ended();
        assert_eq!(ended.status.signal(), Some(9), "{at:?}: {ended:?}");
        stages.count(&at, house.stage(&person));
        house.is_finished_by_a_start(&person, &others).await;
        house.views_are_the_fold().await;
    }
    stages.are_all();
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

    /// Every stage was cut at; nothing is shown otherwise.
    fn are_all(&self) {
        println!("{:?}", self.0);
        let all = [Stage::Before, Stage::Recorded, Stage::Destroyed, Stage::Gone];
        assert_eq!(self.0.keys().copied().collect::<Vec<_>>(), all);
    }
}

/// The calls of a docket in which somebody moves in and is forgotten, and where forgetting begins.
async fn run(house: &House) -> (Vec<Call>, usize) {
    let house = house.copy();
    let command = watched(&house.data, &house.trace(), &SERVE);
    let docket = Process::from_command(command, &house.data, &[]);
    let person = moves_in(&docket, "Arthur-Dent").await;
    let from = calls(&house.trace()).len();
    let answer = forget(&docket, &person).await.unwrap();
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(docket.terminate().status.success());
    (all_calls(&house.trace()), from)
}

fn at_rest(house: &House, mut command: Command) -> Output {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
            command.env_remove(name);
        }
    }
    command.arg(&house.data).current_dir(house.folder.path()).output().unwrap()
}
