//! The load: connections that are kept alive, each asking and waiting, from one thread.
//!
//! Closed loop: a connection asks again as soon as it is answered. Open loop: requests are due at
//! a fixed rate, and one that waits for the connection to be free counts from when it was due, so
//! a server that stalls is not asked less and judged better for it (coordinated omission).

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

/// What the runtime's timer can tell apart.
const GRAIN: Duration = Duration::from_millis(1);

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
    /// Of every answer, in microseconds.
    pub latencies: Histogram<u64>,
}

impl Measured {
    /// Answers that count, a second.
    pub fn rate(&self) -> f64 {
        self.counted as f64 / self.took.as_secs_f64()
    }

    /// A latency in milliseconds.
    pub fn ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// Two runs of the same as one.
    pub fn with(mut self, other: &Self) -> anyhow::Result<Self> {
        self.counted += other.counted;
        self.took += other.took;
        self.latencies.add(&other.latencies)?;
        Ok(self)
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
/// When a connection breaks, or an answer is not what was asked for.
pub fn run<T: Talk>(
    address: SocketAddr,
    talks: Vec<T>,
    plan: Plan,
    tell: impl Fn(u64) + Send + Sync + 'static,
) -> anyhow::Result<(Measured, Vec<T>)> {
    let thread = std::thread::Builder::new().name("load".into());
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, all(address, talks, plan, Arc::new(tell)))
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
    let begin = Instant::now();
    let count = talks.len();
    let every = plan.rate.map(|rate| Duration::from_secs_f64(count as f64 / rate));
    let counts_from = begin + plan.warm;
    let schedule = Schedule { begin, counts_from, end: counts_from + plan.measured, every };
    let schedule = Rc::new(schedule);
    let mut working = Vec::new();
    for (n, talk) in talks.into_iter().enumerate() {
        let first = every.map_or(Duration::ZERO, |every| every.mul_f64(n as f64 / count as f64));
        let connection = Connection::open(address).await?;
        let work = connection.work(talk, Rc::clone(&schedule), first, Arc::clone(&tell));
        working.push(tokio::task::spawn_local(work));
    }
    let latencies = Histogram::new_with_bounds(1, 600_000_000, 3)?;
    let mut measured = Measured { counted: 0, took: plan.measured, latencies };
    let mut talks = Vec::new();
    for working in working {
        let (talk, counted, latencies) = working.await??;
        talks.push(talk);
        measured.counted += counted;
        measured.latencies.add(&latencies)?;
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
    ) -> anyhow::Result<(T, u64, Histogram<u64>)> {
        let mut latencies = Histogram::new_with_bounds(1, 600_000_000, 3)?;
        let (mut counted, mut due) = (0, schedule.begin + first);
        loop {
            let since = match schedule.every {
                None => Instant::now(),
                Some(every) => {
                    tokio::time::sleep_until(due.into()).await;
                    let now = Instant::now();
                    let since = if now.duration_since(due) <= GRAIN { now } else { due };
                    due += every;
                    since
                }
            };
            if since >= schedule.end || Instant::now() >= schedule.end {
                return Ok((talk, counted, latencies));
            }
            self.out.clear();
            talk.ask(&mut self.out);
            self.stream.write_all(&self.out).await.context("cannot send")?;
            let (status, head, length) = self.answer().await?;
            let counts = talk.hear(status, &self.read[head..head + length])?;
            self.read.drain(..head + length);
            let now = Instant::now();
            if since >= schedule.counts_from && now < schedule.end {
                let latency = now.duration_since(since).as_micros();
                latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX).max(1));
                counted += u64::from(counts);
            }
            tell(1);
        }
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
