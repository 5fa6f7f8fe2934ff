//! How the views are doing.

use events::Position;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    call::{Call, off_thread},
    problem::Problem,
    route::{Answer, Reply},
};
use crate::projector::{ViewName, ViewStatus};

/// How a view is doing.
#[derive(Serialize, JsonSchema)]
pub(super) struct View {
    /// Which.
    name: &'static str,
    /// The version of its rows.
    version: u32,
    /// The newest event it holds.
    position: Position,
    /// Events in the journal that it does not hold yet.
    lag_events: u64,
    /// Whether its rows began anew and have not caught up, so that queries wait.
    rebuilding: bool,
    /// How far a rebuild beside the rows that serve is; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuild: Option<Rebuild>,
    /// Why it does not go on, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How far a rebuild is.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rebuild {
    /// The version of the rows that are being built.
    version: u32,
    /// Events taken in.
    events_done: u64,
    /// Events that there are.
    events_total: u64,
    /// Events taken in each second.
    events_per_second: u64,
    /// How many seconds it still takes at that speed; absent where nobody can tell yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_left: Option<u64>,
    /// Why it was given up, where it was; what served serves on.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Every view.
#[derive(Serialize, JsonSchema)]
pub(super) struct Views {
    /// By name.
    items: Vec<View>,
}

pub(super) async fn views(call: Call) -> Reply<Views> {
    call.whole_site()?;
    let position = call.app.engine.head().position;
    let items = status(&call).await?.into_iter().map(View::of).collect();
    Ok(Answer::at(position, Views { items }))
}

/// Begins a rebuild, and does not wait for it.
pub(super) async fn rebuild_view(call: Call) -> Reply<View> {
    call.whole_site()?;
    let named = |text: &str| ViewName::ALL.into_iter().find(|view| view.as_str() == text);
    let name = call.part("name", named)?;
    call.app.views.rebuild(name)?;
    let position = call.app.engine.head().position;
    let status = status(&call).await?.into_iter().find(|it| it.name == name);
    Ok(Answer::at(position, View::of(status.ok_or_else(Problem::storage)?)))
}

async fn status(call: &Call) -> Result<Vec<ViewStatus>, Problem> {
    let views = call.app.views.clone();
    off_thread::<_, Problem>(move || Ok(views.status())).await
}

impl View {
    fn of(it: ViewStatus) -> Self {
        let rebuild = it.rebuild.map(|it| Rebuild {
            version: it.version,
            events_done: it.events_done,
            events_total: it.events_total,
            events_per_second: it.events_per_second,
            seconds_left: it.left.map(|left| left.as_secs()),
            error: it.error,
        });
        Self {
            name: it.name.as_str(),
            version: it.version,
            position: it.position,
            lag_events: it.lag_events,
            rebuilding: it.rebuilding,
            rebuild,
            error: it.error,
        }
    }
}
