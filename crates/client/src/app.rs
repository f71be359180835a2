//! What there is one of in a page, and what the server's messages do to it.

use std::cell::RefCell;
use std::collections::BTreeMap;

use base::{GameId, Seat, Timestamp};
use link::{Lane, Quality};
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::Event;
use wire::batch::BatchAcknowledgement;
use wire::close::CloseCode;
use wire::control::{
    ClientMessage, ConnectionType, GameStart, Scene, SceneKind, ServerMessage, Sheet, Signal,
};
use wire::form::Answers;
use wire::lane::read_relayed;
use wire::text;
use wire::texts::Texts;

use crate::clock::now;
use crate::control::Control;
use crate::environment::BrowserEnvironment;
use crate::finish::{Over, Way};
use crate::pause::Asked;
use crate::play::{Play, Server};
use crate::screening::Screening;
use crate::words::say;
use crate::{entry, finish, form, snapshot, unsent, view, words};

/// How long a page sends what the last one left before it does anything else, in milliseconds.
const SENDING_MILLIS: i32 = 2_000;

thread_local! {
    static APP: RefCell<Option<App>> = const { RefCell::new(None) };
}

/// Does something with the page's state. Does nothing before the page has started, and nothing when the browser
/// calls back in the middle of another call (focus does that).
pub(crate) fn with_app(act: impl FnOnce(&mut App)) {
    APP.with(|app| {
        if let Ok(mut app) = app.try_borrow_mut()
            && let Some(app) = app.as_mut()
        {
            act(app);
        }
    });
}

/// The page's state.
pub(crate) struct App {
    control: Control,
    participant: Option<String>,
    /// What the server asks before the first scene.
    screening: Option<Screening>,
    scene: Option<Scene>,
    play: Option<Play>,
    /// A game that is over and whose record is still on its way.
    ending: Option<Play>,
    /// A game that has ended early, until the participant goes on.
    over: Option<Over>,
    /// The way out, at the end.
    way: Option<Way>,
    /// Until when one waits in the lobby.
    wait_until: Option<Timestamp>,
    /// Since when the page is in the background.
    hidden: Option<Timestamp>,
    /// A refused token is replaced once.
    renewed: bool,
}

/// Starts the page.
pub(crate) fn start() -> Result<(), JsValue> {
    std::panic::set_hook(Box::new(|info| {
        wasm_bindgen::throw_str(&info.to_string());
    }));
    words::begin();
    snapshot::install()?;
    listen()?;
    spawn_local(async {
        let token = match entry::token().await {
            Ok(token) => token,
            Err(error) if error == entry::IS_OPEN => return show_open(),
            Err(_) => return show_unreachable(),
        };
        // Before the server hears of this page, so that it puts the last page's record together with all others; but
        // not for long.
        let (later, window) = (token.clone(), web_sys::window());
        let begin_anyway = Closure::once_into_js(move || begin(later));
        if let Some(window) = window {
            let begin_anyway = begin_anyway.unchecked_ref();
            window.set_timeout_with_callback_and_timeout_and_arguments_0(begin_anyway, SENDING_MILLIS).ok();
        }
        unsent::send(&token).await;
        begin(token);
    });
    Ok(())
}

/// Connects to the server, unless that was done.
fn begin(token: String) {
    APP.with(|app| {
        let mut app = app.borrow_mut();
        if app.is_some() {
            return;
        }
        match Control::new(token) {
            Ok(control) => {
                *app = Some(App {
                    control,
                    participant: None,
                    screening: None,
                    scene: None,
                    play: None,
                    ending: None,
                    over: None,
                    way: None,
                    wait_until: None,
                    hidden: view::is_hidden().then(now),
                    renewed: false,
                });
            }
            Err(_) => show_unreachable(),
        }
    });
}

fn show_open() {
    view::show_notice(text!("open_elsewhere_title"), text!("open_elsewhere"), true);
}

fn show_unreachable() {
    view::show_notice(text!("unreachable_title"), text!("unreachable"), true);
}

