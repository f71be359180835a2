//! What could differ between participants, or escape a snapshot, is refused with the reason.

use host::prepare::{PrepareError, prepare};

use crate::support::{self, module, text};

/// The reason for which a module was refused.
fn reason(items: &str, step: &str) -> String {
    let Ok(bytes) = wat::parse_str(text("1", items, step)) else { panic!("not a module: {items} {step}") };
    prepare(&bytes).map(drop).expect_err(step).to_string()
}

#[test]
fn instructions_that_could_differ_or_escape_are_refused_by_function() {
    let vector = "v128.const i32x4 0 0 0 0 ";
    let three = vector.repeat(3);
    for (items, step, expected) in [
        ("", &*format!("{three} f32x4.relaxed_madd drop i32.const 0"), "relaxed SIMD"),
        ("", "i32.const 0 i32.atomic.load", "threads"),
        ("(func $f (result i32) i32.const 0)", "return_call $f", "tail calls"),
        ("(tag $t)", "throw $t", "exceptions"),
        ("(table 1 funcref)", "i32.const 0 ref.null func table.set 0 i32.const 0", "reference types"),
        ("(table 1 funcref)", "ref.null func i32.const 1 table.grow 0", "reference types"),
        (
            "(table 1 funcref)",
            "i32.const 0 ref.null func i32.const 1 table.fill 0 i32.const 0",
            "reference types",
        ),
        ("(table 1 funcref)", "i32.const 0 i32.const 0 i32.const 1 table.copy i32.const 0", "bulk memory"),
        (
            "(table 1 funcref) (elem $e func)",
            "i32.const 0 i32.const 0 i32.const 0 table.init $e i32.const 0",
            "bulk memory",
        ),
        ("(data $d \"a\")", "i32.const 0 i32.const 0 i32.const 1 memory.init $d i32.const 0", "bulk-memory"),
        ("(data $d \"a\")", "data.drop $d i32.const 0", "bulk-memory"),
        ("(table 1 funcref) (table 1 funcref)", "i32.const 0", "multiple tables"),
        ("(global (mut externref) (ref.null extern))", "i32.const 0", "reference types"),
        ("(global (mut funcref) (ref.null func))", "i32.const 0", "reference types"),
        ("(type (struct (field i32)))", "i32.const 0", "gc"),
    ] {
        let reason = reason(items, step);
        assert!(reason.to_lowercase().contains(&expected.to_lowercase()), "{items} {step}: {reason}");
        assert!(reason.contains("(at byte "), "{reason}");
        assert!(reason.contains("docs/environments.md"), "{reason}");
    }
    assert!(reason("", "i32.const 0 i32.atomic.load").contains("function 4: "));
}

#[test]
fn memories_that_cannot_be_fixed_are_refused() {
    for (memory, expected) in [
        ("257", "may have 257 pages; the most is 256"),
        ("1 1000", "may have 1000 pages"),
        ("1 2 shared", "threads"),
        ("i64 1", "memory64"),
    ] {
        let error = prepare(&module(memory, "", "i32.const 0")).unwrap_err().to_string();
        assert!(error.contains(expected), "{memory}: {error}");
    }
    let missing = text("1", "", "i32.const 0")
        .replace(r#"(memory (export "memory") 1)"#, r#"(func (export "memory"))"#);
    let missing =
        wat::parse_str(missing.lines().filter(|line| !line.contains("(data")).collect::<String>()).unwrap();
    assert!(prepare(&missing).unwrap_err().to_string().contains("memory is missing"));
    assert!(reason("(memory 1)", "i32.const 0").contains("multi"));
}

#[test]
fn only_the_log_may_be_imported() {
    for import in [
        r#"(import "env" "now" (func (result f64)))"#,
        r#"(import "interplay" "log" (func (param i32) (result i32)))"#,
        r#"(import "interplay" "log" (global i32))"#,
        r#"(import "env" "memory" (memory 1))"#,
        r#"(import "env" "g" (global (mut i32)))"#,
        r#"(import "env" "t" (table 1 funcref))"#,
    ] {
        let reason = reason(import, "i32.const 0");
        assert!(reason.contains("only `interplay.log(i32, i32)` may be imported"), "{import}: {reason}");
    }
    let log = r#"(import "interplay" "log" (func (param i32 i32)))"#;
    assert!(prepare(&module("1", log, "i32.const 1 i32.const 1 call 0 i32.const 0")).is_ok());
}

#[test]
fn the_interface_is_complete_and_of_the_right_types() {
    for name in ["manifest", "actions", "outcome", "reset", "step", "observe", "draw"] {
        let name = format!("interplay_{name}");
        let without = text("1", "", "i32.const 0").replace(&format!("\"{name}\""), "\"other\"");
        let error = prepare(&wat::parse_str(without).unwrap()).unwrap_err().to_string();
        assert!(error.contains(&format!("must export `{name}`(")), "{error}");
    }
    let wrong = text("1", "", "i32.const 0").replace("(param i32 i32 i32 i32)", "(param i32 i64)");
    let error = prepare(&wat::parse_str(wrong).unwrap()).unwrap_err().to_string();
    assert!(error.contains("`interplay_reset`(i32, i32, i32, i32)"), "{error}");
}

#[test]
fn a_module_is_prepared_once() {
    let once = prepare(&module("1", "", "i32.const 0")).unwrap();
    let error = prepare(&once).unwrap_err();
    assert_eq!(error, PrepareError::Taken("interplay_save".to_owned()));
}

#[test]
fn a_start_function_is_refused_with_its_cure() {
    let reason = reason("(func $f) (start $f)", "i32.const 0");
    assert!(reason.contains("do its work in `interplay_reset`"), "{reason}");
}

#[test]
fn too_large_a_module_is_not_read() {
    let error = prepare(&vec![0; 33 * 1024 * 1024]).unwrap_err().to_string();
    assert!(error.contains("the most is 32 MiB"), "{error}");
}

#[test]
fn broken_modules_are_refused_and_never_panic() {
    let whole = support::built("runaway.wasm");
    for length in (0..whole.len()).step_by(97) {
        assert!(prepare(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut random = base::Rng::from_seed(1);
    for _ in 0..2000 {
        let mut mutated = whole.clone();
        for _ in 0..=random.next_u64() % 4 {
            let at = random.next_u64() as usize % mutated.len();
            mutated[at] = random.next_u64() as u8;
        }
        // What is still a module is prepared into a valid one: `prepare` validates what it gives.
        let _ = prepare(&mutated);
    }
}
