//! What a game keeps while it stands still: the server's notice, the record that is fetched, and who is lost.

use core::time::Duration;

use base::{Frame, GameId, Seat, SeatSet, Timestamp};
use session::{Replayed, Session};
use wasm_bindgen_futures::spawn_local;
use wire::control::{ClientMessage, Cut, Hex, PauseNotice};
use wire::lane::Cause;
use wire::transfer::StateTransfer;

use crate::app::with_app;
use crate::clock::now;
use crate::environment::{BrowserEnvironment, Fault};
use crate::http;

/// How long to wait when the record does not go far enough yet: others are still sending theirs.
const FETCH_AGAIN: Duration = Duration::from_millis(250);

/// How long a part of the record may take, in milliseconds.
const FETCH_LIMIT: u32 = 8_000;

/// For how long the game is played anew at a time: what comes from elsewhere waits for it.
const REPLAY: Duration = Duration::from_millis(40);

/// After how many frames of that to look at the clock.
const REPLAY_FRAMES: usize = 8;

/// How often to ask whether somebody's state is there.
const STATE_AGAIN: Duration = Duration::from_millis(500);

/// A game's pause, if there is one.
#[derive(Default)]
pub(crate) struct Pause {
    /// What the server said last, and when it would end the game.
    pub(crate) notice: Option<PauseNotice>,
    ends: Timestamp,
    pub(crate) cut: Option<Cut>,
    /// The last pause that was heard of.
    last: u32,
    history: Vec<u8>,
    /// Which request is under way, if one is; counts them.
    fetching: Option<u32>,
    fetches: u32,
    fetch_at: Timestamp,
    /// When to ask whether a state is there that this page has asked for; what came.
    state_at: Option<Timestamp>,
    state: Vec<u8>,
    /// This page's own state is on its way.
    giving: bool,
    losses: Vec<Loss>,
}

/// A peer that is lost, as it was when that was noticed (P1).
pub(crate) struct Loss {
    pub(crate) peer: Seat,
    pub(crate) frame: Frame,
    pub(crate) ice_state: String,
    pub(crate) dc_state: String,
    pub(crate) cause: Cause,
    pub(crate) timestamp: f64,
    /// Whether the server was told, on this connection and in this pause.
    pub(crate) told: bool,
}

impl Pause {
    pub(crate) fn take(&mut self, notice: PauseNotice) {
        if self.last != notice.pause_id {
            self.last = notice.pause_id;
            self.forget_told();
        }
        let round = |notice: &PauseNotice| (notice.pause_id, notice.round);
        if self.notice.as_ref().map(round) != Some(round(&notice)) {
            // What was fetched for another round may have become void since.
            self.history.clear();
            self.fetching = None;
            self.state_at = None;
        }
        for loss in &mut self.losses {
            // What the server says, it knows.
            loss.told |= notice.missing.contains(loss.peer);
        }
        self.ends = now() + Duration::from_millis(notice.remaining_ms.into());
        self.notice = Some(notice);
    }

    /// The game goes on.
    pub(crate) fn end(&mut self) {
        self.notice = None;
        self.cut = None;
        self.have_made_up();
    }

    fn have_made_up(&mut self) {
        self.history = Vec::new();
        self.state_at = None;
        self.state = Vec::new();
    }

