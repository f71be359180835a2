//! A packet of a game at 30 frames a second with 100 ms of delay: eight frames of inputs, an echo and a hash.

use core::hint::black_box;
use core::time::Duration;

use base::{Seat, StateHash};
use criterion::{Criterion, criterion_group, criterion_main};
use wire::packet::{Echo, Inputs, MAX_PACKET_BYTES, Packet};

fn packet() -> Packet {
    let mut inputs = Inputs::new();
    inputs.extend_from_slice(&[1, 0, 1, 0, 3, 0, 3, 0, 2, 0, 2, 0, 2, 0, 0, 0]).expect("they fit");
    Packet {
        epoch: 0x1234_5678,
        seat: Seat::new(1).expect("a seat"),
        incarnation: 0,
        sequence: 1000,
        echo: Some(Echo { sequence: 998, held_micros: 12_345 }),
        silent: false,
        frame: 1200,
        advantage: -1,
        acknowledged: 1195,
        first: 1196,
        inputs,
        hash: Some((1190, StateHash(0x0123_4567_89ab_cdef))),
    }
}

fn codec(criterion: &mut Criterion) {
    let packet = packet();
    let mut buffer = [0; MAX_PACKET_BYTES];
    let bytes = packet.encode(&mut buffer).expect("it fits").to_vec();
    println!("{} bytes", bytes.len());
    criterion.bench_function("packet: encode", |bencher| {
        bencher.iter(|| black_box(&packet).encode(&mut buffer).map(<[u8]>::len));
    });
    criterion.bench_function("packet: decode", |bencher| {
        bencher.iter(|| Packet::decode(black_box(&bytes), 2));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = codec
}
criterion_main!(benches);
