//! What the page tells of its device, and its way to the server, before the first scene (X1). The server decides.

use base::Timestamp;
use wire::control::ClientMessage;

use crate::clock::now;

/// The page is being asked.
pub(crate) struct Screening {
    wanted: usize,
    round_trips_millis: Vec<f32>,
}

impl Screening {
    pub(crate) fn new(wanted: u8) -> Self {
        Self { wanted: wanted.into(), round_trips_millis: Vec::new() }
    }

    /// The server has answered to a ping, with the page's time of asking.
    pub(crate) fn answered(&mut self, time: f64) {
        let sent = Timestamp::from_micros((time * 1000.0) as u64);
        self.round_trips_millis.push(now().saturating_since(sent).as_secs_f32() * 1000.0);
    }

    /// What there is to say, when all is measured.
    pub(crate) fn report(&self) -> Option<ClientMessage> {
        if self.round_trips_millis.len() < self.wanted {
            return None;
        }
        let window = web_sys::window()?;
        let pointer = window.match_media("(any-pointer: fine)").ok().flatten();
        let side = |side: Result<i32, _>| u32::try_from(side.unwrap_or(0)).unwrap_or(0);
        let screen = window.screen().ok();
        Some(ClientMessage::ScreeningReport {
            touch_points: u32::try_from(window.navigator().max_touch_points()).unwrap_or(0),
            fine_pointer: pointer.is_some_and(|pointer| pointer.matches()),
            screen: screen.map_or([0, 0], |screen| [side(screen.width()), side(screen.height())]),
            round_trips_millis: self.round_trips_millis.clone(),
        })
    }
}
