//! What is written into the store and read from it. Nothing that is read there is believed: somebody else may have
//! written it.

use base::WallTime;
use redis::Value;
use room::replica::{Entry, NodeId, Position, Refusal, Stored};
use wire::room::{Epoch, RoomId};

use crate::News;

/// What a room's publications are called. Their slot is the room's.
const CHANNEL: &str = "interplay:";

/// What begins a publication of entries: then come the epoch, the first version and the time, in 16 hex digits each,
/// and the entries.
const STORED: u8 = b'S';

/// What begins a publication that is kept nowhere: then come the node, in 16 hex digits, and the bytes.
const RELAYED: u8 = b'R';

/// Something is not as it is written here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it cannot be read")]
pub(crate) struct Garbled;

/// Entries, as the store has them. It does not look into them.
pub(crate) fn entries_to_bytes(entries: &[Entry]) -> Vec<u8> {
    postcard::to_stdvec(entries).expect("entries can be written")
}

fn entries_of_bytes(bytes: &[u8]) -> Result<Vec<Entry>, Garbled> {
    let (entries, rest) = postcard::take_from_bytes(bytes).map_err(|_| Garbled)?;
    if rest.is_empty() { Ok(entries) } else { Err(Garbled) }
}

/// What an append answers and publishes: its entries have versions without a hole, and one time.
pub(crate) fn stored(
    epoch: Epoch,
    first: u64,
    at: WallTime,
    entries: Vec<Entry>,
) -> Result<Vec<Stored>, Garbled> {
    // Versions never come near to their type's end.
    first.checked_add(entries.len() as u64).ok_or(Garbled)?;
    let stored = |(entry, version)| Stored { epoch, version, at, entry };
    Ok(entries.into_iter().zip(first..).map(stored).collect())
}

/// A room's channel.
pub(crate) fn channel(room: &RoomId) -> String {
    format!("{CHANNEL}{{{room}}}")
}

/// Whose channel it is.
pub(crate) fn room_of_channel(channel: &[u8]) -> Option<RoomId> {
    let channel = core::str::from_utf8(channel).ok()?;
    channel.strip_prefix(CHANNEL)?.strip_prefix('{')?.strip_suffix('}')?.parse().ok()
}

/// A publication that is kept nowhere.
pub(crate) fn relayed(from: NodeId, bytes: &[u8]) -> Vec<u8> {
    let mut publication = format!("{}{:016x}", char::from(RELAYED), from.0).into_bytes();
    publication.extend_from_slice(bytes);
    publication
}

/// Takes a number of 16 hex digits off the front.
fn take_number<'a>(bytes: &mut &'a [u8]) -> Result<u64, Garbled> {
    let (digits, rest): (&'a [u8], _) = bytes.split_at_checked(16).ok_or(Garbled)?;
    *bytes = rest;
    // The parser would take a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Garbled);
    }
    let digits = core::str::from_utf8(digits).map_err(|_| Garbled)?;
    u64::from_str_radix(digits, 16).map_err(|_| Garbled)
}

/// Reads a publication.
pub(crate) fn publication(room: RoomId, bytes: &[u8]) -> Result<News, Garbled> {
    let (kind, mut rest) = bytes.split_first().ok_or(Garbled)?;
    match *kind {
        STORED => {
            let epoch = Epoch(take_number(&mut rest)?);
            let first = take_number(&mut rest)?;
            let at = WallTime(take_number(&mut rest)?);
            let entries = stored(epoch, first, at, entries_of_bytes(rest)?)?;
            Ok(News::Stored { room, entries })
        }
        RELAYED => {
            let from = NodeId(take_number(&mut rest)?);
            Ok(News::Relayed { room, from, bytes: rest.to_vec() })
        }
        _ => Err(Garbled),
    }
}

/// The parts of an answer.
pub(crate) fn parts<const N: usize>(answer: Value) -> Result<[Value; N], Garbled> {
    let Value::Array(parts) = answer else { return Err(Garbled) };
    parts.try_into().map_err(|_| Garbled)
}

/// Bytes of an answer.
pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, Garbled> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Okay => Ok(b"OK".to_vec()),
        _ => Err(Garbled),
    }
}

/// A number of an answer.
pub(crate) fn number(value: Value) -> Result<u64, Garbled> {
    if let Value::Int(number) = value {
        return u64::try_from(number).map_err(|_| Garbled);
    }
    String::from_utf8(bytes(value)?).map_err(|_| Garbled)?.parse().map_err(|_| Garbled)
}

/// 16 hex digits of an answer.
pub(crate) fn hex(value: Value) -> Result<u64, Garbled> {
    let digits = bytes(value)?;
    let mut rest = digits.as_slice();
    let number = take_number(&mut rest)?;
    if rest.is_empty() { Ok(number) } else { Err(Garbled) }
}

/// What a script answers instead of what it was asked.
pub(crate) fn refusal(word: &[u8]) -> Option<Refusal> {
    match word {
        b"gone" => Some(Refusal::Gone),
        b"other" => Some(Refusal::OtherEpoch),
        b"behind" => Some(Refusal::Behind),
        b"compacted" => Some(Refusal::Compacted),
        _ => None,
    }
}

