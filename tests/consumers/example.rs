//! Runs an example as the guide says it.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use rusqlite::Connection;
use serde_json::Value;

use crate::{PATIENCE, guide, site::Site, town::Paid};

/// One that the guide shows, under this heading.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    pub name: &'static str,
    /// Whether it goes on where it was.
    pub keeps: bool,
}

pub const EXAMPLES: [Example; 3] = [
    Example { name: "Rust", keeps: true },
    Example { name: "Python", keeps: true },
    Example { name: "kcat and jq", keeps: false },
];

/// What one has printed.
#[derive(Debug)]
pub struct Counted {
    pub paid: Paid,
    /// How many records it says to have counted in this run, if it does say.
    pub records: Option<u64>,
}

/// An example with a folder of its own, in which the guide's paths lead where they should.
pub struct Consumer {
    example: Example,
    folder: PathBuf,
    brokers: String,
    prefix: String,
    group: String,
}

impl Example {
    /// In a group of the site, with one of this example's databases there.
    pub fn begin(self, site: &Site, database: &str, group: &str) -> Consumer {
        let word = self.name.split(' ').next().unwrap().to_lowercase();
        let folder = site.folder().join(format!("{word}-{database}"));
        if !folder.exists() {
            fs::create_dir_all(folder.join("target")).unwrap();
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            symlink(root.join("tests"), folder.join("tests")).unwrap();
            symlink(profile(), folder.join("target/debug")).unwrap();
            symlink(target().join("consumers"), folder.join("target/consumers")).unwrap();
        }
        let group = format!("{}-{word}-{group}", site.prefix);
        let (brokers, prefix) = (site.brokers.clone(), site.prefix.clone());
        Consumer { example: self, folder, brokers, prefix, group }
    }
}

impl Consumer {
    pub fn under(self, prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..self }
    }

    /// The guide's own command.
    pub async fn run_until_end(&self) -> Counted {
        let mut command = self.command(&guide::command(self.example.name));
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        counted(self.example.name, &ended)
    }

    /// The same, and it must fail. Gives what it says.
    pub fn fails(&self) -> String {
        let ended = self.command(&guide::command(self.example.name)).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success() && ended.stdout.is_empty(), "{said}");
        said
    }

    /// The same, and it goes on until it is told to end.
    pub fn follow(&self) -> Running {
        let command = guide::command(self.example.name);
        let follow = command.replace(" --until-end", "");
        assert_ne!(command, follow);
        let mut command = self.command(&format!("exec {follow}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { name: self.example.name, child: Some(command.spawn().unwrap()) }
    }

    fn command(&self, text: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", text])
            .current_dir(&self.folder)
            .env("BROKERS", &self.brokers)
            .env("PREFIX", &self.prefix)
            .env("GROUP", &self.group)
            .env_remove("PYTHONPATH")
            .stdin(Stdio::null());
        bash
    }

    /// How many offsets it has behind it, over all partitions.
    pub fn read(&self) -> i64 {
        let Ok(database) = Connection::open(self.folder.join(guide::DATABASE)) else { return 0 };
        let sum = database.query_row("SELECT sum(next) FROM progress", [], |row| row.get(0));
        sum.unwrap_or_default() // It has no tables yet.
    }

    /// How many those are that have read everything: the last offset of a partition is the end of a
    /// transaction, which is no record.
    pub fn end(&self) -> i64 {
        self.ends().into_iter().map(|(_, end)| (end - 1).max(0)).sum()
    }

    /// How many offsets its group has before it, as Kafka's own tools tell it.
    pub fn lag(&self) -> i64 {
        let client = self.client();
        let mut asked = TopicPartitionList::new();
        let ends = self.ends();
        for (partition, _) in &ends {
            asked.add_partition(&self.topic(), *partition);
        }
        let known = client.committed_offsets(asked, PATIENCE).unwrap();
        let behind = ends.into_iter().zip(known.elements()).map(|((_, end), it)| {
            let Offset::Offset(next) = it.offset() else { return end };
            end - next
        });
        behind.sum()
    }

    /// How many have joined its group and agreed on who reads what.
    pub fn members(&self) -> usize {
        let groups = self.client().fetch_group_list(Some(&self.group), PATIENCE).unwrap();
        let stable = groups.groups().iter().filter(|it| it.state() == "Stable");
        stable.map(|it| it.members().len()).sum()
    }

    /// What its database is now, nobody being at it.
    pub fn backup(&self) -> Vec<(OsString, Vec<u8>)> {
        let files = fs::read_dir(&self.folder).unwrap().map(|it| it.unwrap());
        let own = files.filter(|it| it.file_name().to_string_lossy().starts_with(guide::DATABASE));
        let copy: Vec<_> = own.map(|it| (it.file_name(), fs::read(it.path()).unwrap())).collect();
        assert!(!copy.is_empty());
        copy
    }

    /// Goes on with such a database instead of its own.
    pub fn restore(&self, backup: &[(OsString, Vec<u8>)]) {
        if self.folder.join(guide::DATABASE).exists() {
            for (name, _) in self.backup() {
                fs::remove_file(self.folder.join(name)).unwrap();
            }
        }
        for (name, bytes) in backup {
            fs::write(self.folder.join(name), bytes).unwrap();
        }
    }

    pub fn forget_progress(&self) {
        let database = Connection::open(self.folder.join(guide::DATABASE)).unwrap();
        let gone = database.execute("DELETE FROM progress", []).unwrap();
        assert!(gone > 1, "{gone}");
    }

    fn ends(&self) -> Vec<(i32, i64)> {
        let (client, topic) = (self.client(), self.topic());
        let partitions = 0..events::publish::PARTITIONS as i32;
        let end = |it| (it, client.fetch_watermarks(&topic, it, PATIENCE).unwrap().1);
        partitions.map(end).collect()
    }

    fn topic(&self) -> String {
        events::Topic::Payments.address(&self.prefix)
    }

    fn client(&self) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", &self.group);
        config.create().unwrap()
    }
}

