//! 128-bit random identifiers, each kind its own type, so that a visit is never passed for a game.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// The text was not 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identifier is 32 lower-case hex digits")
    }
}

impl std::error::Error for ParseIdError {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Its text form, everywhere, is 32 lower-case hex digits.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// Makes an identifier of 16 random bytes; the caller owns the entropy.
            #[must_use]
            pub const fn from_random(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }

            /// The bytes that it is made of.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !canonical {
                    return Err(ParseIdError);
                }
                u128::from_str_radix(text, 16).map(Self).map_err(|_| ParseIdError)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.to_be_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self::from_random)
                }
            }
        }
    };
}

identifier! {
    /// One person, however often they visit.
    ParticipantId
}
identifier! {
    /// One person's way through an experiment.
    VisitId
}
identifier! {
    /// What a group plays together, in episodes of frames.
    GameId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_survives_its_text_form() {
        let id = GameId::from_random([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn only_the_canonical_text_is_read() {
        for text in ["", "07", "+0000000000000000000000000000000", "0000000000000000000000000000000G"] {
            assert_eq!(text.parse::<VisitId>(), Err(ParseIdError), "{text:?}");
        }
        assert!("ABCDEF00000000000000000000000000".parse::<VisitId>().is_err());
    }
}
