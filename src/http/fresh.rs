//! How new an answer must be, and what to say where nobody can tell.

use std::time::{Duration, Instant};

use axum::{http::HeaderValue, response::Response};
use events::Position;

use super::App;
use crate::desk::Newest;

/// Says of an answer to a query that there may be newer writes, acknowledged by another node.
const CONSISTENCY: &str = "docket-consistency";

/// How long to wait before it is looked again whether a node has begun to take commands.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a request is not answered now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stale {
    /// No node has begun to take commands on this site.
    #[error("no node has taken commands on this site yet; try again soon")]
    New,
    /// The caller wants to be certain, and nobody is.
    #[error(
        "no node is known to take commands at the moment, so that nobody can vouch for position {0}; \
         nothing has happened, try again soon"
    )]
    NoWriter(Position),
    /// This node is behind the one that writes.
    #[error("this node has not followed to position {0} in time; try again soon")]
    Behind(Position),
}

impl App {
    /// The newest commit there is, once this node knows everybody's credentials as of then. A command
    /// waits for somebody who vouches for it; a query that names a position is answered only then.
    pub(super) async fn newest(
        &self,
        query: bool,
        least: Option<Position>,
    ) -> Result<Newest, Stale> {
        let began = Instant::now();
        while !self.engine.has_begun() {
            if began.elapsed() >= self.settings.read_within {
                return Err(Stale::New);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let mut newest = self.engine.newest().await;
        // What is said of a command before it is given to anybody must be true as well.
        while !query && matches!(newest, Newest::Known(_)) {
            if began.elapsed() >= self.settings.answer_within {
                return Err(Stale::NoWriter(newest.position()));
            }
            tokio::time::sleep(PAUSE).await;
            newest = self.engine.newest().await;
        }
        if let (Newest::Known(_), Some(least)) = (newest, least) {
            return Err(Stale::NoWriter(least));
        }
        match self.engine.follows(newest.position(), self.settings.read_within).await {
            true => Ok(newest),
            false => Err(Stale::Behind(newest.position())),
        }
    }
}

/// Says so on the answer to a query that nobody vouched for.
pub(super) fn mark(response: &mut Response, newest: Newest) {
    if let Newest::Known(_) = newest {
        response.headers_mut().insert(CONSISTENCY, HeaderValue::from_static("eventual"));
    }
}
