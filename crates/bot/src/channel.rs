//! The control channel as a page has it: what is said is kept until the server has it, and what comes is acted on once
//! (R1, R10).

use core::time::Duration;
use std::collections::VecDeque;

use base::{Rng, Timestamp};
use wire::PROTOCOL_VERSION;
use wire::control::{ClientMessage, HEARTBEAT_MILLIS, ServerMessage, place_of, with_counter};

/// Waiting before coming back, as a page does.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// After so long without a word the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(5);

const BEAT: Duration = Duration::from_millis(HEARTBEAT_MILLIS);

/// What the channel wants done.
#[derive(PartialEq, Debug)]
pub(crate) enum Wish {
    Connect,
    Disconnect,
    Text(String),
}

/// What came, for whom it is for.
#[derive(PartialEq, Debug)]
pub(crate) enum Heard {
    /// Of no concern to anybody else.
    Nothing,
    Message(Box<ServerMessage>),
    /// The channel begins anew, with another server or after too long: what was said before may not be known any more.
    Anew,
}

#[derive(Debug)]
pub(crate) struct Channel {
    token: String,
    /// Tells this page load from others.
    page: u64,
    is_open: bool,
    is_welcome: bool,
    heard: Timestamp,
    beat_at: Timestamp,
    wait: Duration,
    epoch: String,
    sequence: u64,
    counter: u64,
    unsent: VecDeque<(u64, String)>,
    wishes: VecDeque<Wish>,
}

fn json(message: &ClientMessage) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

