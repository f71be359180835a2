//! `window.interplay.snapshot()`: what tests and support may know (H3).

use js_sys::Object;
use link::Lane;
use serde_json::{Value, json};
use session::SeatPhase;
use wasm_bindgen::prelude::*;

use crate::app::with_app;
use crate::play::Play;

/// Puts `interplay` on the window.
pub(crate) fn install() -> Result<(), JsValue> {
    let snapshot = Closure::<dyn Fn() -> JsValue>::new(|| {
        let mut json = Value::Null;
        with_app(|app| json = app.snapshot());
        js_sys::JSON::parse(&json.to_string()).unwrap_or(JsValue::NULL)
    });
    let interplay = Object::new();
    js_sys::Reflect::set(&interplay, &"snapshot".into(), &snapshot.into_js_value())?;
    js_sys::Reflect::set(&js_sys::global(), &"interplay".into(), &interplay)?;
    Ok(())
}

/// The parts that a game has: `phase`, `game`, `lanes` and `uploads`.
pub(crate) fn of_game(play: &Play) -> (Value, Value, Value, Value) {
    let Some(status) = play.status() else {
        // A page that was loaded in mid-game comes back before it knows anything.
        let phase = play.has_been_replaced().then(|| SeatPhase::Reconnecting.name());
        return (phase.into(), Value::Null, json!([]), Value::Null);
    };
    let phase = if play.over { SeatPhase::Terminated } else { status.phase }.name();
    let game = json!({
        "id": play.start.game_id,
        "seat": play.start.seat,
        "seats": play.start.seats,
        "episode": status.episode,
        "frame": status.frame,
        "confirmedFrame": status.confirmed_frame,
        "hash": status.hash.map(|(_, hash)| hash),
        "hashFrame": status.hash.map(|(frame, _)| frame),
        "stalledFrames": status.stalled_frames,
        "pausedFrames": status.paused_frames,
        "rollbacks": status.rollbacks,
        "comparedHashes": status.compared_hashes,
        "desyncs": status.desyncs,
    });
    let lanes: Vec<_> = status
        .peers
        .iter()
        .map(|found| {
            let (seat, path) = (found.peer, found.path);
            // There is none where the server lane is the link.
            let peer = play.peers.iter().find(|peer| peer.seat == seat);
            let millis = |duration: Option<core::time::Duration>| duration.map(|d| d.as_secs_f64() * 1000.0);
            json!({
                "peer": seat,
                "active": match found.active {
                    Some(Lane::Direct) => "direct",
                    Some(Lane::Server) => "server",
                    None => "none",
                },
                "iceState": peer.map(|peer| peer.word("iceConnectionState")),
                "connectionType": play.connection_type(seat).map(|kind| kind.connection_type.clone()),
                "rttMs": millis(path.round_trip),
                "lossPercent": path.loss.map(|loss| loss * 100.0),
                "jitterMs": millis(path.jitter),
                "restarts": found.restarts,
            })
        })
        .collect();
    let uploads = json!({ "acknowledged": status.uploads.acknowledged, "pending": status.uploads.pending });
    (phase.into(), game, lanes.into(), uploads)
}

/// `pause`: what the server says of it, or null.
pub(crate) fn of_pause(play: &Play) -> Option<Value> {
    let notice = play.pause.notice.as_ref().filter(|_| !play.over)?;
    let remaining = play.pause.remaining().unwrap_or_default();
    Some(json!({
        "pauseId": notice.pause_id,
        "missing": notice.missing.iter().collect::<Vec<_>>(),
        "remainingMs": remaining.as_millis() as u64,
    }))
}
