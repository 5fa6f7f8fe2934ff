//! `docket bench`, every row of it on sizes that take a moment: what it prints, what it refuses, and
//! that nothing of it stays, neither files nor processes.

#![allow(clippy::unwrap_used)] // The lint knows tests, and not the functions they share.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::Value;
use support::{folder, kafka, program};
use tempfile::TempDir;

/// Every row, and how it is made to take a moment.
const ROWS: [(&str, &[&str]); 7] = [
    ("place", &["--connections", "1,2", "--seconds", "0.3"]),
    ("mix", &["--connections", "1,2", "--seconds", "0.3"]),
    ("engine", &["--orders", "1200"]),
    ("query", &["--connections", "3", "--seconds", "0.2", "--preload", "12"]),
    ("replay", &["--preload", "1200"]),
    ("start", &["--preload", "120"]),
    ("kafka", KAFKA),
];

const KAFKA: &[&str] = &[
    "--orders",
    "40",
    "--commit",
    "1,3",
    "--transactions",
    "3",
    "--connections",
    "1,4",
    "--seconds",
    "0.3",
];

/// What a line of JSON has, a note aside.
const FIELDS: [&str; 9] =
    ["row", "value", "unit", "baseline", "ratio", "p50_ms", "p99_ms", "p999_ms", "baseline_p99_ms"];
const LATENCIES: &[&str] = &["p50_ms", "p99_ms", "p999_ms", "baseline_p99_ms"];

/// What must have happened after this long; mostly it takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn bench(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("bench").args(arguments).current_dir(folder).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs one to its good end, and gives what it printed and what it said.
fn run(arguments: &[&str]) -> (String, String) {
    let (folder, _) = folder();
    let Output { status, stdout, stderr } = bench(folder.path(), arguments).output().unwrap();
    assert!(status.success(), "{status}: {}", text(&stderr));
    nothing_stays(&folder);
    (text(&stdout), text(&stderr))
}

fn nothing_stays(folder: &TempDir) {
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(processes(folder.path()), []);
}

/// The processes that run below a folder, which is where a bench has its servers.
fn processes(folder: &Path) -> Vec<(u32, String)> {
    let folder = folder.canonicalize().unwrap();
    let below = |cwd: PathBuf| cwd.starts_with(&folder) && cwd != folder;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        if let Some(id) = id
            && fs::read_link(path.join("cwd")).is_ok_and(below)
        {
            let called = fs::read(path.join("cmdline")).unwrap_or_default();
            found.push((id, String::from_utf8_lossy(&called).replace('\0', " ")));
        }
    }
    found
}

/// Runs a row that takes a moment.
fn moment(row: &str, more: &[&str]) -> Vec<Value> {
    let (_, options) = ROWS.iter().find(|(name, _)| *name == row).unwrap();
    figures(row, &[*options, more].concat())
}

/// Runs a row with `--json`, checks every line, and gives what its lines are.
fn figures(row: &str, options: &[&str]) -> Vec<Value> {
    let (printed, said) = run(&[&[row, "--json"], options].concat());
    assert!(!said.is_empty() && !said.contains('{'), "progress is told: {said}");
    let figures: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for figure in &figures {
        check(figure);
    }
    figures
}

fn check(figure: &Value) {
    let fields: Vec<_> = figure.as_object().unwrap().keys().filter(|it| *it != "note").collect();
    let mut expected = FIELDS.to_vec();
    expected.sort_unstable();
    assert_eq!(fields, expected, "{figure}");
    assert!(figure["row"].is_string() && figure["unit"].is_string(), "{figure}");
    let [value, baseline, ratio] =
        ["value", "baseline", "ratio"].map(|field| number(figure, field));
    assert!(value >= 0.0 && baseline > 0.0, "{figure}");
    assert!((ratio * baseline - value).abs() <= value * 1e-9, "{figure}");
}

fn number(figure: &Value, field: &str) -> f64 {
    figure[field].as_f64().unwrap_or_else(|| panic!("{field} of {figure}"))
}

