//! One docket: its parts put together in the order in which they depend on each other, started,
//! and ended in the other order.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use axum::Router;
use events::{Event, NodeName, Recorded};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    blobs::Blobs,
    config::Config,
    desk::Desk,
    domain::World,
    engine::{self, Clock, Running},
    feed::Feed,
    http::{self, App, lockout::Lockout, passwords::Passwords, tokens::Tokens},
    journal::{Journal, JournalError, Tail},
    keys::KeyRing,
    projector::{self, Projectors, Views},
};

mod adopt;
mod follow;
mod measure;
mod member;
mod open;
mod options;
mod service;
mod several;

use adopt::{Refused, bring_into_force, upgrade_alone};
pub use adopt::{lifecycles, operator_token};
pub use measure::keep_metrics;
pub use options::server_options;
use options::{engine_options, http_settings, password_options};
pub use service::{NodeStatus, ViewLag};
pub use several::{check_several, cluster_secret, kafka_options};

/// How many requests with bodies larger than usual are taken at once.
const LARGE_BODIES_AT_ONCE: usize = 8;

/// How many of the newest events are kept decoded for the views and for who publishes: more than
/// come while one of them is writing.
const TAIL_EVENTS: usize = 16 * 1024;

/// How many searches may read a catalogue at once.
const SEARCHES_AT_ONCE: usize = 2;

/// A docket that is up: it decides, projects and answers, but does not listen yet.
pub struct Node {
    /// Answers everything.
    pub router: Router,
    /// Decides commands.
    pub engine: Desk,
    /// Answer queries.
    pub views: Views,
    /// The journal under all of it.
    pub journal: Arc<dyn Journal>,
    /// Seals and opens personal data.
    pub keys: KeyRing,
    /// Where the other nodes reach it, if it is one of several.
    pub inner_address: Option<NodeName>,
    decides: Decides,
    projectors: Projectors,
}

/// What decides.
enum Decides {
    /// An engine of this process, always.
    Alone(Running),
    /// An engine of this process while it is this node's turn.
    OfSeveral(member::Member),
}

/// What a test puts in the place of the real thing.
#[derive(Default)]
pub struct Parts {
    /// Another journal than the configuration names.
    pub journal: Option<Arc<dyn Journal>>,
    /// Another clock than the machine's.
    pub clock: Option<Clock>,
    /// Where metrics are rendered from.
    pub metrics: Option<PrometheusHandle>,
}

/// Why a docket is not up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal's storage refuses: something to say on `/readyz`, and to try again after.
    #[error("{0:#}")]
    Storage(anyhow::Error),
    /// Something else is wrong, and stays wrong.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// Opens the journal, replays it, brings life cycles and settings into force and starts the
/// views. Nothing is served before all of that is done.
pub async fn start(config: &Config, parts: Parts) -> Result<Node, Error> {
    match config.text("journal") {
        "kafka" if parts.journal.is_none() => several::start(config, parts).await,
        _ => alone(config, parts).await,
    }
}

/// A docket that is one process.
async fn alone(config: &Config, parts: Parts) -> Result<Node, Error> {
    let data = PathBuf::from(config.text("data"));
    let journal = match parts.journal {
        Some(journal) => journal,
        None => open::open_journal(config, &data).await?,
    };
    // A journal in a file has made the folder, and synced the entry of its name.
    make_folder(&data).map_err(Error::Storage)?;
    let ring = open::open_ring(config, &data, &journal).await?;

    let tail = Tail::keeping(TAIL_EVENTS);
    let options = engine_options(config, parts.clock, tail.clone());
    let (engine, running, forgotten) = {
        let journal = Arc::clone(&journal);
        let start = move || {
            let mut forgotten = Vec::new();
            let see = |recorded: &Recorded| {
                if let Event::AccountForgotten(it) = &recorded.event {
                    forgotten.push(it.account);
                }
            };
            let (engine, running) =
                engine::start_with(journal, options, see).context("the journal")?;
            anyhow::Ok((engine, running, forgotten))
        };
        blocking(start).await?
    };
    let begin = async {
        upgrade_alone(&engine).await?;
        bring_into_force(config, &engine, &ring, forgotten, Refused::Ends).await
    };
    if let Err(error) = begin.await {
        let _ = running.shut_down().await; // The first error is the one to tell.
        return Err(error);
    }
    let desk = Desk::alone(engine);
    let kept = Kept { journal, ring, tail };
    let served = serve_from(config, &kept, desk.clone(), parts.metrics, None).await?;
    Ok(Node::of(desk, kept, served, Decides::Alone(running)))
}

/// What is kept, and what of it is still at hand.
struct Kept {
    journal: Arc<dyn Journal>,
    ring: KeyRing,
    tail: Tail,
}

/// What answers.
struct Served {
    router: Router,
    views: Views,
    projectors: Projectors,
}

