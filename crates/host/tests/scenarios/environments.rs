//! What the native runner says about modules that are prepared and still wrong.

use base::Seat;
use host::prepare::prepare;
use host::{During, EnvironmentError, Fault, Module, ModuleError, NativeEnvironment};
use rollback::{Environment, Simulation};

use crate::support::{built_module, module, text, text_with};

fn error(memory: &str, from: &str, to: &str) -> ModuleError {
    let source = text(memory, "", "i32.const 0");
    assert!(source.contains(from), "{from}");
    let prepared = prepare(&wat::parse_str(source.replace(from, to)).unwrap()).unwrap();
    let made = Module::new(&prepared).and_then(|module| NativeEnvironment::new(&module));
    made.map(drop).expect_err(to)
}

#[test]
fn addresses_outside_the_modules_own_memory_are_refused() {
    for (name, address) in [("actions", "512"), ("outcome", "520"), ("manifest", "256")] {
        for outside in ["-1", "131072", "65535"] {
            let error = error(
                "1 1",
                &format!("(result i32) i32.const {address}"),
                &format!("(result i32) i32.const {outside}"),
            );
            // The manifest may stand in the last page, where there is nothing: it is read and found wanting.
            let found = error.to_string();
            assert!(
                found.contains(name) || matches!(error, ModuleError::Manifest(_)),
                "{name} at {outside}: {found}"
            );
        }
    }
}

#[test]
fn a_wrong_manifest_is_named() {
    let error = error("1", "\\\"abi\\\":1", "\\\"abi\\\":9");
    assert!(error.to_string().contains("`abi` is 9"), "{error}");
}

#[test]
fn a_module_that_was_not_prepared_is_said_to_be_so() {
    let error = Module::new(&module("1", "", "i32.const 0")).map(drop).unwrap_err().to_string();
    assert!(error.contains("was not prepared"), "{error}");
    assert!(Module::new(b"nonsense").is_err());
}

#[test]
fn a_trap_names_the_frame_and_a_reset_begins_anew() {
    let step = "(i32.store (i32.const 2048) (i32.const 1)) (i32.div_u (i32.const 1) (local.get $frame))";
    let prepared = prepare(&module("1", "", step)).unwrap();
    let mut environment = NativeEnvironment::new(&Module::new(&prepared).unwrap()).unwrap();
    environment.reset(1, 0, 0).unwrap();
    let fresh = environment.state_hash().unwrap();
    assert!(environment.step(1, &[]).unwrap().over);
    let EnvironmentError { fault, during } = environment.step(0, &[]).unwrap_err();
    assert_eq!(during, During::Step(0));
    assert!(matches!(fault, Fault::Trapped(_)), "{fault}");
    environment.reset(1, 0, 0).unwrap();
    assert_eq!(environment.state_hash().unwrap(), fresh);
}

#[test]
fn inputs_of_any_size_and_number_stay_in_their_places() {
    let step = "(i32.load8_u offset=512 (local.get $frame))";
    let prepared = prepare(&module("1", "", step)).unwrap();
    let mut environment = NativeEnvironment::new(&Module::new(&prepared).unwrap()).unwrap();
    environment.reset(8, 0, 0).unwrap();
    let long = base::Input::new(&[1; base::MAX_INPUT_BYTES]).unwrap();
    let nothing = base::Input::none(0);
    let inputs = [nothing, long, nothing, nothing, nothing, nothing, nothing, nothing, long, long];
    for (frame, over) in [(0, false), (1, true), (2, false), (7, false)] {
        assert_eq!(environment.step(frame, &inputs).unwrap().over, over, "seat {frame}");
    }
}

#[test]
fn tag_draws_and_observes_for_every_seat() {
    let module = built_module("tag.wasm");
    let manifest = module.manifest();
    let mut tag = NativeEnvironment::new(&module).unwrap();
    for seats in 2..=8 {
        tag.reset(seats, 0, 7).unwrap();
        let inputs: Vec<_> = (0..seats).filter_map(|seat| base::Input::new(&[1 << (seat % 5)])).collect();
        for frame in 0..100 {
            tag.step(frame, &inputs).unwrap();
        }
        let observations = tag.observe().unwrap();
        assert_eq!(observations.len(), usize::from(seats));
        for observation in observations {
            assert_eq!(observation.len(), manifest.observation.len() + manifest.info.len());
            assert!(observation.iter().all(|number| number.is_finite()));
        }
        for seat in Seat::all(seats) {
            let list = tag.draw(seat).unwrap();
            assert!(wire::draw::parse(&list).unwrap().len() > 20, "seat {seat} of {seats}");
        }
    }
}

/// A module with two options, whose step rewards seat 0 with the second one as it was when the episode began.
fn with_options(export: &str) -> Vec<u8> {
    let copied = "(func (export \"interplay_reset\") (param i32 i32 i32 i32)
        (f64.store (i32.const 3000) (f64.load (i32.const 2056)))
        (f64.store (i32.const 2056) (f64.const 99)))";
    let step = "(f64.store (i32.const 520) (f64.load (i32.const 3000))) (i32.const 0)";
    let source = text_with(r#","options":[["a",1],["b",2]]"#, "1 1", "", step);
    let reset = "(func (export \"interplay_reset\") (param i32 i32 i32 i32))";
    assert!(source.contains(reset));
    wat::parse_str(source.replace(reset, &format!("{copied}{export}"))).unwrap()
}

const OPTIONS: &str = "(func (export \"interplay_options\") (result i32) i32.const 2048)";

#[test]
fn every_episode_begins_with_the_options_that_were_set() {
    let module = Module::new(&prepare(&with_options(OPTIONS)).unwrap()).unwrap();
    assert_eq!(module.manifest().options, [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)]);
    let mut environment = NativeEnvironment::new(&module).unwrap();
    let play = |environment: &mut NativeEnvironment, episode| {
        environment.reset(1, episode, 0).unwrap();
        environment.step(0, &[]).unwrap().rewards[0]
    };
    assert_eq!(play(&mut environment, 0).to_bits(), 2.0_f64.to_bits(), "the usual one");
    let usual = environment.state_hash().unwrap();
    assert!(environment.set_options(&[0.5, -7.25]));
    for episode in 0..3 {
        assert_eq!(
            play(&mut environment, episode).to_bits(),
            (-7.25_f64).to_bits(),
            "whatever the last one wrote there"
        );
    }
    assert_ne!(environment.state_hash().unwrap(), usual, "they are part of the state");
    assert!(!environment.set_options(&[0.0; 100_000]));
}

#[test]
fn options_without_a_place_are_refused() {
    for export in ["", "(func (export \"interplay_options\") (result i32) i32.const 65530)"] {
        let error = Module::new(&prepare(&with_options(export)).unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.contains("interplay_options"), "{error}");
    }
    let wrong = "(func (export \"interplay_options\") (param i32) (result i32) i32.const 2048)";
    let error = prepare(&with_options(wrong)).unwrap_err().to_string();
    assert!(error.contains("must export `interplay_options`() -> i32"), "{error}");
}
