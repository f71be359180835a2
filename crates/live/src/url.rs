//! Where a store is: what may be in its URL, and what of it may be said aloud.

use core::fmt;
use core::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::address::Address;

/// The port of Redis and Valkey.
const PORT: u16 = 6379;

/// Where Redis or Valkey is, and who speaks to it. Says all but the password when it is displayed.
///
/// `redis://user:password@host:port/number`, of which all but the host may be missing; `rediss://` is encrypted.
/// Several, separated by commas, are nodes of one cluster, by which the others are found.
#[derive(Clone)]
pub struct RedisUrl {
    pub(crate) seeds: Vec<Address>,
    pub(crate) encrypted: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: u16,
}

/// A URL that is none, or that asks for what there is not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the URL of Redis must be like redis://user:password@host:6379, or rediss:// where it is encrypted, and \
     several of a cluster's nodes are separated by commas: {0}"
)]
pub struct UrlError(String);

impl FromStr for RedisUrl {
    type Err = UrlError;

    /// A password that is not in the URL comes from the variable `REDIS_PASSWORD`.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let parts = text.split(',').map(|part| part_of(part.trim())).collect::<Result<Vec<_>, _>>()?;
        let differ = |what| Err(UrlError(format!("the nodes of a cluster differ in {what}")));
        let mut parts = parts.into_iter();
        let mut url = parts.next().ok_or_else(|| UrlError("there is none".to_owned()))?;
        for part in parts {
            if part.encrypted != url.encrypted {
                return differ("being encrypted");
            }
            // Who speaks may be said once.
            if part.user.is_some() || part.password.is_some() {
                let said = url.user.is_some() || url.password.is_some();
                if said && (&part.user, &part.password) != (&url.user, &url.password) {
                    return differ("user or password");
                }
                (url.user, url.password) = (part.user, part.password);
            }
            if part.database != 0 {
                url.database = part.database;
            }
            url.seeds.extend(part.seeds);
        }
        if url.seeds.len() > 1 && url.database != 0 {
            return Err(UrlError("a cluster has no numbered databases".to_owned()));
        }
        if url.password.is_none() {
            url.password = std::env::var("REDIS_PASSWORD").ok();
        }
        Ok(url)
    }
}

/// A URL of one node.
fn part_of(text: &str) -> Result<RedisUrl, UrlError> {
    let wrong = |problem: &str| UrlError(problem.to_owned());
    let (encrypted, rest) = if let Some(rest) = text.strip_prefix("redis://") {
        (false, rest)
    } else if let Some(rest) = text.strip_prefix("rediss://") {
        (true, rest)
    } else {
        return Err(wrong("it begins otherwise"));
    };
    if rest.contains(['?', '#']) {
        return Err(wrong(
            "there is nothing to be said after '?' or '#', which in a password are %3F and %23",
        ));
    }
    let (speaker, rest) = rest.rsplit_once('@').map_or((None, rest), |(speaker, rest)| (Some(speaker), rest));
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(wrong("it names no host"));
    }
    let address = Address::of_url(host, PORT).ok_or_else(|| wrong("its host or port is none"))?;
    let database = match database.trim_end_matches('/') {
        "" => 0,
        number => number.parse().map_err(|_| wrong("what follows the host is no database's number"))?,
    };
    let decoded = |text: &str| {
        let text =
            percent_decode_str(text).decode_utf8().map_err(|_| wrong("user or password are no text"))?;
        Ok(Some(text.into_owned()).filter(|text| !text.is_empty()))
    };
    let (user, password) = match speaker.map(|speaker| speaker.split_once(':').unwrap_or((speaker, ""))) {
        Some((user, password)) => (decoded(user)?, decoded(password)?),
        None => (None, None),
    };
    Ok(RedisUrl { seeds: vec![address], encrypted, user, password, database })
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.encrypted { "rediss" } else { "redis" };
        for (at, seed) in self.seeds.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{scheme}://")?;
            if let Some(user) = &self.user {
                write!(f, "{user}@")?;
            }
            write!(f, "{seed}")?;
            if self.database != 0 {
                write!(f, "/{}", self.database)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_shown_without_its_password() {
        let shown = |text: &str| text.parse::<RedisUrl>().unwrap().to_string();
        assert_eq!(shown("redis://localhost"), "redis://localhost:6379");
        assert_eq!(shown("rediss://ann:hu%40sh@db.example.org:7000/3"), "rediss://ann@db.example.org:7000/3");
        assert_eq!(shown("redis://:hush@[::1]:7000"), "redis://[::1]:7000");
        assert_eq!(shown("redis://:hush@one:7000, redis://two:7001"), "redis://one:7000,redis://two:7001");
        let url: RedisUrl = "redis://ann:hu%40s:h@one".parse().unwrap();
        assert_eq!(url.password.as_deref(), Some("hu@s:h"));
        assert!(!format!("{url:?}").contains("hu@"));
    }

    #[test]
    fn what_is_no_url_is_refused_without_the_password() {
        for wrong in [
            "",
            "hush",
            "http://ann:hush@host",
            "redis://ann:hush@",
            "redis://ann:hush@host:0x1",
            "redis://ann:hush@host/first",
            "redis://ann:hush@host?protocol=resp3",
            "redis://one,rediss://two",
            "redis://ann:hush@one,redis://bob:hush@two",
            "redis://one/1,redis://two",
        ] {
            let error = wrong.parse::<RedisUrl>().unwrap_err().to_string();
            assert!(!error.contains("hush") && error.contains("redis://user:password@host"), "{error}");
        }
    }
}
