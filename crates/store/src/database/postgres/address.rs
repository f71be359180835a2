//! A Postgres database's URL: what may be in it, and what of it may be said aloud.

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Where a Postgres database is, and who speaks to it. Says all but the password when it is displayed.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Arc<Config>,
    shown: String,
}

/// A URL that is none, or that asks for what there is not.
#[derive(Debug, thiserror::Error)]
#[error("the database's URL must be like postgres://user:password@host/name?sslmode=require: {0}")]
pub struct UrlError(String);

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    /// Without a word on it, the connection is encrypted unless it stays on this machine. A password that is not in the URL
    /// comes from the variable `PGPASSWORD`.
    fn from_str(url: &str) -> Result<Self, UrlError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(UrlError("it begins otherwise".to_owned()));
        }
        // Whatever is encrypted is verified too, so these are one.
        let plain = url.replace("sslmode=verify-full", "sslmode=require");
        let plain = plain.replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config =
            plain.parse().map_err(|error| UrlError(crate::database::error::told(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(UrlError("it names no host".to_owned()));
        }
        if !url.contains("sslmode=") {
            let stays = config.get_hosts().iter().all(is_this_machine);
            config.ssl_mode(if stays { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_password().is_none()
            && let Some(password) = std::env::var_os("PGPASSWORD")
        {
            config.password(password.into_encoded_bytes());
        }
        let shown = shown(&config);
        Ok(Self { config: Arc::new(config), shown })
    }
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    }
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).or_else(|| ports.first()).map(|port| format!(":{port}")).unwrap_or_default();
        match host {
            Host::Tcp(name) => format!("{name}{port}"),
            Host::Unix(folder) => format!("{}{port}", folder.display()),
        }
    });
    let hosts = hosts.collect::<Vec<_>>().join(",");
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    // Without a name it is the user's, as everywhere.
    let name = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{hosts}/{name}")
}

impl DatabaseUrl {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = url("postgres://ann:hush@db.example.org:6000,other.example.org:6001/study");
        assert_eq!(url.to_string(), "postgres://ann@db.example.org:6000,other.example.org:6001/study");
        assert!(!format!("{url:?} {:?}", url.config()).contains("hush"));
        for wrong in
            ["mysql://ann:hush@host/x", "postgres://ann:hush@host/x?sslmode=maybe", "hush", "postgres:///x"]
        {
            let error = wrong.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(
                !error.contains("hush") && error.contains("postgres://user:password@host/name"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_unless_that_is_forbidden() {
        let mode = |text| url(text).config().get_ssl_mode();
        assert_eq!(mode("postgres://localhost/x"), SslMode::Disable);
        assert_eq!(mode("postgres://%2Frun%2Fpostgresql/x"), SslMode::Disable);
        assert_eq!(mode("postgres://127.0.0.1,db.example.org/x"), SslMode::Require);
        assert_eq!(mode("postgres://db.example.org/x?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://localhost/x?sslmode=verify-full"), SslMode::Require);
    }
}
