//! The record of play: every confirmed frame as this seat saw it, kept until the server says that it is durable
//! (D1).
//!
//! Memory holds what is not acknowledged, which a server that is away for the whole game makes the whole game:
//! some hundred bytes a frame, bounded by the game's length.

use core::time::Duration;
use std::collections::VecDeque;

use base::{Frame, Input, MAX_SEATS, Seat, SeatSet, Timestamp};
use rollback::Confirmed;
use wire::batch::{
    BatchAcknowledgement, EventRecord, FrameRecord, MAX_BATCH_EVENTS, PlayEvent, RecordBatch, incarnation_at,
};

/// The most frames sent in one batch: well below the codec's bound, so that a batch of eight seats with sixteen
/// bytes each stays under its size.
const BATCH_FRAMES: usize = 512;

/// How often a batch is cut while the game runs.
const BATCH_EVERY: Duration = Duration::from_secs(1);

/// How long the last frame of all may take to be drawn before it is sent as one that never was.
const LAST_DRAWING: Duration = Duration::from_millis(100);

/// Waiting times after a failed upload: doubling from the first to the last.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(8);

/// When a frame was simulated and shown, before it is confirmed.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    simulated: u32,
    shown: Option<u32>,
}

/// How far the record has got to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UploadStatus {
    /// Every confirmed frame before this one is durable on the server.
    pub acknowledged: Frame,
    /// How many confirmed frames are not yet.
    pub pending: usize,
}

/// Collects frames and events and cuts them into batches.
#[derive(Debug)]
pub(crate) struct Recorder {
    seats: u8,
    incarnation: u8,
    /// Each seat's incarnations after the first, with the frame that each begins at.
    fences: [Vec<(u8, Frame)>; MAX_SEATS],
    /// Frames before this one are others' to tell: this page was not there, or has told them.
    first: Frame,
    began: Timestamp,
    /// Of every frame from the first unconfirmed on.
    times: VecDeque<Times>,
    /// Confirmed and not acknowledged; the first is frame `acknowledged`.
    frames: VecDeque<FrameRecord>,
    acknowledged: Frame,
    events: VecDeque<EventRecord>,
    acknowledged_events: u32,
    finished: Option<Timestamp>,
    in_flight: bool,
    next_batch: Timestamp,
    retry: Duration,
}

impl Recorder {
    pub(crate) fn new(seats: u8, incarnation: u8, now: Timestamp) -> Self {
        Self {
            seats,
            incarnation,
            fences: Default::default(),
            first: 0,
            began: now,
            times: VecDeque::new(),
            frames: VecDeque::new(),
            acknowledged: 0,
            events: VecDeque::new(),
            acknowledged_events: 0,
            finished: None,
            in_flight: false,
            next_batch: now + BATCH_EVERY,
            retry: FIRST_RETRY,
        }
    }

    fn millis(&self, now: Timestamp) -> u32 {
        u32::try_from(now.saturating_since(self.began).as_millis()).unwrap_or(u32::MAX)
    }

    /// The game's clock starts: times are counted from here.
    pub(crate) fn begin(&mut self, now: Timestamp) {
        self.began = now;
    }

    /// The first frame that is not recorded.
    pub(crate) fn next(&self) -> Frame {
        self.acknowledged + self.frames.len() as Frame
    }

    /// Everything is played anew: what is recorded is not recorded again.
    pub(crate) fn replay(&mut self) {
        self.first = self.next();
        self.times.clear();
        self.finished = None;
    }

    /// This page's record begins here.
    pub(crate) fn begin_at(&mut self, frame: Frame) {
        self.first = frame;
        self.acknowledged = frame;
        self.frames.clear();
        self.times.clear();
        self.finished = None;
    }

    /// Where a seat's incarnations begin.
    pub(crate) fn set_fences(&mut self, seat: Seat, fences: &[(u8, Frame)]) {
        self.fences[seat.index()] = fences.to_vec();
    }

