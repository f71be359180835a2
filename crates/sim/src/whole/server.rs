//! The server: a real stager behind real logs, one commit after another.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use base::{GameId, ParticipantId, Rng, Timestamp, VisitId, derive_seed};
use room::{
    After, Assignment, Effect, EndScene, Experiment, GameScene, Guard, Identity, LobbyRules, MonitorRules,
    Restored, SceneSpec, SceneSpecKind, Seating, Stager,
};
use serde::Deserialize;
use wire::close::CloseCode;
use wire::control::{ClientMessage, EnvironmentRef, ServerMessage, Withdrawal};
use wire::room::{Epoch, Fence, Resume};
use wire::texts::Texts;

use super::channel::Channel;
use super::page::SLOW_PING;
use super::plan::{Plan, Sabotage};
use super::store::{Store, Write};

/// What reaches the stage.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Hello { socket: usize, seat: usize, page: u64, resume: Resume },
    Text { socket: usize, seat: usize, text: String },
    Dropped { socket: usize, seat: usize },
    Wake,
}

/// What leaves it, once what it depends on is durable.
#[derive(Clone, Debug)]
pub(super) enum Tell {
    Text(usize, String),
    Close(usize, CloseCode),
}

pub(super) struct Server {
    /// Which life: how often a server was started.
    pub(super) life: u64,
    started: Duration,
    stager: Stager,
    channels: BTreeMap<VisitId, Channel>,
    inbox: VecDeque<Input>,
    /// What is being committed, and what waits for it.
    pub(super) committing: Option<(Vec<Write>, Vec<Effect>)>,
    next_fence: u64,
    rng: Rng,
    sabotage: Option<Sabotage>,
    /// Who has no direct lane.
    bots: Vec<VisitId>,
}

pub(super) fn visit(seat: usize) -> VisitId {
    VisitId::from_random([seat as u8 + 1; 16])
}

fn experiment(plan: &Plan) -> Experiment {
    let game = GameScene {
        players: plan.seats,
        rules: plan.rules,
        seed: Some(derive_seed(plan.seed, 4)),
        environment: EnvironmentRef { url: "/chaos.wasm".into(), sha256: "chaos".into() },
        options: Vec::new(),
        input_size: plan.input_size,
        keys: BTreeMap::new(),
        ice_servers: Vec::new(),
        texts: BTreeMap::new(),
        // Pages are numbered as their seats are, whoever comes first.
        lobby: LobbyRules { seats: Seating::Random, ..LobbyRules::default() },
        monitor: MonitorRules {
            max_ping_millis: Some(SLOW_PING / 2),
            on_hidden: room::OnHidden::Pause,
            ..MonitorRules::default()
        },
        check: None,
        on_partner_lost: After::Next,
        on_excluded: After::Next,
    };
    let scene = |id: &str, kind| SceneSpec { id: id.into(), kind, guard: Guard::default() };
    Experiment {
        version: "chaos".into(),
        title: "Chaos".into(),
        texts: Texts::default(),
        screening: room::Screening::default(),
        withdrawal: Withdrawal::default(),
        scenes: vec![
            scene("play", SceneSpecKind::Game(Box::new(game))),
            scene("thanks", SceneSpecKind::End(EndScene::default())),
        ],
        blocks: Vec::new(),
        conditions: Vec::new(),
        assignment: Assignment::default(),
    }
}

impl Server {
    pub(super) fn start(plan: &Plan, life: u64, store: &mut Store, now: Duration) -> Self {
        let entropy = derive_seed(plan.seed, 1000 + life);
        let mut server = Self {
            life,
            started: now,
            stager: Stager::new(experiment(plan), entropy),
            channels: BTreeMap::new(),
            inbox: VecDeque::new(),
            committing: None,
            next_fence: 1,
            rng: Rng::from_seed(derive_seed(entropy, 1)),
            sabotage: plan.sabotage,
            bots: plan.relayed.iter().map(|seat| visit(seat.index())).collect(),
        };
        for (state, saved) in store.live.values() {
            let lived = store.alive.saturating_sub(*saved);
            let known = store.progress.iter().map(|(&visit, progress)| {
                let is_bot = server.bots.contains(&visit);
                (visit, Restored { progress: progress.clone(), is_bot, ..Restored::default() })
            });
            server
                .stager
                .restore(state, known.collect(), lived, Timestamp::default())
                .expect("what was saved can be restored");
        }
        store.alive = now;
        server
    }

