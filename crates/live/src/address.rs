//! Where one server is.

use core::fmt;

/// A host and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    /// Without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// As it is written in a URL.
    pub(crate) fn of_url(text: &str, port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { port } else { rest.strip_prefix(':')?.parse().ok()? };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, number)) => (host, number.parse().ok()?),
                None => (text, port),
            },
        };
        let whole = !host.is_empty() && port != 0;
        whole.then(|| Self { host: host.to_owned(), port })
    }

    /// As a server of a cluster tells another's. One that does not know its own host leaves it out: it is where it was
    /// asked.
    pub(crate) fn of_redirection(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::told(host, port.parse().ok()?, asked))
    }

    /// As [`Address::of_redirection`], in parts.
    pub(crate) fn told(host: &str, port: u16, asked: &Self) -> Self {
        let host = if host.is_empty() || host == "?" { &asked.host } else { host };
        Self { host: host.to_owned(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_know_its_host_is_where_it_was_asked() {
        let asked = Address::of_url("one", 7000).unwrap();
        let told = |text| Address::of_redirection(text, &asked).map(|address| address.to_string());
        assert_eq!(told("10.0.0.1:7001").as_deref(), Some("10.0.0.1:7001"));
        assert_eq!(told("::1:7001").as_deref(), Some("[::1]:7001"));
        assert_eq!(told(":7001").as_deref(), Some("one:7001"));
        assert_eq!(told("?:7001").as_deref(), Some("one:7001"));
        assert_eq!(told("nonsense"), None);
    }
}
