//! Where the store's bytes live, and how connections to them are made.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use crate::{StoreError, schema};

/// The database's name in the data folder.
const DATABASE: &str = "interplay.sqlite";

/// Locked while a server has the folder. A lock of the system's ends with its process, however that ends.
const LOCK: &str = "interplay.lock";

/// How long a connection waits for another's lock. Only a reader meets one: while a database is being made, or
/// its log recovered.
const BUSY: Duration = Duration::from_secs(5);

/// The files of one store.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    database: PathBuf,
    layer: Option<String>,
}

impl Files {
    /// The files of a folder that is there.
    pub(crate) fn existing(folder: &Path) -> Result<Self, StoreError> {
        let database = folder.join(DATABASE);
        if database.is_file() { Ok(Self { database, layer: None }) } else { Err(StoreError::Missing(database)) }
    }

    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn claimed(folder: &Path, layer: Option<&str>) -> Result<(Self, File), StoreError> {
        let trouble = |path: &Path, source| StoreError::Folder { path: path.to_owned(), source };
        fs::create_dir_all(folder).map_err(|source| trouble(folder, source))?;
        let path = folder.join(LOCK);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| trouble(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(folder.to_owned())),
            Err(TryLockError::Error(source)) => return Err(trouble(&path, source)),
        }
        // A name is durable once the folder that holds it is synced; SQLite syncs this one, not the one above.
        let above = folder.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        if let Some(above) = above {
            sync_folder(&above).map_err(|source| trouble(&above, source))?;
        }
        Ok((Self { database: folder.join(DATABASE), layer: layer.map(str::to_owned) }, lock))
    }

    /// The writer's connection, to a database of this release's schema.
    pub(crate) fn writer(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = self.open(flags)?;
        self.prepare(&mut connection).map_err(|error| self.explain(error))?;
        Ok(connection)
    }

    fn prepare(&self, connection: &mut Connection) -> Result<(), StoreError> {
        if self.layer.is_some() {
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        }
        self.refuse_newer(connection)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;",
        )?;
        schema::migrate(connection)?;
        // A process that was killed between writing its log and syncing it leaves commits that are read but that
        // a power loss would still take, and a repeated batch would be acknowledged on their word (D1). Moving
        // the log into the database syncs both.
        Ok(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?)
    }

    /// A connection that can only read, beside a writer in this process or another, or without any.
    pub(crate) fn reader(&self) -> Result<Connection, StoreError> {
        let connection = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        self.refuse_newer(&connection).map_err(|error| self.explain(error))?;
        Ok(connection)
    }

    fn open(&self, mode: OpenFlags) -> Result<Connection, StoreError> {
        // A connection has one thread at a time, so SQLite's own locks are not needed.
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match &self.layer {
            None => Connection::open_with_flags(&self.database, flags),
            Some(layer) => Connection::open_with_flags_and_vfs(&self.database, flags, layer.as_str()),
        };
        let connection = connection.map_err(|error| self.explain(error.into()))?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }

    fn refuse_newer(&self, connection: &Connection) -> Result<(), StoreError> {
        let found = schema::version(connection)?;
        if found > schema::VERSION {
            return Err(StoreError::Newer { path: self.database.clone(), found, known: schema::VERSION });
        }
        Ok(())
    }

    /// Turns SQLite's word for what a person can cure into ours.
    fn explain(&self, error: StoreError) -> StoreError {
        let StoreError::Database(Error::SqliteFailure(failure, _)) = &error else { return error };
        let path = self.database.clone();
        match failure.code {
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => StoreError::NotADatabase(path),
            ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
                StoreError::Folder { path, source: io::Error::other(error.to_string()) }
            }
            _ => error,
        }
    }
}

/// Makes the names in a folder durable. Only Unix has folders that can be synced.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // A parent that we may pass through but not read is not ours to sync.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            outcome => outcome,
        }
    } else {
        Ok(())
    }
}
