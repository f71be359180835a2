//! What everybody has pressed goes out: a page that has lost its memory plays the game anew from it (P5).

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName};
use base::Frame;
use serde::Deserialize;

use super::Play;
use super::openapi::{Absent, FrameNumber, Malformed, Octets, Unauthorized};
use super::records::seat;
use crate::problem::Problem;

/// The most bytes of an answer: half an hour of two players' keys at 60 frames a second is a fifth of it.
const MOST_BYTES: usize = 1024 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputsQuery {
    /// The first frame.
    #[serde(default)]
    from: Frame,
}

/// The confirmed inputs of a game's frames, all seats' in order, from one on; to the first that is not durable, or to
/// 1 MiB. Empty when there are none: then they may still come.
#[utoipa::path(
    get,
    path = "/api/v1/games/{game}/inputs",
    tag = "Experiments, for a participant's page",
    params(
        ("game" = String, Path, description = "The game."),
        ("from" = Option<FrameNumber>, Query, description = "The first frame; 0 when there is none."),
    ),
    security(("visit_token" = [])),
    responses(
        (status = 200, description = "Inputs, frame after frame.", body = Octets, content_type = "application/octet-stream"),
        Malformed, Unauthorized, Absent,
    )
)]
pub(super) async fn read(
    State(play): State<Play>,
    Path(game): Path<String>,
    headers: HeaderMap,
    query: Result<Query<InputsQuery>, QueryRejection>,
) -> Result<([(HeaderName, &'static str); 2], Vec<u8>), Problem> {
    let (game, _) = seat(&play, &game, &headers).await?;
    let Query(InputsQuery { from }) = query?;
    let inputs = play.study.readings.read(move |reader| reader.inputs(game, from, MOST_BYTES)).await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")], inputs))
}
