//! The sockets: one thread waits for all of them and moves packets between clients and their relays.
//!
//! ```text
//!  client ─► Udp or Connection ─► hear_client ─► examine, pays ─► machine ─► forward ─► Relay ─► peer
//!  client ◄─ tell_client ◄─ forward ◄─ machine ◄─ pays ◄─ hear_peer ◄─ Relay ◄─ peer
//! ```
//!
//! A thread, and not tasks on the server's runtime: a packet costs one read and one write, no lock and no queue,
//! and a load of packets holds up no request. Sockets are edge-triggered: one that is not read empty is registered
//! again. Between two relays of this server `forward` calls `hear_peer` itself: nothing leaves the process. It
//! goes no deeper, because what a peer sends goes to a client.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use base::{Rng, VisitId};
use metrics::{Counter, Gauge, counter, gauge};
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::{ServerConfig, ServerConnection};
use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::types::stun::message::Message;
use turn_server_proto::types::{AddressFamily, Instant as TurnInstant, TransportType};

use super::access::TurnAccess;
use super::client::{Client, Verdict, binding_answer};
use super::policy::Policy;
use super::{TlsFiles, TurnConfig};

/// How often what has expired is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// A client that has no allocation is forgotten after this; a TCP connection is closed.
const IDLE: Duration = Duration::from_secs(30);

/// The most clients at a time. Addresses can be forged; what they cost cannot grow.
const MOST_CLIENTS: usize = 20_000;

/// The longest datagram or TCP message.
const LONGEST: usize = 64 * 1024;

/// The most that waits for a TCP client that reads slowly; what comes then is lost, as on any bad path.
const MOST_WAITING: usize = 64 * 1024;

/// How many datagrams are read from a socket before the others have their turn.
const BURST: usize = 64;

/// How often another port is tried for a relay.
const PORT_TRIES: usize = 50;

const WAKER: Token = Token(usize::MAX);

/// A client is known by its way here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    /// The token of the UDP socket, or of the client's TCP connection.
    over: Token,
    remote: SocketAddr,
}

enum Socket {
    Udp { socket: UdpSocket, local: SocketAddr },
    Listener { listener: TcpListener, local: SocketAddr, tls: Option<Arc<ServerConfig>> },
    Connection(Box<Connection>),
    Relay { socket: UdpSocket, port: u16, client: Key },
}

struct Connection {
    stream: TcpStream,
    tls: Option<ServerConnection>,
    local: SocketAddr,
    remote: SocketAddr,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    since: Instant,
}

struct Known {
    client: Client,
    local: SocketAddr,
    since: Instant,
}

/// What a visit uses, over all its clients.
struct Usage {
    allocations: usize,
    /// Bytes that may go right away.
    allowance: f64,
    counted: Instant,
}

struct Meters {
    allocations: Gauge,
    packets: Counter,
    bytes: Counter,
}

pub(super) struct Relay {
    poll: Poll,
    waker: Arc<Waker>,
    sockets: HashMap<Token, Socket>,
    next_token: usize,
    clients: HashMap<Key, Known>,
    /// Relays by their ports.
    relays: HashMap<u16, Token>,
    usage: HashMap<VisitId, Usage>,
    policy: Policy,
    access: TurnAccess,
    listen: IpAddr,
    most_allocations: usize,
    bytes_per_second: f64,
    base: Instant,
    rng: Rng,
    meters: Meters,
    scratch: Vec<u8>,
}

