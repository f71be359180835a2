//! The control channel's beginning.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use wire::control::MAX_CONTROL_BYTES;

use super::App;
use crate::problem::Problem;
use crate::socket;

/// Opens a control WebSocket for a page of this server; another site's page is refused. (A client that is no
/// browser sends no origin: its token is what counts.)
pub(super) async fn upgrade(
    State(app): State<App>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let foreign =
        text(ORIGIN).is_some_and(|origin| origin.split_once("://").map(|(_, host)| host) != text(HOST));
    if foreign {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this page belongs to another site"));
    }
    // Small buffers: 3.8 KB a connection instead of 134, and messages leave at once.
    let upgrade = upgrade
        .write_buffer_size(0)
        .read_buffer_size(2048)
        .max_message_size(MAX_CONTROL_BYTES)
        .max_frame_size(MAX_CONTROL_BYTES);
    let open = app.sockets.subscribe();
    let host = text(HOST).unwrap_or_default().to_owned();
    Ok(upgrade.on_upgrade(move |socket| socket::serve(socket, app.stage, app.tokens, host, open)))
}
