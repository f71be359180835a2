//! Control messages: JSON text on one WebSocket a participant.
//!
//! `type` names the message in `snake_case`; the other keys are `camelCase`. Unknown keys are ignored, so that a
//! newer side may say more; an unknown `type` closes the connection. Who sent a message is known from the
//! connection's token and never read from the message (A1).

use std::collections::BTreeMap;

use base::{Frame, GameId, ParticipantId, Seat, SeatSet, StateHash, VisitId};
use serde::{Deserialize, Serialize};

pub use crate::ending::{ExclusionReason, Exit, TerminationReason, VisitEnding};
use crate::form::Answers;
use crate::lane::{Cause, Lane, Quality};
use crate::scene::is_false;
pub use crate::scene::{Scene, SceneKind, Sheet, Withdrawal};

/// The longest control message, in bytes (A2).
pub const MAX_CONTROL_BYTES: usize = 64 * 1024;

/// How many confirmed frames' inputs a `p2p_pause_report` has: more than one seat's confirmed frame is ahead of
/// another's.
pub const REPORTED_FRAMES: Frame = 32;

/// How often a page sends `ping`, in milliseconds.
pub const HEARTBEAT_MILLIS: u64 = 1_000;

/// After so long without any message the server closes with 4101 and the page connects anew, in milliseconds.
pub const SILENCE_LIMIT_MILLIS: u64 = 10_000;