/// Starts the views, and puts before them and the desk what HTTP needs.
async fn serve_from(
    config: &Config,
    kept: &Kept,
    desk: Desk,
    metrics: Option<PrometheusHandle>,
    member: Option<Arc<dyn http::Member>>,
) -> Result<Served, Error> {
    let data = PathBuf::from(config.text("data"));
    let (views, projectors) = {
        let (journal, folder) = (Arc::clone(&kept.journal), data.join("views"));
        let options = projector::Options {
            keeping: projections::Options {
                boot: boot_id(),
                cache_bytes: config.count("view_cache_bytes"),
                ..projections::Options::default()
            },
            tail: kept.tail.clone(),
            ..projector::Options::default()
        };
        blocking(move || Views::start(journal, &folder, &options).context("the views")).await?
    };
    let app = App {
        engine: desk,
        views: views.clone(),
        feed: Feed::new(Arc::clone(&kept.journal)),
        keys: kept.ring.clone(),
        blobs: Blobs::open(blobs_folder(config))
            .context("the folder of pictures")
            .map_err(sorted)?,
        passwords: Passwords::new(password_options(config)).context("the password settings")?,
        lockout: Lockout::new(http::lockout::Options::default()),
        tokens: Tokens::new(&kept.ring),
        searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
        large_bodies: Semaphore::new(LARGE_BODIES_AT_ONCE),
        settings: http_settings(config),
        metrics: Box::new(move || {
            metrics.as_ref().map_or_else(String::new, PrometheusHandle::render)
        }),
        member,
    };
    Ok(Served { router: http::router(Arc::new(app)), views, projectors })
}

impl Node {
    fn of(engine: Desk, kept: Kept, served: Served, decides: Decides) -> Self {
        let Kept { journal, ring: keys, tail: _ } = kept;
        let Served { router, views, projectors } = served;
        let inner_address = match &decides {
            Decides::Alone(_) => None,
            Decides::OfSeveral(member) => Some(member.address.clone()),
        };
        Self { router, engine, views, journal, keys, inner_address, decides, projectors }
    }

    /// Decides and records what waits, then closes the views. What was acknowledged is durable.
    pub async fn shut_down(self) -> Result<World, Arc<str>> {
        let world = match self.decides {
            Decides::Alone(running) => running.shut_down().await,
            Decides::OfSeveral(member) => member.shut_down().await,
        };
        self.projectors.stop().await;
        world
    }

    /// Serves until `stop` resolves or the journal fails, and ends in good order. Gives the reason
    /// where it was the journal.
    pub async fn serve(
        self,
        listener: TcpListener,
        config: &Config,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Option<Arc<str>> {
        let mut state = self.engine.state();
        let linger = config.duration("fail_after");
        let failed = async move {
            let stopped = |state: &engine::State| matches!(state, engine::State::Stopped(_));
            if state.wait_for(stopped).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(linger).await;
        };
        let ended = async move {
            tokio::select! {
                () = stop => {}
                () = failed => {}
            }
        };
        let options = server_options(config);
        http::server::serve(
            listener,
            self.router.clone(),
            http::trouble::ending(),
            ended,
            &options,
        )
        .await;
        self.shut_down().await.err()
    }
}

/// Refuses to listen beyond this machine with what is only safe on it.
pub fn check_exposure(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let risk = |risk: &str, what: &str, instead: &str| {
        anyhow::ensure!(
            config.allows(risk),
            "docket does not listen on {address}, beyond this machine, {what}: {instead}, or take \
             the risk by name with allow = \"{risk}\""
        );
        Ok(())
    };
    if config.text("master_key").is_empty() {
        risk(
            "made-master-key",
            "under a master key that lies beside its data",
            "set DOCKET_MASTER_KEY",
        )?;
    }
    for channel in config.channels() {
        if config.of_channel(&channel, "enforce_token").text != "true" {
            risk("unenforced-token", "without asking for tokens", "set enforce_token = true")?;
        }
    }
    Ok(())
}

/// Where the pictures lie.
pub fn blobs_folder(config: &Config) -> PathBuf {
    match config.text("blobs") {
        "" => Path::new(config.text("data")).join("blobs"),
        folder => PathBuf::from(folder),
    }
}

fn make_folder(path: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))
}

/// What tells one run of the machine from the next; empty where nobody can tell.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|error| Error::Other(error.into()))?;
    done.map_err(sorted)
}

/// Whether an error is one that may pass once the storage is in order.
fn sorted(error: anyhow::Error) -> Error {
    let storage = error.chain().any(|cause| {
        cause.is::<io::Error>() || cause.downcast_ref::<JournalError>().is_some_and(is_storage)
    });
    if storage { Error::Storage(error) } else { Error::Other(error) }
}

/// Whether trying again may help, once the storage is in order.
fn is_storage(error: &JournalError) -> bool {
    use JournalError::{Fenced, Io, Kafka, Sqlite, Unwritable};
    matches!(error, Io { .. } | Unwritable { .. } | Sqlite { .. } | Kafka { .. } | Fenced { .. })
}
