//! The beginning: what kind of store it is, and whether it will do.

use redis::{Cmd, Value};

use crate::address::Address;
use crate::codec;
use crate::connection::{Connection, Connector};
use crate::error::ConnectError;
use crate::servers::Servers;
use crate::slots::SlotMap;
use crate::url::RedisUrl;

/// The oldest that will do: the first with sharded publication.
const OLDEST: u32 = 7;

/// Finds the servers of a store.
pub(crate) async fn connect(url: &RedisUrl) -> Result<Servers, ConnectError> {
    let shown = || url.to_string();
    let connector = Connector::new(url).map_err(|problem| ConnectError::Tls { url: shown(), problem })?;
    let mut problems = Vec::new();
    for seed in &url.seeds {
        match connector.connect(seed).await {
            Ok(connection) => return look(url, connector, &connection, seed).await,
            Err(problem) => problems.push(problem),
        }
    }
    Err(ConnectError::Unreachable { url: shown(), problem: problems.join("; ") })
}

async fn look(
    url: &RedisUrl,
    connector: Connector,
    connection: &Connection,
    seed: &Address,
) -> Result<Servers, ConnectError> {
    let unfit = |problem| ConnectError::Unfit { url: url.to_string(), problem };
    let server = tell(connection, redis::cmd("INFO").arg("server")).await.map_err(unfit)?;
    let found = field(&server, "redis_version").unwrap_or("of an unknown version").to_owned();
    let major = found.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < OLDEST) {
        return Err(ConnectError::TooOld { url: url.to_string(), found });
    }
    // As scripts will ask for it.
    let probe = "return redis.call('INFO', 'replication')";
    let replication = tell(connection, redis::cmd("EVAL").arg(probe).arg(0)).await.map_err(unfit)?;
    if field(&replication, "master_replid").is_none_or(|run| run.len() != 40) {
        return Err(unfit("it does not tell its master_replid in INFO replication".to_owned()));
    }
    let is_cluster = field(&server, "redis_mode") == Some("cluster");
    let map = if is_cluster {
        let ask = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
        let answer = connection.ask(&ask).await.map_err(|error| unfit(error.to_string()))?;
        SlotMap::of_answer(&answer, seed).ok_or_else(|| unfit("its servers have no slots yet".to_owned()))?
    } else {
        if field(&replication, "role") == Some("slave") {
            return Err(unfit("it is a replica: name the server that takes writes".to_owned()));
        }
        SlotMap::single(seed.clone())
    };
    if is_cluster && url.database != 0 {
        return Err(unfit("a cluster has no numbered databases".to_owned()));
    }
    if !is_cluster {
        let publish = redis::cmd("SPUBLISH").arg("interplay:{}").arg("").to_owned();
        connection.ask(&publish).await.map_err(|error| unfit(error.to_string()))?;
    }
    Ok(Servers::new(connector, url.seeds.clone(), map, is_cluster))
}

async fn tell(connection: &Connection, command: &Cmd) -> Result<String, String> {
    let answer = connection.ask(command).await.map_err(|error| error.to_string())?;
    let text = match answer {
        Value::VerbatimString { text, .. } => text.into_bytes(),
        answer => codec::bytes(answer).map_err(|error| error.to_string())?,
    };
    String::from_utf8(text).map_err(|error| error.to_string())
}

/// A field of what `INFO` answers.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
