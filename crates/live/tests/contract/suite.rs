//! What `room::replica::store` says.

use room::replica::{Refusal, Stored, TAIL};

use crate::subject::{Subject, on_each_store};
use crate::support::{at, entries, entry, epoch, snapshot};

on_each_store!(
    of_two_that_open_at_once_one_begins,
    entries_get_versions_in_their_order,
    appends_of_two_nodes_interleave_without_holes,
    an_append_that_is_repeated_is_there_twice,
    what_cannot_be_gone_on_with_is_refused,
    compaction_keeps_a_tail,
    many_small_appends_are_compacted_alike,
    an_end_is_of_one_epoch,
);

fn versions(stored: &[Stored]) -> Vec<u64> {
    stored.iter().map(|stored| stored.version).collect()
}

async fn of_two_that_open_at_once_one_begins(Subject { one, other }: Subject) {
    let (ours, theirs) = (snapshot(epoch(1), 0), snapshot(epoch(2), 0));
    let (one, other) = tokio::join!(one.open((epoch(1), &ours)), other.open((epoch(2), &theirs)));
    assert_eq!(one, other);
    assert!(one.snapshot == ours || one.snapshot == theirs);
    assert!(one.entries.is_empty());
}

async fn entries_get_versions_in_their_order(Subject { one, other }: Subject) {
    let e = epoch(1);
    let fresh = snapshot(e, 0);
    one.open((e, &fresh)).await;
    assert_eq!(one.append(at(e, 0), &[]).await, Ok(vec![]));
    assert_eq!(one.read_after(at(e, 0)).await, Ok(vec![]));
    let first = one.append(at(e, 0), &entries(1, 1..=3)).await.unwrap();
    assert_eq!(versions(&first), [1, 2, 3]);
    assert!(first.iter().all(|stored| stored.epoch == e));
    assert!(first.iter().map(|stored| stored.entry.clone()).eq(entries(1, 1..=3)));
    // Who knows less may append.
    let second = other.append(at(e, 1), &entries(2, 1..=2)).await.unwrap();
    assert_eq!(versions(&second), [4, 5]);
    assert!(second[0].at >= first[2].at);
    let all = [first, second].concat();
    assert_eq!(other.open((epoch(2), &snapshot(epoch(2), 0))).await.entries, all);
    assert_eq!(one.open((e, &fresh)).await.snapshot, fresh);
    for known in 0..=5 {
        assert_eq!(other.read_after(at(e, known)).await.unwrap(), all[known as usize..]);
    }
}

async fn appends_of_two_nodes_interleave_without_holes(Subject { one, other }: Subject) {
    let e = epoch(1);
    one.open((e, &snapshot(e, 0))).await;
    let append = async |view: &crate::subject::View, node: u64| {
        let mut own = Vec::new();
        for turn in 0..40 {
            let known = own.last().map_or(0, |stored: &Stored| stored.version);
            let count = 1 + (turn + node) % 3;
            let counters = own.len() as u64 + 1..=own.len() as u64 + count;
            own.extend(view.append(at(e, known), &entries(node, counters)).await.unwrap());
        }
        own
    };
    let (ones, others) = tokio::join!(append(&one, 1), append(&other, 2));
    let mut all = [ones, others].concat();
    all.sort_by_key(|stored| stored.version);
    assert!(versions(&all).into_iter().eq(1..=all.len() as u64));
    assert!(all.is_sorted_by_key(|stored| stored.at));
    assert_eq!(one.read_after(at(e, 0)).await.unwrap(), all);
}

async fn an_append_that_is_repeated_is_there_twice(Subject { one, .. }: Subject) {
    let e = epoch(1);
    one.open((e, &snapshot(e, 0))).await;
    one.append(at(e, 0), &[entry(1, 1)]).await.unwrap();
    one.append(at(e, 0), &entries(1, 1..=2)).await.unwrap();
    let counters = one.read_after(at(e, 0)).await.unwrap().into_iter().map(|stored| stored.entry.id.counter);
    assert!(counters.eq([1, 1, 2]));
}

