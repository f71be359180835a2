//! Prepared environments, by their hash.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Play;
use crate::problem::Problem;

pub(super) async fn file(State(play): State<Play>, Path(name): Path<String>) -> Result<Response, Problem> {
    let prepared = name.strip_suffix(".wasm").and_then(|sha256| play.environments.get(sha256));
    let prepared =
        prepared.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such environment"))?;
    let headers =
        [(CONTENT_TYPE, "application/wasm"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, prepared.clone()).into_response())
}
