//! `docket journal copy`: flags, who may be in the way, and what is printed.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use events::NodeName;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::watch;

use super::telling::{print, say, until_told};
use crate::{
    backup::{self, Progress, Tell},
    blobs::Blobs,
    cluster::{Election, election},
    config::Config,
    copy::{self, Copied, Error, Place, Wishes},
    journal::{
        Journal, JournalError, KafkaJournal, SqliteJournal,
        kafka::{self, Offsets},
        sqlite,
    },
};

mod address;

use address::Address;

/// How long the brokers may take for an answer, and each commit until it is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long it may take to get the turn to write: longer than a docket that died keeps it.
const TURN_WITHIN: Duration = Duration::from_secs(12);

/// What a copy is called where dockets have their addresses.
const SEAT: &str = "journal-copy";

/// How long brokers may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

/// About journals.
#[derive(Subcommand)]
pub enum JournalTask {
    /// Copy a journal to another place, with its wrapped keys and the pictures, as it is.
    ///
    /// Commits, positions, epochs and hashes stay the same, so the newest hash does too. Every commit
    /// is verified on the way. Run it again after it was cut off, and it goes on from where it was; a
    /// destination that holds something else is refused. No docket may run on either of the two.
    #[command(after_help = EXAMPLES)]
    Copy(Box<Copy>),
}

const EXAMPLES: &str = "\
A place is sqlite:DIR, a data folder, or kafka://HOST:PORT[,HOST:PORT...]/PREFIX.

Examples:
  From one machine into Kafka; ./node becomes this node's folder, /shared that of the pictures:
    docket journal copy --from sqlite:./data --to kafka://k1:9092,k2:9092/docket --data ./node \\
        --blobs /shared
  And back:
    docket journal copy --from kafka://k1:9092/docket --to sqlite:./new --data ./node --blobs /shared
  Brokers that want TLS and a password:
    docket journal copy --from sqlite:./data --to kafka://k1:9093/docket --data ./node \\
        --kafka-setting security.protocol=SASL_SSL --kafka-setting sasl.mechanisms=PLAIN \\
        --kafka-setting sasl.username=docket --kafka-setting sasl.password=$PASSWORD

The master key is in no journal. Whoever runs on the copy needs the source's: its master.key, or
DOCKET_MASTER_KEY.";

/// What is said of a copy that is to be made.
#[derive(Args)]
pub struct Copy {
    /// The journal that is copied; it stays as it is
    #[arg(long, value_name = "PLACE")]
    from: Address,
    /// Where it is copied to: nothing, or a part of the copy
    #[arg(long, value_name = "PLACE")]
    to: Address,
    /// The folder of the side that is on Kafka, for its copy of the journal [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<String>,
    /// The pictures of the side that is on Kafka [default: the setting blobs, or blobs in --data]
    #[arg(long, value_name = "DIR")]
    blobs: Option<PathBuf>,
    /// On how many brokers each record lies on Kafka [default: the setting replication, 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    replication: Option<i32>,
    /// A setting of Kafka's client, as librdkafka calls it, over those of docket.toml; as often as
    /// there are any
    #[arg(long = "kafka-setting", value_name = "NAME=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    /// Copy although pictures are missing or damaged
    #[arg(long)]
    allow_lost_blobs: bool,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is no NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// What the side on Kafka needs, whichever it is.
struct OnKafka {
    /// For its copy of the journal.
    data: PathBuf,
    blobs: PathBuf,
    replication: i32,
    settings: Vec<(String, String)>,
}

impl OnKafka {
    /// A flag goes before a setting.
    fn new(flags: &Copy, config: &Config) -> Self {
        let data = PathBuf::from(config.text("data"));
        let set = Some(config.text("blobs")).filter(|set| !set.is_empty()).map(PathBuf::from);
        let blobs = flags.blobs.clone().or(set).unwrap_or_else(|| data.join("blobs"));
        let set = i32::try_from(config.count("replication")).unwrap_or(i32::MAX);
        let settings =
            config.kafka().iter().map(|(name, value)| (name.clone(), value.text.clone()));
        let settings = settings.chain(flags.settings.iter().cloned()).collect();
        Self { data, blobs, replication: flags.replication.unwrap_or(set), settings }
    }
}

/// One of the two, as its flag names it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    From,
    To,
}

impl Flag {
    fn name(self) -> &'static str {
        match self {
            Self::From => "--from",
            Self::To => "--to",
        }
    }
}

/// One of the two, opened.
struct Side {
    journal: Opened,
    blobs: Blobs,
}

