//! HTTP: the table of contents.

mod environments;
mod health;
mod openapi;
mod page;
mod records;
mod rooms;
mod visits;
mod ws;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use store::Store;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::addresses::Addresses;
use crate::problem::Problem;
use crate::rooms::{RoomTokens, Rooms};
use crate::stage::Stage;
use crate::token::{ApiKey, Tokens};

/// What requests need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) stage: Stage,
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) rooms: Rooms,
    pub(crate) room_tokens: RoomTokens,
    pub(crate) api_key: ApiKey,
    /// Other sites whose pages may join rooms.
    pub(crate) origins: Arc<[String]>,
    pub(crate) experiment: Arc<(String, String)>,
    pub(crate) environments: Arc<BTreeMap<String, Bytes>>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) metrics: PrometheusHandle,
    /// Every open socket has a receiver.
    pub(crate) sockets: watch::Sender<()>,
}

/// Nothing but what this server serves may run, and nobody may frame it (A2).
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub(crate) fn router(app: App) -> Router {
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let files = Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .merge(openapi::page())
        .route("/environments/{file}", get(environments::file))
        .layer(CompressionLayer::new());
    let documented = OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(routes!(rooms::create_token))
        .routes(routes!(rooms::list))
        .routes(routes!(rooms::show, rooms::delete))
        .routes(routes!(rooms::kick))
        .routes(routes!(rooms::publish))
        .routes(routes!(rooms::reconnection_state))
        .routes(routes!(rooms::connection_quality));
    let (documented, api) = documented.split_for_parts();
    let api = Arc::new(api);
    Router::new()
        .merge(files)
        .merge(documented)
        .route("/api/v1/openapi.json", get(move || async move { openapi::document(&api) }))
        .route("/api/v1/visits", post(visits::create))
        .route("/api/v1/games/{game}/records", post(records::append))
        .route("/ws", get(ws::upgrade))
        .route("/ws/rooms/{room_id}", get(rooms::upgrade))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
        .with_state(app)
}

/// What was sent as `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
}

/// The token is none of this server's, or no longer.
fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "the token is missing, forged or expired")
}
