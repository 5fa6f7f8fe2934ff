//! Listening: a bounded number of connections, a bounded time for a request's head, and an end in
//! good order.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, response::Response};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt as _;

/// What a site may set about listening.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections served at once; more wait to be accepted. Default 900.
    pub connections_max: usize,
    /// How long the head of a request may take, idle time between two requests included.
    /// Default 75 s.
    pub head_within: Duration,
    /// How long requests in progress may take once docket is told to stop. Who is not answered by
    /// then, and still listens, is told so, for which there is one second more. Default 10 s.
    pub drain_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 900,
            head_within: Duration::from_secs(75),
            drain_within: Duration::from_secs(10),
        }
    }
}

/// How long it may take to tell those who are not answered that they are not.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// Serves until `stop` resolves, then lets requests in progress finish. `late` answers those that do
/// not in time; it is given their heads alone.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    late: Router,
    stop: impl Future<Output = ()>,
    options: &Options,
) {
    let places = Arc::new(Semaphore::new(options.connections_max));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(options.head_within);
    // A client that has said all it has to say may still want to hear the answer.
    builder.half_close(true);
    let open = GracefulShutdown::new();
    let over = watch::Sender::new(false);
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("places are never closed");
            (place, accept(&listener).await)
        };
        let (place, (stream, address)) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let (router, late, over) = (router.clone(), late.clone(), over.subscribe());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            answer(request.map(Body::new), router.clone(), late.clone(), over.clone())
        });
        let connection = open.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }
    drop(listener);
    let mut ended = std::pin::pin!(open.shutdown());
    if tokio::time::timeout(options.drain_within, &mut ended).await.is_ok() {
        return;
    }
    tracing::warn!("some requests did not end in time and are told so");
    over.send_replace(true);
    if tokio::time::timeout(TOLD_WITHIN, ended).await.is_err() {
        tracing::warn!("some connections did not end in time and are waited for no more");
    }
}

/// The answer to a request, or, once time is over, to its head.
async fn answer(
    request: Request<Body>,
    router: Router,
    late: Router,
    mut over: watch::Receiver<bool>,
) -> Result<Response, Infallible> {
    let mut head = Request::new(Body::empty());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    if *over.borrow() {
        return late.oneshot(head).await; // It comes too late to be begun.
    }
    let over = async move { over.wait_for(|over| *over).await.is_ok() };
    tokio::select! {
        biased;
        answer = router.oneshot(request) => answer,
        true = over => late.oneshot(head).await,
    }
}

/// The next connection. One that breaks before it is accepted is the client's matter; anything
/// else, such as too many open files, gets better only with time.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true); // Slower without, but right.
                return (stream, address);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
