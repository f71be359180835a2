//! Recurses and loops as its inputs say, deeper and further every time, until it may no longer.

use guest::{Actions, DrawList, Environment, Observation, Outcome, Random};

struct Runaway {
    random: Random,
    depth: u32,
    turns: u32,
    sum: u64,
}

/// Cannot be turned into a loop: what it returns depends on what it has kept.
#[inline(never)]
fn recurse(left: u32, kept: u64) -> u64 {
    if left == 0 {
        return kept;
    }
    let mut local = [kept; 8];
    local[(kept % 8) as usize] = recurse(left - 1, kept.rotate_left(left));
    local.iter().fold(0, |sum, part| sum.wrapping_mul(31).wrapping_add(*part))
}

#[inline(never)]
fn spin(turns: u32, kept: u64) -> u64 {
    let mut random = Random::from_seed(kept);
    (0..turns).fold(kept, |sum, _| sum ^ random.next_u64())
}

impl Environment for Runaway {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Runaway", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 2, "buttons": [], "observation": ["sum"]}"#;
    const INPUT_BYTES: usize = 2;

    fn reset(_seats: u8, _episode: u32, seed: u64) -> Self {
        Self { random: Random::from_seed(seed), depth: 1, turns: 1, sum: seed }
    }

    fn step(&mut self, frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        let &[kind, value] = actions.bytes(0) else { return false };
        // Which of the two bounds it runs into is the seed's to say.
        if self.random.below(2) == 0 {
            self.depth += u32::from(kind) / 64 + frame / 500;
        } else {
            self.turns += u32::from(value) * 8 + frame * 40;
        }
        self.sum = recurse(self.depth, self.sum) ^ spin(self.turns, self.sum);
        outcome.reward(0, (self.sum % 1000) as f64);
        false
    }

    fn observe(&self, _seat: u8, observation: &mut Observation) {
        observation.push(self.sum as f64);
    }

    fn draw(&self, _seat: u8, list: &mut DrawList) {
        list.circle(50.0, 50.0, 10.0);
    }
}

guest::environment!(Runaway);
