//! One control WebSocket: who it is, what it says, what it is told, and why it closes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use base::VisitId;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use metrics::counter;
use room::{Agent, Identity};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use wire::PROTOCOL_VERSION;
use wire::close::CloseCode;
use wire::control::{ClientMessage, SILENCE_LIMIT_MILLIS};
use wire::room::{Epoch, Resume};

use crate::lanes::LaneBox;
use crate::limits::Allowance;
use crate::stage::{Connection, Hello, OUTBOX, Said, Stage};
use crate::token::Tokens;

/// By when a socket must have said who it is (A2).
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The most messages a second, with as many saved up (A2).
const RATE: f64 = 200.0;

/// The server lane's own budget (A2): one message a tick, up to 240 a second, and what eight seats' packets weigh.
const LANE_RATE: f64 = 300.0;
const LANE_BYTES: f64 = 512.0 * 1024.0;

/// How long a closing handshake may take.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves a socket until it closes.
/// Holds `_open` until then, so that a server that stops can wait for its sockets.
pub(crate) async fn serve(
    mut socket: WebSocket,
    stage: Stage,
    tokens: Tokens,
    (host, agent): (String, Agent),
    _open: watch::Receiver<()>,
) {
    let hello = match timeout(HANDSHAKE, greet(&mut socket, &tokens)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(code)) => return close(&mut socket, code).await,
        Err(_) => return close(&mut socket, CloseCode::HandshakeTimeout).await,
    };
    let (outbox, outgoing) = mpsc::channel(OUTBOX);
    let (closer, mut closing) = watch::channel(None);
    let lane = Arc::new(LaneBox::default());
    let connection = Connection { outbox, close: closer, lane: Arc::clone(&lane), host, agent };
    let visit = hello.identity.visit;
    let Some(fence) = stage.joined(hello, connection).await else {
        // Turned away; without a word it is the server that stops.
        let code = closing.borrow().unwrap_or(CloseCode::GoingAway);
        return close(&mut socket, code).await;
    };
    let (mut sink, mut incoming) = socket.split();
    let mut writer = tokio::spawn(async move {
        write(&mut sink, outgoing, &lane).await;
        sink
    });
    let code = tokio::select! {
        // A socket that was replaced must hear of it, or its page would come back.
        biased;
        code = told_to_close(&mut closing) => Some(code),
        code = read(
            &mut incoming,
            |said| stage.message(visit, fence, said),
            |packets| stage.relay(visit, packets),
        ) => code,
        _ = &mut writer => None,
    };
    stage.dropped(visit, fence).await;
    let Some(code) = code else { return writer.abort() };
    counter!("interplay_closes_total", "code" => code.number().to_string()).increment(1);
    // The writer may be stuck, on a reader that does not read or a stage that waits for the disk: it gets no longer than a
    // closing takes. Then the page sees a connection that ends without a word.
    drop(stage);
    if code == CloseCode::SlowReader {
        writer.abort();
    }
    match timeout(CLOSING, &mut writer).await {
        Ok(Ok(mut sink)) => {
            finish(&mut sink, visit, code).await;
            drain(&mut incoming).await;
        }
        Ok(Err(_)) => {}
        Err(_) => writer.abort(),
    }
}

async fn greet(socket: &mut WebSocket, tokens: &Tokens) -> Result<Hello, CloseCode> {
    let Some(Ok(Message::Text(text))) = socket.recv().await else { return Err(CloseCode::BadMessage) };
    let Ok(ClientMessage::Hello { protocol, token, page, epoch, sequence, texts }) =
        serde_json::from_str(&text)
    else {
        return Err(CloseCode::BadMessage);
    };
    if protocol != PROTOCOL_VERSION {
        return Err(CloseCode::ProtocolMismatch);
    }
    let claims = tokens.read(&token).ok_or(CloseCode::Unauthorized)?;
    // An epoch that is none is one that ended.
    let resume = match epoch.as_str() {
        "" => Resume::Live,
        _ => Resume::After { epoch: Epoch::try_from(epoch).unwrap_or(Epoch(0)), sequence },
    };
    let identity = Identity { visit: claims.visit, participant: claims.participant };
    Ok(Hello { identity, by_id: claims.by_id, page, texts, resume })
}

