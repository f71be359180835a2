//! Rooms: the messages of `/ws/rooms/{room_id}` (R1–R10).
//!
//! Text frames are JSON objects; `type` names the message, the other keys are `snake_case`. A binary payload travels
//! in a binary frame: two bytes with the length of a JSON header, big-endian, the same header as a text frame would
//! have without its `data`, then the payload. Unknown keys are ignored. Who sent a message is known from the
//! connection's token and never read from it (A1).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The longest name of a room, a member or a sender, in bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The version of this part of the protocol, in `join`.
pub const ROOM_PROTOCOL: u16 = 1;

/// Text that is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a name is 1 to 128 letters, digits, '.', '_', '~', ':', '@' and '-'")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:@-".contains(&byte);
                let whole = !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(plain);
                // "." and ".." mean something else in a path.
                let whole = whole && text.bytes().any(|byte| byte != b'.');
                whole.then(|| Self(text.into())).ok_or(NameError)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name! {
    /// A room's name.
    RoomId
}
name! {
    /// A member's name within its room.
    MemberId
}
name! {
    /// One life of a client that counts what it sends: a reload makes another (R10).
    SenderId
}

/// How long a room's numbers go on. After any doubt the next one begins (R1, R11). In JSON, 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Epoch> for String {
    fn from(epoch: Epoch) -> Self {
        epoch.to_string()
    }
}

/// Text that is no epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an epoch is 16 hex digits")]
pub struct EpochError;

impl TryFrom<String> for Epoch {
    type Error = EpochError;

    fn try_from(text: String) -> Result<Self, EpochError> {
        let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hex {
            return Err(EpochError);
        }
        u64::from_str_radix(&text, 16).map(Self).map_err(|_| EpochError)
    }
}

/// One connection among all that a member had; a later one has a greater number. It is the time of its acceptance
/// in microseconds since the Unix epoch, made unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

/// What becomes of a message that somebody misses (R2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Kept, within bounds of its own: chatter does not push it out.
    Keep,
    /// Kept.
    #[default]
    Normal,
    /// Passed on to whoever is there: no number, no replay.
    Volatile,
}

/// Where a member goes on (R4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resume {
    /// After what comes from now on only.
    Live,
    /// After its last acknowledgement.
    Acknowledged,
    /// With the oldest message that there is.
    Start,
    /// After this message, the last that it got.
    After {
        /// The epoch that the number is of.
        epoch: Epoch,
        /// The message's number; 0 before the first.
        sequence: u64,
    },
}

/// What a message carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// JSON, as it was written.
    Json(Arc<str>),
    /// Bytes.
    Binary(Arc<[u8]>),
}

impl Payload {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a client says.
#[derive(Clone, PartialEq, Debug)]
pub enum ClientFrame {
    /// The first message.
    Join(Join),
    /// A message for the others, or for one of them.
    Send(Send),
    /// Everything up to this number has come.
    Acknowledge {
        /// The number.
        sequence: u64,
    },
    /// Answered by `pong`.
    Ping {
        /// Returned as it is.
        time: Option<f64>,
    },
    /// A new token for the same member and room.
    Renew {
        /// The token.
        token: String,
    },
    /// This member leaves for good.
    Leave,
}

/// A client comes, or comes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// [`ROOM_PROTOCOL`].
    pub protocol: u16,
    /// From `POST /api/v1/tokens`.
    pub token: String,
    /// Where to go on; from the last acknowledgement when it says nothing.
    pub resume: Option<Resume>,
    /// The `connection` of the last `joined` that this client got: another since then is not pushed out.
    pub after: Option<Fence>,
    /// Who counts what is sent. Without it repeats are not recognised.
    pub sender: Option<SenderId>,
}

/// A message for the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Send {
    /// The sender's counter, from 1; required unless the class is volatile.
    pub n: Option<u64>,
    /// What becomes of it.
    pub class: Class,
    /// For whom; everybody else when there is none.
    pub to: Option<MemberId>,
    /// What it carries.
    pub payload: Payload,
    /// An acknowledgement that travels with it.
    pub acknowledged: Option<u64>,
}

