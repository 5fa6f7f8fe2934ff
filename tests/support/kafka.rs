//! Real Kafka brokers, each a process of its own on ports of this machine.
//!
//! `tests/run` fetches what they run on; without it every test that starts one fails.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Condvar, LazyLock, Mutex, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tempfile::TempDir;
use uuid::Uuid;

pub mod guard;

use guard::Guard;

/// Names a cluster that is there already: `HOST:PORT`, several with commas.
const ELSEWHERE: &str = "KAFKA_BROKERS";

/// How long brokers may take to be there.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long a broker may take to end by itself.
const FAREWELL: Duration = Duration::from_secs(30);

/// Brokers that find each other, numbered from 0, on a folder that goes with them. They end with
/// this value, and with the process, however that ends.
pub struct Cluster {
    brokers: Vec<Broker>,
    folder: TempDir,
    id: String,
    guard: Option<Guard>,
    _turn: Option<Turn>,
}

/// Brokers are large: beside the one that is shared, the tests of a program have one cluster at a
/// time.
struct Turn;

static TAKEN: Mutex<bool> = Mutex::new(false);
static FREE: Condvar = Condvar::new();

impl Turn {
    fn wait() -> Self {
        *FREE.wait_while(TAKEN.lock().unwrap(), |taken| *taken).unwrap() = true;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A panic of one test is no reason for another.
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = false;
        FREE.notify_one();
    }
}

/// One broker, which is a controller too.
struct Broker {
    port: u16,
    controller_port: u16,
    child: Option<Child>,
}

/// Where a test that stops no broker finds one: the cluster that `KAFKA_BROKERS` names, or a single
/// broker that all tests of this program share and that ends with it.
pub fn bootstrap() -> String {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    match std::env::var(ELSEWHERE) {
        Ok(brokers) => brokers,
        Err(_) => SHARED.get_or_init(|| Cluster::new(1, None).begun()).bootstrap(),
    }
}

/// What names of topics and groups begin with that are nobody else's.
pub fn prefix() -> String {
    format!("t{}", &Uuid::new_v4().simple().to_string()[..12])
}

impl Cluster {
    /// Starts this many brokers, whatever `KAFKA_BROKERS` says, and waits until they are there. While
    /// another test of this program has some of its own, it waits for those to go.
    pub fn start(brokers: usize) -> Self {
        let turn = Turn::wait();
        Self::new(brokers, Some(turn)).begun()
    }

    /// Starts one broker in the same way that has another listener, which asks who comes.
    pub fn guarded() -> Self {
        let mut it = Self::new(1, Some(Turn::wait()));
        it.guard = Some(Guard::new(it.folder.path(), free_ports(1)[0]));
        it.begun()
    }

    fn new(brokers: usize, turn: Option<Turn>) -> Self {
        let mut ports = free_ports(2 * brokers).into_iter();
        let mut broker = || Broker {
            port: ports.next().unwrap(),
            controller_port: ports.next().unwrap(),
            child: None,
        };
        let brokers: Vec<_> = (0..brokers).map(|_| broker()).collect();
        Self { brokers, folder: folder(), id: kafka_id(), guard: None, _turn: turn }
    }

    fn begun(mut self) -> Self {
        for i in 0..self.brokers.len() {
            self.format(i);
            self.spawn(i);
        }
        self.wait_until_ready();
        self
    }

    /// The listener that asks who comes, where there is one.
    pub fn guard(&self) -> &Guard {
        self.guard.as_ref().expect("the cluster is guarded")
    }

