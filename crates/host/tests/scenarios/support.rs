//! Small modules for the tests, and a bare instance to look into.

use std::path::PathBuf;

use host::Module;
use host::prepare::prepare;
use wasmtime::{Engine, Linker, Store, Val};

pub(crate) const PAGE: usize = 64 * 1024;

/// The text of a module with the whole interface. `items` come first, so that they may import; `step` is the body
/// of `interplay_step`, with its parameter `$frame`.
pub(crate) fn text(memory: &str, items: &str, step: &str) -> String {
    text_with("", memory, items, step)
}

/// The same, with more in the manifest.
pub(crate) fn text_with(more: &str, memory: &str, items: &str, step: &str) -> String {
    let manifest = r#"{"abi":1,"name":"Test","seats":[1,8],"size":[100,100],"input_bytes":1,"buttons":[],"observation":["x"]"#;
    let manifest = format!("{manifest}{more}}}");
    let (length, manifest) = (manifest.len(), manifest.replace('"', "\\\""));
    format!(
        r#"(module {items}
            (memory (export "memory") {memory})
            (data (i32.const 256) "\08\01\00\00\{length:02x}\00\00\00{manifest}")
            (func (export "interplay_manifest") (result i32) i32.const 256)
            (func (export "interplay_actions") (result i32) i32.const 512)
            (func (export "interplay_outcome") (result i32) i32.const 520)
            (func (export "interplay_reset") (param i32 i32 i32 i32))
            (func (export "interplay_step") (param $frame i32) (result i32) {step})
            (func (export "interplay_observe") (param i32) (result i32) i32.const 1024)
            (func (export "interplay_draw") (param i32) (result i32) i32.const 1024))"#
    )
}

pub(crate) fn module(memory: &str, items: &str, step: &str) -> Vec<u8> {
    wat::parse_str(text(memory, items, step)).unwrap()
}

/// A prepared module under wasmtime, without the runner.
pub(crate) struct Bare {
    store: Store<()>,
    instance: wasmtime::Instance,
}

impl Bare {
    pub(crate) fn new(memory: &str, items: &str, step: &str) -> Self {
        let prepared = prepare(&module(memory, items, step)).unwrap();
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.func_wrap("interplay", "log", |_: i32, _: i32| {}).unwrap();
        let module = wasmtime::Module::new(&engine, prepared).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Self { store, instance }
    }

    /// What `interplay_step` returned, or what `interplay_fault` said after it trapped.
    pub(crate) fn step(&mut self, frame: i32) -> Result<i32, i32> {
        let step = self.instance.get_typed_func::<i32, i32>(&mut self.store, "interplay_step").unwrap();
        step.call(&mut self.store, frame).map_err(|_| self.global("interplay_fault"))
    }

    pub(crate) fn global(&mut self, name: &str) -> i32 {
        let global = self.instance.get_global(&mut self.store, name).unwrap();
        let Val::I32(value) = global.get(&mut self.store) else { panic!("{name} is no i32") };
        value
    }

    fn call(&mut self, name: &str) {
        self.instance
            .get_typed_func::<(), ()>(&mut self.store, name)
            .unwrap()
            .call(&mut self.store, ())
            .unwrap();
    }

    fn memory(&mut self) -> &mut [u8] {
        self.instance.get_memory(&mut self.store, "memory").unwrap().data_mut(&mut self.store)
    }

    pub(crate) fn memory_bytes(&mut self) -> usize {
        self.memory().len()
    }

    pub(crate) fn save(&mut self) -> Vec<u8> {
        self.call("interplay_save");
        let bytes = self.global("interplay_state_bytes") as usize;
        self.memory()[..bytes].to_vec()
    }

    pub(crate) fn load(&mut self, state: &[u8]) {
        self.memory()[..state.len()].copy_from_slice(state);
        self.call("interplay_load");
    }
}

/// One of the environments that xtask builds.
pub(crate) fn built(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("INTERPLAY_ENVIRONMENTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/environments")),
        PathBuf::from,
    );
    let path = folder.join(name);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build` first", path.display()))
}

pub(crate) fn built_module(name: &str) -> Module {
    Module::new(&prepare(&built(name)).unwrap()).unwrap()
}
