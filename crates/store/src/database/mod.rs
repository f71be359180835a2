//! The two databases, behind one face: the same SQL, written once, is spoken to both.
//!
//! Statements have `?1`, `?2` for their parameters, and only what both understand: `ON CONFLICT`, `RETURNING`, numbers of
//! 64 bits, text and bytes. What differs is the schema (`schema/`), and how a transaction begins and ends ([`sqlite`],
//! [`postgres`]).
//!
//! A connection is borrowed mutably while rows are read, so that nobody can ask it something else in between: Postgres could
//! not answer.

mod error;
pub(crate) mod postgres;
pub(crate) mod sqlite;
mod value;

use core::ops::ControlFlow;

pub use error::DatabaseError;
pub(crate) use value::{Row, Value, values};

use crate::StoreError;
use postgres::Postgres;
use sqlite::Sqlite;

/// A connection to a database.
pub(crate) enum Connection {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

/// What became of a transaction that was not committed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Somebody else was in the way. Nothing was written.
    Conflict(String),
    /// The connection is gone. Nothing was written.
    Lost(String),
    /// The connection went while this was being committed: it was written, or it was not.
    Unknown,
    /// The database could not do it. Nothing was written.
    Failed(String),
}

impl Broken {
    /// What a failure within a transaction makes of it, when that is more than one job's own affair.
    pub(crate) fn by(error: &StoreError) -> Option<Self> {
        match error {
            StoreError::Database(error @ DatabaseError::Lost(_)) => Some(Self::Lost(error.to_string())),
            StoreError::Database(error) if error.is_conflict() => Some(Self::Conflict(error.to_string())),
            _ => None,
        }
    }
}

impl From<DatabaseError> for Broken {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Lost(_) => Self::Lost(error.to_string()),
            _ if error.is_conflict() => Self::Conflict(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl Connection {
    /// Does something to rows; answers to how many.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(sqlite) => sqlite.execute(sql, values)?,
            Self::Postgres(postgres) => postgres.execute(sql, values)?,
        })
    }

    /// Does the same with several sets of parameters, without waiting for each.
    pub(crate) fn execute_each<const N: usize>(
        &mut self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.execute_each(sql, rows)?,
            Self::Postgres(postgres) => postgres.execute_each(sql, rows)?,
        }
        Ok(())
    }

    /// Reads rows one after another, until there are no more or the reader has had enough.
    pub(crate) fn each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.each(sql, values, read),
            Self::Postgres(postgres) => postgres.each(sql, values, read),
        }
    }

    /// Reads all rows.
    pub(crate) fn all<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.each(sql, values, |row| {
            all.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// Reads the first row, if there is one.
    pub(crate) fn first<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut first = None;
        self.each(sql, values, |row| {
            first = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// Begins what is committed together.
    pub(crate) fn begin(&mut self) -> Result<(), Broken> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch("BEGIN IMMEDIATE")?,
            Self::Postgres(postgres) => postgres.batch("BEGIN")?,
        }
        Ok(())
    }

    /// Makes it durable.
    pub(crate) fn commit(&mut self) -> Result<(), Broken> {
        match self {
            Self::Sqlite(sqlite) => Ok(sqlite.batch("COMMIT")?),
            Self::Postgres(postgres) => postgres.commit(),
        }
    }

    /// Takes back what is not committed, if there is something to take back.
    pub(crate) fn roll_back(&mut self) {
        match self {
            // Already done when the failure was a full disk; then this says so and changes nothing.
            Self::Sqlite(sqlite) => drop(sqlite.batch("ROLLBACK")),
            Self::Postgres(postgres) => postgres.roll_back(),
        }
    }

    /// Begins what can be taken back alone.
    pub(crate) fn begin_part(&mut self) -> Result<(), Broken> {
        self.batch("SAVEPOINT job")
    }

    /// Ends it, taking it back when it failed.
    pub(crate) fn end_part(&mut self, failed: bool) -> Result<(), Broken> {
        if failed { self.batch("ROLLBACK TO job; RELEASE job") } else { self.batch("RELEASE job") }
    }

    fn batch(&mut self, sql: &'static str) -> Result<(), Broken> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch(sql)?,
            Self::Postgres(postgres) => postgres.batch(sql)?,
        }
        Ok(())
    }

    /// Comes back after the connection was lost: one attempt.
    pub(crate) fn reconnect(&mut self) -> Result<(), StoreError> {
        match self {
            // It is a file: there is nothing to lose.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.reconnect(),
        }
    }

    /// Says, within what is committed last, that another node may take over.
    pub(crate) fn leave(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(postgres) => postgres.leave(),
        }
    }

    /// Lets another node take over. Nothing is to be asked of this connection after it.
    pub(crate) fn let_go(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(postgres) => postgres.let_go(),
        }
    }

    /// Whether the last transaction was committed, when that was not heard.
    pub(crate) fn was_committed(&mut self) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(postgres) => postgres.was_committed(),
        }
    }
}
