//! WebRTC: one connection to each peer, made by perfect negotiation (L2), with one channel for packets.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use base::{Frame, Seat};
use js_sys::{ArrayBuffer, Function, Promise, Reflect, Uint8Array};
use link::{Direct, Lane};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    MessageEvent, RtcConfiguration, RtcDataChannel, RtcDataChannelInit, RtcDataChannelState,
    RtcDataChannelType, RtcIceCandidateInit, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcSdpType,
    RtcSessionDescriptionInit, RtcSignalingState,
};
use wire::control::{ConnectionType, GameStart, Signal};
use wire::packet::MAX_PACKET_BYTES;

use crate::app::with_app;

/// A connection to one peer. Dropping it closes everything and leaves nothing behind (L9).
pub(crate) struct Peer {
    pub(crate) seat: Seat,
    /// Connections to this peer are numbered: a later one has a greater number.
    attempt: u32,
    connection: RtcPeerConnection,
    channel: RtcDataChannel,
    negotiation: Rc<Negotiation>,
    _handlers: Handlers,
}

struct Handlers {
    _negotiate: Closure<dyn Fn()>,
    _candidate: Closure<dyn Fn(RtcPeerConnectionIceEvent)>,
    _changed: Closure<dyn Fn()>,
    _message: Closure<dyn Fn(MessageEvent)>,
}

/// Perfect negotiation's state.
struct Negotiation {
    attempt: u32,
    polite: bool,
    making_offer: Cell<bool>,
    ignoring_offer: Cell<bool>,
    /// Set when the connection is closed: what is under way then comes to nothing.
    closed: Cell<bool>,
    /// How often the browser's checks of the path were answered, when it was last asked.
    answers: Cell<f64>,
    /// Descriptions are handled one after another.
    turn: RefCell<Promise>,
}

