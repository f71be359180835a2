//! What preparing does to a module's code, seen from outside.

use host::prepare::{
    DEFAULT_GROWTH_PAGES, FAULT_OUT_OF_FUEL, FAULT_TOO_DEEP, FUEL, MAX_STACK_SLOTS, prepare,
};

use crate::support::{Bare, PAGE, built, module};

#[test]
fn the_memory_has_its_full_size_and_growing_counts_pages() {
    let grow = "local.get $frame memory.grow i32.const 100 i32.mul memory.size i32.add";
    let mut bare = Bare::new("1 3", "", grow);
    assert_eq!(bare.memory_bytes(), 4 * PAGE, "three and the runner's");
    let before = bare.save();
    assert_eq!(bare.step(1), Ok(102));
    assert_eq!(bare.step(2), Ok(-98), "beyond the declared maximum");
    assert_eq!(bare.step(-1), Ok(-98), "2³² - 1 pages");
    assert_eq!(bare.step(1), Ok(203));
    assert_eq!(bare.memory_bytes(), 4 * PAGE);
    bare.load(&before);
    assert_eq!(bare.step(0), Ok(101), "the count is part of the state");
}

#[test]
fn a_memory_without_a_maximum_may_grow_by_the_default() {
    let mut bare = Bare::new("2", "", "local.get $frame memory.grow");
    let most = DEFAULT_GROWTH_PAGES as i32;
    assert_eq!(bare.step(most + 1), Ok(-1));
    assert_eq!(bare.step(most), Ok(2));
}

#[test]
fn every_kind_of_global_is_saved_bit_by_bit() {
    let globals = "
        (global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2)) (global $c (mut f32) (f32.const 3))
        (global $d (mut f64) (f64.const 4)) (global $e (mut v128) (v128.const i64x2 5 6)) (global $f i32 (i32.const 7))";
    // Frame 1 changes them all, to signalling NaNs where there are floats; frame 0 asks whether they are changed.
    let step = "
        (if (local.get $frame) (then
            (global.set $a (i32.const -1)) (global.set $b (i64.const -1))
            (global.set $c (f32.const -nan:0x200001)) (global.set $d (f64.const nan:0x4000000000001))
            (global.set $e (v128.const i64x2 -1 0x7ff4000000000001))))
        (i32.and (i32.eq (global.get $a) (i32.const -1))
        (i32.and (i64.eq (global.get $b) (i64.const -1))
        (i32.and (i32.eq (i32.reinterpret_f32 (global.get $c)) (i32.const 0xffa00001))
        (i32.and (i64.eq (i64.reinterpret_f64 (global.get $d)) (i64.const 0x7ff4000000000001))
                 (i64.eq (i64x2.extract_lane 1 (global.get $e)) (i64.const 0x7ff4000000000001))))))";
    let mut bare = Bare::new("1", globals, step);
    let before = bare.save();
    assert_eq!(bare.step(1), Ok(1));
    let after = bare.save();
    bare.load(&before);
    assert_eq!(bare.step(0), Ok(0));
    assert_eq!(bare.save(), before);
    bare.load(&after);
    assert_eq!(bare.step(0), Ok(1));
    assert_eq!(bare.save(), after);
    assert_eq!(after.len(), 17 * PAGE + 6 * 16, "five globals and the page counter");
}

#[test]
fn what_an_environment_reads_does_not_depend_on_when_it_was_saved() {
    // The last page, where globals are saved: frame 1 writes at its end, others read its start and its end.
    let step = "
        (if (local.get $frame) (then (i32.store (i32.const 131068) (i32.const 5))))
        (i32.add (i32.load (i32.const 65536)) (i32.load (i32.const 131068)))";
    let mut bare = Bare::new("1 1", "(global (mut i32) (i32.const 77))", step);
    assert_eq!(bare.step(0), Ok(0));
    let state = bare.save();
    assert_eq!(bare.step(0), Ok(0));
    assert_eq!(bare.step(1), Ok(5), "within a call it is memory like any other");
    assert_eq!(bare.step(0), Ok(0));
    bare.load(&state);
    assert_eq!(bare.step(0), Ok(0));
}

