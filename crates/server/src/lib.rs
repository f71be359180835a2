//! The `interplay` binary's parts: what is asynchronous, and what touches sockets and files.
//!
//! | module | subject |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`texts`] | what participants read, in the languages that are shipped |
//! | `doctor` | whether STUN and TURN work |
//! | [`experiment`] | reads experiment folders |
//! | [`serve`] | listens, until it is told to stop |
//! | `drain` | in which order connections are let go of then |
//! | `reload` | takes up changes of an experiment's folder |
//! | `bots` | scripted participants, with whom somebody tries a study alone |
//! | `accept`, `addresses` | connections, and how many an address may have |
//! | `routes` | HTTP, a file a resource |
//! | `media` | which pictures, sound and video texts may show |
//! | `page` | the participant's page, in the experiment's language |
//! | `socket` | one control WebSocket |
//! | `channel` | what a visit's page is told, until it has it |
//! | `lanes` | the server lane, past the stage |
//! | `stage` | the one task that owns the stager |
//! | `kit` | what the stage is begun with |
//! | `nodes` | one experiment on several nodes: who runs the stage, and how the others pass requests on |
//! | `completions` | tells a study's own server of visits that have ended |
//! | `rooms` | rooms on their own: messages that survive reconnection |
//! | `limits` | how much somebody may do |
//! | `turn` | STUN and TURN |
//! | `token` | who somebody is |
//! | `webhook` | tells and asks other people's servers |
//! | [`export`] | writes the tables |
//! | `forget`, `scrubber` | delete what there is of a person, and take it out of the files |

mod accept;
mod addresses;
mod assets;
mod bots;
mod channel;
pub mod cli;
mod completions;
mod doctor;
mod drain;
pub mod experiment;
pub mod export;
mod forget;
mod kit;
mod lanes;
mod limits;
mod media;
mod nodes;
mod page;
mod problem;
mod reload;
mod rooms;
mod routes;
mod scrubber;
pub mod serve;
mod socket;
mod stage;
mod telemetry;
pub mod texts;
mod token;
mod turn;
mod webhook;
