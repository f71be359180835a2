//! What machines ask: is it alive, can it work, how is it doing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::App;
use crate::problem::Problem;
use crate::rooms::Health;

/// The process answers.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// What is written becomes durable, here or on the node that does that.
pub(super) async fn ready(State(app): State<App>) -> Result<&'static str, Problem> {
    if app.drain.has_begun() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this server is about to stop"));
    }
    let ready = match app.rooms.health() {
        Health::Well => "ready\n",
        // It still takes connections: who is on this node is reached (R9).
        Health::Apart => "degraded: Redis does not answer; members reach others on this node only\n",
        Health::Broken => {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "rooms cannot be written down"));
        }
    };
    if let Some(nodes) = &app.nodes {
        return nodes.ready().await.map(|()| ready);
    }
    let Some(store) = &app.store else { return Ok(ready) };
    match store.flush().await {
        Ok(()) => Ok(ready),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"))
        }
    }
}

/// Prometheus' text format.
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    app.metrics.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render())
}