#[test]
fn scalar_operations_give_the_canonical_nan() {
    let payload = ["(f32.const -nan:0x200001)", "(f64.const -nan:0x4000000000001)"];
    let operations = "add 2, sub 2, mul 2, div 2, min 2, max 2, sqrt 1, ceil 1, floor 1, trunc 1, nearest 1";
    for (ty, nan, bits, canonical) in [
        ("f32", payload[0], "i32.reinterpret_f32", "(i32.eq (i32.const 0x7fc00000))"),
        ("f64", payload[1], "i64.reinterpret_f64", "(i64.eq (i64.const 0x7ff8000000000000))"),
    ] {
        let canonical = canonical.trim_matches(['(', ')']);
        let (equal, expected) = canonical.split_once(" (").unwrap();
        for operation in operations.split(", ") {
            let (name, operands) = operation.split_once(' ').unwrap();
            let one = format!("({ty}.const 1)");
            let all = match operands {
                "1" => vec![nan.to_owned()],
                _ => vec![format!("{nan} {one}"), format!("{one} {nan}"), format!("{nan} {nan}")],
            };
            for operands in all {
                let step = format!("({equal} ({bits} ({ty}.{name} {operands})) ({expected}))");
                assert_eq!(Bare::new("1", "", &step).step(0), Ok(1), "{step}");
            }
        }
    }
    for step in [
        "(i32.eq (i32.reinterpret_f32 (f32.demote_f64 (f64.const -nan:0x4000000000001))) (i32.const 0x7fc00000))",
        "(i64.eq (i64.reinterpret_f64 (f64.promote_f32 (f32.const -nan:0x200001))) (i64.const 0x7ff8000000000000))",
        "(i32.eq (i32.reinterpret_f32 (f32.sqrt (f32.const -1))) (i32.const 0x7fc00000))",
        "(i32.eq (i32.reinterpret_f32 (f32.sub (f32.const inf) (f32.const inf))) (i32.const 0x7fc00000))",
    ] {
        assert_eq!(Bare::new("1", "", step).step(0), Ok(1), "{step}");
    }
}

#[test]
fn vector_operations_give_the_canonical_nan_in_each_lane() {
    let single = "(v128.const i32x4 0xffa00001 0x3f800000 0x7fa00001 0x40000000)";
    let double = "(v128.const i64x2 0xfff4000000000001 0x3ff0000000000000)";
    for (shape, nan, lane, canonical) in [
        ("f32x4", single, "i32x4.extract_lane", "(i32.const 0x7fc00000)"),
        ("f64x2", double, "i64x2.extract_lane", "(i64.const 0x7ff8000000000000)"),
    ] {
        let ty = &lane[..3];
        for (name, operands) in [
            ("add", 2),
            ("sub", 2),
            ("mul", 2),
            ("div", 2),
            ("min", 2),
            ("max", 2),
            ("sqrt", 1),
            ("ceil", 1),
            ("floor", 1),
            ("trunc", 1),
            ("nearest", 1),
        ] {
            let operands = nan.repeat(operands);
            let step = format!(
                "(local $v v128) (local.set $v ({shape}.{name} {operands}))
                (i32.and ({ty}.eq ({lane} 0 (local.get $v)) {canonical})
                    ({ty}.ne ({lane} 1 (local.get $v)) {canonical}))"
            );
            assert_eq!(Bare::new("1", "", &step).step(0), Ok(1), "{step}");
        }
    }
    for step in [
        "(i64.eq (i64x2.extract_lane 0 (f64x2.promote_low_f32x4 (v128.const i32x4 0xffa00001 0 0 0)))
            (i64.const 0x7ff8000000000000))",
        "(i32.eq (i32x4.extract_lane 0 (f32x4.demote_f64x2_zero (v128.const i64x2 0xfff4000000000001 0)))
            (i32.const 0x7fc00000))",
    ] {
        assert_eq!(Bare::new("1", "", step).step(0), Ok(1), "{step}");
    }
}

