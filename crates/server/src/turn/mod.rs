//! STUN and TURN in the same process (L1): a thread of its own that moves packets between sockets.
//!
//! | module | subject |
//! | --- | --- |
//! | `access` | who may use it: credentials that expire |
//! | `policy` | where it may send |
//! | `offer` | what pages are told of, on one server or several nodes |
//! | `client` | one client's protocol, and what is refused before it |
//! | `relay` | the sockets |
//! | `probe` | the other side, for `doctor` and tests |

mod access;
mod client;
mod offer;
mod policy;
mod probe;
mod relay;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) use access::TurnAccess;
pub(crate) use offer::{Place, TurnOffer};
use policy::Policy;
pub(crate) use probe::{Over, Probe, ProbeError};
use relay::Relay;

/// How STUN and TURN are served.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// The ports to listen on, over UDP and TCP; none when they were not asked for.
    pub ports: Option<Vec<u16>>,
    /// The certificate for TURN over TLS, if there is one.
    pub tls: Option<TlsFiles>,
    /// Where TURN over TLS listens.
    pub tls_ports: Vec<u16>,
    /// The address under which others reach this machine.
    pub external_ip: Option<IpAddr>,
    /// Where relayed connections get their ports from.
    pub relay_ports: RangeInclusive<u16>,
    /// Whether it may send to private addresses.
    pub allow_private: bool,
    /// How long credentials are good.
    pub lifetime: Duration,
    /// The most allocations of a visit at a time.
    pub allocations: usize,
    /// The most bytes a second of a visit, both ways together.
    pub bytes_per_second: u32,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, with those that lead to its root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsFiles {
    fn load(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let name = |path: &Path| format!("cannot read {}", path.display());
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| name(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).with_context(|| name(&self.key))?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .with_context(|| {
                format!("{} and {} do not fit", self.certificate.display(), self.key.display())
            })?;
        Ok(Arc::new(config))
    }
}

/// The port that browsers are told of when none is asked for.
const USUAL_PORT: u16 = 3478;

/// The running server; stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    stop: Arc<AtomicBool>,
    waker: Arc<mio::Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Turn {
    /// Starts to listen. `None` when nobody asked for ports and the usual one is taken.
    ///
    /// # Errors
    /// When a port that was asked for cannot be listened on.
    pub(crate) fn start(
        listen: IpAddr,
        config: &TurnConfig,
        secret: &[u8],
    ) -> anyhow::Result<Option<(Self, TurnAccess)>> {
        let ports = config.ports.clone().unwrap_or_else(|| vec![USUAL_PORT]);
        if ports.is_empty() {
            return Ok(None);
        }
        let external = config.external_ip.unwrap_or_else(|| reachable(listen));
        let tls_ports = config.tls.as_ref().map(|_| config.tls_ports.clone()).unwrap_or_default();
        let access = TurnAccess::new(secret, config.lifetime, ports.clone()).with_tls(tls_ports);
        let policy = Policy::new(external, config.relay_ports.clone(), config.allow_private);
        let relay = match Relay::new(listen, &ports, config, policy, access.clone()) {
            Ok(relay) => relay,
            Err(error) if config.ports.is_none() => {
                tracing::warn!(%error, "no STUN and TURN here; choose another port with --turn-ports");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (waker, stopped) = (relay.waker(), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("turn".into())
            .spawn(move || relay.run(&stopped))
            .context("cannot start a thread for TURN")?;
        tracing::info!(?ports, %external, "STUN and TURN");
        Ok(Some((Self { stop, waker, thread: Some(thread) }, access)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake().ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The address under which this machine is likely reached when it listens on all of its own.
fn reachable(listen: IpAddr) -> IpAddr {
    if !listen.is_unspecified() {
        return listen;
    }
    // Connecting a UDP socket sends nothing; it asks the system which address it would send from.
    let towards = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let asked = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(towards)?;
        socket.local_addr()
    });
    asked.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}
