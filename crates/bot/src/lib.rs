//! Scripted participants: native peers that take part in an experiment as pages do, so that it can be tried alone (H1).
//!
//! A bot begins a visit over the server's HTTP API, opens its control channel, reads scenes, answers questions, waits in
//! lobbies, and plays with the same `session` as a page, on the native run of the same environment. It makes no WebRTC
//! connections: its links are the server lane alone, and the server says so in `game_start` (`relayed`), so that nobody waits for
//! a data channel.
//!
//! | module | subject |
//! | --- | --- |
//! | `participant` | one visit: what is said and done when something comes; pure |
//! | `channel` | the control channel's page side: numbers, repeats, coming back; pure |
//! | `play` | one game: session, environment, pauses, the record; pure but for the environment and a loss's wall clock |
//! | `answers` | what is answered to questions, and what was wrong before; pure |
//! | `hands` | what is pressed; pure |
//! | `driver` | sockets, HTTP and time, a thread a bot |

mod answers;
mod channel;
mod driver;
mod hands;
mod participant;
mod play;

pub use driver::{Bots, MARK, start};
