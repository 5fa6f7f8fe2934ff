//! `query`: what readers ask for, on many orders.

use super::{
    Setting, fill,
    options::Query,
    place::echoed,
    process::Process,
    report::Figure,
    shop::{Calls, Shop},
};

/// Each has orders of its own; where orders are fewer, so are buyers.
const BUYERS_MAX: u64 = 64;

/// Measures detail, counts and a page of a list.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting, options: &Query) -> anyhow::Result<()> {
    let Query { load, preload } = options;
    let data = setting.folder.join("data");
    let buyers = usize::try_from(BUYERS_MAX.min(*preload))?;
    let orders = fill::shop(setting, &data, buyers, *preload).await?;
    let docket = Process::docket(&setting.folder, &data).await?;
    let shop = Shop::open(&docket, &data, buyers).await?;
    let echo = Process::echo(&setting.folder).await?;
    let plan = load.plan(10);
    for connections in load.connections.iter().copied() {
        let all = echoed(setting, &echo, connections, plan).await?;
        for what in ["detail", "counts", "list"] {
            let talks = (0..connections).map(|n| {
                let buyer = n % buyers;
                let own = orders.iter().filter(|(whose, _)| *whose == buyer);
                let calls: Vec<_> = match what {
                    "detail" => own.map(|(_, order)| format!("GET /v1/orders/{order}")).collect(),
                    "counts" => vec!["GET /v1/orders/counts".to_owned()],
                    _ => vec!["GET /v1/orders?limit=20".to_owned()],
                };
                let token = shop.buyers[buyer].1.as_str();
                Calls::new(calls.iter().map(|call| (call.as_str(), token, "")), 200)
            });
            let measured = setting.load(what, docket.address, talks.collect(), plan).await?.0;
            let name = format!("query/{what}/{connections}");
            let figure = Figure::new(name, "answers/s", measured.rate(), all.rate())
                .timed(&measured.latencies, all.latencies.ms(0.99))
                .noted(format!("of {preload} orders of {buyers} buyers"));
            setting.print(&figure)?;
        }
    }
    docket.stop().await
}
