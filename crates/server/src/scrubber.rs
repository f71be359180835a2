//! Takes out of the database's files what was deleted, as soon as nobody is in the way (D5).

use std::sync::Arc;
use std::time::Duration;

use store::{Store, StoreError};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// How long to wait for those who read, an export for example.
const AGAIN: Duration = Duration::from_secs(1);

/// How long somebody waits who wants to know that it is done, and how often it is tried meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: u32 = 40;

/// Does it now, if that is possible soon: false while somebody reads for long.
///
/// # Errors
/// The database's.
pub(crate) async fn scrub(store: &Store) -> Result<bool, StoreError> {
    for _ in 0..TRIES {
        if store.scrub().await? {
            return Ok(true);
        }
        // Another that does the same, or a commit, is soon done.
        sleep(PATIENCE / TRIES).await;
    }
    Ok(false)
}

/// The way to the one task that does it.
#[derive(Clone)]
pub(crate) struct Scrubber {
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Scrubber {
    /// Starts the task.
    pub(crate) fn start(store: Store) -> Self {
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let task = tokio::spawn(async move {
            loop {
                woken.notified().await;
                loop {
                    match store.scrub().await {
                        Ok(true) => break,
                        Ok(false) => {}
                        Err(error) => {
                            tracing::warn!(%error, "what was deleted cannot be taken out of the files");
                        }
                    }
                    sleep(AGAIN).await;
                }
            }
        });
        Self { wake, task: task.abort_handle() }
    }

    /// Does no more. Whoever begins next does it, too.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// Something was deleted.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }
}
