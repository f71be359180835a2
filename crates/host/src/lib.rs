//! Prepares an environment and runs it natively: for exports, for verification, for bots.
//!
//! [`prepare`](prepare::prepare) makes of a module the one form that runs everywhere; [`Module`] compiles it
//! with wasmtime; [`NativeEnvironment`] plays it as `rollback` asks; [`replay`](replay::Replay) plays a whole
//! game again from its seed and inputs.

mod instance;
mod module;
mod native;
pub mod prepare;
pub mod replay;

pub use module::{Module, ModuleError};
pub use native::{During, EnvironmentError, Fault, NativeEnvironment};
