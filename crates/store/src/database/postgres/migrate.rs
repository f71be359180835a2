//! Brings the schema up to date, when several servers start at once too.

use tokio_postgres::Error;

use super::session::Session;
use crate::schema;

/// Holds back others that would migrate: the lock's number is ours, and means nothing else.
const LOCK: i64 = 0x696e_7465_726d_6967;

/// What the database's schema was found to be.
pub(super) enum Migrated {
    /// This release's, by now.
    Current,
    /// One of a later release.
    Newer(u32),
}

/// All or nothing, within one transaction.
pub(super) async fn migrate(session: &Session) -> Result<Migrated, Error> {
    // Whoever comes second waits until the first is done, however long that takes.
    session
        .client
        .batch_execute("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
        .await?;
    session.ask(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let found = version(session).await?.unwrap_or(0);
    if found > schema::VERSION {
        session.client.batch_execute("ROLLBACK").await?;
        return Ok(Migrated::Newer(found));
    }
    for (version, sql) in schema::POSTGRES {
        if version > found {
            session.client.batch_execute(sql).await?;
            let written =
                format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({version})");
            session.client.batch_execute(&written).await?;
        }
    }
    session.client.batch_execute("COMMIT").await?;
    Ok(Migrated::Current)
}

/// The schema's version; none when no server has made one yet.
pub(super) async fn version(session: &Session) -> Result<Option<u32>, Error> {
    if session.ask("SELECT to_regclass('schema_version')::text").await?.is_none() {
        return Ok(None);
    }
    let version = session.ask("SELECT version FROM schema_version").await?;
    Ok(version.and_then(|version| version.parse().ok()))
}