/// What a page says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// The first message, within 10 s.
    Hello {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// From `POST /api/v1/visits`.
        token: String,
        /// A random number of this page load, below 2⁵³: tells a reload from a reconnection.
        page: u64,
        /// The epoch of the last `welcome`; empty when this page load had none.
        #[serde(default)]
        epoch: String,
        /// The last numbered message of that epoch that the page got: what came after it is sent again (R1).
        #[serde(default)]
        sequence: u64,
        /// The `id` of the texts that the page has; missing when it needs none from the server.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        texts: Option<String>,
    },
    /// Once a second; answered by `pong`.
    Ping {
        /// The page's clock in milliseconds, returned as it is.
        time: f64,
        /// The last numbered message that the page got: the server need not keep it any more.
        #[serde(default)]
        sequence: u64,
        /// How long the answer to the last one took, in milliseconds, if it came since (X2).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rtt_millis: Option<f32>,
        /// The frame that the page would simulate next, while a game is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frame: Option<Frame>,
    },
    /// The answer to `screening`: what the page can tell of its device, and its way to the server (X1).
    ScreeningReport {
        /// At how many points a screen can be touched at once.
        touch_points: u32,
        /// Whether there is a mouse, a touchpad or the like.
        fine_pointer: bool,
        /// The screen's width and height, in CSS pixels.
        screen: [u32; 2],
        /// How long answers to `ping` took, in milliseconds: as many as were asked for at least.
        round_trips_millis: Vec<f32>,
    },
    /// Whether the page is in the background: on every change, and after connecting when it is, or a game is on (X2).
    Visibility {
        /// Whether it is.
        hidden: bool,
        /// The frame that the page would simulate next, while a game is on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frame: Option<Frame>,
    },
    /// The participant is done with a scene: with what there is to read and to answer, or with a game that has ended
    /// early and whose data are saved. Repeated or late, it changes nothing (S2).
    AdvanceScene {
        /// The scene that it is done with.
        scene_id: String,
        /// What it has answered there, by the fields' names.
        #[serde(default, skip_serializing_if = "Answers::is_empty")]
        answers: Answers,
    },
    /// The participant does not want to wait in the lobby any longer (S4).
    LeaveLobby {
        /// The lobby's scene.
        scene_id: String,
    },
    /// The participant leaves the study (S7).
    LeaveStudy {
        /// Whether what was saved of it shall be deleted, where the study offers that.
        #[serde(default, skip_serializing_if = "is_false")]
        delete: bool,
    },
    /// For another seat of the game (L2).
    Signal {
        /// The game.
        game_id: GameId,
        /// For whom.
        to: Seat,
        /// What.
        signal: Signal,
    },
    /// A game could begin over a link, and so long is the way. Said again when it is found shorter, and when it is another
    /// connection or lane (S4).
    LinkChecked {
        /// The game.
        game_id: GameId,
        /// The seat at the other end.
        peer: Seat,
        /// The lane over which it was measured.
        lane: Lane,
        /// The round trip in milliseconds: of the middle one of five after one another, the least.
        rtt_millis: f32,
        /// Whether it stays at that.
        is_final: bool,
    },
    /// The environment is loaded, and every link was checked.
    GameReady {
        /// The game.
        game_id: GameId,
    },
    /// How a link came about (L3), after every connection of it.
    P2pConnectionType {
        /// The game.
        game_id: GameId,
        /// The seat at the other end.
        peer: Seat,
        /// What the browser's statistics say.
        #[serde(flatten)]
        connection: ConnectionType,
    },
    /// No lane has delivered anything from a peer for the grace (L8, P1).
    P2pConnectionLost {
        /// The game.
        game_id: GameId,
        /// The frame that the sender would simulate next.
        frame: Frame,
        /// Who is lost.
        lost_peer: Seat,
        /// The browser's word for the state of the path.
        ice_state: String,
        /// The browser's word for the state of the data channel.
        dc_state: String,
        /// Why.
        cause: Cause,
        /// The page's wall clock, milliseconds since the Unix epoch.
        timestamp: f64,
        /// The last pause that the page knows of; a report from before a later one changes nothing (P3).
        #[serde(default)]
        pause_id: u32,
    },
    /// The answer to `p2p_pause`: what this seat holds of everyone's inputs. A page that has lost its memory has
    /// nothing to say.
    P2pPauseReport {
        /// The game.
        game_id: GameId,
        /// As in `p2p_pause`.
        pause_id: u32,
        /// As in `p2p_pause`.
        round: u32,
        /// Every frame before this one is confirmed here.
        confirmed_frame: Frame,
        /// The frame of the first inputs below.
        first: Frame,
        /// Each seat's inputs from `first` on, as far as they are known here; its own end with what it has made.
        inputs: Vec<Hex>,
    },
    /// This page has lost its memory, and playing the game anew takes long: somebody's state would be quicker (P5).
    P2pStateRequest {
        /// The game.
        game_id: GameId,
        /// As in `p2p_pause`.
        pause_id: u32,
        /// As in `p2p_pause`.
        round: u32,
    },
    /// This seat hears the others again, and has made up what was missing (P4).
    P2pReconnectionSuccess {
        /// The game.
        game_id: GameId,
        /// As in `p2p_pause`.
        pause_id: u32,
        /// As in `p2p_pause`.
        round: u32,
        /// Every frame before this one is confirmed here.
        confirmed_frame: Frame,
        /// The hash of the state before that frame.
        hash: StateHash,
    },
    /// A peer that was lost is heard again.
    P2pConnectionRestored {
        /// The game.
        game_id: GameId,
        /// The frame that the sender would simulate next.
        frame: Frame,
        /// Who.
        peer: Seat,
    },
    /// How good the way to a peer is has changed (L4).
    P2pQuality {
        /// The game.
        game_id: GameId,
        /// Who.
        peer: Seat,
        /// What it is now.
        quality: Quality,
        /// The smoothed round trip in milliseconds.
        rtt_millis: Option<f32>,
        /// The lane that is used.
        lane: Lane,
    },
    /// New credentials for TURN, please: those that there are will expire (L1).
    RenewIce,
    /// Two states that must be equal are not (N2).
    P2pDesync {
        /// The game.
        game_id: GameId,
        /// The seat that differs from the sender.
        peer: Seat,
        /// The confirmed frame after which they differ.
        frame: Frame,
        /// The sender's hash.
        own: StateHash,
        /// The peer's.
        theirs: StateHash,
    },
    /// The last episode's last frame is confirmed, and the server has acknowledged this seat's whole record.
    GameFinished {
        /// The game.
        game_id: GameId,
        /// How many frames the game had.
        frames: Frame,
        /// The hash of the last state.
        hash: StateHash,
    },
    /// This seat cannot go on: its environment failed, or a link could not be made.
    GameFailed {
        /// The game.
        game_id: GameId,
        /// The frame that it would simulate next.
        frame: Frame,
        /// What happened, for the researcher; at most 1000 bytes are kept.
        reason: String,
    },
}