/// Listens to the page's own buttons, and to the display.
fn listen() -> Result<(), JsValue> {
    let on = |act: fn(&mut App)| Closure::<dyn Fn()>::new(move || with_app(act)).into_js_value();
    if let Some(sheet) = view::element("sheet-form") {
        let submit = Closure::<dyn Fn(Event)>::new(|event: Event| {
            event.prevent_default();
            with_app(App::advance);
        });
        sheet.set_onsubmit(Some(submit.into_js_value().unchecked_ref()));
        let input = Closure::<dyn Fn(Event)>::new(|event: Event| {
            if let Some(target) = event.target() {
                form::touched(&target);
            }
            with_app(App::answered);
        });
        sheet.set_oninput(Some(input.into_js_value().unchecked_ref()));
    }
    let reload = Closure::<dyn Fn()>::new(|| {
        if let Some(window) = web_sys::window() {
            window.location().reload().ok();
        }
    });
    if let Some(button) = view::element("notice-button") {
        button.set_onclick(Some(reload.into_js_value().unchecked_ref()));
    }
    type Act = fn(&mut App);
    let buttons: [(&str, Act); 6] = [
        ("lobby-button", App::leave_lobby),
        ("over-button", App::leave_over),
        ("end-copy", |_| finish::copy_code()),
        ("leave", App::ask_to_leave),
        ("leaving-no", |_| finish::ask(None)),
        ("leaving-yes", App::leave_study),
    ];
    for (id, act) in buttons {
        if let Some(button) = view::element(id) {
            button.set_onclick(Some(on(act).unchecked_ref()));
        }
    }
    let window = web_sys::window().ok_or("no window")?;
    let document = window.document().ok_or("no document")?;
    let visibility = on(App::visibility_changed);
    document.add_event_listener_with_callback("visibilitychange", visibility.unchecked_ref())?;
    window.set_onresize(Some(on(App::resized).unchecked_ref()));
    window.set_onpagehide(Some(on(App::leaving).unchecked_ref()));
    repaint_forever()
}

/// Paints at the display's rate.
fn repaint_forever() -> Result<(), JsValue> {
    fn request() -> Result<(), JsValue> {
        thread_local! {
            static PAINT: Closure<dyn Fn()> = Closure::new(|| {
                with_app(App::paint);
                // Fails only when the page is going away.
                request().ok();
            });
        }
        let window = web_sys::window().ok_or("no window")?;
        PAINT.with(|paint| window.request_animation_frame(paint.as_ref().unchecked_ref()))?;
        Ok(())
    }
    request()
}

impl App {
    // The control channel.

    pub(crate) fn control_beat(&mut self) {
        let status = self.play.as_ref().and_then(Play::status);
        self.control.beat(status.map(|status| status.frame));
        // A short loss is nobody's business; who stands in a scene is told when it lasts. A game that stands still says
        // so itself.
        let paused = self.play.as_ref().is_some_and(|play| play.pause.notice.is_some());
        let quiet = self.scene.is_none() || paused || self.control.is_stopped() || self.has_arrived();
        view::set_hidden("network", self.control.is_open() || quiet);
        self.look_after();
    }

    /// What changes with time alone.
    fn look_after(&mut self) {
        let now = now();
        if let Some(until) = self.wait_until {
            finish::show_left(until.saturating_since(now).as_secs());
        }
        if self.over.is_some() || self.way.is_some() {
            // What an earlier page has left is sent when a page begins; here again, in case that did not work.
            let leftovers = unsent::is_any(self.control.token());
            if leftovers {
                let token = self.control.token().to_owned();
                spawn_local(async move { unsent::send(&token).await });
            }
            let is_saved = self.ending.is_none() && !leftovers;
            if let Some(over) = &mut self.over {
                over.set_saved(is_saved);
            }
            if let Some(way) = &mut self.way {
                way.look(is_saved);
            }
        }
        let warning = match &self.scene {
            Some(Scene { kind: SceneKind::Game { tab_warning_millis, .. }, .. }) => *tab_warning_millis,
            _ => 0,
        };
        let away = self.hidden.map_or(0, |since| now.saturating_since(since).as_millis());
        if warning > 0 && self.play.is_some() && away >= warning.into() {
            view::set_title(&say!("come_back"));
        }
    }

    /// The page has gone into the background, or come back (X2).
    fn visibility_changed(&mut self) {
        let hidden = view::is_hidden();
        self.hidden = hidden.then(now);
        self.tell_visibility();
        if let Some(scene) = self.scene.as_ref().filter(|_| !hidden) {
            view::set_title(&scene.title);
        }
    }

    fn tell_visibility(&mut self) {
        let frame = self.play.as_ref().and_then(Play::status).map(|status| status.frame);
        self.control.send(&ClientMessage::Visibility { hidden: self.hidden.is_some(), frame });
    }

    fn leave_lobby(&mut self) {
        if let Some(scene) = &self.scene {
            self.control.send(&ClientMessage::LeaveLobby { scene_id: scene.id.clone() });
        }
    }

