//! WebSocket close codes. The range names the remedy: 40xx, stop; 41xx, come back (R7).

/// Why the server closes a WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum CloseCode {
    /// A message was malformed, too long, or not allowed at that moment.
    BadMessage = 4000,
    /// A newer connection of the same participant took over.
    Replaced = 4001,
    /// The token is missing, forged or expired.
    Unauthorized = 4002,
    /// The page speaks another protocol version; loading it again cures that.
    ProtocolMismatch = 4003,
    /// Messages came faster than the limit.
    TooFast = 4004,
    /// The token has expired; another one opens the room again.
    TokenExpired = 4005,
    /// The member was removed from its room.
    Kicked = 4006,
    /// The room has as many members as may be.
    RoomFull = 4007,
    /// The room is over: deleted, left by all, or expired.
    RoomDeleted = 4008,
    /// The member has left, as it asked.
    Left = 4009,
    /// The server is stopping or restarting.
    GoingAway = 4100,
    /// Nothing was heard from the page for too long.
    HeartbeatMissed = 4101,
    /// `hello` did not come in time.
    HandshakeTimeout = 4102,
    /// The server holds as many rooms as may be.
    TooManyRooms = 4103,
    /// What was said could not be kept; the room begins another epoch.
    Unavailable = 4104,
    /// The page read too slowly, and its queue was full (R8).
    SlowReader = 4108,
}

impl CloseCode {
    /// Every code, in order.
    pub const ALL: [Self; 16] = [
        Self::BadMessage,
        Self::Replaced,
        Self::Unauthorized,
        Self::ProtocolMismatch,
        Self::TooFast,
        Self::TokenExpired,
        Self::Kicked,
        Self::RoomFull,
        Self::RoomDeleted,
        Self::Left,
        Self::GoingAway,
        Self::HeartbeatMissed,
        Self::HandshakeTimeout,
        Self::TooManyRooms,
        Self::Unavailable,
        Self::SlowReader,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The code of a number, if it is one of ours.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// Whether a page should connect again after this code. Codes that are not ours (a lost network, a proxy)
    /// also mean: come back.
    #[must_use]
    pub const fn means_come_back(number: u16) -> bool {
        !matches!(number, 4000..=4099)
    }

    /// The reason sent beside the code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BadMessage => "bad message",
            Self::Replaced => "replaced",
            Self::Unauthorized => "unauthorized",
            Self::ProtocolMismatch => "protocol mismatch",
            Self::TooFast => "too fast",
            Self::TokenExpired => "token expired",
            Self::Kicked => "kicked",
            Self::RoomFull => "room full",
            Self::RoomDeleted => "room deleted",
            Self::Left => "left",
            Self::GoingAway => "going away",
            Self::HeartbeatMissed => "heartbeat missed",
            Self::HandshakeTimeout => "handshake timeout",
            Self::TooManyRooms => "too many rooms",
            Self::Unavailable => "unavailable",
            Self::SlowReader => "slow reader",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_names_the_remedy() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_number(code.number()), Some(code));
            assert_eq!(CloseCode::means_come_back(code.number()), code.number() >= 4100);
        }
        assert!(CloseCode::means_come_back(1006));
    }

    #[test]
    fn every_code_is_documented() {
        let protocol = include_str!("../../../docs/protocol.md");
        for code in CloseCode::ALL {
            assert!(protocol.contains(&format!("| {} |", code.number())), "{code:?}");
        }
    }
}
