//! Saved states, for environments whose state is bytes.

use core::ops::Index;

/// Numbered places for states. They are made as they are first used, and keep their memory.
#[derive(Clone, Debug, Default)]
pub struct Slots(Vec<Vec<u8>>);

impl Slots {
    /// A slot to write a state into.
    pub fn place(&mut self, slot: usize) -> &mut Vec<u8> {
        if self.0.len() <= slot {
            self.0.resize(slot + 1, Vec::new());
        }
        &mut self.0[slot]
    }

    /// A slot's state, if the slot was used.
    #[must_use]
    pub fn get(&self, slot: usize) -> Option<&[u8]> {
        self.0.get(slot).map(Vec::as_slice)
    }

    /// Puts a state of another instance into a slot. False when it has not the size that states have here.
    pub fn import(&mut self, slot: usize, state: &[u8], size: usize) -> bool {
        let possible = state.len() == size;
        if possible {
            state.clone_into(self.place(slot));
        }
        possible
    }
}

impl Index<usize> for Slots {
    type Output = Vec<u8>;

    fn index(&self, slot: usize) -> &Vec<u8> {
        &self.0[slot]
    }
}
