//! Which node may try to write: the one that Kafka's group protocol gives the journal's only partition.
//!
//! This is for liveness alone. What keeps out a writer that has lost its place is the chain: nobody
//! takes its commits. Whether a node that wrote a moment ago is still the one that writes, so that
//! what it knows is the newest, is for its [`Lease`] to say.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use events::NodeName;
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance},
    error::KafkaError,
    groups::GroupMemberInfo,
};
use tokio::sync::watch;

use crate::journal::kafka::{journal_topic, keys_topic};

/// How long the group's coordinator waits for a node that is silent before another has its turn,
/// where nothing else is set. Shorter finds a dead writer sooner, and takes one that hangs for a
/// moment, or whose network does, for dead.
pub const SESSION: Duration = Duration::from_secs(6);

/// How long leaving may take.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// How long the brokers may take to tell of a topic.
const HEARD_WITHIN: Duration = Duration::from_secs(1);

/// How long one look for news takes.
const POLL: Duration = Duration::from_millis(100);

/// What the client of a node in the election is called begins with this; its address follows.
const NODE: &str = "docket/";

/// The group of those who may write.
fn group_of(prefix: &str) -> String {
    format!("{prefix}.writer")
}

/// The addresses of all who have a seat, as the coordinator knows them. Blocks.
///
/// # Errors
/// When no broker answers.
pub fn seats(
    config: &ClientConfig,
    prefix: &str,
    within: Duration,
) -> Result<Vec<NodeName>, KafkaError> {
    let asking: BaseConsumer = config.create()?;
    let groups = asking.fetch_group_list(Some(&group_of(prefix)), within)?;
    let members = groups.groups().iter().flat_map(|group| group.members());
    let address = |it: &GroupMemberInfo| NodeName::new(it.client_id().strip_prefix(NODE)?).ok();
    let mut seats: Vec<_> = members.filter_map(address).collect();
    seats.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    Ok(seats)
}

/// A seat among the nodes that may write, until it is dropped.
pub struct Election {
    turn: watch::Receiver<bool>,
    lease: Lease,
    wishes: Arc<Wishes>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread that keeps a seat is told.
#[derive(Default)]
struct Wishes {
    ends: AtomicBool,
    aside: AtomicBool,
}

/// Until when nobody else can have begun to write. Cheap to clone.
///
/// The coordinator waits for a whole session before it gives the turn to another; the lease lasts for
/// half of one after a moment at which the coordinator knew this node, so that clocks that run a
/// little apart do no harm.
#[derive(Clone, Default)]
pub struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// Whether nobody else can have written up to now.
    pub fn holds(&self) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Makes it last until then, unless the turn is over by now.
    fn renew(&self, until: Instant, mine: impl FnOnce() -> bool) {
        let mut lasts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mine() {
            *lasts = Some(until);
        }
    }

    fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Hears of turns.
struct Turns {
    topic: String,
    turn: watch::Sender<bool>,
    lease: Lease,
}

impl Turns {
    /// Whether the turn is among what is given or taken.
    fn among(&self, partitions: &TopicPartitionList) -> bool {
        partitions.find_partition(&self.topic, 0).is_some()
    }

    fn over(&self) {
        self.turn.send_if_modified(|mine| std::mem::replace(mine, false));
        self.lease.end();
    }
}

impl ClientContext for Turns {}

impl ConsumerContext for Turns {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) if self.among(partitions) => self.over(),
            Rebalance::Error(_) => self.over(),
            Rebalance::Revoke(_) | Rebalance::Assign(_) => {}
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            // Nothing is read here: the journal's follower does that on every node.
            let _ = consumer.pause(partitions);
            if self.among(partitions) {
                self.turn.send_if_modified(|mine| !std::mem::replace(mine, true));
            }
        }
    }
}

impl Election {
    /// Takes a seat: `config` says where the brokers are, `prefix` what the topics' names begin with,
    /// `address` where the other nodes reach this one, which everybody can ask the coordinator.
    ///
    /// # Errors
    /// When the client refuses its settings.
    pub fn stand(
        config: &ClientConfig,
        prefix: &str,
        address: &NodeName,
        session: Duration,
    ) -> Result<Self, KafkaError> {
        let (turn, turns) = watch::channel(false);
        let lease = Lease::default();
        let (topic, other) = (journal_topic(prefix), keys_topic(prefix));
        let consumer: BaseConsumer<Turns> = config
            .clone()
            .set("group.id", group_of(prefix))
            .set("client.id", format!("{NODE}{address}"))
            // Who has the partition keeps it when others come.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session.as_millis().to_string())
            .set("heartbeat.interval.ms", (session.as_millis() / 4).to_string())
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .create_with_context(Turns { topic, turn, lease: lease.clone() })?;
        consumer.subscribe(&[&consumer.context().topic])?;
        let wishes = Arc::<Wishes>::default();
        let told = Arc::clone(&wishes);
        let thread = std::thread::Builder::new()
            .name("election".into())
            .spawn(move || attend(&Arc::new(consumer), &other, session, &told))
            .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(Self { turn: turns, lease, wishes, thread: Some(thread) })
    }