/// Everything after a position, of the log's records: each may begin before it. There is no hole in it, and it goes up
/// to the tip.
pub(crate) fn log_after(at: Position, tip: u64, log: Value) -> Result<Vec<Stored>, Garbled> {
    let Value::Array(records) = log else { return Err(Garbled) };
    let mut all = Vec::new();
    let mut next = at.version + 1;
    for record in records {
        let [_, fields] = parts(record)?;
        let [first_is, first, at_is, time, entries_is, entries] = parts(fields)?;
        let names = [bytes(first_is)?, bytes(at_is)?, bytes(entries_is)?];
        if names != [b"first".to_vec(), b"at".to_vec(), b"entries".to_vec()] {
            return Err(Garbled);
        }
        let time = WallTime(number(time)?);
        for stored in stored(at.epoch, number(first)?, time, entries_of_bytes(&bytes(entries)?)?)? {
            if stored.version > next {
                return Err(Garbled);
            }
            if stored.version == next {
                next += 1;
                all.push(stored);
            }
        }
    }
    if next - 1 == tip { Ok(all) } else { Err(Garbled) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use room::replica::{Command, EntryId, Origin};

    use super::*;

    fn room() -> RoomId {
        "a.b~c:d@e-f".parse().unwrap()
    }

    fn entry(counter: u64) -> Entry {
        let origin = Origin { node: NodeId(7), opening: 3 };
        Entry { id: EntryId { origin, counter }, command: Command::End }
    }

    fn published(epoch: u64, first: u64, at: u64, entries: &[Entry]) -> Vec<u8> {
        let mut bytes = format!("S{epoch:016x}{first:016x}{at:016x}").into_bytes();
        bytes.extend(entries_to_bytes(entries));
        bytes
    }

    #[test]
    fn a_publication_is_read_as_it_was_meant() {
        let bytes = published(u64::MAX, 5, 1_700_000_000_000, &[entry(1), entry(2)]);
        let entries = stored(Epoch(u64::MAX), 5, WallTime(1_700_000_000_000), vec![entry(1), entry(2)]);
        assert_eq!(publication(room(), &bytes), Ok(News::Stored { room: room(), entries: entries.unwrap() }));
        let relay = News::Relayed { room: room(), from: NodeId(9), bytes: b"\0x".to_vec() };
        assert_eq!(publication(room(), &relayed(NodeId(9), b"\0x")), Ok(relay));
    }

    #[test]
    fn a_channel_is_its_rooms() {
        assert_eq!(room_of_channel(channel(&room()).as_bytes()), Some(room()));
        assert_eq!(room_of_channel(b"interplay:{}"), None);
        assert_eq!(room_of_channel(b"interplay:{x"), None);
        assert_eq!(room_of_channel(b"\xff"), None);
    }

    fn record(first: u64, entries: &[Entry]) -> Value {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entries = Value::BulkString(entries_to_bytes(entries));
        let fields =
            vec![text("first"), text(&first.to_string()), text("at"), text("3"), text("entries"), entries];
        Value::Array(vec![text("id"), Value::Array(fields)])
    }

    #[test]
    fn a_log_with_a_hole_is_none() {
        let read = |version, tip, records| {
            let at = Position { epoch: Epoch(1), version };
            let all = log_after(at, tip, Value::Array(records));
            all.map(|all| all.into_iter().map(|stored| stored.version).collect::<Vec<_>>())
        };
        let (one, two) = ([entry(1)], [entry(1), entry(2)]);
        assert_eq!(read(0, 3, vec![record(1, &two), record(3, &one)]), Ok(vec![1, 2, 3]));
        // It may begin in the middle of a record.
        assert_eq!(read(1, 3, vec![record(1, &two), record(3, &one)]), Ok(vec![2, 3]));
        assert_eq!(read(3, 3, vec![]), Ok(vec![]));
        assert_eq!(read(0, 3, vec![record(1, &two)]), Err(Garbled));
        assert_eq!(read(0, 3, vec![record(1, &one), record(3, &one)]), Err(Garbled));
        assert_eq!(read(0, 1, vec![record(u64::MAX, &two)]), Err(Garbled));
    }

    proptest! {
        #[test]
        fn what_somebody_else_publishes_does_no_harm(mut bytes: Vec<u8>, kind in 0..3) {
            if let Some(first) = bytes.first_mut() {
                *first = [STORED, RELAYED, *first][kind as usize];
            }
            let _ = publication(room(), &bytes);
        }

        #[test]
        fn entries_that_were_garbled_do_no_harm(epoch: u64, first: u64, at: u64, at_byte: usize, bits: u8, rest: Vec<u8>) {
            let mut bytes = published(epoch, first, at, &[entry(1), entry(2), entry(3)]);
            let at_byte = at_byte % bytes.len();
            bytes[at_byte] ^= bits;
            let _ = publication(room(), &bytes);
            bytes.truncate(at_byte);
            bytes.extend(rest);
            let _ = publication(room(), &bytes);
        }

        #[test]
        fn a_log_that_was_garbled_does_no_harm(entries: Vec<u8>, first: u64, version: u32, tip: u64) {
            let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
            let fields = vec![text("first"), text(&first.to_string()), text("at"), text("3"), text("entries"), Value::BulkString(entries)];
            let log = Value::Array(vec![Value::Array(vec![text("id"), Value::Array(fields)])]);
            let at = Position { epoch: Epoch(1), version: version.into() };
            let _ = log_after(at, tip, log);
        }
    }
}
