//! What views tell at `/metrics`.

use metrics::{Counter, Gauge, Unit, counter, describe_counter, describe_gauge, gauge};

use super::{ViewName, ViewStatus};

const POSITION: &str = "docket_view_position";
const WRITES: &str = "docket_view_writes_total";
const LAG: &str = "docket_view_lag_events";

/// Says what each metric of the views counts, and in what.
pub fn describe_metrics() {
    describe_gauge!(POSITION, Unit::Count, "The newest event that a view holds [position]");
    describe_counter!(
        WRITES,
        Unit::Count,
        "What was written to a view's store since it was opened [keys]"
    );
    describe_gauge!(
        LAG,
        Unit::Count,
        "What is in the journal and not yet in a view, as of this scrape [events]"
    );
}

/// How far a view is.
pub(super) fn position(view: ViewName) -> Gauge {
    gauge!(POSITION, "view" => view.as_str())
}

/// What was written to a view's store.
pub(super) fn writes(view: ViewName) -> Counter {
    counter!(WRITES, "view" => view.as_str())
}

/// How far views are behind the journal.
pub(super) fn lag(views: &[ViewStatus]) {
    for view in views {
        gauge!(LAG, "view" => view.name.as_str()).set(view.lag_events as f64);
    }
}
