//! A client of STUN and TURN, as small as can be: for `interplay doctor`, and for trying what the server refuses.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use turn_server_proto::types::attribute::{
    ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, REFRESH};
use turn_server_proto::types::stun::attribute::{ErrorCode, Nonce, Realm, Username, XorMappedAddress};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageHeader,
    MessageIntegrityCredentials, MessageWriteVec, Method, TransactionId,
};
use turn_server_proto::types::stun::prelude::{MessageWrite, MessageWriteExt};

use super::relay::message_length;

/// How long an answer is waited for before the question is asked again, and how often it is.
const WAIT: Duration = Duration::from_millis(500);
const TRIES: usize = 4;

/// Why there was no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// Nothing came.
    #[error("no answer")]
    Silence,
    /// The server says no: STUN's error code.
    #[error("refused with {0}")]
    Refused(u16),
    /// What came is no answer to that.
    #[error("an answer that makes no sense")]
    Strange,
    /// The system did not let it.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Over what the server is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

#[derive(Debug)]
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Vec<u8>),
}

/// One client.
#[derive(Debug)]
pub(crate) struct Probe {
    wire: Wire,
    name: String,
    password: String,
    realm: Option<(String, String)>,
}

type Fill<'a> = &'a dyn Fn(&mut MessageWriteVec, TransactionId);

impl Probe {
    pub(crate) fn connect(
        to: SocketAddr,
        over: Over,
        name: &str,
        password: &str,
    ) -> Result<Self, ProbeError> {
        let wire = match over {
            Over::Udp => {
                let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                socket.set_read_timeout(Some(WAIT))?;
                Wire::Udp(socket)
            }
            Over::Tcp => {
                let stream =
                    TcpStream::connect_timeout(&to, WAIT * TRIES as u32).map_err(|_| ProbeError::Silence)?;
                stream.set_read_timeout(Some(WAIT * TRIES as u32))?;
                Wire::Tcp(stream, Vec::new())
            }
        };
        Ok(Self { wire, name: name.to_owned(), password: password.to_owned(), realm: None })
    }

    /// Under which address the server sees this client.
    pub(crate) fn binding(&mut self) -> Result<SocketAddr, ProbeError> {
        let (answer, id) = self.ask(BINDING, &|_, _| {})?;
        let answer = Message::from_bytes(&answer).map_err(|_| ProbeError::Strange)?;
        answer.attribute::<XorMappedAddress>().map(|seen| seen.addr(id)).map_err(|_| ProbeError::Strange)
    }

    /// An address at the server's.
    pub(crate) fn allocate(&mut self) -> Result<SocketAddr, ProbeError> {
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        let (answer, id) = self.ask(ALLOCATE, &|request, _| drop(request.add_attribute(&udp)))?;
        let answer = Message::from_bytes(&answer).map_err(|_| ProbeError::Strange)?;
        answer.attribute::<XorRelayedAddress>().map(|relay| relay.addr(id)).map_err(|_| ProbeError::Strange)
    }

    /// Keeps the allocation; 0 seconds give it back.
    pub(crate) fn refresh(&mut self, seconds: u32) -> Result<(), ProbeError> {
        let lifetime = Lifetime::new(seconds);
        self.ask(REFRESH, &|request, _| drop(request.add_attribute(&lifetime))).map(drop)
    }

    /// Lets a peer's packets in.
    #[cfg(test)]
    fn permit(&mut self, peer: SocketAddr) -> Result<(), ProbeError> {
        self.ask(turn_server_proto::types::message::CREATE_PERMISSION, &|request, id| {
            request.add_attribute(&XorPeerAddress::new(peer, id)).ok();
        })
        .map(drop)
    }

    /// A number that stands for a peer.
    pub(crate) fn bind_channel(&mut self, number: u16, peer: SocketAddr) -> Result<(), ProbeError> {
        self.ask(CHANNEL_BIND, &|request, id| {
            request.add_attribute(&ChannelNumber::new(number)).ok();
            request.add_attribute(&XorPeerAddress::new(peer, id)).ok();
        })
        .map(drop)
    }

    /// Sends to the peer that a number stands for.
    pub(crate) fn send(&mut self, number: u16, data: &[u8]) -> Result<(), ProbeError> {
        let mut message = [number.to_be_bytes(), (data.len() as u16).to_be_bytes()].concat();
        message.extend_from_slice(data);
        message.resize(message.len().next_multiple_of(4), 0);
        Ok(self.write(&message)?)
    }

    /// What a peer sent, without its channel's header.
    pub(crate) fn receive(&mut self) -> Result<Vec<u8>, ProbeError> {
        for _ in 0..TRIES {
            let Some(message) = self.read()? else { continue };
            if let Some((&[first, _, high, low], data)) = message.split_first_chunk()
                && (0x40..0x50).contains(&first)
            {
                let length = usize::from(u16::from_be_bytes([high, low]));
                return data.get(..length).map(<[u8]>::to_vec).ok_or(ProbeError::Strange);
            }
        }
        Err(ProbeError::Silence)
    }

