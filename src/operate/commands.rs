//! The operator's part of the `docket` command: words, flags, and what is printed.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use events::Channel;
use serde_json::{Value, json};

use super::{
    Operator,
    backup::{self, Backup, Restore},
    check,
    cluster::{self, ClusterTask},
    journal::{self, JournalTask},
    topics,
};
use crate::{
    builtin::builtin_lifecycle, config::Config, domain::lifecycle::Lifecycle, http::access, node,
};

/// Prints a line. Whoever reads it may have seen enough and gone.
macro_rules! say {
    ($($text:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($text)*); // Nobody is left to be told.
    }};
}

/// What an operator may ask for.
#[derive(Subcommand)]
pub enum Task {
    /// Print a channel's life cycle as a table and as a Mermaid diagram; check or adopt a file.
    #[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
    Lifecycle {
        /// The channel whose life cycle is printed.
        channel: Option<String>,
        /// What else may be done with life cycles.
        #[command(subcommand)]
        task: Option<LifecycleTask>,
    },
    /// Issue, list and revoke named tokens.
    #[command(subcommand)]
    Token(TokenTask),
    /// See how the views are doing, and build one anew.
    #[command(subcommand)]
    Views(ViewsTask),
    /// Make what was recorded of a person unreadable, for ever.
    Forget {
        /// The account's id.
        account: String,
        /// The account's channel.
        #[arg(long, default_value = "native")]
        channel: String,
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
    /// Write the journal, its wrapped keys and the pictures into one file, also while docket runs.
    Backup(Backup),
    /// Verify a backup and put it into a new data folder.
    Restore(Restore),
    /// Ask the nodes of a cluster how they are; let newer events be written.
    #[command(subcommand)]
    Cluster(ClusterTask),
    /// Copy a journal to another place: from SQLite to Kafka, and back.
    #[command(subcommand)]
    Journal(JournalTask),
    /// Print every route and who may call it.
    Routes,
    /// Print the public topics, what is in them, and an example of each type of record.
    Topics {
        /// What the names of topics begin with
        #[arg(long, default_value = "docket")]
        prefix: String,
        /// As one JSON object, with the JSON Schema of each type's data
        #[arg(long)]
        json: bool,
    },
}

/// Which docket is meant.
#[derive(Args, Clone, Default)]
pub struct Site {
    /// The data folder of the docket that is meant [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where it runs, http://127.0.0.1:8080 for example; by default it is found
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

/// About life cycles.
#[derive(Subcommand)]
pub enum LifecycleTask {
    /// Tell everything that is wrong with a file, each with its line.
    Check {
        /// The file, named <channel>.toml.
        file: PathBuf,
    },
    /// Bring a file into force, on the docket that runs or on a folder at rest.
    Adopt {
        /// The file, named <channel>.toml.
        file: PathBuf,
        /// Let open orders, too, live by it from now on, each where it can
        #[arg(long)]
        open_orders: bool,
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
}

/// About named tokens.
#[derive(Subcommand)]
pub enum TokenTask {
    /// Issue a token; it is printed this once.
    Create {
        /// What it is called: the actor of what its bearer does.
        name: String,
        /// operator, auditor, staff or gateway
        #[arg(long)]
        role: String,
        /// The one channel it is good for [default: all]
        #[arg(long)]
        channel: Option<String>,
        /// The one store it is good for [default: all]
        #[arg(long)]
        store: Option<String>,
        /// How many seconds it lives [default: until it is revoked]
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
    /// List every token, without its secret.
    List {
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
    /// Revoke a token by its name.
    Revoke {
        /// What it is called.
        name: String,
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
}

/// About views.
#[derive(Subcommand)]
pub enum ViewsTask {
    /// List the views: version, position, lag, and how far one is that is being built.
    List {
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
    /// Build a view anew beside the one that serves until it has caught up.
    Rebuild {
        /// The view.
        view: String,
        /// Which docket.
        #[command(flatten)]
        site: Site,
    },
}

impl Task {
    /// The data folder that a flag names, if one does.
    pub fn data(&self) -> Option<String> {
        match self {
            Self::Backup(flags) => flags.data.clone(),
            Self::Restore(flags) => flags.data.clone(),
            Self::Journal(JournalTask::Copy(flags)) => flags.data.clone(),
            other => other.site().and_then(|site| site.data.clone()),
        }
    }

    fn site(&self) -> Option<&Site> {
        match self {
            Self::Lifecycle { task: Some(LifecycleTask::Adopt { site, .. }), .. }
            | Self::Token(
                TokenTask::Create { site, .. }
                | TokenTask::List { site }
                | TokenTask::Revoke { site, .. },
            )
            | Self::Views(ViewsTask::List { site } | ViewsTask::Rebuild { site, .. })
            | Self::Forget { site, .. } => Some(site),
            Self::Lifecycle { task: Some(LifecycleTask::Check { .. }) | None, .. }
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Cluster(_)
            | Self::Journal(_)
            | Self::Routes
            | Self::Topics { .. } => None,
        }
    }
}

/// Does what is asked for, and prints what came of it.
pub async fn run(task: Task, config: &Config) -> anyhow::Result<ExitCode> {
    let task = match task {
        Task::Backup(flags) => return backup::back_up(flags, config).await,
        Task::Restore(flags) => return backup::put_back(flags, config).await,
        Task::Cluster(task) => {
            say!("{}", cluster::run(task, config).await?);
            return Ok(ExitCode::SUCCESS);
        }
        Task::Journal(JournalTask::Copy(flags)) => return journal::copy(*flags, config).await,
        task => task,
    };
    let Some(site) = task.site() else { return offline(&task, config) };
    let operator = Operator::reach(config, site.server.as_deref()).await?;
    let done = ask(&operator, task).await;
    operator.done().await?;
    done.map(|()| ExitCode::SUCCESS)
}

/// What needs no docket.
fn offline(task: &Task, config: &Config) -> anyhow::Result<ExitCode> {
    match task {
        Task::Routes => {
            for row in access::table() {
                say!("{row}");
            }
        }
        Task::Topics { prefix, json: false } => say!("{}", topics::told(prefix)),
        Task::Topics { prefix, json: true } => say!("{:#}", topics::as_json(prefix)),
        Task::Lifecycle { task: Some(LifecycleTask::Check { file }), .. } => match check(file)? {
            Ok(lifecycle) => {
                say!("{}: version {} is sound", file.display(), lifecycle.version());
            }
            Err(problems) => {
                for problem in problems {
                    say!("{}", problem.in_file(file.display()));
                }
                return Ok(ExitCode::FAILURE);
            }
        },
        Task::Lifecycle { channel: Some(channel), .. } => print_lifecycle(channel, config)?,
        _ => {} // The others name a site.
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(operator: &Operator, task: Task) -> anyhow::Result<()> {
    match task {
        Task::Lifecycle { task: Some(LifecycleTask::Adopt { file, open_orders, .. }), .. } => {
            let adopted = operator.adopt(&file, open_orders).await?;
            say!(
                "version {} is in force for channel {}",
                adopted["version"],
                plain(&adopted["channel"])
            );
            if let Some(moved) = adopted.get("open_orders") {
                say!("{} open orders moved, {} stay", moved["moved"], moved["refused"]);
                for it in moved["reasons"].as_array().into_iter().flatten() {
                    say!("  {} stays: {}", plain(&it["order"]), plain(&it["reason"]));
                }
            }
        }
        Task::Token(TokenTask::Create { name, role, channel, store, expires_in, .. }) => {
            let mut token = json!({ "name": name, "role": role });
            let parts = [
                ("channel", channel.map(Value::from)),
                ("store", store.map(Value::from)),
                ("expires_in", expires_in.map(Value::from)),
            ];
            for (name, value) in parts {
                if let Some(value) = value {
                    token[name] = value;
                }
            }
            say!("{}", operator.create_token(token).await?);
        }
        Task::Token(TokenTask::List { .. }) => {
            let columns = ["name", "role", "channel", "store", "expires_at", "live"];
            print_rows(&columns, &operator.tokens().await?);
        }
        Task::Token(TokenTask::Revoke { name, .. }) => {
            operator.revoke_token(&name).await?;
            say!("token {name} is revoked");
        }
        Task::Views(ViewsTask::List { .. }) => {
            let columns =
                ["name", "version", "position", "lag_events", "rebuilding", "rebuild", "error"];
            print_rows(&columns, &operator.views().await?);
        }
        Task::Views(ViewsTask::Rebuild { view, .. }) => {
            operator.rebuild(&view).await?;
            say!("view {view} is being built anew; `docket views list` shows how far it is");
        }
        Task::Forget { account, channel, .. } => {
            operator.forget(&channel, &account).await?;
            say!("account {account} is forgotten");
        }
        // Asked of nobody.
        Task::Routes
        | Task::Topics { .. }
        | Task::Lifecycle { .. }
        | Task::Backup(_)
        | Task::Restore(_)
        | Task::Cluster(_)
        | Task::Journal(_) => {}
    }
    Ok(())
}

fn print_lifecycle(channel: &str, config: &Config) -> anyhow::Result<()> {
    let channel = Channel::new(channel)?;
    let own = node::lifecycles(config)?.into_iter().find(|(known, _, _)| *known == channel);
    let own = own.map(|(_, text, origin)| (text, origin));
    let builtin = || {
        let text = builtin_lifecycle(&channel)?.to_owned();
        Some((text, format!("the built-in life cycle of {channel}")))
    };
    let (text, origin) = own.or_else(builtin).with_context(|| {
        format!(
            "there is no life cycle of {channel}: docket comes with none, and there is no \
             {channel}.toml in the folder that the setting lifecycles names"
        )
    })?;
    let lifecycle = Lifecycle::parse(&channel, &text).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{origin} is not sound:\n{}", lines.join("\n"))
    })?;
    say!("{}\n{}", lifecycle.table(), lifecycle.diagram());
    Ok(())
}

fn print_rows(columns: &[&str], rows: &[Value]) {
    let cells: Vec<Vec<String>> =
        std::iter::once(columns.iter().map(|it| it.to_uppercase()).collect())
            .chain(rows.iter().map(|row| columns.iter().map(|it| plain(&row[*it])).collect()))
            .collect();
    let width = |n: usize| cells.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    for row in &cells {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        say!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
