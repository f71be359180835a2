//! One suite holds for the model of a store with which rooms are tested, for a single server and for a cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../room/tests/replica/store.rs"]
#[allow(dead_code, reason = "the model's faults are for the test that it belongs to")]
mod model;
#[path = "../../../room/tests/replica/sabotage.rs"]
#[allow(dead_code, reason = "mistakes are for the test that they belong to")]
mod sabotage;
mod subject;
mod suite;
#[path = "../support/mod.rs"]
mod support;
