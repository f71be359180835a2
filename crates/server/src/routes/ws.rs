//! The control channel's beginning.

use std::net::SocketAddr;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{HOST, ORIGIN, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::Response;
use metrics::counter;
use room::Agent;
use wire::control::MAX_CONTROL_BYTES;

use super::{App, Play};
use crate::addresses::Open;
use crate::problem::Problem;
use crate::socket;

/// Opens a control WebSocket for a page of this server; another site's page is refused. (A client that is no
/// browser sends no origin: its token is what counts.)
pub(super) async fn upgrade(
    State(play): State<Play>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    same_origin(&headers, &[])?;
    let counted = enter(&play.app, peer, &headers)?;
    // Small buffers: 3.8 KB a connection instead of 134, and messages leave at once.
    let upgrade = upgrade
        .write_buffer_size(0)
        .read_buffer_size(2048)
        .max_message_size(MAX_CONTROL_BYTES)
        .max_frame_size(MAX_CONTROL_BYTES);
    let open = play.app.sockets.subscribe();
    let host = text(&headers, HOST).unwrap_or_default().to_owned();
    let agent = agent(&headers);
    Ok(upgrade.on_upgrade(move |socket| async move {
        socket::serve(socket, play.stage, play.tokens, (host, agent), open).await;
        drop(counted);
    }))
}

/// The most of a header that says who a browser is, in bytes.
const AGENT_BYTES: usize = 1024;

/// What a browser says of itself, cut where it says a lot.
fn agent(headers: &HeaderMap) -> Agent {
    let said = |name: HeaderName| {
        let text = text(headers, name).unwrap_or_default();
        text.get(..AGENT_BYTES).unwrap_or(text).to_owned()
    };
    let mobile = match text(headers, HeaderName::from_static("sec-ch-ua-mobile")) {
        Some("?1") => Some(true),
        Some("?0") => Some(false),
        _ => None,
    };
    Agent { user_agent: said(USER_AGENT), brands: said(HeaderName::from_static("sec-ch-ua")), mobile }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Counts a connection of an address, for as long as it lives.
pub(crate) fn enter(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<Open, Problem> {
    let too_many = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "this address has too many connections");
    app.addresses.enter(peer.ip(), headers).ok_or_else(too_many)
}

/// Refuses other sites' pages, except those that are allowed.
pub(super) fn same_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = text(headers, ORIGIN) else { return Ok(()) };
    let own = origin.split_once("://").map(|(_, host)| host) == text(headers, HOST);
    if own || allowed.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    counter!("interplay_refusals_total", "reason" => "origin").increment(1);
    Err(Problem::new(StatusCode::FORBIDDEN, "this page belongs to another site"))
}
