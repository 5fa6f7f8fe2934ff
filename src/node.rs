//! One docket: its parts put together in the order in which they depend on each other, started,
//! and ended in the other order.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use axum::Router;
use events::{
    AccountId, Channel, CommandId, Digest, Event, Recorded, Role, TokenIssued, TokenName,
    WrappedKey,
};
use metrics_exporter_prometheus::PrometheusHandle;
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::Semaphore};
use uuid::Uuid;

use crate::{
    blobs::Blobs,
    builtin::builtin_lifecycle,
    config::Config,
    domain::{Action, Caller, Command, Rejection},
    engine::{self, Clock, Handle, Request, Running},
    feed::Feed,
    http::{self, App, lockout::Lockout, passwords::Passwords, tokens::Tokens},
    journal::{Journal, JournalError, MemoryJournal, SqliteJournal, Tail, sqlite},
    keys::{self, KeyRing, MasterKey, StoreError, WrappedKeys},
    projector::{self, Projectors, Views},
};

mod measure;
mod options;

pub use measure::keep_metrics;
pub use options::server_options;
use options::{engine_options, http_settings, password_options};

/// How many requests with bodies larger than usual are taken at once.
const LARGE_BODIES_AT_ONCE: usize = 8;

/// How many of the newest events are kept decoded for the views: more than come while one of them is
/// writing.
const TAIL_EVENTS: usize = 16 * 1024;

/// How many searches may read a catalogue at once.
const SEARCHES_AT_ONCE: usize = 2;

/// A docket that is up: it decides, projects and answers, but does not listen yet.
pub struct Node {
    /// Answers everything.
    pub router: Router,
    /// Decides commands.
    pub engine: Handle,
    /// Answer queries.
    pub views: Views,
    /// The journal under all of it.
    pub journal: Arc<dyn Journal>,
    /// Seals and opens personal data.
    pub keys: KeyRing,
    running: Running,
    projectors: Projectors,
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
    let data = PathBuf::from(config.text("data"));
    let journal = match parts.journal {
        Some(journal) => journal,
        None => open_journal(config, &data).await?,
    };
    // A journal in a file has made the folder, and synced the entry of its name.
    make_folder(&data).map_err(Error::Storage)?;
    let master = master_key(config, &data, journal.as_ref()).map_err(sorted)?;
    let ring = {
        let stored = Arc::new(Stored(Arc::clone(&journal)));
        blocking(move || KeyRing::load(master, stored).context("the key ring")).await?
    };

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
    let prepared = async {
        finish_forgetting(&ring, forgotten).await?;
        adopt(config, &engine).await?;
        record_operator_token(&engine, &data).await
    };
    if let Err(error) = prepared.await {
        let _ = running.shut_down().await; // The first error is the one to tell.
        return Err(error);
    }

    let (views, projectors) = {
        let (journal, folder) = (Arc::clone(&journal), data.join("views"));
        let options = projector::Options {
            keeping: projections::Options {
                boot: boot_id(),
                cache_bytes: config.count("view_cache_bytes"),
                ..projections::Options::default()
            },
            tail,
            ..projector::Options::default()
        };
        blocking(move || Views::start(journal, &folder, &options).context("the views")).await?
    };
    let metrics = parts.metrics;
    let app = App {
        engine: engine.clone(),
        views: views.clone(),
        feed: Feed::new(Arc::clone(&journal)),
        keys: ring.clone(),
        blobs: Blobs::open(data.join("blobs")).context("the folder of pictures").map_err(sorted)?,
        passwords: Passwords::new(password_options(config)).context("the password settings")?,
        lockout: Lockout::new(http::lockout::Options::default()),
        tokens: Tokens::new(&ring),
        searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
        large_bodies: Semaphore::new(LARGE_BODIES_AT_ONCE),
        settings: http_settings(config),
        metrics: Box::new(move || {
            metrics.as_ref().map_or_else(String::new, PrometheusHandle::render)
        }),
    };
    let router = http::router(Arc::new(app));
    Ok(Node { router, engine, views, journal, keys: ring, running, projectors })
}

