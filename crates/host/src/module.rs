//! A prepared module, compiled, with its manifest.

use std::sync::Arc;

use wire::manifest::{Manifest, ManifestError};

use crate::instance::Instance;
use crate::native::EnvironmentError;

/// What the engine gives an instance for its stack, in bytes: four times what preparing lets it use, and half of
/// what a thread has by default.
const STACK_BYTES: usize = 1024 * 1024;

/// An environment that can be run: a prepared module, compiled once.
#[derive(Clone)]
pub struct Module {
    pub(crate) compiled: wasmtime::Module,
    manifest: Arc<Manifest>,
}

/// Why a module cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It does not compile or instantiate.
    #[error("the prepared module cannot be compiled: {0}")]
    Compile(String),
    /// It does not have the exports that preparing gives.
    #[error("the module was not prepared: it lacks `{0}`")]
    NotPrepared(&'static str),
    /// It points outside its memory.
    #[error("`{0}` points outside the module's memory")]
    OutOfBounds(&'static str),
    /// Its manifest has options, and there is no place for them.
    #[error(
        "the manifest has options, and the module exports no `interplay_options` that points to room for them"
    )]
    NoOptions,
    /// Its manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It failed while it was asked for its manifest.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
}

impl Module {
    /// Compiles a prepared module and reads its manifest.
    ///
    /// # Errors
    /// Says what is wrong with the module.
    pub fn new(prepared: &[u8]) -> Result<Self, ModuleError> {
        let mut config = wasmtime::Config::new();
        config.max_wasm_stack(STACK_BYTES);
        config.wasm_relaxed_simd(false);
        let compile = |error: wasmtime::Error| ModuleError::Compile(format!("{error:#}"));
        let engine = wasmtime::Engine::new(&config).map_err(compile)?;
        let compiled = wasmtime::Module::new(&engine, prepared).map_err(compile)?;
        let mut scratch = Instance::new(&compiled, 0)?;
        let manifest = Manifest::parse(&scratch.manifest()?)?;
        let mut state = Vec::new();
        scratch.save(&mut state)?;
        let usual: Vec<_> = manifest.options.iter().map(|(_, usual)| *usual).collect();
        if !scratch.set_options(&usual, &mut state) {
            return Err(ModuleError::NoOptions);
        }
        Ok(Self { compiled, manifest: Arc::new(manifest) })
    }

    /// What the environment says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}