/// Why a frame was not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// It is not JSON of the right shape.
    #[error("{0}")]
    Json(String),
    /// A key is missing.
    #[error("`{kind}` needs `{key}`")]
    Missing {
        /// The message's type.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// A binary frame without a whole header.
    #[error("a binary frame begins with two bytes that tell its header's length")]
    Header,
    /// JSON, but no object.
    #[error("a message is a JSON object")]
    NoObject,
    /// Only `send` has a payload.
    #[error("only `send` may be a binary frame")]
    NotSend,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Join,
    Send,
    Ack,
    Ping,
    Renew,
    Leave,
}

#[derive(Deserialize)]
struct Flat<'a> {
    r#type: Kind,
    protocol: Option<u16>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
    resume: Option<Resume>,
    after: Option<Fence>,
    sender: Option<SenderId>,
    n: Option<u64>,
    class: Option<Class>,
    to: Option<MemberId>,
    #[serde(borrow, default, deserialize_with = "whole")]
    data: Option<&'a RawValue>,
    ack: Option<u64>,
    sequence: Option<u64>,
    time: Option<f64>,
}

/// Any value, `null` too: only a key that is missing is nothing.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl ClientFrame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// Names what is wrong, and where.
    pub fn of_text(text: &str) -> Result<Self, FrameError> {
        let flat = Flat::of_json(text.as_bytes())?;
        let payload = flat.data.map(|data| Payload::Json(data.get().into()));
        flat.into_frame(payload)
    }

    /// Reads a binary frame.
    ///
    /// # Errors
    /// Names what is wrong, and where.
    pub fn of_binary(bytes: &[u8]) -> Result<Self, FrameError> {
        let (length, rest) = bytes.split_first_chunk().ok_or(FrameError::Header)?;
        let (header, payload) =
            rest.split_at_checked(u16::from_be_bytes(*length).into()).ok_or(FrameError::Header)?;
        let flat = Flat::of_json(header)?;
        if !matches!(flat.r#type, Kind::Send) {
            return Err(FrameError::NotSend);
        }
        flat.into_frame(Some(Payload::Binary(payload.into())))
    }
}

impl<'a> Flat<'a> {
    fn of_json(json: &'a [u8]) -> Result<Self, FrameError> {
        let flat = serde_json::from_slice(json).map_err(|error| FrameError::Json(error.to_string()))?;
        // A list of the values, in the order in which they stand here, would do for serde.
        let is_object = json.trim_ascii_start().starts_with(b"{");
        is_object.then_some(flat).ok_or(FrameError::NoObject)
    }

    fn into_frame(self, payload: Option<Payload>) -> Result<ClientFrame, FrameError> {
        let missing = |kind, key| FrameError::Missing { kind, key };
        Ok(match self.r#type {
            Kind::Join => ClientFrame::Join(Join {
                protocol: self.protocol.ok_or(missing("join", "protocol"))?,
                token: self.token.ok_or(missing("join", "token"))?.into_owned(),
                resume: self.resume,
                after: self.after,
                sender: self.sender,
            }),
            Kind::Send => {
                let class = self.class.unwrap_or_default();
                if self.n.is_none() && class != Class::Volatile {
                    return Err(missing("send", "n"));
                }
                ClientFrame::Send(Send {
                    n: self.n,
                    class,
                    to: self.to,
                    payload: payload.ok_or(missing("send", "data"))?,
                    acknowledged: self.ack,
                })
            }
            Kind::Ack => {
                ClientFrame::Acknowledge { sequence: self.sequence.ok_or(missing("ack", "sequence"))? }
            }
            Kind::Ping => ClientFrame::Ping { time: self.time },
            Kind::Renew => {
                ClientFrame::Renew { token: self.token.ok_or(missing("renew", "token"))?.into_owned() }
            }
            Kind::Leave => ClientFrame::Leave,
        })
    }
}

/// Why messages may be missing that were for this member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// The buffer no longer holds them (R2).
    Buffer,
    /// Numbering began anew: nothing is known of what came before.
    Epoch,
}

/// Messages of the room after `after` and before `before` may have been for this member, and are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// The last number that the member had.
    pub after: u64,
    /// The first number from which on nothing is missing.
    pub before: u64,
}

/// What becomes of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It is new.
    Joined,
    /// Its connection is gone; it is still a member.
    Dropped,
    /// It is back.
    Returned,
    /// It has left, or was removed.
    Left,
}