    /// The participant goes on from a game that has ended early.
    fn leave_over(&mut self) {
        if let Some(scene) = self.scene.as_ref().filter(|_| self.over.is_some()) {
            let message = ClientMessage::AdvanceScene { scene_id: scene.id.clone(), answers: Answers::new() };
            self.control.send(&message);
        }
    }

    /// The participant wants to leave the study; it is asked first.
    fn ask_to_leave(&mut self) {
        finish::ask(self.scene.as_ref().map(|scene| scene.withdrawal));
    }

    /// The participant leaves the study (S7).
    fn leave_study(&mut self) {
        finish::ask(None);
        self.control.send(&ClientMessage::LeaveStudy { delete: form::is_checked("leaving-delete") });
    }

    /// Whether the participant is at the end, and nothing is on its way any more.
    fn has_arrived(&self) -> bool {
        let at_end = self.scene.as_ref().is_some_and(|scene| matches!(scene.kind, SceneKind::End { .. }));
        at_end && self.ending.is_none()
    }

    pub(crate) fn control_opened(&mut self, number: u32) {
        self.control.opened(number);
    }

    pub(crate) fn control_closed(&mut self, number: u32, code: u16) {
        let Some(code) = self.control.closed(number, code) else { return };
        view::set_hidden("network", true);
        match code {
            CloseCode::Unauthorized if !self.renewed => {
                self.renewed = true;
                entry::forget();
                spawn_local(async {
                    if let Ok(token) = entry::token().await {
                        with_app(|app| app.control.restart(token));
                    }
                });
                return;
            }
            CloseCode::Replaced => view::show_notice(text!("replaced_title"), text!("replaced"), false),
            CloseCode::ProtocolMismatch => view::show_notice(text!("updated_title"), text!("updated"), true),
            _ => view::show_notice(text!("failed_title"), text!("failed"), true),
        }
        // What it has recorded still goes to the server, which is no control channel's business.
        self.leave_game();
    }

    pub(crate) fn control_message(
        &mut self,
        number: u32,
        place: Option<(u64, u64)>,
        message: Option<ServerMessage>,
    ) {
        let epoch = self.control.epoch().to_owned();
        let is_new = self.control.hear(number, place, message.as_ref());
        let Some(message) = message.filter(|_| is_new) else { return };
        match message {
            ServerMessage::Welcome { participant, .. } => {
                self.participant = Some(participant.to_string());
                view::set_hidden("network", true);
                let is_another = epoch != self.control.epoch();
                if let Some(again) = self.play.as_mut().and_then(|play| play.retell(is_another)) {
                    self.control.send(&again);
                }
                if self.hidden.is_some() || self.play.is_some() {
                    self.tell_visibility();
                }
            }
            ServerMessage::Pong { time, .. } => {
                if let Some(screening) = &mut self.screening {
                    screening.answered(time);
                    self.screen();
                }
            }
            ServerMessage::Screening { title, pings } => {
                view::set_title(&title);
                view::set_text("connecting-text", &say!("screening"));
                view::show("connecting");
                // Judged as before, it is told the same scene again, and must show it.
                (self.scene, self.way) = (None, None);
                self.screening = Some(Screening::new(pings));
                self.screen();
            }
            ServerMessage::Texts { id, language, words } => words::take(Texts { id, language, words }),
            ServerMessage::ActivateScene { scene } => self.activate(scene),
            ServerMessage::AnswersRefused { scene_id, problems } => {
                if let Some((_, sheet)) = self.sheet().filter(|(scene, _)| scene.id == scene_id) {
                    form::tell(&sheet.fields, &problems);
                }
            }
            ServerMessage::TerminateScene { scene_id } => self.terminate(&scene_id),
            ServerMessage::LobbyStatus { waiting, needed, remaining_ms } => {
                if self.play.as_ref().is_none_or(|play| !play.begun) {
                    view::show_lobby(waiting, needed);
                    self.wait_until = Some(now() + core::time::Duration::from_millis(remaining_ms.into()));
                    view::set_hidden("lobby-button", false);
                    self.look_after();
                }
            }
            ServerMessage::GameStart(start) => self.start_game(*start),
            // Nothing of it is worth keeping.
            ServerMessage::GameCancelled { game_id } => {
                self.play.take_if(|play| play.start.game_id == game_id);
            }
            ServerMessage::Signal { game_id, from, signal } => {
                if let Some(play) = self.game(game_id) {
                    play.signal(from, signal);
                }
            }
            ServerMessage::IceServers { ice_servers, ice_lifetime_millis } => {
                if let Some(play) = &mut self.play {
                    play.renew(ice_servers, ice_lifetime_millis);
                }
            }
            ServerMessage::GameGo { game_id } => {
                if self.game(game_id).is_some_and(Play::begin) {
                    self.wait_until = None;
                    view::show("game");
                    view::overlay(None);
                    view::focus("field");
                    view::announce(&say!("game_begins"));
                }
                self.tick();
            }
            ServerMessage::P2pPause(notice) => {
                let game_id = notice.game_id;
                if let Some(report) = self.game(game_id).and_then(|play| play.halt(notice)) {
                    self.control.tell(&report);
                }
                self.tick();
            }
            ServerMessage::P2pCut(cut) => {
                if let Some(play) = self.game(cut.game_id) {
                    play.cut(cut);
                }
                self.tick();
            }
            ServerMessage::P2pStateWanted { game_id, pause_id, round } => {
                if let Some(play) = self.game(game_id) {
                    play.state_wanted(pause_id, round);
                }
                self.tick();
            }
            ServerMessage::P2pResume { game_id, pause_id, countdown_ms, .. } => {
                if let Some(play) = self.game(game_id) {
                    play.resume(pause_id, countdown_ms);
                }
                self.tick();
            }
            ServerMessage::P2pGameEnded { seat, reason, missing, .. } => {
                self.over = Some(Over::new(words::ended(reason, missing.contains(seat))));
            }
            ServerMessage::MidGameExclusion { reason, message, .. } => {
                self.over = Some(Over::new(message.unwrap_or_else(|| words::excluded(reason))));
            }
            ServerMessage::PartnerExcluded { message, .. } => {
                self.over = Some(Over::new(message));
            }
            ServerMessage::TriggerDataExport { .. } => {
                self.leave_game();
                if let Some(over) = &mut self.over {
                    over.show();
                }
                self.look_after();
            }
        }
    }

