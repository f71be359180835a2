//! The record of play comes in.

use std::time::Instant;

use axum::Json;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use base::GameId;
use metrics::{counter, histogram};
use store::SeatRow;
use wire::batch::{BatchAcknowledgement, MAX_BATCH_BYTES, RecordBatch};

use super::openapi::{Absent, Malformed, Octets, TooLong, Unauthorized};
use super::{Play, bearer, unauthorized};
use crate::problem::Problem;

/// Keeps a batch of a game's record, as docs/protocol.md has it; answers when it is durable.
///
/// Needs no live state, so that a seat can send the rest after the server was restarted.
#[utoipa::path(
    post,
    path = "/api/v1/games/{game}/records",
    tag = "Experiments, for a participant's page",
    params(("game" = String, Path, description = "The game.")),
    request_body(content = Octets, content_type = "application/octet-stream"),
    security(("visit_token" = [])),
    responses(
        (status = 200, description = "The batch is durable.", body = Value),
        Malformed, Unauthorized, Absent, TooLong,
    )
)]
pub(super) async fn append(
    State(play): State<Play>,
    Path(game): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<BatchAcknowledgement>, Problem> {
    let arrived = Instant::now();
    let (game, seat) = seat(&play, &game, &headers).await?;
    let bytes = whole(body, MAX_BATCH_BYTES, "a batch has 262144 bytes at most").await?;
    let batch = RecordBatch::decode(&bytes, seat.seats, seat.input_size)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let frames = batch.frames.len() as u64;
    let answer = play.store.append_batch(game, seat.seat, batch).await?;
    counter!("interplay_batches_total").increment(1);
    counter!("interplay_frames_total").increment(frames);
    histogram!("interplay_batch_seconds").record(arrived.elapsed().as_secs_f64());
    Ok(Json(answer))
}

/// A body of so many bytes at most.
pub(super) async fn whole(body: Body, most: usize, too_long: &'static str) -> Result<Bytes, Problem> {
    to_bytes(body, most).await.map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, too_long))
}

/// The seat that a token's visit has in a game.
pub(super) async fn seat(play: &Play, game: &str, headers: &HeaderMap) -> Result<(GameId, SeatRow), Problem> {
    let claims = bearer(headers).and_then(|token| play.tokens.read(token)).ok_or_else(unauthorized)?;
    let no_seat = || Problem::new(StatusCode::NOT_FOUND, "this visit has no seat in such a game");
    let game = game.parse().map_err(|_| no_seat())?;
    Ok((game, play.store.seat_of(game, claims.visit).await?.ok_or_else(no_seat)?))
}
