//! One client of TURN: the protocol's machine, and what is refused before it sees it.
//!
//! Each client has a machine of its own, so that finding one never means searching all, and what one has cost goes
//! with it.

use std::net::SocketAddr;

use base::VisitId;
use turn_server_proto::api::TurnServerApi;
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::TransportType;
use turn_server_proto::types::attribute::{Lifetime, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use turn_server_proto::types::stun::attribute::{ErrorCode, Realm, Username, XorMappedAddress};
use turn_server_proto::types::stun::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageWriteVec,
};
use turn_server_proto::types::stun::prelude::{MessageWrite, MessageWriteExt};

use super::access::{Name, TurnAccess, unix_seconds};
use super::policy::Policy;

pub(super) const REALM: &str = "interplay";

/// The most names under which one client may try.
const NAMES: usize = 4;

/// What to do with a message of a client.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The protocol's machine decides.
    Pass,
    /// Answer this, and forget it.
    Refuse(Vec<u8>, &'static str),
    /// Forget it.
    Drop,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) machine: TurnServer,
    names: Vec<String>,
    /// Whose credentials it last used.
    pub(super) visit: Option<VisitId>,
    /// Ports of its relayed addresses.
    pub(super) relays: Vec<u16>,
}

impl Client {
    pub(super) fn new(transport: TransportType, local: SocketAddr) -> Self {
        Self {
            machine: TurnServer::new(transport, local, REALM.to_owned()),
            names: Vec::new(),
            visit: None,
            relays: Vec::new(),
        }
    }

    /// Looks at a STUN message before the machine does: at credentials' end, quota and targets, of which the
    /// machine knows nothing.
    pub(super) fn examine(
        &mut self,
        message: &Message<'_>,
        access: &TurnAccess,
        policy: &Policy,
        has_quota: impl Fn(VisitId) -> bool,
    ) -> Verdict {
        if message.class() != MessageClass::Request {
            return Verdict::Pass;
        }
        // Without a name the machine asks for one.
        let Ok(username) = message.attribute::<Username>() else { return Verdict::Pass };
        let username = username.username().to_owned();
        let Some(name) = Name::parse(&username) else { return Verdict::Pass };
        let password = access.password(&username);
        let refuse = |code, reason| {
            refusal(message, code, Some((&username, &password)))
                .map_or(Verdict::Drop, |bytes| Verdict::Refuse(bytes, reason))
        };
        let method = message.method();
        let deletes = method == REFRESH
            && message.attribute::<Lifetime>().is_ok_and(|lifetime| lifetime.seconds() == 0);
        if name.expires < unix_seconds() && !deletes {
            // Nothing of it is believed: the answer is not signed.
            return refusal(message, ErrorCode::UNAUTHORIZED, None)
                .map_or(Verdict::Drop, |bytes| Verdict::Refuse(bytes, "expired"));
        }
        if !self.names.contains(&username) {
            if self.names.len() == NAMES {
                return Verdict::Drop;
            }
            self.machine.add_user(username.clone(), password.clone());
            self.names.push(username.clone());
        }
        if method == ALLOCATE {
            if self.relays.is_empty() && !has_quota(name.visit) {
                return refuse(ErrorCode::ALLOCATION_QUOTA_REACHED, "quota");
            }
            self.visit = Some(name.visit);
        }
        if method == CREATE_PERMISSION || method == CHANNEL_BIND {
            let transaction = message.transaction_id();
            let forbidden =
                (0..).map_while(|n| message.nth_attribute::<XorPeerAddress>(n).ok()).any(|peer| {
                    let peer = peer.addr(transaction);
                    !policy.permits_ip(peer.ip()) || (method == CHANNEL_BIND && !policy.permits(peer))
                });
            if forbidden {
                return refuse(ErrorCode::FORBIDDEN, "target");
            }
        }
        Verdict::Pass
    }
}

/// An error, signed if the asker is known.
fn refusal(to: &Message<'_>, code: u16, signer: Option<(&str, &str)>) -> Option<Vec<u8>> {
    let error = ErrorCode::builder(code).build().ok()?;
    let mut answer = Message::builder_error(to, MessageWriteVec::new());
    answer.add_attribute(&error).ok()?;
    match signer {
        Some((name, password)) => {
            let key = LongTermKeyCredentials::new(name.to_owned(), password.to_owned(), REALM.to_owned());
            let credentials = MessageIntegrityCredentials::from(key);
            let key = credentials.make_key(IntegrityAlgorithm::Sha1);
            answer.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).ok()?;
        }
        None => answer.add_attribute(&Realm::new(REALM).ok()?).ok()?,
    }
    Some(answer.finish())
}

/// The answer to a binding request: under which address its sender is seen. Needs no memory of anyone.
pub(super) fn binding_answer(message: &Message<'_>, from: SocketAddr) -> Option<Vec<u8>> {
    if message.class() != MessageClass::Request || message.method() != BINDING {
        return None;
    }
    let mut answer = Message::builder_success(message, MessageWriteVec::new());
    answer.add_attribute(&XorMappedAddress::new(from, message.transaction_id())).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}
