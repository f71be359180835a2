//! Allocates and frees through Rust's standard library, by its inputs, so that memory grows, is used again and
//! lies in another order after every history. A snapshot that missed any of it would soon be found out.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};

use guest::{Actions, DrawList, Environment, Observation, Outcome};

/// What is kept at most, in bytes of text: well within the memory's 1 MiB, even when it lies in pieces.
const MOST_BYTES: usize = 256 * 1024;

/// A hash map whose order depends on nothing but what was put in.
type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

struct Allocating {
    blocks: Vec<Vec<u8>>,
    words: FixedMap<u32, String>,
    sorted: BTreeMap<u32, Box<[u16]>>,
    kept: usize,
}

impl Environment for Allocating {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Allocating", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 2, "buttons": [], "observation": ["kept", "blocks", "words"]}"#;
    const INPUT_BYTES: usize = 2;

    fn reset(seats: u8, episode: u32, seed: u64) -> Self {
        let words = (0..u32::from(seats)).map(|seat| (seat, format!("{episode}/{seed}"))).collect();
        Self { blocks: Vec::new(), words, sorted: BTreeMap::new(), kept: 0 }
    }

    fn step(&mut self, frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        for seat in 0..2 {
            let [what, size] = [actions.bytes(seat)[0], actions.bytes(seat)[1]];
            self.change(what, usize::from(size), frame);
        }
        while self.kept > MOST_BYTES {
            let place = frame as usize % self.blocks.len().max(1);
            if self.blocks.is_empty() {
                self.words.clear();
                self.sorted.clear();
                self.kept = 0;
            } else {
                self.kept -= self.blocks.swap_remove(place).len();
            }
        }
        // In the map's own order, which has to be the same everywhere too.
        let sum =
            self.words.values().fold(0_u32, |sum, word| sum.wrapping_mul(31).wrapping_add(word.len() as u32));
        outcome.reward(0, f64::from(sum));
        false
    }

    fn observe(&self, _seat: u8, observation: &mut Observation) {
        for number in [self.kept, self.blocks.len(), self.words.len()] {
            observation.push(number as f64);
        }
    }

    fn draw(&self, seat: u8, list: &mut DrawList) {
        let text = format!("{} bytes in {} blocks", self.kept, self.blocks.len());
        list.text(50.0, 10.0 * f32::from(seat), 8.0, guest::Align::Centre, &text);
    }
}

impl Allocating {
    fn change(&mut self, what: u8, size: usize, frame: u32) {
        match what % 8 {
            0..=2 => {
                let block = vec![what; size * 37];
                self.kept += block.len();
                self.blocks.push(block);
            }
            3 if !self.blocks.is_empty() => {
                self.kept -= self.blocks.swap_remove(size % self.blocks.len()).len();
            }
            4 => {
                let word = format!("{frame:x}").repeat(size % 16 + 1);
                self.kept += word.len();
                if let Some(old) = self.words.insert(u32::from(what) * 256 + size as u32, word) {
                    self.kept -= old.len();
                }
            }
            5 => {
                let numbers: Box<[u16]> = (0..size as u16).map(|number| number.wrapping_mul(7)).collect();
                self.kept += 2 * numbers.len();
                if let Some(old) = self.sorted.insert(size as u32 * 3, numbers) {
                    self.kept -= 2 * old.len();
                }
            }
            6 => self.blocks.iter_mut().take(3).for_each(Vec::shrink_to_fit),
            _ => {
                if let Some((_, numbers)) = self.sorted.pop_first() {
                    self.kept -= 2 * numbers.len();
                }
            }
        }
    }
}

guest::environment!(Allocating);