/// Reads until the socket ends (`None`) or must be closed.
async fn read<F: Future<Output = ()>>(
    incoming: &mut (impl StreamExt<Item = Result<Message, axum::Error>> + Unpin),
    mut heard: impl FnMut(Said) -> F,
    relay: impl Fn(&[u8]),
) -> Option<CloseCode> {
    let silence = Duration::from_millis(SILENCE_LIMIT_MILLIS);
    let mut messages = Allowance::new(RATE);
    let (mut lane_messages, mut lane_bytes) = (Allowance::new(LANE_RATE), Allowance::new(LANE_BYTES));
    loop {
        let message = match timeout_at(Instant::now() + silence, incoming.next()).await {
            Err(_) => return Some(CloseCode::HeartbeatMissed),
            Ok(None | Some(Ok(Message::Close(_)))) => return None,
            // Too long, or not a WebSocket frame; a lost connection looks the same, and then nobody reads the code.
            Ok(Some(Err(_))) => return Some(CloseCode::BadMessage),
            Ok(Some(Ok(message))) => message,
        };
        if let Message::Binary(packets) = &message {
            // What is too much for the lane is lost, as on any bad path: the next packet holds everything.
            if lane_messages.take(1.0) && lane_bytes.take(packets.len() as f64) {
                relay(packets);
            } else {
                counter!("interplay_lane_packets_total", "result" => "limited").increment(1);
            }
            continue;
        }
        if !messages.take(1.0) {
            return Some(CloseCode::TooFast);
        }
        match message {
            Message::Text(text) => match understand(&text) {
                Ok(said) => heard(said).await,
                Err(_) => return Some(CloseCode::BadMessage),
            },
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
    }
}

fn understand(text: &str) -> serde_json::Result<Said> {
    #[derive(Deserialize)]
    struct Counted {
        n: Option<u64>,
    }
    let Counted { n } = serde_json::from_str(text)?;
    Ok(Said { message: serde_json::from_str(text)?, n })
}

async fn told_to_close(closing: &mut watch::Receiver<Option<CloseCode>>) -> CloseCode {
    match closing.wait_for(Option::is_some).await {
        Ok(code) => code.unwrap_or(CloseCode::GoingAway),
        // Another took this visit over, or the stage is gone; either has said so before.
        Err(_) => CloseCode::GoingAway,
    }
}

async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    mut outgoing: mpsc::Receiver<String>,
    lane: &LaneBox,
) {
    loop {
        let message = tokio::select! {
            // Packets go before everything else.
            biased;
            packet = lane.next() => Message::Binary(packet),
            text = outgoing.recv() => match text {
                Some(text) => Message::Text(text.into()),
                None => return,
            },
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

fn close_frame(code: CloseCode) -> Message {
    Message::Close(Some(CloseFrame { code: code.number(), reason: code.reason().into() }))
}

async fn finish(sink: &mut SplitSink<WebSocket, Message>, visit: VisitId, code: CloseCode) {
    tracing::debug!(%visit, code = code.number(), reason = code.reason(), "closing a connection");
    timeout(CLOSING, sink.send(close_frame(code))).await.ok();
}

async fn close(socket: &mut WebSocket, code: CloseCode) {
    counter!("interplay_closes_total", "code" => code.number().to_string()).increment(1);
    timeout(CLOSING, socket.send(close_frame(code))).await.ok();
    drain(socket).await;
}

/// Reads what the page had sent before it knew that the channel closes: a socket that is closed with something
/// unread is reset, and the page would never see the code.
async fn drain(incoming: &mut (impl StreamExt<Item = Result<Message, axum::Error>> + Unpin)) {
    timeout(CLOSING, async { while let Some(Ok(_)) = incoming.next().await {} }).await.ok();
}
