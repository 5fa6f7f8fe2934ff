//! Every setting: its name, its default, what it is for, and where its value comes from.
//!
//! A flag goes before the environment (`DOCKET_<NAME>`), the environment before `docket.toml`,
//! and that before the default. What decisions depend on is set per channel and recorded in the
//! journal; everything else is read at each start.

use std::{collections::BTreeMap, fmt, time::Duration};

use events::Channel;

mod kind;
mod show;
#[cfg(test)]
mod tests;

pub use kind::Kind;
pub use show::show;

/// One setting.
#[derive(Debug)]
pub struct Definition {
    /// As `docket.toml` writes it; the environment's is `DOCKET_` and this in upper case.
    pub name: &'static str,
    /// The value where nobody says otherwise.
    pub default: &'static str,
    /// What a value must be.
    pub kind: Kind,
    /// What it is for.
    pub about: &'static str,
}

macro_rules! definitions {
    ($($name:literal = $default:literal $kind:expr, $about:literal;)*) => {
        &[$(Definition { name: $name, default: $default, kind: $kind, about: $about }),*]
    };
}

/// The settings of a site.
pub const SITE: &[Definition] = definitions! {
    "listen" = "127.0.0.1:8080" Kind::Address, "Where HTTP is served. Port 0 takes a free one.";
    "data" = "./data" Kind::Text, "The folder of the journal, the keys, the pictures and the views.";
    "journal" = "sqlite" Kind::Choice(&["sqlite", "memory", "kafka"]), "Where events are kept. memory forgets them at the end; kafka is for several nodes that are one docket.";
    "log" = "info" Kind::Text, "What is logged, to standard error: error, warn, info, debug, or docket::engine=debug.";
    "allow" = "" Kind::Text, "Risks taken by name, with commas, when listening beyond loopback: unenforced-token, made-master-key.";
    "master_key" = "" Kind::Key, "The key of all keys, 32 bytes as hex or base64. Without, the first run makes one in the data folder.";
    "operator_token" = "" Kind::Secret { least: 43 }, "The operator's token. Without, the first run makes one in the data folder.";
    "blobs" = "" Kind::Text, "The folder of the pictures; blobs in the data folder where it is empty. Nodes of a cluster share one.";
    "lifecycles" = "" Kind::Text, "A folder of life-cycle files, <channel>.toml, that go before the built-in ones.";
    "answer_within" = "10s" Kind::Duration, "How long a command may take, waiting included.";
    "read_within" = "2s" Kind::Duration, "How long a query waits to see every acknowledged write.";
    "receive_within" = "30s" Kind::Duration, "How long a request may take to arrive.";
    "head_within" = "75s" Kind::Duration, "How long a connection may be idle, or take for the head of a request.";
    "connections_max" = "900" Kind::Count { least: 1, most: 1 << 16 }, "How many connections are served at once.";
    "drain_within" = "10s" Kind::Duration, "How long requests in progress may take after a signal to stop. Who is not answered by then is told so with 503, for which there is one second more.";
    "fail_after" = "5s" Kind::Duration, "How long /readyz and queries stay up after the journal failed, before docket ends.";
    "client_address_header" = "" Kind::Text, "The header in which a proxy gives the client's address, such as X-Forwarded-For; the last one in it counts.";
    "body_bytes_max" = "1048576" Kind::Count { least: 1024, most: 1 << 30 }, "What the body of a request may weigh.";
    "queue_max" = "4096" Kind::Count { least: 1, most: 1 << 20 }, "How many commands may wait to be decided.";
    "tick" = "200ms" Kind::Duration, "How often deadlines are looked at.";
    "clock_jump_max" = "1h" Kind::Duration, "How far the clock may jump ahead before deadlines stop.";
    "journal_pages_max" = "0" Kind::Count { least: 0, most: u32::MAX as u64 }, "How many pages of 4 KiB the journal may have; 0 for no limit.";
    "view_cache_bytes" = "67108864" Kind::Count { least: 1 << 20, most: 1 << 36 }, "Memory for the pages of each view.";
    "password_memory_kib" = "19456" Kind::Count { least: 8, most: 1 << 22 }, "Memory of one argon2id password hash.";
    "password_iterations" = "2" Kind::Count { least: 1, most: 100 }, "Passes of one argon2id password hash.";
    "passwords_at_once" = "2" Kind::Count { least: 1, most: 64 }, "How many passwords are hashed at once.";
    "brokers" = "" Kind::Text, "Kafka's brokers to begin with: host:port, with commas between them.";
    "topic_prefix" = "docket" Kind::Text, "What the names of the topics begin with; one for each cluster of nodes.";
    "replication" = "3" Kind::Count { least: 1, most: 15 }, "On how many brokers each record lies. Topics that are there are checked.";
    "node" = "" Kind::Text, "What this node is called in logs and by docket cluster status; its inner address where it is empty.";
    "inner_listen" = "127.0.0.1:8081" Kind::Address, "Where the other nodes reach this one. Port 0 takes a free one.";
    "inner_address" = "" Kind::Text, "The address, host:port, by which the other nodes reach this one; where it listens for them if it is empty.";
    "cluster_secret" = "" Kind::Secret { least: 32 }, "What all nodes share and nobody else has; it signs what they say to each other.";
    "writer_session" = "6s" Kind::Duration, "How long the node that writes may be silent before another takes over. Shorter finds a dead one sooner, and takes one that hangs for dead.";
    "passwords_waiting_max" = "64" Kind::Count { least: 0, most: 1 << 16 }, "How many passwords may wait to be hashed.";
};

