//! Redis servers of the tests' own.
#![allow(dead_code, reason = "the live store's own tests use more of them")]

use std::time::Duration;

/// Longer than anything takes that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[path = "../../../live/tests/support/cluster.rs"]
pub(crate) mod cluster;
#[path = "../../../live/tests/support/server.rs"]
pub(crate) mod server;
