//! Builds a draw list (E3). Lengths are the manifest's units, angles radians, colours 0xRRGGBBAA.

/// The most bytes of a draw list that this builder holds; what does not fit is left out.
const CAPACITY: usize = 16 * 1024;

const HEADER: usize = 4;

/// Where a text's x is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At its left end.
    Left,
    /// In its middle.
    Centre,
    /// At its right end.
    Right,
}

/// A draw list that is being made. Depth, colour and stroke hold for all that follows, until they are changed.
pub struct DrawList {
    bytes: [u8; CAPACITY],
    length: usize,
    count: u32,
    depth: i16,
    colour: u32,
    stroke: f32,
}

impl Default for DrawList {
    fn default() -> Self {
        Self::new()
    }
}

impl DrawList {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: HEADER, count: 0, depth: 0, colour: 0xffff_ffff, stroke: 0.0 }
    }

    /// Makes it empty again.
    pub fn clear(&mut self) {
        (self.length, self.count, self.depth, self.colour, self.stroke) = (HEADER, 0, 0, 0xffff_ffff, 0.0);
        self.bytes[..HEADER].fill(0);
    }

    /// The list in its wire form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Lower is further back.
    pub fn depth(&mut self, depth: i16) -> &mut Self {
        self.depth = depth;
        self
    }

    /// The colour, 0xRRGGBBAA; shapes are filled with it.
    pub fn colour(&mut self, colour: u32) -> &mut Self {
        (self.colour, self.stroke) = (colour, 0.0);
        self
    }

    /// Shapes are outlined with lines of this width, until the next colour.
    pub fn stroke(&mut self, width: f32) -> &mut Self {
        self.stroke = width;
        self
    }

    /// A rectangle from its top left corner, with rounded corners.
    pub fn rect(&mut self, x: f32, y: f32, width: f32, height: f32, radius: f32) -> &mut Self {
        self.record(1, &[x, y, width, height, radius], &[], "")
    }

    /// A circle.
    pub fn circle(&mut self, x: f32, y: f32, radius: f32) -> &mut Self {
        self.record(2, &[x, y, radius], &[], "")
    }

    /// An ellipse.
    pub fn ellipse(&mut self, x: f32, y: f32, radius_x: f32, radius_y: f32, rotation: f32) -> &mut Self {
        self.record(3, &[x, y, radius_x, radius_y, rotation], &[], "")
    }

    /// A line; its width is the stroke.
    pub fn line(&mut self, x1: f32, y1: f32, x2: f32, y2: f32) -> &mut Self {
        self.record(4, &[x1, y1, x2, y2], &[], "")
    }

    /// A part of a circle, clockwise; filled, a sector.
    pub fn arc(&mut self, x: f32, y: f32, radius: f32, start: f32, end: f32) -> &mut Self {
        self.record(6, &[x, y, radius, start, end], &[], "")
    }

    /// A polygon of 3 to 256 points.
    pub fn polygon(&mut self, points: &[(f32, f32)]) -> &mut Self {
        if !(3..=256).contains(&points.len()) {
            return self;
        }
        let start = self.length;
        let mut whole = self.header(5) && self.word(points.len() as u32);
        for &(x, y) in points {
            whole = whole && self.word(x.to_bits()) && self.word(y.to_bits());
        }
        self.finish(start, whole)
    }

    /// A line of text on its baseline.
    pub fn text(&mut self, x: f32, y: f32, size: f32, align: Align, text: &str) -> &mut Self {
        self.record(7, &[x, y, size], &[align as u32], text)
    }

    /// An image by its name, from its top left corner.
    pub fn image(&mut self, x: f32, y: f32, width: f32, height: f32, name: &str) -> &mut Self {
        self.record(8, &[x, y, width, height], &[], name)
    }

    /// Kinds 7 and 8 carry a text.
    fn record(&mut self, kind: u8, numbers: &[f32], words: &[u32], text: &str) -> &mut Self {
        let start = self.length;
        let mut whole = text.len() <= 256 && self.header(kind);
        for number in numbers {
            whole = whole && self.word(number.to_bits());
        }
        for &word in words {
            whole = whole && self.word(word);
        }
        if kind >= 7 {
            whole = whole && self.word(text.len() as u32);
            for chunk in text.as_bytes().chunks(4) {
                let mut padded = [0; 4];
                padded[..chunk.len()].copy_from_slice(chunk);
                whole = whole && self.push(padded);
            }
        }
        self.finish(start, whole)
    }

    fn header(&mut self, kind: u8) -> bool {
        let [low, high] = self.depth.to_le_bytes();
        self.push([kind, 0, low, high]) && self.word(self.colour) && self.word(self.stroke.to_bits())
    }

    fn word(&mut self, word: u32) -> bool {
        self.push(word.to_le_bytes())
    }

    fn push(&mut self, bytes: [u8; 4]) -> bool {
        let Some(place) = self.bytes.get_mut(self.length..self.length + 4) else { return false };
        place.copy_from_slice(&bytes);
        self.length += 4;
        true
    }

    fn finish(&mut self, start: usize, whole: bool) -> &mut Self {
        if whole {
            self.count += 1;
            self.bytes[..HEADER].copy_from_slice(&self.count.to_le_bytes());
        } else {
            self.length = start;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_renderer_reads_what_is_built() {
        let mut list = DrawList::new();
        list.depth(3).colour(0x1122_33ff).circle(1.0, 2.0, 3.0);
        list.depth(1).stroke(2.0).polygon(&[(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]);
        list.depth(2).colour(0xffff_ffff).text(4.0, 5.0, 12.0, Align::Centre, "hällo");
        list.rect(0.0, 0.0, 1.0, 1.0, 0.0).ellipse(0.0, 0.0, 1.0, 2.0, 0.5).line(0.0, 0.0, 1.0, 1.0);
        list.arc(0.0, 0.0, 1.0, 0.0, 3.0).image(0.0, 0.0, 1.0, 1.0, "cat");
        let commands = wire::draw::parse(list.as_bytes()).unwrap();
        assert_eq!(commands.len(), 8);
        assert_eq!((commands[0].depth, commands[0].stroke), (1, 2.0));
        let wire::draw::Shape::Text { text, .. } = commands[1].shape else { panic!("not a text") };
        assert_eq!(text, "hällo");
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole() {
        let mut list = DrawList::new();
        for _ in 0..10_000 {
            list.circle(0.0, 0.0, 1.0);
        }
        assert_eq!(wire::draw::parse(list.as_bytes()).unwrap().len(), (CAPACITY - HEADER) / 24);
    }
}
