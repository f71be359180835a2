//! Inputs, prediction, snapshots, confirmed frames and hashes; knows no network.

mod simulation;

pub use simulation::{Environment, Simulation, StepOutcome};