/// The settings of one channel that are not its life cycle's.
pub const CHANNEL: &[Definition] = definitions! {
    "enforce_token" = "true" Kind::Flag, "Whether calls need a token; without, a name stands for itself.";
    "page_size" = "20" Kind::Count { least: 1, most: 200 }, "How many books a page of a search has.";
    "session_lives" = "1h" Kind::Duration, "How long a session lives.";
    "book_bytes_max" = "8388608" Kind::Count { least: 1024, most: 1 << 30 }, "What the body of add_book may weigh, pictures included.";
};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The file of settings, by its path.
    File(String),
    /// An environment variable, by its name.
    Environment(String),
    /// A flag of the command line, by its name.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => f.write_str(path),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As written.
    pub text: String,
    /// Where.
    pub source: Source,
}

/// All settings of one start, each of its kind.
#[derive(Debug, Clone)]
pub struct Config {
    site: BTreeMap<&'static str, Value>,
    /// librdkafka's own settings, by name.
    kafka: BTreeMap<String, Value>,
    /// By channel and name: this module's [`CHANNEL`] settings and the life cycle's overrides.
    channels: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A table of `docket.toml`: where it is, which channel it is for, what it says.
type ChannelTable = (String, String, toml::Value);

/// What `docket.toml` and the environment may not say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Config {
    /// Puts the settings together: flags by name, the file by path and text, the environment.
    pub fn resolve(
        flags: &[(&'static str, String)],
        file: Option<(&str, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let default = |it: &Definition| {
            (it.name, Value { text: it.default.to_owned(), source: Source::Default })
        };
        let mut config = Self {
            site: SITE.iter().map(default).collect(),
            kafka: BTreeMap::new(),
            channels: BTreeMap::new(),
        };
        let tables = match file {
            Some((path, text)) => config.read_file(path, text)?,
            None => Vec::new(),
        };
        let mut variables = Vec::new();
        for (name, text) in environment {
            let Some(rest) = name.strip_prefix("DOCKET_") else { continue };
            let (rest, source) = (rest.to_lowercase(), Source::Environment(name.clone()));
            match rest.strip_prefix("channel_") {
                Some(rest) => variables.push((rest.to_owned(), text, source)),
                None if rest == "config" => {} // Where the file is; read before.
                None if rest.starts_with("kafka_") => {
                    let name = rest["kafka_".len()..].replace('_', ".");
                    config.kafka.insert(name, Value { text, source });
                }
                None => config.set(&rest, text, source)?,
            }
        }
        for (name, text) in flags {
            config.set(name, text.clone(), Source::Flag(format!("--{name}")))?;
        }
        // Which channels there are is a matter of the folder of life cycles, which is known now.
        let channels = config.channels();
        for (path, channel, values) in tables {
            config.read_channel(&path, &channel, values, &channels)?;
        }
        for (name, text, source) in variables {
            config.read_variable(&name, text, source, &channels)?;
        }
        Ok(config)
    }

    /// Every channel: those that docket comes with, and one for each other file in the folder of
    /// life cycles.
    pub fn channels(&self) -> Vec<Channel> {
        let mut channels = crate::builtin::builtin_channels();
        let folder = self.text("lifecycles");
        let files = (!folder.is_empty()).then(|| std::fs::read_dir(folder).ok()).flatten();
        let mut own: Vec<_> = files
            .into_iter()
            .flatten()
            .filter_map(|file| {
                let path = file.ok()?.path();
                let is_lifecycle = path.extension().is_some_and(|it| it == "toml");
                let name = path.file_stem()?.to_str().filter(|_| is_lifecycle)?;
                Channel::new(name).ok().filter(|channel| !channels.contains(channel))
            })
            .collect();
        own.sort();
        channels.extend(own);
        channels
    }

    /// A setting of the site.
    ///
    /// # Panics
    /// When [`SITE`] has none of this name.
    pub fn value(&self, name: &str) -> &Value {
        self.site.get(name).unwrap_or_else(|| panic!("there is no setting {name}"))
    }

    /// The text of a setting of the site.
    pub fn text(&self, name: &str) -> &str {
        &self.value(name).text
    }

    /// A setting that is a duration.
    pub fn duration(&self, name: &str) -> Duration {
        duration(self.text(name))
    }

    /// A setting that is a number.
    pub fn count(&self, name: &str) -> u64 {
        self.text(name).parse().expect("numbers are checked when they are set")
    }

    /// A setting of a channel that is not its life cycle's.
    ///
    /// # Panics
    /// When [`CHANNEL`] has none of this name.
    pub fn of_channel(&self, channel: &str, name: &str) -> Value {
        let known = CHANNEL.iter().find(|it| it.name == name);
        let default = known.unwrap_or_else(|| panic!("no channel has a setting {name}")).default;
        let set = self.channels.get(channel).and_then(|values| values.get(name));
        set.cloned().unwrap_or(Value { text: default.to_owned(), source: Source::Default })
    }

    /// librdkafka's own settings, by name: `security.protocol` for example. Passwords may be among
    /// them.
    pub fn kafka(&self) -> &BTreeMap<String, Value> {
        &self.kafka
    }

    /// What the site puts over the settings of a channel's life cycle.
    pub fn overrides(&self, channel: &Channel) -> BTreeMap<String, Value> {
        let mut values = self.channels.get(channel.as_str()).cloned().unwrap_or_default();
        values.retain(|name, _| CHANNEL.iter().all(|it| it.name != name));
        values
    }

    /// Whether a risk is taken by name.
    pub fn allows(&self, risk: &str) -> bool {
        self.text("allow").split(',').any(|allowed| allowed.trim() == risk)
    }

    /// Puts everything that is kept into a folder that goes at the end.
    pub fn keep_nothing(&mut self, folder: &std::path::Path) {
        let value = Value { text: folder.display().to_string(), source: Source::Default };
        self.site.insert("data", value);
    }

    /// Reads the site's settings, and gives the tables of channels.
    fn read_file(&mut self, path: &str, text: &str) -> Result<Vec<ChannelTable>, Error> {
        let table: toml::Table =
            text.parse().map_err(|error| Error(format!("{path} cannot be read: {error}")))?;
        let source = Source::File(path.to_owned());
        let mut tables = Vec::new();
        for (name, value) in table {
            match value {
                toml::Value::Table(channels) if name == "channel" => {
                    let channels = channels.into_iter();
                    tables.extend(channels.map(|(name, values)| (path.to_owned(), name, values)));
                }
                toml::Value::Table(settings) if name == "kafka" => {
                    for (name, text) in dotted(path, &name, settings)? {
                        self.kafka.insert(name, Value { text, source: source.clone() });
                    }
                }
                value => {
                    let text = plain(&value).ok_or_else(|| no_text(path, &name))?;
                    self.set(&name, text, source.clone())?;
                }
            }
        }
        Ok(tables)
    }

    fn read_channel(
        &mut self,
        path: &str,
        channel: &str,
        values: toml::Value,
        known: &[Channel],
    ) -> Result<(), Error> {
        let source = Source::File(path.to_owned());
        if known.iter().all(|it| it.as_str() != channel) {
            let known = list(known);
            return Err(Error(format!(
                "{path}: [channel.{channel}] is set, but there is no such channel; there are {known}"
            )));
        }
        let toml::Value::Table(values) = values else {
            let wanted = format!("must be a table: [channel.{channel}]");
            return Err(Error(format!("{path}: channel.{channel} {wanted}")));
        };
        for (name, value) in values {
            let text = plain(&value).ok_or_else(|| no_text(path, &name))?;
            self.set_of_channel(channel, &name, text, source.clone())?;
        }
        Ok(())
    }

    /// A variable's name is in upper case, so a channel's ends at the longest that fits a name of
    /// a setting: `DOCKET_CHANNEL_<CHANNEL>_<NAME>`.
    fn read_variable(
        &mut self,
        name: &str,
        text: String,
        source: Source,
        channels: &[Channel],
    ) -> Result<(), Error> {
        let fits = channels.iter().filter_map(|channel| {
            let setting = name.strip_prefix(&channel.to_lowercase())?.strip_prefix('_')?;
            Some((channel.as_str(), setting))
        });
        let fits = fits.max_by_key(|(channel, _)| channel.len());
        let Some((channel, setting)) = fits else {
            return Err(Error(format!("{source} names no channel; there are {}", list(channels))));
        };
        self.set_of_channel(channel, setting, text, source)
    }

    fn set(&mut self, name: &str, text: String, source: Source) -> Result<(), Error> {
        let Some(it) = SITE.iter().find(|it| it.name == name) else {
            let known: Vec<_> = SITE.iter().map(|it| it.name).collect();
            let known = known.join(", ");
            return Err(Error(format!(
                "{source} sets {name:?}, which is no setting; there are {known}"
            )));
        };
        it.kind.check(&text).map_err(|wanted| bad(&source, name, &it.kind, &text, &wanted))?;
        self.site.insert(it.name, Value { text, source });
        Ok(())
    }

    fn set_of_channel(
        &mut self,
        channel: &str,
        name: &str,
        text: String,
        source: Source,
    ) -> Result<(), Error> {
        if let Some(it) = CHANNEL.iter().find(|it| it.name == name) {
            let named = format!("channel.{channel}.{name}");
            it.kind
                .check(&text)
                .map_err(|wanted| bad(&source, &named, &it.kind, &text, &wanted))?;
        }
        let values = self.channels.entry(channel.to_owned()).or_default();
        values.insert(name.to_owned(), Value { text, source });
        Ok(())
    }
}

/// A number and its unit, as settings write durations.
///
/// # Panics
/// When it is none; settings are checked when they are set.
pub fn duration(text: &str) -> Duration {
    kind::duration(text).expect("durations are checked when they are set")
}

fn bad(source: &Source, name: &str, kind: &Kind, text: &str, wanted: &str) -> Error {
    let shown = if kind.is_hidden() { "as it is".to_owned() } else { format!("{text:?}") };
    Error(format!("{source}: {name} cannot be {shown}: it must be {wanted}"))
}

fn no_text(path: &str, name: &str) -> Error {
    Error(format!("{path}: {name} must be a text, a number, true or false"))
}

/// The values of a table and of the tables in it, by their whole names: `security.protocol` is a table
/// in a table as TOML reads it.
fn dotted(path: &str, of: &str, table: toml::Table) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => {
                let inner = dotted(path, &format!("{of}.{name}"), inner)?.into_iter();
                found.extend(inner.map(|(rest, text)| (format!("{name}.{rest}"), text)));
            }
            value => {
                let text = plain(&value).ok_or_else(|| no_text(path, &format!("{of}.{name}")))?;
                found.push((name, text));
            }
        }
    }
    Ok(found)
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    }
}

fn list(channels: &[Channel]) -> String {
    channels.iter().map(Channel::as_str).collect::<Vec<_>>().join(", ")
}
