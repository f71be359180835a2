//! The databases that the suite holds for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use store::{Location, Reader, Store};
use tempfile::TempDir;

use super::postgres::PostgresServer;
use super::put_a_game;

/// Makes each a test of its own on each of the databases.
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::support::database::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::support::database::Database::postgres()).await;
            })+
        }
    };
}
pub(crate) use on_each_database;

/// An empty database.
pub(crate) struct Database {
    pub(crate) location: Location,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { location: folder.path().into(), _folder: Some(folder) }
    }

    pub(crate) fn postgres() -> Self {
        let url = PostgresServer::shared().database();
        Self { location: Location::Postgres(url.parse().unwrap()), _folder: None }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&self.location).unwrap()
    }

    pub(crate) async fn store_with_a_game(&self) -> Store {
        let store = self.store();
        put_a_game(&store).await;
        store
    }

    /// Reads what is there now, on a thread that may wait.
    pub(crate) fn read<T: Send>(&self, read: impl FnOnce(&Reader) -> T + Send) -> T {
        let read = || read(&Reader::open(&self.location).unwrap());
        let read = std::thread::scope(|scope| scope.spawn(read).join());
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
