//! Counts the paid orders of each store, and the money paid for them, from docket's public topics.
//!
//! What it knows and how far it has read are in one database and change in one transaction: it may
//! be killed at any moment, and counts each record once.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use events::publish::{CloudEvent, Data, Topic, Type};
use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
    types::RDKafkaRespErr,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "paid_orders --brokers HOST:PORT --prefix NAME --group NAME --database FILE \
                     [--until-end]";

/// How long the brokers may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|it| it == name);
        at.and_then(|at| arguments.get(at + 1)).ok_or(format!("usage: {USAGE}"))
    };
    let topic = Topic::Payments.address(option("--prefix")?);
    let database = Database::open(option("--database")?)?;
    let until_end = arguments.iter().any(|it| it == "--until-end");

    let consumer: StreamConsumer<Database> = ClientConfig::new()
        .set("bootstrap.servers", option("--brokers")?)
        .set("group.id", option("--group")?)
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        // What is stored with `store_offset…` is committed now and then, and at the end.
        .set("enable.auto.offset.store", "false")
        .create_with_context(database)?;
    let mut end = End::of_now(&consumer, &topic)?;
    consumer.subscribe(&[&topic])?;

    let mut terminate = signal(SignalKind::terminate())?;
    let mut counted = 0;
    while !(until_end && end.is_reached(&consumer)?) {
        let received = tokio::select! {
            _ = terminate.recv() => break,
            received = consumer.recv() => received,
        };
        match received {
            Ok(message) => {
                counted += usize::from(consumer.context().take(&message)?);
                consumer.store_offset_from_message(&message)?;
                end.read(message.partition(), message.offset());
            }
            Err(KafkaError::PartitionEOF(partition)) => {
                // Behind the last record lies the end of its transaction, which nobody receives.
                consumer.store_offsets(&consumer.position()?)?;
                end.reached.insert(partition);
            }
            Err(error) => match consumer.client().fatal_error() {
                Some((_, reason)) => return Err(reason.into()),
                None => eprintln!("{error}; trying again"),
            },
        }
    }
    eprintln!("{counted} records counted");
    Ok(consumer.context().print()?)
}

/// Where the topic ended when this began.
struct End {
    offsets: BTreeMap<i32, i64>,
    reached: BTreeSet<i32>,
}

impl End {
    fn of_now(consumer: &StreamConsumer<Database>, topic: &str) -> Result<Self, Box<dyn Error>> {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
        let partitions = metadata.topics().iter().flat_map(|it| it.partitions());
        let mut offsets = BTreeMap::new();
        for id in partitions.map(|it| it.id()) {
            let (_, end) = consumer.fetch_watermarks(topic, id, ANSWER_WITHIN)?;
            offsets.insert(id, end);
        }
        if offsets.is_empty() {
            return Err(format!("there is no topic {topic}").into());
        }
        Ok(Self { offsets, reached: BTreeSet::new() })
    }

    fn read(&mut self, partition: i32, offset: i64) {
        if self.offsets.get(&partition).is_some_and(|end| offset + 1 >= *end) {
            self.reached.insert(partition);
        }
    }

    /// Whether that holds for every partition that is this consumer's.
    fn is_reached(&self, consumer: &StreamConsumer<Database>) -> Result<bool, KafkaError> {
        let own = consumer.assignment()?;
        Ok(own.count() > 0
            && own.elements().iter().all(|it| self.reached.contains(&it.partition())))
    }
}

/// What is paid for each order, and how far each partition is read.
struct Database(Mutex<Connection>);

impl Database {
    fn open(path: &str) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(ANSWER_WITHIN)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL; -- What a power failure takes is read again.
             CREATE TABLE IF NOT EXISTS paid (
                 channel TEXT, order_id TEXT, store TEXT, currency TEXT, minor INTEGER,
                 sequence TEXT, PRIMARY KEY (channel, order_id));
             CREATE TABLE IF NOT EXISTS progress (
                 topic TEXT, part INTEGER, next INTEGER, PRIMARY KEY (topic, part));",
        )?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one record and that it is read; says whether it counts.
    fn take(&self, message: &BorrowedMessage<'_>) -> Result<bool, Box<dyn Error>> {
        let headers = message.headers().into_iter().flat_map(|it| it.iter());
        let headers = headers.filter_map(|it| Some((it.key, it.value?)));
        let event = CloudEvent::read(headers, message.payload().unwrap_or_default())?;

        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut changed = 0;
        if let Some((sign, event)) = event.and_then(|it| Some((sign(it.kind)?, it)))
            && let Data::MoneyMoved(moved) = event.data
            && let (Some(order), Some(store)) = (moved.order, moved.store)
        {
            // A record that was seen before is not greater than the last one of its order.
            changed = transaction.execute(
                "INSERT INTO paid VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (channel, order_id) DO UPDATE
                 SET minor = minor + excluded.minor, sequence = excluded.sequence
                 WHERE excluded.sequence > sequence",
                params![
                    moved.channel.as_str(),
                    order.to_string(),
                    store.as_str(),
                    format!("{:?}", moved.amount.currency),
                    sign * moved.amount.minor,
                    event.sequence,
                ],
            )?;
        }
        transaction.execute(
            "INSERT INTO progress VALUES (?1, ?2, ?3)
             ON CONFLICT (topic, part) DO UPDATE SET next = max(next, excluded.next)",
            params![message.topic(), message.partition(), message.offset() + 1],
        )?;
        transaction.commit()?;
        Ok(changed > 0)
    }

    /// Where to go on with a partition.
    fn next(&self, topic: &str, partition: i32) -> rusqlite::Result<Offset> {
        let asked = "SELECT next FROM progress WHERE topic = ?1 AND part = ?2";
        let connection = self.connection();
        let next = connection.query_row(asked, params![topic, partition], |row| row.get(0));
        Ok(next.optional()?.map_or(Offset::Beginning, Offset::Offset))
    }

    /// A line for each store and currency.
    fn print(&self) -> rusqlite::Result<()> {
        let connection = self.connection();
        let mut lines = connection.prepare(
            "SELECT json_object('channel', channel, 'store', store, 'currency', currency,
                                'orders', count(*), 'minor', sum(minor))
             FROM paid WHERE minor > 0 GROUP BY channel, store, currency ORDER BY 1",
        )?;
        for line in lines.query_map([], |row| row.get::<_, String>(0))? {
            println!("{}", line?);
        }
        Ok(())
    }
}

/// An order is paid while docket holds money for it, or has given it to the seller.
fn sign(kind: Type) -> Option<i64> {
    match kind {
        Type::PaymentHeld => Some(1),
        Type::PaymentRefunded => Some(-1),
        _ => None,
    }
}

impl ClientContext for Database {}

impl ConsumerContext for Database {
    /// Each partition that this consumer gets is read on from where the database is, whatever the
    /// group has committed.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        change: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let begin = || -> Result<(), Box<dyn Error>> {
            if change != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                return Ok(consumer.unassign()?);
            }
            let mut from = TopicPartitionList::new();
            for it in partitions.elements() {
                let next = self.next(it.topic(), it.partition())?;
                from.add_partition_offset(it.topic(), it.partition(), next)?;
            }
            Ok(consumer.assign(&from)?)
        };
        if let Err(error) = begin() {
            eprintln!("cannot go on from the database: {error}");
            std::process::exit(1); // Nothing is lost by that.
        }
    }
}
