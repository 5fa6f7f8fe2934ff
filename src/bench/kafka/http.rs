//! Orders over HTTP at a docket whose journal is on Kafka, beside bare clients that send what it has
//! recorded, and a journal in this process that is given it.
//!
//! All of them have their turn in each of some rounds, so that brokers that get faster, or a machine
//! that gets slower, are the same for all.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use super::{
    COMMITS_MAX, bare,
    fed::{Fed, newest, recorded},
    round::Round,
};
use crate::{
    bench::{
        Setting,
        load::{Measured, Plan},
        options::Kafka,
        place::echoed,
        process::Process,
        shop::{Calls, ORDER, Shop},
    },
    journal::{KafkaJournal, kafka::Options},
};

/// So many rounds count, behind one in which everything gets warm.
const ROUNDS: u32 = 4;
/// How long a node of one may take until it writes.
const WRITES_WITHIN: Duration = Duration::from_secs(60);
/// How long what is left may take when a load ends, to be published or to be stored.
pub const LEFT_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether that is done.
pub const POLL: Duration = Duration::from_millis(20);

/// Measures each number of connections.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, options: &Kafka, site: &Options) -> anyhow::Result<()> {
    let load = &options.load;
    let plan = load.plan(10);
    let plan = Plan { measured: plan.measured / ROUNDS, ..plan };
    let data = setting.folder.join("place");
    let docket = Node::start(setting, &place(&site.prefix), site, &data).await?;
    setting.say(&format!("{} buyers open accounts", load.most()));
    let shop = Shop::at(&docket.process, &docket.operator, load.most(), WRITES_WITHIN).await?;
    let echo = Process::echo(&setting.folder).await?;
    let fed = Fed::begin(&setting.folder, &of(site, fed_of(&site.prefix))).await?;
    for connections in load.connections.iter().copied() {
        let row = Row { setting, options, plan, docket: &docket, data: &data, shop: &shop };
        let bare = bare_of(&site.prefix, connections).map(|prefix| of(site, prefix));
        for bare in &bare {
            drop(KafkaJournal::open(&setting.folder.join(&bare.prefix), bare).await?);
        }
        let mut sum: Option<Round> = None;
        for round in 0..=ROUNDS {
            setting.say(&format!("round {round} of {ROUNDS}"));
            let echoed = echoed(setting, &echo, connections, plan).await?;
            let round_of = row.round(round, connections, echoed, &fed, &bare).await?;
            sum = (round > 0).then(|| match sum.take() {
                Some(sum) => sum.with(&round_of),
                None => round_of,
            });
        }
        sum.context("a round")?.print(setting, connections)?;
    }
    fed.end().await?;
    docket.process.stop().await
}

/// The prefix of what docket writes.
pub fn place(prefix: &str) -> String {
    format!("{prefix}-place")
}

/// The prefix of what the journal in this process is fed.
pub fn fed_of(prefix: &str) -> String {
    format!("{prefix}-place-fed")
}

/// The prefixes of what bare clients write: the commits alone, and all.
pub fn bare_of(prefix: &str, connections: usize) -> [String; 2] {
    ["alone", "all"].map(|what| format!("{prefix}-place-{connections}-{what}"))
}

fn of(site: &Options, prefix: String) -> Options {
    Options { prefix, ..site.clone() }
}

/// What one number of connections is measured with.
struct Row<'a> {
    setting: &'a Setting,
    options: &'a Kafka,
    plan: Plan,
    docket: &'a Node,
    data: &'a Path,
    shop: &'a Shop,
}

impl Row<'_> {
    async fn round(
        &self,
        round: u32,
        connections: usize,
        echo: Measured,
        fed: &Fed,
        [alone, all]: &[Options; 2],
    ) -> anyhow::Result<Round> {
        let Self { setting, options, plan, docket, data, shop } = self;
        // Nobody has more on the way than there are connections.
        let at_once = options.in_flight.min(connections);
        let orders = shop.buyers.iter().take(connections);
        let orders = orders
            .map(|(_, token)| Calls::new([("POST /v1/orders", token.as_str(), ORDER)], 201))
            .collect();
        let from = newest(data)?;
        let place = setting.load("place", docket.process.address, orders, *plan).await?.0;
        let (lag, unpublished) = (shop.lag().await?, shop.unpublished().await?);
        finish_the_rest(shop).await?;
        let commits = recorded(data, from, COMMITS_MAX as usize)?;
        fed.catch_up(data, from, at_once).await?;
        let bare = async {
            setting.say("bare, the same commits");
            bare::sent(alone, &commits, at_once).await
        };
        let journal = async {
            setting.say("the journal, the same commits");
            fed.feed(&commits, at_once).await
        };
        // Each of the two comes first every other time.
        let (alone, fed) = if round.is_multiple_of(2) {
            let alone = bare.await?;
            (alone, journal.await?)
        } else {
            let fed = journal.await?;
            (bare.await?, fed)
        };
        setting.say("bare, the same commits and their public records");
        let all = bare::sent_all(all, &commits, at_once).await?;
        let seen = place.counted.saturating_sub(lag);
        let events = commits.iter().map(|(_, events)| events.len()).sum();
        let commits = commits.len();
        Ok(Round { echo, place, seen, lag, unpublished, commits, events, fed, alone, all })
    }
}

/// A node of one.
struct Node {
    process: Process,
    operator: String,
}

impl Node {
    async fn start(
        setting: &Setting,
        prefix: &str,
        site: &Options,
        data: &Path,
    ) -> anyhow::Result<Self> {
        let blobs = setting.folder.join("blobs");
        fs::create_dir_all(&blobs)?;
        let secret = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let operator = secret();
        let settings = [
            ("JOURNAL", "kafka".to_owned()),
            ("BROKERS", site.brokers.clone()),
            ("TOPIC_PREFIX", prefix.to_owned()),
            ("REPLICATION", site.replication.to_string()),
            ("MASTER_KEY", secret()),
            ("CLUSTER_SECRET", secret()),
            ("OPERATOR_TOKEN", operator.clone()),
            ("BLOBS", blobs.display().to_string()),
            ("INNER_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        let settings = settings.map(|(name, value)| (format!("DOCKET_{name}"), value));
        let process = Process::docket_with(&setting.folder, data, settings).await?;
        Ok(Self { process, operator })
    }
}

/// Waits until what comes next has brokers and machine for itself.
async fn finish_the_rest(shop: &Shop) -> anyhow::Result<()> {
    let asked = Instant::now();
    while shop.unpublished().await? > 0 || shop.lag().await? > 0 {
        ensure!(asked.elapsed() < LEFT_WITHIN, "docket does not publish what it has recorded");
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