    /// Measures once more, or says what was measured: the server goes on from there (X1).
    fn screen(&mut self) {
        let Some(screening) = &self.screening else { return };
        match screening.report() {
            Some(report) => {
                self.screening = None;
                self.control.send(&report);
            }
            None => self.control.ping(None, None),
        }
    }

    // Scenes.

    fn activate(&mut self, scene: Scene) {
        // A scene is told again after every connection: then the page stays as it is.
        if self.scene.as_ref() == Some(&scene) {
            return;
        }
        if self.scene.as_ref().is_some_and(|old| old.id != scene.id) {
            self.leave_game();
        }
        view::set_title(&scene.title);
        (self.over, self.way, self.wait_until) = (None, None, None);
        match &scene.kind {
            SceneKind::Game { texts, .. } => words::take_own(texts),
            _ => words::take_own(&BTreeMap::new()),
        }
        match &scene.kind {
            SceneKind::Start(sheet) | SceneKind::Static(sheet) | SceneKind::Form(sheet) => {
                view::show_sheet(&scene, sheet);
            }
            // Told in other words while the game is on: the field stays.
            SceneKind::Game { .. } if self.play.is_some() => {}
            SceneKind::Game { players, .. } => {
                view::show_lobby(0, *players);
                view::set_text("lobby-left", "");
                view::set_hidden("lobby-button", true);
            }
            SceneKind::End { reason, body, exit, is_deleted } => {
                view::show_end(*reason, body);
                if *is_deleted {
                    // What has not been sent is not to be sent any more.
                    self.ending = None;
                    unsent::forget(self.control.token());
                }
                self.way = Some(Way::new(exit.clone(), *is_deleted));
            }
        }
        self.scene = Some(scene);
    }

    fn terminate(&mut self, scene_id: &str) {
        if self.scene.as_ref().is_some_and(|scene| scene.id == scene_id) {
            self.leave_game();
            (self.scene, self.over, self.wait_until) = (None, None, None);
            form::forget();
            view::overlay(None);
        }
    }

    /// The scene, where there is something to read and to answer.
    fn sheet(&self) -> Option<(&Scene, &Sheet)> {
        let scene = self.scene.as_ref()?;
        Some((scene, scene.kind.sheet()?))
    }

