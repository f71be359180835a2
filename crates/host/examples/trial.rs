//! Steps, saves and restores an environment at random, and prints what came of it: `trial MODULE.wasm SEED STEPS`.
//!
//! A browser that does the same must print the same (E4). All numbers are `u32` and wrap; `seed` is the argument.
//!
//! **Random numbers** are xorshift32: `x ^= x << 13; x ^= x >> 17; x ^= x << 5`, each giving the new `x`. It begins
//! as `seed`, or as 1 if that is 0.
//!
//! **The digest** begins as `0x811c9dc5` and takes in words: `d = rotate_left((d ^ word) * 0x9e3779b1, 15)`.
//!
//! **The course.** Prepare the module, instantiate it, and call `interplay_reset(2, 0, seed, 0)`. `frame` is 0. There
//! are 8 slots, empty. Then for every `n` from 0 to `STEPS - 1`, with `r` a random number, by `r % 8`:
//!
//! - 0 to 4, a step: for seat 0, then seat 1, for each of the manifest's `input_bytes`: the low byte of a random
//!   number. Call `interplay_step(frame)` with them; the digest takes what it returned (0 or 1), then for seat 0, then
//!   seat 1, the reward's low and high word. Add 1 to `frame`. If the call trapped, the
//!   trial ends here: its fault is at step `n`, and the digest is as it was before the call.
//! - 5, a save: to slot `random % 8`, `frame` with it. The digest takes the low and the high word of the
//!   state's hash (XXH64 of `memory[0 .. interplay_state_bytes]` after `interplay_save`).
//! - 6 or 7, a load: from slot `random % 8`, `frame` with it; nothing if the slot is empty.
//!
//! At the end, if there was no fault, one more save into slot 0, digest included.
//!
//! **Output**, one line: `{"steps":…,"digest":"8 hex digits","fault":null}`, where `fault` may be
//! `{"step":n,"kind":"out_of_fuel"}`, or `too_deep`, or `trapped`; `steps` are those of the course that were done.

use std::process::ExitCode;

use base::{Frame, Input, Seat};
use host::{Module, NativeEnvironment};
use rollback::{Environment, Simulation};

const SEATS: u8 = 2;
const SLOTS: u32 = 8;

struct Trial {
    random: u32,
    digest: u32,
}

impl Trial {
    fn new(seed: u32) -> Self {
        Self { random: if seed == 0 { 1 } else { seed }, digest: 0x811c_9dc5 }
    }

    fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }

    fn take(&mut self, word: u32) {
        self.digest = (self.digest ^ word).wrapping_mul(0x9e37_79b1).rotate_left(15);
    }

    fn take_both(&mut self, words: u64) {
        self.take(words as u32);
        self.take((words >> 32) as u32);
    }

    fn run(mut self, module: &Module, seed: u32, steps: u32) -> Result<String, String> {
        let mut environment = NativeEnvironment::new(module).map_err(|error| error.to_string())?;
        let input_bytes = module.manifest().input_bytes;
        environment.reset(SEATS, 0, seed.into()).map_err(|error| error.to_string())?;
        let (mut frame, mut slots) = (0, [None::<Frame>; SLOTS as usize]);
        for step in 0..steps {
            match self.random() % 8 {
                0..=4 => {
                    let inputs = [(); SEATS as usize].map(|()| {
                        let bytes: Vec<u8> = (0..input_bytes).map(|_| self.random() as u8).collect();
                        Input::new(&bytes).unwrap_or_default()
                    });
                    match environment.step(frame, &inputs) {
                        Ok(outcome) => {
                            self.take(outcome.over.into());
                            for seat in Seat::all(SEATS) {
                                self.take_both(outcome.rewards[seat.index()].to_bits());
                            }
                        }
                        Err(error) => {
                            let fault = format!(r#"{{"step":{step},"kind":"{}"}}"#, error.fault.name());
                            return Ok(self.line(step, &fault));
                        }
                    }
                    frame += 1;
                }
                5 => {
                    let slot = (self.random() % SLOTS) as usize;
                    environment.save(slot);
                    slots[slot] = Some(frame);
                    self.take_both(environment.hash(slot).0);
                }
                _ => {
                    let slot = (self.random() % SLOTS) as usize;
                    if let Some(saved) = slots[slot] {
                        environment.load(slot);
                        frame = saved;
                    }
                }
            }
        }
        environment.save(0);
        self.take_both(environment.hash(0).0);
        Ok(self.line(steps, "null"))
    }

    fn line(&self, steps: u32, fault: &str) -> String {
        format!(r#"{{"steps":{steps},"digest":"{:08x}","fault":{fault}}}"#, self.digest)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = || {
        let [path, seed, steps] = &arguments[..] else { return None };
        Some((path, seed.parse().ok()?, steps.parse().ok()?))
    };
    let Some((path, seed, steps)) = usage() else {
        eprintln!("usage: trial MODULE.wasm SEED STEPS");
        return ExitCode::from(2);
    };
    let line = std::fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|module| host::prepare::prepare(&module).map_err(|error| error.to_string()))
        .and_then(|prepared| Module::new(&prepared).map_err(|error| error.to_string()))
        .and_then(|module| Trial::new(seed).run(&module, seed, steps));
    match line {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
