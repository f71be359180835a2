//! One visit of a bot, from the first scene to the end.

use core::time::Duration;
use std::collections::VecDeque;

use base::{Rng, Timestamp};
use host::Module;
use wire::close::CloseCode;
use wire::control::{ClientMessage, EnvironmentRef, Scene, SceneKind, ServerMessage, VisitEnding};
use wire::form::Answers;
use wire::lane::read_relayed;

use crate::answers::Wrong;
use crate::channel::{Channel, Heard, Wish};
use crate::play::{Output, Play, Request};

/// How long a bot looks at a scene before it goes on, and how much longer at most.
const READING: Duration = Duration::from_millis(400);
const READING_MORE: Duration = Duration::from_millis(800);

/// How long it stays at the end.
const LEAVING: Duration = Duration::from_secs(1);

/// What a bot wants done.
#[derive(Debug)]
pub(crate) enum Act {
    /// Open a socket; the one before it is gone.
    Connect,
    Disconnect,
    Text(String),
    Lane(Vec<u8>),
    Ask(Request),
    /// The environment of the game.
    Load(EnvironmentRef),
}

pub(crate) struct Participant {
    rng: Rng,
    channel: Channel,
    scene: Option<Scene>,
    /// When it goes on from a scene.
    advance_at: Option<Timestamp>,
    answers: Answers,
    play: Option<Play>,
    /// A game that is over and whose record is still on its way.
    ending: Option<Play>,
    /// Its game has ended early: it goes on when its record is saved.
    is_over: bool,
    /// When the visit is over.
    leave_at: Option<Timestamp>,
    /// Whether it has played, or was called elsewhere: else it was turned away.
    was_of_use: bool,
    acts: VecDeque<Act>,
}

impl Participant {
    pub(crate) fn new(token: String, mut rng: Rng, now: Timestamp) -> Self {
        let page = rng.below(1 << 53);
        Self {
            rng,
            channel: Channel::new(token, page, now),
            scene: None,
            advance_at: None,
            answers: Answers::new(),
            play: None,
            ending: None,
            is_over: false,
            leave_at: None,
            was_of_use: false,
            acts: VecDeque::new(),
        }
    }

    pub(crate) fn token(&self) -> &str {
        self.channel.token()
    }