    /// Whether it is this node's turn to write, and a way to wait for changes.
    pub fn turn(&self) -> watch::Receiver<bool> {
        self.turn.clone()
    }

    /// Leaves the turn to another: for half a session this node keeps its seat and wants no turn.
    pub fn step_aside(&self) {
        self.wishes.aside.store(true, Ordering::Relaxed);
    }

    /// Whether nobody else can have begun to write.
    pub fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.wishes.ends.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        // Saying goodbye takes a coordinator that answers; nobody waits long for one that does not.
        let until = Instant::now() + GOODBYE_WITHIN;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() && thread.join().is_err() {
            tracing::error!("the election panicked");
        }
    }
}

fn attend(consumer: &Arc<BaseConsumer<Turns>>, other: &str, session: Duration, wishes: &Wishes) {
    let (asks, asked) = mpsc::sync_channel(1);
    let asking = Arc::clone(consumer);
    // A coordinator that hangs keeps whoever asks it waiting, and must keep nobody from polling.
    let renewing = std::thread::Builder::new()
        .name("lease".into())
        .spawn(move || renew(&asking, session, &asked));
    if let Err(error) = renewing {
        tracing::error!(%error, "no lease can be renewed: this node cannot write");
    }
    let mut last: Option<Instant> = None;
    let mut silence = Silence::default();
    let mut aside: Option<Instant> = None;
    let mut wanted: Option<&str> = None;
    while !wishes.ends.load(Ordering::Relaxed) {
        if let Some(Err(error)) = consumer.poll(POLL) {
            silence.heard(&error);
        }
        if wishes.aside.swap(false, Ordering::Relaxed) {
            consumer.context().over();
            // Another topic keeps the seat, so that everybody still sees it, and is no turn.
            wanted = Some(other);
        }
        if aside.is_some_and(|since| since.elapsed() >= session / 2) {
            aside = None;
            wanted = Some(&consumer.context().topic);
        }
        if let Some(topic) = wanted {
            match want(consumer, topic) {
                Ok(()) => {
                    wanted = None;
                    // It counts from here: the turn must have been let go before it is wanted again.
                    aside = (topic == other).then(Instant::now);
                }
                Err(error) => silence.heard(&error),
            }
        }
        let due = last.is_none_or(|since| since.elapsed() >= session / 8);
        if *consumer.context().turn.borrow() && due && asks.try_send(()).is_ok() {
            last = Some(Instant::now());
        }
    }
    consumer.context().over();
    // Says goodbye, so that another has its turn at once.
    consumer.unsubscribe();
}

/// Stands for the turn of this topic, and for no other. Blocks.
///
/// The client ends the process where it is told so of a topic that it has not heard of, at a moment at
/// which it joins the group anew. So it hears of the topic before.
fn want(consumer: &BaseConsumer<Turns>, topic: &str) -> Result<(), KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), HEARD_WITHIN)?;
    match metadata.topics().first().and_then(|it| it.error()) {
        Some(error) => Err(KafkaError::MetadataFetch(error.into())),
        None => consumer.subscribe(&[topic]),
    }
}

/// Asks the coordinator, as often as it is told to, whether it knows this node as the one whose turn
/// it is: it takes the offsets of nobody else. The lease counts from before the question.
fn renew(consumer: &BaseConsumer<Turns>, session: Duration, asked: &mpsc::Receiver<()>) {
    let mut offsets = TopicPartitionList::new();
    if let Err(error) =
        offsets.add_partition_offset(&consumer.context().topic, 0, Offset::Offset(0))
    {
        return tracing::error!(%error, "no lease can be renewed: this node cannot write");
    }
    let mut silence = Silence::default();
    while let Ok(()) = asked.recv() {
        let since = Instant::now();
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => {
                let turns = consumer.context();
                turns.lease.renew(since + session / 2, || *turns.turn.borrow());
            }
            Err(error) => silence.heard(&error),
        }
    }
}

/// Says what is wrong, and not all the time.
#[derive(Default)]
struct Silence(Option<Instant>);

/// How often it is said.
const SAID_EVERY: Duration = Duration::from_secs(30);

impl Silence {
    fn heard(&mut self, error: &KafkaError) {
        if self.0.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.0 = Some(Instant::now());
            tracing::warn!(%error, "the election of the node that writes has trouble");
        }
    }
}
