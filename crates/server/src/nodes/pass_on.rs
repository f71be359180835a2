//! From node to node: requests with their bodies, and WebSockets byte by byte.
//!
//! A request that has not reached the other node can be made again, to it or to the next; one that has cannot, for nobody knows what
//! came of it: then the page is told to ask again, and what it asks is made to be asked twice.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncWriteExt, copy_buf, split};
use tokio::sync::watch;

use super::{NodeToken, Nodes, Role};
use crate::addresses::FORWARDED;
use crate::routes::{App, enter};

/// How long a connection to another node may take: it is near.
const CONNECT: Duration = Duration::from_secs(1);

/// How long a connection is kept that nothing is asked on.
const IDLE: Duration = Duration::from_secs(20);

/// The longest body that is held until it is known to have been sent: what pages upload. A longer one passes through.
const HELD_BYTES: usize = 512 * 1024;

/// How much of a socket's bytes is held, in each direction.
const SOCKET_BYTES: usize = 4096;

/// How long a socket to a node that has lost the stage may take to close by itself, so that its page hears the reason.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What concerns one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What became of a request.
pub(super) enum Passed {
    Answered(Response),
    /// The other node has got it, or some of it, and did not answer.
    Lost,
    /// The other node has got nothing of it.
    NotSent(Box<Request>),
}

/// Connections to other nodes.
pub(super) struct PassOn {
    client: Client<HttpConnector, Body>,
    token: NodeToken,
}

impl PassOn {
    pub(super) fn new(token: NodeToken) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client, token }
    }

    /// Whether a node answers at all.
    pub(super) async fn is_alive(&self, address: &str) -> bool {
        let Ok(uri) = format!("http://{address}/healthz").parse() else { return false };
        self.client.get(uri).await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    }
}

/// Passes a request on to the node that took the stage as the so manieth.
pub(super) async fn pass_on(
    (nodes, app): (&Nodes, &App),
    (number, address): (i64, &str),
    peer: SocketAddr,
    request: Request,
) -> Passed {
    let PassOn { client, token } = &nodes.inner.pass_on;
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let wanted = upgrade.as_ref().and_then(|_| parts.headers.get(UPGRADE).cloned());
    let is_held = upgrade.is_some() || length(&parts.headers).is_some_and(|length| length <= HELD_BYTES);
    let (sent, held) = if is_held {
        match to_bytes(body, HELD_BYTES).await {
            Ok(bytes) => (Body::from(bytes.clone()), Some(bytes)),
            // Whoever asks is gone.
            Err(_) => return Passed::Lost,
        }
    } else {
        (body, None)
    };
    // Counted here, where the client's socket is; and there, for all nodes together.
    let counted = match wanted.as_ref().map(|_| enter(app, peer, &parts.headers)) {
        Some(Ok(open)) => Some((open, app.sockets.subscribe())),
        Some(Err(refused)) => return Passed::Answered(refused.into_response()),
        None => None,
    };
    let client_address = app.addresses.of(peer.ip(), &parts.headers);
    let Some(onward) = onward(&parts, address, wanted.as_ref(), client_address, token, sent) else {
        return Passed::Lost;
    };
    let answered = tokio::select! {
        answered = client.request(onward) => answered,
        // It does not answer, and another node has taken over.
        () = has_changed(nodes.inner.role.subscribe(), number) => return Passed::Lost,
    };
    let answer = match answered {
        Ok(answer) if answer.status() != StatusCode::MISDIRECTED_REQUEST => Some(answer),
        // It has done nothing, because it has the stage no more.
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(%error, address, "another node does not answer");
            if !error.is_connect() {
                return Passed::Lost;
            }
            None
        }
    };
    let Some(mut answer) = answer else {
        let Some(bytes) = held else { return Passed::Lost };
        let mut again = Request::from_parts(parts, Body::from(bytes));
        if let Some(upgrade) = upgrade {
            again.extensions_mut().insert(upgrade);
        }
        return Passed::NotSent(Box::new(again));
    };
    let switched =
        (answer.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut answer));
    let protocol = answer.headers().get(UPGRADE).cloned();
    let mut response = answer.map(Body::new);
    strip(response.headers_mut());
    if let (Some(there), Some(here)) = (switched, upgrade) {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.extend(protocol.map(|protocol| (UPGRADE, protocol)));
        let (role, stops) = (nodes.inner.role.subscribe(), nodes.inner.stops.subscribe());
        let drain = app.drain.clone();
        tokio::spawn(async move {
            if let (Ok(here), Ok(there)) = (here.await, there.await) {
                tokio::select! {
                    () = carry(here, there) => {}
                    () = is_over(role, stops, number) => {}
                    // Its page comes back over another node, and goes on where it was: the stage is still there.
                    () = drain.turn() => {}
                }
            }
            drop(counted);
        });
    }
    Passed::Answered(response)
}

fn length(headers: &HeaderMap) -> Option<usize> {
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok(),
        // Without either there is no body.
        None => (!headers.contains_key(TRANSFER_ENCODING)).then_some(0),
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The request as the other node gets it: with the name that the page has used, and the address that it comes from.
fn onward(
    parts: &Parts,
    address: &str,
    upgrade: Option<&HeaderValue>,
    client: std::net::IpAddr,
    token: &NodeToken,
    body: Body,
) -> Option<Request> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("http://{address}{path}").parse().ok()?;
    let mut request = Request::new(body);
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    *headers = parts.headers.clone();
    strip(headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    headers.insert(FORWARDED, HeaderValue::try_from(client.to_string()).ok()?);
    token.put(headers);
    Some(request)
}

/// Carries bytes both ways until one side ends.
async fn carry(here: Upgraded, there: Upgraded) {
    let (mut from_here, mut to_here) = split(TokioIo::new(here));
    let (mut from_there, mut to_there) = split(TokioIo::new(there));
    tokio::select! {
        () = copy(&mut from_here, &mut to_there) => {}
        () = copy(&mut from_there, &mut to_here) => {}
    }
}

async fn copy(from: &mut (impl tokio::io::AsyncRead + Unpin), to: &mut (impl tokio::io::AsyncWrite + Unpin)) {
    let mut from = tokio::io::BufReader::with_capacity(SOCKET_BYTES, from);
    // A side that ends badly ends the other, too.
    copy_buf(&mut from, to).await.ok();
    to.shutdown().await.ok();
}

/// Answers when another node has the stage than the one that took it as the so manieth.
async fn has_changed(mut role: watch::Receiver<Role>, number: i64) {
    role.wait_for(|role| !role.is_turn(number)).await.ok();
}

/// Answers when a socket leads to a node that has lost the stage, or this one stops.
async fn is_over(role: watch::Receiver<Role>, mut stops: watch::Receiver<bool>, number: i64) {
    let stopped = async { drop(stops.wait_for(|stops| *stops).await) };
    tokio::select! {
        () = has_changed(role, number) => {}
        () = stopped => return,
    }
    tokio::time::sleep(LAST_WORDS).await;
}
