//! Allocates and frees through Rust's std as its inputs say, growing memory on the way.

use std::collections::BTreeMap;
use std::fmt::Write;

use guest::{Actions, DrawList, Environment, Observation, Outcome, Random};

struct Allocating {
    random: Random,
    kept: BTreeMap<u32, Vec<u8>>,
    text: String,
}

impl Environment for Allocating {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Allocating", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 2, "buttons": [], "observation": ["kept", "bytes"]}"#;
    const INPUT_BYTES: usize = 2;

    fn reset(_seats: u8, _episode: u32, seed: u64) -> Self {
        Self { random: Random::from_seed(seed), kept: BTreeMap::new(), text: String::new() }
    }

    fn step(&mut self, frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        for seat in 0..2 {
            let &[kind, value] = actions.bytes(seat) else { continue };
            let key = self.random.below(64);
            match kind % 4 {
                0 | 1 => {
                    let size = self.random.below(6000) as usize;
                    self.kept.insert(key, vec![value; size]);
                }
                2 => drop(self.kept.remove(&key)),
                _ => {
                    self.text.clear();
                    // Formatting allocates, and has ways of its own to be slow.
                    write!(self.text, "{frame} {:?} {:.3}", self.kept.keys(), f64::from(value) / 7.0).unwrap();
                    self.kept.insert(key, self.text.clone().into_bytes());
                }
            }
            outcome.reward(seat, self.kept.len() as f64);
        }
        false
    }

    fn observe(&self, _seat: u8, observation: &mut Observation) {
        observation.push(self.kept.len() as f64);
        observation.push(self.kept.values().map(Vec::len).sum::<usize>() as f64);
    }

    fn draw(&self, _seat: u8, list: &mut DrawList) {
        // Drawing allocates too, on a copy of the state that is thrown away.
        let names: Vec<String> = self.kept.keys().map(ToString::to_string).collect();
        list.text(0.0, 50.0, 10.0, guest::Align::Left, &names.join(" ").chars().take(60).collect::<String>());
    }
}

guest::environment!(Allocating);
