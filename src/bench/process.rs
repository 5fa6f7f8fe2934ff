//! This very program in processes of its own, ended with the measurement.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::sync::oneshot;

/// How often it is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A server.
pub struct Process {
    child: Owned,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start until it said so.
    pub started_in: Duration,
}

impl Process {
    /// docket on a folder that lies in the measurement's.
    pub async fn docket(scratch: &Path, data: &Path) -> anyhow::Result<Self> {
        Self::docket_with(scratch, data, []).await
    }

    /// The same, with settings of its own by the names of their variables.
    pub async fn docket_with(
        scratch: &Path,
        data: &Path,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut command = program(scratch)?;
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).envs(settings);
        // Nothing that was placed shall run out of time while it is measured.
        command.env("DOCKET_CHANNEL_NATIVE_PAY_WITHIN", "365d").env("DOCKET_LOG", "warn");
        Self::spawn(command).await
    }

    /// The echo.
    pub async fn echo(scratch: &Path) -> anyhow::Result<Self> {
        let mut command = program(scratch)?;
        command.args(["bench", "echo"]);
        Self::spawn(command).await
    }

    async fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let since = Instant::now();
        let mut child = Owned(command.spawn().context("cannot start")?);
        let out = child.0.stdout.take().context("no output")?;
        let (say, said) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(out).lines();
            let address: Option<SocketAddr> = lines.find_map(|line| {
                let line = line.ok()?;
                line.split_once("listening on")?.1.trim().strip_prefix("http://")?.parse().ok()
            });
            let _ = say.send((address, since.elapsed())); // Nobody hears it who was broken off.
            // What else it says is for nobody, and must not fill the pipe.
            lines.for_each(drop);
        });
        let (address, started_in) = said.await?;
        let address = address.context("the server did not start")?;
        Ok(Self { child, address, started_in })
    }

    /// Tells it to stop, and waits.
    ///
    /// # Errors
    /// When it did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.0.try_wait()? {
            bail!("the server had ended before it was told to: {status}");
        }
        let pid = self.child.0.id().to_string();
        match Command::new("kill").args(["-TERM", &pid]).status() {
            Ok(_) => self.child.ended().await,
            // Not installed: it ends with its owner. What it answered for is durable.
            Err(_) => Ok(()),
        }
    }
}

/// What this very program prints, in a process of its own.
///
/// # Errors
/// When it fails.
pub async fn output(scratch: &Path, arguments: &[&Path]) -> anyhow::Result<String> {
    let mut child = Owned(program(scratch)?.args(arguments).spawn().context("cannot start")?);
    let mut out = child.0.stdout.take().context("no output")?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let text = reading.await??;
    child.ended().await?;
    Ok(text)
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

/// Without the settings of whoever measures: neither variables nor a file.
fn program(scratch: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"DOCKET_") {
            command.env_remove(name);
        }
    }
    // Ctrl-C is for this process, which ends the others.
    command.current_dir(scratch).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    Ok(command)
}

/// A process that ends with its owner.
struct Owned(Child);

impl Owned {
    async fn ended(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                ensure!(status.success(), "a process of the bench failed: {status}");
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill(); // Ended already, or it goes now.
        let _ = self.0.wait();
    }
}
