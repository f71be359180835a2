//! What happens to visits, lobbies and games.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bots;
mod checks;
mod conditions;
mod exits;
mod games;
mod lobby;
mod scenes;
mod screening;
mod texts;
mod world;
mod wrappers;