    /// The incarnations of a frame, and the first frame after it that may have others.
    pub(crate) fn incarnations_at(&self, frame: Frame) -> (Vec<u8>, Frame) {
        let at = |fences: &Vec<(u8, Frame)>| incarnation_at(fences.iter().copied(), frame);
        let later = self.fences.iter().flatten().map(|&(_, from)| from).filter(|&from| from > frame);
        (self.fences[..usize::from(self.seats)].iter().map(at).collect(), later.min().unwrap_or(Frame::MAX))
    }

    /// What is recorded need not wait for its time: the game stands still.
    pub(crate) fn hurry(&mut self, now: Timestamp) {
        if self.retry == FIRST_RETRY {
            self.next_batch = self.next_batch.min(now);
        }
    }

    /// A frame was simulated as the newest. An episode that ended sooner than predicted takes frames back; the
    /// next one's then have their numbers.
    pub(crate) fn simulated(&mut self, frame: Frame, now: Timestamp) {
        if frame < self.first {
            return;
        }
        let simulated = self.millis(now);
        self.times.truncate(frame.saturating_sub(self.next()) as usize);
        self.times.push_back(Times { simulated, shown: None });
    }

    /// The newest simulated frame was drawn.
    pub(crate) fn shown(&mut self, now: Timestamp) {
        if self.finished.is_some_and(|at| now >= at + LAST_DRAWING) {
            return;
        }
        let millis = self.millis(now);
        let shown = match self.times.back_mut() {
            Some(times) => &mut times.shown,
            // A frame may be confirmed as soon as it is simulated: then it waits among the confirmed ones.
            None => match self.frames.back_mut() {
                Some(frame) => &mut frame.shown_millis,
                None => return,
            },
        };
        shown.get_or_insert(millis);
    }

    /// The oldest unconfirmed frame is confirmed; some seats' inputs were filled in, because they are gone.
    pub(crate) fn confirm(&mut self, confirmed: &Confirmed, filled: SeatSet) {
        if confirmed.frame < self.first {
            return;
        }
        let times = self.times.pop_front().unwrap_or_default();
        let seats = usize::from(self.seats);
        self.frames.push_back(FrameRecord {
            inputs: confirmed.inputs[..seats].iter().flat_map(Input::as_bytes).copied().collect(),
            filled,
            hash: confirmed.hash,
            simulated_millis: times.simulated,
            shown_millis: times.shown,
            predicted: confirmed.predicted,
            rollback_depth: confirmed.rollback_depth,
        });
    }

    /// Something happened.
    pub(crate) fn event(&mut self, frame: Frame, now: Timestamp, event: PlayEvent) {
        let number = self.acknowledged_events.saturating_add(self.events.len() as u32);
        let millis = self.millis(now);
        self.events.push_back(EventRecord { number, frame, millis, event });
    }