/// A member, as the others see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Its name.
    pub member: MemberId,
    /// Whether it has a connection.
    pub is_connected: bool,
}

/// How much a member may send (A2).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct SendLimits {
    /// The longest payload, in bytes.
    pub message_bytes: usize,
    /// Beyond so many messages a second, with as many saved up, the connection is closed.
    pub messages_per_second: f64,
    /// Beyond so many bytes a second, likewise.
    pub bytes_per_second: f64,
}

/// Why a send was refused. Nothing was sent; sent again with the same counter, it is looked at anew.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendRefusal {
    /// There is no such member in this room.
    NoSuchMember,
    /// The token does not allow sending.
    NotAllowed,
    /// The payload is longer than the limit.
    TooLong,
}

/// What the server says, except for `message`, which is written by [`Delivery`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerFrame {
    /// The first message to a member that was here before (R3).
    ReconnectionDetected {
        /// For how long it was away, in seconds.
        disconnect_duration: f64,
        /// How many messages come now.
        missed_message_count: u64,
        /// What cannot come, if there is something.
        gap: Option<Gap>,
    },
    /// The answer to `join`.
    Joined {
        /// The room.
        room: RoomId,
        /// Who the token says that this is.
        member: MemberId,
        /// The room's epoch.
        epoch: Epoch,
        /// This connection, for `after`.
        connection: Fence,
        /// The `prev` of the next message.
        position: u64,
        /// The sender's last counter that was accepted; what is beyond it was not sent.
        accepted: u64,
        /// Everybody, this member too.
        members: Vec<MemberInfo>,
        /// How much this connection may send.
        limits: SendLimits,
    },
    /// The answer to `send`.
    Sent {
        /// The sender's counter.
        n: u64,
        /// The message's number; none for a repeat that was too long ago.
        sequence: Option<u64>,
    },
    /// The answer to a `send` that was refused.
    Refused {
        /// The sender's counter.
        n: Option<u64>,
        /// Why.
        code: SendRefusal,
    },
    /// The number of the last message for this member, after a quiet moment.
    Tip {
        /// The number.
        sequence: u64,
    },
    /// Something became of another member.
    Presence {
        /// Whom.
        member: MemberId,
        /// What.
        state: Presence,
    },
    /// The answer to `ping`.
    Pong {
        /// As it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<f64>,
    },
    /// The token will expire: `renew`, or be closed with 4005.
    TokenExpiring {
        /// In so many seconds.
        seconds: u64,
    },
    /// The new token counts.
    Renewed {
        /// For so many seconds.
        seconds: u64,
    },
}

/// Writes `message`s: what is the same for all recipients once, the rest for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// The JSON without its last brace; without `data` when the payload is binary.
    head: Arc<str>,
    binary: Option<Arc<[u8]>>,
}

/// A frame to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// What all recipients of a message are told.
#[derive(Serialize)]
struct Head<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a MemberId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a MemberId>,
    class: Class,
    /// Milliseconds since the Unix epoch.
    time: u64,
}

/// What a message is, beside its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// Its number; none when it is volatile.
    pub sequence: Option<u64>,
    /// Who sent it; the application's own server when there is none.
    pub from: Option<&'a MemberId>,
    /// The only recipient, if it is not for all.
    pub to: Option<&'a MemberId>,
    /// What becomes of it.
    pub class: Class,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub time: u64,
}

