//! What can be wrong with a store.

use core::time::Duration;

/// Why nothing can be begun with a store. Each names the culprit and the cure.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It cannot be reached, or does not let us in.
    #[error("{url} cannot be used: {problem}; see that it runs, and that host, port and password are right")]
    Unreachable {
        /// Which.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// What encrypts the connection cannot be made ready.
    #[error("{url} cannot be spoken to in secret: {problem}; name trusted certificates with SSL_CERT_FILE")]
    Tls {
        /// Which.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// It is too old.
    #[error("{url} is Redis {found}, which is too old: Redis 7.0 or Valkey 7.2 is needed")]
    TooOld {
        /// Which.
        url: String,
        /// What it is.
        found: String,
    },
    /// It does not do, or does not let its user do, what is needed.
    #[error(
        "{url} does not do what rooms need: {problem}; its user needs the keys and channels interplay:*, and \
         the commands of strings, hashes, sorted sets, streams, keys, scripts and publication, and INFO"
    )]
    Unfit {
        /// Which.
        url: String,
        /// What is wrong.
        problem: String,
    },
}

/// Nothing is known of what the store did: all of what it was asked, or nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unanswered {
    /// It did not answer in time.
    #[error("the store did not answer within {} ms: {problem}", limit.as_millis())]
    Late {
        /// The time that it had.
        limit: Duration,
        /// What is known of the reason.
        problem: String,
    },
    /// The connection was lost before the answer came.
    #[error("the connection to the store was lost: {0}")]
    Lost(String),
    /// It answers, but not to what was asked.
    #[error("the store answers something else: {0}")]
    Strange(String),
}