/// What the server says; `type` is the first key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(not(target_arch = "wasm32"), serde(tag = "type"))]
pub enum ServerMessage {
    /// The answer to `hello`. The current scene follows, and the game if one is on.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u16,
        /// Who the participant is.
        participant: ParticipantId,
        /// Which visit this is.
        visit: VisitId,
        /// How often to send `ping`, in milliseconds.
        heartbeat_millis: u64,
        /// What the numbers of the server's messages belong to. It has a number itself: the `prev` of the next one.
        epoch: String,
    },
    /// The answer to `ping`.
    Pong {
        /// As it was sent.
        time: f64,
        /// The greatest `n` of this page load that arrived.
        accepted: u64,
    },
    /// The texts of the version of the experiment that this visit began with (S2): before its scene, to a page that has others.
    Texts {
        /// As in [`Texts`](crate::texts::Texts).
        id: String,
        /// As in [`Texts`](crate::texts::Texts).
        language: String,
        /// As in [`Texts`](crate::texts::Texts).
        words: BTreeMap<String, String>,
    },
    /// Before the first scene: answer with `screening_report`; a scene follows (X1).
    Screening {
        /// The experiment's title.
        title: String,
        /// How many round trips to measure, one directly after another.
        pings: u8,
    },
    /// Show this scene. Sent at its beginning and again after every connection (S2).
    ActivateScene {
        /// The scene.
        scene: Scene,
    },
    /// Some answers are none: the scene stays.
    AnswersRefused {
        /// The scene.
        scene_id: String,
        /// What is wrong, in words for the participant, by field.
        problems: BTreeMap<String, String>,
    },
    /// The scene is over: take its things away.
    TerminateScene {
        /// Which.
        scene_id: String,
    },
    /// Who waits in the lobby of the current game scene.
    LobbyStatus {
        /// How many wait, this participant among them.
        waiting: u8,
        /// How many a game takes.
        needed: u8,
        /// After so long this participant need not wait any longer, in milliseconds.
        #[serde(default)]
        remaining_ms: u32,
    },
    /// A group is formed: load the environment and make the links. Until `game_go` this is the lobby still.
    GameStart(Box<GameStart>),
    /// The group did not come about: a link was not good enough, or somebody left. The receiver waits in the lobby for
    /// another one (S4).
    GameCancelled {
        /// The game.
        game_id: GameId,
    },
    /// From another seat of the game.
    Signal {
        /// The game.
        game_id: GameId,
        /// From whom; stamped by the server.
        from: Seat,
        /// What.
        signal: Signal,
    },
    /// The answer to `renew_ice`: for `RTCPeerConnection.setConfiguration`.
    IceServers {
        /// As in `game_start`.
        ice_servers: Vec<IceServer>,
        /// As in `game_start`.
        ice_lifetime_millis: u32,
    },
    /// Every seat is ready: begin.
    GameGo {
        /// The game.
        game_id: GameId,
    },
    /// Everyone stops (P1, P2). Said again with the same `pauseId` and `round` it tells who is missing now.
    P2pPause(PauseNotice),
    /// What everybody's inputs are, put together from what all hold (N5).
    P2pCut(Cut),
    /// A page has lost its memory, and asks for the state that this one has come to (P5).
    P2pStateWanted {
        /// The game.
        game_id: GameId,
        /// As in `p2p_pause`.
        pause_id: u32,
        /// As in `p2p_pause`.
        round: u32,
    },
    /// All states are equal: go on (P4).
    P2pResume {
        /// The game.
        game_id: GameId,
        /// Which pause is over.
        pause_id: u32,
        /// The frame at which all are equal.
        frame: Frame,
        /// After so long, in milliseconds.
        countdown_ms: u32,
    },
    /// The game is over for everyone, once (P3). A game that ends as it should sends no such message: each seat
    /// is taken on when it has said `game_finished`.
    P2pGameEnded {
        /// The game.
        game_id: GameId,
        /// The receiver's seat.
        seat: Seat,
        /// Why.
        reason: TerminationReason,
        /// Who was lost, if it is that.
        missing: SeatSet,
    },
    /// The receiver was taken out of the game (X3).
    MidGameExclusion {
        /// The game.
        game_id: GameId,
        /// Why.
        reason: ExclusionReason,
        /// The frame that would have been next.
        frame: Frame,
        /// What the participant reads, where the study's own check had words of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Another was taken out of the game, and it has ended (X3).
    PartnerExcluded {
        /// The game.
        game_id: GameId,
        /// What the participant reads: nothing about the other.
        message: String,
        /// [`TerminationReason::PartnerExclusion`].
        reason: TerminationReason,
        /// The frame that would have been next.
        frame: Frame,
    },
    /// Send what is recorded and not sent yet; then `advance_scene`, which else comes by itself after 10 s (X3).
    TriggerDataExport {
        /// The game.
        game_id: GameId,
        /// Whether the game was not played to its end.
        is_partial: bool,
        /// How it ended for the receiver.
        termination_reason: TerminationReason,
        /// The frame that would have been next.
        terminated_at_frame: Frame,
    },
}