    fn time(&self, now: Duration) -> Timestamp {
        Timestamp::from_micros((now - self.started).as_micros() as u64)
    }

    /// When it wants to be woken.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        if self.sabotage == Some(Sabotage::NoDeadlines) {
            return None;
        }
        let due = self.stager.poll_timeout()?;
        Some(self.started + Duration::from_micros(due.at.as_micros()))
    }

    pub(super) fn push(&mut self, input: Input) {
        self.inbox.push_back(input);
    }

    /// Whether a visit can be reached now, for the server lane.
    pub(super) fn socket_of(&self, seat: usize) -> Option<usize> {
        self.channels.get(&visit(seat)).and_then(|channel| channel.socket).map(|(_, socket)| socket)
    }

    /// Handles what has come, up to something that must be durable before anyone is told of it. What is told without
    /// that is in the answer. All that waits goes into one commit; but what a visit that comes is told must be durable.
    pub(super) fn pump(&mut self, store: &Store, now: Duration) -> Vec<Tell> {
        let mut told = Vec::new();
        while self.committing.is_none() {
            let Some(input) = self.inbox.pop_front() else { break };
            self.handle(input, store, now, &mut told);
            while let Some(input) = self.inbox.pop_front_if(|next| !matches!(next, Input::Hello { .. })) {
                self.handle(input, store, now, &mut told);
            }
            self.collect(now, &mut told);
        }
        told
    }

    /// What was being committed is durable.
    pub(super) fn committed(&mut self, store: &mut Store, now: Duration) -> Vec<Tell> {
        let mut told = Vec::new();
        let Some((writes, effects)) = self.committing.take() else { return told };
        for write in writes {
            store.apply(write, now);
        }
        self.tell(effects, now, &mut told, Some(store));
        self.collect(now, &mut told);
        told.extend(self.pump(store, now));
        told
    }

    fn handle(&mut self, input: Input, store: &Store, now: Duration, told: &mut Vec<Tell>) {
        let time = self.time(now);
        match input {
            Input::Wake => self.stager.handle_timeout(time),
            Input::Hello { socket, seat, page, resume } => {
                let visit = visit(seat);
                let restored = self.restored(visit, store);
                let fence = Fence(self.next_fence);
                self.next_fence += 1;
                let epoch = self.rng.next_u64();
                let channel = self.channels.entry(visit).or_insert_with(|| Channel::begin(epoch, time));
                if let Some(older) = channel.connect(fence, socket, page, resume, time) {
                    told.push(Tell::Close(older, CloseCode::Replaced));
                }
                let participant = ParticipantId::from_random([seat as u8 + 1; 16]);
                self.stager.handle_joined(Identity { visit, participant }, page, None, restored, time);
            }
            Input::Text { socket, seat, text } => {
                #[derive(Deserialize)]
                struct Counted {
                    n: Option<u64>,
                }
                let counted: Counted = serde_json::from_str(&text).expect("pages speak JSON");
                let message: ClientMessage = serde_json::from_str(&text).expect("pages speak the protocol");
                let acknowledged = match &message {
                    ClientMessage::Ping { sequence, .. } => Some(*sequence),
                    _ => None,
                };
                let Some(channel) = self.channels.get_mut(&visit(seat)) else { return };
                if channel.hears(socket, counted.n, acknowledged, time) {
                    self.stager.handle_message(visit(seat), message, time);
                }
            }
            Input::Dropped { socket, seat } => {
                let visit = visit(seat);
                if self.channels.get_mut(&visit).is_some_and(|channel| channel.disconnect(socket, time)) {
                    self.stager.handle_dropped(visit, time);
                }
            }
        }
    }

    fn restored(&self, visit: VisitId, store: &Store) -> Restored {
        if self.stager.knows(visit) {
            return Restored::default();
        }
        let progress = store.progress.get(&visit).cloned().unwrap_or_default();
        let open = store.games.values().find_map(|game| {
            let seat = game.seats.iter().position(|&other| other == visit)?;
            let open = !store.endings.contains_key(&(seat as u8));
            open.then(|| (game.game, base::Seat::new(seat as u8).expect("a seat")))
        });
        Restored { progress, is_bot: self.bots.contains(&visit), open_game: open, ..Restored::default() }
    }

    /// Takes what the stager wants done: writes are committed first, all together.
    fn collect(&mut self, now: Duration, told: &mut Vec<Tell>) {
        let mut writes = Vec::new();
        let mut effects = Vec::new();
        while let Some(effect) = self.stager.poll_effect() {
            match effect {
                Effect::Progress { visit, progress } => {
                    writes.push(Write::Progress(visit, Box::new(progress)));
                }
                Effect::Answers { .. } | Effect::Delete { .. } => {}
                Effect::CreateGame(new) => writes.push(Write::CreateGame(new)),
                Effect::CancelGame { game, .. } => writes.push(Write::CancelGame(game)),
                Effect::EndSeat { seat, ending, .. } => {
                    writes.push(Write::EndSeat(seat.number(), ending));
                    if self.sabotage == Some(Sabotage::TwoEndings) {
                        let reason = wire::control::TerminationReason::Left;
                        let other = room::SeatEnding { reason, ..ending };
                        writes.push(Write::EndSeat(seat.number(), other));
                    }
                }
                Effect::SaveGame { game, state } => writes.push(Write::SaveGame(game, state)),
                Effect::Fence { seat, incarnation, cut_frame, .. } => {
                    writes.push(Write::Fence(seat.number(), incarnation, cut_frame));
                }
                Effect::Record { kind: "p2p_resume", .. } if self.sabotage == Some(Sabotage::NoLedger) => {}
                Effect::Record { seat, kind, detail, .. } => {
                    writes.push(Write::Record(seat.map(base::Seat::number), kind, detail));
                }
                tell => effects.push(tell),
            }
        }
        if !writes.is_empty() || effects.iter().any(|effect| matches!(effect, Effect::AskHistory { .. })) {
            self.committing = Some((writes, effects));
        } else {
            self.tell(effects, now, told, None);
        }
    }

    fn tell(&mut self, effects: Vec<Effect>, now: Duration, told: &mut Vec<Tell>, store: Option<&Store>) {
        let time = self.time(now);
        let mut asked: Option<GameId> = None;
        for effect in effects {
            match effect {
                Effect::Send { visit, message } => self.send(visit, message, time, told),
                Effect::Close { visit, code } => {
                    let socket = self.channels.get(&visit).and_then(|channel| channel.socket);
                    told.extend(socket.map(|(_, socket)| Tell::Close(socket, code)));
                }
                Effect::AskHistory { game } => asked = Some(game),
                _ => {}
            }
        }
        if let (Some(game), Some(store)) = (asked, store) {
            self.stager.handle_history(game, &store.history(), time);
        }
    }

    fn send(&mut self, visit: VisitId, message: ServerMessage, time: Timestamp, told: &mut Vec<Tell>) {
        let spoiled = self.sabotage == Some(Sabotage::NoResume)
            && visit == self::visit(0)
            && matches!(message, ServerMessage::P2pResume { .. });
        let Some(channel) = self.channels.get_mut(&visit).filter(|_| !spoiled) else { return };
        let texts = channel.send(message, time);
        if let Some((_, socket)) = channel.socket {
            for text in texts {
                if self.sabotage == Some(Sabotage::DoubleMessages) {
                    told.push(Tell::Text(socket, text.clone()));
                }
                told.push(Tell::Text(socket, text));
            }
        }
    }
}

/// Where a page says that it goes on.
pub(super) fn resume(epoch: &str, sequence: u64) -> Resume {
    match epoch {
        "" => Resume::Live,
        _ => Resume::After { epoch: Epoch::try_from(epoch.to_owned()).unwrap_or(Epoch(0)), sequence },
    }
}
