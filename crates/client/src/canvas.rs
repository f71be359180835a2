//! Draw lists on a canvas (E3), in the environment's units, as sharp as the display is.

use core::f64::consts::TAU;

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};
use wire::draw::{self, Align, DrawCommand, Shape};

/// The page's canvas.
pub(crate) struct Canvas {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    size: (f64, f64),
}

impl Canvas {
    /// The page's canvas for an environment's size.
    pub(crate) fn new(size: (f32, f32)) -> Result<Self, JsValue> {
        let canvas: HtmlCanvasElement =
            crate::view::element("field").ok_or("the page has no canvas")?.unchecked_into();
        let context = canvas.get_context("2d")?.ok_or("the canvas cannot draw")?.unchecked_into();
        let size = (f64::from(size.0), f64::from(size.1));
        canvas.style().set_property("aspect-ratio", &format!("{} / {}", decimal(size.0), decimal(size.1)))?;
        Ok(Self { canvas, context, size })
    }

    /// Draws a list; a broken one is not drawn at all, and the last picture stays.
    pub(crate) fn paint(&self, list: &[u8]) {
        let Ok(commands) = draw::parse(list) else { return };
        let scale = self.fit();
        self.context.set_transform(scale, 0.0, 0.0, scale, 0.0, 0.0).ok();
        for command in &commands {
            self.draw(command);
        }
    }

    /// Gives the canvas as many pixels as it covers, and says how many a unit has.
    fn fit(&self) -> f64 {
        let density = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio());
        let width = (f64::from(self.canvas.client_width()) * density).round().max(1.0);
        let height = (width * self.size.1 / self.size.0).round();
        if f64::from(self.canvas.width()) != width || f64::from(self.canvas.height()) != height {
            self.canvas.set_width(width as u32);
            self.canvas.set_height(height as u32);
        }
        width / self.size.0
    }

    fn draw(&self, command: &DrawCommand<'_>) {
        let colour = format!("#{:08x}", command.colour);
        let context = &self.context;
        let stroke = command.stroke > 0.0;
        if stroke || matches!(command.shape, Shape::Line { .. }) {
            context.set_stroke_style_str(&colour);
            context.set_line_width(if stroke { command.stroke.into() } else { 1.0 });
        } else {
            context.set_fill_style_str(&colour);
        }
        context.begin_path();
        self.outline(&command.shape, stroke);
        match command.shape {
            Shape::Line { .. } => context.stroke(),
            Shape::Text { .. } | Shape::Image { .. } => {}
            _ if stroke => context.stroke(),
            _ => context.fill(),
        }
    }

    /// Puts a shape's outline into the path; texts are drawn at once.
    fn outline(&self, shape: &Shape<'_>, stroke: bool) {
        let context = &self.context;
        match *shape {
            Shape::Rect { x, y, width, height, radius } => {
                let (x, y, width, height) = (x.into(), y.into(), width.into(), height.into());
                if radius > 0.0 {
                    context.round_rect_with_f64(x, y, width, height, radius.into()).ok();
                } else {
                    context.rect(x, y, width, height);
                }
            }
            Shape::Circle { x, y, radius } => {
                context.arc(x.into(), y.into(), f64::from(radius).abs(), 0.0, TAU).ok();
            }
            Shape::Ellipse { x, y, radius_x, radius_y, rotation } => {
                let (rx, ry) = (f64::from(radius_x).abs(), f64::from(radius_y).abs());
                context.ellipse(x.into(), y.into(), rx, ry, rotation.into(), 0.0, TAU).ok();
            }
            Shape::Line { x1, y1, x2, y2 } => {
                context.move_to(x1.into(), y1.into());
                context.line_to(x2.into(), y2.into());
            }
            Shape::Polygon { points } => {
                for (x, y) in points.iter() {
                    context.line_to(x.into(), y.into());
                }
                context.close_path();
            }
            Shape::Arc { x, y, radius, start, end } => {
                if !stroke {
                    context.move_to(x.into(), y.into());
                }
                context.arc(x.into(), y.into(), f64::from(radius).abs(), start.into(), end.into()).ok();
            }
            Shape::Text { x, y, size, align, text } => {
                context.set_font(&format!("600 {}px system-ui, sans-serif", decimal(size.into())));
                context.set_text_align(match align {
                    Align::Left => "left",
                    Align::Centre => "center",
                    Align::Right => "right",
                });
                let drawn = if stroke {
                    context.stroke_text(text, x.into(), y.into())
                } else {
                    context.fill_text(text, x.into(), y.into())
                };
                drawn.ok();
            }
            // Experiments cannot bring images yet: their place is marked.
            Shape::Image { x, y, width, height, .. } => {
                context.rect(x.into(), y.into(), width.into(), height.into());
                context.stroke();
            }
        }
    }
}

/// A number as a style sheet has it, written by the browser: Rust's own way takes 8 KB of the page.
fn decimal(number: f64) -> String {
    js_sys::Number::from(number).to_string_with_radix(10).map_or_else(|_| String::new(), Into::into)
}
