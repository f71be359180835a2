//! One instance of a prepared module, and its memory.

use base::{Frame, Input};
use wasmtime::{Func, Global, Linker, Memory, Store, TypedFunc};

use crate::module::ModuleError;
use crate::native::{During, EnvironmentError, Fault};
use crate::prepare::{FAULT_OUT_OF_FUEL, FAULT_TOO_DEEP};

/// The longest manifest, observation or drawing that is read, in bytes.
const MAX_SLICE_BYTES: u32 = 1024 * 1024;

/// One seat's outcome: an `f64`, a `u32` and padding.
const OUTCOME_BYTES: usize = 16;

const PAGE_BYTES: usize = 64 * 1024;

pub(crate) struct Instance {
    store: Store<()>,
    memory: Memory,
    state_bytes: usize,
    fault: Global,
    save: TypedFunc<(), ()>,
    load: TypedFunc<(), ()>,
    manifest: TypedFunc<(), u32>,
    reset: TypedFunc<(u32, u32, u32, u32), ()>,
    step: TypedFunc<u32, u32>,
    observe: TypedFunc<u32, u32>,
    draw: TypedFunc<u32, u32>,
    actions: usize,
    input_bytes: usize,
    outcome: usize,
    /// Where the options stand, if the environment has any.
    options: Option<usize>,
}

impl Instance {
    /// An instance that takes so many bytes of input from a seat.
    pub(crate) fn new(compiled: &wasmtime::Module, input_bytes: usize) -> Result<Self, ModuleError> {
        let engine = compiled.engine();
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        let compile = |error: wasmtime::Error| ModuleError::Compile(format!("{error:#}"));
        linker.func_wrap("interplay", "log", |_: u32, _: u32| {}).map_err(compile)?;
        let instance = linker.instantiate(&mut store, compiled).map_err(compile)?;
        let memory = instance.get_memory(&mut store, "memory").ok_or(ModuleError::NotPrepared("memory"))?;
        let mut global = |name| instance.get_global(&mut store, name).ok_or(ModuleError::NotPrepared(name));
        let (bytes, fault) = (global("interplay_state_bytes")?, global("interplay_fault")?);
        let state_bytes = bytes.get(&mut store).i32().unwrap_or(0).cast_unsigned() as usize;
        if state_bytes == 0 || state_bytes > memory.data_size(&store) {
            return Err(ModuleError::OutOfBounds("interplay_state_bytes"));
        }
        let mut function = |name| -> Result<Func, ModuleError> {
            instance.get_func(&mut store, name).ok_or(ModuleError::NotPrepared(name))
        };
        let [save, load] = [function("interplay_save")?, function("interplay_load")?];
        let [manifest, actions, outcome] =
            [function("interplay_manifest")?, function("interplay_actions")?, function("interplay_outcome")?];
        let [reset, step] = [function("interplay_reset")?, function("interplay_step")?];
        let [observe, draw] = [function("interplay_observe")?, function("interplay_draw")?];
        let options = instance.get_func(&mut store, "interplay_options");
        let options: Option<TypedFunc<(), u32>> =
            options.map(|options| options.typed(&store)).transpose().map_err(compile)?;
        let actions: TypedFunc<(), u32> = actions.typed(&store).map_err(compile)?;
        let outcome: TypedFunc<(), u32> = outcome.typed(&store).map_err(compile)?;
        let mut instance = Self {
            save: save.typed(&store).map_err(compile)?,
            load: load.typed(&store).map_err(compile)?,
            manifest: manifest.typed(&store).map_err(compile)?,
            reset: reset.typed(&store).map_err(compile)?,
            step: step.typed(&store).map_err(compile)?,
            observe: observe.typed(&store).map_err(compile)?,
            draw: draw.typed(&store).map_err(compile)?,
            store,
            memory,
            state_bytes,
            fault,
            actions: 0,
            input_bytes,
            outcome: 0,
            options: None,
        };
        instance.actions = instance.call(During::Setup, &actions, ())? as usize;
        instance.outcome = instance.call(During::Setup, &outcome, ())? as usize;
        if let Some(options) = options {
            instance.options = Some(instance.call(During::Setup, &options, ())? as usize);
        }
        // The last page is the runner's.
        let own = instance.memory().len().saturating_sub(PAGE_BYTES);
        for (name, start, length) in [
            ("interplay_actions", instance.actions, base::MAX_SEATS * input_bytes),
            ("interplay_outcome", instance.outcome, base::MAX_SEATS * OUTCOME_BYTES),
        ] {
            if start.saturating_add(length) > own {
                return Err(ModuleError::OutOfBounds(name));
            }
        }
        Ok(instance)
    }

