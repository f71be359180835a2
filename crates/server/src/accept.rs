//! Accepts connections: HTTP/1.1, with a limit to how long a request's head may take (A2).

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// By when a request's head must be there; nobody holds a connection by sending it a byte a minute.
const HEAD: Duration = Duration::from_secs(10);

/// How long to wait when the system has no more sockets.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves until it is told to stop, and the requests that are under way then to their end.
pub(crate) async fn accept(listener: TcpListener, router: Router, mut stopping: watch::Receiver<bool>) {
    let under_way = watch::Sender::new(());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told_to_stop(&mut stopping) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(stream, peer, router.clone(), stopping.clone());
                let open = under_way.subscribe();
                tokio::spawn(async move {
                    connection.await;
                    drop(open);
                });
            }
            // One that was gone before it was accepted concerns nobody; too many open files end by themselves.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
    drop(listener);
    under_way.closed().await;
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    stopping.wait_for(|stopping| *stopping).await.ok();
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, mut stopping: watch::Receiver<bool>) {
    // A control message must not wait for the next one to fill a segment.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router.layer(axum::Extension(ConnectInfo(peer))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = told_to_stop(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if error.is_timeout() {
            counter!("interplay_refusals_total", "reason" => "head").increment(1);
        }
        tracing::debug!(%error, %peer, "a connection ended badly");
    }
}
