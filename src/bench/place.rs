//! `place`: orders of two lines over HTTP, durable, with live views.

use std::time::Duration;

use super::{
    Setting,
    append::appends,
    fill,
    load::{Measured, Plan},
    options::Place,
    process::Process,
    report::Figure,
    shop::{Calls, ORDER, Shop},
};

/// How long the bare appends go on at most.
const APPENDS_MAX: Duration = Duration::from_secs(2);
/// Whose the orders are that are there before: nobody has too many, however few the connections.
const BUYERS: u64 = 64;

/// Measures each number of connections.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, options: &Place) -> anyhow::Result<()> {
    let Place { load, preload } = options;
    let data = setting.folder.join("data");
    let plan = load.plan(if *preload > 0 { 60 } else { 10 });
    if *preload > 0 {
        let buyers = load.most().max(usize::try_from(BUYERS.min(*preload))?);
        fill::shop(setting, &data, buyers, *preload).await?;
    }
    let docket = Process::docket(&setting.folder, &data).await?;
    setting.say(&format!("{} buyers open accounts", load.most()));
    let shop = Shop::open(&docket, &data, load.most()).await?;
    let echo = Process::echo(&setting.folder).await?;
    for connections in load.connections.iter().copied() {
        let half = Plan { measured: plan.measured / 2, ..plan };
        let orders = shop.buyers.iter().take(connections);
        let orders: Vec<_> = orders
            .map(|(_, token)| Calls::new([("POST /v1/orders", token.as_str(), ORDER)], 201))
            .collect();
        let before = echoed(setting, &echo, connections, half).await?;
        let measured = setting.load("place", docket.address, orders, plan).await?.0;
        let lag = shop.lag().await?;
        let echoed = before.with(&echoed(setting, &echo, connections, half).await?);
        setting.say("bare appends");
        let append = appends(&setting.folder, plan.measured.min(APPENDS_MAX)).await?;
        let append_p99 = append.ms(0.99).unwrap_or_default();
        let echo_p99 = echoed.latencies.ms(0.99).unwrap_or_default();
        let value = taken_in(&measured, lag) as f64 / measured.took.as_secs_f64();
        let note = format!(
            "lag at the end {lag} events; {} orders answered; echo p99 {echo_p99:.2} ms, \
             bare append p99 {append_p99:.2} ms",
            measured.counted,
        );
        let figure = Figure::new(format!("place/{connections}"), "orders/s", value, echoed.rate())
            .timed(&measured.latencies, Some(echo_p99 + append_p99))
            .noted(note);
        setting.print(&figure)?;
    }
    docket.stop().await
}

/// The orders that every view has: an order is one event, and what is not in the views yet does
/// not count.
fn taken_in(measured: &Measured, lag_events: u64) -> u64 {
    measured.counted.saturating_sub(lag_events)
}

/// The same load on the echo.
pub async fn echoed(
    setting: &Setting,
    echo: &Process,
    connections: usize,
    plan: Plan,
) -> anyhow::Result<Measured> {
    let talks = (0..connections).map(|_| Calls::new([("POST /echo", "", ORDER)], 200)).collect();
    // A rate is docket's; the echo says what the machine could do.
    let plan = Plan { rate: None, ..plan };
    Ok(setting.load("echo", echo.address, talks, plan).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::latencies::Latencies;

    #[test]
    fn what_the_views_lack_does_not_count() {
        let took = Duration::from_secs(2);
        let of = |counted| Measured { counted, took, latencies: Latencies::new() };
        assert_eq!(taken_in(&of(1000), 0), 1000);
        assert_eq!(taken_in(&of(1000), 300), 700);
        // They lack some of what was there before too.
        assert_eq!(taken_in(&of(1000), 1300), 0);
    }
}
