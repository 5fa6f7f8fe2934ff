"""Counts the paid orders of each store, and the money paid for them, from docket's public topics.

What it knows and how far it has read are in one database and change in one transaction: it may be
killed at any moment, and counts each record once.
"""

import argparse
import json
import signal
import sqlite3
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

ANSWER_WITHIN = 30  # Seconds that the brokers may take.

TABLES = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL; -- What a power failure takes is read again.
    CREATE TABLE IF NOT EXISTS paid (
        channel TEXT, order_id TEXT, store TEXT, currency TEXT, minor INTEGER,
        sequence TEXT, PRIMARY KEY (channel, order_id));
    CREATE TABLE IF NOT EXISTS progress (
        topic TEXT, part INTEGER, next INTEGER, PRIMARY KEY (topic, part));
"""

# A record that was seen before is not greater than the last one of its order.
COUNT = """
    INSERT INTO paid VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (channel, order_id) DO UPDATE
    SET minor = minor + excluded.minor, sequence = excluded.sequence
    WHERE excluded.sequence > sequence
"""

GO_ON = """
    INSERT INTO progress VALUES (?, ?, ?)
    ON CONFLICT (topic, part) DO UPDATE SET next = max(next, excluded.next)
"""

TOTALS = """
    SELECT json_object('channel', channel, 'store', store, 'currency', currency,
                       'orders', count(*), 'minor', sum(minor))
    FROM paid WHERE minor > 0 GROUP BY channel, store, currency ORDER BY 1
"""

# An order is paid while docket holds money for it, or has given it to the seller.
SIGNS = {"docket.payment.held.v1": 1, "docket.payment.refunded.v1": -1}


def main():
    options = arguments()
    topic = f"{options.prefix}.payments"
    database = sqlite3.connect(options.database, timeout=ANSWER_WITHIN)
    database.executescript(TABLES)
    consumer = Consumer({
        "bootstrap.servers": options.brokers,
        "group.id": options.group,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        # What is stored with `store_offsets` is committed now and then, and at the end.
        "enable.auto.offset.store": False,
    })
    ends, reached, ended = ends_of_now(consumer, topic), set(), []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))

    def assigned(consumer, partitions):
        """Goes on from where the database is, whatever the group has committed."""
        for it in partitions:
            it.offset = next_of(database, topic, it.partition)
        consumer.assign(partitions)

    consumer.subscribe([topic], on_assign=assigned)
    counted = 0
    try:
        while not ended:
            own = {it.partition for it in consumer.assignment()}
            if options.until_end and own and own <= reached:
                break
            message = consumer.poll(0.2)
            if message is None:
                continue
            partition, next_offset, error = message.partition(), message.offset() + 1, message.error()
            if error is None:
                counted += take(database, message)
            elif error.code() == KafkaError._PARTITION_EOF:
                # Behind the last record lies the end of its transaction, which nobody receives.
                next_offset = message.offset()
                reached.add(partition)
            elif error.fatal():
                raise KafkaException(error)
            else:
                print(f"{error}; trying again", file=sys.stderr)
                continue
            consumer.store_offsets(offsets=[TopicPartition(topic, partition, next_offset)])
            if next_offset >= ends[partition]:
                reached.add(partition)
    finally:
        consumer.close()
    print(f"{counted} records counted", file=sys.stderr)
    for (line,) in database.execute(TOTALS):
        print(line)


def take(database, message):
    """Takes in one record and that it is read; says whether it counts."""
    headers = {name: value.decode() for name, value in message.headers() or [] if value is not None}
    if headers.get("ce_specversion") != "1.0":
        raise ValueError(f"offset {message.offset()} holds no CloudEvent of version 1.0")
    changed = 0
    with database:  # One transaction.
        sign = SIGNS.get(headers["ce_type"])  # None for a type that does not matter here.
        if sign is not None:
            it = json.loads(message.value())
            if "order" in it and "store" in it:
                amount = it["amount"]
                row = (it["channel"], it["order"], it["store"], amount["currency"])
                row += (sign * amount["minor"], headers["ce_sequence"])
                changed = database.execute(COUNT, row).rowcount
        place = (message.topic(), message.partition(), message.offset() + 1)
        database.execute(GO_ON, place)
    return changed


def next_of(database, topic, partition):
    asked = "SELECT next FROM progress WHERE topic = ? AND part = ?"
    row = database.execute(asked, (topic, partition)).fetchone()
    return row[0] if row else OFFSET_BEGINNING


def ends_of_now(consumer, topic):
    """Where each partition ends."""
    metadata = consumer.list_topics(topic, ANSWER_WITHIN).topics[topic]
    if metadata.error is not None:
        sys.exit(f"{topic}: {metadata.error}")
    ends = {}
    for partition in metadata.partitions:
        _, ends[partition] = consumer.get_watermark_offsets(
            TopicPartition(topic, partition), ANSWER_WITHIN)
    return ends


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ["brokers", "prefix", "group", "database"]:
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--until-end", action="store_true",
                        help="end where the topic ended at the start")
    return parser.parse_args()


if __name__ == "__main__":
    main()