async fn what_cannot_be_gone_on_with_is_refused(Subject { one, other }: Subject) {
    let (e, wrong) = (epoch(1), epoch(2));
    let refuses = async |position, refusal| {
        assert_eq!(other.append(position, &[entry(2, 1)]).await, Err(refusal));
        assert_eq!(other.append(position, &[]).await, Err(refusal));
        assert_eq!(other.read_after(position).await, Err(refusal));
        assert_eq!(other.compact(position, snapshot(e, position.version)).await, Err(refusal));
    };
    refuses(at(e, 0), Refusal::Gone).await;
    one.open((e, &snapshot(e, 0))).await;
    one.append(at(e, 0), &entries(1, 1..=2)).await.unwrap();
    refuses(at(wrong, 0), Refusal::OtherEpoch).await;
    // Both are wrong: the epoch comes first.
    refuses(at(wrong, 9), Refusal::OtherEpoch).await;
    refuses(at(e, 3), Refusal::Behind).await;
    // Nothing of all that was done.
    assert_eq!(versions(&one.open((e, &snapshot(e, 0))).await.entries), [1, 2]);
}

async fn compaction_keeps_a_tail(Subject { one, other }: Subject) {
    let e = epoch(1);
    one.open((e, &snapshot(e, 0))).await;
    for turn in 0..6 {
        one.append(at(e, turn * 100), &entries(1, turn * 100 + 1..=turn * 100 + 100)).await.unwrap();
    }
    let stays = async |base: u64, version: u64| {
        assert_eq!(
            other.read_after(at(e, base)).await.map(|read| versions(&read)),
            Ok((base + 1..=600).collect())
        );
        if base > 0 {
            assert_eq!(other.read_after(at(e, base - 1)).await, Err(Refusal::Compacted));
        }
        let opened = other.open((epoch(2), &snapshot(epoch(2), 0))).await;
        assert_eq!(opened.snapshot, snapshot(e, version));
        assert!(versions(&opened.entries).into_iter().eq(version + 1..=600));
    };
    one.compact(at(e, 50), snapshot(e, 50)).await.unwrap();
    stays(0, 50).await;
    one.compact(at(e, 555), snapshot(e, 555)).await.unwrap();
    stays(555 - TAIL, 555).await;
    // Older ones change nothing.
    other.compact(at(e, 400), snapshot(e, 400)).await.unwrap();
    other.compact(at(e, 555), snapshot(e, 1)).await.unwrap();
    stays(555 - TAIL, 555).await;
    assert_eq!(one.compact(at(e, 601), snapshot(e, 601)).await, Err(Refusal::Behind));
    one.compact(at(e, 600), snapshot(e, 600)).await.unwrap();
    stays(600 - TAIL, 600).await;
    assert_eq!(versions(&one.append(at(e, 600), &[entry(1, 601)]).await.unwrap()), [601]);
}

async fn many_small_appends_are_compacted_alike(Subject { one, .. }: Subject) {
    let e = epoch(1);
    one.open((e, &snapshot(e, 0))).await;
    for version in 1..=TAIL + 2 {
        one.append(at(e, version - 1), &[entry(1, version)]).await.unwrap();
    }
    one.compact(at(e, TAIL + 1), snapshot(e, TAIL + 1)).await.unwrap();
    assert_eq!(one.read_after(at(e, 0)).await, Err(Refusal::Compacted));
    assert_eq!(versions(&one.read_after(at(e, 1)).await.unwrap()).first(), Some(&2));
}

async fn an_end_is_of_one_epoch(Subject { one, other }: Subject) {
    let (e, next) = (epoch(1), epoch(2));
    other.end(e).await;
    one.open((e, &snapshot(e, 0))).await;
    one.append(at(e, 0), &[entry(1, 1)]).await.unwrap();
    other.end(next).await;
    assert!(one.read_after(at(e, 0)).await.is_ok());
    other.end(e).await;
    assert_eq!(one.read_after(at(e, 0)).await, Err(Refusal::Gone));
    one.open((next, &snapshot(next, 0))).await;
    // However late or often it arrives.
    other.end(e).await;
    assert_eq!(one.read_after(at(e, 0)).await, Err(Refusal::OtherEpoch));
    assert_eq!(versions(&one.append(at(next, 0), &[entry(1, 1)]).await.unwrap()), [1]);
}
