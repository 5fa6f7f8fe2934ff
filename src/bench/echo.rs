//! The baseline of everything over HTTP: a bare axum server that reads an order and sends it back.

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[derive(Serialize, Deserialize)]
struct Order {
    store: String,
    lines: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

/// Serves until the process ends.
///
/// # Errors
/// When there is no free port.
pub async fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("  listening on    http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/echo", post(echo))).await?;
    Ok(())
}

async fn echo(body: Bytes) -> Response {
    let Ok(order) = serde_json::from_slice::<Order>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let text = serde_json::to_vec(&order).expect("an order has text keys");
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