#[test]
fn numbers_and_moved_nans_keep_their_bits() {
    for step in [
        "(i32.eq (i32.reinterpret_f32 (f32.neg (f32.const nan:0x200001))) (i32.const 0xffa00001))",
        "(i32.eq (i32.reinterpret_f32 (f32.copysign (f32.const nan:0x200001) (f32.const -1))) (i32.const 0xffa00001))",
        "(f64.store (i32.const 0) (f64.const -nan:0x4000000000001))
            (i64.eq (i64.reinterpret_f64 (f64.load (i32.const 0))) (i64.const 0xfff4000000000001))",
        "(i32.eq (i32.reinterpret_f32 (f32.mul (f32.const -0) (f32.const 1))) (i32.const 0x80000000))",
        "(f64.eq (f64.div (f64.const 1) (f64.const 4)) (f64.const 0.25))",
    ] {
        assert_eq!(Bare::new("1", "", step).step(0), Ok(1), "{step}");
    }
}

#[test]
fn a_loop_without_end_runs_out_of_fuel_and_the_next_call_has_it_again() {
    let mut bare = Bare::new("1", "", "(loop $again (br_if $again (local.get $frame))) i32.const 7");
    assert_eq!(bare.step(0), Ok(7));
    assert_eq!(bare.step(1), Err(FAULT_OUT_OF_FUEL));
    assert_eq!(bare.step(0), Ok(7));
    assert_eq!(bare.global("interplay_fault"), 0);
}

#[test]
fn a_loop_costs_what_it_executes() {
    // Ten instructions a round, nested loops apart: the limit lies between these two.
    let step = "
        (loop $again
            (local.set $frame (i32.sub (local.get $frame) (i32.const 1)))
            (br_if $again (i32.gt_s (local.get $frame) (i32.const 0))))
        i32.const 7";
    let mut bare = Bare::new("1", "", step);
    assert_eq!(bare.step(FUEL / 12), Ok(7));
    assert_eq!(bare.step(FUEL / 8), Err(FAULT_OUT_OF_FUEL));
}

#[test]
fn bulk_memory_costs_by_its_length() {
    let fill = |bytes: usize| {
        let step = format!(
            "(loop $again
                (memory.fill (i32.const 0) (i32.const 1) (i32.const {bytes}))
                (memory.copy (i32.const 0) (i32.const 0) (i32.const {bytes}))
                (local.set $frame (i32.sub (local.get $frame) (i32.const 1)))
                (br_if $again (local.get $frame)))
            i32.const 7"
        );
        Bare::new("1", "", &step).step(10_000)
    };
    assert_eq!(fill(16), Ok(7));
    assert_eq!(fill(65_536), Err(FAULT_OUT_OF_FUEL));
}

#[test]
fn lines_in_the_log_are_dear() {
    let log = r#"(import "interplay" "log" (func $log (param i32 i32)))"#;
    let step = "
        (loop $again
            (call $log (i32.const 0) (i32.const 0))
            (local.set $frame (i32.sub (local.get $frame) (i32.const 1)))
            (br_if $again (local.get $frame)))
        i32.const 7";
    let mut bare = Bare::new("1", log, step);
    assert_eq!(bare.step(4_000), Ok(7));
    assert_eq!(bare.step(6_000), Err(FAULT_OUT_OF_FUEL));
}