impl Node {
    /// Decides and records what waits, then closes the views. What was acknowledged is durable.
    pub async fn shut_down(self) -> Result<crate::domain::World, Arc<str>> {
        let world = self.running.shut_down().await;
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
        http::server::serve(listener, self.router.clone(), ended, &options).await;
        self.shut_down().await.err()
    }
}

/// Destroys the keys of those who were forgotten when docket ended before it could.
async fn finish_forgetting(ring: &KeyRing, forgotten: Vec<AccountId>) -> Result<(), Error> {
    if forgotten.is_empty() {
        return Ok(());
    }
    let ring = ring.clone();
    let finish = move || {
        for account in forgotten {
            if ring.has(account).context("the key ring")? {
                tracing::info!(%account, "destroying the key of an account that is forgotten");
                ring.destroy(account).context("the key ring")?;
            }
        }
        Ok(())
    };
    blocking(finish).await
}

/// The file says which token is the operator's: one that is not recorded yet is, and another of its
/// name is revoked.
async fn record_operator_token(engine: &Handle, data: &Path) -> Result<(), Error> {
    let path = operator_token(data)?;
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Error::Storage)?;
    let text = text.trim();
    if text.len() < OPERATOR_TOKEN_BYTES_MIN {
        let short = anyhow::anyhow!(
            "{} holds no token of at least {OPERATOR_TOKEN_BYTES_MIN} bytes; take it away, and the \
             next start makes one",
            path.display()
        );
        return Err(short.into());
    }
    let token = keys::token_digest(text);
    let name = TokenName::new("operator").expect("it is short");
    let site = Channel::new(http::api::named_tokens::CHANNEL).expect("it is short");
    let failed = |error| failed(error, "the operator's token");
    let known: Vec<_> =
        engine.credentials().tokens().into_iter().filter(|known| known.name == name).collect();
    let whole = |known: &TokenIssued| {
        known.token == token
            && known.role == Role::Operator
            && (&known.channel, &known.store, known.expires_at) == (&None, &None, None)
    };
    if let [only] = &known[..]
        && whole(only)
    {
        return Ok(());
    }
    if !known.is_empty() {
        let action = Action::RevokeToken { name: name.clone() };
        submit(engine, &site, action).await.map_err(failed)?;
    }
    let role = Role::Operator;
    let issued = TokenIssued { token, name, role, channel: None, store: None, expires_at: None };
    submit(engine, &site, Action::IssueToken(Box::new(issued))).await.map_err(failed)
}

/// What an operator's token weighs at least: 32 random bytes as hexadecimal digits or base64.
const OPERATOR_TOKEN_BYTES_MIN: usize = 43;

