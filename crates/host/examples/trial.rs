//! `trial MODULE.wasm SEED STEPS`: drives an environment through random steps, saves and restores, and prints one
//! line of JSON. `e2e/environments_in_chromium.mjs` does the same in a browser, so what it does is fixed:
//!
//! - `next()` is xorshift32 from the seed (13, 17, 5), giving unsigned 32-bit numbers.
//! - `reset(2, 0, seed)`, `frame = 0`; `digest` (64 bits) is 0; nothing is saved in slots 0 to 3.
//! - An operation: `r = next() % 8`, `slot = next() % 4`. For `r = 0`: save in `slot`, and keep `frame` with it.
//!   For `r = 1` with something saved in `slot`: load it, and `frame` with it; then the hash must be what it was
//!   when it was saved. Otherwise: step `frame` with 2 × `input_bytes` bytes, each `next() & 255`; `frame += 1`.
//!   Every 16th operation seat `slot % 2` is drawn for: which must change nothing.
//! - After each operation the state is saved in slot 4, and
//!   `digest = rotate_left(digest, 1) xor hash(slot 4)`.
//! - A fault ends it; its operation's number is told.

use base::Input;
use host::{Fault, Module, NativeEnvironment};
use rollback::{Environment, Simulation};

struct Trial {
    environment: NativeEnvironment,
    state: u32,
    frame: u32,
    saved: [Option<(u32, base::StateHash)>; 4],
    digest: u64,
}

impl Trial {
    fn next(&mut self) -> u32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        self.state
    }

    fn operation(&mut self, number: u32, input_bytes: usize) -> Result<(), host::EnvironmentError> {
        let (kind, slot) = (self.next() % 8, self.next() as usize % 4);
        match (kind, self.saved[slot]) {
            (0, _) => {
                self.environment.save(slot);
                self.saved[slot] = Some((self.frame, self.environment.hash(slot)));
            }
            (1, Some((frame, hash))) => {
                self.environment.load(slot);
                self.frame = frame;
                self.environment.save(4);
                assert_eq!(self.environment.hash(4), hash, "operation {number}: restored to another state");
            }
            _ => {
                let mut inputs = [Input::none(input_bytes); 2];
                for input in &mut inputs {
                    let bytes: Vec<u8> = (0..input_bytes).map(|_| self.next() as u8).collect();
                    *input = Input::new(&bytes).unwrap_or(*input);
                }
                self.environment.step(self.frame, &inputs)?;
                self.frame += 1;
            }
        }
        if number % 16 == 0 {
            self.environment.draw(base::Seat::new(slot as u8 % 2).unwrap_or_default())?;
        }
        self.environment.save(4);
        self.digest = self.digest.rotate_left(1) ^ self.environment.hash(4).0;
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, seed, steps] = &arguments[..] else { return Err("usage: trial MODULE.wasm SEED STEPS".into()) };
    let module = Module::new(&host::prepare::prepare(&std::fs::read(path)?)?)?;
    let input_bytes = module.manifest().input_bytes;
    let (seed, steps): (u32, u32) = (seed.parse()?, steps.parse()?);
    let mut environment = NativeEnvironment::new(&module)?;
    environment.reset(2, 0, u64::from(seed))?;
    let mut trial = Trial { environment, state: seed, frame: 0, saved: [None; 4], digest: 0 };
    let fault = (0..steps).find_map(|number| {
        let error = trial.operation(number, input_bytes).err()?;
        Some((number, error.fault))
    });
    let fault = match fault {
        Some((number, fault @ (Fault::OutOfFuel | Fault::TooDeep | Fault::Trapped(_)))) => {
            format!("{{\"step\":{number},\"kind\":\"{}\"}}", fault.name())
        }
        None => "null".to_owned(),
    };
    println!("{{\"digest\":\"{:016x}\",\"fault\":{fault}}}", trial.digest);
    Ok(())
}
