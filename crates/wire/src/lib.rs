//! Every message and packet that crosses a network or the boundary of an environment, with its codec and its
//! bounds. `docs/protocol.md` describes the same for other languages, `docs/environments.md` the part that an
//! environment's author sees.
//!
//! | module | between | form |
//! | --- | --- | --- |
//! | [`control`], [`scene`], [`form`], [`ending`], [`texts`] | page and server, one WebSocket | JSON, `type` first |
//! | [`packet`] | page and page, a data channel | postcard, at most [`packet::MAX_PACKET_BYTES`] |
//! | [`lane`] | page and server and page, the same WebSocket | binary, packets behind their seats |
//! | `room` | member and server, one WebSocket | JSON; binary payloads behind a JSON header |
//! | [`batch`] | page to server, HTTP | postcard, at most [`batch::MAX_BATCH_BYTES`] |
//! | [`transfer`] | page to server to page, HTTP | numbers, and the state without its zeros |
//! | [`manifest`], [`draw`] | environment to whoever runs it | JSON; little-endian records |

pub mod batch;
pub mod close;
pub mod control;
pub mod draw;
pub mod ending;
pub mod form;
pub mod lane;
pub mod manifest;
pub mod packet;
#[cfg(feature = "rooms")]
pub mod room;
pub mod scene;
pub mod texts;
pub mod transfer;

/// The version of everything in this crate. A page and a server whose versions differ do not talk (H4).
pub const PROTOCOL_VERSION: u16 = 1;
