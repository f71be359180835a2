//! The real binary, spoken to over real sockets, one file a subject.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bots;
mod commands;
mod control;
mod deployment;
mod durability;
mod forgetting;
mod forms;
mod languages;
mod media;
mod member;
mod mistakes;
mod nodes;
mod pauses;
mod postgres;
#[path = "../../../store/tests/support/postgres.rs"]
#[expect(dead_code, reason = "the store's own tests end it and start it again")]
mod postgres_server;
mod redis_servers;
mod rooms;
mod rooms_load;
mod screening;
mod stage_on_nodes;
mod study_webhooks;
mod support;
mod webhooks;
mod wrappers;
