//! Prepares an environment and runs it natively.

pub mod prepare;
