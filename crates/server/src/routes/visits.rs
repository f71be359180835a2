//! Somebody comes: a visit begins.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use base::{ParticipantId, VisitId};
use metrics::counter;
use serde::{Deserialize, Serialize};
use store::NewVisit;

use super::App;
use crate::problem::Problem;
use crate::stage::wall_time;
use crate::token;

/// The longest that the entry link's parameters may be, in bytes of JSON.
const ENTRY_BYTES: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    #[serde(default)]
    entry: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    token: String,
    visit: VisitId,
    participant: ParticipantId,
    link: String,
}

pub(super) async fn create(
    State(app): State<App>,
    request: Result<Json<Request>, JsonRejection>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let Json(Request { entry }) = request?;
    let plain = entry.values().all(serde_json::Value::is_string);
    if !plain || serde_json::to_string(&entry).map_or(true, |json| json.len() > ENTRY_BYTES) {
        let detail = "`entry` must be an object of strings, 4096 bytes at most";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let internal = |error: anyhow::Error| Problem::internal(error.as_ref());
    let visit = VisitId::from_random(token::random().map_err(internal)?);
    let participant = ParticipantId::from_random(token::random().map_err(internal)?);
    let token = app.tokens.issue(visit, participant).map_err(internal)?;
    let (experiment, experiment_sha256) = app.experiment.as_ref().clone();
    let new = NewVisit { visit, participant, experiment, experiment_sha256, entry, created: wall_time() };
    app.store.create_visit(new).await?;
    counter!("interplay_visits_total").increment(1);
    tracing::info!(%visit, "a visit begins");
    let link = format!("/#visit={token}");
    Ok((StatusCode::CREATED, Json(Answer { token, visit, participant, link })))
}
