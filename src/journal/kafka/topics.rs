//! The topics that a journal lies in: made where they are missing, checked where they are there.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    types::RDKafkaErrorCode,
};

use super::{journal_topic, keys_topic};
use crate::journal::JournalError;

/// A topic, and what it must be like so that nothing in it is ever lost.
pub struct Topic {
    pub name: String,
    pub partitions: i32,
    pub replication: i32,
    /// Kafka's own names for its settings.
    pub settings: Vec<(&'static str, String)>,
}

const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long to wait before a topic is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Topic {
    /// The journal's: a record a commit, for ever.
    pub fn journal(prefix: &str, replication: i32) -> Self {
        Self::new(journal_topic(prefix), replication, for_ever())
    }

    /// The wrapped keys': of each the newest, and nothing of one that is destroyed for longer than a
    /// day.
    pub fn keys(prefix: &str, replication: i32) -> Self {
        let settings = vec![
            ("cleanup.policy", "compact".into()),
            ("max.compaction.lag.ms", "86400000".into()),
        ];
        Self::new(keys_topic(prefix), replication, settings)
    }

    /// A public one: a record a fact, for ever, in as many partitions as consumers may share.
    pub fn public(topic: events::Topic, prefix: &str, replication: i32) -> Self {
        let partitions = events::publish::PARTITIONS as i32;
        Self { partitions, ..Self::new(topic.address(prefix), replication, for_ever()) }
    }

    fn new(name: String, replication: i32, mut settings: Vec<(&'static str, String)>) -> Self {
        // A record is acknowledged when so many brokers have it; with three, one may be away.
        let insync = (replication - 1).max(1);
        settings.push(("min.insync.replicas", insync.to_string()));
        settings.push(("unclean.leader.election.enable", "false".into()));
        // A commit of 512 KiB, and what lies around it.
        settings.push(("max.message.bytes", (1024 * 1024).to_string()));
        Self { name, partitions: 1, replication, settings }
    }

    /// What of a topic could lose data, with the value wanted; nothing where all is well.
    fn problems(&self, found: &Found) -> Vec<String> {
        let wrong = |(name, wanted): &(&'static str, String)| {
            let is = found.settings.get(*name).map_or("", String::as_str);
            let number = |text: &str| text.parse::<i64>().unwrap_or(i64::MIN);
            let holds = match *name {
                "min.insync.replicas" | "max.message.bytes" => number(is) >= number(wanted),
                "max.compaction.lag.ms" => number(is) <= number(wanted),
                _ => is == wanted,
            };
            (!holds).then(|| format!("{name} is {is:?} and must be {wanted:?}"))
        };
        let mut problems: Vec<_> = self.settings.iter().filter_map(wrong).collect();
        if found.partitions != self.partitions as usize {
            let (is, wanted) = (found.partitions, self.partitions);
            problems.push(format!("it has {is} partitions and must have {wanted}"));
        }
        if found.replication < self.replication as usize {
            let (is, wanted) = (found.replication, self.replication);
            problems.push(format!("it lies on {is} brokers and must lie on {wanted}"));
        }
        problems
    }
}

/// Nothing goes by itself.
fn for_ever() -> Vec<(&'static str, String)> {
    vec![
        ("cleanup.policy", "delete".into()),
        ("retention.ms", "-1".into()),
        ("retention.bytes", "-1".into()),
    ]
}

/// What a topic is like.
struct Found {
    partitions: usize,
    /// On how many brokers each partition lies, at least.
    replication: usize,
    settings: BTreeMap<String, String>,
}

/// Makes each topic that is missing, and checks each that is there.
///
/// # Errors
/// When no broker answers, when a topic cannot be made, and when one is there that could lose data:
/// with the settings' names and the values wanted.
pub async fn prepare(config: &ClientConfig, topics: &[Topic]) -> Result<(), JournalError> {
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(kafka("cannot reach the brokers"))?;
    let options = patience();
    for topic in topics {
        let mut new = NewTopic::new(
            &topic.name,
            topic.partitions,
            TopicReplication::Fixed(topic.replication),
        );
        for (name, value) in &topic.settings {
            new = new.set(name, value);
        }
        let doing = || format!("cannot make the topic {}", topic.name);
        let made = admin.create_topics([&new], &options).await.map_err(kafka(doing()))?;
        match made.into_iter().next() {
            Some(Ok(_)) => tracing::info!(topic = topic.name, "made a topic"),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => check(&admin, topic).await?,
            Some(Err((_, code))) => {
                return Err(JournalError::Kafka { doing: doing(), reason: code.to_string() });
            }
            None => return Err(JournalError::Kafka { doing: doing(), reason: "no answer".into() }),
        }
    }
    Ok(())
}

async fn check(
    admin: &AdminClient<DefaultClientContext>,
    topic: &Topic,
) -> Result<(), JournalError> {
    let until = Instant::now() + ANSWER_WITHIN;
    // One that another node has just made is not known to every broker at once.
    let found = loop {
        match look(admin, topic).await? {
            Some(found) => break found,
            None if Instant::now() < until => tokio::time::sleep(LOOK_AGAIN).await,
            None => {
                let doing = format!("cannot read the settings of the topic {}", topic.name);
                return Err(JournalError::Kafka { doing, reason: "no broker has it".into() });
            }
        }
    };
    let problems = topic.problems(&found);
    match problems.is_empty() {
        true => Ok(()),
        false => {
            let doing = format!("the topic {} could lose what it holds", topic.name);
            Err(JournalError::Kafka { doing, reason: problems.join("; ") })
        }
    }
}

/// What a topic is like; nothing where the brokers that are asked do not know it.
async fn look(
    admin: &AdminClient<DefaultClientContext>,
    topic: &Topic,
) -> Result<Option<Found>, JournalError> {
    let doing = || format!("cannot read the settings of the topic {}", topic.name);
    let (partitions, replication) = {
        let asked = admin.inner().fetch_metadata(Some(&topic.name), ANSWER_WITHIN);
        let metadata = asked.map_err(kafka(doing()))?;
        let partitions = metadata.topics().first().map_or(&[][..], |it| it.partitions());
        let replicas = partitions.iter().map(|it| it.replicas().len()).min().unwrap_or(0);
        (partitions.len(), replicas)
    };
    let resource = ResourceSpecifier::Topic(&topic.name);
    let described = admin.describe_configs([&resource], &patience()).await;
    let entries = match described.map_err(kafka(doing()))?.into_iter().next() {
        Some(Ok(resource)) => resource.entries,
        Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) | None => return Ok(None),
        Some(Err(code)) => {
            return Err(JournalError::Kafka { doing: doing(), reason: code.to_string() });
        }
    };
    let settings: BTreeMap<_, _> =
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
    let known = partitions > 0 && !settings.is_empty();
    Ok(known.then_some(Found { partitions, replication, settings }))
}

/// How long the brokers may take.
fn patience() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

/// What an error says. Of a setting that is refused the name alone: its value may be a password.
pub fn told(error: &rdkafka::error::KafkaError) -> String {
    match error {
        rdkafka::error::KafkaError::ClientConfig(_, why, name, _) => {
            format!("the setting {name} of the Kafka client is refused: {why}")
        }
        other => other.to_string(),
    }
}

/// Turns the client's errors into the journal's, for `map_err`.
pub fn kafka(doing: impl Into<String>) -> impl FnOnce(rdkafka::error::KafkaError) -> JournalError {
    let doing = doing.into();
    move |error| {
        use rdkafka::{error::KafkaError, types::RDKafkaErrorCode as Code};
        let code = match &error {
            KafkaError::AdminOp(code) => Some(*code),
            other => other.rdkafka_error_code(),
        };
        let reason = match code {
            Some(Code::OperationTimedOut | Code::AllBrokersDown | Code::BrokerTransportFailure) => {
                format!("no broker answers ({error})")
            }
            _ => told(&error),
        };
        JournalError::Kafka { doing, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_could_lose_data_are_named_with_the_value_wanted() {
        let topic = Topic::journal("shop", 3);
        let settings =
            topic.settings.iter().map(|(name, value)| ((*name).into(), value.clone())).collect();
        let mut found = Found { partitions: 1, replication: 3, settings };
        assert!(topic.problems(&found).is_empty());
        let mut set = |name: &str, value: &str| {
            found.settings.insert(name.into(), value.into());
            topic.problems(&found)
        };
        assert!(set("max.message.bytes", "9000000").is_empty(), "more is no harm");
        assert!(set("min.insync.replicas", "3").is_empty());
        let insync = r#"min.insync.replicas is "1" and must be "2""#;
        assert_eq!(set("min.insync.replicas", "1"), [insync]);
        let retention = r#"retention.ms is "604800000" and must be "-1""#;
        assert_eq!(set("retention.ms", "604800000"), [retention, insync]);
        (found.partitions, found.replication) = (2, 1);
        let says =
            ["it has 2 partitions and must have 1", "it lies on 1 brokers and must lie on 3"];
        assert_eq!(topic.problems(&found)[2..], says);
    }
}
