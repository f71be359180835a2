//! Runs a prepared environment in the browser, as `host` does natively. See docs/environments.md.

use core::fmt;

use base::{Frame, Input, MAX_SEATS, Seat, StateHash, hash_state};
use js_sys::{Array, Function, Object, Reflect, Uint8Array, WebAssembly};
use rollback::{Environment, Simulation, Slots, StepOutcome};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wire::manifest::Manifest;

const OUT_OF_FUEL: f64 = 1.0;
const TOO_DEEP: f64 = 2.0;

/// Bytes of one seat's outcome.
const OUTCOME_BYTES: usize = 16;

/// The longest manifest or drawing that is read, in bytes.
const MAX_SLICE_BYTES: u32 = 1024 * 1024;

/// How an environment failed; the names are those of the native runner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    OutOfFuel,
    TooDeep,
    Trapped(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfFuel => f.write_str("out_of_fuel"),
            Self::TooDeep => f.write_str("too_deep"),
            Self::Trapped(message) => write!(f, "trapped: {message}"),
        }
    }
}

/// What a JavaScript error says.
pub(crate) fn describe(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => format!("{error:?}"),
    }
}

/// One instance. The memory never grows, so views of it stay good.
struct Instance {
    memory: Uint8Array,
    state: Uint8Array,
    fault: JsValue,
    save: Function,
    load: Function,
    reset: Function,
    step: Function,
    draw: Function,
    manifest: Function,
    actions: u32,
    /// Where the options stand; 0 when the environment has none.
    options: u32,
    outcome: Uint8Array,
}

fn member<T: JsCast>(object: &JsValue, name: &'static str) -> Result<T, JsValue> {
    Reflect::get(object, &name.into())?
        .dyn_into()
        .map_err(|_| JsError::new(&format!("the module was not prepared: it lacks `{name}`")).into())
}

impl Instance {
    fn new(instance: &JsValue) -> Result<Self, JsValue> {
        // No `instanceof Object`: a module's exports have no prototype.
        let exports = Reflect::get(instance, &"exports".into())?;
        let buffer = member::<WebAssembly::Memory>(&exports, "memory")?.buffer();
        let memory = Uint8Array::new(&buffer);
        let global = |name| member::<WebAssembly::Global>(&exports, name);
        let state_bytes = global("interplay_state_bytes")?.value().as_f64().unwrap_or(0.0) as u32;
        let fault = global("interplay_fault")?.into();
        let mut made = Self {
            state: memory.subarray(0, state_bytes),
            outcome: memory.subarray(0, 0),
            memory,
            fault,
            save: member(&exports, "interplay_save")?,
            load: member(&exports, "interplay_load")?,
            reset: member(&exports, "interplay_reset")?,
            step: member(&exports, "interplay_step")?,
            draw: member(&exports, "interplay_draw")?,
            manifest: member(&exports, "interplay_manifest")?,
            actions: 0,
            options: 0,
        };
        let address = |name| -> Result<u32, JsValue> {
            let address = member::<Function>(&exports, name)?.call0(&JsValue::UNDEFINED)?;
            Ok(address.as_f64().unwrap_or(0.0) as u32)
        };
        made.actions = address("interplay_actions")?;
        made.options = address("interplay_options").unwrap_or_default();
        let outcome = address("interplay_outcome")?;
        made.outcome = made.memory.subarray(outcome, outcome + (MAX_SEATS * OUTCOME_BYTES) as u32);
        Ok(made)
    }

    /// What a call's failure means.
    fn fault(&self, error: &JsValue) -> Fault {
        let code = Reflect::get(&self.fault, &"value".into()).ok().and_then(|value| value.as_f64());
        match code {
            Some(OUT_OF_FUEL) => Fault::OutOfFuel,
            Some(TOO_DEEP) => Fault::TooDeep,
            _ => Fault::Trapped(describe(error)),
        }
    }

    fn call(&self, function: &Function, arguments: &[u32]) -> Result<u32, Fault> {
        let this = JsValue::UNDEFINED;
        let result = match *arguments {
            [] => function.call0(&this),
            [one] => function.call1(&this, &one.into()),
            _ => function.apply(&this, &arguments.iter().map(|&one| JsValue::from(one)).collect::<Array>()),
        };
        let value = result.map_err(|error| self.fault(&error))?;
        Ok(value.as_f64().unwrap_or(0.0) as i64 as u32)
    }

