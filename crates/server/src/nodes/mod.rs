//! An experiment on several nodes (C1): one database, any load balancer, no stickiness.
//!
//! One node at a time runs the *stage*: the stager, its lanes, uploads, everything of participants. The others answer what needs no
//! stage themselves (the page, environments, pictures, rooms, health) and pass everything else on to that node, requests and
//! WebSockets alike. So the server lane of a game is on one node, past the database; and a node that dies is a server that is
//! killed and started again (P6), only that another one is started, and sooner.
//!
//! | module | subject |
//! | --- | --- |
//! | `hold` | takes the stage when it is free, and gives it up when it is taken or this node stops |
//! | `pass_on` | from node to node: requests, and sockets |
//! | `token` | by which nodes know each other |
//!
//! Who has the stage is decided by the database: `store::Store::take_stage` and `store::Lookout` say how.

mod hold;
mod pass_on;
mod token;

use core::fmt;
use core::str::FromStr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::RETRY_AFTER;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use metrics::{counter, gauge};
use store::Lookout;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

pub(crate) use hold::run;
use pass_on::{PassOn, Passed};
pub(crate) use token::NodeToken;

use crate::problem::Problem;
use crate::routes::App;

/// How long a request waits for a node that runs the stage: longer than one takes to take over, and shorter than anybody waits
/// for a page.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before a node is tried again that takes no connection.
const AGAIN: Duration = Duration::from_millis(100);

/// How lately the database must have been heard by a node that is ready, and how fast the node with the stage must answer it.
const HEARD: Duration = Duration::from_secs(5);

/// The address under which other nodes reach this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeAddress {
    /// Host and port.
    authority: Arc<str>,
}

impl NodeAddress {
    /// Its host, as in a URL.
    pub(crate) fn host(&self) -> &str {
        self.authority.rsplit_once(':').map_or(&self.authority, |(host, _)| host)
    }
}

impl FromStr for NodeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must be like http://10.0.0.2:8080".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let is_plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let authority = authority.filter(|_| is_plain).ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(80);
        Ok(Self { authority: format!("{}:{port}", authority.host()).into() })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

/// Who runs the stage, as far as this node knows.
#[derive(Clone)]
enum Role {
    /// This node does.
    Own(Router),
    /// Another does, which took it as the so manieth.
    Other(i64, Arc<str>),
    /// Nobody does: one is about to take it.
    Nobody,
}

impl Role {
    /// Whether another node's turn is meant by both.
    fn is_turn(&self, number: i64) -> bool {
        matches!(self, Self::Other(other, _) if *other == number)
    }
}

/// This node among others.
#[derive(Clone)]
pub(crate) struct Nodes {
    inner: Arc<Inner>,
}

struct Inner {
    /// Names this process.
    id: String,
    token: NodeToken,
    role: watch::Sender<Role>,
    pass_on: PassOn,
    /// Every request that is being answered here has a receiver.
    answering: watch::Sender<()>,
    /// Whether this node is to stop.
    stops: watch::Sender<bool>,
    /// Whether it has the stage, or is about to.
    holds: watch::Sender<bool>,
    lookout: Lookout,
}

