//! HTTP: the table of contents.

mod environments;
mod files;
mod forget;
mod health;
mod inputs;
mod openapi;
mod page;
mod readings;
mod records;
mod rooms;
mod states;
mod visits;
mod ws;

pub(crate) use forget::Request as ForgetRequest;
pub(crate) use readings::Readings;
pub(crate) use states::States;
pub(crate) use visits::names;
pub(crate) use ws::enter;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use metrics::counter;
use metrics_exporter_prometheus::PrometheusHandle;
use room::Experiment;
use store::Store;
use tokio::sync::watch;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::addresses::Addresses;
use crate::completions::Completions;
use crate::drain::Drain;
use crate::nodes::Nodes;
use crate::page::Page;
use crate::problem::Problem;
use crate::rooms::{RoomTokens, Rooms};
use crate::scrubber::Scrubber;
use crate::stage::Stage;
use crate::token::{ApiKey, Tokens};

/// What every request may need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) rooms: Rooms,
    pub(crate) room_tokens: RoomTokens,
    pub(crate) api_key: ApiKey,
    /// Other sites whose pages may join rooms.
    pub(crate) origins: Arc<[String]>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) metrics: PrometheusHandle,
    /// Every open socket has a receiver.
    pub(crate) sockets: watch::Sender<()>,
    /// When they are to close because this server stops.
    pub(crate) drain: Drain,
    /// None when there is no experiment, or on one of several nodes.
    pub(crate) store: Option<Store>,
    /// The other nodes, if there may be some.
    pub(crate) nodes: Option<Nodes>,
}

/// What of an experiment needs no stage: every node has it.
#[derive(Clone)]
pub(crate) struct Study {
    pub(crate) readings: Readings,
    pub(crate) id: Arc<str>,
    pub(crate) current: Arc<RwLock<Current>>,
    pub(crate) environments: Arc<BTreeMap<String, Bytes>>,
}

/// What requests of an experiment's participants need beside it.
#[derive(Clone)]
pub(crate) struct Play {
    pub(crate) app: App,
    pub(crate) study: Study,
    pub(crate) stage: Stage,
    pub(crate) store: Store,
    pub(crate) completions: Completions,
    pub(crate) scrubber: Scrubber,
    pub(crate) tokens: Tokens,
    pub(crate) states: States,
    /// What this server's own bots prove themselves with, if it has any.
    pub(crate) bots: Option<Arc<str>>,
}

/// The experiment as it is now.
pub(crate) struct Current {
    /// What new visits get.
    version: String,
    page: Page,
}

impl Current {
    pub(crate) fn of(experiment: &Experiment) -> Self {
        Self { version: experiment.version.clone(), page: Page::of(experiment) }
    }
}

impl Study {
    /// The experiment's id, and the version that new visits get.
    pub(crate) fn experiment(&self) -> (String, String) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (self.id.to_string(), current.version.clone())
    }

    /// The page that is loaded first.
    fn page(&self) -> Page {
        self.current.read().unwrap_or_else(PoisonError::into_inner).page.clone()
    }

    pub(crate) fn set_current(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
    }
}

/// Nothing but what this server serves may run, and nobody may frame it (A2).
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; media-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Everything that there is to ask: rooms, and an experiment if there is one. Without a stage of its own this is one of several
/// nodes.
pub(crate) fn router(app: App, study: Option<(Study, Option<Play>)>) -> Router {
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let (paths, documented) = match study {
        Some((study, play)) => experiment(study, play),
        None => {
            (Router::new().route("/", get(|| async { Redirect::temporary("/api") })), OpenApiRouter::new())
        }
    };
    let drain = app.drain.clone();
    let documented =
        OpenApiRouter::with_openapi(openapi::Api::openapi()).merge(rooms(app.clone())).merge(documented);
    let (documented, api) = documented.split_for_parts();
    let api = Arc::new(api);
    Router::new()
        .merge(openapi::page().layer(CompressionLayer::new()))
        .route("/api/v1/openapi.json", get(move || async move { openapi::document(&api) }))
        .route("/ws/rooms/{room_id}", get(rooms::upgrade))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .fallback(elsewhere)
        .with_state(app)
        .merge(documented)
        .merge(paths)
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header(REFERRER_POLICY, "no-referrer"))
        .layer(map_response(move |response: Response| {
            let is_last = drain.has_begun();
            async move { if is_last { last(response) } else { response } }
        }))
}

/// The last on its connection: whoever has kept it is to ask elsewhere next. One that is closed while nothing is asked on it might be
/// closed just when something is.
fn last(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn rooms(app: App) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(rooms::create_token))
        .routes(routes!(rooms::list))
        .routes(routes!(rooms::show, rooms::delete))
        .routes(routes!(rooms::kick))
        .routes(routes!(rooms::publish))
        .routes(routes!(rooms::reconnection_state))
        .routes(routes!(rooms::connection_quality))
        .with_state(app)
}

fn experiment(study: Study, play: Option<Play>) -> (Router, OpenApiRouter) {
    let paths = Router::new()
        .route("/", get(page::index))
        .route("/page/{file}", get(page::file))
        .route("/environments/{file}", get(environments::file))
        .layer(CompressionLayer::new())
        .with_state(study.clone());
    let documented = OpenApiRouter::new().routes(routes!(files::read)).with_state(study);
    match play {
        Some(play) => {
            let paths = paths.route("/ws", get(ws::upgrade).with_state(play.clone()));
            (paths, documented.merge(participants().with_state(play)))
        }
        None => {
            // All that there is to say of these paths; who answers is found out anew for each request.
            let (_, said) = participants().split_for_parts();
            (paths, documented.merge(OpenApiRouter::with_openapi(said)))
        }
    }
}

/// What pages ask for that needs the stage.
fn participants() -> OpenApiRouter<Play> {
    OpenApiRouter::new()
        .routes(routes!(visits::create))
        .routes(routes!(forget::forget))
        .routes(routes!(records::append))
        .routes(routes!(inputs::read))
        .routes(routes!(states::take, states::give))
}

/// The same paths on the node that runs the stage.
pub(crate) fn of_the_stage(play: Play) -> Router {
    let (paths, _) = participants().with_state(play.clone()).split_for_parts();
    paths.route("/ws", get(ws::upgrade).with_state(play)).fallback(nothing)
}

async fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing here")
}

/// On a node of several the rest is for the node that runs the stage, which is found out anew for each request.
async fn elsewhere(State(app): State<App>, peer: ConnectInfo<SocketAddr>, request: Request) -> Response {
    let path = request.uri().path();
    match &app.nodes {
        Some(nodes) if path == "/ws" || path.starts_with("/api/v1/") => {
            nodes.answered(&app, peer.0, request).await
        }
        _ => nothing().await.into_response(),
    }
}

/// What was sent as `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
}

/// Only who holds the API key may go on.
fn authorize(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let right = bearer(headers).is_some_and(|key| app.api_key.is(key));
    right.then_some(()).ok_or_else(|| {
        counter!("interplay_refusals_total", "reason" => "api_key").increment(1);
        Problem::new(StatusCode::UNAUTHORIZED, "send the API key as `Authorization: Bearer …`")
    })
}

/// The token is none of this server's, or no longer.
fn unauthorized() -> Problem {
    counter!("interplay_refusals_total", "reason" => "token").increment(1);
    Problem::new(StatusCode::UNAUTHORIZED, "the token is missing, forged or expired")
}