    /// Asks, and asks again as it is told to: under the realm and the nonce that the server names.
    fn ask(&mut self, method: Method, fill: Fill<'_>) -> Result<(Vec<u8>, TransactionId), ProbeError> {
        for _ in 0..3 {
            let (bytes, id) = self.request(method, fill)?;
            let answer = self.answer(&bytes, id)?;
            let message = Message::from_bytes(&answer).map_err(|_| ProbeError::Strange)?;
            if message.has_class(MessageClass::Success) {
                return Ok((answer, id));
            }
            let code = message.attribute::<ErrorCode>().map_err(|_| ProbeError::Strange)?.code();
            let challenge = (message.attribute::<Realm>(), message.attribute::<Nonce>());
            match challenge {
                (Ok(realm), Ok(nonce)) if code == 438 || (code == 401 && self.realm.is_none()) => {
                    self.realm = Some((realm.realm().to_owned(), nonce.nonce().to_owned()));
                }
                _ => return Err(ProbeError::Refused(code)),
            }
        }
        Err(ProbeError::Strange)
    }

    fn request(&self, method: Method, fill: Fill<'_>) -> Result<(Vec<u8>, TransactionId), ProbeError> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        let id = MessageHeader::from_bytes(request.data()).map_err(|_| ProbeError::Strange)?.transaction_id();
        fill(&mut request, id);
        if let Some((realm, nonce)) = &self.realm {
            let strange = |_| ProbeError::Strange;
            request.add_attribute(&Username::new(&self.name).map_err(strange)?).ok();
            request.add_attribute(&Realm::new(realm).map_err(strange)?).ok();
            request.add_attribute(&Nonce::new(nonce).map_err(strange)?).ok();
            let key = LongTermKeyCredentials::new(self.name.clone(), self.password.clone(), realm.clone());
            let credentials = MessageIntegrityCredentials::from(key);
            request
                .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
                .map_err(|_| ProbeError::Strange)?;
        }
        Ok((request.finish(), id))
    }

    fn answer(&mut self, request: &[u8], id: TransactionId) -> Result<Vec<u8>, ProbeError> {
        for _ in 0..TRIES {
            self.write(request)?;
            while let Some(answer) = self.read()? {
                if Message::from_bytes(&answer).is_ok_and(|message| message.transaction_id() == id) {
                    return Ok(answer);
                }
            }
            if matches!(self.wire, Wire::Tcp(..)) {
                break;
            }
        }
        Err(ProbeError::Silence)
    }

