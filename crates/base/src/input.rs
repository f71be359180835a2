//! What a participant does in one frame: a few bytes, of a size that the environment fixes.

use core::fmt;

/// The most bytes that one seat's input takes in one frame.
pub const MAX_INPUT_BYTES: usize = 16;

/// One seat's input for one frame. Its size is the environment's and the same for every frame of a game.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Input {
    size: u8,
    bytes: [u8; MAX_INPUT_BYTES],
}

impl Input {
    /// The default input of a size: all bytes 0, which every environment must take as "nothing pressed".
    ///
    /// # Panics
    /// When `size` is over [`MAX_INPUT_BYTES`]; sizes are checked where a manifest is read.
    #[must_use]
    pub const fn none(size: usize) -> Self {
        assert!(size <= MAX_INPUT_BYTES, "an input has at most 16 bytes");
        Self { size: size as u8, bytes: [0; MAX_INPUT_BYTES] }
    }

    /// The input of some bytes, or `None` when they are more than [`MAX_INPUT_BYTES`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut input = Self { size: u8::try_from(bytes.len()).ok()?, bytes: [0; MAX_INPUT_BYTES] };
        input.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(input)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.size)]
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_keeps_its_bytes_and_no_more_than_sixteen() {
        assert_eq!(Input::new(&[1, 2]).map(|input| input.as_bytes().to_vec()), Some(vec![1, 2]));
        assert_eq!(Input::new(&[0; MAX_INPUT_BYTES + 1]), None);
    }
}