    /// The bytes whose address and length stand at `at`.
    fn slice(&self, at: u32) -> Option<Vec<u8>> {
        let word = |at: u32| {
            let mut bytes = [0; 4];
            let view = self.memory.subarray(at, at.checked_add(4)?);
            (view.length() == 4).then(|| view.copy_to(&mut bytes))?;
            Some(u32::from_le_bytes(bytes))
        };
        let (start, length) = (word(at)?, word(at.checked_add(4)?)?);
        let end = start.checked_add(length).filter(|_| length <= MAX_SLICE_BYTES)?;
        let view = self.memory.subarray(start, end);
        (view.length() == length).then(|| view.to_vec())
    }
}

/// One playing instance, one to look with, and the saved states.
pub(crate) struct BrowserEnvironment {
    playing: Instance,
    /// Drawing writes to memory, so it is done on a copy.
    looking: Instance,
    manifest: Manifest,
    pristine: Vec<u8>,
    slots: Slots,
    seats: u8,
}

impl BrowserEnvironment {
    /// Compiles a prepared module.
    pub(crate) async fn new(prepared: &[u8]) -> Result<Self, JsValue> {
        let (imports, interplay) = (Object::new(), Object::new());
        let log = Closure::<dyn Fn(u32, u32)>::new(|_, _| {}).into_js_value();
        Reflect::set(&interplay, &"log".into(), &log)?;
        Reflect::set(&imports, &"interplay".into(), &interplay)?;
        let made = JsFuture::from(WebAssembly::instantiate_buffer(prepared, &imports)).await?;
        let module = member::<WebAssembly::Module>(&made, "module")?;
        let playing = Instance::new(&Reflect::get(&made, &"instance".into())?)?;
        let second = JsFuture::from(WebAssembly::instantiate_module(&module, &imports)).await?;
        let looking = Instance::new(&second)?;
        let read = |instance: &Instance| -> Result<Manifest, String> {
            let at = instance.call(&instance.manifest, &[]).map_err(|fault| fault.to_string())?;
            let json = instance.slice(at).ok_or("the manifest is outside the module's memory")?;
            // The server has checked it, and the hash says that it is the same.
            serde_json::from_str::<Manifest>(core::str::from_utf8(&json).unwrap_or_default())
                .map_err(|error| error.to_string())
        };
        let manifest = read(&looking).map_err(|problem| JsError::new(&problem))?;
        let mut environment =
            Self { playing, looking, manifest, pristine: Vec::new(), slots: Slots::default(), seats: 0 };
        environment.playing.save_into(&mut environment.pristine);
        let usual: Vec<_> = environment.manifest.options.iter().map(|(_, usual)| *usual).collect();
        environment.set_options(&usual);
        Ok(environment)
    }

    /// Sets the options that every episode begins with. The server has checked that there is room for them.
    pub(crate) fn set_options(&mut self, options: &[f64]) {
        let start = self.playing.options as usize;
        let places = self.pristine.get_mut(start..).into_iter().flat_map(|state| state.chunks_exact_mut(8));
        for (place, option) in places.zip(options) {
            place.copy_from_slice(&option.to_le_bytes());
        }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a seat sees in the current state.
    pub(crate) fn draw(&self, seat: Seat) -> Result<Vec<u8>, Fault> {
        self.playing.call(&self.playing.save, &[])?;
        self.looking.state.set(&self.playing.state, 0);
        self.looking.call(&self.looking.load, &[])?;
        let at = self.looking.call(&self.looking.draw, &[u32::from(seat.number())])?;
        Ok(self.looking.slice(at).unwrap_or_default())
    }
}

impl Instance {
    fn save_into(&self, state: &mut Vec<u8>) {
        // Saving moves globals into memory and cannot fail in a prepared module.
        let saved = self.call(&self.save, &[]);
        debug_assert!(saved.is_ok());
        state.resize(self.state.length() as usize, 0);
        self.state.copy_to(state);
    }

    fn load_from(&self, state: &[u8]) {
        self.state.copy_from(state);
        let loaded = self.call(&self.load, &[]);
        debug_assert!(loaded.is_ok());
    }
}

impl Simulation for BrowserEnvironment {
    type Error = Fault;

