//! The participant's page.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::Study;
use crate::assets;
use crate::problem::Problem;

pub(super) async fn index(State(study): State<Study>, headers: HeaderMap) -> Response {
    study.page().response(&headers)
}

pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    // `index.html` is served above, with words in it.
    let served = Some(name.as_str()).filter(|name| !name.ends_with(".html"));
    served
        .and_then(|name| assets::page(name, &headers))
        .ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "the page has no such file"))
}
