//! Several nodes answer as one.

use serde_json::json;

use super::{
    site::{Nodes, OPERATOR, PATIENCE, Site, get, post},
    support::kafka,
};

/// A site that is new has nothing to tell before a node writes, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_request_of_all_waits_for_the_first_node_that_writes() {
    let site = Site::on(&kafka::bootstrap(), 1);
    let node = site.start(0);
    let ready = get(&node.client(), "", "/readyz").await;
    let writes = ready.body["node"]["writes"] == true;
    assert!(writes || ready.status == 503, "{ready:?}");
    let body = json!({ "login": "the-first", "password": "secret" });
    let made = post(&node.client(), "", "/v1/accounts", &body).await;
    assert!(made.status == 201 || made.status == 503, "{made:?}");
    let made = post(&node.client().patient(PATIENCE), "", "/v1/accounts", &body).await;
    assert!(made.status == 201 || made.status == 409, "{made:?}");
    assert_eq!(get(&node.client(), "", "/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_sees_every_acknowledged_write_at_once() {
    let nodes = Nodes::start(Site::on(&kafka::bootstrap(), 1), 3).await;
    let writer = nodes.writer().await;
    // What a node cannot vouch for in time it marks, or refuses with 503: then it is asked again.
    let clients: Vec<_> = (0..3).map(|node| nodes.client(node).patient(PATIENCE)).collect();
    let mut orders = 0;
    for round in 0..6 {
        // Each step is taken on another node than the one before.
        let on = |step: usize| &clients[(round + step) % 3];
        let seller = format!("seller-{round}");
        let body = json!({ "login": seller, "password": "secret", "channel": "native" });
        let made = post(on(0), "", "/v1/accounts", &body).await;
        assert_eq!(made.status, 201, "{made:?}\n{}", nodes.logs());
        let session = post(on(1), "", "/v1/sessions", &body).await;
        assert_eq!(session.status, 201, "{session:?}");
        let token = session.body["token"].as_str().unwrap();
        let me = get(on(2), token, "/v1/accounts/me").await;
        assert_eq!(me.body["account"], made.body["account"], "{me:?}\n{}", nodes.logs());
        let store = json!({ "store": seller });
        assert_eq!(post(on(0), token, "/v1/stores", &store).await.status, 201);
        let listing = json!({ "sku": "atlas", "title": "Atlas", "price": { "minor": 100, "currency": "CNY" }, "quantity": 5 });
        let path = format!("/v1/stores/{seller}/listings");
        let listed = post(on(1), token, &path, &listing).await;
        assert_eq!(listed.status, 201, "{listed:?}");
        for step in 0..5 {
            let order = json!({ "store": seller, "lines": [{ "sku": "atlas", "quantity": 1 }] });
            let placed = post(on(step), token, "/v1/orders", &order).await;
            assert_eq!(placed.status, 201, "{placed:?}");
            orders += 1;
            let path = format!("/v1/orders/{}", placed.body["id"].as_str().unwrap());
            let counts = "/v1/orders/counts";
            let asked = clients.iter().map(async |client| {
                let told = get(client, token, &path).await;
                let counted = get(client, OPERATOR, counts).await;
                (told, counted)
            });
            for asked in asked {
                let (told, counted) = asked.await;
                assert_eq!(told.status, 200, "{told:?}\n{}", nodes.logs());
                assert!(!told.headers.contains_key("docket-consistency"), "{told:?}");
                assert_eq!(counted.body["total"], orders, "{counted:?}");
            }
        }
        let out = on(0)
            .send(
                axum::http::Method::DELETE,
                "/v1/sessions/current",
                &[("authorization", &format!("Bearer {token}"))],
                "",
            )
            .await
            .unwrap();
        assert_eq!(out.status, 204, "{out:?}");
        for client in &clients {
            assert_eq!(get(client, token, "/v1/accounts/me").await.status, 401);
        }
    }
    assert_eq!(nodes.writer().await, writer, "nobody took over from a node that is well");
}