    pub(crate) fn poll_act(&mut self) -> Option<Act> {
        let wish = |wish| match wish {
            Wish::Connect => Act::Connect,
            Wish::Disconnect => Act::Disconnect,
            Wish::Text(text) => Act::Text(text),
        };
        self.acts.pop_front().or_else(|| self.channel.poll_wish().map(wish))
    }

    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let games = [&self.play, &self.ending].into_iter().flatten().filter_map(Play::poll_timeout);
        let own = self.advance_at.into_iter().chain(self.leave_at);
        games.chain(own).fold(self.channel.poll_timeout(), Timestamp::min)
    }

    /// Whether the visit is over and everything saved.
    pub(crate) fn is_done(&self, now: Timestamp) -> bool {
        self.leave_at.is_some_and(|at| now >= at) && self.ending.is_none()
    }

    /// Whether the next visit may begin soon.
    pub(crate) const fn was_of_use(&self) -> bool {
        self.was_of_use
    }

    pub(crate) fn opened(&mut self, now: Timestamp) {
        self.channel.opened(now);
    }

    /// The socket is gone. False when the visit goes on nowhere.
    pub(crate) fn closed(&mut self, code: Option<u16>, now: Timestamp) -> bool {
        self.channel.closed(&mut self.rng, now);
        code.is_none_or(CloseCode::means_come_back)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, wrong: &Wrong, now: Timestamp) {
        self.channel.handle_timeout(&mut self.rng, now);
        if self.advance_at.take_if(|at| now >= *at).is_some() {
            self.advance(wrong);
        }
        let is_open = self.channel.is_welcome();
        for play in [&mut self.play, &mut self.ending].into_iter().flatten() {
            play.handle_timeout(is_open, now);
        }
        self.take_outputs();
        self.ending.take_if(|play| play.is_saved());
        if self.is_over && self.ending.is_none() {
            self.is_over = false;
            if let Some(scene) = &self.scene {
                let advance =
                    ClientMessage::AdvanceScene { scene_id: scene.id.clone(), answers: Answers::new() };
                self.channel.say(&advance);
            }
        }
    }

    fn take_outputs(&mut self) {
        for play in [&mut self.play, &mut self.ending].into_iter().flatten() {
            while let Some(output) = play.poll_output() {
                match output {
                    Output::Say(message) => self.channel.say(&message),
                    Output::Lane(bundle) => self.acts.push_back(Act::Lane(bundle)),
                    Output::Ask(request) => self.acts.push_back(Act::Ask(request)),
                }
            }
        }
    }

    /// Goes on from what there is to read and to answer.
    fn advance(&mut self, wrong: &Wrong) {
        let Some(scene) = &self.scene else { return };
        let Some(sheet) = scene.kind.sheet() else { return };
        self.answers = wrong.answer(&scene.id, &sheet.fields, &mut self.rng);
        let advance =
            ClientMessage::AdvanceScene { scene_id: scene.id.clone(), answers: self.answers.clone() };
        self.channel.say(&advance);
    }

    fn read(&mut self, now: Timestamp) {
        self.advance_at = Some(now + READING + READING_MORE.mul_f64(self.rng.unit()));
    }

    pub(crate) fn hear(&mut self, text: &str, wrong: &mut Wrong, now: Timestamp) {
        match self.channel.hear(text, &mut self.rng, now) {
            Heard::Nothing => {}
            Heard::Anew => {
                if let Some(play) = &mut self.play {
                    play.retell();
                }
            }
            Heard::Message(message) => self.act_on(*message, wrong, now),
        }
        self.take_outputs();
    }

    /// Packets of the server lane.
    pub(crate) fn hear_lane(&mut self, bytes: &[u8], now: Timestamp) {
        if let (Some(play), Ok((from, packet))) = (&mut self.play, read_relayed(bytes)) {
            play.packet(from, packet, now);
        }
    }

    /// The environment was loaded, or cannot be.
    pub(crate) fn loaded(&mut self, sha256: &str, module: Result<Module, String>, now: Timestamp) {
        let hands = Rng::from_seed(self.rng.below(u64::MAX));
        if let Some(play) = self.play.as_mut().filter(|play| play.start.environment.sha256 == sha256) {
            play.handle_module(module, hands, now);
        }
        self.take_outputs();
    }

    /// What was asked over HTTP is answered.
    pub(crate) fn answered(&mut self, request: &Request, answer: Option<&[u8]>, now: Timestamp) {
        let games = [&mut self.play, &mut self.ending].into_iter().flatten();
        for play in games.filter(|play| play.start.game_id == request.game) {
            play.answered(request, answer, now);
        }
    }

    fn act_on(&mut self, message: ServerMessage, wrong: &mut Wrong, now: Timestamp) {
        match message {
            ServerMessage::ActivateScene { scene } => self.show(scene, now),
            ServerMessage::TerminateScene { scene_id } => {
                if self.scene.take_if(|scene| scene.id == scene_id).is_some() {
                    self.advance_at = None;
                    self.leave_game(now);
                }
            }
            ServerMessage::AnswersRefused { scene_id, problems } => {
                wrong.learn(&scene_id, &self.answers, problems.keys());
                self.read(now);
            }
            ServerMessage::GameStart(start) => {
                let known = self.play.as_mut().filter(|play| play.start.game_id == start.game_id);
                match known {
                    Some(play) => play.told_again(&start.incarnations, now),
                    None => {
                        self.leave_game(now);
                        self.acts.push_back(Act::Load(start.environment.clone()));
                        self.play = Some(Play::new(*start, now));
                    }
                }
            }
            ServerMessage::GameCancelled { game_id } => {
                self.play.take_if(|play| play.start.game_id == game_id);
            }
            ServerMessage::TriggerDataExport { .. } => {
                self.leave_game(now);
                self.is_over = true;
            }
            message => self.act_in_game(message, now),
        }
    }

    fn act_in_game(&mut self, message: ServerMessage, now: Timestamp) {
        let Some(play) = &mut self.play else { return };
        match message {
            ServerMessage::GameGo { .. } => {
                self.was_of_use = true;
                play.begin(now);
            }
            ServerMessage::P2pPause(notice) => {
                play.told_again(&notice.incarnations, now);
                play.handle_pause(notice, now);
            }
            ServerMessage::P2pCut(cut) => play.handle_cut(cut, now),
            ServerMessage::P2pStateWanted { pause_id, round, .. } => play.state_wanted(pause_id, round),
            ServerMessage::P2pResume { pause_id, countdown_ms, .. } => {
                play.resume(pause_id, Duration::from_millis(countdown_ms.into()), now);
            }
            _ => {}
        }
    }

    fn show(&mut self, scene: Scene, now: Timestamp) {
        if self.scene.as_ref().is_some_and(|before| before.id != scene.id) {
            self.leave_game(now);
        }
        self.is_over = false;
        if scene.kind.sheet().is_some() {
            self.read(now);
        }
        if let SceneKind::End { reason, .. } = scene.kind {
            self.was_of_use |= reason == VisitEnding::Withdrawn;
            self.leave_at = Some(now + LEAVING);
        }
        self.scene = Some(scene);
    }

    fn leave_game(&mut self, now: Timestamp) {
        if let Some(mut play) = self.play.take() {
            play.stop(now);
            self.ending = Some(play).filter(|play| !play.is_saved());
        }
    }
}
