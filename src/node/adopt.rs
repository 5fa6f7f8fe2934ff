//! What a start brings into force: the site's life cycles and settings, the operator's token, and
//! what a forgetting left undone that was cut.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use events::{AccountId, Channel, CommandId, Digest, LEVEL, Role, TokenIssued, TokenName};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Error, blocking};
use crate::{
    builtin::builtin_lifecycle,
    config::Config,
    domain::{Action, Caller, Command, Rejection},
    engine::{self, Handle, Request},
    http,
    keys::{self, KeyRing},
};

/// What to do where a life cycle or a setting is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// To say so, and end: who starts it looks on.
    Ends,
    /// To say so in the log, and go on with what is in force: nobody looks on.
    Stays,
}

/// All of it. Nothing is served before.
pub(super) async fn bring_into_force(
    config: &Config,
    engine: &Handle,
    ring: &KeyRing,
    forgotten: Vec<AccountId>,
    refused: Refused,
) -> Result<(), Error> {
    finish_forgetting(ring, forgotten).await?;
    adopt(config, engine, refused).await?;
    record_operator_token(config, engine).await
}

/// Brings the newest level of events into force that this docket writes, as there is no other that
/// must read them.
pub(super) async fn upgrade_alone(engine: &Handle) -> Result<(), Error> {
    let level = engine.credentials().level();
    if level < LEVEL {
        let upgraded = submit(engine, &site(), Action::UpgradeCluster { level: LEVEL }).await;
        upgraded.map_err(|error| failed(error, "the newest level of events"))?;
        tracing::info!(
            from = level,
            to = LEVEL,
            "events of a newer level may be written now; an older docket may not read them"
        );
    }
    Ok(())
}

/// What is of no single channel.
fn site() -> Channel {
    Channel::new(http::api::named_tokens::CHANNEL).expect("it is short")
}

/// Destroys the keys of those who were forgotten when docket ended before it could.
async fn finish_forgetting(ring: &KeyRing, forgotten: Vec<AccountId>) -> Result<(), Error> {
    if forgotten.is_empty() {
        return Ok(());
    }
    let ring = ring.clone();
    let finish = move || {
        for account in forgotten {
            if ring.has(account).context("the key ring")? {
                tracing::info!(%account, "destroying the key of an account that is forgotten");
                ring.destroy(account).context("the key ring")?;
            }
        }
        Ok(())
    };
    blocking(finish).await
}

/// The site says which token is the operator's: one that is not recorded yet is, and another of its
/// name is revoked.
async fn record_operator_token(config: &Config, engine: &Handle) -> Result<(), Error> {
    let text = operator_token_text(config)?;
    let token = keys::token_digest(&text);
    let name = TokenName::new("operator").expect("it is short");
    let site = site();
    let failed = |error| failed(error, "the operator's token");
    let known: Vec<_> =
        engine.credentials().tokens().into_iter().filter(|known| known.name == name).collect();
    let whole = |known: &TokenIssued| {
        known.token == token
            && known.role == Role::Operator
            && (&known.channel, &known.store, known.expires_at) == (&None, &None, None)
    };
    if let [only] = &known[..]
        && whole(only)
    {
        return Ok(());
    }
    if !known.is_empty() {
        let action = Action::RevokeToken { name: name.clone() };
        submit(engine, &site, action).await.map_err(failed)?;
    }
    let role = Role::Operator;
    let issued = TokenIssued { token, name, role, channel: None, store: None, expires_at: None };
    submit(engine, &site, Action::IssueToken(Box::new(issued))).await.map_err(failed)
}

/// The operator's token: as it is set, or as the file in the data folder has it.
fn operator_token_text(config: &Config) -> Result<String, Error> {
    let set = config.text("operator_token").trim();
    if !set.is_empty() {
        return Ok(set.to_owned());
    }
    let path = operator_token(Path::new(config.text("data")))?;
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Error::Storage)?;
    let text = text.trim();
    if text.len() < OPERATOR_TOKEN_BYTES_MIN {
        let short = anyhow::anyhow!(
            "{} holds no token of at least {OPERATOR_TOKEN_BYTES_MIN} bytes; take it away, and the \
             next start makes one",
            path.display()
        );
        return Err(short.into());
    }
    Ok(text.to_owned())
}

/// What an operator's token weighs at least: 32 random bytes as hexadecimal digits or base64.
const OPERATOR_TOKEN_BYTES_MIN: usize = 43;

/// Makes the operator's token on the first run, readable by its owner alone, and says where it is.
pub fn operator_token(data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join("operator.token");
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            let text = http::api::named_tokens::new_text();
            io::Write::write_all(&mut file, format!("{text}\n").as_bytes())?;
            file.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    Ok(path)
}

/// Brings each channel's life cycle and settings into force, unless they are already.
async fn adopt(config: &Config, engine: &Handle, stays: Refused) -> Result<(), Error> {
    for (channel, text, origin) in lifecycles(config)? {
        let digest = Digest(Sha256::digest(text.as_bytes()).into());
        let adopted = submit(engine, &channel, Action::AdoptLifecycle { digest, text }).await;
        match adopted {
            Ok(()) => {}
            Err(engine::Error::Rejected(refused @ Rejection::LifecycleOld { .. })) => {
                tracing::warn!(%channel, %origin, "{refused}; the one in force stays");
            }
            Err(engine::Error::Rejected(refused)) if stays == Refused::Stays => {
                tracing::error!(%channel, %origin, %refused, "the life cycle in force stays");
            }
            Err(error) => return Err(failed(error, &format!("{origin} is not adopted"))),
        }
        let overrides = config.overrides(&channel);
        let overrides: BTreeMap<_, _> =
            overrides.into_iter().map(|(name, value)| (name, value.text)).collect();
        match submit(engine, &channel, Action::AdoptSettings { overrides }).await {
            Ok(()) => {}
            Err(engine::Error::Rejected(refused)) if stays == Refused::Stays => {
                tracing::error!(%channel, %refused, "the settings in force stay");
            }
            Err(error) => {
                return Err(failed(error, &format!("the settings of channel {channel}")));
            }
        }
    }
    Ok(())
}

fn failed(error: engine::Error, what: &str) -> Error {
    let storage = !matches!(error, engine::Error::Rejected(_) | engine::Error::KeyReused);
    let error = anyhow::Error::from(error).context(what.to_owned());
    if storage { Error::Storage(error) } else { Error::Other(error) }
}

async fn submit(engine: &Handle, channel: &Channel, action: Action) -> Result<(), engine::Error> {
    let command = Command {
        id: CommandId(Uuid::now_v7()),
        channel: channel.clone(),
        caller: Caller::System,
        action,
    };
    engine.submit(Request::new(command)).await.map(drop)
}

/// Each channel's life-cycle file and what to call it: the site's own where it has one. A file of
/// the site's that no built-in channel is called as is a channel of its own.
pub fn lifecycles(config: &Config) -> anyhow::Result<Vec<(Channel, String, String)>> {
    let folder = config.text("lifecycles");
    let mut files = Vec::new();
    for channel in config.channels() {
        let path = Path::new(folder).join(format!("{channel}.toml"));
        let own = !folder.is_empty() && path.exists();
        let file = if own {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            (channel, text, path.display().to_string())
        } else {
            let text = builtin_lifecycle(&channel).unwrap_or_default().to_owned();
            let origin = format!("the built-in life cycle of {channel}");
            (channel, text, origin)
        };
        files.push(file);
    }
    Ok(files)
}
