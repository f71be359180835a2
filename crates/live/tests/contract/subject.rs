//! The stores that the suite holds for, each as two nodes see it.

use std::sync::{Arc, Mutex};

use live::Live;
use room::replica::{Entry, Opened, Position, Refusal, Store as _, Stored, TAIL};
use wire::room::{Epoch, RoomId};

use crate::model::Model;
use crate::support::cluster::Cluster;
use crate::support::server::Server;
use crate::support::{Node, TTL, room};

/// Makes each a test of its own on each of the stores.
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {
        mod model {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::subject::Subject::model()).await;
            })+
        }
        mod single {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::subject::Subject::single().await).await;
            })+
        }
        mod cluster {
            $(#[tokio::test]
            async fn $test() {
                super::$test(crate::subject::Subject::cluster().await).await;
            })+
        }
    };
}
pub(crate) use on_each_store;

/// One room of a store, as one node sees it.
#[derive(Clone)]
pub(crate) enum View {
    Model(Arc<Mutex<Model>>),
    Live { live: Live, room: RoomId },
}

/// One room of a store, as two nodes see it.
pub(crate) struct Subject {
    pub(crate) one: View,
    pub(crate) other: View,
}

impl Subject {
    pub(crate) fn model() -> Self {
        let model = Model::new(0, TTL.as_millis() as u64, TAIL, None);
        let one = View::Model(Arc::new(Mutex::new(model)));
        Self { other: one.clone(), one }
    }

    async fn live(url: &str) -> Self {
        let room = room();
        let view = async || View::Live { live: Node::of(url).await.live, room: room.clone() };
        Self { one: view().await, other: view().await }
    }

    pub(crate) async fn single() -> Self {
        Self::live(&Server::shared().url()).await
    }

    pub(crate) async fn cluster() -> Self {
        Self::live(&Cluster::shared().url()).await
    }
}

impl View {
    pub(crate) async fn open(&self, fresh: (Epoch, &[u8])) -> Opened {
        match self {
            Self::Model(model) => model.lock().unwrap().open(fresh),
            Self::Live { live, room } => live.open(room, fresh).await.unwrap(),
        }
    }

    pub(crate) async fn append(&self, at: Position, entries: &[Entry]) -> Result<Vec<Stored>, Refusal> {
        match self {
            Self::Model(model) => model.lock().unwrap().append(at, entries),
            Self::Live { live, room } => live.append(room, at, entries).await.unwrap(),
        }
    }

    pub(crate) async fn read_after(&self, at: Position) -> Result<Vec<Stored>, Refusal> {
        match self {
            Self::Model(model) => model.lock().unwrap().read_after(at),
            Self::Live { live, room } => live.read_after(room, at).await.unwrap(),
        }
    }

    pub(crate) async fn compact(&self, at: Position, snapshot: Vec<u8>) -> Result<(), Refusal> {
        match self {
            Self::Model(model) => model.lock().unwrap().compact(at, snapshot),
            Self::Live { live, room } => live.compact(room, at, &snapshot).await.unwrap(),
        }
    }

    pub(crate) async fn end(&self, epoch: Epoch) {
        match self {
            Self::Model(model) => model.lock().unwrap().end(epoch),
            Self::Live { live, room } => live.end(room, epoch).await.unwrap(),
        }
    }
}
