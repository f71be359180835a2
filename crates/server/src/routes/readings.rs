//! Reading beside the store, for requests: neither the writer nor any socket waits for it.

use std::sync::Arc;

use store::{Location, Reader, StoreError};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// How many read at once: each has a connection to the database, of which that may have a hundred.
const MOST_READINGS: usize = 8;

/// Reading beside the store.
#[derive(Clone)]
pub(crate) struct Readings {
    location: Location,
    free: Arc<Semaphore>,
}

impl Readings {
    pub(crate) fn of(location: Location) -> Self {
        Self { location, free: Arc::new(Semaphore::new(MOST_READINGS)) }
    }

    /// Reads something that may take a while.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let place =
            Arc::clone(&self.free).acquire_owned().await.map_err(|error| Problem::internal(&error))?;
        let location = self.location.clone();
        let read = move || {
            // Held until it is done, also when nobody waits for it any more.
            let _place = place;
            read(&Reader::open(location)?)
        };
        Ok(tokio::task::spawn_blocking(read).await.map_err(|error| Problem::internal(&error))??)
    }
}