impl ServerMessage {
    /// Reads a message.
    ///
    /// In a page the type is taken out first: reading a tag from among the other keys doubles what serde makes of
    /// every message, which is a twentieth of the page.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        if cfg!(target_arch = "wasm32") {
            serde_json::from_str(&with_type_outside(text).unwrap_or_default())
        } else {
            serde_json::from_str(text)
        }
    }
}

/// Adds a message's counter, for the server to recognise a repeat (R10).
#[must_use]
pub fn with_counter(json: &str, n: u64) -> String {
    with_last(json, &[",\"n\":", &n.to_string(), "}"].concat())
}

/// Adds a message's number in its channel, and that of the one before it (R1).
#[must_use]
pub fn with_place(json: &str, sequence: u64, prev: u64) -> String {
    with_last(json, &format!(",\"sequence\":{sequence},\"prev\":{prev}}}"))
}

fn with_last(json: &str, keys: &str) -> String {
    [json.strip_suffix('}').unwrap_or(json), keys].concat()
}

/// The number of a message and of the one before it, as [`with_place`] wrote them.
#[must_use]
pub fn place_of(json: &str) -> Option<(u64, u64)> {
    // From the end, by hand: searching for a text, and reading a number, would be a hundredth of the page.
    let (rest, prev) = number_at_end(json.as_bytes().strip_suffix(b"}")?);
    let (rest, sequence) = number_at_end(rest.strip_suffix(b",\"prev\":")?);
    rest.ends_with(b",\"sequence\":").then_some((sequence, prev))
}

fn number_at_end(text: &[u8]) -> (&[u8], u64) {
    let (mut rest, mut number, mut unit) = (text, 0_u64, 1_u64);
    while let [before @ .., digit @ b'0'..=b'9'] = rest {
        number = number.wrapping_add(unit.wrapping_mul((digit - b'0').into()));
        (rest, unit) = (before, unit.wrapping_mul(10));
    }
    (rest, number)
}

/// `{"type":"x","y":1}` as `{"x":{"y":1}}`.
fn with_type_outside(text: &str) -> Option<String> {
    let (kind, rest) = text.strip_prefix("{\"type\":\"")?.split_once('"')?;
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    Some(["{\"", kind, "\":{", rest, "}"].concat())
}

/// One message of the making of a connection, passed on without being understood.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Signal {
    /// An `RTCSessionDescription`.
    Description {
        /// Which connection between the two it is about, from 0: one that does not come about is made anew.
        attempt: u32,
        /// `offer`, `answer`, `pranswer` or `rollback`.
        sdp_type: String,
        /// The text.
        sdp: String,
    },
    /// An `RTCIceCandidate`; the empty candidate ends them.
    Candidate {
        /// As with a description.
        attempt: u32,
        /// The candidate's line.
        candidate: String,
        /// Its media section's name.
        sdp_mid: Option<String>,
        /// Its media section's index.
        sdp_m_line_index: Option<u16>,
    },
}

/// How two pages are joined (L3).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionType {
    /// `direct`, `relay` (TURN) or `unknown`.
    pub connection_type: String,
    /// `host`, `srflx`, `prflx` or `relay`.
    pub local_candidate_type: Option<String>,
    /// The same of the other side.
    pub remote_candidate_type: Option<String>,
    /// `udp` or `tcp`.
    pub protocol: Option<String>,
    /// `udp`, `tcp` or `tls`, towards a TURN server.
    pub relay_protocol: Option<String>,
    /// The frame that the page would simulate next.
    pub detected_at_frame: Frame,
    /// The page's wall clock, milliseconds since the Unix epoch.
    pub timestamp: f64,
}

impl ConnectionType {
    /// Whether another says the same, whenever it was found.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let Self {
            connection_type,
            local_candidate_type,
            remote_candidate_type,
            protocol,
            relay_protocol,
            ..
        } = self;
        *connection_type == other.connection_type
            && *local_candidate_type == other.local_candidate_type
            && *remote_candidate_type == other.remote_candidate_type
            && *protocol == other.protocol
            && *relay_protocol == other.relay_protocol
    }
}