fn is_timed(figure: &Value) {
    let [p50, p99, p999, base] = [0, 1, 2, 3].map(|n| number(figure, LATENCIES[n]));
    assert!(0.0 < p50 && p50 <= p99 && p99 <= p999 && base > 0.0, "{figure}");
}

fn is_not_timed(figure: &Value) {
    assert!(LATENCIES.iter().all(|field| figure[field].is_null()), "{figure}");
}

fn names(figures: &[Value]) -> Vec<&str> {
    figures.iter().map(|figure| figure["row"].as_str().unwrap()).collect()
}

/// The numbers of a note, in their order.
fn numbers(figure: &Value) -> Vec<u64> {
    let note = figure["note"].as_str().unwrap();
    note.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[test]
fn every_row_of_the_help_is_run_here() {
    let (folder, _) = folder();
    let help = text(&bench(folder.path(), &["--help"]).output().unwrap().stdout);
    let (_, rows) = help.split_once("Rows:\n").unwrap();
    let rows = rows.lines().take_while(|line| !line.is_empty());
    let rows: Vec<_> = rows.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(rows, ROWS.map(|(name, _)| name));
    for (row, options) in ROWS {
        let help = text(&bench(folder.path(), &[row, "--help"]).output().unwrap().stdout);
        for words in ["Baseline", "--json", "--folder <DIR>"].iter().chain(&options[..1]) {
            assert!(help.contains(words), "{words:?} is not in:\n{help}");
        }
        fits(&help);
    }
    fits(&help);
}

fn fits(help: &str) {
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn commands_that_are_shown_are_understood() {
    let (folder, _) = folder();
    let help = text(&bench(folder.path(), &["--help"]).output().unwrap().stdout);
    let pages = [&*help, include_str!("../README.md"), include_str!("../benches/README.md")];
    for page in pages {
        // In examples and in fenced blocks; what follows two blanks says what it is for.
        let shown = page.lines().filter_map(|line| {
            line.split_once("docket bench ").or_else(|| line.split_once("-- bench "))
        });
        let shown =
            shown.filter(|(before, _)| before.trim().is_empty() || before.starts_with("cargo run"));
        let shown: Vec<_> = shown.map(|(_, rest)| rest.split("  ").next().unwrap()).collect();
        assert!(!shown.is_empty(), "{page}");
        for arguments in shown {
            // Everything before it is read and checked, and nothing is run.
            let mut arguments: Vec<_> = arguments.split_whitespace().collect();
            arguments.push("--help");
            let output = bench(folder.path(), &arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        }
    }
    for (row, _) in ROWS {
        assert!(pages[2].contains(&format!("`{row}")), "{row} is not in benches/README.md");
    }
}

#[test]
fn place_counts_what_the_views_have() {
    let figures = moment("place", &["--preload", "5"]);
    assert_eq!(names(&figures), ["place/1", "place/2"]);
    for figure in &figures {
        is_timed(figure);
        assert_eq!(figure["unit"], "orders/s");
        assert!(figure["note"].as_str().unwrap().starts_with("lag at the end "), "{figure}");
        let [lag, answered, ..] = numbers(figure)[..] else { panic!("{figure}") };
        let orders = number(figure, "value") * 0.3;
        assert!((orders - answered.saturating_sub(lag) as f64).abs() < 0.01, "{figure}");
    }
}

#[test]
fn mix_lives_whole_lives() {
    let figures = moment("mix", &[]);
    assert_eq!(names(&figures), ["mix/1", "mix/2"]);
    for figure in &figures {
        is_timed(figure);
        assert_eq!(figure["unit"], "calls/s");
        let over = numbers(figure)[0];
        assert!(over > 0, "{figure}");
    }
}

#[test]
fn a_rate_is_kept() {
    let rate = ["--connections", "2", "--seconds", "0.5", "--rate", "60"];
    let figures = figures("place", &rate);
    assert_eq!(names(&figures), ["place/2"]);
    is_timed(&figures[0]);
    // Warming up takes half a second too: as many are due then, and may be answered late.
    let value = number(&figures[0], "value");
    assert!(value <= 2.0 * 60.0 + 4.0, "{figures:?}");
    assert!(number(&figures[0], "baseline") > value, "the echo is not held back: {figures:?}");
}

#[test]
fn engine_has_both_journals() {
    let figures = moment("engine", &[]);
    assert_eq!(names(&figures), ["engine/memory", "engine/sqlite"]);
    figures.iter().for_each(is_not_timed);
}

#[test]
fn query_asks_for_every_kind() {
    let figures = moment("query", &[]);
    assert_eq!(names(&figures), ["query/detail/3", "query/counts/3", "query/list/3"]);
    figures.iter().for_each(is_timed);
}

#[test]
fn query_takes_fewer_orders_than_buyers() {
    let few = ["--connections", "3", "--seconds", "0.1", "--preload", "2"];
    let figures = figures("query", &few);
    assert_eq!(figures.len(), 3);
}

#[test]
fn replay_reaches_the_world_and_the_views() {
    let figures = moment("replay", &[]);
    assert_eq!(names(&figures), ["replay/world", "replay/views"]);
    figures.iter().for_each(is_not_timed);
    let [events, orders, ..] = numbers(&figures[0])[..] else { panic!("{figures:?}") };
    assert!(events > 1200 && orders == 1200, "{figures:?}");
}

#[test]
fn start_grows_with_the_journal() {
    let figures = moment("start", &[]);
    let rows = ["start/0", "start/12", "start/120", "memory/open", "memory/closed"];
    assert_eq!(names(&figures), rows);
    figures.iter().for_each(is_not_timed);
    assert_eq!(figures[0]["ratio"], 1.0);
    assert!(figures[..3].iter().all(|figure| figure["baseline"] == figures[0]["value"]));
    // The three journals, by their orders.
    let events: Vec<_> = figures[..3].iter().map(|figure| numbers(figure)[0]).collect();
    assert_eq!([events[1] - events[0], events[2] - events[0]], [12, 120]);
}

#[test]
fn kafka_has_the_journal_transactions_and_http() {
    let brokers = kafka::bootstrap();
    let figures = moment("kafka", &["--brokers", &brokers]);
    let rows = [
        "journal/1",
        "transaction/1",
        "journal/3",
        "transaction/3",
        "place/1",
        "recorded/1",
        "place/4",
        "recorded/4",
    ];
    assert_eq!(names(&figures), rows.map(|row| format!("kafka/{row}")));
    figures.iter().for_each(is_timed);
    for (rows, connections) in figures[4..].chunks(2).zip([1.0, 4.0]) {
        let [place, recorded] = rows else { panic!("{rows:?}") };
        let note = place["note"].as_str().unwrap();
        let number = |before: &str, after: &str| -> f64 {
            let (_, rest) = note.split_at(note.find(before).unwrap() + before.len());
            rest.split_once(after).unwrap().0.parse().unwrap()
        };
        let events = number("", " events a commit");
        assert!((1.0..=connections).contains(&events), "nobody has two on their way: {note}");
        number(" events, ", " commits not published"); // It is told.
        let [echo, bare] = [number("echo p99 ", " ms"), number(" a second, p99 ", " ms")];
        assert!(number("; with ", " public records a second besides: ") > 0.0, "{note}");
        assert!(number(" besides: ", ", p99 ") > 0.0, "{note}");
        let baseline = place["baseline_p99_ms"].as_f64().unwrap();
        assert!((baseline - 3.0 * bare - echo).abs() < 0.05, "{place}");
        // Of the same commits, by the same client.
        let rate = number("the same commits bare: ", " a second");
        assert!((recorded["baseline"].as_f64().unwrap() - rate).abs() < 1.0, "{recorded}");
        assert!((recorded["baseline_p99_ms"].as_f64().unwrap() - bare).abs() < 0.01, "{recorded}");
        assert!(recorded["note"].as_str().unwrap().starts_with(&format!("{events:.1} events")));
    }
    assert_eq!(figures[0]["baseline"], figures[1]["baseline"], "of one run");
    let asking: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let topics = asking.fetch_metadata(None, PATIENCE).unwrap();
    let left = topics.topics().iter().filter(|it| it.name().starts_with("bench-"));
    assert_eq!(left.map(|it| it.name().to_owned()).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn people_are_told_in_words() {
    let (printed, said) = run(&["replay", "--preload", "600"]);
    assert!(printed.starts_with("replay/world ") && printed.contains("\nreplay/views "));
    assert!(printed.contains(" events/s ") && printed.contains(" baseline ") && !said.is_empty());
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    let (folder, _) = folder();
    let cases: [(&[&str], &str); 13] = [
        (&["everything"], "everything"),
        (&["place", "--connections", "0"], "--connections"),
        (&["place", "--connections", "1,0"], "--connections"),
        (&["place", "--connections", "1,,2"], "--connections"),
        (&["mix", "--seconds", "0"], "--seconds"),
        (&["mix", "--seconds", "-1"], "--seconds"),
        (&["query", "--seconds", "soon"], "--seconds"),
        (&["query", "--rate", "0"], "--rate"),
        (&["query", "--preload", "0"], "--preload"),
        (&["engine", "--rate", "10"], "--rate"),
        (&["engine", "--orders", "0"], "--orders"),
        (&["replay", "--rate", "10"], "--rate"),
        (&["start", "--connections", "4"], "--connections"),
    ];
    for (arguments, named) in cases {
        let output = bench(folder.path(), arguments).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    for option in ["--commit", "--connections"] {
        let arguments = ["kafka", "--brokers", "127.0.0.1:1", option, "16,1,16"];
        let output = bench(folder.path(), &arguments).output().unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(said.contains(&format!("{option} has a number twice")), "{said}");
    }
    let output = bench(folder.path(), &["replay", "--folder", "nowhere"]).output().unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("nowhere"), "{output:?}");
    nothing_stays(&folder);
}

/// A bench that is under way.
struct Running {
    folder: TempDir,
    child: Child,
}

impl Running {
    /// Starts one and waits until it says this.
    fn until(arguments: &[&str], says: &str) -> Self {
        let (folder, _) = folder();
        let mut command = bench(folder.path(), arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said: Vec<_> = lines.by_ref().map(Result::unwrap).take_while(|it| it != says).collect();
        assert!(child.try_wait().unwrap().is_none(), "it ended: {said:?}");
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, child }
    }

    fn signal(&self, signal: &str, process: u32) {
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &process.to_string()]).status().unwrap().success());
    }

    /// Waits for its end, with this status, and that it has printed and left nothing.
    fn ends_with(mut self, code: i32) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(since.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(code));
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(printed, "");
        nothing_stays(&self.folder);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It has ended already, mostly.
        let _ = self.child.wait();
    }
}

const LONG: [&str; 6] = ["place", "--json", "--connections", "2", "--seconds", "600"];

#[test]
fn a_signal_leaves_nothing_behind() {
    for signal in ["-INT", "-TERM"] {
        let running = Running::until(&LONG, "echo, 2 connections");
        let servers = processes(running.folder.path());
        assert_eq!(servers.len(), 2, "docket and the echo: {servers:?}");
        running.signal(signal, running.child.id());
        running.ends_with(130);
    }
}

#[test]
fn a_signal_is_heard_while_it_computes() {
    let engine = ["engine", "--orders", "1000000"];
    let running = Running::until(&engine, "orders on the journal in memory");
    running.signal("-INT", running.child.id());
    running.ends_with(130);
}

#[test]
fn a_server_that_dies_is_an_error() {
    let running = Running::until(&LONG, "echo, 2 connections");
    let servers = processes(running.folder.path());
    let echo = servers.iter().find(|(_, called)| called.contains("bench echo")).unwrap();
    running.signal("-KILL", echo.0);
    running.ends_with(1);
}