impl Channel {
    pub(crate) fn new(token: String, page: u64, now: Timestamp) -> Self {
        Self {
            token,
            page,
            is_open: false,
            is_welcome: false,
            heard: now,
            beat_at: now,
            wait: FIRST_WAIT,
            epoch: String::new(),
            sequence: 0,
            counter: 0,
            unsent: VecDeque::new(),
            wishes: VecDeque::from([Wish::Connect]),
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether the server knows who this is.
    pub(crate) const fn is_welcome(&self) -> bool {
        self.is_welcome
    }

    pub(crate) fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    pub(crate) const fn poll_timeout(&self) -> Timestamp {
        self.beat_at
    }

    /// A socket is open.
    pub(crate) fn opened(&mut self, now: Timestamp) {
        self.is_open = true;
        self.is_welcome = false;
        self.heard = now;
        self.beat_at = now + BEAT;
        let hello = ClientMessage::Hello {
            protocol: PROTOCOL_VERSION,
            token: self.token.clone(),
            page: self.page,
            epoch: self.epoch.clone(),
            sequence: self.sequence,
            texts: None,
        };
        self.wishes.push_back(Wish::Text(json(&hello)));
    }

    /// The socket is gone, or none came about.
    pub(crate) fn closed(&mut self, rng: &mut Rng, now: Timestamp) {
        self.is_open = false;
        self.is_welcome = false;
        self.beat_at = now + self.wait.mul_f64(1.0 - rng.unit() / 2.0);
        self.wait = (self.wait * 2).min(LAST_WAIT);
    }

    fn give_up(&mut self, rng: &mut Rng, now: Timestamp) {
        self.wishes.push_back(Wish::Disconnect);
        self.closed(rng, now);
    }

    pub(crate) fn handle_timeout(&mut self, rng: &mut Rng, now: Timestamp) {
        if now < self.beat_at {
            return;
        }
        self.beat_at = now + BEAT;
        if !self.is_open {
            // Where nothing comes of it, the driver says that it is closed.
            self.wishes.push_back(Wish::Connect);
        } else if now.saturating_since(self.heard) > SILENCE {
            self.give_up(rng, now);
        } else if self.is_welcome {
            let ping =
                ClientMessage::Ping { time: 0.0, sequence: self.sequence, rtt_millis: None, frame: None };
            self.wishes.push_back(Wish::Text(json(&ping)));
        }
    }

    /// Says something, once, however often the connection is lost.
    pub(crate) fn say(&mut self, message: &ClientMessage) {
        self.counter += 1;
        let text = with_counter(&json(message), self.counter);
        if self.is_welcome {
            self.wishes.push_back(Wish::Text(text.clone()));
        }
        self.unsent.push_back((self.counter, text));
    }

    pub(crate) fn hear(&mut self, text: &str, rng: &mut Rng, now: Timestamp) -> Heard {
        self.heard = now;
        let place = place_of(text);
        // What a newer server says beside is nothing for a bot.
        let Ok(message) = ServerMessage::from_json(text) else { return Heard::Nothing };
        match message {
            ServerMessage::Welcome { epoch, .. } => {
                self.is_welcome = true;
                self.wait = FIRST_WAIT;
                let is_another = self.epoch != epoch;
                if is_another {
                    self.epoch = epoch;
                    self.sequence = place.map_or(0, |(sequence, _)| sequence);
                }
                self.wishes.extend(self.unsent.iter().map(|(_, text)| Wish::Text(text.clone())));
                if is_another { Heard::Anew } else { Heard::Nothing }
            }
            ServerMessage::Pong { accepted, .. } => {
                self.unsent.retain(|&(n, _)| n > accepted);
                Heard::Nothing
            }
            message => {
                if let Some((sequence, prev)) = place {
                    if sequence <= self.sequence {
                        return Heard::Nothing;
                    }
                    if prev != self.sequence {
                        self.give_up(rng, now);
                        return Heard::Nothing;
                    }
                    self.sequence = sequence;
                }
                Heard::Message(Box::new(message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::control::with_place;

    fn ready() -> (Channel, Rng, Timestamp) {
        let (mut rng, now) = (Rng::from_seed(1), Timestamp::from_millis(10));
        let mut channel = Channel::new("t".into(), 1, now);
        channel.opened(now);
        let welcome = r#"{"type":"welcome","protocol":1,"participant":"00000000000000000000000000000001","visit":"00000000000000000000000000000002","heartbeatMillis":1000,"epoch":"e"}"#;
        assert_eq!(channel.hear(&with_place(welcome, 4, 4), &mut rng, now), Heard::Anew);
        while channel.poll_wish().is_some() {}
        (channel, rng, now)
    }

    #[test]
    fn what_the_server_has_not_accepted_is_said_again_and_only_that() {
        let (mut channel, mut rng, now) = ready();
        channel.say(&ClientMessage::LeaveStudy { delete: false });
        channel.say(&ClientMessage::RenewIce);
        channel.hear(r#"{"type":"pong","time":0.0,"accepted":1}"#, &mut rng, now);
        channel.closed(&mut rng, now);
        while channel.poll_wish().is_some() {}
        channel.opened(now);
        let welcome = r#"{"type":"welcome","protocol":1,"participant":"00000000000000000000000000000001","visit":"00000000000000000000000000000002","heartbeatMillis":1000,"epoch":"e"}"#;
        assert_eq!(channel.hear(&with_place(welcome, 4, 4), &mut rng, now), Heard::Nothing);
        let said: Vec<_> = std::iter::from_fn(|| channel.poll_wish()).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert_eq!(said[1], Wish::Text(r#"{"type":"renew_ice","n":2}"#.into()));
    }

    #[test]
    fn a_message_is_acted_on_once_and_one_that_is_missing_is_asked_for_by_coming_back() {
        let (mut channel, mut rng, now) = ready();
        let scene = r#"{"type":"terminate_scene","sceneId":"play"}"#;
        assert!(matches!(channel.hear(&with_place(scene, 5, 4), &mut rng, now), Heard::Message(_)));
        assert_eq!(channel.hear(&with_place(scene, 5, 4), &mut rng, now), Heard::Nothing);
        assert_eq!(channel.poll_wish(), None);
        assert_eq!(channel.hear(&with_place(scene, 8, 7), &mut rng, now), Heard::Nothing);
        assert_eq!(channel.poll_wish(), Some(Wish::Disconnect));
        assert!(!channel.is_welcome());
    }

    #[test]
    fn a_connection_on_which_nothing_comes_is_given_up_and_made_anew() {
        let (mut channel, mut rng, now) = ready();
        let mut wishes = Vec::new();
        let mut at = now;
        while at < now + Duration::from_secs(8) {
            at = channel.poll_timeout();
            channel.handle_timeout(&mut rng, at);
            wishes.extend(
                std::iter::from_fn(|| channel.poll_wish()).filter(|wish| !matches!(wish, Wish::Text(_))),
            );
        }
        assert_eq!(wishes[..2], [Wish::Disconnect, Wish::Connect]);
    }
}