impl Peer {
    /// A connection that is about to be made. Who does not offer it waits for the other's offer: two offers at
    /// once are settled by taking one back, after which Chromium now and then never gathers a candidate.
    pub(crate) fn new(seat: Seat, attempt: u32, offers: bool, start: &GameStart) -> Result<Self, JsValue> {
        let own = start.seat;
        let connection = RtcPeerConnection::new_with_configuration(&configuration(start)?)?;
        let negotiation = Rc::new(Negotiation {
            attempt,
            polite: own > seat,
            making_offer: Cell::new(false),
            ignoring_offer: Cell::new(false),
            closed: Cell::new(false),
            answers: Cell::new(0.0),
            turn: RefCell::new(Promise::resolve(&JsValue::UNDEFINED)),
        });

        let (offering, state) = (connection.clone(), Rc::clone(&negotiation));
        let negotiate = Closure::<dyn Fn()>::new(move || {
            let (connection, state) = (offering.clone(), Rc::clone(&state));
            if !offers && connection.remote_description().is_none() {
                return;
            }
            spawn_local(async move {
                state.making_offer.set(true);
                if set_local_description(&connection).await.is_ok() && !state.closed.get() {
                    send_description(seat, attempt, &connection);
                }
                state.making_offer.set(false);
            });
        });
        connection.set_onnegotiationneeded(Some(negotiate.as_ref().unchecked_ref()));

        let candidate =
            Closure::<dyn Fn(RtcPeerConnectionIceEvent)>::new(move |event: RtcPeerConnectionIceEvent| {
                let Some(candidate) = event.candidate() else { return };
                let signal = Signal::Candidate {
                    attempt,
                    candidate: candidate.candidate(),
                    sdp_mid: candidate.sdp_mid(),
                    sdp_m_line_index: candidate.sdp_m_line_index(),
                };
                with_app(|app| app.signal(seat, signal));
            });
        connection.set_onicecandidate(Some(candidate.as_ref().unchecked_ref()));

        let options = RtcDataChannelInit::new();
        options.set_negotiated(true);
        options.set_id(0);
        options.set_ordered(false);
        options.set_max_retransmits(0);
        let channel = connection.create_data_channel_with_data_channel_dict("packets", &options);
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        let changed = Closure::<dyn Fn()>::new(move || with_app(|app| app.connection_changed(seat, attempt)));
        channel.set_onopen(Some(changed.as_ref().unchecked_ref()));
        channel.set_onclose(Some(changed.as_ref().unchecked_ref()));
        Reflect::set(&connection, &"onconnectionstatechange".into(), changed.as_ref())?;
        let message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else { return };
            // Longer than any packet: not worth copying.
            if buffer.byte_length() as usize <= MAX_PACKET_BYTES {
                let bytes = Uint8Array::new(&buffer).to_vec();
                with_app(|app| app.packet(seat, Lane::Direct, &bytes));
            }
        });
        channel.set_onmessage(Some(message.as_ref().unchecked_ref()));

        let handlers =
            Handlers { _negotiate: negotiate, _candidate: candidate, _changed: changed, _message: message };
        Ok(Self { seat, attempt, connection, channel, negotiation, _handlers: handlers })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.channel.ready_state() == RtcDataChannelState::Open
    }

    /// What the browser says of the channel.
    pub(crate) fn state(&self) -> Direct {
        let failed = self.word("connectionState") == "failed";
        match self.channel.ready_state() {
            RtcDataChannelState::Connecting if failed => Direct::Dead,
            RtcDataChannelState::Connecting => Direct::Connecting,
            RtcDataChannelState::Open if !failed => Direct::Open,
            // Firefox does not recover what it has given up.
            RtcDataChannelState::Open if !is_firefox() => Direct::Failed,
            _ => Direct::Dead,
        }
    }

    /// Begins an ICE restart: the path in use is kept until there is a new one.
    pub(crate) fn restart(&self) {
        // A browser that cannot is left to the rebuild that follows.
        call(&self.connection, "restartIce", &JsValue::UNDEFINED).ok();
    }

    /// Takes new servers and credentials, for the next restart.
    pub(crate) fn configure(&self, start: &GameStart) {
        if let Ok(configuration) = configuration(start) {
            call(&self.connection, "setConfiguration", &configuration).ok();
        }
    }

    /// The number of the connection that comes after this one.
    pub(crate) fn next_attempt(&self) -> u32 {
        self.attempt.saturating_add(1)
    }

    /// The number that this connection has.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// One of the browser's words for the connection's state.
    pub(crate) fn word(&self, property: &str) -> String {
        text(&self.connection, property).unwrap_or_default()
    }

    /// The browser's word for the channel's state.
    pub(crate) fn channel_word(&self) -> String {
        text(&self.channel, "readyState").unwrap_or_default()
    }

    /// Sends a packet, unless older ones still wait: the newest holds everything, so a late one is worth nothing.
    pub(crate) fn send(&self, packet: &[u8]) {
        if self.is_open() && self.channel.buffered_amount() <= MAX_PACKET_BYTES as u32 {
            self.channel.send_with_u8_array(packet).ok();
        }
    }

    /// Takes a signal of the peer.
    pub(crate) fn handle_signal(&self, signal: Signal) {
        let (connection, state, seat) = (self.connection.clone(), Rc::clone(&self.negotiation), self.seat);
        let before = self.negotiation.turn.borrow().clone();
        let turn = wasm_bindgen_futures::future_to_promise(async move {
            JsFuture::from(before).await.ok();
            if !state.closed.get() {
                // What fails here is mended by the next offer, or the link is not made and the game says so.
                state.take(&connection, seat, signal).await.ok();
            }
            Ok(JsValue::UNDEFINED)
        });
        *self.negotiation.turn.borrow_mut() = turn;
    }

    /// Looks into the browser's statistics: how this link has come about (L3), which is told if it must be or if it
    /// is another than before, and how often its own checks of the path were answered.
    pub(crate) fn inspect(&self, frame: Frame, told: bool) {
        let (connection, seat, state) = (self.connection.clone(), self.seat, Rc::clone(&self.negotiation));
        spawn_local(async move {
            if let Ok(stats) = JsFuture::from(connection.get_stats()).await
                && !state.closed.get()
            {
                let mut reports = Vec::new();
                // A report is like a map, without being one.
                stats.unchecked_ref::<js_sys::Map>().for_each(&mut |report, _| reports.push(report));
                let answers = answers(&reports);
                let answered = answers > state.answers.replace(answers);
                let connection = connection_type(&reports, frame);
                with_app(|app| app.inspected(seat, connection, told, answered));
            }
        });
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.negotiation.closed.set(true);
        self.channel.set_onopen(None);
        self.channel.set_onclose(None);
        self.channel.set_onmessage(None);
        Reflect::set(&self.connection, &"onconnectionstatechange".into(), &JsValue::NULL).ok();
        self.connection.set_onnegotiationneeded(None);
        self.connection.set_onicecandidate(None);
        self.channel.close();
        self.connection.close();
    }
}

