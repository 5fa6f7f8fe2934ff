//! `query`: what readers ask for, on many orders.

use super::{
    Setting, fill,
    place::echoed,
    process::Process,
    report::Figure,
    shop::{Calls, Shop},
};

const BUYERS: usize = 64;

/// Measures detail, counts and a page of a list.
///
/// # Errors
/// When something does not answer as it must.
pub async fn run(setting: &Setting) -> anyhow::Result<()> {
    let data = setting.folder.join("data");
    let orders = fill::shop(setting, &data, BUYERS, setting.preload_or(1_000_000)).await?;
    let docket = Process::docket(&data)?;
    let shop = Shop::open(&docket, &data, BUYERS).await?;
    let echo = Process::echo()?;
    let connections = setting.connections.iter().copied().max().unwrap_or(1);
    let plan = setting.plan();
    let all = echoed(setting, &echo, connections, plan).await?;
    for what in ["detail", "counts", "list"] {
        let talks = (0..connections).map(|n| {
            let buyer = n % BUYERS;
            let token = &shop.buyers[buyer].1;
            let own = orders.iter().filter(|(whose, _)| *whose == buyer).map(|(_, order)| order);
            let calls: Vec<_> = match what {
                "detail" => own.map(|order| format!("GET /v1/orders/{order}")).collect(),
                "counts" => vec!["GET /v1/orders/counts".to_owned()],
                _ => vec!["GET /v1/orders?limit=20".to_owned()],
            };
            Calls::new(calls.iter().map(|call| (call.as_str(), token.as_str(), "")), 200)
        });
        let measured = setting.load(what, docket.address, talks.collect(), plan).await?.0;
        Figure::new(format!("query/{what}"), "answers/s", measured.rate(), all.rate())
            .timed(&measured, all.ms(0.99))
            .print(setting.json)?;
    }
    docket.stop()
}
