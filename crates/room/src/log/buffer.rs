//! The messages that are kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use serde::{Deserialize, Serialize};

use super::Message;

/// What a buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bounds {
    /// The last so many messages, acknowledged or not.
    pub least: usize,
    /// As many when they wait to be acknowledged.
    pub most: usize,
    /// The most bytes.
    pub bytes: usize,
    /// The greatest age.
    pub age: Duration,
}

/// Messages of one class, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Buffer {
    bounds: Bounds,
    messages: VecDeque<Arc<Message>>,
    bytes: usize,
}

impl Buffer {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, messages: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, message: Arc<Message>) {
        self.bytes += message.weight();
        self.messages.push_back(message);
    }

    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Arc<Message>> {
        let from = self.messages.partition_point(|message| message.sequence <= sequence);
        self.messages.range(from..)
    }

    /// When the oldest becomes too old.
    pub(super) fn expiry(&self) -> Option<Timestamp> {
        self.messages.front().map(|message| message.kept_since + self.bounds.age)
    }

    /// Takes the oldest out if it may not stay. `is_awaited` tells whether somebody has not acknowledged it.
    pub(super) fn trim(
        &mut self,
        now: Timestamp,
        is_awaited: impl FnOnce(&Message) -> bool,
    ) -> Option<Arc<Message>> {
        let Bounds { least, most, bytes, age } = self.bounds;
        let oldest = self.messages.front()?;
        let count = self.messages.len();
        let must = count > most || self.bytes > bytes || now.saturating_since(oldest.kept_since) >= age;
        if !must && (count <= least || is_awaited(oldest)) {
            return None;
        }
        let message = self.messages.pop_front()?;
        self.bytes -= message.weight();
        if self.messages.capacity() > 64 && self.messages.len() < self.messages.capacity() / 4 {
            self.messages.shrink_to(self.messages.len() * 2);
        }
        Some(message)
    }
}
