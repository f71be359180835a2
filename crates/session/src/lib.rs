//! The participant's machine: one seat of one game, from its first frame to the last acknowledged upload.
//!
//! A session joins the links ([`link`]), the rollback core ([`rollback`]) and the record of play. It is pure:
//! the driver tells it what came and what time it is, and takes out what must leave.
//!
//! ```text
//!  handle_packet ─► link ─► inputs ─┐                    ┌─► poll_transmit   packets, newest state only
//!  set_input ───────────────────────┤ rollback ◄─► env   ├─► poll_event      what the page shows or reports
//!  handle_timeout ─► frame clock ───┘      │             └─► poll_batch      the record, for upload
//!                                     confirmed frames
//! ```
//!
//! The frame clock ticks at the game's rate, whether or not a frame can be simulated; on **every** tick a packet
//! leaves to every peer, with all inputs that the peer has not acknowledged. So a lost packet costs nothing that
//! the next does not mend, and a seat that stands still is never mistaken for one that is gone.
//!
//! Clocks drift apart and pages stall. Each seat compares how far it believes to be ahead of a peer with what
//! the peer believes; half the difference is what it is really ahead, since the path's delay is in both. Who is
//! ahead ticks a little slower, who is behind a little faster, who is far behind at twice the rate (N3).
//!
//! A pause ([`Session::handle_pause`]) stops the frames and not the packets. The seat tells what it holds of
//! everyone's inputs, takes what all hold together ([`Session::handle_cut`]), plays what is known of it, and says when
//! it hears the others and has nothing left to play. A page that has lost its memory plays the whole game anew, from
//! its seed and the inputs that the server has ([`Session::handle_history`]): the same state comes of it (E4). One
//! whose state differs does the same. Where that takes longer than a second, a page without memory takes a peer's
//! state ([`Session::handle_state`]).
//!
//! Invariants, checked by the simulator's tests:
//! - a frame is confirmed once, in order, with the same inputs and the same hash at every seat;
//! - every confirmed frame is in a batch until the server says that it is durable;
//! - no packet, however made, panics, allocates beyond a bound or changes what is confirmed (N4);
//! - nothing is simulated past an episode's last frame before that frame is confirmed (N6).

mod clock;
mod compare;
mod halt;
mod pace;
mod recorder;
mod replay;
mod session;
mod setup;
mod status;
mod transfer;

pub use halt::Report;
pub use recorder::UploadStatus;
pub use replay::Replayed;
pub use session::{Reason, Session, SessionEvent, Transmit};
pub use setup::{Setup, SetupError};
pub use status::{PeerStatus, SeatPhase, Status};