    fn step(&mut self, frame: Frame, inputs: &[Input]) -> Result<StepOutcome, Fault> {
        let mut actions = [0; MAX_SEATS * base::MAX_INPUT_BYTES];
        let mut end = 0;
        for input in inputs {
            let bytes = input.as_bytes();
            actions[end..end + bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        }
        let start = self.playing.actions;
        self.playing.memory.subarray(start, start + end as u32).copy_from(&actions[..end]);
        let over = self.playing.call(&self.playing.step, &[frame])? != 0;
        let mut outcomes = [0; MAX_SEATS * OUTCOME_BYTES];
        self.playing.outcome.copy_to(&mut outcomes);
        let mut outcome = StepOutcome { over, ..StepOutcome::default() };
        for (reward, bytes) in outcome.rewards.iter_mut().zip(outcomes.chunks_exact(OUTCOME_BYTES)) {
            *reward = bytes[..8].try_into().map_or(0.0, f64::from_le_bytes);
        }
        Ok(outcome)
    }

    fn save(&mut self, slot: usize) {
        self.playing.save_into(self.slots.place(slot));
    }

    fn load(&mut self, slot: usize) {
        self.playing.load_from(&self.slots[slot]);
    }

    fn hash(&self, slot: usize) -> StateHash {
        hash_state(&self.slots[slot])
    }

    fn export(&self, slot: usize) -> Vec<u8> {
        self.slots[slot].clone()
    }

    fn import(&mut self, slot: usize, state: &[u8]) -> bool {
        self.slots.import(slot, state, self.pristine.len())
    }
}

impl Environment for BrowserEnvironment {
    fn reset(&mut self, seats: u8, episode: u32, seed: u64) -> Result<(), Fault> {
        self.seats = seats;
        self.playing.load_from(&self.pristine);
        let arguments = [u32::from(seats), episode, seed as u32, (seed >> 32) as u32];
        self.playing.call(&self.playing.reset, &arguments).map(drop)
    }
}

/// The same for scripts: tests drive environments with it in every browser.
#[wasm_bindgen(js_name = BrowserEnvironment)]
pub struct ScriptedEnvironment(BrowserEnvironment, StepOutcome);

#[wasm_bindgen(js_class = BrowserEnvironment)]
impl ScriptedEnvironment {
    /// Compiles a prepared module.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub async fn create(prepared: Vec<u8>) -> Result<ScriptedEnvironment, JsValue> {
        let environment = BrowserEnvironment::new(&prepared).await?;
        Ok(Self(environment, StepOutcome::default()))
    }

    /// Sets the options that every episode begins with, in the manifest's order.
    pub fn set_options(&mut self, options: &[f64]) {
        self.0.set_options(options);
    }

    /// Begins an episode.
    ///
    /// # Errors
    /// `out_of_fuel`, `too_deep` or `trapped: …`.
    pub fn reset(&mut self, seats: u8, episode: u32, seed_low: u32, seed_high: u32) -> Result<(), JsError> {
        let seed = u64::from(seed_high) << 32 | u64::from(seed_low);
        self.0.reset(seats, episode, seed).map_err(|fault| JsError::new(&fault.to_string()))
    }

    /// Plays a frame with all seats' bytes.
    ///
    /// # Errors
    /// `out_of_fuel`, `too_deep` or `trapped: …`.
    pub fn step(&mut self, frame: u32, inputs: &[u8]) -> Result<bool, JsError> {
        let size = self.0.manifest.input_bytes;
        let inputs: Vec<_> = inputs.chunks_exact(size).filter_map(Input::new).collect();
        let outcome = Simulation::step(&mut self.0, frame, &inputs);
        self.1 = outcome.map_err(|fault| JsError::new(&fault.to_string()))?;
        Ok(self.1.over)
    }

    /// A seat's reward in the last step.
    #[must_use]
    pub fn reward(&self, seat: usize) -> f64 {
        self.1.rewards.get(seat).copied().unwrap_or_default()
    }

    /// Saves the state in a slot.
    pub fn save(&mut self, slot: usize) {
        Simulation::save(&mut self.0, slot);
    }

    /// Goes back to a slot's state.
    pub fn load(&mut self, slot: usize) {
        Simulation::load(&mut self.0, slot);
    }

    /// The hash of a slot's state.
    #[must_use]
    pub fn hash(&self, slot: usize) -> String {
        Simulation::hash(&self.0, slot).to_string()
    }

    /// Draws for a seat, and forgets what was drawn: drawing must not change the state.
    ///
    /// # Errors
    /// `out_of_fuel`, `too_deep` or `trapped: …`.
    pub fn draw(&self, seat: u8) -> Result<usize, JsError> {
        let seat = Seat::new(seat).ok_or_else(|| JsError::new("there is no such seat"))?;
        self.0.draw(seat).map(|list| list.len()).map_err(|fault| JsError::new(&fault.to_string()))
    }

    /// Bytes of one seat's input.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        self.0.manifest.input_bytes
    }
}