    fn call<P, R>(
        &mut self,
        during: During,
        function: &TypedFunc<P, R>,
        parameters: P,
    ) -> Result<R, EnvironmentError>
    where
        P: wasmtime::WasmParams,
        R: wasmtime::WasmResults,
    {
        function.call(&mut self.store, parameters).map_err(|error| {
            let fault = match self.fault.get(&mut self.store).i32() {
                Some(FAULT_OUT_OF_FUEL) => Fault::OutOfFuel,
                Some(FAULT_TOO_DEEP) => Fault::TooDeep,
                _ => Fault::Trapped(error.root_cause().to_string()),
            };
            EnvironmentError { fault, during }
        })
    }

    fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    /// Copies the state out.
    pub(crate) fn save(&mut self, into: &mut Vec<u8>) -> Result<(), EnvironmentError> {
        self.call(During::Setup, &self.save.clone(), ())?;
        into.clear();
        into.extend_from_slice(&self.memory()[..self.state_bytes]);
        Ok(())
    }

    /// Copies a state in.
    pub(crate) fn load(&mut self, state: &[u8]) -> Result<(), EnvironmentError> {
        let memory = self.memory.data_mut(&mut self.store);
        memory[..state.len()].copy_from_slice(state);
        self.call(During::Setup, &self.load.clone(), ())
    }

    pub(crate) fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), EnvironmentError> {
        let parameters = (u32::from(seats), episode, seed as u32, (seed >> 32) as u32);
        self.call(During::Reset(episode), &self.reset.clone(), parameters)
    }

    /// Writes options into a state that was saved. False when the environment has no place for them there.
    pub(crate) fn set_options(&self, options: &[f64], state: &mut [u8]) -> bool {
        let bytes: Vec<u8> = options.iter().flat_map(|option| option.to_le_bytes()).collect();
        // The last page is the runner's.
        let own = self.memory().len().saturating_sub(PAGE_BYTES).min(state.len());
        let Some(start) = self.options else { return options.is_empty() };
        let end = start.saturating_add(bytes.len());
        let Some(place) = state[..own].get_mut(start..end) else { return false };
        place.copy_from_slice(&bytes);
        true
    }

    /// Plays a frame with every seat's input, seat 0 first. True ends the episode.
    pub(crate) fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<bool, EnvironmentError> {
        let memory = self.memory.data_mut(&mut self.store);
        for (seat, input) in inputs.iter().take(base::MAX_SEATS).enumerate() {
            let place = &mut memory[self.actions + seat * self.input_bytes..][..self.input_bytes];
            place.fill(0);
            for (place, byte) in place.iter_mut().zip(input.as_bytes()) {
                *place = *byte;
            }
        }
        Ok(self.call(During::Step(frame), &self.step.clone(), frame)? != 0)
    }

    /// A seat's reward and flags after the last step.
    pub(crate) fn outcome(&self, seat: base::Seat) -> (f64, u32) {
        let at = self.outcome + seat.index() * OUTCOME_BYTES;
        // Always there: the address was checked when the instance was made.
        let reward = self.memory()[at..].first_chunk().copied().map_or(0.0, f64::from_le_bytes);
        let flags = self.memory()[at + 8..].first_chunk().copied().map_or(0, u32::from_le_bytes);
        (reward, flags)
    }

    pub(crate) fn manifest(&mut self) -> Result<Vec<u8>, ModuleError> {
        let at = self.call(During::Setup, &self.manifest.clone(), ())?;
        self.slice(at, 1).ok_or(ModuleError::OutOfBounds("interplay_manifest"))
    }

    /// What a seat observes, and the infos. Spoils the state for playing on.
    pub(crate) fn observe(&mut self, seat: base::Seat) -> Result<Option<Vec<f64>>, EnvironmentError> {
        let at = self.call(During::Observe(seat), &self.observe.clone(), u32::from(seat.number()))?;
        let number = |bytes: &[u8]| bytes.try_into().map_or(f64::NAN, f64::from_le_bytes);
        Ok(self.slice(at, 8).map(|bytes| bytes.chunks_exact(8).map(number).collect()))
    }

    /// What a seat sees. Spoils the state for playing on.
    pub(crate) fn draw(&mut self, seat: base::Seat) -> Result<Option<Vec<u8>>, EnvironmentError> {
        let at = self.call(During::Draw(seat), &self.draw.clone(), u32::from(seat.number()))?;
        Ok(self.slice(at, 1))
    }

    /// The items whose address and count stand at `at`.
    fn slice(&self, at: u32, item_bytes: u32) -> Option<Vec<u8>> {
        let memory = self.memory();
        let word = |at: usize| memory.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let (start, count) = (word(at as usize)?, word(at as usize + 4)?);
        let length = count.checked_mul(item_bytes).filter(|&length| length <= MAX_SLICE_BYTES)?;
        memory.get(start as usize..(start as usize).checked_add(length as usize)?).map(<[u8]>::to_vec)
    }
}
