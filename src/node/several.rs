//! One node of several that are one docket: what it takes to be one, and its start.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use events::{CommitNumber, NodeName, Position, WriterOpened};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Decides, Error, Kept, Node, Parts, TAIL_EVENTS, blocking, engine_options,
    follow::Follow,
    member::{Member, Seat},
    open, serve_from, server_options,
    service::Service,
    sorted,
};
use crate::{
    cluster::Election,
    config::Config,
    desk::{Begun, Desk, Doubt, OfSeveral, Writer},
    domain::lifecycle::{Lifecycle, Settings},
    engine::{Standby, State},
    http,
    inner::{PeerOptions, Peers, Secret, Signer, Verifier, VerifierOptions, router},
    journal::{Journal, JournalError, KafkaJournal, Tail, kafka},
};

/// How long the topics may stand still while this node reads them.
const STILL_MAX: Duration = Duration::from_secs(30);

/// How often it is said how far a long reading is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Where the topics are, as the settings say.
///
/// # Errors
/// When a setting is missing; its name is in the text.
pub fn kafka_options(config: &Config) -> anyhow::Result<kafka::Options> {
    let brokers = needed(config, "brokers", "host:port of one broker or more")?;
    let settings = config.kafka().iter();
    Ok(kafka::Options {
        brokers,
        prefix: config.text("topic_prefix").to_owned(),
        replication: i32::try_from(config.count("replication")).unwrap_or(i32::MAX),
        settings: settings.map(|(name, value)| (name.clone(), value.text.clone())).collect(),
    })
}

/// What all nodes share and nobody else has.
///
/// # Errors
/// When it is not set, or too short.
pub fn cluster_secret(config: &Config) -> anyhow::Result<Secret> {
    let text = needed(config, "cluster_secret", "the same secret on every node")?;
    Secret::parse(&text).context("the setting cluster_secret")
}

fn needed(config: &Config, name: &str, what: &str) -> anyhow::Result<String> {
    let text = config.text(name).trim();
    anyhow::ensure!(
        !text.is_empty(),
        "a node of several needs the setting {name}: {what}; set it in docket.toml, or as DOCKET_{}",
        name.to_uppercase()
    );
    Ok(text.to_owned())
}

/// Whether the settings are enough to be a node of several: all that is needed and cannot be made
/// here is asked for before anything is opened.
///
/// # Errors
/// When a setting is missing, or a life cycle is not sound.
pub fn check_several(config: &Config) -> anyhow::Result<()> {
    kafka_options(config)?;
    cluster_secret(config)?;
    needed(config, "master_key", "the same key of all keys on every node")?;
    needed(config, "operator_token", "the same operator's token on every node")?;
    needed(config, "blobs", "a folder of pictures that every node sees")?;
    for (channel, text, origin) in super::lifecycles(config)? {
        let lifecycle = Lifecycle::parse(&channel, &text).map_err(|problems| {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{origin} is not right:\n{}", problems.join("\n"))
        })?;
        let overrides = config.overrides(&channel).into_iter();
        let overrides = overrides.map(|(name, value)| (name, value.text)).collect();
        Settings::override_with(lifecycle.default_settings(), &overrides)
            .with_context(|| format!("the settings of channel {channel}"))?;
    }
    Ok(())
}