/// Makes the operator's token on the first run, readable by its owner alone, and says where it is.
pub fn operator_token(data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join("operator.token");
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            let text = http::api::named_tokens::new_text();
            io::Write::write_all(&mut file, format!("{text}\n").as_bytes())?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    Ok(path)
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

async fn open_journal(config: &Config, data: &Path) -> Result<Arc<dyn Journal>, Error> {
    if config.text("journal") == "memory" {
        return Ok(Arc::new(MemoryJournal::new()));
    }
    let pages = u32::try_from(config.count("journal_pages_max")).ok().filter(|pages| *pages > 0);
    let options = sqlite::Options { max_page_count: pages, ..sqlite::Options::default() };
    let folder = data.to_owned();
    let opening = tokio::task::spawn_blocking(move || SqliteJournal::open(&folder, options));
    match opening.await.map_err(|error| Error::Other(error.into()))? {
        Ok(journal) => {
            let unused = journal.head().borrow().number.0 == 0;
            if unused && data.join("views").exists() {
                return Err(Error::Other(anyhow::anyhow!(
                    "{} has views of a journal, but the journal is missing or empty: put \
                     journal.sqlite back, or delete views/ to begin anew",
                    data.display()
                )));
            }
            Ok(Arc::new(journal))
        }
        Err(error) if is_storage(&error) => Err(Error::Storage(error.into())),
        Err(error) => Err(Error::Other(error.into())),
    }
}

/// The master key that is configured, or the one in the data folder, made where there is no
/// journal yet.
fn master_key(config: &Config, data: &Path, journal: &dyn Journal) -> anyhow::Result<MasterKey> {
    let configured = config.text("master_key");
    if !configured.is_empty() {
        return MasterKey::parse(configured).context("the setting master_key");
    }
    let path = data.join("master.key");
    let used = journal.wrapped_key("ring/lookup").context("the key ring")?.is_some();
    anyhow::ensure!(
        path.exists() || !used,
        "{} is gone, and without it nothing sealed in this journal can be read: put it back, or \
         set DOCKET_MASTER_KEY",
        path.display()
    );
    let (key, made) = MasterKey::from_file_or_new(&path)?;
    if made {
        tracing::info!(path = %path.display(), "made a master key; keep a copy of it elsewhere");
    }
    Ok(key)
}

/// Brings each channel's life cycle and settings into force, unless they are already.
async fn adopt(config: &Config, engine: &Handle) -> Result<(), Error> {
    for (channel, text, origin) in lifecycles(config)? {
        let digest = Digest(Sha256::digest(text.as_bytes()).into());
        let adopted = submit(engine, &channel, Action::AdoptLifecycle { digest, text }).await;
        match adopted {
            Ok(()) => {}
            Err(engine::Error::Rejected(refused @ Rejection::LifecycleOld { .. })) => {
                tracing::warn!(%channel, %origin, "{refused}; the one in force stays");
            }
            Err(error) => return Err(failed(error, &format!("{origin} is not adopted"))),
        }
        let overrides = config.overrides(&channel);
        let overrides: BTreeMap<_, _> =
            overrides.into_iter().map(|(name, value)| (name, value.text)).collect();
        submit(engine, &channel, Action::AdoptSettings { overrides })
            .await
            .map_err(|error| failed(error, &format!("the settings of channel {channel}")))?;
    }
    Ok(())
}

fn failed(error: engine::Error, what: &str) -> Error {
    let storage = matches!(error, engine::Error::Stopped(_));
    let error = anyhow::Error::from(error).context(what.to_owned());
    if storage { Error::Storage(error) } else { Error::Other(error) }
}

async fn submit(engine: &Handle, channel: &Channel, action: Action) -> Result<(), engine::Error> {
    let command = Command {
        id: CommandId(Uuid::now_v7()),
        channel: channel.clone(),
        caller: Caller::System,
        action,
    };
    engine.submit(Request::new(command)).await.map(drop)
}

/// Each channel's life-cycle file and what to call it: the site's own where it has one. A file of
/// the site's that no built-in channel is called as is a channel of its own.
pub fn lifecycles(config: &Config) -> anyhow::Result<Vec<(Channel, String, String)>> {
    let folder = config.text("lifecycles");
    let mut files = Vec::new();
    for channel in config.channels() {
        let path = Path::new(folder).join(format!("{channel}.toml"));
        let own = !folder.is_empty() && path.exists();
        let file = if own {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            (channel, text, path.display().to_string())
        } else {
            let text = builtin_lifecycle(&channel).unwrap_or_default().to_owned();
            let origin = format!("the built-in life cycle of {channel}");
            (channel, text, origin)
        };
        files.push(file);
    }
    Ok(files)
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
    use JournalError::{Io, Sqlite, Unwritable};
    matches!(error, Io { .. } | Unwritable { .. } | Sqlite { .. })
}

/// The keys that lie beside the journal.
struct Stored(Arc<dyn Journal>);

impl WrappedKeys for Stored {
    fn load(&self, id: &str) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.0.wrapped_key(id)?)
    }

    fn ensure(&self, key: WrappedKey) -> Result<WrappedKey, StoreError> {
        Ok(self.0.ensure_key(key)?)
    }

    fn destroy(&self, id: &str) -> Result<(), StoreError> {
        Ok(self.0.destroy_key(id)?)
    }
}
