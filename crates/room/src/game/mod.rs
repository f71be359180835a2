//! One game, as the server sees it: who is ready, who is missing, who has finished.
//!
//! # The algorithm
//!
//! ```text
//!          all ready, links good         somebody is missing, has lost its memory, or differs
//!  gathering ───────────────► playing ─────────────────────────────────────────────────────► paused
//!                                ▲                                                             │
//!                                │   all equal                                                 │ deadline
//!                                └─────────── success ◄─── cut ◄─── all here, all reported ◄───┤
//!                                                                                              ▼
//!                                                                                            ended
//! ```
//!
//! - **A pause** has a number, and rounds. Everything that seats say of it carries both; what is of another is not
//!   heard. A page that loses its memory begins a new round: what was said before it does not hold any more.
//! - **Reports** say what each seat holds of everyone's inputs. When every seat is here and has reported, the machine
//!   asks for the end of the durable record too, puts all of it together ([`merge`]) and commits the cut before
//!   anyone is told.
//! - **Successes** say how far each seat has got, and its state's hash there. When all are equal, all go on. When they
//!   differ, everyone plays the game anew from its seed and the record, once in a pause; if they differ still, the game
//!   ends.
//! - **Pages in the background** are waited for where the study says so: all go on when they are in front again ([`hidden`]).
//! - **Deadlines** are the machine's: one pause, all pauses together, and how many there may be (P3).
//! - **Told again** is told in full: whoever connects hears where the game stands, so a message that a crash has
//!   swallowed is not missed (C3).

mod gathering;
mod hidden;
mod merge;
mod saved;

use core::time::Duration;

use base::{FRAME_LIMIT, Frame, GameId, MAX_SEATS, Seat, SeatSet, StateHash, Timestamp, VisitId};
use serde_json::json;
use wire::control::{
    Cut, ExclusionReason, GameStart, Hex, IceServer, OnPlayerLost, PauseNotice, PauseReason, SeatCut,
    ServerMessage, TerminationReason,
};

pub(crate) use gathering::Measured;
use gathering::{Gathering, Verdict};
pub use gathering::{LinkRules, RequiredLane};
pub use merge::History;
use merge::Report;
pub(crate) use saved::Saved;

/// How long everyone may be away from the server before that is a pause.
const ALL_AWAY: Duration = Duration::from_secs(10);

/// How long the last of a seat's record may take to become durable.
const LAST_RECORDS: Duration = Duration::from_secs(30);

/// A page that has lost its memory more often than that is broken.
const MOST_INCARNATIONS: u8 = 200;

/// A game that is on.
#[derive(Debug)]
pub(crate) struct Game {
    /// What every seat was told at the beginning; the seat is each one's own.
    start: GameStart,
    /// What its links must be like to begin with.
    links: LinkRules,
    input_size: usize,
    /// The index of its scene.
    pub(crate) scene: usize,
    /// Who sits where.
    pub(crate) seats: Vec<VisitId>,
    /// The page load of each: another has lost its memory.
    pages: Vec<u64>,
    /// Each seat's incarnations after the first, with the frame that each begins at.
    fences: Vec<Vec<(u8, Frame)>>,
    phase: Phase,
    /// Who has been taken on to the next scene.
    left: SeatSet,
    /// Where the game ended for the first who played it to its end: nobody else may end elsewhere.
    finished: Option<(Frame, StateHash)>,
    /// Whose inputs everyone has to the last, of those who have left: nobody need miss them.
    served: SeatSet,
    /// From which frame on who was lost presses nothing, when the others play on (P9).
    closed: Vec<Option<Frame>>,
    /// Who is connected.
    present: SeatSet,
    /// Whose pages are in the background, in a study that waits for them (X2). Pages say so again when they connect.
    hidden: SeatSet,
    /// Since when nobody who still plays is.
    all_away: Option<Timestamp>,
    /// How many pauses there were, and how long they were together.
    pauses: u32,
    counted: u32,
    paused: Duration,
    /// Since when somebody plays without one who has finished: that takes moments.
    behind: Option<Timestamp>,
    /// Where the last pause ended.
    resumed: Frame,
    /// The furthest frame that anybody has told of.
    pub(crate) frame: Frame,
    outputs: Vec<Output>,
    changed: bool,
}

/// What a game wants done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Output {
    Tell(Seat, ServerMessage),
    Record(Option<Seat>, &'static str, serde_json::Value),
    /// A seat's page has lost its memory: what it said from this frame on is void.
    Fence {
        seat: Seat,
        incarnation: u8,
        cut_frame: Frame,
    },
    /// How far does the durable record go?
    AskHistory,
    /// Everyone is ready, and every link is good enough.
    Begin,
    /// The group does not come about.
    Cancel(Cancelled),
    End(TerminationReason, SeatSet),
    /// These were in the background for as long as everyone waits: the study's rules take them out.
    HiddenForLong(SeatSet),
    /// A seat's game is over, and the others play on.
    Drop(Seat, TerminationReason, Option<ExclusionReason>),
}

