//! What a store tells unasked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{PushInfo, PushKind, Value};
use room::replica::{NodeId, Stored};
use tokio::sync::mpsc;
use wire::room::RoomId;

use crate::codec;

/// How many news may wait for who reads them.
const QUEUE: usize = 4096;

/// What a store tells of the rooms that it was asked to tell of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Entries were appended, by this node or by another.
    Stored {
        /// Where.
        room: RoomId,
        /// What.
        entries: Vec<Stored>,
    },
    /// What a node has relayed, this one too.
    Relayed {
        /// Where.
        room: RoomId,
        /// Who.
        from: NodeId,
        /// What.
        bytes: Vec<u8>,
    },
    /// Publications may be missing, of any room: every room is to be read. From here on none is.
    Interrupted,
}

/// Takes news to who reads them. It never waits, so nothing grows with a slow reader: what has no room is lost, and
/// that is told ([`News::Interrupted`]).
#[derive(Clone)]
pub(crate) struct Teller {
    news: mpsc::Sender<News>,
    has_missed: Arc<AtomicBool>,
}

impl Teller {
    pub(crate) fn new() -> (Self, mpsc::Receiver<News>) {
        let (news, receiver) = mpsc::channel(QUEUE);
        (Self { news, has_missed: Arc::default() }, receiver)
    }

    /// Tells a publication, whatever is in it.
    pub(crate) fn publication(&self, push: PushInfo) {
        let PushInfo { kind: PushKind::SMessage, data } = push else { return };
        let [Value::BulkString(channel), Value::BulkString(bytes)] = data.as_slice() else { return };
        let Some(room) = codec::room_of_channel(channel) else { return };
        match codec::publication(room.clone(), bytes) {
            Ok(news) => {
                if self.news.try_send(news).is_err() {
                    self.has_missed.store(true, Ordering::Release);
                }
            }
            // Who misses it reads it.
            Err(error) => tracing::warn!(%room, %error, "a publication is dropped"),
        }
    }

    /// Publications may be missing.
    pub(crate) fn interrupted(&self) {
        self.has_missed.store(true, Ordering::Release);
        self.catch_up();
    }

    /// Tells what had no room.
    pub(crate) fn catch_up(&self) {
        if self.has_missed.swap(false, Ordering::AcqRel) && self.news.try_send(News::Interrupted).is_err() {
            self.has_missed.store(true, Ordering::Release);
        }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.news.is_closed()
    }
}
