//! The gap ledger: every interruption of a game, what it came from and which frames it spans (P8).
//!
//! Pauses are the server's to tell. What one page saw of another (stalls, other lanes, losses) is told by each page, on
//! its own clock; frames are what they have in common.

use base::{Frame, Seat, SeatSet, WallTime};
use record::Value;
use serde::Serialize;
use store::{PlayEventRow, ServerEventRow};
use wire::batch::PlayEvent;
use wire::lane::Lane;

/// How long after the server's return a pause can still come from its having been away, in milliseconds: it waits 10 s
/// for everyone before it pauses, and pages 3 s for each other before they report a loss.
const SHADOW_OF_RESTART: u64 = 15_000;

/// One interruption.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    kind: &'static str,
    /// Whose page told of it, if not the server.
    reporter: Option<Seat>,
    pause: Option<u64>,
    reason: String,
    cause: &'static str,
    /// Who was missing, or not heard.
    seats: SeatSet,
    lane: Option<&'static str>,
    first: Frame,
    last: Option<Frame>,
    began: Option<WallTime>,
    millis: Option<u64>,
    outcome: Option<&'static str>,
    rebuilt: SeatSet,
}

/// The interruptions of a game, in the order of their frames. `over` is when its last seat ended.
pub(super) fn gaps(played: &[PlayEventRow], told: &[ServerEventRow], over: Option<WallTime>) -> Vec<Gap> {
    let mut gaps = pauses(told, over);
    gaps.extend(seen_by_pages(played, over.is_some()));
    gaps.sort_by_key(|gap| (gap.first, gap.began.is_none(), gap.began, gap.kind, gap.reporter));
    gaps
}

impl Gap {
    /// Its row in the table.
    pub(super) fn row(&self, game: &str, number: u32) -> Vec<Value> {
        let listed = |seats: SeatSet| seats.iter().map(|seat| seat.to_string()).collect::<Vec<_>>().join(" ");
        vec![
            game.into(),
            number.into(),
            self.kind.into(),
            self.reporter.map(Seat::number).into(),
            self.pause.into(),
            self.reason.clone().into(),
            self.cause.into(),
            listed(self.seats).into(),
            self.lane.into(),
            self.first.into(),
            self.last.into(),
            self.began.map_or(Value::Empty, |began| Value::Time(began.0)),
            self.millis.into(),
            self.outcome.into(),
            listed(self.rebuilt).into(),
        ]
    }
}

/// How many pauses there were, and for how long they were known to last in all, in milliseconds.
pub(super) fn paused(gaps: &[Gap]) -> (u64, u64) {
    let pauses = || gaps.iter().filter(|gap| gap.pause.is_some());
    (pauses().count() as u64, pauses().filter_map(|gap| gap.millis).sum())
}

/// A list of seats, or a bit set of them.
fn seats(value: &serde_json::Value) -> SeatSet {
    let numbers = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let listed = numbers.iter().filter_map(|number| Seat::new(u8::try_from(number.as_u64()?).ok()?));
    let set = value.as_u64().and_then(|bits| u8::try_from(bits).ok()).map(SeatSet);
    set.unwrap_or_else(|| listed.collect())
}

fn frame(value: &serde_json::Value) -> Option<Frame> {
    value.as_u64().and_then(|frame| Frame::try_from(frame).ok())
}

/// A word as the record has it.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

