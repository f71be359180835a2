//! What the server has not acknowledged, in the browser's storage: a page that is loaded anew sends it before it does
//! anything else (D1).
//!
//! Keyed by (visit, game, incarnation), so that tabs and reloads do not spoil each other's. Storage may be full, or
//! forbidden: then what is lost with the page is lost, and nothing else.

use std::cell::Cell;

use base::GameId;
use web_sys::Storage;

use crate::http;

const PREFIX: &str = "interplay.unsent.";

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

/// What a visit's keys begin with. A visit may have several tokens: what it is called is inside them.
fn of_visit(token: &str) -> String {
    let claims = token.split('.').nth(1).unwrap_or_default().replace('-', "+").replace('_', "/");
    let claims = web_sys::window().and_then(|window| window.atob(&claims).ok()).unwrap_or_default();
    let visit = claims.split_once("\"visit\":\"").and_then(|(_, rest)| rest.split_once('"'));
    [PREFIX, visit.map_or("", |(visit, _)| visit), "."].concat()
}

/// The key of one page's batches of one game; a number comes behind it.
pub(crate) fn key(token: &str, game: GameId, incarnation: u8) -> String {
    [&of_visit(token), &game.to_string(), ".", &incarnation.to_string(), "."].concat()
}

/// Keeps a batch, in the place of the one that had its number.
pub(crate) fn keep(key: &str, number: usize, batch: &[u8]) {
    // A character for each byte.
    let text: String = batch.iter().map(|&byte| char::from(byte)).collect();
    if let Some(storage) = storage() {
        storage.set_item(&[key, &number.to_string()].concat(), &text).ok();
    }
}

/// The server has it all.
pub(crate) fn remove(key: &str) {
    let Some(storage) = storage() else { return };
    for key in keys(key) {
        storage.remove_item(&key).ok();
    }
}

/// What this visit has left is not wanted any more.
pub(crate) fn forget(token: &str) {
    remove(&of_visit(token));
}

/// Sends what this visit has left, unless that is being done.
pub(crate) async fn send(token: &str) {
    thread_local! {
        static IS_SENDING: Cell<bool> = const { Cell::new(false) };
    }
    if IS_SENDING.replace(true) {
        return;
    }
    for key in keys(&of_visit(token)) {
        send_one(&key, token).await;
    }
    IS_SENDING.set(false);
}

/// Whether this visit has left something.
pub(crate) fn is_any(token: &str) -> bool {
    !keys(&of_visit(token)).is_empty()
}

fn keys(prefix: &str) -> Vec<String> {
    let Some(storage) = storage() else { return Vec::new() };
    let keys = (0..storage.length().unwrap_or(0)).filter_map(|at| storage.key(at).ok().flatten());
    keys.filter(|key| key.starts_with(prefix)).collect()
}

/// Whether what was sent is refused for what it is: it would be refused again.
pub(crate) fn is_refused(status: u16) -> bool {
    matches!(status, 404 | 413 | 422)
}

async fn send_one(key: &str, token: &str) -> Option<()> {
    let storage = storage()?;
    let text = storage.get_item(key).ok()??;
    let game = key.rsplit('.').nth(2)?;
    let body: Vec<u8> = text.chars().map(|byte| byte as u8).collect();
    let url = ["/api/v1/games/", game, "/records"].concat();
    let answer = http::post(&url, "application/octet-stream", Some(token), &body).await.ok()?;
    if answer.status == 200 || is_refused(answer.status) {
        storage.remove_item(key).ok();
    }
    Some(())
}
