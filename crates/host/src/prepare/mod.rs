//! Makes of any environment the one form that runs everywhere alike (E1).
//!
//! A WebAssembly module is almost deterministic, and its state is almost its memory. Preparing closes the gaps,
//! in the module itself, so that no browser and no runtime has to be trusted with them:
//!
//! | gap | what is done |
//! | --- | --- |
//! | a memory that grew while frames were predicted cannot shrink | its size is fixed at the most it may have; `memory.size` and `memory.grow` count pages in a global |
//! | state in mutable globals | `interplay_save` writes them behind the memory's last page, `interplay_load` reads them back: a state is one piece of memory (JavaScript could not read a `v128`, and might change a NaN) |
//! | NaN bits differ between processors and operand orders | every operation that can make a NaN is followed by one that makes it the canonical NaN |
//! | how deep a stack may go differs | functions count what they put on it, up to [`MAX_STACK_SLOTS`] |
//! | a loop without end | functions and loops count what they execute, up to [`FUEL`] in one call |
//! | memory behind that page's globals, which no state holds | cleared whenever the environment is called |
//! | state elsewhere: segments, tables, references; randomness: relaxed SIMD, threads, imports | refused, with the reason |
//!
//! The counters trap by `unreachable`, after saying why in `interplay_fault`. Preparing is deterministic: the
//! same module gives the same bytes.

mod body;
mod emit;
mod interface;
mod nan;
mod source;

pub use interface::{FAULT_OUT_OF_FUEL, FAULT_TOO_DEEP};

/// Instructions that one call of the environment may execute, as the counters count them: everything in a
/// function or loop body is charged when it is entered. Some tens of milliseconds.
pub const FUEL: i32 = 50_000_000;

/// Stack slots that one call may use. A slot is at most 16 bytes in the engines' compilers, so this is at most
/// 256 KiB; Chromium's stack has about 1 MB, the native runner gives 2 MiB.
pub const MAX_STACK_SLOTS: i32 = 16_384;

/// The largest memory that an environment may have, in pages of 64 KiB: it is copied every frame.
pub const MAX_PAGES: u32 = 256;

/// Pages that a module may grow by when it does not say how large its memory may become.
pub const DEFAULT_GROWTH_PAGES: u32 = 16;

/// The largest module that is read, in bytes.
pub const MAX_MODULE_BYTES: usize = 32 * 1024 * 1024;

/// What every module begins with.
const MAGIC: &[u8] = b"\0asm";

/// Why a module was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrepareError {
    /// It is no valid module, or uses what is not allowed.
    #[error("the module was refused: {0}; docs/environments.md says what an environment may use")]
    Invalid(String),
    /// It imports something.
    #[error(
        "the module imports `{0}`; only `interplay.log(i32, i32)` may be imported, since anything else could answer differently at each participant"
    )]
    Import(String),
    /// An export of the interface is missing or of another type.
    #[error("the module must export `{name}`{signature}; see docs/environments.md")]
    Export {
        /// Which.
        name: &'static str,
        /// What it must be.
        signature: &'static str,
    },
    /// An export has a name that preparing gives.
    #[error("the module exports `{0}` already: prepare the module as it was compiled, and only once")]
    Taken(String),
    /// Its memory is not one of its own, or too large.
    #[error("the module's memory {0}")]
    Memory(String),
    /// A start function would run before anything is counted.
    #[error("the module has a start function; do its work in `interplay_reset` instead")]
    Start,
    /// A mutable global holds a reference, which no copy of memory can keep.
    #[error("mutable global {0} holds a reference, which no snapshot can keep")]
    ReferenceGlobal(u32),
}

impl PrepareError {
    fn in_function(index: usize, error: &wasmparser::Error) -> Self {
        let (message, at) = (error.message(), error.offset());
        Self::Invalid(format!("function {index}: {message} (at byte {at})"))
    }
}

impl From<wasmparser::Error> for PrepareError {
    fn from(error: wasmparser::Error) -> Self {
        let (message, at) = (error.message(), error.offset());
        Self::Invalid(format!("{message} (at byte {at})"))
    }
}

impl From<wasm_encoder::reencode::Error> for PrepareError {
    fn from(error: wasm_encoder::reencode::Error) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Prepares a module.
///
/// # Errors
/// Says what is refused and why.
pub fn prepare(module: &[u8]) -> Result<Vec<u8>, PrepareError> {
    if module.len() <= MAX_MODULE_BYTES && !module.starts_with(MAGIC) {
        return Err(PrepareError::Invalid("it is no WebAssembly module".to_owned()));
    }
    let source = source::read(module)?;
    let prepared = emit::emit(&source)?;
    wasmparser::Validator::new_with_features(source::FEATURES).validate_all(&prepared)?;
    Ok(prepared)
}