/// Why a group does not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cancelled {
    /// In one word: `slow`, `time`, `away`, or how somebody left.
    pub(crate) reason: &'static str,
    /// Pairs whose link is not good enough.
    pub(crate) failed: Vec<(Seat, Seat)>,
    /// Pairs who were not ready in time.
    pub(crate) late: Vec<(Seat, Seat)>,
}

#[derive(Debug)]
enum Phase {
    /// Environments are loaded and links made.
    Gathering(Gathering),
    /// Everyone was ready.
    Playing,
    /// Everyone stands still, or will as soon as they hear of it.
    Paused(Box<Pause>),
}

#[derive(Debug)]
struct Pause {
    round: u32,
    reason: PauseReason,
    missing: SeatSet,
    /// How long it had lasted when the server that began it was killed.
    before: Duration,
    since: Timestamp,
    deadline: Timestamp,
    frame: Frame,
    /// Whose pages know nothing yet.
    forgetful: SeatSet,
    /// Everyone plays everything anew.
    rebuild: bool,
    /// Somebody has said that states differ: nobody is to go on from another's.
    differs: bool,
    reports: [Option<Report>; MAX_SEATS],
    asked: bool,
    cut: Option<Cut>,
    /// The last cut of this pause: whoever was told of it may have gone on from there, so that nothing of it is lost.
    held: Option<Cut>,
    successes: [Option<(Frame, StateHash)>; MAX_SEATS],
    /// How often a state was asked for.
    asked_for_state: usize,
}

/// Notes that a seat's newest incarnation begins at a frame. False when it has begun there already, or before: when a cut
/// was told and everyone lost their memory before it was durable, the next one is further back.
fn begin_at(fences: &mut Vec<(u8, Frame)>, newest: u8, frame: Frame) -> bool {
    match fences.last_mut() {
        Some((incarnation, from)) if *incarnation >= newest => {
            let earlier = frame < *from;
            *from = frame.min(*from);
            earlier
        }
        _ => {
            fences.push((newest, frame));
            true
        }
    }
}

/// Whether those who stay can play on without somebody. Where one has played to the end, everyone's inputs are with the
/// server to the last, and whoever is behind needs nobody else.
const fn can_go_on(on_player_lost: OnPlayerLost, has_finished: bool, staying: usize) -> bool {
    staying > 1 && matches!(on_player_lost, OnPlayerLost::Continue) || staying > 0 && has_finished
}

impl Pause {
    /// Whether there is nothing more to hear of what a seat holds.
    fn has_said(&self, seat: Seat) -> bool {
        self.forgetful.contains(seat) || self.reports[seat.index()].is_some()
    }

    fn length(&self, now: Timestamp) -> Duration {
        self.before + now.saturating_since(self.since)
    }
}

impl Game {
    pub(crate) fn new(
        start: GameStart,
        links: LinkRules,
        input_size: usize,
        scene: usize,
        seats: Vec<(VisitId, u64)>,
        now: Timestamp,
    ) -> Self {
        let deadline = now + Duration::from_millis(links.limit_millis.into());
        let phase = Phase::Gathering(Gathering::new(SeatSet::EMPTY, deadline));
        let (seats, pages): (Vec<_>, Vec<_>) = seats.into_iter().unzip();
        let present = Seat::all(seats.len() as u8).collect();
        let incarnations = vec![0; seats.len()];
        let fences = vec![Vec::new(); seats.len()];
        let closed = vec![None; seats.len()];
        Self {
            start: GameStart { incarnations, ..start },
            links,
            input_size,
            scene,
            seats,
            pages,
            fences,
            phase,
            left: SeatSet::EMPTY,
            finished: None,
            served: SeatSet::EMPTY,
            closed,
            present,
            hidden: SeatSet::EMPTY,
            all_away: None,
            pauses: 0,
            counted: 0,
            behind: None,
            paused: Duration::ZERO,
            resumed: 0,
            frame: 0,
            outputs: Vec::new(),
            changed: true,
        }
    }

    /// Tells everyone that it begins.
    pub(crate) fn begin(&mut self) {
        for seat in self.playing().iter() {
            self.tell_all_of_it(seat);
        }
    }

    /// The page load of a seat.
    pub(crate) fn page(&self, seat: Seat) -> u64 {
        self.pages[seat.index()]
    }

