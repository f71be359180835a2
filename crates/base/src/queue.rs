//! A queue that cannot grow past the length it was made with.

use std::collections::VecDeque;

/// First in, first out, at most `capacity` items.
#[derive(Clone, Debug)]
pub struct BoundedQueue<T> {
    items: VecDeque<T>,
    capacity: usize,
}

impl<T> BoundedQueue<T> {
    /// An empty queue; memory is taken as items come.
    #[must_use]
    pub const fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity }
    }

    /// Appends an item.
    ///
    /// # Errors
    /// Gives the item back when the queue is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.items.len() >= self.capacity {
            return Err(item);
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Appends an item, dropping the oldest when the queue is full. Returns what was dropped.
    pub fn push_dropping_oldest(&mut self, item: T) -> Option<T> {
        let dropped = if self.items.len() >= self.capacity { self.items.pop_front() } else { None };
        if self.capacity > 0 {
            self.items.push_back(item);
        }
        dropped
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The waiting items, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Drops every item that `keep` refuses.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.items.retain(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let mut queue = BoundedQueue::new(1);
        assert_eq!(queue.push('a'), Ok(()));
        assert_eq!(queue.push('b'), Err('b'));
        assert_eq!(queue.pop(), Some('a'));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut queue = BoundedQueue::new(2);
        assert_eq!(queue.push_dropping_oldest(1), None);
        assert_eq!(queue.push_dropping_oldest(2), None);
        assert_eq!(queue.push_dropping_oldest(3), Some(1));
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), [2, 3]);
    }
}