    /// The participant is done with what there is to read and to answer.
    fn advance(&mut self) {
        let Some((scene, sheet)) = self.sheet() else { return };
        let answers = form::read(&sheet.fields);
        let problems = wire::form::check(&sheet.fields, &answers).err().unwrap_or_default();
        form::tell(&sheet.fields, &words::problems(&problems));
        if problems.is_empty() {
            let message = ClientMessage::AdvanceScene { scene_id: scene.id.clone(), answers };
            self.control.send(&message);
        }
    }

    /// An answer has changed.
    fn answered(&mut self) {
        if let Some((scene, sheet)) = self.sheet() {
            form::keep(&scene.id, &sheet.fields);
        }
    }

    // The game.

    /// Takes the game away; its record goes on to the server.
    fn leave_game(&mut self) {
        let Some(mut play) = self.play.take() else { return };
        play.stop();
        view::pause(None);
        if let Some(older) = &self.ending {
            // It is sent from there.
            older.keep_unsent();
        }
        self.ending = Some(play).filter(|play| !play.is_saved());
        self.tick();
    }

    fn game(&mut self, id: GameId) -> Option<&mut Play> {
        self.play.as_mut().filter(|play| play.start.game_id == id)
    }

    fn start_game(&mut self, start: GameStart) {
        let game_id = start.game_id;
        // Told again after a connection was lost: this page is playing it already.
        if let Some(play) = self.game(game_id).filter(|play| !play.is_outlived(&start)) {
            return play.told_again(&start.incarnations);
        }
        match Play::new(start, self.control.token()) {
            Ok(play) => {
                // Before it begins, this is the lobby still.
                if play.start.begun {
                    self.wait_until = None;
                    view::show("game");
                }
                self.play = Some(play);
            }
            Err(reason) => self.fail(game_id, reason),
        }
    }

    fn fail(&mut self, game_id: GameId, reason: String) {
        let frame = self.game(game_id).and_then(|play| play.status()).map_or(0, |status| status.frame);
        self.control.send(&ClientMessage::GameFailed { game_id, frame, reason });
    }

    pub(crate) fn environment_loaded(
        &mut self,
        game_id: GameId,
        environment: Result<BrowserEnvironment, String>,
    ) {
        let Some(play) = self.game(game_id) else { return };
        if let Err(reason) = environment.and_then(|environment| play.loaded(environment)) {
            return self.fail(game_id, reason);
        }
        self.tick();
    }

    pub(crate) fn connection_changed(&mut self, seat: Seat, attempt: u32) {
        let Some(play) = &mut self.play else { return };
        if play.connection_changed(seat, attempt) {
            let frame = play.status().map_or(0, |status| status.frame);
            if let Some(peer) = play.peers.iter().find(|peer| peer.seat == seat) {
                peer.inspect(frame, true);
            }
        }
        self.tick();
    }

    /// Packets that came over the server.
    pub(crate) fn lane_message(&mut self, bytes: &[u8]) {
        if let Ok((from, packet)) = read_relayed(bytes) {
            self.packet(from, Lane::Server, packet);
        }
    }

    pub(crate) fn signal(&mut self, to: Seat, signal: Signal) {
        if let Some(play) = &self.play {
            let game_id = play.start.game_id;
            self.control.send(&ClientMessage::Signal { game_id, to, signal });
        }
    }

    /// What the browser's statistics say of a connection.
    pub(crate) fn inspected(&mut self, peer: Seat, connection: ConnectionType, told: bool, answered: bool) {
        let Some(play) = &mut self.play else { return };
        if answered {
            play.answered(peer);
        }
        let game_id = play.start.game_id;
        if !told && play.connection_type(peer).is_some_and(|known| known.is_like(&connection)) {
            return;
        }
        play.connection_types.retain(|(seat, _)| *seat != peer);
        play.connection_types.push((peer, connection.clone()));
        self.control.send(&ClientMessage::P2pConnectionType { game_id, peer, connection });
    }

    pub(crate) fn packet(&mut self, from: Seat, lane: Lane, bytes: &[u8]) {
        if let Some(play) = &mut self.play {
            play.packet(from, lane, bytes);
        }
    }

    pub(crate) fn uploaded(&mut self, game: GameId, answer: Option<BatchAcknowledgement>) {
        for play in [&mut self.play, &mut self.ending].into_iter().flatten() {
            if play.start.game_id == game {
                play.uploaded(answer);
            }
        }
        if self.ending.take_if(|play| play.is_saved()).is_some() {
            self.look_after();
        }
        self.tick();
    }

