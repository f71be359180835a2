//! What there is to ask, told to machines (OpenAPI 3.1) and to people (a page of this server's own).

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::App;

/// The document's head; the paths come from the handlers.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Interplay",
        description = "Rooms whose messages survive reconnection. The messages of their WebSocket, \
            /ws/rooms/{room_id}, are in docs/protocol.md.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    modifiers(&Keys)
)]
pub(super) struct Api;

struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = |description: &str| {
            let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
            SecurityScheme::Http(scheme.build())
        };
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("api_key", bearer("The API key, from the data folder's `api-key`."));
        components.add_security_scheme("room_token", bearer("A member's token, from `POST /api/v1/tokens`."));
    }
}

/// The document.
pub(super) fn document(api: &utoipa::openapi::OpenApi) -> Response {
    Json(api).into_response()
}

/// The page's files.
pub(super) fn page() -> Router<App> {
    let file = |kind: &'static str, text: &'static str| get(async move || ([(CONTENT_TYPE, kind)], text));
    Router::new()
        .route("/api", file("text/html; charset=utf-8", include_str!("api/index.html")))
        .route("/api/style.css", file("text/css; charset=utf-8", include_str!("api/style.css")))
        .route("/api/script.js", file("text/javascript; charset=utf-8", include_str!("api/script.js")))
}