fn pauses(told: &[ServerEventRow], over: Option<WallTime>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (at, event) in told.iter().enumerate() {
        let detail = &event.detail;
        let mut gap = Gap {
            kind: "pause",
            reporter: None,
            pause: detail["pauseId"].as_u64(),
            reason: detail["reason"].as_str().unwrap_or_default().to_owned(),
            cause: "network",
            seats: seats(&detail["missing"]),
            lane: None,
            first: frame(&detail["pauseFrame"]).or_else(|| frame(&detail["frame"])).unwrap_or_default(),
            last: None,
            began: Some(event.at),
            millis: None,
            outcome: None,
            rebuilt: SeatSet::EMPTY,
        };
        match event.kind.as_str() {
            "p2p_pause" => {}
            // There were too many already, or they had been too long.
            "p2p_pause_refused" => (gap.millis, gap.outcome) = (Some(0), Some("ended")),
            _ => continue,
        }
        let after = &told[at + 1..];
        let is_end = |event: &ServerEventRow| {
            ["p2p_resume", "p2p_pause_ended_game"].contains(&event.kind.as_str())
                && event.detail["pauseId"].as_u64() == gap.pause
        };
        let end = after.iter().position(is_end).filter(|_| gap.outcome.is_none());
        let during = if gap.outcome.is_some() { &[][..] } else { &after[..end.unwrap_or(after.len())] };
        for event in during.iter().filter(|event| event.kind == "reload") {
            event.seat.into_iter().for_each(|seat| gap.seats.insert(seat));
        }
        for event in told[..at].iter().filter(|event| event.kind == "p2p_desync" && gap.reason == "desync") {
            if frame(&event.detail["frame"]) == Some(gap.first) {
                let peer = event.detail["peer"].as_u64().and_then(|peer| Seat::new(u8::try_from(peer).ok()?));
                event.seat.into_iter().chain(peer).for_each(|seat| gap.seats.insert(seat));
            }
        }
        let restarted = |event: &&ServerEventRow| event.kind == "server_restarted";
        let shadow = event.at.0.saturating_sub(SHADOW_OF_RESTART);
        let by_server = during.iter().any(|event| restarted(&event))
            || told[..at].iter().filter(restarted).any(|event| event.at.0 >= shadow);
        gap.cause = match gap.reason.as_str() {
            "reload" | "tab_hidden" => "tab",
            "desync" => "state",
            _ if by_server => "server",
            _ => "network",
        };
        if let Some(end) = end.map(|end| &after[end]) {
            gap.millis = end.detail["durationMs"].as_u64();
            gap.last = frame(&end.detail["resumeFrame"]);
            gap.rebuilt = seats(&end.detail["rebuilt"]);
            seats(&end.detail["missing"]).iter().for_each(|seat| gap.seats.insert(seat));
            gap.outcome = Some(if end.kind == "p2p_resume" { "resumed" } else { "ended" });
        } else if let Some(over) = over.filter(|_| gap.outcome.is_none()) {
            gap.millis = Some(over.0.saturating_sub(event.at.0));
            gap.outcome = Some("ended");
        }
        gaps.push(gap);
    }
    gaps
}

fn seen_by_pages(played: &[PlayEventRow], over: bool) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for (at, event) in played.iter().enumerate() {
        let mut gap = Gap {
            kind: "stall",
            reporter: Some(event.reporter),
            pause: None,
            reason: String::new(),
            cause: "network",
            seats: SeatSet::EMPTY,
            lane: None,
            first: event.frame,
            last: None,
            began: None,
            millis: None,
            outcome: None,
            rebuilt: SeatSet::EMPTY,
        };
        // What this page told afterwards.
        let is_same = |other: &&PlayEventRow| {
            (other.reporter, other.incarnation) == (event.reporter, event.incarnation)
        };
        let mut after = played[at + 1..].iter().take_while(is_same);
        match event.event {
            PlayEvent::Stalled { millis, missing } => {
                gap.seats = missing;
                (gap.last, gap.millis) = (Some(event.frame), Some(millis.into()));
                gap.outcome = Some("recovered");
            }
            PlayEvent::LaneSwitched { peer, lane: Lane::Server, cause } => {
                (gap.kind, gap.reason, gap.lane) = ("lane", word(cause), Some("direct"));
                gap.seats.insert(peer);
                let is_back = |event: &PlayEvent| matches!(event, PlayEvent::LaneSwitched { peer: same, lane: Lane::Direct, .. } if *same == peer);
                gap.end(event, after.find(|event| is_back(&event.event)), "recovered");
            }
            PlayEvent::LinkLost { peer, cause } => {
                (gap.kind, gap.reason, gap.lane) = ("lost", word(cause), Some("all"));
                gap.seats.insert(peer);
                let end = after.find(|event| match event.event {
                    PlayEvent::LinkRestored { peer: back, .. } => back == peer,
                    PlayEvent::Resumed { .. } => true,
                    _ => false,
                });
                let resumed = matches!(end.map(|end| &end.event), Some(PlayEvent::Resumed { .. }));
                gap.end(event, end, if resumed { "resumed" } else { "recovered" });
                if let Some(PlayEvent::LinkRestored { silent_millis, .. }) = end.map(|end| &end.event) {
                    gap.millis = Some((*silent_millis).into());
                }
            }
            _ => continue,
        }
        let is_later =
            |other: &PlayEventRow| other.reporter == event.reporter && other.incarnation > event.incarnation;
        if gap.outcome.is_none() && over && !played.iter().any(is_later) {
            gap.outcome = Some("ended");
        }
        gaps.push(gap);
    }
    gaps
}