#[test]
fn recursion_goes_too_deep_at_the_same_depth_whatever_came_before() {
    let function = "
        (func $down (param $n i32) (result i32)
            (if (result i32) (local.get $n)
                (then (i32.add (call $down (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
                (else (i32.const 0))))";
    let mut bare = Bare::new("1", function, "(call $down (local.get $frame))");
    let deepest =
        |bare: &mut Bare| (0..MAX_STACK_SLOTS).rev().step_by(1).find(|&depth| bare.step(depth).is_ok());
    let first = deepest(&mut bare).unwrap();
    assert!(first > 500, "{first}");
    assert_eq!(bare.step(first), Ok(first));
    assert_eq!(bare.step(first + 1), Err(FAULT_TOO_DEEP));
    assert_eq!(deepest(&mut bare), Some(first));
}

#[test]
fn every_way_out_of_a_function_gives_its_stack_back() {
    // Were one of them not to, a hundred thousand calls would go too deep.
    let functions = "
        (func $leaf)
        (func $out (param $way i32) (result i32)
            (call $leaf)
            (block $inner
                (if (i32.eqz (local.get $way)) (then (return (i32.const 7))))
                (br_if 1 (i32.const 7) (i32.eq (local.get $way) (i32.const 1))) (drop)
                (block (block (br_table 0 1 2 1 (i32.sub (local.get $way) (i32.const 2)))) unreachable)
                (loop (br_if $inner (i32.eq (local.get $way) (i32.const 3))) (return (i32.const 7))))
            (i32.const 7))
        (func $table (param i32) (result i32)
            (call $leaf)
            (block (result i32) (br_table 0 1 0 (i32.const 7) (local.get 0))))
        (func $pair (param i32) (result i32 i64)
            (call $leaf)
            (if (local.get 0) (then (return (i32.const 7) (i64.const 1))))
            (i32.const 7) (i64.const 2))
        (func $first (param i32) (result i32) (call $pair (local.get 0)) (drop))";
    let step = |call: &str| {
        let step = format!(
            "(local $n i32)
            (loop $again
                (if (i32.ne ({call}) (i32.const 7)) (then (return (i32.const -1))))
                (br_if $again (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
            (i32.const 7)"
        );
        Bare::new("1", functions, &step)
    };
    let mut out = step("call $out (local.get $frame)");
    for way in [0, 1, 3, 4, 5] {
        assert_eq!(out.step(way), Ok(7), "way {way}");
    }
    let mut table = step("call $table (local.get $frame)");
    assert_eq!([0, 1, 2].map(|way| table.step(way)), [Ok(7); 3]);
    let mut pair = step("call $first (local.get $frame)");
    assert_eq!((pair.step(0), pair.step(1)), (Ok(7), Ok(7)));
}

#[test]
fn the_deepest_stack_fits_the_engine_with_a_margin() {
    // Sixty-four vectors and as many integers live across each call: nothing here can stay in registers.
    let locals: String = (0..64).map(|n| format!("(local $v{n} v128) (local $i{n} i64)")).collect();
    let fill: String = (0..64)
        .map(|n| {
            format!(
                "(local.set $v{n} (v128.load offset={at} (local.get $n)))
                (local.set $i{n} (i64.load offset={at} (local.get $n)))",
                at = n * 16
            )
        })
        .collect();
    let store: String = (0..64)
        .map(|n| {
            format!(
                "(v128.store offset={at} (i32.const 2048) (local.get $v{n}))
                (i64.store offset={at} (i32.const 4096) (local.get $i{n}))",
                at = n * 16
            )
        })
        .collect();
    let function = format!(
        "(func $down (param $n i32) {locals} {fill} (call $down (i32.add (local.get $n) (i32.const 1))) {store})"
    );
    let step = "(call $down (i32.const 0)) (i32.const 0)".to_owned();
    // The engine's default for its stack is 512 KiB, half of what the runner gives and of what browsers have.
    assert_eq!(Bare::new("1", &function, &step).step(0), Err(FAULT_TOO_DEEP));
}

#[test]
fn preparing_twice_gives_the_same_bytes() {
    for name in ["tag.wasm", "allocating.wasm", "floating.wasm", "runaway.wasm"] {
        let source = built(name);
        assert_eq!(prepare(&source), prepare(&source), "{name}");
    }
    assert_eq!(prepare(&module("1", "", "i32.const 0")), prepare(&module("1", "", "i32.const 0")));
}