enum Opened {
    Sqlite(SqliteJournal),
    /// With the seat that keeps everybody else from writing, and whether it still does.
    Kafka {
        journal: Box<KafkaJournal>,
        turn: watch::Receiver<bool>,
        _seat: Election,
    },
}

/// Copies, and says what the destination has.
pub async fn copy(flags: Copy, config: &Config) -> anyhow::Result<ExitCode> {
    let on_kafka = OnKafka::new(&flags, config);
    check_folders(&flags, &on_kafka.data)?;
    let from = Side::open(Flag::From, &flags, &on_kafka).await?;
    let to = Side::open(Flag::To, &flags, &on_kafka).await?;
    let wishes = Wishes { allow_lost_blobs: flags.allow_lost_blobs, patience: PATIENCE };
    let done = until_told(move |tell| {
        from.catch_up(Flag::From, tell)?;
        to.catch_up(Flag::To, tell)?;
        copy::check(from.place(), to.place())?;
        to.begin()?;
        let copied = copy::copy(from.place(), to.place(), wishes, &mut |progress| {
            let turns = [from.has_turn(), to.has_turn()];
            if turns == [true; 2] { tell(progress) } else { ControlFlow::Break(()) }
        });
        if !from.has_turn() || !to.has_turn() {
            bail!("another docket has taken the turn to write on Kafka; stop it, and copy again");
        }
        let copied = copied?;
        to.settle(tell)?;
        Ok(copied)
    });
    match done.await? {
        Err(error) if was_stopped(&error) => {
            eprintln!(
                "docket: broken off; what is copied stays, and the same command goes on there"
            );
            Ok(ExitCode::from(130))
        }
        Err(error) => {
            let Copy { from, to, .. } = &flags;
            let blobs = folders(from, &on_kafka).1;
            let hint = match error.downcast_ref() {
                Some(Error::Read(backup::Error::BlobLost { .. })) => format!(
                    "; pictures are looked for in {}, and --allow-lost-blobs goes on without",
                    blobs.display()
                ),
                _ => String::new(),
            };
            Err(error)
                .with_context(|| format!("{from} is not, or not wholly, copied to {to}{hint}"))
        }
        Ok(copied) => {
            tell_copied(&flags, &on_kafka, &copied);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn was_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Read(backup::Error::Stopped)))
}

/// Refuses folders that cannot be what the flags say.
fn check_folders(flags: &Copy, data: &Path) -> anyhow::Result<()> {
    let same = |one: &Path, other: &Path| {
        let whole = |path: &Path| fs::canonicalize(path).or_else(|_| std::path::absolute(path));
        one == other || whole(one).ok().is_some_and(|one| whole(other).ok() == Some(one))
    };
    match (&flags.from, &flags.to) {
        (Address::Kafka { .. }, Address::Kafka { .. }) => {
            bail!("--from and --to are both on Kafka; copy to sqlite:DIR first, and from there on")
        }
        (Address::Sqlite(from), Address::Sqlite(to)) => {
            ensure!(!same(from, to), "--from and --to name the same folder");
            ensure!(
                flags.data.is_none() && flags.blobs.is_none(),
                "--data and --blobs are folders of a side on Kafka, and there is none"
            );
        }
        (Address::Sqlite(dir), _) | (_, Address::Sqlite(dir)) => ensure!(
            !same(dir, data),
            "{} is the folder of the side on SQLite; the one on Kafka needs another for its copy of \
             the journal and the pictures: name it with --data",
            data.display()
        ),
    }
    Ok(())
}

impl Side {
    async fn open(flag: Flag, flags: &Copy, on_kafka: &OnKafka) -> anyhow::Result<Self> {
        let address = if flag == Flag::From { &flags.from } else { &flags.to };
        let opened = match address {
            Address::Sqlite(dir) => Self::sqlite(flag, dir.clone()).await,
            Address::Kafka { brokers, prefix } => {
                let options = kafka::Options {
                    brokers: brokers.clone(),
                    prefix: prefix.clone(),
                    replication: on_kafka.replication,
                    settings: on_kafka.settings.clone(),
                };
                Self::kafka(flag, options, on_kafka).await
            }
        };
        opened.with_context(|| format!("{} {address}", flag.name()))
    }

