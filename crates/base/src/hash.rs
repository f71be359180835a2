//! The hash by which two machines find that they hold the same state.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// XXH64 (seed 0) of a state's bytes. Not cryptographic: it finds accidents, not forgeries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StateHash(pub u64);

/// Hashes a state's bytes with XXH64, seed 0: the same in every browser and natively.
#[must_use]
pub fn hash_state(bytes: &[u8]) -> StateHash {
    StateHash(xxhash_rust::xxh64::xxh64(bytes, 0))
}

impl fmt::Display for StateHash {
    /// Sixteen lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for StateHash {
    type Err = core::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(StateHash)
    }
}

impl Serialize for StateHash {
    /// A hex string where people read it (JSON numbers lose bits past 2⁵³), a number in packets.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for StateHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            u64::deserialize(deserializer).map(StateHash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_xxh64() {
        assert_eq!(hash_state(b"").to_string(), "ef46db3751d8e999");
        assert_eq!(hash_state(b"abc").to_string(), "44bc2cf5ad770999");
    }

    #[test]
    fn a_hash_survives_its_text_form() {
        let hash = hash_state(b"tag");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
