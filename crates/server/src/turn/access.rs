//! Credentials for TURN: a name that says until when it is good and whose it is, and a password that only this
//! server can make of it (the scheme that other TURN servers know as `use-auth-secret`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base::VisitId;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use wire::control::IceServer;

/// What sets these passwords apart from anything else that is made of the same secret.
const PURPOSE: &[u8] = b"interplay turn";

/// Makes and reads credentials.
#[derive(Clone)]
pub(crate) struct TurnAccess {
    key: [u8; 20],
    lifetime: Duration,
    ports: Vec<u16>,
    tls_ports: Vec<u16>,
}

/// What a name says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Name {
    /// Seconds since the Unix epoch.
    pub(super) expires: u64,
    pub(super) visit: VisitId,
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (expires, visit) = name.split_once(':')?;
        Some(Self { expires: expires.parse().ok()?, visit: visit.parse().ok()? })
    }
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 20] {
    // A key of any length is taken.
    Hmac::<Sha1>::new_from_slice(key)
        .map_or([0; 20], |mac| mac.chain_update(text).finalize().into_bytes().into())
}

impl TurnAccess {
    pub(crate) fn new(secret: &[u8], lifetime: Duration, ports: Vec<u16>) -> Self {
        Self { key: mac(secret, PURPOSE), lifetime, ports, tls_ports: Vec::new() }
    }

    /// Tells pages of these ports too, for TURN over TLS.
    pub(super) fn with_tls(mut self, ports: Vec<u16>) -> Self {
        self.tls_ports = ports;
        self
    }

    /// The password that belongs to a name.
    pub(super) fn password(&self, name: &str) -> String {
        STANDARD.encode(mac(&self.key, name.as_bytes()))
    }

    /// A name of a visit, and its password.
    pub(crate) fn credentials(&self, visit: VisitId) -> (String, String) {
        let name = format!("{}:{visit}", unix_seconds() + self.lifetime.as_secs());
        let password = self.password(&name);
        (name, password)
    }

    pub(crate) fn lifetime_millis(&self) -> u32 {
        u32::try_from(self.lifetime.as_millis()).unwrap_or(u32::MAX)
    }

    /// The ports that pages are told of: for UDP and TCP, and for TLS.
    pub(super) fn ports(&self) -> (&[u16], &[u16]) {
        (&self.ports, &self.tls_ports)
    }

    /// What a page needs to use this server, which it reached under the name `host` (as in HTTP, port and all).
    pub(crate) fn servers(&self, visit: VisitId, host: &str) -> Vec<IceServer> {
        let host = without_port(host);
        let (name, password) = self.credentials(visit);
        let stun = self.ports.iter().take(1).map(|port| format!("stun:{host}:{port}"));
        let turn = self.ports.iter().flat_map(|port| {
            ["udp", "tcp"].map(|transport| format!("turn:{host}:{port}?transport={transport}"))
        });
        let tls = self.tls_ports.iter().map(|port| format!("turns:{host}:{port}?transport=tcp"));
        let turn = turn.chain(tls);
        vec![
            IceServer { urls: stun.collect(), username: None, credential: None },
            IceServer { urls: turn.collect(), credential: Some(password), username: Some(name) },
        ]
    }
}

impl std::fmt::Debug for TurnAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnAccess").field("ports", &self.ports).finish_non_exhaustive()
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // `[::1]` has colons of its own.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_every_port() {
        let access = TurnAccess::new(b"secret", Duration::from_secs(60), vec![3478, 443]);
        let visit = VisitId::from_random([5; 16]);
        let [stun, turn] = access.servers(visit, "study.example:8080").try_into().unwrap();
        assert_eq!(stun.urls, ["stun:study.example:3478"]);
        assert_eq!(turn.urls.len(), 4);
        assert_eq!(turn.urls[3], "turn:study.example:443?transport=tcp");
        let name = turn.username.unwrap();
        let parsed = Name::parse(&name).unwrap();
        assert_eq!(parsed.visit, visit);
        assert!((59..=61).contains(&(parsed.expires - unix_seconds())));
        assert_eq!(turn.credential, Some(access.password(&name)));
    }

    #[test]
    fn hosts_lose_their_port_only() {
        for (host, name) in [("a.b:80", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("a.b", "a.b")] {
            assert_eq!(without_port(host), name);
        }
    }

    #[test]
    fn another_secret_makes_another_password() {
        let with = |secret| TurnAccess::new(secret, Duration::ZERO, vec![]).password("1:2");
        assert_ne!(with(b"a"), with(b"b"));
    }
}
