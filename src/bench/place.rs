//! `place`: orders of two lines over HTTP, durable, with live views.

use std::time::Duration;

use super::{
    Setting,
    append::appends,
    fill,
    load::{Measured, Plan},
    process::Process,
    report::Figure,
    shop::{Calls, ORDER, Shop},
};

/// How long the bare appends go on.
const APPENDS: Duration = Duration::from_secs(2);

/// Measures each number of connections.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting) -> anyhow::Result<()> {
    let data = setting.folder.join("data");
    let most = setting.connections.iter().copied().max().unwrap_or(1);
    let preloaded = setting.preload_or(0);
    if preloaded > 0 {
        fill::shop(setting, &data, most, preloaded).await?;
    }
    let docket = Process::docket(&data)?;
    setting.say(&format!("{most} buyers open accounts"));
    let shop = Shop::open(&docket, &data, most).await?;
    let echo = Process::echo()?;
    for connections in setting.connections.iter().copied() {
        let plan = setting.plan();
        let half = Plan { measured: plan.measured / 2, ..plan };
        let orders = shop.buyers.iter().take(connections);
        let orders: Vec<_> = orders
            .map(|(_, token)| Calls::new([("POST /v1/orders", token.as_str(), ORDER)], 201))
            .collect();
        let before = echoed(setting, &echo, connections, half).await?;
        let measured = setting.load("place", docket.address, orders, plan).await?.0;
        let lag = shop.lag().await?;
        let after = echoed(setting, &echo, connections, half).await?;
        let echoed = before.with(&after)?;
        let synced = appends(&setting.folder, APPENDS)?;
        let append_p99 = synced.value_at_quantile(0.99) as f64 / 1000.0;
        // One event an order: what no view has yet does not count.
        let taken_in = measured.counted.saturating_sub(lag) as f64;
        let value = taken_in / measured.took.as_secs_f64();
        let base = echoed.ms(0.99) + append_p99;
        let note = format!(
            "lag at the end {lag} events ({:.2} s); echo p99 {:.2} ms, append p99 {append_p99:.2} ms",
            lag as f64 / measured.rate(),
            echoed.ms(0.99),
        );
        Figure::new(format!("place/{connections}"), "orders/s", value, echoed.rate())
            .timed(&measured, base)
            .noted(note)
            .print(setting.json)?;
    }
    docket.stop()
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