impl Nodes {
    pub(crate) fn new(id: String, token: NodeToken, lookout: Lookout) -> Self {
        gauge!("interplay_stage_owner").set(0.0);
        let inner = Inner {
            id,
            pass_on: PassOn::new(token.clone()),
            token,
            role: watch::Sender::new(Role::Nobody),
            answering: watch::Sender::new(()),
            stops: watch::Sender::new(false),
            holds: watch::Sender::new(false),
            lookout,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes the stage no more, and gives it up; answers when another node can take it.
    pub(crate) async fn stop(&self) {
        self.inner.stops.send_replace(true);
        self.inner.holds.subscribe().wait_for(|holds| !holds).await.ok();
    }

    /// Whether this node can answer participants, or knows who can.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) async fn ready(&self) -> Result<(), Problem> {
        let not = |detail: String| {
            tracing::warn!(detail, "not ready");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
        };
        if self.inner.lookout.sight().heard.is_none_or(|heard| heard.elapsed() > HEARD) {
            return not("the database does not answer".to_owned());
        }
        let role = self.inner.role.borrow().clone();
        match role {
            Role::Own(_) => Ok(()),
            Role::Nobody => not("no node runs the stage at the moment".to_owned()),
            Role::Other(_, address) => match timeout(HEARD, self.inner.pass_on.is_alive(&address)).await {
                Ok(true) => Ok(()),
                _ => not(format!("{address}, which runs the stage, does not answer")),
            },
        }
    }

    /// Whether this node has the stage, or is about to.
    fn may_have_it(&self) -> bool {
        *self.inner.holds.borrow() && !*self.inner.stops.borrow()
    }

    fn set_role(&self, role: Role) {
        self.inner.role.send_if_modified(|before| {
            let is_same = match (&*before, &role) {
                (Role::Own(_), Role::Own(_)) | (Role::Nobody, Role::Nobody) => true,
                (Role::Other(one, _), other) => other.is_turn(*one),
                _ => false,
            };
            if !is_same {
                match &role {
                    Role::Own(_) => tracing::info!("this node runs the stage"),
                    Role::Other(_, address) => tracing::info!(%address, "another node runs the stage"),
                    Role::Nobody => tracing::info!("no node runs the stage"),
                }
                gauge!("interplay_stage_owner").set(f64::from(u8::from(matches!(role, Role::Own(_)))));
                *before = role;
            }
            !is_same
        });
    }

    /// Answers what needs the stage, here or on the node that runs it.
    pub(crate) async fn answered(&self, app: &App, peer: SocketAddr, mut request: Request) -> Response {
        let until = Instant::now() + PATIENCE;
        let mut role = self.inner.role.subscribe();
        // It comes from another node: it was passed on once, and is not again.
        let was_passed_on = self.inner.token.is_in(request.headers());
        loop {
            let now = role.borrow_and_update().clone();
            let wait = match now {
                Role::Own(router) => {
                    let _answering = self.inner.answering.subscribe();
                    return match TowerToHyperService::new(router).call(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    };
                }
                Role::Other(number, address) if !was_passed_on => {
                    match pass_on::pass_on((self, app), (number, &address), peer, request).await {
                        Passed::Answered(response) => return response,
                        Passed::Lost => return unavailable(),
                        Passed::NotSent(again) => request = *again,
                    }
                    AGAIN
                }
                // Passed on to one that has it no more: it is to be passed on to another, and not from here.
                Role::Other(..) | Role::Nobody if was_passed_on && !self.may_have_it() => {
                    return StatusCode::MISDIRECTED_REQUEST.into_response();
                }
                Role::Other(..) | Role::Nobody => PATIENCE,
            };
            let changed = timeout_at(until.min(Instant::now() + wait), role.changed()).await;
            if changed.is_err() && Instant::now() >= until {
                return unavailable();
            }
        }
    }
}

/// Whoever asks again in a moment finds the next node.
fn unavailable() -> Response {
    counter!("interplay_refusals_total", "reason" => "no_stage").increment(1);
    let detail = "no node runs the experiment at the moment; ask again in a second";
    ([(RETRY_AFTER, "1")], Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_address_is_a_plain_one() {
        let read = |text: &str| text.parse::<NodeAddress>().map(|address| address.to_string());
        assert_eq!(read("http://10.0.0.2:8080").as_deref(), Ok("10.0.0.2:8080"));
        assert_eq!(read("http://a.example/").as_deref(), Ok("a.example:80"));
        assert_eq!(read("http://[::1]:81").as_deref(), Ok("[::1]:81"));
        for wrong in ["https://a", "a:80", "http://a/b", "http://me@a", "http://a/?b", "", "http://"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!("http://[::1]:81".parse::<NodeAddress>().unwrap().host(), "[::1]");
    }
}
