//! Calculates with registers of floats, by its inputs, and keeps their raw bits. Infinities and NaNs of both signs
//! and any payload come in all the time: processors disagree about the NaNs that come out, and about which of two
//! operands gives its payload.

use core::arch::wasm32::{
    f32x4_add, f32x4_div, f32x4_max, f32x4_min, f32x4_mul, f32x4_sqrt, f32x4_sub, f64x2_add, f64x2_div,
    f64x2_promote_low_f32x4, f64x2_sqrt, u32x4, u32x4_extract_lane, u64x2_extract_lane,
};

use guest::{Actions, DrawList, Environment, Observation, Outcome, Random};

const REGISTERS: usize = 16;

struct Floating {
    single: [u32; REGISTERS],
    double: [u64; REGISTERS],
}

impl Environment for Floating {
    const MANIFEST: &'static str = r#"{"abi": 1, "name": "Floating", "seats": [1, 8], "size": [100, 100],
        "input_bytes": 4, "buttons": [], "observation": ["single", "double"]}"#;
    const INPUT_BYTES: usize = 4;

    fn reset(_seats: u8, _episode: u32, seed: u64) -> Self {
        let mut random = Random::from_seed(seed);
        let mut single = [0; REGISTERS];
        let mut double = [0; REGISTERS];
        for (single, double) in single.iter_mut().zip(&mut double) {
            *single = (random.unit() * 20.0 - 10.0).to_bits();
            *double = (f64::from(random.unit()) * 20.0 - 10.0).to_bits();
        }
        Self { single, double }
    }

    fn step(&mut self, _frame: u32, actions: &Actions, outcome: &mut Outcome) -> bool {
        for seat in 0..2 {
            let bytes = actions.bytes(seat);
            let [operation, from, to, raw] = [bytes[0], bytes[1], bytes[2], bytes[3]];
            let [a, b, to] = [from >> 4, from, to].map(|register| usize::from(register) % REGISTERS);
            self.single[to] = self.calculate_single(operation, a, b, raw);
            self.double[to] = self.calculate_double(operation >> 4, a, b, raw);
            if raw % 4 == 0 {
                self.calculate_vector(operation, a, b, to);
            }
            // The bits, not the number: 0.0 * NaN would be the runner's own calculation.
            outcome.reward(seat, f64::from(self.single[to] >> 8));
        }
        false
    }

    fn observe(&self, seat: u8, observation: &mut Observation) {
        observation.push(f64::from(f32::from_bits(self.single[usize::from(seat)])));
        observation.push(f64::from_bits(self.double[usize::from(seat)]));
    }

    fn draw(&self, seat: u8, list: &mut DrawList) {
        list.circle(f32::from_bits(self.single[usize::from(seat)]), 50.0, 3.0);
    }
}

impl Floating {
    fn calculate_single(&self, operation: u8, a: usize, b: usize, raw: u8) -> u32 {
        let (x, y) = (f32::from_bits(self.single[a]), f32::from_bits(self.single[b]));
        let result = match operation % 20 {
            0 => x + y,
            1 => y + x,
            2 => x - y,
            3 => y - x,
            4 => x * y,
            5 => x / y,
            6 => x.sqrt(),
            7 => x.min(y),
            8 => y.max(x),
            9 => x.sin(),
            10 => x.ceil() - x.floor(),
            11 => x.trunc().copysign(y),
            12 => -x,
            13 => f64::from_bits(self.double[a]) as f32,
            14 => x.round_ties_even(),
            15 => (x * y).exp(),
            16 => f32::INFINITY - x,
            17 => x.clamp(-1.0, 1.0),
            // A NaN with a payload and a sign of the input's choice, quiet or signalling.
            18 => f32::from_bits(0x7f80_0001 | u32::from(raw) << 15 | u32::from(raw & 1) << 31),
            _ => f32::from(raw) - 128.0,
        };
        result.to_bits()
    }

    fn calculate_double(&self, operation: u8, a: usize, b: usize, raw: u8) -> u64 {
        let (x, y) = (f64::from_bits(self.double[a]), f64::from_bits(self.double[b]));
        let result = match operation % 16 {
            0 => x + y,
            1 => x - y,
            2 => y * x,
            3 => y / x,
            4 => x.sqrt(),
            5 => x.min(y),
            6 => x.max(y),
            7 => x.cos(),
            8 => f64::from(f32::from_bits(self.single[a])),
            9 => x.floor().mul_add(y, 1.0),
            10 => f64::from_bits(0x7ff0_0000_0000_0001 | u64::from(raw) << 44 | u64::from(raw & 1) << 63),
            11 => x.abs().ln(),
            12 => x.powf(y),
            13 => x % y,
            14 => (x * 4.0).trunc() / 3.0,
            _ => f64::from(raw) / 7.0 - 10.0,
        };
        result.to_bits()
    }

    #[target_feature(enable = "simd128")]
    fn calculate_vector(&mut self, operation: u8, a: usize, b: usize, to: usize) {
        let at = |register: usize, lane: usize| self.single[(register + lane) % REGISTERS];
        let load = |register| u32x4(at(register, 0), at(register, 1), at(register, 2), at(register, 3));
        let (x, y) = (load(a), load(b));
        let result = match operation % 7 {
            0 => f32x4_add(x, y),
            1 => f32x4_sub(y, x),
            2 => f32x4_mul(x, y),
            3 => f32x4_div(x, y),
            4 => f32x4_sqrt(x),
            5 => f32x4_min(x, y),
            _ => f32x4_max(y, x),
        };
        let lanes = [
            u32x4_extract_lane::<0>(result),
            u32x4_extract_lane::<1>(result),
            u32x4_extract_lane::<2>(result),
            u32x4_extract_lane::<3>(result),
        ];
        for (lane, bits) in lanes.into_iter().enumerate() {
            self.single[(to + lane) % REGISTERS] = bits;
        }
        let wide = f64x2_promote_low_f32x4(y);
        let wide = match operation % 3 {
            0 => f64x2_add(wide, f64x2_promote_low_f32x4(x)),
            1 => f64x2_div(f64x2_promote_low_f32x4(x), wide),
            _ => f64x2_sqrt(wide),
        };
        self.double[to] = u64x2_extract_lane::<0>(wide);
        self.double[(to + 1) % REGISTERS] = u64x2_extract_lane::<1>(wide);
    }
}

guest::environment!(Floating);
