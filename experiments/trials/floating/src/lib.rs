//! Full of floats, NaNs of both signs and many payloads among them, whose bits go into the state.

use guest::{Actions, DrawList, Environment, Observation, Outcome, Random};

struct Floating {
    random: Random,
    wide: [f64; 64],
    narrow: [f32; 64],
    bits: u64,
}

impl Floating {
    fn any_f64(&mut self, salt: u8) -> f64 {
        let bits = self.random.next_u64();
        match salt % 8 {
            0 => f64::from_bits(bits | 0x7ff0_0000_0000_0001),
            1 => f64::from_bits(bits | 0xfff8_0000_0000_0000),
            2 => f64::INFINITY,
            3 => -0.0,
            _ => (bits as i64 as f64) / 1e15,
        }
    }
}

impl Environment for Floating {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Floating", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 2, "buttons": [], "observation": ["sum"]}"#;
    const INPUT_BYTES: usize = 2;

    fn reset(_seats: u8, _episode: u32, seed: u64) -> Self {
        Self { random: Random::from_seed(seed), wide: [1.5; 64], narrow: [2.5; 64], bits: 0 }
    }

    fn step(&mut self, _frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        for seat in 0..2 {
            let &[kind, salt] = actions.bytes(seat) else { continue };
            let (a, b) = (self.any_f64(salt), self.any_f64(kind));
            let at = self.random.below(64) as usize;
            let old = self.wide[at];
            let made = match kind % 12 {
                0 => a + old,
                1 => old + a,
                2 => a - b,
                3 => b * a,
                4 => old / (a - a),
                5 => a.sqrt(),
                6 => a.min(b),
                7 => a.max(old).floor(),
                8 => (a * 1e-10).sin() + old,
                9 => a.rem_euclid(b),
                10 => f64::from(a as f32) + f64::from(self.narrow[at] * b as f32),
                _ => a.mul_add(b, old).round_ties_even(),
            };
            self.wide[at] = made;
            self.narrow[at] = made as f32 / self.narrow[(at + 1) % 64];
            self.bits = self.bits.rotate_left(5) ^ made.to_bits() ^ u64::from(self.narrow[at].to_bits());
            outcome.reward(seat, made);
        }
        false
    }

    fn observe(&self, _seat: u8, observation: &mut Observation) {
        observation.push(self.wide.iter().sum());
    }

    fn draw(&self, _seat: u8, list: &mut DrawList) {
        list.circle(50.0, 50.0, (self.bits % 50) as f32);
    }
}

guest::environment!(Floating);
