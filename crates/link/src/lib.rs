//! One link: what joins this seat to one peer, seen from here.
//!
//! A link has two lanes. **Direct** is the data channel, from page to page. **Server** goes through the control
//! WebSockets of both pages: slower, and there when the path between the pages is not. Every packet holds all that
//! the peer lacks, so it does not matter over which lane it comes, or over how many.
//!
//! # The algorithm
//!
//! ```text
//!            silence, or the peer says so                 good both ways for 2 s
//!  direct ──────────────────────────────► outage ───────────────────────────────► direct
//!                                           │ │
//!     packets go over both lanes meanwhile ◄┘ └► bad for 1 s: ICE restart, at most 3, 5 s each (L7)
//!                                                then one rebuild of the connection, 10 s
//!                                                then the server lane alone
//!  nothing over any lane for the grace of 3 s ─► lost;  something again ─► restored (L8)
//! ```
//!
//! - **Silence** is counted from the last packet over the direct lane; on every tick one leaves, whether or not a
//!   frame could be simulated. Past three frame intervals and twice the jitter, at least 50 ms, the lane is suspect
//!   (L5). Browsers take 5 s to say that.
//! - **A cut may be one-way**: every packet says whether nothing comes to its sender. Who hears that sends over the
//!   server lane too.
//! - **One's own lateness is not the peer's silence**: after a gap between two calls of [`Link::handle_timeout`] that
//!   only a page that stood still can have made, silence is counted from then on.
//!   In an outage, which uses both lanes, a short silence of both is a busy page and says nothing of the path.
//! - **Lossy is not dead**: a restart needs a whole second without a good moment. An outage ends, and its attempts are
//!   forgotten, when the lane has been good both ways for 2 s.
//! - **One side leads**: the lower seat restarts and rebuilds. A connection that cannot be restarted (its channel is
//!   closed, or the browser does not recover it) is rebuilt at once, by whoever finds out.
//! - **Warm or hot**: the server lane carries packets during an outage, and a probe a second otherwise; from the
//!   probes the link knows whether that would be in time. If not, it uses both lanes always, and says so.
//! - **Nothing is sent into a cut**: what waits for an acknowledgement stops SCTP for up to three seconds, whether or not
//!   the path comes back. Where the browser tells that its own checks of the path are answered, packets leave over the
//!   direct lane only then, and the lane is back at once.
//! - **Which lane is in use** is decided by what comes: the server lane is from when its packets bring what the direct
//!   lane has not; the direct one from the end of the outage.
//!
//! The link reads the peer's packets and believes only those of its own game, of the seat at its other end and
//! of that seat's present incarnation (N4, N5). Of each it learns what there is to know about the path: the
//! round trip from echoes, loss and jitter from sequence numbers, because browsers report neither on
//! connections that carry data only (L4). Each lane counts for itself.
//!
//! Pure: time comes in as an argument, packets come in and go out as values.

mod link;
mod outage;
mod path;
mod quality;

pub use link::{Checked, Direct, Ends, Lanes, Link, LinkEvent, Received, Refusal, Rules};
pub use outage::MAX_RESTARTS;
pub use quality::{PathQuality, Sample};
pub use wire::lane::{Cause, Lane, Quality};