/// One that follows the topic.
pub struct Running {
    name: &'static str,
    child: Option<Child>,
}

impl Running {
    pub fn until(&mut self, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let _ = self.child.as_mut().unwrap().kill(); // It has ended already, mostly.
                panic!("{}: {:?}", self.name, self.child.take().unwrap().wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL: no last words.
    pub fn kill(mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM: it ends in good order, and says what it has counted.
    pub fn terminate(mut self) -> Counted {
        let child = self.child.take().unwrap();
        let told = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(told.success());
        counted(self.name, &child.wait_with_output().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill(); // The test has failed.
            let _ = child.wait();
        }
    }
}

/// Reads what one has printed.
fn counted(name: &str, ended: &Output) -> Counted {
    let (printed, said) = (text(&ended.stdout), text(&ended.stderr));
    assert!(ended.status.success(), "{name}: {:?}\n{printed}\n{said}", ended.status);
    let mut paid = Paid::new();
    for line in printed.lines() {
        let it: Value = line.parse().unwrap();
        let text = |name: &str| it[name].as_str().unwrap().to_owned();
        let sum = (it["orders"].as_u64().unwrap(), it["minor"].as_i64().unwrap());
        let before = paid.insert((text("channel"), text("store"), text("currency")), sum);
        assert_eq!(before, None, "{name}: {printed}");
    }
    let records = said.lines().find_map(|line| line.strip_suffix(" records counted"));
    Counted { paid, records: records.map(|it| it.parse().unwrap()) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Where this program's kind of build is: target/debug, for example.
fn profile() -> PathBuf {
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let example = profile.join("examples/paid_orders");
    assert!(example.exists(), "there is no {example:?}: cargo build --example paid_orders");
    profile
}

/// Where tests/run has installed what is for Python.
fn target() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned();
    let python = target.join("consumers/bin/python");
    assert!(python.exists(), "there is no {python:?}: run tests/run once");
    target
}