/// Reads all that the topics hold, and becomes one of those who answer, and who may write when their
/// turn comes.
pub(super) async fn start(config: &Config, parts: Parts) -> Result<Node, Error> {
    check_several(config)?;
    let (listener, me) = inner_listener(config).await?;
    let (data, site) = (PathBuf::from(config.text("data")), kafka_options(config)?);
    let journal = KafkaJournal::open(&data, &site).await;
    let place = || format!("the journal on {}", site.brokers);
    let journal = Arc::new(journal.with_context(place).map_err(sorted)?);
    read_to_the_end(&journal).await?;
    let shared: Arc<dyn Journal> = journal.clone();
    let ring = open::open_ring(config, &data, &shared).await?;

    let tail = Tail::keeping(TAIL_EVENTS);
    let mut options = engine_options(config, parts.clock, tail.clone());
    let clock = Arc::clone(&options.clock);
    let secret = cluster_secret(config)?;
    let signer = Signer::new(secret.clone(), me.node.clone(), Arc::clone(&clock));
    let (writer, writers) = watch::channel(Writer::Nobody);
    let (opened, known) = watch::channel(None);
    let (followed, follows) = watch::channel(Position(0));
    let (published, publishes) = watch::channel(CommitNumber(0));
    let (state, states) = watch::channel(State::Running);
    let standby = Standby::new(Arc::clone(&clock));
    let (credentials, time) = (Arc::clone(standby.credentials()), Arc::clone(standby.time()));
    let mut follow = Follow {
        journal: Arc::clone(&journal),
        ring: ring.clone(),
        peers: Peers::new(signer, PeerOptions::default()),
        me: me.clone(),
        writer,
        opened,
        followed,
        heard: None,
        looks_on: false,
        forgotten: Vec::new(),
    };
    let standby = follow.catch_up(standby).await?;
    follow.looks_on = true;

    // Only who has followed to the end stands.
    let election = Election::stand(
        &site.client(),
        &site.prefix,
        &me.address,
        config.duration("writer_session"),
    );
    let election = election.context("the election of the writer")?;
    let lease = election.lease();
    let held = lease.clone();
    options.alone = Arc::new(move || held.holds());
    let desk = Desk::of_several(OfSeveral {
        writer: writers.clone(),
        lease: lease.clone(),
        head: journal.head(),
        followed: follows,
        credentials: Arc::clone(&credentials),
        time: Arc::clone(&time),
        state: states,
        begun: Begun::default(),
        answer_within: options.answer_within,
        doubt: Doubt::default(),
    });
    let service = Arc::new(Service {
        me: me.clone(),
        writer: writers,
        opened: known,
        lease,
        journal,
        ring: ring.clone(),
        credentials: Arc::clone(&credentials),
        published: publishes,
        answer_within: options.answer_within,
        views: OnceLock::new(),
    });
    let told: Arc<dyn http::Member> = service.clone();
    let kept = Kept { journal: shared, ring, tail };
    let served = serve_from(config, &kept, desk.clone(), parts.metrics, Some(told)).await?;
    let _ = service.views.set(served.views.clone()); // Nobody else sets it.
    let verifier = Verifier::new(secret, me.address.clone(), clock, &VerifierOptions::default());
    let inner = router(verifier, me.node, service);
    let config = config.clone();
    let serving = server_options(&config);
    let seat =
        Seat { follow, election, config, options, site, credentials, time, state, published };
    let member = Member::begin(seat, standby, listener, inner, serving);
    Ok(Node::of(desk, kept, served, Decides::OfSeveral(member)))
}

/// Where the other nodes reach this one, and how it is called.
async fn inner_listener(config: &Config) -> anyhow::Result<(TcpListener, WriterOpened)> {
    let asked = config.text("inner_listen");
    let listener = TcpListener::bind(asked).await.with_context(|| {
        format!("cannot listen for other nodes on {asked}; name another address as inner_listen")
    })?;
    let own = listener.local_addr()?;
    let address = match config.text("inner_address").trim() {
        "" if own.ip().is_unspecified() => anyhow::bail!(
            "other nodes cannot reach this one at {own}: set inner_address to the host:port by which \
             they can"
        ),
        "" => own.to_string(),
        set => set.to_owned(),
    };
    let address = NodeName::new(&address).with_context(|| format!("inner_address {address:?}"))?;
    let node = match config.text("node").trim() {
        "" => address.clone(),
        set => NodeName::new(set).with_context(|| format!("node {set:?}"))?,
    };
    Ok((listener, WriterOpened { node, address }))
}

/// Waits until this node has all that the topics hold, and says how far it is.
async fn read_to_the_end(journal: &Arc<KafkaJournal>) -> Result<(), Error> {
    let mut read = journal.progress().borrow().read;
    let mut still = Duration::ZERO;
    loop {
        let reading = Arc::clone(journal);
        let reached = blocking(move || Ok(reading.catch_up(PROGRESS_EVERY))).await?;
        let now = journal.progress().borrow().read;
        match reached {
            Ok(()) => return Ok(()),
            Err(JournalError::Kafka { .. }) if now != read => {
                let events = journal.head().borrow().position.0;
                tracing::info!(events, "reading the journal's topic");
                (read, still) = (now, Duration::ZERO);
            }
            Err(JournalError::Kafka { .. }) if still < STILL_MAX => still += PROGRESS_EVERY,
            Err(error @ JournalError::Kafka { .. }) => return Err(Error::Storage(error.into())),
            Err(error) => return Err(sorted(error.into())),
        }
    }
}
