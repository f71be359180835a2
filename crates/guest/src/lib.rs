//! The SDK with which an environment is written.
