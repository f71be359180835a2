//! Prepared environments, by their hash.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Play;
use crate::problem::Problem;

pub(super) async fn file(State(play): State<Play>, Path(name): Path<String>) -> Result<Response, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "there is no such environment");
    let sha256 = name.strip_suffix(".wasm").ok_or_else(none)?;
    let prepared = match play.environments.get(sha256) {
        Some(prepared) => prepared.clone(),
        // A game that began before the experiment was changed goes on with what it began with.
        None => play.store.environment(sha256.to_owned()).await?.ok_or_else(none)?.into(),
    };
    let headers =
        [(CONTENT_TYPE, "application/wasm"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, prepared).into_response())
}