    /// Somebody has told of a frame; a game has no more than its rules say.
    pub(crate) fn tell_frame(&mut self, frame: Frame) -> Frame {
        let rules = &self.start.rules;
        let frame = frame.min(rules.max_frames.saturating_mul(rules.episodes));
        self.frame = self.frame.max(frame);
        frame
    }

    fn id(&self) -> GameId {
        self.start.game_id
    }

    /// What it wants done since this was asked last, in order.
    pub(crate) fn take_outputs(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.outputs)
    }

    /// Whether it must be written down before anything that it wants done is.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    pub(crate) fn count(&self) -> u8 {
        self.seats.len() as u8
    }

    pub(crate) fn seat_of(&self, visit: VisitId) -> Option<Seat> {
        Seat::all(self.count()).find(|seat| self.seats[seat.index()] == visit)
    }

    pub(crate) fn visit_at(&self, seat: Seat) -> Option<VisitId> {
        self.seats.get(seat.index()).copied()
    }

    pub(crate) fn has_left(&self, seat: Seat) -> bool {
        self.left.contains(seat)
    }

    /// The seats that are still in it.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = (Seat, VisitId)> + '_ {
        Seat::all(self.count())
            .filter(|&seat| !self.left.contains(seat))
            .map(|seat| (seat, self.seats[seat.index()]))
    }

    fn playing(&self) -> SeatSet {
        self.remaining().map(|(seat, _)| seat).collect()
    }

    /// What connections are made with.
    pub(crate) fn ice_servers(&self) -> &[IceServer] {
        &self.start.ice_servers
    }

    /// Whether it has not begun yet.
    pub(crate) const fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::Gathering(_))
    }

    /// Whether everyone plays.
    pub(crate) const fn is_playing(&self) -> bool {
        matches!(self.phase, Phase::Playing)
    }

    /// Whether the game stands still.
    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.phase, Phase::Paused(_))
    }

    /// When [`Game::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        match &self.phase {
            Phase::Gathering(gathering) => Some(gathering.poll_timeout()),
            Phase::Playing => {
                let behind = self.behind.map(|since| since + self.behind_limit());
                self.all_away.map(|since| since + ALL_AWAY).into_iter().chain(behind).min()
            }
            Phase::Paused(pause) => Some(pause.deadline),
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        if self.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        match &self.phase {
            Phase::Gathering(gathering) if gathering.is_late(now) => {
                // Whoever is away may be back with a better connection.
                let here = self.present.iter().filter(|seat| self.playing().contains(*seat)).collect();
                let (refused, open) = (gathering.refused(here, self.links), gathering.open(here, self.links));
                let late = open.into_iter().filter(|pair| !refused.contains(pair)).collect();
                self.cancel("time", refused, late);
            }
            Phase::Gathering(_) => self.cancel("away", Vec::new(), Vec::new()),
            Phase::Playing if self.behind.is_some_and(|since| now >= since + self.behind_limit()) => {
                self.outputs.push(Output::End(TerminationReason::PartnerLost, SeatSet::EMPTY));
            }
            Phase::Playing => self.pause(PauseReason::EveryoneGone, self.playing(), self.frame, now),
            Phase::Paused(_) => self.time_is_up(now),
        }
    }

    /// How long anybody may take to finish after another has.
    fn behind_limit(&self) -> Duration {
        LAST_RECORDS + Duration::from_millis(self.start.rules.pauses.timeout_millis.into())
    }

    /// Whoever was missing did not come back in time: that ends the game, or their part of it (P9).
    fn time_is_up(&mut self, now: Timestamp) {
        let (playing, present) = (self.playing(), self.present);
        let rules = self.start.rules;
        let has_finished = self.finished.is_some();
        let hidden = self.waits_for_hidden();
        let Phase::Paused(pause) = &mut self.phase else { return };
        // Who is here and has said what it holds waits for the others, whoever else does not hear it.
        let here = |seat: &Seat| present.contains(*seat) && pause.has_said(*seat);
        let stay: SeatSet = playing.iter().filter(here).collect();
        let gone: SeatSet = playing.iter().filter(|seat| !stay.contains(*seat)).collect();
        if gone.is_empty() && !hidden.is_empty() {
            // Nobody else is missing: they are taken out, one after another.
            return self.outputs.push(Output::HiddenForLong(hidden));
        }
        if gone.is_empty() || !can_go_on(rules.on_player_lost, has_finished, stay.len()) {
            return self.end_paused(TerminationReason::ReconnectTimeout);
        }
        // The others have as long again to agree without them.
        pause.deadline = now + Duration::from_millis(rules.pauses.timeout_millis.into());
        self.go_on_without(gone, TerminationReason::ReconnectTimeout, None);
    }

    /// Takes a seat out of the game for good. False when the others cannot play on without it (P9).
    pub(crate) fn take_out(
        &mut self,
        seat: Seat,
        (reason, exclusion): (TerminationReason, Option<ExclusionReason>),
        now: Timestamp,
    ) -> bool {
        let staying = self.playing().len().saturating_sub(1);
        let can_go_on = can_go_on(self.start.rules.on_player_lost, self.finished.is_some(), staying);
        if !can_go_on || self.left.contains(seat) || self.is_gathering() {
            return false;
        }
        let timeout = Duration::from_millis(self.start.rules.pauses.timeout_millis.into());
        match &mut self.phase {
            // The others have as long again to agree without it.
            Phase::Paused(pause) => pause.deadline = pause.deadline.max(now + timeout),
            _ => self.pause(PauseReason::PlayerLeft, SeatSet::EMPTY, self.frame, now),
        }
        self.go_on_without([seat].into_iter().collect(), reason, exclusion);
        true
    }

    /// Those who are paused agree without some.
    fn go_on_without(
        &mut self,
        gone: SeatSet,
        reason: TerminationReason,
        exclusion: Option<ExclusionReason>,
    ) {
        let Phase::Paused(pause) = &mut self.phase else { return };
        for seat in gone.iter() {
            pause.missing.remove(seat);
            pause.forgetful.remove(seat);
            self.left.insert(seat);
            self.closed[seat.index()] = Some(FRAME_LIMIT);
            self.outputs.push(Output::Drop(seat, reason, exclusion));
        }
        self.next_round();
        self.merge();
    }

    // Who is there.

    /// A seat's page has connected.
    pub(crate) fn handle_page(&mut self, seat: Seat, page: u64, now: Timestamp) {
        self.present.insert(seat);
        self.hidden.remove(seat);
        self.all_away = None;
        let all_here = self.playing().iter().all(|seat| self.present.contains(seat));
        if let Phase::Gathering(gathering) = &mut self.phase {
            gathering.away.take_if(|_| all_here);
        }
        let reloaded = self.pages[seat.index()] != page;
        if reloaded && !self.left.contains(seat) {
            self.pages[seat.index()] = page;
            self.changed = true;
            self.lose_memory(seat, now);
        } else if let Phase::Paused(pause) = &mut self.phase {
            pause.successes[seat.index()] = None;
        }
        self.tell_all_of_it(seat);
        self.look_at_links();
        self.merge();
    }

    /// A seat is not connected any more. That alone is no reason to stop: it may be heard all the same.
    pub(crate) fn handle_away(&mut self, seat: Seat, now: Timestamp) {
        self.present.remove(seat);
        self.hidden.remove(seat);
        if let Phase::Gathering(gathering) = &mut self.phase {
            gathering.away.get_or_insert(now);
        }
        if let Phase::Paused(pause) = &mut self.phase {
            pause.successes[seat.index()] = None;
            if !self.left.contains(seat) {
                pause.missing.insert(seat);
            }
            self.tell_pause();
        }
        self.look_for_anyone(now);
    }

    fn look_for_anyone(&mut self, now: Timestamp) {
        let anyone = self.remaining().any(|(seat, _)| self.present.contains(seat));
        if !anyone {
            self.all_away.get_or_insert(now);
        }
    }

    /// What whoever connects must know; a page that knows it already changes nothing.
    fn tell_all_of_it(&mut self, seat: Seat) {
        if self.left.contains(seat) {
            return;
        }
        let game_id = self.id();
        let start = GameStart { seat, begun: !self.is_gathering(), ..self.start.clone() };
        self.tell(seat, ServerMessage::GameStart(Box::new(start)));
        match &self.phase {
            Phase::Gathering(_) => {}
            Phase::Playing => {
                self.tell(seat, ServerMessage::GameGo { game_id });
                if self.pauses > 0 {
                    let (pause_id, frame) = (self.pauses, self.resumed);
                    self.tell(seat, ServerMessage::P2pResume { game_id, pause_id, frame, countdown_ms: 0 });
                }
            }
            Phase::Paused(pause) => {
                let cut = pause.cut.clone();
                if !pause.forgetful.contains(seat) {
                    self.tell(seat, ServerMessage::GameGo { game_id });
                }
                if let Some(notice) = self.notice() {
                    self.tell(seat, ServerMessage::P2pPause(notice));
                }
                if let Some(cut) = cut {
                    self.tell(seat, ServerMessage::P2pCut(cut));
                }
            }
        }
    }

    /// A page was loaded anew.
    fn lose_memory(&mut self, seat: Seat, now: Timestamp) {
        let incarnation = &mut self.start.incarnations[seat.index()];
        *incarnation += 1;
        let detail = json!({ "incarnation": *incarnation, "frame": self.frame });
        let worn_out = *incarnation >= MOST_INCARNATIONS;
        self.outputs.push(Output::Record(Some(seat), "reload", detail));
        if worn_out {
            return self.outputs.push(Output::End(TerminationReason::Server, SeatSet::EMPTY));
        }
        match &mut self.phase {
            Phase::Gathering(gathering) => {
                gathering.forget(seat);
                for other in self.playing().iter().filter(|&other| other != seat) {
                    self.tell_all_of_it(other);
                }
            }
            Phase::Playing => self.pause(PauseReason::Reload, [seat].into_iter().collect(), self.frame, now),
            Phase::Paused(_) => {}
        }
        if let Phase::Paused(pause) = &mut self.phase {
            pause.missing.insert(seat);
            pause.forgetful.insert(seat);
            self.next_round();
        }
    }

    /// A seat has played to the end, and gone on to the next scene.
    pub(crate) fn leave(&mut self, seat: Seat, frame: Frame, hash: StateHash, now: Timestamp) {
        let finished = *self.finished.get_or_insert((frame, hash));
        if finished != (frame, hash) {
            let detail = json!({ "frames": frame, "hash": hash, "others": finished });
            self.outputs.push(Output::Record(Some(seat), "finished_differently", detail));
        }
        self.left.insert(seat);
        self.tell_frame(frame);
        self.behind.get_or_insert(now);
        self.changed = true;
        if let Phase::Paused(pause) = &mut self.phase {
            pause.missing.remove(seat);
            self.tell_pause();
            self.merge();
            self.resume_if_equal(now);
        }
        self.look_for_anyone(now);
    }

    // The check of the links.

    /// A seat has measured its link to another.
    pub(crate) fn handle_link(&mut self, seat: Seat, peer: Seat, measured: Measured) {
        let Phase::Gathering(gathering) = &mut self.phase else { return };
        let Measured { lane, rtt_millis, is_final } = measured;
        if peer == seat || peer.index() >= self.seats.len() || !rtt_millis.is_finite() {
            return;
        }
        gathering.measure(seat, peer, measured);
        let detail = json!({ "peer": peer, "lane": lane, "rttMillis": rtt_millis, "final": is_final });
        self.outputs.push(Output::Record(Some(seat), "link_checked", detail));
        self.look_at_links();
    }

    /// Counts a seat ready.
    pub(crate) fn make_ready(&mut self, seat: Seat) {
        if let Phase::Gathering(gathering) = &mut self.phase {
            gathering.ready.insert(seat);
            self.look_at_links();
        }
    }

    fn look_at_links(&mut self) {
        let Phase::Gathering(gathering) = &self.phase else { return };
        match gathering.verdict(self.playing(), self.links) {
            Verdict::Wait => {}
            // Whoever is away may have left: with them begins no game.
            Verdict::Go if !self.playing().iter().all(|seat| self.present.contains(seat)) => {}
            Verdict::Go => {
                self.phase = Phase::Playing;
                self.changed = true;
                self.outputs.push(Output::Begin);
                self.tell_everyone(&ServerMessage::GameGo { game_id: self.id() });
            }
            Verdict::Fail(pairs) => self.cancel("slow", pairs, Vec::new()),
        }
    }

    fn cancel(&mut self, reason: &'static str, failed: Vec<(Seat, Seat)>, late: Vec<(Seat, Seat)>) {
        self.outputs.push(Output::Cancel(Cancelled { reason, failed, late }));
    }

    // Pauses.

    /// A seat hears nothing of a peer. What was said before a later pause began changes nothing (P3).
    pub(crate) fn handle_lost(
        &mut self,
        from: Seat,
        peer: Seat,
        frame: Frame,
        pause_id: u32,
        now: Timestamp,
    ) {
        let known = peer != from && peer.number() < self.count() && !self.left.contains(from);
        if !known || pause_id < self.pauses {
            return;
        }
        let frame = self.tell_frame(frame);
        match &mut self.phase {
            Phase::Gathering(_) => {}
            Phase::Playing if self.served.contains(peer) => {}
            Phase::Playing if self.left.contains(peer) => {
                self.pause(PauseReason::Finishing, SeatSet::EMPTY, frame, now);
            }
            Phase::Playing => {
                self.pause(PauseReason::ConnectionLost, [peer].into_iter().collect(), frame, now);
            }
            // Nobody waits for one who has left.
            Phase::Paused(_) if self.left.contains(peer) => {}
            Phase::Paused(pause) => {
                // Whatever the two have said before, they do not hear each other now.
                pause.successes[from.index()] = None;
                pause.successes[peer.index()] = None;
                if !pause.missing.contains(peer) {
                    pause.missing.insert(peer);
                    self.tell_pause();
                }
            }
        }
    }

    /// Two states that must be equal are not.
    pub(crate) fn handle_desync(&mut self, from: Seat, frame: Frame, now: Timestamp) {
        if self.left.contains(from) {
            return;
        }
        let frame = self.tell_frame(frame);
        match &mut self.phase {
            Phase::Gathering(_) => {}
            Phase::Playing => self.pause(PauseReason::Desync, SeatSet::EMPTY, frame, now),
            Phase::Paused(pause) => {
                self.changed |= !pause.differs;
                pause.differs = true;
            }
        }
    }

    fn pause(&mut self, reason: PauseReason, missing: SeatSet, frame: Frame, now: Timestamp) {
        let away = self.playing().iter().filter(|seat| !self.present.contains(*seat));
        let missing = away.chain(missing.iter()).collect::<SeatSet>();
        let rules = self.start.rules.pauses;
        let total = Duration::from_millis(rules.total_millis.into());
        let left = total.saturating_sub(self.paused);
        // Who only waits for what others have left behind has lost nobody.
        let counts = !matches!(reason, PauseReason::Finishing | PauseReason::PlayerLeft);
        if counts && (self.counted >= rules.most || left.is_zero()) {
            let detail = json!({ "reason": reason.name(), "missing": missing, "frame": frame });
            self.outputs.push(Output::Record(None, "p2p_pause_refused", detail));
            // Nobody was late where states differ.
            let differs = reason == PauseReason::Desync;
            let end = if differs { TerminationReason::Server } else { TerminationReason::ReconnectTimeout };
            let counts_hidden = reason == PauseReason::TabHidden;
            return self.outputs.push(match self.waits_for_hidden() {
                hidden if counts_hidden && !hidden.is_empty() => Output::HiddenForLong(hidden),
                _ => Output::End(end, missing),
            });
        }
        self.pauses += 1;
        self.counted += u32::from(counts);
        let left = if counts { left } else { Duration::MAX };
        self.changed = true;
        self.all_away = None;
        let detail = json!({
            "pauseId": self.pauses, "reason": reason.name(), "missing": missing.iter().collect::<Vec<_>>(),
            "pauseFrame": frame,
        });
        self.outputs.push(Output::Record(None, "p2p_pause", detail));
        self.phase = Phase::Paused(Box::new(Pause {
            round: 1,
            reason,
            missing,
            before: Duration::ZERO,
            since: now,
            deadline: now + left.min(Duration::from_millis(rules.timeout_millis.into())),
            frame,
            forgetful: SeatSet::EMPTY,
            rebuild: false,
            differs: reason == PauseReason::Desync,
            reports: Default::default(),
            asked: false,
            cut: None,
            held: None,
            successes: Default::default(),
            asked_for_state: 0,
        }));
        // A page that has lost its memory begins another round at once, and is told of that one.
        if reason != PauseReason::Reload {
            self.tell_pause();
        }
    }

    /// What was said in this pause does not hold any more.
    fn next_round(&mut self) {
        let Phase::Paused(pause) = &mut self.phase else { return };
        pause.round += 1;
        pause.reports = Default::default();
        pause.asked = false;
        pause.cut = None;
        pause.successes = Default::default();
        self.changed = true;
        self.tell_pause();
    }

    fn notice(&self) -> Option<PauseNotice> {
        let Phase::Paused(pause) = &self.phase else { return None };
        Some(PauseNotice {
            game_id: self.id(),
            pause_id: self.pauses,
            round: pause.round,
            missing: pause.missing,
            playing: self.playing(),
            reason: pause.reason,
            pause_frame: pause.frame,
            // The driver knows the time: it puts in what is left.
            remaining_ms: 0,
            incarnations: self.start.incarnations.clone(),
        })
    }

    fn tell_pause(&mut self) {
        if let Some(notice) = self.notice() {
            self.tell_everyone(&ServerMessage::P2pPause(notice));
        }
    }

    /// How long the pause may still last.
    pub(crate) fn remaining_time(&self, now: Timestamp) -> Duration {
        match &self.phase {
            Phase::Paused(pause) => pause.deadline.saturating_since(now),
            Phase::Gathering(_) | Phase::Playing => Duration::ZERO,
        }
    }

    /// What a seat holds of everyone's inputs.
    pub(crate) fn handle_report(
        &mut self,
        from: Seat,
        (pause_id, round): (u32, u32),
        confirmed: Frame,
        first: Frame,
        inputs: &[Hex],
    ) {
        let (pauses, size, count) = (self.pauses, self.input_size, self.seats.len());
        let Phase::Paused(pause) = &mut self.phase else { return };
        let current = (pauses, pause.round) == (pause_id, round) && !self.left.contains(from);
        if !current || pause.forgetful.contains(from) || pause.reports[from.index()].is_some() {
            return;
        }
        let Some(report) = Report::new(confirmed, first, inputs, count, size) else {
            self.outputs.push(Output::Record(Some(from), "report_refused", json!({ "first": first })));
            return;
        };
        pause.reports[from.index()] = Some(report);
        self.tell_frame(confirmed);
        self.merge();
    }

    /// Asks for the durable record's end once everyone is here and has reported.
    fn merge(&mut self) {
        let (playing, present) = (self.playing(), self.present);
        let Phase::Paused(pause) = &mut self.phase else { return };
        let told = |seat: Seat| present.contains(seat) && pause.has_said(seat);
        if pause.cut.is_none() && !pause.asked && !playing.is_empty() && playing.iter().all(told) {
            pause.asked = true;
            self.outputs.push(Output::AskHistory);
        }
    }

    /// The durable record's end: now everything is known that anybody holds.
    pub(crate) fn handle_history(&mut self, history: &History) {
        let (game_id, pause_id, size) = (self.id(), self.pauses, self.input_size);
        let incarnations = self.start.incarnations.clone();
        let playing = self.playing();
        let Phase::Paused(pause) = &mut self.phase else { return };
        if !core::mem::take(&mut pause.asked) || pause.cut.is_some() {
            return;
        }
        let merged = merge::merge(&pause.reports, pause.held.as_ref(), history, incarnations.len(), size);
        let (first, ends) = match merged {
            Ok(merged) => merged,
            Err(disagreement) => {
                let detail = json!({ "pauseId": pause_id, "disagreement": disagreement });
                self.outputs.push(Output::Record(None, "inputs_disagree", detail));
                return self.end_paused(TerminationReason::Server);
            }
        };
        let mut seats = Vec::new();
        for ((seat, inputs), incarnation) in Seat::all(self.seats.len() as u8).zip(ends).zip(incarnations) {
            let held = first + (inputs.len() / size.max(1)) as Frame;
            // Of one that is gone no more counts than was held when it was given up, and less when that is lost since.
            let closed = &mut self.closed[seat.index()];
            let cut_frame = closed.map_or(held, |from| from.min(held).max(first));
            *closed = closed.map(|from| from.min(cut_frame));
            let closed = *closed;
            let inputs = inputs[..(cut_frame - first) as usize * size].to_vec();
            let first_own_frame = closed.map_or(cut_frame, |_| FRAME_LIMIT);
            // What one that is gone has made since is void, as if another page had taken its place.
            let newest = if closed.is_some() { incarnation + 1 } else { incarnation };
            let fences = &mut self.fences[seat.index()];
            if (closed.is_some() || pause.forgetful.contains(seat)) && begin_at(fences, newest, cut_frame) {
                self.outputs.push(Output::Fence { seat, incarnation: newest, cut_frame });
            }
            seats.push(SeatCut {
                incarnation,
                fences: fences.clone(),
                cut_frame,
                fill_value: Hex(vec![0; size]),
                first_own_frame,
                inputs: Hex(inputs),
            });
        }
        let rebuild = if pause.rebuild { playing } else { pause.forgetful };
        let cut = Cut { game_id, pause_id, round: pause.round, first, seats, rebuild };
        pause.cut = Some(cut.clone());
        pause.held = Some(cut.clone());
        self.served = self.left;
        self.changed = true;
        self.tell_everyone(&ServerMessage::P2pCut(cut));
    }

    /// A page that has lost its memory would rather have somebody's state than play the game anew: one after another of
    /// those who hold it is asked for it (P5).
    pub(crate) fn handle_state_request(&mut self, from: Seat, (pause_id, round): (u32, u32)) {
        let (playing, present, pauses) = (self.playing(), self.present, self.pauses);
        let Phase::Paused(pause) = &mut self.phase else { return };
        let Some(cut) = &pause.cut else { return };
        if (pauses, pause.round) != (pause_id, round) || !cut.rebuild.contains(from) || pause.differs {
            return;
        }
        let holds = |seat: &Seat| present.contains(*seat) && !cut.rebuild.contains(*seat);
        let holders: Vec<_> = playing.iter().filter(holds).collect();
        let Some(&holder) = holders.get(pause.asked_for_state % holders.len().max(1)) else { return };
        pause.asked_for_state += 1;
        let game_id = self.id();
        self.tell(holder, ServerMessage::P2pStateWanted { game_id, pause_id, round });
    }

    /// A seat hears everyone, and has played what is known.
    pub(crate) fn handle_success(
        &mut self,
        from: Seat,
        (pause_id, round): (u32, u32),
        confirmed: Frame,
        hash: StateHash,
        now: Timestamp,
    ) {
        let pauses = self.pauses;
        let Phase::Paused(pause) = &mut self.phase else { return };
        if (pauses, pause.round) != (pause_id, round) || pause.cut.is_none() || self.left.contains(from) {
            return;
        }
        pause.successes[from.index()] = Some((confirmed, hash));
        // Who is there and is not looking stays missing.
        let came_back = pause.missing.contains(from) && !self.hidden.contains(from);
        if came_back {
            pause.missing.remove(from);
        }
        self.resume_if_equal(now);
        if came_back && self.is_paused() {
            self.tell_pause();
        }
    }

    fn resume_if_equal(&mut self, now: Timestamp) {
        let (playing, present) = (self.playing(), self.present);
        if !self.waits_for_hidden().is_empty() {
            return;
        }
        let Phase::Paused(pause) = &mut self.phase else { return };
        let said = |seat: Seat| pause.successes[seat.index()].filter(|_| present.contains(seat));
        let all: Option<Vec<_>> = playing.iter().map(said).collect();
        let Some(all) = all.filter(|all| !all.is_empty()) else { return };
        let (frame, hash) = all[0];
        let behind = self.finished.is_some_and(|(end, _)| all.iter().any(|&(other, _)| other < end));
        if behind || self.finished.is_none() && all.iter().any(|&(other, _)| other != frame) {
            // Whoever is behind will say more.
            return;
        }
        // Who has played to the end has agreed with everyone there was.
        let (frame, hash) = self.finished.unwrap_or((frame, hash));
        if all.iter().any(|&other| other != (frame, hash)) {
            return self.repair(frame, &all);
        }
        let length = pause.length(now);
        let detail = json!({
            "pauseId": self.pauses, "resumeFrame": frame, "durationMs": length.as_millis() as u64,
            "rounds": pause.round, "rebuilt": pause.cut.as_ref().map(|cut| cut.rebuild.iter().collect::<Vec<_>>()),
        });
        self.outputs.push(Output::Record(None, "p2p_resume", detail));
        self.paused += length;
        self.resumed = frame;
        self.phase = Phase::Playing;
        self.behind = self.finished.map(|_| now);
        self.changed = true;
        let (game_id, pause_id) = (self.id(), self.pauses);
        let countdown_ms = self.start.rules.pauses.countdown_millis;
        self.tell_everyone(&ServerMessage::P2pResume { game_id, pause_id, frame, countdown_ms });
    }

    /// States differ where they must be equal: everyone makes its own anew, once.
    fn repair(&mut self, frame: Frame, all: &[(Frame, StateHash)]) {
        let Phase::Paused(pause) = &mut self.phase else { return };
        let hashes: Vec<_> = all.iter().map(|(_, hash)| hash).collect();
        let detail = json!({ "pauseId": self.pauses, "frame": frame, "hashes": hashes });
        if core::mem::replace(&mut pause.rebuild, true) {
            self.outputs.push(Output::Record(None, "p2p_repair_failed", detail));
            return self.end_paused(TerminationReason::Server);
        }
        self.outputs.push(Output::Record(None, "p2p_repair", detail));
        self.next_round();
        // Where all have lost their memory in this pause, there is no report to wait for.
        self.merge();
    }

    fn end_paused(&mut self, reason: TerminationReason) {
        let Phase::Paused(pause) = &self.phase else { return };
        self.outputs.push(Output::End(reason, pause.missing));
    }

    /// What there is to write down of a pause that the game ends in.
    pub(crate) fn last_pause(&self, reason: TerminationReason, now: Timestamp) -> Option<serde_json::Value> {
        let Phase::Paused(pause) = &self.phase else { return None };
        Some(json!({
            "pauseId": self.pauses, "reason": reason.name(), "missing": pause.missing.iter().collect::<Vec<_>>(),
            "durationMs": pause.length(now).as_millis() as u64,
        }))
    }

    fn tell(&mut self, seat: Seat, message: ServerMessage) {
        self.outputs.push(Output::Tell(seat, message));
    }

    fn tell_everyone(&mut self, message: &ServerMessage) {
        for seat in self.playing().iter() {
            self.tell(seat, message.clone());
        }
    }
}
