//! Where a journal is, as a command line names it.

use std::{fmt, path::PathBuf, str::FromStr};

/// A place of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `sqlite:DIR`, a data folder.
    Sqlite(PathBuf),
    /// `kafka://HOST:PORT[,HOST:PORT]/PREFIX`.
    Kafka {
        /// As Kafka's clients have them.
        brokers: String,
        /// What the topics' names begin with.
        prefix: String,
    },
}

/// Kafka's bound on a topic's name, and what comes behind a prefix at most (`.payments`).
const PREFIX_MAX: usize = 249 - 9;

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(dir) = text.strip_prefix("sqlite:") {
            return match dir {
                "" => Err("it names no folder: sqlite:./data".into()),
                dir => Ok(Self::Sqlite(dir.into())),
            };
        }
        let Some(rest) = text.strip_prefix("kafka://") else {
            return Err("a journal is at sqlite:DIR or at kafka://HOST:PORT/PREFIX".into());
        };
        let (brokers, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        for broker in brokers.split(',') {
            let (host, port) = broker.rsplit_once(':').unwrap_or((broker, ""));
            if host.is_empty() || !port.parse::<u16>().is_ok_and(|port| port > 0) {
                return Err(format!("{broker:?} is no broker's HOST:PORT"));
            }
        }
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        match prefix {
            "" => Err("it names no topics: kafka://HOST:PORT/PREFIX, docket for example".into()),
            _ if prefix.len() > PREFIX_MAX => Err(format!("its prefix is over {PREFIX_MAX} bytes")),
            _ if prefix.chars().all(is_plain) => {
                Ok(Self::Kafka { brokers: brokers.into(), prefix: prefix.into() })
            }
            _ => Err(format!(
                "topics cannot be named after {prefix:?}: letters, digits, '.', '_' and '-' only"
            )),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(dir) => write!(f, "sqlite:{}", dir.display()),
            Self::Kafka { brokers, prefix } => write!(f, "kafka://{brokers}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written() {
        for text in
            ["sqlite:./data", "sqlite:/a:b", "kafka://h:9092/shop", "kafka://[::1]:1,b:2/a.b-c_9"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let kafka = Address::Kafka { brokers: "a:1,b:2".into(), prefix: "shop".into() };
        assert_eq!("kafka://a:1,b:2/shop".parse(), Ok(kafka));
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, says) in [
            ("./data", "a journal is at sqlite:DIR or at kafka://HOST:PORT/PREFIX"),
            ("sqlite:", "it names no folder"),
            ("kafka://h:9092", "it names no topics"),
            ("kafka://h:9092/", "it names no topics"),
            ("kafka:///shop", "\"\" is no broker's HOST:PORT"),
            ("kafka://h/shop", "\"h\" is no broker's HOST:PORT"),
            ("kafka://h:1,:2/shop", "\":2\" is no broker's HOST:PORT"),
            ("kafka://h:0/shop", "\"h:0\" is no broker's HOST:PORT"),
            ("kafka://h:1/a/b", "topics cannot be named after \"a/b\""),
            (&format!("kafka://h:1/{}", "x".repeat(241)), "its prefix is over 240 bytes"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }
}