impl Delivery {
    /// Prepares a message.
    #[must_use]
    pub fn new(envelope: Envelope<'_>, payload: &Payload) -> Self {
        let Envelope { sequence, from, to, class, time } = envelope;
        let head = Head { r#type: "message", sequence, from, to, class, time };
        // Names, numbers and words: there is nothing in it that cannot be written.
        let mut head = serde_json::to_string(&head).unwrap_or_default();
        head.pop();
        let binary = match payload {
            Payload::Json(text) => {
                head.push_str(",\"data\":");
                head.push_str(text);
                None
            }
            Payload::Binary(bytes) => Some(Arc::clone(bytes)),
        };
        Self { head: head.into(), binary }
    }

    /// The frame for one recipient, who had `prev` before it.
    #[must_use]
    pub fn frame(&self, prev: Option<u64>) -> Frame {
        let tail = prev.map_or_else(|| "}".to_owned(), |prev| format!(",\"prev\":{prev}}}"));
        let length = self.head.len() + tail.len();
        match &self.binary {
            None => {
                let mut text = String::with_capacity(length);
                text.push_str(&self.head);
                text.push_str(&tail);
                Frame::Text(text)
            }
            Some(payload) => {
                let mut bytes = Vec::with_capacity(2 + length + payload.len());
                // Two names and four numbers are far below 64 KiB.
                bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
                bytes.extend_from_slice(self.head.as_bytes());
                bytes.extend_from_slice(tail.as_bytes());
                bytes.extend_from_slice(payload);
                Frame::Binary(bytes)
            }
        }
    }

    /// About how many bytes a frame of it has.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.head.len() + self.binary.as_ref().map_or(0, |payload| payload.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_message_is_read_as_it_was_written() {
        let text = r#"{"type":"send","n":3,"to":"b","data":{"x": 1.50,"y":"é"},"newer":1}"#;
        let Ok(ClientFrame::Send(send)) = ClientFrame::of_text(text) else { panic!() };
        assert_eq!((send.n, send.class, send.to), (Some(3), Class::Normal, Some("b".parse().unwrap())));
        assert_eq!(send.payload, Payload::Json(r#"{"x": 1.50,"y":"é"}"#.into()));
    }

    #[test]
    fn null_is_something_to_send() {
        let Ok(ClientFrame::Send(send)) = ClientFrame::of_text(r#"{"type":"send","n":1,"data":null}"#) else {
            panic!()
        };
        assert_eq!(send.payload, Payload::Json("null".into()));
    }

    #[test]
    fn a_binary_message_has_its_header_first() {
        let header = br#"{"type":"send","class":"volatile"}"#;
        let mut frame = u16::try_from(header.len()).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(header);
        frame.extend_from_slice(&[0, 255, 7]);
        let Ok(ClientFrame::Send(send)) = ClientFrame::of_binary(&frame) else { panic!() };
        assert_eq!(send.payload, Payload::Binary([0, 255, 7].as_slice().into()));
        for end in 0..2 + header.len() {
            assert_eq!(ClientFrame::of_binary(&frame[..end]), Err(FrameError::Header), "{end}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |text| ClientFrame::of_text(text).unwrap_err().to_string();
        assert_eq!(error(r#"{"type":"send","data":1}"#), "`send` needs `n`");
        assert_eq!(error(r#"{"type":"send","n":1}"#), "`send` needs `data`");
        assert_eq!(error(r#"{"type":"join","protocol":1}"#), "`join` needs `token`");
        assert!(
            error(r#"{"type":"fly"}"#).contains("unknown variant `fly`"),
            "{}",
            error(r#"{"type":"fly"}"#)
        );
        assert!(error("{").contains("line 1"));
        let list = r#"["ping",null,null,null,null,null,null,null,null,null,null,null,null]"#;
        assert_eq!(error(list), "a message is a JSON object");
    }

    #[test]
    fn names_are_safe_in_paths_and_logs() {
        for good in ["a", "room-1", "A.b_c:9@x~", &"n".repeat(128)] {
            assert_eq!(good.parse::<RoomId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "a b", "é", "<b>", "a\n", &"n".repeat(129)] {
            assert_eq!(bad.parse::<RoomId>(), Err(NameError), "{bad:?}");
        }
    }

    #[test]
    fn each_recipient_gets_its_own_prev() {
        let (from, payload) = ("a".parse().unwrap(), Payload::Json("[1]".into()));
        let envelope =
            Envelope { sequence: Some(9), from: Some(&from), to: None, class: Class::Normal, time: 5 };
        let Frame::Text(text) = Delivery::new(envelope, &payload).frame(Some(7)) else { panic!() };
        assert_eq!(
            text,
            r#"{"type":"message","sequence":9,"from":"a","class":"normal","time":5,"data":[1],"prev":7}"#
        );
        let binary = Delivery::new(envelope, &Payload::Binary([1, 2].as_slice().into()));
        let Frame::Binary(bytes) = binary.frame(Some(7)) else { panic!() };
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let header: serde_json::Value = serde_json::from_slice(&bytes[2..2 + length]).unwrap();
        assert_eq!((header["prev"].as_u64(), &bytes[2 + length..]), (Some(7), &[1, 2][..]));
    }
}