impl Relay {
    pub(super) fn new(
        listen: IpAddr,
        ports: &[u16],
        config: &TurnConfig,
        policy: Policy,
        access: TurnAccess,
    ) -> anyhow::Result<Self> {
        let tls = config.tls.as_ref().map(TlsFiles::load).transpose()?;
        let poll = Poll::new().context("cannot wait for sockets")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).context("cannot make a waker")?);
        let mut relay = Self {
            poll,
            waker,
            sockets: HashMap::new(),
            next_token: 0,
            clients: HashMap::new(),
            relays: HashMap::new(),
            usage: HashMap::new(),
            policy,
            access,
            listen,
            most_allocations: config.allocations,
            bytes_per_second: f64::from(config.bytes_per_second),
            base: Instant::now(),
            rng: Rng::from_seed(u64::from_le_bytes(crate::token::random()?)),
            meters: Meters {
                allocations: gauge!("interplay_turn_allocations"),
                packets: counter!("interplay_turn_packets_total"),
                bytes: counter!("interplay_turn_bytes_total"),
            },
            scratch: vec![0; LONGEST],
        };
        for &port in ports {
            let at = SocketAddr::new(listen, port);
            let hint = || format!("cannot listen on {at} for STUN and TURN; choose others with --turn-ports");
            let socket = UdpSocket::bind(at).with_context(hint)?;
            let listener = TcpListener::bind(at).with_context(hint)?;
            relay.add(Socket::Udp { socket, local: at })?;
            relay.add(Socket::Listener { listener, local: at, tls: None })?;
        }
        for &port in tls.iter().flat_map(|_| &config.tls_ports) {
            let at = SocketAddr::new(listen, port);
            let listener = TcpListener::bind(at).with_context(|| {
                format!("cannot listen on {at} for TURN over TLS; choose others with --turns-ports")
            })?;
            relay.add(Socket::Listener { listener, local: at, tls: tls.clone() })?;
        }
        Ok(relay)
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    fn add(&mut self, mut socket: Socket) -> std::io::Result<Token> {
        let token = Token(self.next_token);
        self.next_token += 1;
        let registry = self.poll.registry();
        match &mut socket {
            Socket::Udp { socket, .. } | Socket::Relay { socket, .. } => {
                registry.register(socket, token, Interest::READABLE)?;
            }
            Socket::Listener { listener, .. } => registry.register(listener, token, Interest::READABLE)?,
            Socket::Connection(connection) => {
                let both = Interest::READABLE | Interest::WRITABLE;
                registry.register(&mut connection.stream, token, both)?;
            }
        }
        self.sockets.insert(token, socket);
        Ok(token)
    }

    /// Moves packets until it is told to stop.
    pub(super) fn run(mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(1024);
        let mut swept = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if let Err(error) = self.poll.poll(&mut events, Some(SWEEP_EVERY))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "TURN cannot wait for its sockets and stops");
                return;
            }
            for event in &events {
                self.ready(event.token(), event.is_writable());
            }
            if swept.elapsed() >= SWEEP_EVERY {
                swept = Instant::now();
                self.sweep();
            }
        }
    }

    fn ready(&mut self, token: Token, writable: bool) {
        match self.sockets.get(&token) {
            None => {}
            Some(Socket::Listener { .. }) => self.accept(token),
            Some(Socket::Connection(_)) => self.converse(token, writable),
            Some(Socket::Udp { .. } | Socket::Relay { .. }) => self.receive(token),
        }
    }

    // Datagrams.

    fn receive(&mut self, token: Token) {
        let mut buffer = std::mem::take(&mut self.scratch);
        for read in 0.. {
            let (socket, relay) = match self.sockets.get(&token) {
                Some(Socket::Udp { socket, local }) => (socket, Err(*local)),
                Some(Socket::Relay { socket, port, client }) => (socket, Ok((*port, *client))),
                _ => break,
            };
            if read == BURST {
                // Edge-triggered: what is left is announced again only after registering again.
                self.register_again(token);
                break;
            }
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) => match relay {
                    Err(local) => {
                        let key = Key { over: token, remote: from };
                        self.hear_client(key, TransportType::Udp, local, &buffer[..length]);
                    }
                    Ok((port, client)) => self.hear_peer(port, client, from, &buffer[..length]),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // What a datagram before this one met with, nobody waits to hear.
                Err(_) => {}
            }
        }
        self.scratch = buffer;
    }

    fn register_again(&mut self, token: Token) {
        if let Some(Socket::Udp { socket, .. } | Socket::Relay { socket, .. }) = self.sockets.get_mut(&token)
            && let Err(error) = self.poll.registry().reregister(socket, token, Interest::READABLE)
        {
            tracing::error!(%error, "a TURN socket cannot be waited for");
        }
    }

    // Connections.

    fn accept(&mut self, token: Token) {
        loop {
            let Some(Socket::Listener { listener, local, tls }) = self.sockets.get(&token) else { return };
            let (local, tls) = (*local, tls.clone());
            let Ok((stream, remote)) = listener.accept() else { return };
            if self.clients.len() >= MOST_CLIENTS {
                continue;
            }
            stream.set_nodelay(true).ok();
            let Ok(tls) = tls.map(ServerConnection::new).transpose() else { continue };
            let (incoming, outgoing, since) = (Vec::new(), Vec::new(), Instant::now());
            let connection = Connection { stream, tls, local, remote, incoming, outgoing, since };
            self.add(Socket::Connection(Box::new(connection))).ok();
        }
    }

    fn converse(&mut self, token: Token, writable: bool) {
        let mut buffer = std::mem::take(&mut self.scratch);
        let mut alive = true;
        if writable && let Some(Socket::Connection(connection)) = self.sockets.get_mut(&token) {
            alive = flush(connection);
        }
        while alive {
            let Some(Socket::Connection(connection)) = self.sockets.get_mut(&token) else { break };
            match connection.stream.read(&mut buffer) {
                Ok(0) => alive = false,
                Ok(length) => {
                    alive = connection.take_in(&buffer[..length]) && self.take_messages(token);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => alive = false,
            }
        }
        self.scratch = buffer;
        if !alive {
            self.hang_up(token);
        }
    }

    /// Takes whole messages out of what a connection has sent. False when it does not speak TURN.
    fn take_messages(&mut self, token: Token) -> bool {
        let Some(Socket::Connection(connection)) = self.sockets.get_mut(&token) else { return false };
        let (local, remote) = (connection.local, connection.remote);
        let mut incoming = std::mem::take(&mut connection.incoming);
        let mut at = 0;
        let sound = loop {
            match message_length(&incoming[at..]) {
                Ok(Some(length)) => {
                    let key = Key { over: token, remote };
                    let message = without_padding(&incoming[at..at + length]);
                    self.hear_client(key, TransportType::Tcp, local, message);
                    at += length;
                }
                Ok(None) => break true,
                Err(NotTurn) => break false,
            }
        };
        incoming.drain(..at);
        if let Some(Socket::Connection(connection)) = self.sockets.get_mut(&token) {
            connection.incoming = incoming;
        }
        sound
    }

    fn hang_up(&mut self, token: Token) {
        if let Some(Socket::Connection(mut connection)) = self.sockets.remove(&token) {
            self.poll.registry().deregister(&mut connection.stream).ok();
            self.forget(Key { over: token, remote: connection.remote });
        }
    }

    // What comes from a client.

    fn now(&self) -> TurnInstant {
        TurnInstant::from_std(self.base)
    }

    fn hear_client(&mut self, key: Key, transport: TransportType, local: SocketAddr, data: &[u8]) {
        // STUN's first two bits are zero; everything else is channel data, which the machine understands.
        let message = data.first().filter(|&&first| first < 0x40).map(|_| Message::from_bytes(data));
        match message {
            Some(Ok(message)) => {
                if let Some(answer) = binding_answer(&message, key.remote) {
                    return self.tell_client(key, &answer);
                }
                if !self.welcome(key, transport, local) || !self.examine(key, &message) {
                    return;
                }
            }
            Some(Err(_)) => return,
            None if !self.clients.contains_key(&key) => return,
            None => {}
        }
        if !self.pays(key, data.len()) {
            return;
        }
        let now = self.now();
        let Some(known) = self.clients.get_mut(&key) else { return };
        let transmit = Transmit { data, transport, from: key.remote, to: known.local };
        if let Some(built) = known.client.machine.recv(transmit, now) {
            let built = built.build();
            self.forward(key, built.from, built.to, &built.data);
        }
        self.drain(key);
    }

    /// Makes a client known. False when there are too many.
    fn welcome(&mut self, key: Key, transport: TransportType, local: SocketAddr) -> bool {
        if !self.clients.contains_key(&key) {
            if self.clients.len() >= MOST_CLIENTS {
                refuse("clients");
                return false;
            }
            let client = Client::new(transport, local);
            self.clients.insert(key, Known { client, local, since: Instant::now() });
        }
        true
    }

    /// False when the message is dealt with.
    fn examine(&mut self, key: Key, message: &Message<'_>) -> bool {
        let Some(known) = self.clients.get_mut(&key) else { return false };
        let (usage, most) = (&self.usage, self.most_allocations);
        let has_quota = |visit| usage.get(&visit).is_none_or(|usage| usage.allocations < most);
        match known.client.examine(message, &self.access, &self.policy, has_quota) {
            Verdict::Pass => true,
            Verdict::Drop => false,
            Verdict::Refuse(answer, reason) => {
                refuse(reason);
                self.tell_client(key, &answer);
                false
            }
        }
    }

    /// Whether a visit may move so many bytes more.
    fn pays(&mut self, key: Key, bytes: usize) -> bool {
        let visit = self.clients.get(&key).and_then(|known| known.client.visit);
        let Some(usage) = visit.and_then(|visit| self.usage.get_mut(&visit)) else { return true };
        let elapsed = usage.counted.elapsed().as_secs_f64();
        usage.counted = Instant::now();
        usage.allowance = (usage.allowance + elapsed * self.bytes_per_second).min(self.bytes_per_second);
        let enough = usage.allowance >= bytes as f64;
        if enough {
            usage.allowance -= bytes as f64;
        } else {
            refuse("bandwidth");
        }
        enough
    }

    /// Does what a client's machine asks for.
    fn drain(&mut self, key: Key) {
        loop {
            let now = self.now();
            let Some(known) = self.clients.get_mut(&key) else { return };
            match known.client.machine.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let made = self.allocate(key, allocation_transport, family);
                    let Some(known) = self.clients.get_mut(&key) else { return };
                    known.client.machine.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        made,
                        now,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.close_relay(key, listen_addr.port());
                }
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(_) => break,
            }
        }
        let now = self.now();
        while let Some(transmit) =
            self.clients.get_mut(&key).and_then(|known| known.client.machine.poll_transmit(now))
        {
            self.forward(key, transmit.from, transmit.to, &transmit.data);
        }
    }

    fn allocate(
        &mut self,
        key: Key,
        transport: TransportType,
        family: AddressFamily,
    ) -> Result<SocketAddr, SocketAllocateError> {
        let external = self.policy.external();
        if transport != TransportType::Udp || (family == AddressFamily::IPV4) != external.is_ipv4() {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        let full = SocketAllocateError::InsufficientCapacity;
        let visit = self.clients.get(&key).and_then(|known| known.client.visit).ok_or(full)?;
        let (socket, port) = self.bind_relay().ok_or(full)?;
        let token = self.add(Socket::Relay { socket, port, client: key }).map_err(|_| full)?;
        self.relays.insert(port, token);
        let bytes_per_second = self.bytes_per_second;
        let usage = self.usage.entry(visit).or_insert_with(|| Usage {
            allocations: 0,
            allowance: bytes_per_second,
            counted: Instant::now(),
        });
        usage.allocations += 1;
        if let Some(known) = self.clients.get_mut(&key) {
            known.client.relays.push(port);
        }
        self.meters.allocations.set(self.relays.len() as f64);
        Ok(SocketAddr::new(external, port))
    }

    fn bind_relay(&mut self) -> Option<(UdpSocket, u16)> {
        let ports: RangeInclusive<u16> = self.policy.relay_ports();
        let (first, count) = (*ports.start(), u64::from(ports.end() - ports.start()) + 1);
        for _ in 0..PORT_TRIES {
            let port = first + self.rng.below(count) as u16;
            if self.relays.contains_key(&port) {
                continue;
            }
            if let Ok(socket) = UdpSocket::bind(SocketAddr::new(self.listen, port)) {
                return Some((socket, port));
            }
        }
        None
    }

    fn close_relay(&mut self, key: Key, port: u16) {
        let Some(token) = self.relays.remove(&port) else { return };
        if let Some(Socket::Relay { mut socket, .. }) = self.sockets.remove(&token) {
            self.poll.registry().deregister(&mut socket).ok();
        }
        if let Some(known) = self.clients.get_mut(&key) {
            known.client.relays.retain(|&other| other != port);
            if let Some(visit) = known.client.visit
                && let Some(usage) = self.usage.get_mut(&visit)
            {
                usage.allocations -= 1;
                if usage.allocations == 0 {
                    self.usage.remove(&visit);
                }
            }
        }
        self.meters.allocations.set(self.relays.len() as f64);
    }

    fn forget(&mut self, key: Key) {
        let ports = self.clients.get(&key).map(|known| known.client.relays.clone()).unwrap_or_default();
        for port in ports {
            self.close_relay(key, port);
        }
        self.clients.remove(&key);
    }

    // What comes from a peer.

    fn hear_peer(&mut self, port: u16, key: Key, from: SocketAddr, data: &[u8]) {
        if !self.pays(key, data.len()) {
            return;
        }
        let now = self.now();
        let to = SocketAddr::new(self.policy.external(), port);
        let Some(known) = self.clients.get_mut(&key) else { return };
        let transmit = Transmit { data, transport: TransportType::Udp, from, to };
        if let Some(built) = known.client.machine.recv(transmit, now) {
            let built = built.build();
            self.forward(key, built.from, built.to, &built.data);
        }
    }

    // Sending.

    /// Sends what a client's machine says: to the client itself, or from one of its relays to a peer.
    fn forward(&mut self, key: Key, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        let is_own = |known: &Known| known.client.relays.contains(&from.port());
        let from_relay = from.ip() == self.policy.external() && self.clients.get(&key).is_some_and(is_own);
        if !from_relay {
            return self.tell_client(key, data);
        }
        self.meters.packets.increment(1);
        self.meters.bytes.increment(data.len() as u64);
        if !self.policy.permits(to) {
            return refuse("target");
        }
        if to.ip() == self.policy.external()
            && let Some(Socket::Relay { client, .. }) =
                self.relays.get(&to.port()).and_then(|token| self.sockets.get(token))
        {
            // From relay to relay nothing leaves the process.
            return self.hear_peer(to.port(), *client, from, data);
        }
        let token = self.relays.get(&from.port());
        if let Some(Socket::Relay { socket, .. }) = token.and_then(|token| self.sockets.get(token)) {
            socket.send_to(data, to).ok();
        }
    }

    fn tell_client(&mut self, key: Key, data: &[u8]) {
        match self.sockets.get_mut(&key.over) {
            Some(Socket::Udp { socket, .. }) => {
                socket.send_to(data, key.remote).ok();
            }
            Some(Socket::Connection(connection))
                if connection.outgoing.len() + data.len() <= MOST_WAITING =>
            {
                connection.outgoing.extend_from_slice(data);
                // Channel data is padded over TCP; STUN's lengths need no padding.
                let padding = data.len().next_multiple_of(4) - data.len();
                connection.outgoing.extend_from_slice(&[0; 4][..padding]);
                // Its end is noticed when it is read from.
                flush(connection);
            }
            _ => {}
        }
    }

    // Time.

    fn sweep(&mut self) {
        let keys: Vec<_> = self.clients.keys().copied().collect();
        for key in keys {
            self.drain(key);
            let idle = self
                .clients
                .get(&key)
                .is_some_and(|known| known.client.relays.is_empty() && known.since.elapsed() > IDLE);
            if idle {
                self.forget(key);
            }
        }
        let clients = &self.clients;
        let quiet = self.sockets.iter().filter_map(|(&token, socket)| match socket {
            Socket::Connection(connection) => {
                let key = Key { over: token, remote: connection.remote };
                (connection.since.elapsed() > IDLE && !clients.contains_key(&key)).then_some(token)
            }
            _ => None,
        });
        for token in quiet.collect::<Vec<_>>() {
            self.hang_up(token);
        }
    }
}