/// Everything a seat needs to play one game.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GameStart {
    /// The game.
    pub game_id: GameId,
    /// The scene that it belongs to.
    pub scene_id: String,
    /// The receiver's seat.
    pub seat: Seat,
    /// How many seats there are.
    pub seats: u8,
    /// Marks the game's packets.
    pub epoch: u32,
    /// The game's seed, 16 hex digits; episode *n* has the seed `derive_seed(seed, n)` (N6).
    pub seed: Seed,
    /// How the game runs.
    pub rules: GameRules,
    /// The environment.
    pub environment: EnvironmentRef,
    /// The environment's options, in its manifest's order; the same for all who play.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<f64>,
    /// Key names (`KeyboardEvent.code`) to the environment's buttons.
    pub keys: BTreeMap<String, String>,
    /// For `RTCConfiguration.iceServers`, as it is.
    pub ice_servers: Vec<IceServer>,
    /// For how long their credentials are good, in milliseconds; 0 when they do not expire.
    #[serde(default)]
    pub ice_lifetime_millis: u32,
    /// Each seat's incarnation, raised when its page loses its memory (N5).
    #[serde(default)]
    pub incarnations: Vec<u8>,
    /// Seats that can make no connection of their own, as bots: all links to them are the server lane, from the beginning.
    #[serde(default)]
    pub relayed: SeatSet,
    /// Whether it has begun: a page that was loaded since does not show the lobby.
    #[serde(default)]
    pub begun: bool,
}

/// Everyone stops.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseNotice {
    /// The game.
    pub game_id: GameId,
    /// Counts the game's pauses, from 1.
    pub pause_id: u32,
    /// Begins anew within a pause whenever what was said before does not hold any more.
    pub round: u32,
    /// Who is missing.
    pub missing: SeatSet,
    /// Who still plays: whom to hear before all can go on.
    pub playing: SeatSet,
    /// Why the game paused.
    pub reason: PauseReason,
    /// The frame at which whoever caused it stood.
    pub pause_frame: Frame,
    /// After so long the game ends for everyone, in milliseconds.
    pub remaining_ms: u32,
    /// Each seat's incarnation.
    pub incarnations: Vec<u8>,
}

/// Why a game paused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// A seat hears nothing of another.
    ConnectionLost,
    /// A page was loaded anew.
    Reload,
    /// States that must be equal are not.
    Desync,
    /// Nobody is connected to the server.
    EveryoneGone,
    /// Others have played to the end and left; what they pressed last is with the server.
    Finishing,
    /// Somebody has left, or was taken out of the game; the others play on.
    PlayerLeft,
    /// A page is in the background, and the study waits for it (X2).
    TabHidden,
}

impl PauseReason {
    /// The name on the wire and in the data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionLost => "connection_lost",
            Self::Reload => "reload",
            Self::Desync => "desync",
            Self::EveryoneGone => "everyone_gone",
            Self::Finishing => "finishing",
            Self::PlayerLeft => "player_left",
            Self::TabHidden => "tab_hidden",
        }
    }
}

/// Everybody's inputs, put together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cut {
    /// The game.
    pub game_id: GameId,
    /// As in `p2p_pause`.
    pub pause_id: u32,
    /// As in `p2p_pause`.
    pub round: u32,
    /// The frame of the first inputs below. The confirmed inputs of the frames before it are at
    /// `/api/v1/games/{game}/inputs`.
    pub first: Frame,
    /// Each seat's part.
    pub seats: Vec<SeatCut>,
    /// Who plays everything anew from seed and inputs, whether or not its page has lost its memory.
    pub rebuild: SeatSet,
}

/// One seat's part of a cut: nobody derives it (N5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeatCut {
    /// Whose inputs come from here on.
    pub incarnation: u8,
    /// Every incarnation but the first, with the first frame whose input is its own: what the records call them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fences: Vec<(u8, Frame)>,
    /// The first frame whose input nobody holds.
    pub cut_frame: Frame,
    /// The input of the frames from `cutFrame` to `firstOwnFrame`.
    pub fill_value: Hex,
    /// The first frame whose input this incarnation makes; [`base::FRAME_LIMIT`] when it makes none any more.
    pub first_own_frame: Frame,
    /// The inputs from `first` to `cutFrame`.
    pub inputs: Hex,
}

