//! The names and types of what a module exports, before and after it is prepared.

use wasmparser::ValType::{self, I32};

/// `interplay_fault` after a call ran out of fuel.
pub const FAULT_OUT_OF_FUEL: i32 = 1;
/// `interplay_fault` after a call went too deep.
pub const FAULT_TOO_DEEP: i32 = 2;

/// What only environments with options export.
pub(super) const OPTIONS: &str = "interplay_options";

/// A function of the interface.
pub(super) struct InterfaceFunction {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [ValType],
    pub(super) results: &'static [ValType],
    pub(super) signature: &'static str,
}

const fn function(
    name: &'static str,
    parameters: &'static [ValType],
    results: &'static [ValType],
    signature: &'static str,
) -> InterfaceFunction {
    InterfaceFunction { name, parameters, results, signature }
}

/// What an environment must export beside its memory. The last it may leave out.
pub(super) const INTERFACE: [InterfaceFunction; 8] = [
    function("interplay_manifest", &[], &[I32], "() -> i32"),
    function("interplay_actions", &[], &[I32], "() -> i32"),
    function("interplay_outcome", &[], &[I32], "() -> i32"),
    function("interplay_reset", &[I32, I32, I32, I32], &[], "(i32, i32, i32, i32)"),
    function("interplay_step", &[I32], &[I32], "(i32) -> i32"),
    function("interplay_observe", &[I32], &[I32], "(i32) -> i32"),
    function("interplay_draw", &[I32], &[I32], "(i32) -> i32"),
    function(OPTIONS, &[], &[I32], "() -> i32"),
];

/// What preparing exports beside those.
pub(super) const ADDED: [&str; 4] =
    ["interplay_save", "interplay_load", "interplay_state_bytes", "interplay_fault"];