    /// Where clients find it: every broker, those that are not running too.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self.brokers.iter().map(Broker::address).collect();
        addresses.join(",")
    }

    /// Where the clients of one broker find it.
    pub fn address(&self, i: usize) -> String {
        self.brokers[i].address()
    }

    /// Which broker Kafka calls so.
    pub fn index_of(&self, node_id: i32) -> usize {
        let i = usize::try_from(node_id).unwrap() - 1;
        assert!(i < self.brokers.len(), "no broker is called {node_id}");
        i
    }

    /// SIGKILL: no last words.
    pub fn kill(&mut self, i: usize) {
        self.brokers[i].kill();
    }

    /// SIGTERM, and waits for its end: it hands over what it leads before.
    pub fn stop(&mut self, i: usize) {
        self.signal(i, "TERM");
        let started = Instant::now();
        while self.brokers[i].running().try_wait().unwrap().is_none() {
            if started.elapsed() > FAREWELL {
                self.kill(i);
                panic!("broker {i} does not end; its log:\n{}", self.log_end(i));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.brokers[i].child = None;
    }

    /// Starts one again that was killed or stopped, on its port and its data. Waits until it is
    /// there, where most brokers run: fewer let nobody in.
    pub fn start_again(&mut self, i: usize) {
        assert!(self.brokers[i].child.is_none(), "broker {i} runs");
        self.spawn(i);
        if 2 * self.running().len() > self.brokers.len() {
            self.wait_until_ready();
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&mut self, i: usize) {
        self.signal(i, "STOP");
    }

    /// SIGCONT: it goes on where it was.
    pub fn resume(&mut self, i: usize) {
        self.signal(i, "CONT");
    }

    /// Waits until every broker that was started is in the cluster, and says so itself. None may
    /// be paused.
    pub fn wait_until_ready(&mut self) {
        let (started, wanted) = (Instant::now(), self.running());
        for i in wanted.clone() {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", self.address(i)).set("reconnect.backoff.max.ms", "50");
            config.set("reconnect.backoff.ms", "50");
            let client: BaseConsumer = config.create().unwrap();
            loop {
                let seen = members(&client);
                if seen.is_superset(&wanted) {
                    break;
                }
                for i in wanted.clone() {
                    if let Some(status) = self.brokers[i].running().try_wait().unwrap() {
                        panic!("broker {i} ended ({status}); its log:\n{}", self.log_end(i));
                    }
                }
                let late = started.elapsed() > PATIENCE;
                let log = || self.log_end(i);
                assert!(!late, "broker {i} sees {seen:?} of {wanted:?}; its log:\n{}", log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Of a broker that runs.
    pub fn pid(&self, i: usize) -> u32 {
        self.brokers[i].child.as_ref().unwrap().id()
    }

    /// Those that were started and not ended, paused ones too.
    fn running(&self) -> BTreeSet<usize> {
        (0..self.brokers.len()).filter(|i| self.brokers[*i].child.is_some()).collect()
    }

    /// Makes the folder of a new broker as Kafka's storage tool does, without a Java machine for it.
    fn format(&self, i: usize) {
        let (folder, kafka) = (self.folder_of(i), kafka());
        let data = folder.join("data");
        fs::create_dir_all(&data).unwrap();
        fs::copy(kafka.join("bootstrap.checkpoint"), data.join("bootstrap.checkpoint")).unwrap();
        let meta = format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
            self.id,
            i + 1,
            kafka_id()
        );
        fs::write(data.join("meta.properties"), meta).unwrap();
        fs::write(folder.join("server.properties"), self.settings(i)).unwrap();
    }

    fn settings(&self, i: usize) -> String {
        let Broker { controller_port, .. } = self.brokers[i];
        let voters = self.brokers.iter().zip(1..);
        let voters = voters.map(|(it, id)| format!("{id}@127.0.0.1:{}", it.controller_port));
        let voters = voters.collect::<Vec<_>>().join(",");
        let copies = self.brokers.len().min(3);
        let guard = self.guard.as_ref();
        let guarded = guard.map(|it| format!(",{}://{}", guard::LISTENER, it.address()));
        format!(
            "node.id={}\n\
             listeners=PLAINTEXT://{},CONTROLLER://127.0.0.1:{controller_port}{}\n\
             controller.quorum.voters={voters}\n\
             log.dirs={}\n\
             default.replication.factor={copies}\n\
             offsets.topic.replication.factor={copies}\n\
             transaction.state.log.replication.factor={copies}\n\
             transaction.state.log.min.isr={}\n\
             {SETTINGS}{}",
            i + 1,
            self.address(i),
            guarded.unwrap_or_default(),
            self.folder_of(i).join("data").display(),
            copies.div_ceil(2),
            guard.map(Guard::settings).unwrap_or_default(),
        )
    }

    fn spawn(&mut self, i: usize) {
        let (folder, kafka) = (self.folder_of(i), kafka());
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new("setpriv");
        command
            // The heap is there from the beginning, as Kafka's own start script has it.
            .args(["--pdeathsig", "KILL", "java", "-Xms512m", "-Xmx512m"])
            // What makes a start fast.
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"])
            .arg(format!("-XX:SharedArchiveFile={}", kafka.join("classes.jsa").display()))
            .arg(concat!(
                "-Dlog4j2.configurationFile=",
                env!("CARGO_MANIFEST_DIR"),
                "/tests/kafka/log4j2.properties"
            ))
            .args(["-cp", &kafka.join("libs/*").display().to_string(), "kafka.Kafka"])
            .arg(folder.join("server.properties"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = spawn(command).expect("setpriv starts, which tests/run installs");
        self.brokers[i].child = Some(child);
    }

    fn signal(&mut self, i: usize, signal: &str) {
        let pid = self.brokers[i].running().id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    fn folder_of(&self, i: usize) -> PathBuf {
        self.folder.path().join(i.to_string())
    }

    /// The last lines of what a broker has said.
    fn log_end(&self, i: usize) -> String {
        let bytes = fs::read(self.folder_of(i).join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Broker {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn running(&mut self) -> &mut Child {
        self.child.as_mut().expect("the broker does not run")
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("the broker does not run");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// What all brokers are told. Whatever they wait for is short: one that is killed or paused is known
/// to be gone after three seconds.
const SETTINGS: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
auto.create.topics.enable=false
unclean.leader.election.enable=false
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
group.consumer.min.session.timeout.ms=500
group.consumer.min.heartbeat.interval.ms=100
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=1000
num.network.threads=2
num.io.threads=4
";

/// The brokers that one knows of.
fn members(client: &BaseConsumer) -> BTreeSet<usize> {
    let Ok(metadata) = client.fetch_metadata(None, Duration::from_secs(1)) else {
        return BTreeSet::new();
    };
    metadata.brokers().iter().map(|it| usize::try_from(it.id()).unwrap() - 1).collect()
}

/// Starts a program from a thread that ends with the process: what is to die with its parent dies
/// with the thread that started it.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static PARENT: LazyLock<Mutex<mpsc::Sender<Order>>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                answer.send(command.spawn()).unwrap();
            }
        });
        Mutex::new(sender)
    });
    let (sender, answer) = mpsc::channel();
    PARENT.lock().unwrap().send((command, sender)).unwrap();
    answer.recv().unwrap()
}

/// What the brokers run on.
fn kafka() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let kafka = target.join("kafka");
    // Written last.
    assert!(kafka.join("made_of").exists(), "there is no Kafka in {kafka:?}: run tests/run once");
    kafka
}

/// A folder for a cluster. Those of programs that ended without removing theirs are removed.
fn folder() -> TempDir {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in fs::read_dir(place).unwrap().map_while(Result::ok) {
        let name = entry.file_name().into_string().unwrap_or_default();
        let owner = name.strip_prefix("kafka-").and_then(|it| it.split_once('-'));
        if owner.is_some_and(|(pid, _)| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path()); // Another test may be at it.
        }
    }
    let prefix = format!("kafka-{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir_in(place).unwrap()
}

/// An id as Kafka makes them.
fn kafka_id() -> String {
    URL_SAFE_NO_PAD.encode(Uuid::new_v4())
}

/// Ports that nobody listens on, and that no connection is given by itself: a broker that is started
/// again finds its own free.
fn free_ports(count: usize) -> Vec<u16> {
    let mut held = Vec::new();
    while held.len() < count {
        let [high, low, ..] = *Uuid::new_v4().as_bytes();
        let port = 10_000 + u16::from_be_bytes([high, low]) % 20_000;
        held.extend(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    }
    held.iter().map(|it| it.local_addr().unwrap().port()).collect()
}
