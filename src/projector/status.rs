//! What views say of themselves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use events::{Millis, Position};

use super::ViewName;

/// How a view is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewStatus {
    /// Which.
    pub name: ViewName,
    /// The version of the rows that serve.
    pub version: u32,
    /// The newest event it holds.
    pub position: Position,
    /// Events in the journal that it does not hold yet.
    pub lag_events: u64,
    /// Milliseconds between the recording of the newest event it holds and that of the journal's
    /// newest, as it was a second ago at most; `None` where it holds nothing yet, or the journal
    /// cannot be read.
    pub lag_ms: Option<u64>,
    /// Whether the rows that serve began anew and have not yet reached what was there when they
    /// did, so that queries wait.
    pub rebuilding: bool,
    /// How far a rebuild is, of the rows that serve or beside them; `None` where there is none.
    pub rebuild: Option<Rebuild>,
    /// Keys written since it was opened.
    pub writes: u64,
    /// Why it does not go on, where it does not.
    pub error: Option<String>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// The version of the rows that are being built.
    pub version: u32,
    /// Events taken in.
    pub events_done: u64,
    /// Events that there are.
    pub events_total: u64,
    /// Events taken in each second, since this run began with it.
    pub events_per_second: u64,
    /// How long it still takes at that speed; `None` where nobody can tell yet.
    pub left: Option<Duration>,
    /// Why it was given up, where it was; what served serves on.
    pub error: Option<String>,
}

/// Since when and from where a view goes through the journal.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    begun: Instant,
    from: Position,
}

impl Pace {
    /// Begins now, from here.
    pub fn begin(from: Position) -> Self {
        Self { begun: Instant::now(), from }
    }

    /// How far this has come.
    pub fn rebuild(&self, version: u32, at: Position, of: Position) -> Rebuild {
        let passed = at.0.saturating_sub(self.from.0);
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let left = of.0.saturating_sub(at.0);
        Rebuild {
            version,
            events_done: at.0,
            events_total: of.0.max(at.0),
            events_per_second: (passed as f64 / seconds) as u64,
            left: (passed > 0)
                .then(|| Duration::from_secs_f64((left as f64 / passed as f64 * seconds).min(1e9))),
            error: None,
        }
    }
}

impl Rebuild {
    /// Says in the log how far it is.
    pub fn log(&self, view: ViewName, message: &'static str) {
        let Self { version, events_done: events, events_total: of, .. } = self;
        let (per_second, left) = (self.events_per_second, self.left.unwrap_or_default());
        let seconds_left = left.as_secs();
        tracing::info!(%view, version, events, of, per_second, seconds_left, "{message}");
    }
}

/// How far the rows that serve are; published after each batch.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub version: u32,
    pub position: Position,
    pub recorded_at: Option<Millis>,
    /// Where they began anew and are not yet where the journal was then.
    pub rebuilding: Option<Pace>,
    pub error: Option<Arc<str>>,
}

/// What happens beside the rows that serve.
#[derive(Debug, Clone, Default)]
pub enum Beside {
    /// Nothing.
    #[default]
    Nothing,
    /// Newer rows are wanted.
    Asked,
    /// They are being built.
    Building { pace: Pace, at: Position },
    /// They are as good as there, and wait to take over.
    Built { pace: Pace, at: Position },
    /// They were given up.
    Failed { at: Position, error: Arc<str> },
}

impl Beside {
    /// Whether whoever feeds the view has something to do about it.
    pub fn is_due(&self) -> bool {
        matches!(self, Self::Asked | Self::Built { .. })
    }

    /// Whether there is, or will be, something beside.
    pub fn is_under_way(&self) -> bool {
        match self {
            Self::Asked | Self::Building { .. } | Self::Built { .. } => true,
            Self::Nothing | Self::Failed { .. } => false,
        }
    }

    /// How far it is.
    pub fn rebuild(&self, version: u32, of: Position) -> Option<Rebuild> {
        match self {
            Self::Nothing => None,
            Self::Asked => Some(Pace::begin(Position(0)).rebuild(version, Position(0), of)),
            Self::Building { pace, at } | Self::Built { pace, at } => {
                Some(pace.rebuild(version, *at, of))
            }
            Self::Failed { at, error } => {
                let pace = Pace::begin(*at);
                let error = Some(error.to_string());
                Some(Rebuild { error, ..pace.rebuild(version, *at, of) })
            }
        }
    }
}
