//! A visit's control channel on the server, as `server::channel` keeps it: a real log with one member.

use base::{Timestamp, WallTime};
use room::log::{Bounds, Draft, Log, LogRules, Member};
use wire::control::{ServerMessage, with_place};
use wire::room::{Class, Epoch, Fence, MemberId, Payload, Resume, SenderId};

pub(super) struct Channel {
    log: Log,
    page: MemberId,
    pub(super) socket: Option<(Fence, usize)>,
    position: u64,
}

impl Channel {
    pub(super) fn begin(epoch: u64, now: Timestamp) -> Self {
        let usual = LogRules::default();
        let keep = Bounds { least: 0, ..usual.keep };
        let log = Log::new(Epoch(epoch), LogRules { keep, ..usual }, now);
        let page = "page".parse().expect("a name");
        Self { log, page, socket: None, position: 0 }
    }

    /// A socket takes over; gives back the one before it.
    pub(super) fn connect(
        &mut self,
        fence: Fence,
        socket: usize,
        page: u64,
        resume: Resume,
        now: Timestamp,
    ) -> Option<usize> {
        let sender: Option<SenderId> = page.to_string().parse().ok();
        if let Ok(joined) = self.log.join(&self.page, fence, Some(resume), None, sender.as_ref(), now) {
            self.position = joined.position;
        }
        self.socket.replace((fence, socket)).map(|(_, older)| older)
    }

    pub(super) fn disconnect(&mut self, socket: usize, now: Timestamp) -> bool {
        let Some((fence, _)) = self.socket.filter(|&(_, current)| current == socket) else { return false };
        self.log.drop(&self.page, fence, now);
        self.socket = None;
        true
    }

    /// Whether what a socket says counts.
    pub(super) fn hears(
        &mut self,
        socket: usize,
        n: Option<u64>,
        acknowledged: Option<u64>,
        now: Timestamp,
    ) -> bool {
        let Some((fence, _)) = self.socket.filter(|&(_, current)| current == socket) else { return false };
        if let Some(sequence) = acknowledged {
            self.log.acknowledge(&self.page, fence, sequence, now);
        }
        n.is_none_or(|n| self.log.hear(&self.page, fence, n, now) == Ok(true))
    }

    /// What goes out over the socket, in order.
    pub(super) fn send(&mut self, mut message: ServerMessage, now: Timestamp) -> Vec<String> {
        let mut texts = Vec::new();
        match &mut message {
            ServerMessage::Welcome { epoch, .. } => {
                *epoch = self.log.epoch().to_string();
                let json = serde_json::to_string(&message).expect("a message");
                texts.push(with_place(&json, self.position, self.position));
            }
            ServerMessage::Pong { accepted, .. } => {
                *accepted = self.log.member(&self.page).map_or(0, Member::accepted);
                texts.push(serde_json::to_string(&message).expect("a message"));
            }
            _ => {
                let json = serde_json::to_string(&message).expect("a message");
                let draft = Draft { to: None, class: Class::Keep, payload: Payload::Json(json.into()) };
                self.log.publish(draft, now, WallTime(0)).ok();
            }
        }
        let Some((fence, _)) = self.socket else { return Vec::new() };
        while let Ok(pulled) = self.log.pull(&self.page, fence, (64, 256 * 1024)) {
            if pulled.is_empty() {
                break;
            }
            for (prev, message) in pulled {
                if let Payload::Json(json) = &message.payload {
                    texts.push(with_place(json, message.sequence, prev));
                }
            }
        }
        texts
    }
}
