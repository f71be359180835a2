//! A state goes from a page that holds it to one that has lost it (P5). It passes through memory, and is nothing that the
//! server knows of a game: a state that does not come is no loss, since the game can be played anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base::GameId;
use wire::transfer::MAX_TRANSFER_BYTES;

use super::Play;
use super::openapi::{Absent, Octets, TooLong, Unauthorized, Unavailable};
use super::records::{seat, whole};
use crate::problem::Problem;

/// For how long a state is held: whoever asked for it asks every moment whether it is there.
const HELD: Duration = Duration::from_secs(30);

/// How many bytes of states are held at once (A2).
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// The states that are under way, one a game.
#[derive(Clone, Default)]
pub(crate) struct States(Arc<Mutex<HashMap<GameId, (Instant, Bytes)>>>);

impl States {
    /// False when too much is under way.
    fn put(&self, game: GameId, state: Bytes) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|&other, (since, _)| other != game && since.elapsed() < HELD);
        let bytes: usize = held.values().map(|(_, state)| state.len()).sum();
        let fits = bytes + state.len() <= MOST_BYTES;
        if fits {
            held.insert(game, (Instant::now(), state));
        }
        fits
    }

    fn get(&self, game: GameId) -> Option<Bytes> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (since, _)| since.elapsed() < HELD);
        held.get(&game).map(|(_, state)| state.clone())
    }
}

/// Gives a game's state to a page that has asked for it, as docs/protocol.md has it. The newest counts.
#[utoipa::path(
    post,
    path = "/api/v1/games/{game}/state",
    tag = "Experiments, for a participant's page",
    params(("game" = String, Path, description = "The game.")),
    request_body(content = Octets, content_type = "application/octet-stream"),
    security(("visit_token" = [])),
    responses((status = 204, description = "It is there for 30 s."), Unauthorized, Absent, TooLong, Unavailable)
)]
pub(super) async fn give(
    State(play): State<Play>,
    Path(game): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let (game, _) = seat(&play, &game, &headers).await?;
    let state = whole(body, MAX_TRANSFER_BYTES, "a state has 16 MiB at most").await?;
    let full =
        || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many states are under way; try again in 30 s");
    play.states.put(game, state).then_some(StatusCode::NO_CONTENT).ok_or_else(full)
}

/// The state that somebody has given, if one has.
#[utoipa::path(
    get,
    path = "/api/v1/games/{game}/state",
    tag = "Experiments, for a participant's page",
    params(("game" = String, Path, description = "The game.")),
    security(("visit_token" = [])),
    responses(
        (status = 200, description = "The state.", body = Octets, content_type = "application/octet-stream"),
        (status = 204, description = "Nobody has given one; it may still come."),
        Unauthorized, Absent,
    )
)]
pub(super) async fn take(
    State(play): State<Play>,
    Path(game): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (game, _) = seat(&play, &game, &headers).await?;
    let headers = [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")];
    Ok(match play.states.get(game) {
        Some(state) => (headers, state).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_held_within_their_bound_and_the_newest_counts() {
        let states = States::default();
        let game = |number| GameId::from_random([number; 16]);
        let state = |bytes: usize| Bytes::from(vec![1; bytes]);
        assert!(states.put(game(1), state(MOST_BYTES / 2)) && states.put(game(2), state(MOST_BYTES / 2)));
        assert!(!states.put(game(3), state(1)), "there is no room");
        assert!(states.put(game(1), state(7)), "its own makes room");
        assert!(states.put(game(3), state(1)));
        assert_eq!(states.get(game(1)).map(|state| state.len()), Some(7));
        assert_eq!(states.get(game(4)), None);
    }
}
