//! What a rollback costs natively, environment included, and what one mebibyte of state costs.
//!
//! Needs the built environments: `cargo xtask build`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use base::Input;
use criterion::{Criterion, criterion_group, criterion_main};
use host::{Module, NativeEnvironment, prepare};
use rollback::{Environment, Simulation};

/// The states of a whole prediction window, and one more.
const SLOTS: usize = 9;

fn environment(name: &str) -> NativeEnvironment {
    let folder = std::env::var_os("INTERPLAY_ENVIRONMENTS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/environments")),
        PathBuf::from,
    );
    let path = folder.join(name);
    let module = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build` first", path.display()));
    let prepared = prepare::prepare(&module).expect("it can be prepared");
    let module = Module::new(&prepared).expect("it can be compiled");
    NativeEnvironment::new(&module).expect("it can be instantiated")
}

/// Every direction at some time, dashes among them.
fn inputs(frame: u32, seats: u32) -> Vec<Input> {
    (0..seats).filter_map(|seat| Input::new(&[((frame / 7 + seat * 5) % 32) as u8])).collect()
}

fn rollback_of_tag(criterion: &mut Criterion) {
    for seats in [2, 8] {
        let mut tag = environment("tag.wasm");
        tag.reset(seats as u8, 0, 1).expect("it resets");
        for frame in 0..100 {
            tag.step(frame, &inputs(frame, seats)).expect("it steps");
        }
        tag.save(0);
        let frames: Vec<_> = (100..108).map(|frame| inputs(frame, seats)).collect();
        criterion.bench_function(&format!("rollback of 8 frames, tag, {seats} seats"), |bencher| {
            bencher.iter(|| {
                tag.load(0);
                for (slot, inputs) in (1..SLOTS).zip(&frames) {
                    black_box(tag.step(99 + slot as u32, inputs).expect("it steps"));
                    tag.save(slot);
                }
                black_box(tag.hash(SLOTS - 1))
            });
        });
    }
}

fn one_mebibyte(criterion: &mut Criterion) {
    // Its memory may grow to 1 MiB, which is what a state has.
    let mut environment = environment("allocating.wasm");
    environment.reset(2, 0, 1).expect("it resets");
    environment.save(0);
    assert_eq!(environment.state(0).len() / (1024 * 1024), 1, "a state has 1 MiB and the globals");
    criterion.bench_function("snapshot, restore and hash of 1 MiB", |bencher| {
        bencher.iter(|| {
            environment.save(0);
            environment.load(0);
            black_box(environment.hash(0))
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = rollback_of_tag, one_mebibyte
}
criterion_main!(benches);
