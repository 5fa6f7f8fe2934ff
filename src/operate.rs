//! What an operator does from the command line: through `/v1` of the docket that runs on a data
//! folder, or, where none runs, through a docket that comes up on it for just that.

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use events::Channel;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{
    client::Client,
    config::Config,
    domain::lifecycle::{Lifecycle, Problem},
    journal::JournalError,
    node::{self, Node, Parts},
};

mod backup;
mod cluster;
pub mod commands;
mod journal;
mod telling;
mod topics;

/// A docket to give orders to, as the operator of its data folder.
pub struct Operator {
    reach: Reach,
    token: String,
}

enum Reach {
    /// It runs, and this is its address.
    Running(Client),
    /// It does not; this one is up meanwhile, and serves nobody else.
    AtRest(Box<Node>),
}

impl Operator {
    /// Finds the docket of the configured data folder: the running one, at `server` or where the
    /// configuration says that it listens, or else one at rest.
    pub async fn reach(config: &Config, server: Option<&str>) -> anyhow::Result<Self> {
        let data = Path::new(config.text("data"));
        let reach = match server {
            Some(server) => Reach::Running(Client::new(server.trim_end_matches('/'))),
            None if config.text("journal") == "kafka" => {
                Reach::Running(Client::new(format!("http://{}", config.text("listen"))))
            }
            None => {
                let known = !config.text("operator_token").is_empty()
                    || data.join("operator.token").exists();
                ensure!(known, "no docket has run on {} yet; start one first", data.display());
                match node::start(config, Parts::default()).await {
                    Ok(node) => Reach::AtRest(Box::new(node)),
                    Err(error) if is_running(&error) => {
                        let base = format!("http://{}", config.text("listen"));
                        Reach::Running(Client::new(base))
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let token = match config.text("operator_token").trim() {
            "" => {
                let path = data.join("operator.token");
                fs::read_to_string(&path).with_context(|| {
                    format!("cannot read the operator's token {}", path.display())
                })?
            }
            set => set.to_owned(),
        };
        Ok(Self { reach, token: token.trim().to_owned() })
    }

    /// One call; the error tells what the answer says is wrong.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        (kind, body): (&str, String),
    ) -> anyhow::Result<Value> {
        let bearer = format!("Bearer {}", self.token);
        let (status, body) = match &self.reach {
            Reach::Running(client) => {
                let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
                let answer =
                    client.send(method, path, &headers, body).await.with_context(|| {
                        "the docket of this folder runs, but not where it was looked for; name its \
                     address with --server"
                    })?;
                (answer.status, answer.body)
            }
            Reach::AtRest(node) => {
                let request = Request::builder()
                    .method(method)
                    .uri(path)
                    .header("authorization", bearer)
                    .header("content-type", kind)
                    .body(Body::from(body))?;
                let answer = node.router.clone().oneshot(request).await?;
                let status = answer.status();
                let bytes = answer.into_body().collect().await?.to_bytes();
                (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
            }
        };
        if status.is_success() {
            return Ok(body);
        }
        bail!("{}", told(status, &body))
    }

    /// Ends what was started for this.
    pub async fn done(self) -> anyhow::Result<()> {
        if let Reach::AtRest(node) = self.reach {
            let ended = node.shut_down().await;
            ended.map_err(|reason| anyhow::anyhow!("the journal failed: {reason}"))?;
        }
        Ok(())
    }

    /// Brings a life-cycle file into force.
    pub async fn adopt(&self, path: &Path, open_orders: bool) -> anyhow::Result<Value> {
        let (channel, text) = lifecycle_file(path)?;
        let channel = encoded(&channel);
        let path = format!("/v1/lifecycles/{channel}?open_orders={open_orders}");
        self.call(Method::PUT, &path, ("application/toml", text)).await
    }

    /// Issues a named token, and gives its text.
    pub async fn create_token(&self, token: Value) -> anyhow::Result<String> {
        let made = self.call(Method::POST, "/v1/tokens", as_json(&token)).await?;
        made["token"].as_str().map(str::to_owned).context("the answer has no token")
    }

    /// Every named token, without its secret.
    pub async fn tokens(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.call(Method::GET, "/v1/tokens", as_json(&json!({}))).await?;
        Ok(answer["items"].as_array().cloned().unwrap_or_default())
    }

    /// Revokes a named token.
    pub async fn revoke_token(&self, name: &str) -> anyhow::Result<()> {
        let path = format!("/v1/tokens/{}", encoded(name));
        self.call(Method::DELETE, &path, as_json(&json!({}))).await.map(drop)
    }

    /// Makes what was recorded of a person unreadable, for ever.
    pub async fn forget(&self, channel: &str, account: &str) -> anyhow::Result<()> {
        let path = format!("/v1/accounts/{}?channel={}", encoded(account), encoded(channel));
        self.call(Method::DELETE, &path, as_json(&json!({}))).await.map(drop)
    }

    /// How the views are doing.
    pub async fn views(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.call(Method::GET, "/v1/views", as_json(&json!({}))).await?;
        Ok(answer["items"].as_array().cloned().unwrap_or_default())
    }

    /// Begins to build a view anew beside the one that serves.
    pub async fn rebuild(&self, view: &str) -> anyhow::Result<()> {
        let path = format!("/v1/views/{}/rebuild", encoded(view));
        self.call(Method::POST, &path, as_json(&json!({}))).await.map(drop)
    }
}

/// A life-cycle file: the channel that its name says, and its text.
pub fn lifecycle_file(path: &Path) -> anyhow::Result<(Channel, String)> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let channel = Channel::new(stem)
        .ok()
        .filter(|_| path.extension().is_some_and(|it| it == "toml"))
        .with_context(|| format!("{}: a life cycle is named <channel>.toml", path.display()))?;
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((channel, text))
}

/// Everything that keeps a life-cycle file from coming into force.
pub fn check(path: &Path) -> anyhow::Result<Result<Lifecycle, Vec<Problem>>> {
    let (channel, text) = lifecycle_file(path)?;
    Ok(Lifecycle::parse(&channel, &text).and_then(|lifecycle| {
        let unsupported = lifecycle.unsupported();
        if unsupported.is_empty() { Ok(lifecycle) } else { Err(unsupported) }
    }))
}

fn is_running(error: &node::Error) -> bool {
    let node::Error::Other(error) = error else { return false };
    let locked = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(JournalError::Locked { .. }))
    };
    error.chain().any(locked)
}

fn as_json(body: &Value) -> (&'static str, String) {
    ("application/json", body.to_string())
}

/// What an answer that is no success says.
fn told(status: StatusCode, body: &Value) -> String {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let what = text("detail").or(text("title")).or(text("message")).unwrap_or("no reason given");
    match text("field") {
        Some(field) => format!("refused ({}): {field}: {what}", status.as_u16()),
        None => format!("refused ({}): {what}", status.as_u16()),
    }
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let part = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    name.bytes().map(part).collect()
}