    /// How long until the server ends the game.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.notice.as_ref().map(|_| self.ends.saturating_since(now()))
    }

    // Losses are told as they are, and not when they happen: one that is over before the server can be reached is
    // nobody's business.

    pub(crate) fn lose(&mut self, loss: Loss) {
        self.restore(loss.peer);
        self.losses.push(loss);
    }

    /// A peer is heard again, or its page is another. True when the server was told that it was lost.
    pub(crate) fn restore(&mut self, peer: Seat) -> bool {
        let told = self.losses.iter().any(|loss| loss.peer == peer && loss.told);
        self.losses.retain(|loss| loss.peer != peer);
        told
    }

    pub(crate) fn lost(&self) -> SeatSet {
        self.losses.iter().map(|loss| loss.peer).collect()
    }

    /// The server may not know any more.
    pub(crate) fn forget_told(&mut self) {
        for loss in &mut self.losses {
            loss.told = false;
        }
    }

    /// What the server has to be told.
    pub(crate) fn tell(&mut self, game_id: GameId, messages: &mut Vec<ClientMessage>) {
        for loss in self.losses.iter_mut().filter(|loss| !loss.told) {
            loss.told = true;
            messages.push(ClientMessage::P2pConnectionLost {
                game_id,
                frame: loss.frame,
                lost_peer: loss.peer,
                ice_state: loss.ice_state.clone(),
                dc_state: loss.dc_state.clone(),
                cause: loss.cause,
                timestamp: loss.timestamp,
                pause_id: self.last,
            });
        }
    }

    /// Hands the server's record over when it goes far enough, and fetches more of it when it does not. `row` is the
    /// bytes of a frame.
    pub(crate) fn make_up(
        &mut self,
        session: &mut Session,
        environment: &mut BrowserEnvironment,
        (game, row): (GameId, usize),
        token: &str,
    ) -> Result<(), Fault> {
        if session.wants_history().is_none() {
            return Ok(());
        }
        let time = now();
        let state = StateTransfer::decode(&core::mem::take(&mut self.state));
        if state.is_ok_and(|state| session.handle_state(state, environment, time)) {
            self.have_made_up();
            return Ok(());
        }
        if self.state_at.is_some_and(|at| time >= at) {
            self.state_at = Some(time + STATE_AGAIN);
            spawn_local(ask(game, Asked::State, token.to_owned()));
        }
        loop {
            match session.handle_history(&self.history, environment, REPLAY_FRAMES, now())? {
                Replayed::Partly if now() < time + REPLAY => {}
                Replayed::Partly => return Ok(()),
                Replayed::Done => {
                    self.have_made_up();
                    return Ok(());
                }
                Replayed::NeedsHistory => break,
            }
        }
        if self.fetching.is_none() && time >= self.fetch_at {
            self.fetches += 1;
            self.fetching = Some(self.fetches);
            self.fetch_at = time + FETCH_AGAIN;
            let asked = Asked::Inputs(self.fetches, self.history.len() / row);
            spawn_local(ask(game, asked, token.to_owned()));
        }
        Ok(())
    }

    /// Asks for somebody's state, if playing the game anew takes long.
    pub(crate) fn ask_for_state(&mut self, session: &mut Session, game_id: GameId) -> Option<ClientMessage> {
        let (pause_id, round) = session.poll_state_request()?;
        self.state_at = Some(now() + STATE_AGAIN);
        Some(ClientMessage::P2pStateRequest { game_id, pause_id, round })
    }

    /// Sends this page's state, if it was asked for and stands still.
    pub(crate) fn give_state(
        &mut self,
        session: &mut Session,
        environment: &BrowserEnvironment,
        game: GameId,
        token: &str,
    ) {
        if !self.giving
            && let Some(state) = session.poll_state(environment)
        {
            self.giving = true;
            spawn_local(ask(game, Asked::Give(state.encode()), token.to_owned()));
        }
    }

    /// Asks again for what was asked for.
    pub(crate) fn fetch_anew(&mut self) {
        self.fetching = None;
    }

    /// What was asked for came, or nothing. `row` is the bytes of a frame.
    pub(crate) fn answered(&mut self, asked: &Asked, row: usize, bytes: Vec<u8>) {
        match asked {
            Asked::Give(_) => self.giving = false,
            Asked::State if self.state_at.is_some() => self.state = bytes,
            Asked::State => {}
            Asked::Inputs(fetch, _) => {
                if self.fetching.take_if(|asked| asked == fetch).is_some() && bytes.len() >= row {
                    self.history.extend_from_slice(&bytes[..bytes.len() / row * row]);
                    self.fetch_at = now();
                }
            }
        }
    }
}

/// What is asked of the server, over HTTP, while the game stands still.
pub(crate) enum Asked {
    /// The record from a frame on; requests are counted.
    Inputs(u32, usize),
    /// Somebody's state.
    State,
    /// To take this page's state.
    Give(Vec<u8>),
}

async fn ask(game: GameId, asked: Asked, token: String) {
    let what = match asked {
        Asked::Inputs(_, from) => ["/inputs?from=", &from.to_string()].concat(),
        Asked::State | Asked::Give(_) => "/state".to_owned(),
    };
    let url = ["/api/v1/games/", &game.to_string(), &what].concat();
    let answer = match &asked {
        Asked::Give(state) => http::post(&url, "application/octet-stream", Some(&token), state).await,
        Asked::Inputs(..) | Asked::State => http::get(&url, Some(&token), Some(FETCH_LIMIT)).await,
    };
    let bytes =
        answer.ok().filter(|answer| answer.status == 200).map(|answer| answer.body).unwrap_or_default();
    with_app(|app| app.pause_answered(game, &asked, bytes));
}

/// What this seat holds of everyone's inputs, for the server.
pub(crate) fn report(game_id: GameId, session: &Session) -> Option<ClientMessage> {
    let report = session.report()?;
    Some(ClientMessage::P2pPauseReport {
        game_id,
        pause_id: report.pause,
        round: report.round,
        confirmed_frame: report.confirmed,
        first: report.first,
        inputs: report.inputs.into_iter().map(Hex).collect(),
    })
}
