//! Does what the stager decides: everything that it wants written down in one commit, and then what it wants told (C3).

use std::mem;
use std::time::Duration;

use base::{GameId, Seat, VisitId};
use metrics::counter;
use room::{CheckId, Effect};
use store::Write;
use wire::close::CloseCode;
use wire::control::ServerMessage;

use super::{Task, wall_time};
use crate::completions;

/// What is done once all is written down, in order.
enum Deed {
    Send {
        visit: VisitId,
        message: ServerMessage,
    },
    Close {
        visit: VisitId,
        code: CloseCode,
    },
    AddLanes {
        game: GameId,
        seats: Vec<Option<VisitId>>,
    },
    EndLanes {
        game: GameId,
        seat: Seat,
    },
    TellOfVisits,
    /// Something was deleted.
    Scrub,
    Ask {
        check: CheckId,
        url: String,
        patience: Duration,
        question: serde_json::Value,
    },
}

impl Task {
    /// Carries out all that waits, and what that leads to.
    pub(super) async fn carry_out(&mut self) {
        loop {
            let (mut deeds, mut asked) = (Vec::new(), Vec::new());
            let mut writes = mem::take(&mut self.unwritten);
            while let Some(effect) = self.stager.poll_effect() {
                self.sort(effect, &mut writes, &mut deeds, &mut asked);
            }
            if deeds.is_empty() && asked.is_empty() && writes.is_empty() {
                return;
            }
            let is_durable = self.write(writes).await;
            for deed in deeds {
                self.do_or_turn_away(deed, is_durable);
            }
            for game in asked {
                self.tell_history(game).await;
            }
            if !is_durable {
                return;
            }
        }
    }

    fn sort(&self, effect: Effect, writes: &mut Vec<Write>, deeds: &mut Vec<Deed>, asked: &mut Vec<GameId>) {
        match effect {
            Effect::Send { visit, message } => deeds.push(Deed::Send { visit, message }),
            Effect::Close { visit, code } => deeds.push(Deed::Close { visit, code }),
            Effect::AskHistory { game } => asked.push(game),
            Effect::Progress { visit, progress } => match serde_json::to_string(&progress) {
                Ok(json) => {
                    let (scene, ended) = (progress.scene, progress.ended);
                    let condition = progress.condition;
                    let at = wall_time();
                    writes.push(Write::Progress { visit, scene, ended, condition, progress: json, at });
                }
                Err(error) => tracing::error!(%visit, %error, "how far a visit has come cannot be written"),
            },
            Effect::Screened { visit, agent, screened } => {
                let result = screened.rule.map_or("passed", room::ScreeningRule::name);
                counter!("interplay_screenings_total", "result" => result).increment(1);
                let known = screened.device.is_some() && screened.browser.is_some();
                let user_agent = if known { "" } else { agent.user_agent.as_str() };
                tracing::info!(%visit, result, known, user_agent, "somebody was screened");
            }
            Effect::VisitEnded { visit, ending, exit } => {
                counter!("interplay_visits_ended_total", "ending" => ending.name()).increment(1);
                tracing::info!(%visit, ending = ending.name(), "a visit ended");
                if self.context.completions.are_wanted() {
                    let at = wall_time();
                    let due = completions::due(ending, at);
                    writes.push(Write::VisitEnded { visit, ending, exit, at, due });
                    deeds.push(Deed::TellOfVisits);
                }
            }
            Effect::Delete { visit } => {
                counter!("interplay_visits_deleted_total").increment(1);
                tracing::info!(%visit, "the data of a visit are deleted");
                let tells_who = self.context.completions.tell_who();
                writes.push(Write::Delete { visit, tells_who, at: wall_time() });
                deeds.push(Deed::Scrub);
            }
            Effect::AskCheck { check, url, deadline_millis, question } => {
                let patience = Duration::from_millis(deadline_millis.into());
                deeds.push(Deed::Ask { check, url, patience, question });
            }
            Effect::Checked { visit, result } => {
                counter!("interplay_checks_total", "result" => result.name()).increment(1);
                tracing::debug!(%visit, result = result.name(), "the study's own check was asked");
            }
            Effect::Answers { visit, scene, answers } => {
                writes.push(Write::Answers { visit, scene, answers, at: wall_time() });
            }
            Effect::CreateGame(new) => {
                counter!("interplay_games_total").increment(1);
                tracing::info!(game = %new.game, seats = new.seats.len(), "a game begins");
                let seats = new.seats.iter().copied().map(Some).collect();
                deeds.push(Deed::AddLanes { game: new.game, seats });
                writes.push(Write::CreateGame(Box::new(store::NewGame {
                    game: new.game,
                    experiment: self.context.experiment.clone(),
                    experiment_sha256: new.experiment_sha256,
                    scene: new.scene,
                    environment_sha256: new.environment_sha256,
                    options: new.options,
                    epoch: new.epoch,
                    seed: new.seed,
                    rules: new.rules,
                    input_size: new.input_size,
                    seats: new.seats,
                    created: wall_time(),
                })));
            }
            Effect::CancelGame { game, seats } => {
                counter!("interplay_games_cancelled_total").increment(1);
                tracing::info!(%game, "a group did not come about");
                deeds.extend(Seat::all(seats).map(|seat| Deed::EndLanes { game, seat }));
                writes.push(Write::CancelGame { game, at: wall_time() });
            }
            Effect::EndSeat { game, seat, ending } => {
                let room::SeatEnding { reason, frame, is_partial } = ending;
                counter!("interplay_seats_ended_total", "reason" => reason.name()).increment(1);
                tracing::info!(%game, %seat, reason = reason.name(), frame, "a seat ended");
                deeds.push(Deed::EndLanes { game, seat });
                let ending = store::SeatEnding { reason, frame, at: wall_time(), is_partial };
                writes.push(Write::EndSeat { game, seat, ending });
            }
            Effect::SaveGame { game, state } => writes.push(Write::SaveGame { game, state, at: wall_time() }),
            Effect::Fence { game, seat, incarnation, cut_frame } => {
                writes.push(Write::Fence { game, seat, incarnation, cut_frame });
            }
            Effect::RecordVisit { visit, kind, name, detail } => {
                tracing::info!(%visit, kind, name, %detail, "on its way");
                writes.push(Write::Path { visit, kind, name, detail, at: wall_time() });
            }
            Effect::Record { game, seat, kind, detail } => {
                tracing::info!(%game, ?seat, kind, %detail, "recorded");
                writes.push(Write::ServerEvent { game, seat, kind, detail, at: wall_time() });
            }
        }
    }

