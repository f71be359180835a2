//! Randomness that the episode's seed repeats.

/// SplitMix64: eight bytes of state, good enough for games.
#[derive(Clone, Copy, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A number in 0.0..1.0.
    pub fn unit(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_bounds_hold() {
        let (mut a, mut b) = (Random::from_seed(5), Random::from_seed(5));
        for _ in 0..1000 {
            assert_eq!(a.below(7), b.below(7));
            assert!(a.below(7) < 7);
            b.below(7);
            let unit = a.unit();
            assert!((0.0..1.0).contains(&unit));
            b.unit();
        }
    }
}
