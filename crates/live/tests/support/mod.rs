//! Redis servers of the tests' own, and what all tests of rooms in them need.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses what it needs")]

pub(crate) mod cluster;
pub(crate) mod server;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use live::{Live, News, RedisUrl};
use room::log::{Draft, LogRules};
use room::replica::{Command, Entry, EntryId, NodeId, Origin, Position, Snapshot};
use tokio::sync::mpsc::Receiver;
use wire::room::{Class, Epoch, Payload, RoomId};

/// Longer than anything takes that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long rooms live in tests that do not wait for their end.
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// A store, and what it tells.
pub(crate) struct Node {
    pub(crate) live: Live,
    pub(crate) news: Receiver<News>,
}

impl Node {
    pub(crate) async fn of(url: &str) -> Self {
        let url: RedisUrl = url.parse().unwrap();
        let (live, news) = Live::connect(&url, TTL).await.unwrap();
        Self { live, news }
    }

    /// The next of the news.
    pub(crate) async fn hear(&mut self) -> News {
        tokio::time::timeout(PATIENCE, self.news.recv()).await.expect("nothing is heard").unwrap()
    }

    /// Waits until it is told that something may be missing.
    pub(crate) async fn hear_of_interruption(&mut self) {
        while self.hear().await != News::Interrupted {}
    }
}

/// Tries until it is so.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A room that no other test has.
pub(crate) fn room() -> RoomId {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("a.room~of:tests@no-{number}-{}", std::process::id()).parse().unwrap()
}

pub(crate) fn epoch(number: u64) -> Epoch {
    // Greater than what a double holds exactly.
    Epoch(u64::MAX - number)
}

/// What a room begins with, or one of its later snapshots: only the version differs.
pub(crate) fn snapshot(epoch: Epoch, version: u64) -> Vec<u8> {
    Snapshot { version, ..Snapshot::of_nothing(epoch, LogRules::default()) }.to_bytes()
}

pub(crate) fn at(epoch: Epoch, version: u64) -> Position {
    Position { epoch, version }
}

/// A node's entry with this counter.
pub(crate) fn entry(node: u64, counter: u64) -> Entry {
    let payload = Payload::Json(format!("\"what {node} says, for the {counter}. time\"").into());
    let draft = Draft { to: None, class: Class::Normal, payload };
    let origin = Origin { node: NodeId(node), opening: 1 };
    Entry { id: EntryId { origin, counter }, command: Command::Publish { draft } }
}

pub(crate) fn entries(node: u64, counters: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    counters.into_iter().map(|counter| entry(node, counter)).collect()
}
