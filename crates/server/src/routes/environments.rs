//! Prepared environments, by their hash.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::Study;
use crate::problem::Problem;

pub(super) async fn file(State(study): State<Study>, Path(name): Path<String>) -> Result<Response, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "there is no such environment");
    let sha256 = name.strip_suffix(".wasm").ok_or_else(none)?;
    let prepared = match study.environments.get(sha256) {
        Some(prepared) => prepared.clone(),
        // A game that began before the experiment was changed goes on with what it began with.
        None => {
            let sha256 = sha256.to_owned();
            study.readings.read(move |reader| reader.environment(&sha256)).await?.ok_or_else(none)?.into()
        }
    };
    let headers =
        [(CONTENT_TYPE, "application/wasm"), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, prepared).into_response())
}
