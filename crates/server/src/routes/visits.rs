//! Somebody comes: a visit begins.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base::{ParticipantId, VisitId};
use metrics::counter;
use serde::{Deserialize, Serialize};
use store::NewVisit;
use utoipa::ToSchema;

use super::openapi::{Malformed, Open, TooLong, WrongType};
use super::{Play, bearer};
use crate::problem::{Object, Problem};
use crate::stage::wall_time;
use crate::token;

/// The longest that the entry link's parameters may be, in bytes of JSON.
const ENTRY_BYTES: usize = 4096;

/// Platforms, and what they call a person.
const PERSONS: [(&str, &str); 2] = [("prolific", "PROLIFIC_PID"), ("mturk", "workerId")];

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = VisitRequest)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The entry link's parameters, like PROLIFIC_PID; 4096 bytes of JSON at most.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, String>)]
    entry: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VisitAnswer)]
pub(super) struct Answer {
    /// For the control channel, and for sending records.
    token: String,
    #[schema(value_type = String)]
    visit: VisitId,
    #[schema(value_type = String)]
    participant: ParticipantId,
    /// With which this visit is opened again.
    link: String,
}

/// Begins a visit: somebody has followed the entry link.
///
/// Who comes with a platform's id (`PROLIFIC_PID`, or MTurk's `workerId`) has one visit: whoever comes again goes on with it,
/// unless it is open just now, for an id alone is no proof.
#[utoipa::path(
    post,
    path = "/api/v1/visits",
    tag = "Experiments, for a participant's page",
    request_body = Request,
    responses(
        (status = 201, description = "The visit, and a token for it.", body = Answer),
        (status = 200, description = "The visit that this person has already, and a token for it.", body = Answer),
        Malformed, Open, TooLong, WrongType,
    )
)]
pub(super) async fn create(
    State(play): State<Play>,
    headers: HeaderMap,
    request: Result<Object<Request>, Problem>,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let Object(Request { entry }) = request?;
    let plain = entry.values().all(serde_json::Value::is_string);
    if !plain || serde_json::to_string(&entry).map_or(true, |json| json.len() > ENTRY_BYTES) {
        let detail = "`entry` must be an object of strings, 4096 bytes at most";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    // Only this server's own are bots: what their visits are worth as data is told by it.
    if entry.contains_key(bot::MARK) && (play.bots.is_none() || bearer(&headers) != play.bots.as_deref()) {
        let detail = "`bot` in `entry` marks this server's own bots";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let internal = |error: anyhow::Error| Problem::internal(error.as_ref());
    let visit = VisitId::from_random(token::random().map_err(internal)?);
    let participant = ParticipantId::from_random(token::random().map_err(internal)?);
    let (experiment, experiment_sha256) = play.study.experiment();
    let person = person(&entry);
    let new =
        NewVisit { visit, participant, experiment, experiment_sha256, entry, person, created: wall_time() };
    let (status, visit, participant) = match play.store.create_visit(new).await? {
        None => {
            counter!("interplay_visits_total").increment(1);
            tracing::info!(%visit, "a visit begins");
            (StatusCode::CREATED, visit, participant)
        }
        Some(known) if play.stage.is_here(known.visit).await => {
            counter!("interplay_refusals_total", "reason" => "open").increment(1);
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "this person's visit is open; close it there first",
            ));
        }
        Some(known) => {
            tracing::info!(visit = %known.visit, "a person comes again");
            (StatusCode::OK, known.visit, known.participant)
        }
    };
    let token = if status == StatusCode::CREATED {
        play.tokens.issue(visit, participant)
    } else {
        play.tokens.issue_by_id(visit, participant)
    };
    let token = token.map_err(internal)?;
    let link = format!("/#visit={token}");
    Ok((status, Json(Answer { token, visit, participant, link })))
}

/// What a visit may be known under, of somebody who has this id: as a visit, as a participant, or as a platform's person.
pub(crate) fn names(id: &str) -> Vec<String> {
    let id = clean(id);
    let persons = PERSONS.iter().map(|(platform, _)| format!("{platform}:{id}"));
    std::iter::once(id.clone()).chain(persons).collect()
}

/// An id as it is kept: without space around it, and without what Postgres has in no text.
fn clean(id: &str) -> String {
    id.trim().replace('\0', "\u{fffd}")
}

/// Who a platform's entry link says that this is.
fn person(entry: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let id = |name: &str| entry.get(name)?.as_str().map(clean).filter(|id| !id.is_empty());
    PERSONS.iter().find_map(|&(platform, name)| Some(format!("{platform}:{}", id(name)?)))
}
