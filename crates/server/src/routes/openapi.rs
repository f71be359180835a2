//! What there is to ask, told to machines (OpenAPI 3.1) and to people (a page of this server's own).

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, RefOr, Response as ApiResponse, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, PartialSchema, ToSchema};

use super::App;
use crate::problem::ProblemBody;

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
        components.schemas.insert(ProblemBody::name().into_owned(), ProblemBody::schema());
        components.add_security_scheme("api_key", bearer("The API key, from the data folder's `api-key`."));
        components.add_security_scheme("room_token", bearer("A member's token, from `POST /api/v1/tokens`."));
        components.add_security_scheme("visit_token", bearer("A visit's token, from `POST /api/v1/visits`."));
    }
}

/// A name of a room, a member or a sender.
pub(super) struct Name;

impl PartialSchema for Name {
    fn schema() -> RefOr<Schema> {
        let name = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("1 to 128 letters, digits, `.`, `_`, `~`, `:`, `@` and `-`."))
            .pattern(Some("^\\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*$"))
            .max_length(Some(128));
        name.into()
    }
}

impl ToSchema for Name {}

/// A frame's number.
pub(super) struct FrameNumber;

impl PartialSchema for FrameNumber {
    fn schema() -> RefOr<Schema> {
        let number = ObjectBuilder::new().schema_type(Type::Integer);
        number.minimum(Some(0)).maximum(Some(u32::MAX)).into()
    }
}

impl ToSchema for FrameNumber {}

/// Any bytes.
pub(super) struct Octets;

impl PartialSchema for Octets {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for Octets {}

/// Refusals, each a problem document.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $($status:literal $description:literal),+;)+) => {
        $(
            $(#[$doc])*
            pub(super) struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<ApiResponse>> {
                    let refusal = |description| {
                        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                        let response = ResponseBuilder::new().description(description);
                        response.content("application/problem+json", body).build().into()
                    };
                    BTreeMap::from([$(($status.to_owned(), refusal($description))),+])
                }
            }
        )+
    };
}

refusals! {
    /// Of what anybody may ask.
    Malformed: "400" "The request is malformed.", "422" "A value cannot be; the detail names it.";
    /// Of whatever needs a key or a token.
    Unauthorized: "401" "The key or token is missing, forged or expired.";
    /// Of what a member may ask of its own room only.
    Foreign: "403" "The token is for another room.";
    /// Of what may not be there.
    Absent: "404" "There is no such thing.";
    /// Of what is somebody's just now.
    Open: "409" "The visit is open elsewhere.";
    /// Of whatever has a body.
    TooLong: "413" "The body is too long.";
    /// Of whatever has a body of one type only.
    WrongType: "415" "The body is not of this type.";
    /// Of what can be had in parts.
    Unsatisfiable: "416" "There are no such bytes.";
    /// Of what may not work now.
    Unavailable: "503" "Not now; try again.";
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