    /// No frame comes any more; the rest is sent without waiting.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        self.finished = Some(now);
        self.times.clear();
    }

    /// Whether the server has everything.
    pub(crate) fn is_complete(&self) -> bool {
        self.finished.is_some() && self.frames.is_empty() && self.events.is_empty()
    }

    pub(crate) fn status(&self) -> UploadStatus {
        UploadStatus { acknowledged: self.acknowledged, pending: self.frames.len() }
    }

    /// When the next batch is due; `None` while one is under way or there is nothing to send.
    pub(crate) fn poll_timeout(&self) -> Option<Timestamp> {
        let waiting = self.frames.len() + self.events.len();
        if self.in_flight || waiting == 0 {
            return None;
        }
        let Some(finished) = self.finished else {
            return (waiting > self.undrawn()).then_some(self.next_batch);
        };
        let settled = if self.undrawn() == 0 { finished } else { finished + LAST_DRAWING };
        // After a failure even the last batch waits for its time.
        Some(if self.retry > FIRST_RETRY { settled.max(self.next_batch) } else { settled })
    }

    /// How many of the confirmed frames may yet be drawn for the first time: the newest, when it was confirmed as
    /// soon as it was simulated. What is sent never changes.
    fn undrawn(&self) -> usize {
        let newest = self.frames.back().filter(|_| self.times.is_empty());
        usize::from(newest.is_some_and(|frame| frame.shown_millis.is_none()))
    }

    /// The next batch, if one is due; then none until it is acknowledged or has failed.
    pub(crate) fn poll_batch(&mut self, now: Timestamp) -> Option<RecordBatch> {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return None;
        }
        self.in_flight = true;
        Some(self.cut(0, 0))
    }

    /// Everything that the server has not acknowledged and that will not change, for a page that goes away.
    pub(crate) fn pending(&self) -> Vec<RecordBatch> {
        let (mut frames, mut events, mut batches) = (0, 0, Vec::new());
        loop {
            let batch = self.cut(frames, events);
            if batch.frames.is_empty() && batch.events.is_empty() {
                return batches;
            }
            frames += batch.frames.len();
            events += batch.events.len();
            batches.push(batch);
        }
    }

    /// A batch of what comes after so many unacknowledged frames and events.
    fn cut(&self, frames: usize, events: usize) -> RecordBatch {
        let open = if self.finished.is_some() { 0 } else { self.undrawn() };
        let first = self.acknowledged + frames as Frame;
        let (incarnations, until) = self.incarnations_at(first);
        let settled = (self.frames.len() - open).saturating_sub(frames);
        let most = settled.min(BATCH_FRAMES).min((until - first) as usize);
        RecordBatch {
            incarnation: self.incarnation,
            incarnations,
            first,
            frames: self.frames.iter().skip(frames).take(most).cloned().collect(),
            events: self.events.iter().skip(events).take(MAX_BATCH_EVENTS).cloned().collect(),
        }
    }

    /// The server has made durable what it says. A claim of more than was recorded is cut down to that.
    pub(crate) fn acknowledged(&mut self, answer: BatchAcknowledgement, now: Timestamp) {
        let frames = (answer.durable_frame.saturating_sub(self.acknowledged) as usize).min(self.frames.len());
        self.frames.drain(..frames);
        self.acknowledged += frames as Frame;
        let events =
            (answer.durable_event.saturating_sub(self.acknowledged_events) as usize).min(self.events.len());
        self.events.drain(..events);
        self.acknowledged_events += events as u32;
        self.in_flight = false;
        self.retry = FIRST_RETRY;
        self.next_batch = now + BATCH_EVERY;
    }

    /// The upload did not come to an answer: the same frames are sent again after a while.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        self.in_flight = false;
        self.next_batch = now + self.retry;
        self.retry = (self.retry * 2).min(LAST_RETRY);
    }
}

#[cfg(test)]
mod tests {
    use base::StateHash;
    use rollback::StepOutcome;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn confirmed(frame: Frame) -> Confirmed {
        Confirmed {
            frame,
            inputs: [Input::none(1); MAX_SEATS],
            hash: StateHash(u64::from(frame)),
            outcome: StepOutcome::default(),
            predicted: SeatSet::EMPTY,
            rollback_depth: 0,
        }
    }

    fn recorded(frames: Frame) -> Recorder {
        let mut recorder = Recorder::new(2, 0, at(0));
        for frame in 0..frames {
            recorder.simulated(frame, at(u64::from(frame) * 33));
            recorder.confirm(&confirmed(frame), SeatSet::EMPTY);
        }
        recorder
    }

    fn acknowledge(recorder: &mut Recorder, frame: Frame, now: Timestamp) {
        recorder.acknowledged(BatchAcknowledgement { durable_frame: frame, durable_event: 0 }, now);
    }

    #[test]
    fn one_batch_is_under_way_at_a_time() {
        let mut recorder = recorded(30);
        assert_eq!(recorder.poll_batch(at(10)), None, "not yet a second");
        let batch = recorder.poll_batch(at(1000)).unwrap();
        assert_eq!((batch.first, batch.frames.len()), (0, 29));
        assert_eq!(recorder.poll_batch(at(5000)), None);
    }

    #[test]
    fn what_failed_is_sent_again_until_it_is_acknowledged() {
        let mut recorder = recorded(30);
        let first = recorder.poll_batch(at(1000)).unwrap();
        recorder.failed(at(1000));
        assert_eq!(recorder.poll_batch(at(1400)), None, "backing off");
        assert_eq!(recorder.poll_batch(at(1500)), Some(first));
        acknowledge(&mut recorder, 20, at(1600));
        assert_eq!(recorder.poll_batch(at(2600)).map(|batch| batch.first), Some(20));
    }