/// Bytes, in JSON as hex digits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hex(pub Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let text: String = digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let digit = |digit: u8| char::from(digit).to_digit(16).map(|digit| digit as u8);
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not hex digits"))
    }
}

/// How a game runs; the same for all its seats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GameRules {
    /// Frames a second, 1 to 240.
    pub fps: u16,
    /// How many episodes.
    pub episodes: u32,
    /// The most frames of an episode; the environment may end it sooner.
    pub max_frames: Frame,
    /// Frames between a key and its effect, 0 to 8 (N1).
    pub input_delay: u8,
    /// The most frames that are simulated ahead of the confirmed one, 1 to 16 (N1).
    pub window: u8,
    /// What a missing input is taken for (N1).
    pub prediction: Prediction,
    /// The pause between two episodes, in milliseconds.
    pub intermission_millis: u32,
    /// When the server lane is used (L5).
    #[serde(default)]
    pub lanes: LaneUse,
    /// What the loss of the direct lane means (L6).
    #[serde(default)]
    pub on_direct_loss: OnDirectLoss,
    /// After how long without a packet a peer is lost, in milliseconds (L8).
    #[serde(default = "default_grace_millis")]
    pub grace_millis: u32,
    /// Whether connections may go over TURN only (L1).
    #[serde(default)]
    pub force_relay: bool,
    /// What is done about pauses.
    #[serde(default)]
    pub pauses: PauseRules,
    /// What becomes of the others when one of more than two does not come back (P9).
    #[serde(default)]
    pub on_player_lost: OnPlayerLost,
}

/// What becomes of the others when one of more than two does not come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPlayerLost {
    /// The game ends for everyone.
    #[default]
    End,
    /// The others play on; the lost one presses nothing.
    Continue,
}

/// How long and how often a game may stand still (P3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PauseRules {
    /// After how long a pause ends the game, in milliseconds.
    pub timeout_millis: u32,
    /// How many pauses a game may have.
    pub most: u32,
    /// How long they may be together, in milliseconds.
    pub total_millis: u32,
    /// Between the end of a pause and the next frame, in milliseconds.
    pub countdown_millis: u32,
}

impl Default for PauseRules {
    fn default() -> Self {
        Self { timeout_millis: 30_000, most: 3, total_millis: 120_000, countdown_millis: 3_000 }
    }
}

const fn default_grace_millis() -> u32 {
    3000
}

/// When the server lane is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneUse {
    /// While the direct lane is suspect.
    #[default]
    Warm,
    /// Always.
    Hot,
}

/// What the loss of the direct lane means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDirectLoss {
    /// The game goes on over the server lane.
    #[default]
    Server,
    /// The server lane is not used: for studies that must not mix latencies.
    Pause,
}

impl Default for GameRules {
    fn default() -> Self {
        Self {
            fps: 30,
            episodes: 1,
            max_frames: 1800,
            input_delay: 2,
            window: 8,
            prediction: Prediction::RepeatLast,
            intermission_millis: 1500,
            lanes: LaneUse::Warm,
            on_direct_loss: OnDirectLoss::Server,
            grace_millis: default_grace_millis(),
            force_relay: false,
            pauses: PauseRules::default(),
            on_player_lost: OnPlayerLost::End,
        }
    }
}

/// What an input that has not come yet is taken for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// That seat's last known input.
    #[default]
    RepeatLast,
    /// Nothing pressed.
    Default,
}

/// Where to get an environment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentRef {
    /// The prepared module, relative to the page.
    pub url: String,
    /// The prepared module's SHA-256, in hex; the page refuses another, where its browser can tell (HTTPS, or the same machine).
    pub sha256: String,
}

/// An entry of `RTCConfiguration.iceServers`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` addresses.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub username: Option<String>,
    /// For TURN.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub credential: Option<String>,
}

/// A game's seed: 16 hex digits in JSON, where numbers lose bits past 2⁵³.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

