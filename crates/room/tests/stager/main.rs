//! What happens to visits, lobbies and games.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod games;
mod lobby;
mod scenes;
mod texts;
mod world;
