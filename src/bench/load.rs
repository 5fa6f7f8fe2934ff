//! The load: connections that are kept alive, each asking and waiting, from one thread.
//!
//! Closed loop: a connection asks again as soon as it is answered. Open loop: requests are due at
//! a fixed rate, and one that waits for the connection to be free counts from when it was due, so
//! a server that stalls is not asked less and judged better for it (coordinated omission).
//!
//! An answer counts when it came in the time that is measured; its latency, when it was asked for
//! or due in that time, however late it came.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinSet, LocalSet},
};

use super::latencies::Latencies;

#[cfg(test)]
mod tests;

/// What the runtime's timer can tell apart.
const GRAIN: Duration = Duration::from_millis(1);
/// How long after the end of a plan the last answers may come.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection's part of a conversation.
pub trait Talk: Send + 'static {
    /// Writes the next request, whole.
    fn ask(&mut self, out: &mut Vec<u8>);

    /// Takes the answer in, and says whether it counts.
    ///
    /// # Errors
    /// When it is not what was asked for: the measurement ends.
    fn hear(&mut self, status: u16, body: &[u8]) -> anyhow::Result<bool>;
}

/// How long, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What comes before and does not count.
    pub warm: Duration,
    /// What counts.
    pub measured: Duration,
    /// Requests a second over all connections; as fast as answers come where it is not said.
    pub rate: Option<f64>,
}

/// What was measured.
pub struct Measured {
    /// Answers that count.
    pub counted: u64,
    /// In how long.
    pub took: Duration,
    /// Of every request, also of those that were due and could not be sent any more.
    pub latencies: Latencies,
}

impl Measured {
    fn none(took: Duration) -> Self {
        Self { counted: 0, took, latencies: Latencies::new() }
    }

    /// Answers that count, a second.
    pub fn rate(&self) -> f64 {
        self.counted as f64 / self.took.as_secs_f64()
    }

    /// Two runs of the same as one.
    pub fn with(mut self, other: &Self) -> Self {
        self.counted += other.counted;
        self.took += other.took;
        self.latencies.add(&other.latencies);
        self
    }
}

struct Schedule {
    begin: Instant,
    counts_from: Instant,
    end: Instant,
    /// Between two requests of one connection.
    every: Option<Duration>,
}

/// Asks until the plan is over, and tells from time to time how many answers came.
///
/// # Errors
/// When a connection breaks, or an answer is not what was asked for, or does not come.
pub fn run<T: Talk>(
    address: SocketAddr,
    talks: Vec<T>,
    plan: Plan,
    tell: impl Fn(u64) + Send + Sync + 'static,
) -> anyhow::Result<(Measured, Vec<T>)> {
    let thread = std::thread::Builder::new().name("load".into());
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let most = plan.warm + plan.measured + PATIENCE;
        let all = all(address, talks, plan, Arc::new(tell));
        let all = async {
            let done = tokio::time::timeout(most, all).await;
            done.with_context(|| format!("answers that are {PATIENCE:?} late"))?
        };
        LocalSet::new().block_on(&runtime, all)
    };
    let done = thread.spawn(work).context("no thread")?.join();
    done.unwrap_or_else(|_| bail!("the load generator panicked"))
}

async fn all<T: Talk>(
    address: SocketAddr,
    talks: Vec<T>,
    plan: Plan,
    tell: Arc<impl Fn(u64) + Send + Sync + 'static>,
) -> anyhow::Result<(Measured, Vec<T>)> {
    let mut connections = Vec::new();
    for _ in &talks {
        connections.push(Connection::open(address).await?);
    }
    let begin = Instant::now();
    let count = talks.len();
    let every = plan.rate.map(|rate| Duration::from_secs_f64(count as f64 / rate));
    let counts_from = begin + plan.warm;
    let schedule = Schedule { begin, counts_from, end: counts_from + plan.measured, every };
    let schedule = Rc::new(schedule);
    let mut working = JoinSet::new();
    for (n, (connection, talk)) in connections.into_iter().zip(talks).enumerate() {
        let first = every.map_or(Duration::ZERO, |every| every.mul_f64(n as f64 / count as f64));
        working.spawn_local(connection.work(talk, Rc::clone(&schedule), first, Arc::clone(&tell)));
    }
    let mut measured = Measured::none(plan.measured);
    let mut talks = Vec::new();
    while let Some(worked) = working.join_next().await {
        let (talk, counted, latencies) = worked??;
        talks.push(talk);
        measured.counted += counted;
        measured.latencies.add(&latencies);
    }
    Ok((measured, talks))
}

struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    out: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(16 * 1024), out: Vec::new() })
    }

    async fn work<T: Talk>(
        mut self,
        mut talk: T,
        schedule: Rc<Schedule>,
        first: Duration,
        tell: Arc<impl Fn(u64)>,
    ) -> anyhow::Result<(T, u64, Latencies)> {
        let mut latencies = Latencies::new();
        let (mut counted, mut due) = (0, schedule.begin + first);
        loop {
            if schedule.every.is_some() {
                tokio::time::sleep_until(due.min(schedule.end).into()).await;
            }
            let now = Instant::now();
            if now >= schedule.end {
                break;
            }
            let since = match schedule.every {
                Some(every) => {
                    let was_due = due;
                    due += every;
                    // The timer's lateness is nobody else's.
                    if now.duration_since(was_due) <= GRAIN { now } else { was_due }
                }
                None => now,
            };
            self.out.clear();
            talk.ask(&mut self.out);
            self.stream.write_all(&self.out).await.context("cannot send")?;
            let (status, head, length) = self.answer().await?;
            let counts = talk.hear(status, &self.read[head..head + length])?;
            self.read.drain(..head + length);
            let now = Instant::now();
            if since >= schedule.counts_from {
                latencies.record(now.duration_since(since));
            }
            if now >= schedule.counts_from && now < schedule.end {
                counted += u64::from(counts);
            }
            tell(1);
        }
        // What was due while the connection was not free, and is too late now, has waited as well.
        let now = Instant::now();
        while let Some(every) = schedule.every.filter(|_| due < schedule.end) {
            if due >= schedule.counts_from {
                latencies.record(now.duration_since(due));
            }
            due += every;
        }
        Ok((talk, counted, latencies))
    }

    /// Reads one answer: its status, and where its body begins and how long it is.
    async fn answer(&mut self) -> anyhow::Result<(u16, usize, usize)> {
        loop {
            if let Some((status, head, length)) = parsed(&self.read)?
                && self.read.len() >= head + length
            {
                return Ok((status, head, length));
            }
            if self.stream.read_buf(&mut self.read).await.context("cannot read")? == 0 {
                bail!("the server hung up");
            }
        }
    }
}

fn parsed(bytes: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).context("not HTTP")? else {
        return Ok(None);
    };
    let mut headers = answer.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|it| str::from_utf8(it.value).ok()?.parse().ok());
    Ok(Some((answer.code.unwrap_or(0), head, length.context("an answer without a length")?)))
}