    async fn sqlite(flag: Flag, dir: PathBuf) -> anyhow::Result<Self> {
        match flag {
            Flag::From => ensure!(dir.join(sqlite::FILE).exists(), "there is no journal in it"),
            Flag::To => check_place(&dir)?,
        }
        // What a machine's end takes away of a copy is copied again; it is synced at the end.
        let (synced, unfinished) = (flag == Flag::From, flag == Flag::To);
        let options = sqlite::Options { synced, unfinished, ..sqlite::Options::default() };
        let opening = tokio::task::spawn_blocking(move || {
            let journal = SqliteJournal::open(&dir, options).map_err(in_use)?;
            let blobs = dir.join("blobs");
            Ok::<_, anyhow::Error>((journal, blobs))
        });
        let (journal, blobs) = opening.await??;
        if flag == Flag::To {
            let is_copy = journal.noted()?.is_some();
            ensure!(!is_copy, "it is a node's copy of a journal on Kafka; name another folder");
        }
        let blobs = if flag == Flag::To { Blobs::open(blobs)? } else { Blobs::to_read(blobs) };
        Ok(Self { journal: Opened::Sqlite(journal), blobs })
    }

    async fn kafka(
        flag: Flag,
        options: kafka::Options,
        on_kafka: &OnKafka,
    ) -> anyhow::Result<Self> {
        let client = options.client();
        let tried = client.create::<BaseConsumer>().map(drop);
        tried.map_err(|error| anyhow!("--kafka-setting: {}", kafka::told(&error)))?;
        let asked = options.clone();
        let asking = tokio::task::spawn_blocking(move || kafka::is_there(&asked, REACHED_WITHIN));
        let is_there = asking.await??;
        ensure!(is_there || flag == Flag::To, "there is no topic {}.journal", options.prefix);
        let opened = KafkaJournal::open(&on_kafka.data, &options).await.map_err(in_use);
        let journal =
            opened.with_context(|| format!("with --replication {}", options.replication))?;
        let (seat, turn) = take_turn(&options).await?;
        let blobs = match flag {
            Flag::To => Blobs::open(&on_kafka.blobs)?,
            Flag::From => Blobs::to_read(&on_kafka.blobs),
        };
        let journal = Box::new(journal);
        Ok(Self { journal: Opened::Kafka { journal, turn, _seat: seat }, blobs })
    }

