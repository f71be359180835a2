//! Randomness that a seed repeats exactly.

/// xoshiro256** (Blackman and Vigna), seeded through SplitMix64. Not for secrets.
#[derive(Clone, Debug)]
pub struct Rng([u64; 4]);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

const fn split_mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The seed of part `index` of something that has the seed `seed`: an episode of a game (N6), a peer of a
/// simulation. It is SplitMix64's output number `index + 1` from `seed`, so other languages can repeat it.
#[must_use]
pub const fn derive_seed(seed: u64, index: u64) -> u64 {
    split_mix(seed.wrapping_add(GOLDEN.wrapping_mul(index.wrapping_add(1))))
}

impl Rng {
    /// A generator that a seed repeats.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self([derive_seed(seed, 0), derive_seed(seed, 1), derive_seed(seed, 2), derive_seed(seed, 3)])
    }

    /// 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A whole number below `bound`, which must not be 0. The bias (below 2⁻³² for bounds under 2³²) is
    /// nothing to a test or a jitter.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "there is no number below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in 0.0..1.0.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Puts the items in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_mix_is_the_published_one() {
        // The first outputs of SplitMix64 from the seed 0.
        assert_eq!(derive_seed(0, 0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(derive_seed(0, 1), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn a_seed_repeats_its_numbers() {
        let (mut a, mut b) = (Rng::from_seed(9), Rng::from_seed(9));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn below_stays_below_and_reaches_all() {
        let mut rng = Rng::from_seed(1);
        let mut seen = [false; 5];
        for _ in 0..200 {
            seen[rng.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }
}
