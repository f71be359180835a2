//! Prepares an environment and runs it natively.