impl Gap {
    fn end(&mut self, began: &PlayEventRow, ended: Option<&PlayEventRow>, outcome: &'static str) {
        let Some(ended) = ended else { return };
        self.last = Some(ended.frame);
        self.millis = Some(ended.ms.saturating_sub(began.ms).into());
        self.outcome = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wire::lane::Cause;

    use super::*;

    fn seat(number: u8) -> Seat {
        Seat::new(number).unwrap()
    }

    fn told(events: &[(u64, &str, serde_json::Value)]) -> Vec<ServerEventRow> {
        let row = |(at, kind, detail): &(u64, &str, serde_json::Value)| ServerEventRow {
            seat: detail["by"].as_u64().map(|by| seat(by as u8)),
            kind: (*kind).to_owned(),
            detail: detail.clone(),
            at: WallTime(*at),
        };
        events.iter().map(row).collect()
    }

    fn pause(reason: &str) -> serde_json::Value {
        json!({ "pauseId": 1, "reason": reason, "missing": [1], "pauseFrame": 40 })
    }

    fn played(events: &[(u8, u8, Frame, u32, PlayEvent)]) -> Vec<PlayEventRow> {
        let row = |(number, event): (u32, &(u8, u8, Frame, u32, PlayEvent))| {
            let (reporter, incarnation, frame, ms, event) = event.clone();
            PlayEventRow { reporter: seat(reporter), incarnation, number, frame, ms, event }
        };
        (0..).zip(events).map(row).collect()
    }

    #[test]
    fn a_pause_has_its_frames_and_who_was_missing() {
        let told = told(&[
            (500, "p2p_pause", pause("connection_lost")),
            (700, "reload", json!({ "by": 0, "incarnation": 1 })),
            (
                900,
                "p2p_resume",
                json!({ "pauseId": 1, "resumeFrame": 43, "durationMs": 400, "rebuilt": [0] }),
            ),
        ]);
        let all = gaps(&[], &told, None);
        let [gap] = &all[..] else { panic!("{all:?}") };
        assert_eq!((gap.kind, gap.cause, gap.first, gap.last), ("pause", "network", 40, Some(43)));
        assert_eq!((gap.seats, gap.rebuilt), (SeatSet(3), SeatSet(1)));
        assert_eq!((gap.outcome, paused(&all)), (Some("resumed"), (1, 400)));
    }

    #[test]
    fn the_cause_is_the_servers_when_it_was_restarted() {
        let cause = |reason: &str, restart: u64| {
            let mut events = [
                (restart, "server_restarted", json!({ "downMs": 10 })),
                (50_000, "p2p_pause", pause(reason)),
                (60_000, "p2p_resume", json!({ "pauseId": 1, "resumeFrame": 40, "durationMs": 10_000 })),
            ];
            events.sort_by_key(|(at, ..)| *at);
            gaps(&[], &told(&events), None)[0].cause
        };
        assert_eq!(cause("everyone_gone", 40_000), "server");
        assert_eq!(cause("connection_lost", 55_000), "server");
        assert_eq!(cause("connection_lost", 30_000), "network", "it was back for long");
        assert_eq!(cause("connection_lost", 65_000), "network");
        assert_eq!((cause("reload", 55_000), cause("desync", 55_000)), ("tab", "state"));
        assert_eq!(cause("tab_hidden", 55_000), "tab");
    }

    #[test]
    fn a_pause_that_ends_the_game_says_so() {
        let ended = [
            (500, "p2p_pause", pause("connection_lost")),
            (900, "p2p_pause_ended_game", json!({ "pauseId": 1, "missing": [1, 2], "durationMs": 400 })),
        ];
        let gap = &gaps(&[], &told(&ended), Some(WallTime(950)))[0];
        assert_eq!((gap.outcome, gap.millis, gap.seats), (Some("ended"), Some(400), SeatSet(6)));
        let failed = &gaps(&[], &told(&ended[..1]), Some(WallTime(950)))[0];
        assert_eq!((failed.outcome, failed.millis), (Some("ended"), Some(450)));
        let goes_on = &gaps(&[], &told(&ended[..1]), None)[0];
        assert_eq!((goes_on.outcome, goes_on.millis), (None, None));
        let refused =
            told(&[(5, "p2p_pause_refused", json!({ "reason": "reload", "missing": 4, "frame": 7 }))]);
        let gap = &gaps(&[], &refused, None)[0];
        assert_eq!((gap.outcome, gap.seats, gap.first, gap.pause), (Some("ended"), SeatSet(4), 7, None));
    }

    #[test]
    fn two_states_that_differ_are_both_named() {
        let mut pause = pause("desync");
        pause["missing"] = json!([]);
        let desync = |by: u8, frame: Frame| json!({ "by": by, "peer": 2, "frame": frame });
        let told = told(&[
            (1, "p2p_desync", desync(1, 12)),
            (400, "p2p_desync", desync(0, 40)),
            (500, "p2p_pause", pause),
        ]);
        assert_eq!(gaps(&[], &told, None)[0].seats, SeatSet(5));
    }

    #[test]
    fn each_page_tells_what_it_saw() {
        let (peer, cause) = (seat(1), Cause::Silence);
        let switched = |lane| PlayEvent::LaneSwitched { peer, lane, cause };
        let played = played(&[
            (0, 0, 10, 300, PlayEvent::Stalled { millis: 70, missing: SeatSet(2) }),
            (0, 0, 20, 600, switched(Lane::Server)),
            (0, 0, 30, 900, switched(Lane::Direct)),
            (0, 0, 40, 1200, switched(Lane::Server)),
            (0, 0, 41, 4000, PlayEvent::LinkLost { peer, cause }),
            (0, 0, 41, 5000, PlayEvent::LinkRestored { peer: seat(2), silent_millis: 3 }),
            (0, 0, 41, 6000, PlayEvent::LinkRestored { peer, silent_millis: 4800 }),
            (0, 0, 50, 7000, PlayEvent::LinkLost { peer, cause }),
            (0, 0, 50, 9000, PlayEvent::Resumed { pause: 1, millis: 1 }),
            (0, 1, 60, 10, PlayEvent::LinkLost { peer, cause }),
            (1, 0, 55, 10, switched(Lane::Server)),
        ]);
        let all = gaps(&played, &[], Some(WallTime(0)));
        let rows: Vec<_> =
            all.iter().map(|gap| (gap.kind, gap.first, gap.last, gap.millis, gap.outcome)).collect();
        let expected = [
            ("stall", 10, Some(10), Some(70), Some("recovered")),
            ("lane", 20, Some(30), Some(300), Some("recovered")),
            // The page was replaced meanwhile: nobody knows.
            ("lane", 40, None, None, None),
            ("lost", 41, Some(41), Some(4800), Some("recovered")),
            ("lost", 50, Some(50), Some(2000), Some("resumed")),
            ("lane", 55, None, None, Some("ended")),
            ("lost", 60, None, None, Some("ended")),
        ];
        assert_eq!(rows, expected);
        assert_eq!(paused(&all), (0, 0));
    }
}