    /// False when it is not durable, as on a disk that is full. Then it is kept, and goes with what is decided next;
    /// until it is on the disk nobody is told anything. What the database takes for wrong is an error of ours, which
    /// trying again does not mend: it is in the log, and everybody goes on.
    async fn write(&mut self, writes: Vec<Write>) -> bool {
        if writes.is_empty() {
            return true;
        }
        match self.context.store.apply(writes.clone()).await {
            Ok(()) => true,
            Err(error) if error.is_refusal() => {
                tracing::error!(%error, "what was decided cannot be written down");
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot write down what was decided; trying again with what comes next");
                self.unwritten = writes;
                false
            }
        }
    }

    /// Whoever cannot be told what was decided is sent away instead, and comes back: a page that connects is told all
    /// that counts.
    fn do_or_turn_away(&mut self, deed: Deed, is_durable: bool) {
        match deed {
            Deed::Send { visit, message } if is_durable => self.send(visit, message),
            Deed::Send { visit, .. } => self.close(visit, CloseCode::Unavailable),
            Deed::Close { visit, code } => self.close(visit, code),
            Deed::AddLanes { game, seats } => self.lanes.add_game(game, seats),
            Deed::EndLanes { game, seat } => self.lanes.end_seat(game, seat),
            Deed::TellOfVisits => self.context.completions.wake(),
            Deed::Scrub => self.context.scrubber.wake(),
            Deed::Ask { check, url, patience, question } => self.checks.ask(check, url, patience, &question),
        }
    }

    fn send(&mut self, visit: VisitId, message: ServerMessage) {
        let now = self.now();
        let Some(channel) = self.channels.get(&visit) else { return };
        let message = self.with_ice_servers(message, visit, channel.host());
        if let Some(channel) = self.channels.get_mut(&visit) {
            channel.send(message, now);
        }
    }

    fn close(&self, visit: VisitId, code: CloseCode) {
        if let Some(channel) = self.channels.get(&visit) {
            channel.close(code);
        }
    }

    /// Tells the stager how far a game's durable record goes. When it cannot be read, it is asked again at the next beat.
    pub(super) async fn tell_history(&mut self, game: GameId) {
        match self.context.store.history(game).await {
            Ok(store::History { end, first, rows }) => {
                let now = self.now();
                self.stager.handle_history(game, &room::History { end, first, rows }, now);
            }
            Err(error) => {
                tracing::error!(%game, %error, "cannot read a game's record; trying again");
                self.unanswered.push(game);
            }
        }
    }

    /// Adds our own STUN and TURN, with the visit's own credentials.
    fn with_ice_servers(&self, mut message: ServerMessage, visit: VisitId, host: &str) -> ServerMessage {
        let (servers, lifetime) = match &mut message {
            ServerMessage::GameStart(start) => (&mut start.ice_servers, &mut start.ice_lifetime_millis),
            ServerMessage::IceServers { ice_servers, ice_lifetime_millis } => {
                (ice_servers, ice_lifetime_millis)
            }
            _ => return message,
        };
        if let Some(turn) = &self.context.turn {
            servers.extend(turn.servers(visit, host));
            *lifetime = turn.lifetime_millis();
        }
        message
    }
}
