//! A data folder's database, or one that a test has put somewhere else.

use core::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::{OpenFlags, params_from_iter};

use super::{DatabaseError, Row, Value};
use crate::StoreError;
use crate::schema;

/// How long to wait for another process that holds the database.
const BUSY: Duration = Duration::from_secs(5);

/// Releases before this version of the schema left in their files what they had deleted.
const FIRST_THAT_OVERWRITES: u32 = 7;

/// How many prepared statements are kept: all that there are.
const STATEMENTS: usize = 64;

pub(crate) struct Sqlite {
    connection: rusqlite::Connection,
}

impl Sqlite {
    /// Opens a database for writing, and brings its schema up to date.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        Self::over(rusqlite::Connection::open(path).map_err(open)?, path)
    }

    /// The same, of a connection that was made elsewhere.
    pub(crate) fn over(connection: rusqlite::Connection, path: &Path) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        // A server that was killed may have left there what was deleted. Nobody waits for that.
        connection.busy_timeout(Duration::ZERO).and_then(|()| empty_log(&connection)).map_err(open)?;
        connection.busy_timeout(BUSY).map_err(open)?;
        // FULL: a commit is on the disk before it is answered, also when power is lost. What is deleted is overwritten (D5).
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
                 PRAGMA secure_delete = ON;",
            )
            .map_err(open)?;
        let found = version(&connection).map_err(open)?;
        let known = schema::VERSION;
        if found > known {
            return Err(StoreError::Newer { database: path.display().to_string(), found, known });
        }
        let missing = schema::SQLITE[found as usize..].concat();
        // All or nothing: a server that is killed meanwhile leaves the old one whole. Where nothing is missing this is written all
        // the same: what a killed server wrote may be in the system's memory only, and the sync of a commit is of all that was
        // before. A batch that is told again changes nothing, so its own commit syncs nothing.
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {missing} PRAGMA user_version = {known}; COMMIT;"))
            .map_err(open)?;
        if (1..FIRST_THAT_OVERWRITES).contains(&found) {
            connection.execute_batch("VACUUM").map_err(open)?;
        }
        Ok(Self::with(connection))
    }

    /// Opens a database for reading only, in one transaction. Answers its schema's version too.
    pub(crate) fn open_to_read(path: &Path) -> Result<(Self, u32), StoreError> {
        let open = |source| StoreError::Open { path: path.to_owned(), source };
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = rusqlite::Connection::open_with_flags(path, flags).map_err(open)?;
        // One transaction for all that is read: rows that come meanwhile belong to the next export.
        connection.execute_batch("BEGIN; SELECT game FROM games LIMIT 1;").map_err(open)?;
        let version = version(&connection).map_err(open)?;
        Ok((Self::with(connection), version))
    }

    fn with(connection: rusqlite::Connection) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Self { connection }
    }

    pub(super) fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    pub(super) fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, DatabaseError> {
        Ok(self.connection.prepare_cached(sql)?.execute(params_from_iter(values))? as u64)
    }

    pub(super) fn execute_each<const N: usize>(
        &self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), DatabaseError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        for row in rows {
            statement.execute(params_from_iter(row))?;
        }
        Ok(())
    }

    pub(super) fn each(
        &self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(DatabaseError::from)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(DatabaseError::from)?;
        while let Some(row) = rows.next().map_err(DatabaseError::from)? {
            if read(&Row::Sqlite(row))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes out of the files what was deleted: the pages themselves were overwritten, and the log still has the old ones. False when
/// somebody is in the way, for whom it does not wait: others would wait with it.
pub(crate) fn scrub(path: &Path) -> Result<bool, StoreError> {
    let open = |source| StoreError::Open { path: path.to_owned(), source };
    let connection = rusqlite::Connection::open(path).map_err(open)?;
    connection.busy_timeout(Duration::ZERO).map_err(open)?;
    empty_log(&connection).map_err(open)
}

fn empty_log(connection: &rusqlite::Connection) -> rusqlite::Result<bool> {
    let emptied =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, u32>(0)? == 0));
    match emptied {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        emptied => emptied,
    }
}

fn version(connection: &rusqlite::Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}