    fn write(&mut self, message: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Udp(socket) => socket.send(message).map(drop),
            Wire::Tcp(stream, _) => stream.write_all(message),
        }
    }

    /// The next message; `None` when none comes in time.
    fn read(&mut self) -> Result<Option<Vec<u8>>, ProbeError> {
        let mut buffer = [0; 2048];
        loop {
            let read = match &mut self.wire {
                Wire::Udp(socket) => socket.recv(&mut buffer),
                Wire::Tcp(stream, waiting) => {
                    if let Ok(Some(length)) = message_length(waiting) {
                        return Ok(Some(waiting.drain(..length).collect()));
                    }
                    stream.read(&mut buffer)
                }
            };
            let length = match read {
                Ok(0) => return Ok(None),
                Ok(length) => length,
                // Nothing came in time, or nobody is there.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::ConnectionRefused
                    ) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            match &mut self.wire {
                Wire::Udp(_) => return Ok(Some(buffer[..length].to_vec())),
                Wire::Tcp(_, waiting) => waiting.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use base::VisitId;

    use super::*;
    use crate::turn::{Turn, TurnAccess, TurnConfig};

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    struct Served {
        _turn: Turn,
        access: TurnAccess,
        at: SocketAddr,
    }

    fn serve(change: impl Fn(&mut TurnConfig)) -> Served {
        // A port that is free for UDP and TCP; another process may take it meanwhile, and then another is tried.
        for _ in 0..20 {
            let port = UdpSocket::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port();
            let mut config = TurnConfig {
                ports: Some(vec![port]),
                tls: None,
                tls_ports: Vec::new(),
                external_ip: None,
                relay_ports: 20_000..=29_999,
                allow_private: false,
                lifetime: Duration::from_secs(60),
                allocations: 2,
                bytes_per_second: 1_000_000,
            };
            change(&mut config);
            if let Ok(Some((turn, access))) = Turn::start(LOCAL, &config, b"a secret of the tests") {
                return Served { _turn: turn, access, at: SocketAddr::new(LOCAL, port) };
            }
        }
        panic!("no port is free");
    }

    impl Served {
        fn name(&self, seconds: i64) -> String {
            let now = i64::try_from(super::super::access::unix_seconds()).unwrap();
            format!("{}:{}", now + seconds, VisitId::from_random([7; 16]))
        }

        fn probe(&self, over: Over, seconds: i64) -> Probe {
            let name = self.name(seconds);
            Probe::connect(self.at, over, &name, &self.access.password(&name)).unwrap()
        }
    }

    fn refused(result: Result<impl std::fmt::Debug, ProbeError>) -> u16 {
        match result {
            Err(ProbeError::Refused(code)) => code,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_go_from_relay_to_relay_over_udp_and_tcp() {
        let served = serve(|_| {});
        let (mut one, mut other) = (served.probe(Over::Udp, 60), served.probe(Over::Tcp, 60));
        assert!(one.binding().unwrap().ip().is_loopback());
        assert!(other.binding().unwrap().ip().is_loopback());
        let (to_one, to_other) = (one.allocate().unwrap(), other.allocate().unwrap());
        one.bind_channel(0x4000, to_other).unwrap();
        other.bind_channel(0x4001, to_one).unwrap();
        for number in 0..20_u8 {
            one.send(0x4000, &[number; 101]).unwrap();
            assert_eq!(other.receive().unwrap(), [number; 101]);
            other.send(0x4001, &[number; 33]).unwrap();
            assert_eq!(one.receive().unwrap(), [number; 33]);
        }
        one.refresh(0).unwrap();
        assert_eq!(refused(one.refresh(600)), 437, "the allocation is gone");
    }

    #[test]
    fn credentials_that_have_expired_or_are_forged_are_refused() {
        let served = serve(|_| {});
        assert_eq!(refused(served.probe(Over::Udp, -1).allocate()), 401);
        let name = served.name(60);
        for (name, password) in
            [(name.as_str(), "guessed"), ("nobody", "guessed"), ("9999999999:x", "guessed")]
        {
            let mut probe = Probe::connect(served.at, Over::Udp, name, password).unwrap();
            assert_eq!(refused(probe.allocate()), 401, "{name}");
        }
    }

    #[test]
    fn an_allocation_is_not_kept_past_its_credentials() {
        let served = serve(|_| {});
        let mut probe = served.probe(Over::Udp, 1);
        probe.allocate().unwrap();
        probe.refresh(600).unwrap();
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(refused(probe.refresh(600)), 401);
        probe.refresh(0).unwrap();
    }

    #[test]
    fn a_visit_has_so_many_allocations_and_no_more() {
        let served = serve(|_| {});
        let mut probes = [0; 3].map(|_| served.probe(Over::Udp, 60));
        probes[0].allocate().unwrap();
        probes[1].allocate().unwrap();
        assert_eq!(refused(probes[2].allocate()), 486);
        probes[0].refresh(0).unwrap();
        probes[2].allocate().unwrap();
    }

    #[test]
    fn nothing_inside_the_operators_network_is_reached() {
        let served = serve(|_| {});
        let mut probe = served.probe(Over::Udp, 60);
        probe.allocate().unwrap();
        for peer in ["10.0.0.1:80", "192.168.1.1:22", "169.254.169.254:80", "224.0.0.1:9"] {
            assert_eq!(refused(probe.permit(peer.parse().unwrap())), 403, "{peer}");
        }
        // This machine itself is its own relays' address here: nothing but their ports is reached.
        let secret = UdpSocket::bind((LOCAL, 0)).unwrap();
        let at = secret.local_addr().unwrap();
        assert!(!(20_000..30_000).contains(&at.port()));
        assert_eq!(refused(probe.bind_channel(0x4000, at)), 403);

        let trusting = serve(|config| config.allow_private = true);
        let mut probe = trusting.probe(Over::Udp, 60);
        probe.allocate().unwrap();
        probe.bind_channel(0x4000, at).unwrap();
        probe.send(0x4000, b"hello").unwrap();
        secret.set_read_timeout(Some(WAIT * 4)).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(secret.recv(&mut buffer).unwrap(), 5);
    }

    #[test]
    fn a_visit_moves_so_many_bytes_a_second() {
        let served = serve(|config| config.bytes_per_second = 20_000);
        let (mut one, mut other) = (served.probe(Over::Udp, 60), served.probe(Over::Udp, 60));
        let (to_one, to_other) = (one.allocate().unwrap(), other.allocate().unwrap());
        one.bind_channel(0x4000, to_other).unwrap();
        other.bind_channel(0x4000, to_one).unwrap();
        for _ in 0..100 {
            one.send(0x4000, &[0; 1000]).unwrap();
        }
        let mut come = 0;
        while other.receive().is_ok() {
            come += 1;
        }
        // Each packet is paid for on its way in and on its way out.
        assert!((5..=25).contains(&come), "{come} of 100 packets came");
    }
}