impl Connection {
    /// Takes what has come, out of TLS if there is any. False when it cannot be.
    fn take_in(&mut self, bytes: &[u8]) -> bool {
        let Some(tls) = &mut self.tls else {
            self.incoming.extend_from_slice(bytes);
            return true;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            if tls.read_tls(&mut rest).is_err() || tls.process_new_packets().is_err() {
                return false;
            }
            // It ends with an error that says that there is no more yet.
            tls.reader().read_to_end(&mut self.incoming).ok();
        }
        // The handshake may have something to say.
        flush(self)
    }
}

fn refuse(reason: &'static str) {
    counter!("interplay_turn_refusals_total", "reason" => reason).increment(1);
}

/// Writes what waits. False when the connection is gone.
fn flush(connection: &mut Connection) -> bool {
    if let Some(tls) = &mut connection.tls {
        let written = tls.writer().write(&connection.outgoing).unwrap_or(0);
        connection.outgoing.drain(..written);
        while tls.wants_write() {
            match tls.write_tls(&mut connection.stream) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        return true;
    }
    while !connection.outgoing.is_empty() {
        match connection.stream.write(&connection.outgoing) {
            Ok(0) => return false,
            Ok(written) => drop(connection.outgoing.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

/// The protocol's machine knows no padding.
fn without_padding(message: &[u8]) -> &[u8] {
    match message.first_chunk() {
        Some(&[0x40..=0x7f, _, high, low]) => {
            &message[..message.len().min(4 + usize::from(u16::from_be_bytes([high, low])))]
        }
        _ => message,
    }
}

/// What every STUN message has after its length.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// What cannot be a TURN client's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NotTurn;

/// How long the message at the beginning of a stream is; `None` while it is not whole.
pub(super) fn message_length(bytes: &[u8]) -> Result<Option<usize>, NotTurn> {
    let Some(&[first, _, high, low]) = bytes.first_chunk() else { return Ok(None) };
    let body = usize::from(u16::from_be_bytes([high, low]));
    let length = match first {
        0x00..=0x3f if bytes.get(4..8).is_none_or(|cookie| cookie == MAGIC_COOKIE) => 20 + body,
        // Over TCP, channel data is padded to four bytes. RFC 5766 knew numbers up to 0x7fff, and so do clients.
        0x40..=0x7f => (4 + body).next_multiple_of(4),
        _ => return Err(NotTurn),
    };
    Ok((bytes.len() >= length).then_some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_its_messages_end() {
        assert_eq!(message_length(&[0, 1, 0]), Ok(None));
        let binding = [[0, 1, 0, 0].as_slice(), &MAGIC_COOKIE, &[0; 12]].concat();
        assert_eq!(message_length(&binding), Ok(Some(20)));
        assert_eq!(message_length(&binding[..19]), Ok(None));
        assert_eq!(message_length(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]), Ok(Some(12)));
        assert_eq!(message_length(&[0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0]), Ok(None));
        assert_eq!(message_length(b"\x16\x03\x01\x02\x00 the beginning of TLS"), Err(NotTurn));
        assert_eq!(message_length(&[0x80, 0x60, 0, 0]), Err(NotTurn));
    }
}
