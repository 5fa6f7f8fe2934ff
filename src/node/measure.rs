//! Keeps the metrics of this process as Prometheus reads them.

use std::time::Duration;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::{engine, http, projector};

/// The buckets of what is timed, in seconds: from one sync of a fast disk to a patient client.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The buckets of what is counted, in events: from one to as many as a full turn decides.
const EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// How often what was recorded is sorted into its buckets, scraped or not: until then it waits in
/// memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Begins to keep metrics, for the whole process and until its end. Takes a runtime, and comes
/// before whatever records something.
///
/// # Errors
/// When the process keeps metrics already.
pub fn keep_metrics() -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .and_then(|it| it.set_buckets_for_metric(Matcher::Suffix("_events".to_owned()), EVENTS))
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics")?;
    engine::describe_metrics();
    projector::describe_metrics();
    http::describe_metrics();
    super::service::describe_metrics();
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            upkeep.run_upkeep();
        }
    });
    Ok(metrics)
}