impl Negotiation {
    async fn take(&self, connection: &RtcPeerConnection, seat: Seat, signal: Signal) -> Result<(), JsValue> {
        match signal {
            Signal::Description { sdp_type, sdp, .. } => {
                let offer = sdp_type == "offer";
                let stable = connection.signaling_state() == RtcSignalingState::Stable;
                let collision = offer && (self.making_offer.get() || !stable);
                self.ignoring_offer.set(!self.polite && collision);
                if self.ignoring_offer.get() {
                    return Ok(());
                }
                let kind = if offer { RtcSdpType::Offer } else { RtcSdpType::Answer };
                let description = RtcSessionDescriptionInit::new(kind);
                description.set_sdp(&sdp);
                JsFuture::from(connection.set_remote_description(&description)).await?;
                if offer {
                    set_local_description(connection).await?;
                    if !self.closed.get() {
                        send_description(seat, self.attempt, connection);
                    }
                }
                Ok(())
            }
            Signal::Candidate { candidate, sdp_mid, sdp_m_line_index, .. } => {
                let init = RtcIceCandidateInit::new(&candidate);
                init.set_sdp_mid(sdp_mid.as_deref());
                init.set_sdp_m_line_index(sdp_m_line_index);
                let adding = connection.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&init));
                JsFuture::from(adding).await.map(drop)
            }
        }
    }
}

fn configuration(start: &GameStart) -> Result<RtcConfiguration, JsValue> {
    let configuration = RtcConfiguration::new();
    let servers = serde_json::to_string(&start.ice_servers).map_err(|error| error.to_string())?;
    configuration.set_ice_servers(&js_sys::JSON::parse(&servers)?);
    if start.rules.force_relay {
        Reflect::set(&configuration, &"iceTransportPolicy".into(), &"relay".into())?;
    }
    Ok(configuration)
}

fn is_firefox() -> bool {
    let agent = web_sys::window().and_then(|window| window.navigator().user_agent().ok());
    agent.is_some_and(|agent| agent.contains("Firefox"))
}

/// `setLocalDescription()` without a description: the browser makes the one that fits.
async fn set_local_description(connection: &RtcPeerConnection) -> Result<(), JsValue> {
    let promise: Promise = call(connection, "setLocalDescription", &JsValue::UNDEFINED)?.dyn_into()?;
    JsFuture::from(promise).await.map(drop)
}

/// Calls a method that `web-sys` does not have, or not like that.
pub(crate) fn call(object: &JsValue, method: &str, argument: &JsValue) -> Result<JsValue, JsValue> {
    let method: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    method.call1(object, argument)
}

fn send_description(seat: Seat, attempt: u32, connection: &RtcPeerConnection) {
    let Some(description) = connection.local_description() else { return };
    let sdp_type = match description.type_() {
        RtcSdpType::Offer => "offer",
        RtcSdpType::Answer => "answer",
        _ => return,
    };
    let signal = Signal::Description { attempt, sdp_type: sdp_type.into(), sdp: description.sdp() };
    with_app(|app| app.signal(seat, signal));
}

fn text(object: &JsValue, name: &str) -> Option<String> {
    Reflect::get(object, &name.into()).ok().and_then(|value| value.as_string())
}

/// How many answers all pairs of candidates have had together.
fn answers(reports: &[JsValue]) -> f64 {
    let of = |report| Reflect::get(report, &"responsesReceived".into()).ok().and_then(|count| count.as_f64());
    reports.iter().filter_map(of).sum()
}

/// Reads the selected pair from statistics.
fn connection_type(reports: &[JsValue], frame: Frame) -> ConnectionType {
    let by_id = |id: &str| reports.iter().find(|report| text(report, "id").as_deref() == Some(id));
    let transport = reports.iter().find(|report| text(report, "type").as_deref() == Some("transport"));
    let pair = transport
        .and_then(|transport| text(transport, "selectedCandidatePairId"))
        .and_then(|id| by_id(&id))
        .or_else(|| {
            // Firefox names no transport; it marks the pair.
            reports.iter().find(|report| {
                Reflect::get(report, &"selected".into()).is_ok_and(|selected| selected.is_truthy())
            })
        });
    let end = |name: &str| pair.and_then(|pair| text(pair, name)).and_then(|id| by_id(&id).cloned());
    let (local, remote) = (end("localCandidateId"), end("remoteCandidateId"));
    let kind = |end: &Option<JsValue>| end.as_ref().and_then(|end| text(end, "candidateType"));
    let (local_kind, remote_kind) = (kind(&local), kind(&remote));
    let connection_type = match (local_kind.as_deref(), remote_kind.as_deref()) {
        (None, _) | (_, None) => "unknown",
        (Some("relay"), _) | (_, Some("relay")) => "relay",
        _ => "direct",
    };
    ConnectionType {
        connection_type: connection_type.into(),
        local_candidate_type: local_kind,
        remote_candidate_type: remote_kind,
        protocol: local.as_ref().and_then(|local| text(local, "protocol")),
        relay_protocol: local.as_ref().and_then(|local| text(local, "relayProtocol")),
        detected_at_frame: frame,
        timestamp: js_sys::Date::now(),
    }
}
