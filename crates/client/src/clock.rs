//! Time, and a timer that a hidden tab does not slow (N3).

use base::Timestamp;
use wasm_bindgen::prelude::*;
use web_sys::Worker;

/// The page's monotonic clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(
        (js_sys::Reflect::get(&js_sys::global(), &"performance".into()))
            .ok()
            .and_then(|performance| performance.dyn_into::<web_sys::Performance>().ok())
            .map_or(0.0, |performance| performance.now() * 1000.0) as u64,
    )
}

/// Sets a mark for whoever measures the page.
pub(crate) fn mark(name: &str) {
    if let Some(performance) = web_sys::window().and_then(|window| window.performance()) {
        performance.mark(name).ok();
    }
}

/// Calls back at a time, by way of a worker.
pub(crate) struct Alarm {
    worker: Worker,
    _ring: Closure<dyn Fn()>,
}

impl Alarm {
    pub(crate) fn new(ring: impl Fn() + 'static) -> Result<Self, JsValue> {
        let worker = Worker::new("/page/clock.js")?;
        let ring = Closure::<dyn Fn()>::new(ring);
        worker.set_onmessage(Some(ring.as_ref().unchecked_ref()));
        Ok(Self { worker, _ring: ring })
    }

    /// Rings once at a time; replaces what was set before.
    pub(crate) fn set(&self, at: Timestamp) {
        let millis = at.saturating_since(now()).as_secs_f64() * 1000.0;
        self.worker.post_message(&millis.into()).ok();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.terminate();
    }
}
