//! Forgetting people (D5), while the server goes on.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base::VisitId;
use metrics::counter;
use serde::{Deserialize, Serialize};
use store::Forget;
use utoipa::ToSchema;

use super::openapi::{Malformed, TooLong, Unauthorized, Unavailable, WrongType};
use super::visits::names;
use super::{Play, authorize};
use crate::forget::Total;
use crate::problem::{Object, Problem};
use crate::scrubber::scrub;

/// The longest id that is looked for, in characters.
const ID_LENGTH: usize = 4096;

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ForgetRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Whom: what a platform calls the person (as in `PROLIFIC_PID` or `workerId`), a participant's id, or a visit's.
    #[schema(min_length = 1, max_length = 4096)]
    pub(crate) id: String,
    /// Delete the games that others sat in, too.
    #[serde(default)]
    pub(crate) with_games: bool,
}

/// Deletes everything that was written down of a person, in all experiments of this server's data.
///
/// Asked again, it changes nothing; when nobody has this id, `visits` is empty. A visit that is on its way ends as `withdrawn`. docs/data.md tells what stays of games with others.
#[utoipa::path(
    post,
    path = "/api/v1/forget",
    tag = "Experiments",
    request_body = Request,
    security(("api_key" = [])),
    responses(
        (status = 200, description = "What was deleted.", body = Total),
        Malformed, Unauthorized, TooLong, WrongType, Unavailable,
    )
)]
pub(super) async fn forget(
    State(play): State<Play>,
    headers: HeaderMap,
    request: Result<Object<Request>, Problem>,
) -> Result<Json<Total>, Problem> {
    authorize(&play.app, &headers)?;
    let Object(Request { id, with_games: games }) = request?;
    if id.is_empty() || id.chars().count() > ID_LENGTH {
        let detail = format!("`id` must have 1 to {ID_LENGTH} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    let visits = play.store.visits_of(names(&id)).await?;
    let mut total = Total::default();
    for visit in visits {
        let before = play.store.belongings(visit).await?;
        let is_known = told(&play, visit).await?;
        let forget = Forget { progress: !is_known, games, tells_who: false };
        total.forget(&play.store, (visit, before), forget).await?;
        if !is_known {
            // The stage has counted and told of those that it knows.
            counter!("interplay_visits_deleted_total").increment(1);
            tracing::info!(%visit, "the data of a visit are deleted");
            // It may have come in between.
            told(&play, visit).await?;
        }
    }
    total.set_scrubbed(scrub(&play.store).await?);
    play.scrubber.wake();
    Ok(Json(total))
}

/// Tells the stage that a visit is forgotten: whether it knows it.
async fn told(play: &Play, visit: VisitId) -> Result<bool, Problem> {
    let unavailable = || {
        let detail = "what was decided cannot be written down just now; try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    play.stage.forgotten(visit).await.ok_or_else(unavailable)
}
