//! Preparing modules and playing them, one file a subject.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod environments;
mod refusals;
mod replay;
mod rewriting;
mod support;
mod trials;
