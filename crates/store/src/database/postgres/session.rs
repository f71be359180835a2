//! One connection to the server, from its beginning until it is lost.

use core::time::Duration;
use std::collections::HashMap;

use tokio::task::JoinHandle;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, Statement};

use super::address::DatabaseUrl;
use super::tls;
use crate::database::error::told;

/// The longest that connecting may take, to each of the hosts.
const CONNECT: Duration = Duration::from_secs(5);

/// How long what was sent may stay unacknowledged, and how long a silent peer is believed to be there.
const SILENCE: Duration = Duration::from_secs(15);
const STAGE_SILENCE: Duration = Duration::from_secs(6);

/// What the server is to do for every session of ours: notice that this machine has gone, so that what it held is free; and
/// answer a commit when it is on the disk (a stricter setting of the server's own stays).
const SETTINGS: &str = "
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 2;
    SET tcp_user_timeout = 15000;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') IN ('off', 'local');";

/// The same for a session on which other nodes wait: a machine that is gone is noticed within six seconds.
const STAGE_SETTINGS: &str = "
    SET tcp_keepalives_idle = 3;
    SET tcp_keepalives_interval = 1;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = 6000;";

/// What a session is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Write,
    /// To write, or to watch who does, where several nodes could.
    Stage,
    Read,
}

pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<String, Statement>,
    /// Carries bytes while somebody waits for an answer.
    carrier: JoinHandle<()>,
}

impl Session {
    pub(super) async fn open(url: &DatabaseUrl, purpose: Purpose) -> Result<Self, String> {
        let mut config = Config::clone(url.config());
        let (silence, idle, interval, retries) = match purpose {
            Purpose::Stage => (STAGE_SILENCE, Duration::from_secs(3), Duration::from_secs(1), 3),
            Purpose::Write | Purpose::Read => (SILENCE, Duration::from_secs(10), Duration::from_secs(5), 2),
        };
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(silence)
            .keepalives_idle(idle)
            .keepalives_interval(interval)
            .keepalives_retries(retries)
            .application_name("interplay");
        // Of several, the one that takes writes; a reader may be sent to a standby of its own.
        if purpose != Purpose::Read || config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let encrypted = config.get_ssl_mode() != SslMode::Disable;
        let failed = |error: Error| {
            let cure = "; if its certificate is its own, name it with SSL_CERT_FILE, or say sslmode=disable";
            format!("{}{}", told(&error), if encrypted && error.as_db_error().is_none() { cure } else { "" })
        };
        let (client, carrier) = if encrypted {
            let (client, connection) = config.connect(tls::connector()?).await.map_err(failed)?;
            (client, tokio::spawn(async { drop(connection.await) }))
        } else {
            let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
            (client, tokio::spawn(async { drop(connection.await) }))
        };
        let session = Self { client, statements: HashMap::new(), carrier };
        let settings = if purpose == Purpose::Stage { STAGE_SETTINGS } else { "" };
        session.client.batch_execute(&[SETTINGS, settings].concat()).await.map_err(|error| told(&error))?;
        Ok(session)
    }

    /// A statement of ours, prepared: once in a session.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        // Nothing of ours has a question mark but before a parameter's number.
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// The first column of the first row, as text, of what is asked seldom.
    pub(super) async fn ask(&self, sql: &str) -> Result<Option<String>, Error> {
        let answers = self.client.simple_query(sql).await?;
        let mut rows = answers.iter().filter_map(|answer| match answer {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(rows.next().and_then(|row| row.get(0)).map(ToOwned::to_owned))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}