impl Serialize for Seed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_place_at_its_end() {
        let json = serde_json::to_string(&ServerMessage::TerminateScene { scene_id: "a".into() }).unwrap();
        for (sequence, prev) in [(1, 0), (41, 7), (u64::MAX, u64::MAX - 1)] {
            let placed = with_place(&json, sequence, prev);
            assert_eq!(place_of(&placed), Some((sequence, prev)));
            let value: serde_json::Value = serde_json::from_str(&placed).unwrap();
            assert_eq!((value["sequence"].as_u64(), value["prev"].as_u64()), (Some(sequence), Some(prev)));
            assert!(ServerMessage::from_json(&placed).is_ok());
        }
        let pong = serde_json::to_string(&ServerMessage::Pong { time: 5.0, accepted: 9 }).unwrap();
        for other in [json.as_str(), &pong, "", "}", "{}", ",\"sequence\":1}"] {
            assert_eq!(place_of(other), None, "{other}");
        }
        let counted: serde_json::Value = serde_json::from_str(&with_counter(&json, 12)).unwrap();
        assert_eq!(counted["n"], 12);
    }

    #[test]
    fn messages_have_the_documented_form() {
        let message = ClientMessage::AdvanceScene { scene_id: "welcome".into(), answers: Answers::new() };
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"type":"advance_scene","sceneId":"welcome"}"#
        );
        let kind = SceneKind::Game { players: 2, texts: BTreeMap::new(), tab_warning_millis: 0 };
        let scene = Scene { id: "play".into(), title: "Tag".into(), kind, withdrawal: Withdrawal::Keep };
        assert_eq!(
            serde_json::to_string(&ServerMessage::ActivateScene { scene }).unwrap(),
            r#"{"type":"activate_scene","scene":{"id":"play","title":"Tag","kind":{"game":{"players":2}}}}"#
        );
    }

    #[test]
    fn the_game_starts_with_everything_a_seat_needs() {
        let start = GameStart {
            game_id: GameId::from_random([1; 16]),
            scene_id: "play".into(),
            seat: Seat::new(1).unwrap(),
            seats: 2,
            epoch: 7,
            seed: Seed(0xff),
            rules: GameRules::default(),
            environment: EnvironmentRef { url: "/environments/ab.wasm".into(), sha256: "ab".into() },
            options: vec![3.0],
            keys: BTreeMap::from([("ArrowLeft".into(), "left".into())]),
            ice_servers: vec![],
            ice_lifetime_millis: 0,
            incarnations: vec![0, 1],
            relayed: SeatSet::EMPTY,
            begun: false,
        };
        let message = ServerMessage::GameStart(Box::new(start));
        let json = serde_json::to_string(&message).unwrap();
        assert!(json.starts_with(r#"{"type":"game_start","gameId":"0101"#), "{json}");
        assert!(json.contains(r#""seed":"00000000000000ff""#), "{json}");
        assert_eq!(serde_json::from_str::<ServerMessage>(&json).unwrap(), message);
    }

    #[test]
    fn inputs_travel_as_hex_digits() {
        let bytes = Hex(vec![0, 0x9f, 0xff]);
        assert_eq!(serde_json::to_string(&bytes).unwrap(), "\"009fff\"");
        assert_eq!(serde_json::from_str::<Hex>("\"009fff\"").unwrap(), bytes);
        for broken in ["\"0\"", "\"0g\"", "\"é\"", "7"] {
            assert!(serde_json::from_str::<Hex>(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_type_can_be_taken_out() {
        let outside = |text| with_type_outside(text).unwrap();
        assert_eq!(outside(r#"{"type":"pong","time":1.5}"#), r#"{"pong":{"time":1.5}}"#);
        assert_eq!(outside(r#"{"type":"nothing"}"#), r#"{"nothing":{}}"#);
        assert_eq!(with_type_outside("[]"), None);
        let pong = ServerMessage::Pong { time: 1.5, accepted: 7 };
        assert_eq!(ServerMessage::from_json(&serde_json::to_string(&pong).unwrap()).unwrap(), pong);
    }

    #[test]
    fn a_connection_type_lies_flat_in_its_message() {
        let json = r#"{"type":"p2p_connection_type","gameId":"01010101010101010101010101010101","peer":1,
            "connectionType":"direct","localCandidateType":"host","remoteCandidateType":"host",
            "protocol":"udp","relayProtocol":null,"detectedAtFrame":3,"timestamp":1.5}"#;
        let ClientMessage::P2pConnectionType { connection, .. } = serde_json::from_str(json).unwrap() else {
            panic!("another message");
        };
        assert_eq!(connection.connection_type, "direct");
    }
}