    /// The server does not want what is left of a game: of one that was deleted, say.
    pub(crate) fn upload_refused(&mut self, game: GameId) {
        if let Some(play) = self.ending.take_if(|play| play.start.game_id == game) {
            play.forget_unsent();
            return self.look_after();
        }
        self.uploaded(game, None);
    }

    /// What was asked for while a game stands still came, or nothing.
    pub(crate) fn pause_answered(&mut self, game: GameId, asked: &Asked, bytes: Vec<u8>) {
        if let Some(play) = self.game(game) {
            play.pause_answered(asked, bytes);
        }
        self.tick();
    }

    /// The page goes away.
    fn leaving(&mut self) {
        for play in [&self.play, &self.ending].into_iter().flatten() {
            play.keep_unsent();
        }
    }

    pub(crate) fn tick(&mut self) {
        let mut hurried = false;
        for play in [&mut self.play, &mut self.ending].into_iter().flatten() {
            let ticked = play.tick(Server {
                token: self.control.token(),
                is_open: self.control.is_open(),
                is_heard: self.control.hears(),
            });
            if !ticked.lane.is_empty() {
                self.control.send_lane(ticked.lane.as_bytes());
            }
            let mut messages = ticked.messages;
            play.check(&mut messages);
            for message in messages {
                self.control.send(&message);
            }
            for message in ticked.live {
                self.control.tell(&message);
            }
            hurried |= ticked.hurried;
        }
        self.control.hurry(hurried);
    }

    fn resized(&mut self) {
        if let Some(play) = &mut self.play {
            play.repaint();
        }
    }

    fn paint(&mut self) {
        let Some(play) = &mut self.play else { return };
        play.paint();
        let status = play.status();
        let hears = self.control.hears();
        let card = words::card(play, status.as_ref(), hears);
        view::pause(card.as_ref());
        if card.is_some() {
            view::overlay(None);
        }
        let Some(status) = status else { return };
        let rules = &play.start.rules;
        let left = rules.max_frames.saturating_sub(status.step).div_ceil(rules.fps.into());
        let round = say!(
            "game_round",
            round = &(status.episode + 1).to_string(),
            rounds = &rules.episodes.to_string()
        );
        view::set_text("game-round", &round);
        view::set_text("game-time", &words::clock(left.into()));
        let points = (status.score.round() as i64).to_string();
        view::set_text("game-score", &say!("game_points", points = &points));
        let worst = status.peers.iter().map(|peer| peer.grade.or_else(|| peer.path.grade())).max().flatten();
        let relayed = status.peers.iter().any(|peer| {
            let turn = play.connection_type(peer.peer).is_some_and(|kind| kind.connection_type == "relay");
            turn || peer.active == Some(Lane::Server)
        });
        let (grade, word, words) = match worst {
            _ if card.is_some() => ("", text!("badge_paused"), text!("badge_paused_text")),
            None => ("", text!("badge_connecting"), text!("badge_connecting_text")),
            Some(Quality::Good) if relayed => ("fair", text!("badge_relayed"), text!("badge_relayed_text")),
            Some(Quality::Good) => ("good", text!("badge_good"), text!("badge_good_text")),
            Some(Quality::Fair) => ("fair", text!("badge_fair"), text!("badge_fair_text")),
            Some(Quality::Poor) => ("poor", text!("badge_poor"), text!("badge_poor_text")),
        };
        view::badge(grade, word, words);
        if play.over || card.is_some() || !play.begun {
            return;
        }
        if let Some(left) = status.intermission {
            let text = if left.is_zero() { None } else { Some(round.as_str()) };
            view::overlay(text);
        } else if status.finished {
            view::overlay(Some(&say!("game_last_round")));
        } else {
            view::overlay(None);
        }
    }

    pub(crate) fn snapshot(&self) -> Value {
        let scene = self.scene.as_ref().map(|scene| {
            let reason = match scene.kind {
                SceneKind::End { reason, .. } => Some(reason.name()),
                _ => None,
            };
            let over = self.over.is_some();
            json!({ "id": scene.id, "kind": scene.kind.name(), "reason": reason, "over": over })
        });
        let (phase, game, lanes, uploads) = match &self.play {
            Some(play) => snapshot::of_game(play),
            None => (Value::Null, Value::Null, json!([]), Value::Null),
        };
        let pause = self.play.as_ref().and_then(snapshot::of_pause);
        json!({
            "participant": self.participant,
            "scene": scene,
            "phase": phase,
            "game": game,
            "lanes": lanes,
            "pause": pause,
            "uploads": uploads,
        })
    }
}
