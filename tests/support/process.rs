//! A docket in a process of its own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use docket::client::Client;

/// A docket in a process of its own, on a folder, on a free port of this machine.
pub struct Process {
    child: Child,
    pub base: String,
    pub data: PathBuf,
    stdout: Arc<Mutex<String>>,
    /// Where its own part of the log begins.
    log_from: usize,
}

/// How a docket ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    /// What it wrote to standard error, its log included.
    pub log: String,
}

impl Process {
    /// Starts the real program and waits until it says where it listens.
    pub fn start(data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::from_command(Command::new(program()), data, variables)
    }

    /// The same under another program, such as strace, that is given the program's path and flags.
    pub fn from_command(command: Command, data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut it = Self::spawn(command, data, &["--listen", "127.0.0.1:0"], variables);
        let ready = |it: &Self| {
            let stdout = it.stdout();
            let address = stdout.lines().find_map(|line| Some(line.split_once("listening on")?.1));
            // Its last line.
            stdout.contains("/auth/register").then(|| address.unwrap_or_default().trim().to_owned())
        };
        it.base = it.wait_until("is not ready", ready);
        it
    }

    /// Starts one that cannot open its journal, and waits until it says where it tells so.
    pub fn in_trouble(command: Command, data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut it = Self::spawn(command, data, &["--listen", "127.0.0.1:0"], variables);
        let address = |it: &Self| {
            let log = it.log();
            let (_, rest) = log.split_once("the journal cannot be used")?;
            let (line, _) = rest.split_once('\n')?;
            let (_, address) = line.split_once("address=")?;
            Some(format!("http://{}", address.split_whitespace().next()?))
        };
        it.base = it.wait_until("does not say that it is in trouble", address);
        it
    }

    /// Runs one that ends by itself, to its end.
    pub fn run(data: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::spawn(Command::new(program()), data, flags, variables).ended()
    }

    /// Starts the real program, or another that is given its path, and waits for nothing.
    pub fn spawn(
        mut command: Command,
        data: &Path,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log_from = log(data).len();
        // What this shell has set is not for the test.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("DOCKET_")) {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .args(flags)
            .arg("--data")
            .arg(data)
            .env("DOCKET_PASSWORD_MEMORY_KIB", "8")
            .env("DOCKET_PASSWORD_ITERATIONS", "1")
            .envs(variables.iter().copied())
            .current_dir(data.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log_file(data)));
        let mut child = command.spawn().unwrap();
        let (stdout, out) = (Arc::new(Mutex::new(String::new())), child.stdout.take().unwrap());
        let lines = Arc::clone(&stdout);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut lines = lines.lock().unwrap();
                lines.push_str(&line);
                lines.push('\n');
            }
        });
        Self { child, base: String::new(), data: data.to_owned(), stdout, log_from }
    }

    /// Speaks to it.
    pub fn client(&self) -> Client {
        Client::new(self.base.clone())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no last words.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM: an end in good order.
    pub fn terminate(self) -> Ended {
        self.signal();
        self.ended()
    }

    /// Sends SIGTERM and does not wait.
    pub fn signal(&self) {
        let kill = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
    }

    /// Waits for its end, a minute at most.
    pub fn ended(mut self) -> Ended {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended { status, stdout: self.stdout(), log: self.log() };
            }
            assert!(started.elapsed() < PATIENCE, "docket does not end; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        log(&self.data).split_off(self.log_from)
    }

    fn wait_until<T>(&mut self, what_if_not: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("docket ended ({status}) and {what_if_not}; its log:\n{}", self.log());
            }
            let late = started.elapsed() > PATIENCE;
            assert!(!late, "docket {what_if_not}; its log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It has ended already, mostly.
        let _ = self.child.wait();
    }
}

/// How long a docket may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The real program.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_docket")
}

/// What the dockets on this folder have logged, all runs.
pub fn log(data: &Path) -> String {
    let bytes = fs::read(log_path(data)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn log_file(data: &Path) -> fs::File {
    fs::OpenOptions::new().create(true).append(true).open(log_path(data)).unwrap()
}

fn log_path(data: &Path) -> PathBuf {
    data.with_extension("log")
}
