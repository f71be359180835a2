//! What a database answers when it does not do what it was asked.

use core::error::Error;
use core::fmt;

use tokio_postgres::error::{Severity, SqlState};

/// A database's failure.
#[derive(Debug)]
pub enum DatabaseError {
    /// `SQLite`'s.
    Sqlite(rusqlite::Error),
    /// Postgres's.
    Postgres(tokio_postgres::Error),
    /// The connection to Postgres is gone, or it does not answer in time.
    Lost(String),
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::Postgres(error) => f.write_str(&told(error)),
            Self::Lost(problem) => write!(f, "the connection is lost: {problem}"),
        }
    }
}

impl Error for DatabaseError {}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What Postgres or the way to it says is wrong. Its details are left out: they quote rows, which are people's.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} (SQLSTATE {})", refused.message(), refused.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// Whether the session ends with this.
pub(super) fn is_fatal(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|refused| matches!(refused.parsed_severity(), Some(Severity::Fatal | Severity::Panic)))
}

impl DatabaseError {
    /// Whether the same may well succeed when it is tried anew, because only somebody else was in the way.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Postgres(error) = self else { return false };
        error.code().is_some_and(|code| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::LOCK_NOT_AVAILABLE,
            ]
            .contains(code)
        })
    }

    /// Whether the database found what was asked wrong in itself: it would find it so again.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Sqlite(error) => {
                error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
            }
            // Classes 22, data exception, and 23, integrity constraint violation.
            Self::Postgres(error) => error
                .code()
                .is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("23")),
            Self::Lost(_) => false,
        }
    }
}
