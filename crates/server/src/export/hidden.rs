//! The frames to which a seat's page came in the background (X2).

use base::{Frame, MAX_SEATS, Seat};
use store::ServerEventRow;

/// For each seat, where its page went into the background, and where it came back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Hidden {
    spans: [Vec<(Frame, Frame)>; MAX_SEATS],
}

impl Hidden {
    /// From what pages told the server. A page that was loaded anew says so again if it is there.
    pub(super) fn of(told: &[ServerEventRow]) -> Self {
        let mut own = Self::default();
        for event in told {
            let (Some(seat), Some(frame)) = (event.seat, event.detail["frame"].as_u64()) else { continue };
            let Ok(frame) = Frame::try_from(frame) else { continue };
            let spans = &mut own.spans[seat.index()];
            let open = spans.last_mut().filter(|(_, end)| *end == Frame::MAX);
            match (event.kind.as_str(), open) {
                ("tab_hidden", None) => spans.push((frame, Frame::MAX)),
                ("tab_shown" | "reload", Some((_, end))) => *end = frame,
                _ => {}
            }
        }
        own
    }

    /// Whether a seat's page was in the background when it came to a frame.
    pub(super) fn at(&self, seat: Seat, frame: Frame) -> bool {
        self.spans[seat.index()].iter().any(|&(from, to)| (from..to).contains(&frame))
    }
}

#[cfg(test)]
mod tests {
    use base::WallTime;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_is_in_the_background_from_when_it_says_so_until_it_is_back() {
        let row = |(seat, kind, frame): &(u8, &str, Frame)| ServerEventRow {
            seat: Seat::new(*seat),
            kind: (*kind).to_owned(),
            detail: json!({ "frame": frame }),
            at: WallTime(0),
        };
        let events = [
            (0, "tab_hidden", 10),
            (1, "tab_shown", 11),
            (0, "tab_shown", 20),
            (1, "tab_hidden", 15),
            (0, "reload", 30),
            (1, "reload", 25),
            (0, "tab_hidden", 40),
        ];
        let hidden = Hidden::of(&events.iter().map(row).collect::<Vec<_>>());
        let frames = |seat: u8| {
            (0..50).filter(|&frame| hidden.at(Seat::new(seat).unwrap(), frame)).collect::<Vec<_>>()
        };
        assert_eq!(frames(0), (10..20).chain(40..50).collect::<Vec<_>>());
        assert_eq!(frames(1), (15..25).collect::<Vec<_>>());
        assert!(frames(2).is_empty());
    }
}
