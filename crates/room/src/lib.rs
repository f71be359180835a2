//! The server's machines, pure: what happens to visits, lobbies and games.
//!
//! A [`Stager`] takes each visit through the experiment's scenes. It is the only authority on where a visit is
//! (S2): pages ask, and a late or repeated question changes nothing. Which way leads through the scenes is in [`plan`], who
//! gets which condition in [`conditions`]. A game scene has a [`lobby`]; a group that
//! is complete becomes a [`game`], whose seats leave it one by one as they finish, or all at once when it cannot
//! go on. Whatever happens, each visit reaches the end (P9).
//!
//! Nothing here has a clock, a socket or a file. Events come in with the time; what must be told, written or
//! closed comes out as [`Effect`]s. A driver writes down all that one event has led to in one commit, and tells
//! what is to be told after it, in order: so nobody is told what is not yet durable (C3).

mod agent;
mod check;
mod comprehension;
mod conditions;
mod effect;
mod exit;
mod experiment;
mod game;
mod guard;
mod lobby;
pub mod log;
mod monitor;
mod options;
mod plan;
pub mod replica;
mod screening;
mod stager;
mod variables;
mod visit;

pub use agent::{Agent, Browser, Device};
pub use check::{CheckAnswer, CheckId, CheckResult, CheckRule};
pub use comprehension::Comprehension;
pub use conditions::{Assignment, Condition, Counted, Unit};
pub use effect::{Effect, NewGame, SeatEnding};
pub use exit::{CONDITION, ENTRY_PARAMETERS, with_entry};
pub use experiment::{
    After, EndScene, Experiment, FormScene, GameScene, LobbyRules, SceneSpec, SceneSpecKind, button_text,
};
pub use game::{History, LinkRules, RequiredLane};
pub use guard::{Guard, Test, When};
pub use lobby::{MatchBy, Seating};
pub use monitor::{MonitorRules, OnHidden};
pub use options::Setting;
pub use plan::{Block, Turn};
pub use screening::{
    BrowserRule, Browsers, DeviceRule, FEWEST_PINGS, PingRule, Screened, Screening, ScreeningRule,
};
pub use stager::{Identity, Reason, Restored, Stager};
pub use variables::{names_in, texts_of};
pub use visit::{Outcome, Over, Progress};