    #[test]
    fn an_acknowledgement_of_more_than_was_recorded_is_cut_down() {
        let mut recorder = recorded(10);
        recorder.poll_batch(at(1000));
        acknowledge(&mut recorder, 1_000_000, at(1000));
        assert_eq!(recorder.status(), UploadStatus { acknowledged: 10, pending: 0 });
    }

    #[test]
    fn the_end_is_sent_as_soon_as_the_last_frame_was_drawn_or_will_not_be() {
        let mut drawn = recorded(10);
        drawn.finish(at(400));
        assert_eq!(drawn.poll_batch(at(400)), None);
        drawn.shown(at(410));
        assert_eq!(drawn.poll_batch(at(410)).map(|batch| batch.frames.len()), Some(10));
        assert!(!drawn.is_complete());
        acknowledge(&mut drawn, 10, at(500));
        assert!(drawn.is_complete());

        let mut hidden = recorded(10);
        hidden.finish(at(400));
        assert_eq!(hidden.poll_timeout(), Some(at(500)));
        let batch = hidden.poll_batch(at(500)).unwrap();
        hidden.shown(at(510));
        hidden.failed(at(520));
        assert_eq!(hidden.poll_batch(at(2000)), Some(batch), "what was sent never changes");
    }

    #[test]
    fn a_single_frame_that_may_yet_be_drawn_wakes_nobody() {
        let mut recorder = recorded(1);
        assert_eq!(recorder.poll_timeout(), None);
        recorder.shown(at(20));
        assert_eq!(recorder.poll_timeout(), Some(at(1000)));
    }

    #[test]
    fn a_batch_ends_where_an_incarnation_does() {
        let mut recorder = recorded(30);
        let [zero, one] = [0, 1].map(|number| Seat::new(number).unwrap());
        recorder.set_fences(one, &[(1, 20)]);
        recorder.set_fences(zero, &[(1, 12), (3, 10)]);
        let mut batches = Vec::new();
        while let Some(batch) = recorder.poll_batch(at(20_000)) {
            acknowledge(&mut recorder, batch.first + batch.frames.len() as Frame, at(0));
            batches.push((batch.first, batch.incarnations));
        }
        assert_eq!(batches, [(0, vec![0, 0]), (10, vec![3, 0]), (12, vec![3, 0]), (20, vec![3, 1])]);
    }

    #[test]
    fn what_is_pending_is_all_that_is_not_acknowledged() {
        let mut recorder = recorded(1300);
        recorder.set_fences(Seat::new(1).unwrap(), &[(1, 600)]);
        recorder.event(0, at(0), PlayEvent::EpisodeBegan { episode: 0 });
        let under_way = recorder.poll_batch(at(50_000)).unwrap();
        let pending = recorder.pending();
        assert_eq!(pending[0], under_way);
        let shape: Vec<_> = pending.iter().map(|batch| (batch.first, batch.frames.len())).collect();
        assert_eq!(shape, [(0, 512), (512, 88), (600, 512), (1112, 187)], "the last frame may yet be drawn");
        assert_eq!(pending.iter().map(|batch| batch.events.len()).sum::<usize>(), 1);
    }

    #[test]
    fn a_page_that_came_later_records_what_it_has_seen() {
        let mut recorder = Recorder::new(2, 1, at(0));
        recorder.begin_at(50);
        for frame in 0..51 {
            recorder.simulated(frame, at(0));
            recorder.confirm(&confirmed(frame), SeatSet::EMPTY);
        }
        recorder.shown(at(6));
        let batch = recorder.poll_batch(at(1000)).unwrap();
        assert_eq!((batch.incarnation, batch.first, batch.frames.len()), (1, 50, 1));
        assert_eq!(batch.frames[0].hash, StateHash(50));
    }

    #[test]
    fn a_frame_that_was_confirmed_at_once_is_still_marked_as_shown() {
        let mut recorder = recorded(10);
        recorder.shown(at(700));
        recorder.shown(at(800));
        recorder.finish(at(850));
        let batch = recorder.poll_batch(at(900)).unwrap();
        assert_eq!(batch.frames[9].shown_millis, Some(700));
        assert_eq!(batch.frames[8].shown_millis, None);
    }
}
