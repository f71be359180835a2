//! `interplay doctor`: whether STUN and TURN work from here, and what to do if not.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base::VisitId;
use serde_json::json;

use crate::token::{self, Tokens};
use crate::turn::{Over, Probe, ProbeError, TurnAccess};

/// One thing that was tried.
struct Finding {
    what: String,
    result: Result<String, String>,
}

/// Tries a server's STUN and TURN; prints what works, and the cure for what does not.
///
/// # Errors
/// When something does not work, or cannot be tried.
pub(crate) fn doctor(server: &str, ports: &[u16], data: &Path, as_json: bool) -> anyhow::Result<()> {
    let secret = Tokens::open_existing(data)?;
    let access = TurnAccess::new(secret.secret(), Duration::from_secs(60), ports.to_vec());
    let mut findings = Vec::new();
    for &port in ports {
        let at = (server, port)
            .to_socket_addrs()
            .with_context(|| format!("{server} is no host that is known here"))?
            .next()
            .with_context(|| format!("{server} has no address"))?;
        findings.extend(examine(at, &access)?);
    }
    let healthy = findings.iter().all(|finding| finding.result.is_ok());
    if as_json {
        let rows = findings.iter().map(|Finding { what, result }| match result {
            Ok(found) => json!({ "what": what, "works": true, "found": found }),
            Err(cure) => json!({ "what": what, "works": false, "cure": cure }),
        });
        println!("{}", json!({ "server": server, "works": healthy, "findings": rows.collect::<Vec<_>>() }));
    } else {
        for Finding { what, result } in &findings {
            match result {
                Ok(found) => println!("{what:<22} works: {found}"),
                Err(cure) => println!("{what:<22} does not work: {cure}"),
            }
        }
    }
    if !healthy {
        bail!("some ways to play are closed from here");
    }
    Ok(())
}

fn examine(at: SocketAddr, access: &TurnAccess) -> anyhow::Result<[Finding; 3]> {
    let visit = VisitId::from_random(token::random()?);
    let (name, password) = access.credentials(visit);
    let connect = |over| Probe::connect(at, over, &name, &password);
    let cure = |over: Over, error: &ProbeError| {
        match (over, error) {
        (Over::Udp, ProbeError::Silence) => format!("no answer; open UDP port {} to {}", at.port(), at.ip()),
        (Over::Tcp, ProbeError::Silence) => format!("no answer; open TCP port {} to {}", at.port(), at.ip()),
        (_, ProbeError::Refused(401)) => {
            "the credentials are refused; give the server's own --data, or its INTERPLAY_SECRET, and see that \
             the clocks agree"
                .to_owned()
        }
        (_, ProbeError::Refused(508)) => "the server has no relay port left; see its --relay-ports".to_owned(),
        (_, error) => error.to_string(),
    }
    };
    let stun = connect(Over::Udp).and_then(|mut probe| probe.binding());
    let turn = |over| {
        let result = connect(over).and_then(|probe| round_trip(probe, connect(over)?));
        Finding {
            what: format!("TURN over {}, port {}", if over == Over::Udp { "UDP" } else { "TCP" }, at.port()),
            result: result.map_err(|error| cure(over, &error)).map(|took| {
                format!("a packet from relay to relay took {:.1} ms", took.as_secs_f64() * 1000.0)
            }),
        }
    };
    Ok([
        Finding {
            what: format!("STUN, port {}", at.port()),
            result: stun
                .map(|seen| format!("you are seen as {seen}"))
                .map_err(|error| cure(Over::Udp, &error)),
        },
        turn(Over::Udp),
        turn(Over::Tcp),
    ])
}

/// Sends a packet from one client's relay to another's.
fn round_trip(mut one: Probe, mut other: Probe) -> Result<Duration, ProbeError> {
    let (to_one, to_other) = (one.allocate()?, other.allocate()?);
    one.bind_channel(0x4000, to_other)?;
    other.bind_channel(0x4000, to_one)?;
    let sent = Instant::now();
    one.send(0x4000, b"is anybody there?")?;
    other.receive()?;
    let took = sent.elapsed();
    one.refresh(0)?;
    other.refresh(0)?;
    Ok(took)
}
