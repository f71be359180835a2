//! Keys and touch buttons: what the participant holds.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base::{Input, MAX_INPUT_BYTES};
use wasm_bindgen::prelude::*;
use web_sys::{Element, Event, EventTarget, KeyboardEvent};

/// A listener that is taken away when it is dropped.
struct Listener {
    target: EventTarget,
    kind: &'static str,
    handler: Closure<dyn Fn(Event)>,
}

impl Listener {
    fn new(target: &EventTarget, kind: &'static str, handle: impl Fn(Event) + 'static) -> Option<Self> {
        let handler = Closure::<dyn Fn(Event)>::new(handle);
        target.add_event_listener_with_callback(kind, handler.as_ref().unchecked_ref()).ok()?;
        Some(Self { target: target.clone(), kind, handler })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let handler = self.handler.as_ref().unchecked_ref();
        self.target.remove_event_listener_with_callback(self.kind, handler).ok();
    }
}

/// One bit for each button, by keys and by touch; both may hold one.
#[derive(Default)]
struct Held {
    keys: Cell<u128>,
    touch: Cell<u128>,
}

fn set(bits: &Cell<u128>, bit: u32, on: bool) {
    let mask = 1 << bit;
    bits.set(if on { bits.get() | mask } else { bits.get() & !mask });
}

/// The game's keys, listened to while the game is on.
pub(crate) struct Keyboard {
    held: Rc<Held>,
    input_bytes: usize,
    _listeners: Vec<Option<Listener>>,
}

impl Keyboard {
    /// `keys` maps `KeyboardEvent.code` to names of `buttons`.
    pub(crate) fn new(keys: &BTreeMap<String, String>, buttons: &[String], input_bytes: usize) -> Self {
        let held = Rc::new(Held::default());
        let bit = |name: &String| buttons.iter().position(|button| button == name).map(|at| at as u32);
        let codes: Vec<(String, u32)> =
            keys.iter().filter_map(|(code, name)| Some((code.clone(), bit(name)?))).collect();
        let mut listeners = Vec::new();
        if let Some(window) = web_sys::window() {
            for (kind, down) in [("keydown", true), ("keyup", false)] {
                let (held, codes) = (Rc::clone(&held), codes.clone());
                listeners.push(Listener::new(&window, kind, move |event| {
                    let Ok(event) = event.dyn_into::<KeyboardEvent>() else { return };
                    let shortcut = event.ctrl_key() || event.meta_key() || event.alt_key();
                    let pressed = event.code();
                    // Buttons and dialogs have keys of their own.
                    let target = event.target().and_then(|target| target.dyn_into::<Element>().ok());
                    if target.is_some_and(|target| matches!(target.closest("button, dialog"), Ok(Some(_)))) {
                        return;
                    }
                    let Some(&(_, bit)) = codes.iter().find(|(code, _)| *code == pressed) else { return };
                    if !(down && shortcut) {
                        event.prevent_default();
                        set(&held.keys, bit, down);
                    }
                }));
            }
            // A key that is let go elsewhere is never heard of here.
            let released = Rc::clone(&held);
            listeners.push(Listener::new(&window, "blur", move |_| {
                released.keys.set(0);
                released.touch.set(0);
            }));
        }
        let used = |(bit, _): &(u32, &String)| codes.iter().any(|(_, used)| used == bit);
        let names = (0..).zip(buttons).filter(used).map(|(bit, name)| (bit, name.as_str()));
        listeners.extend(touch_buttons(names, &held));
        Self { held, input_bytes, _listeners: listeners }
    }

    /// What is held now.
    pub(crate) fn input(&self) -> Option<Input> {
        let bits = (self.held.keys.get() | self.held.touch.get()).to_le_bytes();
        Input::new(bits.get(..self.input_bytes.min(MAX_INPUT_BYTES))?)
    }
}

/// Buttons on the page, which the style sheet shows where the pointer is a finger.
fn touch_buttons<'a>(names: impl Iterator<Item = (u32, &'a str)>, held: &Rc<Held>) -> Vec<Option<Listener>> {
    let mut listeners = Vec::new();
    let document = web_sys::window().and_then(|window| window.document());
    let (Some(document), Some(place)) = (document, crate::view::element("touch")) else { return listeners };
    place.set_text_content(None);
    let group = |class: &str| -> Option<Element> {
        let group = document.create_element("div").ok()?;
        group.set_class_name(class);
        place.append_child(&group).ok()?;
        Some(group)
    };
    let (Some(pad), Some(others)) = (group("pad"), group("others")) else { return listeners };
    for (bit, name) in names {
        let Ok(button) = document.create_element("button") else { continue };
        let called = crate::words::button(name);
        let (group, sign) = match name {
            "left" => (&pad, "◀"),
            "right" => (&pad, "▶"),
            "up" => (&pad, "▲"),
            "down" => (&pad, "▼"),
            _ => (&others, called.as_str()),
        };
        button.set_text_content(Some(sign));
        button.set_attribute("data-button", name).ok();
        button.set_attribute("type", "button").ok();
        button.set_attribute("tabindex", "-1").ok();
        group.append_child(&button).ok();
        for (kind, down) in
            [("pointerdown", true), ("pointerup", false), ("pointercancel", false), ("pointerleave", false)]
        {
            let (held, marked) = (Rc::clone(held), button.clone());
            listeners.push(Listener::new(&button, kind, move |event| {
                event.prevent_default();
                set(&held.touch, bit, down);
                marked.toggle_attribute_with_force("data-held", down).ok();
            }));
        }
    }
    listeners
}