    fn place(&self) -> Place<'_> {
        let journal: &dyn Journal = match &self.journal {
            Opened::Sqlite(journal) => journal,
            Opened::Kafka { journal, .. } => journal.as_ref(),
        };
        Place { journal, blobs: &self.blobs }
    }

    /// Whether nobody else writes.
    fn has_turn(&self) -> bool {
        match &self.journal {
            Opened::Sqlite(_) => true,
            Opened::Kafka { turn, .. } => *turn.borrow(),
        }
    }

    /// Reads what Kafka has up to now.
    fn catch_up(&self, flag: Flag, tell: &mut Tell<'_>) -> Result<(), Error> {
        let Opened::Kafka { journal, .. } = &self.journal else { return Ok(()) };
        let ends = journal.ends(REACHED_WITHIN)?;
        let told = journal.progress();
        let (mut read, mut since) = (Offsets::default(), Instant::now());
        loop {
            let kafka::Progress { read: now, failed, .. } = told.borrow().clone();
            if let Some(reason) = failed {
                return Err(JournalError::Closed(reason.to_string()).into());
            }
            if now.reaches(&ends) {
                break;
            }
            if now != read {
                (read, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                let reason = format!("nothing came for {PATIENCE:?}");
                let doing = "the journal's end is not reached".to_owned();
                return Err(JournalError::Kafka { doing, reason }.into());
            }
            let [done, of] =
                [read, ends].map(|it| it.journal.unsigned_abs() + it.keys.unsigned_abs());
            let doing = "reading records from Kafka";
            if tell(Progress { doing, done: done.min(of), of }).is_break() {
                return Err(backup::Error::Stopped.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        match flag == Flag::From && told.borrow().unfinished {
            true => Err(JournalError::Unfinished { path: "what --from names".into() }.into()),
            false => Ok(()),
        }
    }

    /// From now on it is written to.
    fn begin(&self) -> Result<(), JournalError> {
        match &self.journal {
            Opened::Sqlite(_) => Ok(()),
            Opened::Kafka { journal, .. } => journal.begin_copy(),
        }
    }

    /// Ends, with all of it durable, and said to be whole.
    fn settle(self, tell: &mut Tell<'_>) -> anyhow::Result<()> {
        let journal = match self.journal {
            Opened::Sqlite(journal) => journal,
            Opened::Kafka { journal, .. } => return Ok(journal.set_whole()?),
        };
        let _ = tell(Progress { doing: "syncing", done: 0, of: 0 }); // It is done in a moment.
        let (path, head) = (journal.path().to_owned(), *journal.head().borrow());
        journal.set_whole()?;
        drop(journal);
        // Opening syncs what is there.
        let dir = path.parent().context("a journal lies in a folder")?;
        let found = *SqliteJournal::open(dir, sqlite::Options::default())?.head().borrow();
        ensure!(
            found == head,
            "{} ends with commit {} after syncing",
            path.display(),
            found.number
        );
        Ok(())
    }
}

/// Takes the turn to write, as a docket does, where no docket has a seat.
async fn take_turn(options: &kafka::Options) -> anyhow::Result<(Election, watch::Receiver<bool>)> {
    let client = options.client();
    let me = NodeName::new(SEAT)?;
    let seat = Election::stand(&client, &options.prefix, &me, election::SESSION)?;
    let (mut turn, until) = (seat.turn(), Instant::now() + TURN_WITHIN);
    let waiting = tokio::time::timeout(TURN_WITHIN, turn.wait_for(|mine| *mine));
    let is_mine = waiting.await.is_ok_and(|turn| turn.is_ok());
    loop {
        let (client, prefix) = (client.clone(), options.prefix.clone());
        let asking = move || election::seats(&client, &prefix, REACHED_WITHIN);
        let seats = tokio::task::spawn_blocking(asking).await??;
        let dockets = seats.iter().map(NodeName::as_str).filter(|it| *it != SEAT);
        let dockets = dockets.collect::<Vec<_>>().join(", ");
        if is_mine && dockets.is_empty() {
            return Ok((seat, turn));
        }
        // One that has just died keeps its seat for a while.
        if Instant::now() >= until {
            match dockets.is_empty() {
                true => bail!("another copy has the turn to write there; let it end first"),
                false => bail!("dockets run there, at {dockets}; stop them first"),
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Refuses a folder of something else. What a copy that was cut off leaves, and a master key that was
/// put there beforehand, are welcome.
fn check_place(dir: &Path) -> anyhow::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let names: Result<Vec<_>, _> = entries.map(|it| it.map(|it| it.file_name())).collect();
    let names = names?;
    if names.iter().any(|name| name == sqlite::FILE) {
        return Ok(()); // Whose it is, its commits say.
    }
    let welcome = ["lock", "blobs", "master.key"];
    match names.iter().find(|name| welcome.iter().all(|it| name != it)) {
        None => Ok(()),
        Some(name) => bail!("it is not empty, {} is in it; name a new folder", name.display()),
    }
}

/// A folder that is locked is one that a docket runs on.
fn in_use(error: JournalError) -> anyhow::Error {
    match error {
        JournalError::Locked { path } => {
            anyhow!(
                "a docket runs on that folder, or another copy: {path} is locked; stop it first"
            )
        }
        other => other.into(),
    }
}

/// Where a master key of a side may lie, and where its blobs do.
fn folders(address: &Address, on_kafka: &OnKafka) -> (PathBuf, PathBuf) {
    match address {
        Address::Sqlite(dir) => (dir.clone(), dir.join("blobs")),
        Address::Kafka { .. } => (on_kafka.data.clone(), on_kafka.blobs.clone()),
    }
}

fn tell_copied(flags: &Copy, on_kafka: &OnKafka, copied: &Copied) {
    let Copy { from, to, .. } = flags;
    let Copied { head, commits, keys, blobs, blobs_lost, .. } = copied;
    let lost = match blobs_lost {
        0 => String::new(),
        lost => format!(", and {lost} that are lost"),
    };
    let lines = [
        ("position", head.position.to_string()),
        ("commit", format!("{}, {commits} of them copied now", head.number)),
        ("hash", format!("{}, that of {from} too", head.hash)),
        ("keys", keys.to_string()),
        ("blobs", format!("{blobs}{lost}")),
    ];
    match copied.was_complete() {
        true => print(&format!("{to} is complete already; nothing was to be copied"), &lines),
        false => print(&format!("{from} is copied to {to}"), &lines),
    }
    say("what else must come along:");
    let key = folders(from, on_kafka).0.join("master.key");
    let place = match to {
        Address::Sqlite(dir) => format!("into {}, or DOCKET_MASTER_KEY", dir.display()),
        Address::Kafka { .. } => "to every node, as DOCKET_MASTER_KEY".to_owned(),
    };
    match key.exists() {
        true => say(&format!("  the master key, {}: {place}", key.display())),
        false => say(&format!("  the master key that {from} was run with: {place}")),
    }
    if let Address::Kafka { .. } = to {
        let blobs = on_kafka.blobs.display();
        say(&format!(
            "  the pictures, {blobs}: every node needs that folder, as the setting blobs"
        ));
    }
    say(&format!("start no docket on {from} any more: two that go on from here are two journals"));
}
