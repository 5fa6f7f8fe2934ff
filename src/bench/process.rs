//! Servers in processes of their own, ended with the measurement.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

/// A server of this very program.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start until it said so.
    pub started_in: Duration,
}

impl Process {
    /// docket on a folder.
    pub fn docket(data: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        // Nothing that was placed shall run out of time while it is measured.
        command.env("DOCKET_CHANNEL_NATIVE_PAY_WITHIN", "365d").env("DOCKET_LOG", "warn");
        Self::spawn(command)
    }

    /// The echo.
    pub fn echo() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "echo"]);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let since = Instant::now();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start")?;
        let out = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(out).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            line.split_once("listening on")?.1.trim().strip_prefix("http://")?.parse().ok()
        });
        let started_in = since.elapsed();
        // What else it says is for nobody, and must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut it = Self { child, address: ([0, 0, 0, 0], 0).into(), started_in };
        it.address = address.context("the server did not start")?;
        Ok(it)
    }

    /// Tells it to stop, and waits.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("kill")?;
        self.child.wait()?;
        Ok(())
    }
}

/// What a process holds in memory, in bytes, by its id, or `self`.
///
/// # Errors
/// When the system does not say.
pub fn resident(process: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .context("no VmRSS in /proc")?;
    Ok(kib * 1024)
}

/// What this very program prints on a folder, in a process of its own.
///
/// # Errors
/// When it fails.
pub fn output(arguments: &[&str], folder: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(arguments).arg(folder).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{arguments:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // Ended already, or it goes now.
        let _ = self.child.wait();
    }
}
