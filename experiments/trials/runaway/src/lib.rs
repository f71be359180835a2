//! Recurses and loops by its inputs, always within bounds until an input says otherwise: then it goes too deep or
//! too far, and every runner has to say so at the same step (TRAPS.md 12).

use guest::{Actions, DrawList, Environment, Observation, Outcome};

/// One step in so many runs away, with inputs at random.
const RARE: u32 = 2048;

struct Runaway {
    number: u32,
}

impl Environment for Runaway {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Runaway", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 2, "buttons": [], "observation": ["number"]}"#;
    const INPUT_BYTES: usize = 2;

    fn reset(seats: u8, episode: u32, seed: u64) -> Self {
        Self { number: seed as u32 ^ episode << 8 ^ u32::from(seats) }
    }

    fn step(&mut self, frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        let input = actions.bytes(0);
        let input = u32::from(input[0]) | u32::from(input[1]) << 8;
        let (depth, rounds) = match input % RARE {
            0 => (u32::MAX, 0),
            1 => (0, u32::MAX),
            _ => (input % 300, input % 5000),
        };
        self.number = descend(depth, self.number ^ frame);
        for round in 0..rounds {
            self.number = mixed(self.number, round);
        }
        outcome.reward(0, f64::from(self.number % 100));
        false
    }

    fn observe(&self, _seat: u8, observation: &mut Observation) {
        observation.push(f64::from(self.number));
    }

    fn draw(&self, _seat: u8, list: &mut DrawList) {
        list.circle((self.number % 100) as f32, 50.0, 3.0);
    }
}

/// Calls itself `depth` deep. What it does with the result keeps the compiler from making a loop of it.
#[inline(never)]
fn descend(depth: u32, number: u32) -> u32 {
    if depth == 0 {
        return number;
    }
    let below = descend(depth - 1, mixed(number, depth));
    mixed(below.rotate_left(depth % 31), number)
}

fn mixed(number: u32, with: u32) -> u32 {
    (number ^ with).wrapping_mul(0x9e37_79b1).rotate_left(13)
}

guest::environment!(Runaway);
